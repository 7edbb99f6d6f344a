"""Reading request bodies: bounded in size and in time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from schema.calls import Disconnected
from schema.errors import Code, DomainError

SECONDS = 10


def too_large(most: int) -> DomainError:
    return DomainError(Code.VALIDATION_ERROR, f"The request body must be at most {most:,} bytes.", status=413)


def headers_too_large() -> DomainError:
    return DomainError(Code.VALIDATION_ERROR, "The headers of the request are too large.", status=431)


async def read_body(receive: Callable[[], Awaitable[Mapping[str, Any]]], most: int) -> bytes:
    """The body; refused when it is too large or takes too long, without reading the rest."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > most:
                    raise too_large(most)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise DomainError(
            Code.VALIDATION_ERROR, f"The request body did not arrive within {SECONDS} seconds.", status=408
        ) from None
