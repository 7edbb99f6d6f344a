"""Logs: structured lines on standard error, with secrets taken out."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from arcbilling.settings import Settings

_SECRET = re.compile(r"(arcb_live_[0-9A-Za-z]+|whsec_[A-Za-z0-9+/=]+|(?i:bearer)\s+\S+)")
_SECRET_NAMES = frozenset({"authorization", "cookie", "password", "token", "secret", "key", "otp"})


def configure(settings: Settings) -> None:
    """Sets up structlog, and Python's own logging to go through it."""
    colours = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    last = structlog.dev.ConsoleRenderer() if colours else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=last, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    for noisy in ("tortoise", "aiosqlite", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Takes secrets out of a line: by the name of a value, and by the look of a text."""
    for name, value in event.items():
        if name.lower() in _SECRET_NAMES:
            event[name] = "[secret]"
        elif isinstance(value, str):
            event[name] = _SECRET.sub("[secret]", value)
    return event
