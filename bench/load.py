"""Load: requests that were rendered before, over connections that stay open, each with the next once it was answered.

It reads of an answer what it must: the status and the length. Its own CPU is not measured.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

CONNECTIONS = 16
SECONDS_TO_ANSWER = 30.0


class Unexpected(Exception):
    """A server answered with another status than it should."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Told:
    """What came of a stretch of load."""

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    """How long each request waited for its answer."""


class Connection(asyncio.Protocol):
    """A connection that asks as long as the source gives something and the time is not over."""

    def __init__(self, source: Iterator[bytes], status: int, until: float, waits: list[float]) -> None:
        self._source = source
        self._wanted = b"HTTP/1.1 %d " % status
        self._until = until
        self._waits = waits
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._missing = 0
        self._asked = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
            if self._missing <= 0:
                self._answered()
            return
        buffer = self._buffer = self._buffer + data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        if not buffer.startswith(self._wanted):
            self._fail(Unexpected(buffer[:2000].decode(errors="replace")))
            return
        self._buffer = b""
        self._missing = length_of(buffer[:end]) - (len(buffer) - end - 4)
        if self._missing <= 0:
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("the server closed the connection"))

    def _answered(self) -> None:
        self._missing = 0
        self._waits.append(time.perf_counter() - self._asked)
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked = time.perf_counter()
        request = None if self._asked >= self._until else next(self._source, None)
        if request is None:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()
        else:
            self._transport.write(request)

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
        if self._transport is not None:
            self._transport.close()


def length_of(head: bytes) -> int:
    """The length of the body that a head announces."""
    lowered = head.lower()
    start = lowered.find(b"\r\ncontent-length:")
    if start < 0:
        raise Unexpected(head.decode(errors="replace"))
    return int(lowered[start + 17 :].split(b"\r\n", 1)[0])


async def load(port: int, source: Iterator[bytes], status: int, seconds: float, connections: int = CONNECTIONS) -> Told:
    told = Told()
    began = time.perf_counter()
    made = []
    for _ in range(connections):
        _, one = await asyncio.get_running_loop().create_connection(
            lambda: Connection(source, status, began + seconds, told.waits), "127.0.0.1", port
        )
        made.append(one)
    async with asyncio.timeout(seconds + SECONDS_TO_ANSWER):
        await asyncio.gather(*(one.done for one in made))
    told.seconds = time.perf_counter() - began
    return told


async def ask(port: int, request: bytes) -> Answer:
    """One request, and its whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(length_of(head.rstrip(b"\r\n")))
    finally:
        writer.close()
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)
