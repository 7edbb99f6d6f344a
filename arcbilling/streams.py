"""Streams: what stays open for a caller, and ends with its key or with the process."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from enum import Enum
from typing import Any

import structlog

from arcbilling import clock
from arcbilling.draining import Drain
from arcbilling.metrics import Metrics
from resolvers import api_keys
from resolvers.database import Database
from resolvers.tables import Session
from schema.actors import Actor
from schema.api_keys import usable
from schema.errors import Code, DomainError

log = structlog.get_logger("arcbilling.streams")

MOST_FOR_A_KEY = 100
SECONDS_BETWEEN_LOOKS = 2.5
"""How long a key that was revoked elsewhere keeps its streams, where no hint of it comes."""
SECONDS_QUIET = 15.0
"""After so long without a word a comment is sent, so that nobody between takes the stream for dead."""
SECONDS_FOR_LAST_WORD = 2.0
"""A caller that takes in nothing gets no more time than this at the end."""

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


class Ending(Enum):
    """Why a stream ends though its caller would go on."""

    STOPPING = "the process ends"
    REVOKED = "the key was revoked or has expired"


class Stream:
    """One socket or event stream of a caller."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    def end(self, why: Ending) -> None:
        if not self.ended.done():
            self.ended.set_result(why)


class Streams:
    """All streams of this process, by the keys that they were opened with."""

    def __init__(self, database: Database, drain: Drain, metrics: Metrics) -> None:
        self._database = database
        self._drain = drain
        self._metrics = metrics
        self._open: defaultdict[int, set[Stream]] = defaultdict(set)

    @contextmanager
    def open(self, actor: Actor, transport: str) -> Iterator[Stream]:
        """A stream for as long as the block; refused when the key has as many as it may have."""
        mine = self._open[actor.id]
        if len(mine) >= MOST_FOR_A_KEY:
            raise DomainError(
                Code.RATE_LIMITED,
                f"This key has {MOST_FOR_A_KEY} streams open already. Close one, or follow all events by one.",
                retry_after=int(SECONDS_QUIET),
            )
        stream = Stream()
        mine.add(stream)
        if self._drain.stopping.is_set():
            stream.end(Ending.STOPPING)
        with self._metrics.streaming(transport):
            try:
                yield stream
            finally:
                mine.discard(stream)
                if not mine:
                    self._open.pop(actor.id, None)

    async def look(self) -> bool:
        """Ends the streams of keys that may not be used any more."""
        if not self._open:
            return False
        session, asked = Session(self._database, self._database.reader), list(self._open)
        keys = await api_keys.table.by_ids(session, asked)
        now = clock.now()
        for id in asked:  # and not of those that have opened a stream meanwhile
            key = keys.get(id)
            if key is None or not usable(key, now):
                _end(self._open.get(id, set()), Ending.REVOKED)
        return False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ends every stream when the process is about to end."""
        waiting = asyncio.create_task(self._drain.stopping.wait(), name="streams")
        waiting.add_done_callback(self._stop)
        try:
            yield
        finally:
            waiting.cancel()

    def _stop(self, waited: "asyncio.Task[Any]") -> None:
        if not waited.cancelled():
            for streams in self._open.values():
                _end(streams, Ending.STOPPING)

    async def tell(
        self, actor: Actor, receive: Receive, send: Send, chunks: AsyncGenerator[bytes], last: bytes
    ) -> None:
        """Answers with an event stream: the chunks as they come, comments while there are none, and the last word.

        Raises a DomainError before anything is sent where the key has too many.
        """
        with self.open(actor, "sse") as stream:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            pen = _Pen(send)
            telling = asyncio.create_task(pen.tell(chunks))
            leaving = asyncio.create_task(_gone(receive))
            reminding = asyncio.create_task(pen.remind())
            tasks = (telling, leaving, reminding)
            try:
                await asyncio.wait((telling, leaving, stream.ended), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            if not telling.cancelled() and (error := telling.exception()) is not None:
                log.error("a stream broke off", exc_info=error)
                return
            if leaving.cancelled():
                await _last_word(send, last)


class _Pen:
    """Writes to one caller."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._time = asyncio.get_running_loop().time
        self._wrote_at = self._time()

    async def tell(self, chunks: AsyncGenerator[bytes]) -> None:
        async with aclosing(chunks):
            async for chunk in chunks:
                await self._write(chunk)

    async def remind(self) -> None:
        while True:
            if (quiet := self._time() - self._wrote_at) >= SECONDS_QUIET:
                await self._write(b":\n\n")
            else:
                await asyncio.sleep(SECONDS_QUIET - quiet)

    async def _write(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        self._wrote_at = self._time()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _last_word(send: Send, last: bytes) -> None:
    try:
        async with asyncio.timeout(SECONDS_FOR_LAST_WORD):
            await send({"type": "http.response.body", "body": last})
    except TimeoutError:
        log.info("a caller did not read the last word of its stream")


def _end(streams: set[Stream], why: Ending) -> None:
    for stream in streams:
        stream.end(why)
