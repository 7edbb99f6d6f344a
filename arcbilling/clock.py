"""The one clock. Whatever asks for the time asks here, so that tests and the demo can move it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_moved_by: ContextVar[timedelta] = ContextVar("clock_moved_by", default=timedelta(0))
_zone = ZoneInfo("UTC")


def now() -> datetime:
    """The current moment, in UTC."""
    return datetime.now(UTC) + _moved_by.get()


def today() -> date:
    """The current calendar date in the billing timezone (`ARCBILLING_TIMEZONE`)."""
    return now().astimezone(_zone).date()


def start_of(day: date) -> datetime:
    """The moment at which a calendar date begins in the billing timezone."""
    return datetime(day.year, day.month, day.day, tzinfo=_zone).astimezone(UTC)


def use_zone(zone: ZoneInfo) -> None:
    """Sets the billing timezone of this process."""
    global _zone
    _zone = zone


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Within the block the clock starts at `moment` and goes on from there."""
    token = _moved_by.set(moment - datetime.now(UTC))
    try:
        yield
    finally:
        _moved_by.reset(token)
