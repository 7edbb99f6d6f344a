"""Live events: the last numbered ones, read once for everybody in this process who listens.

A listener keeps nothing but the number that it has come to. It is given what the feed holds beyond that, or reads the
database where the feed holds it no more: one that is slow costs no more than one that is quick, and misses nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from models.events import EventRow
from resolvers import outbox
from resolvers.database import Database, DatabaseUnavailable
from resolvers.filters import EVERYTHING, Where, one_of
from resolvers.outbox import Portion
from resolvers.tables import Session

log = structlog.get_logger("arcbilling.feed")

KEPT = 1_000
KEPT_LENGTH = 4 * 1024 * 1024
"""So many events are held at most, and so many characters of them."""
SECONDS_KEPT = 10.0
"""What was read longer ago is read again: something of it may have been erased since."""
SECONDS_TO_RETRY = 1.0


class Wanted(NamedTuple):
    """Which events a listener is told: by their names (None: all), and of which client (None: of everyone)."""

    names: frozenset[str] | None
    client_id: int | None

    @property
    def where(self) -> Where:
        return EVERYTHING if self.names is None else one_of("event", sorted(self.names))

    def fits(self, row: EventRow) -> bool:
        return (self.names is None or row.event in self.names) and self.client_id in (None, row.client_id)


class Feed:
    """The events of one process. It reads while somebody listens, and rests otherwise."""

    def __init__(self, database: Database, erasing: str) -> None:
        self.wake: Callable[[], None] = lambda: None
        """Called when somebody begins to listen."""
        self.last: int | None = None
        """The number that has been read up to; None while nobody listens."""
        self._database = database
        self._erasing = erasing
        """The event that says that what had been read before is to be read again: some of it was erased."""
        self._rows: list[EventRow] = []
        self._before = 0
        """The number before the first of the rows, which have no gaps."""
        self._read_at: list[float] = []
        self._length = 0
        self._listeners = 0
        self._news = asyncio.Event()

    async def step(self) -> bool:
        """Reads what was numbered since the last step; tells whether there may be more."""
        if not self._listeners:
            self.last = None
            self._keep([], 0)
            return False
        session = Session(self._database, self._database.reader)
        if self.last is None:
            self.last = await outbox.last_number(session)
            self._keep([], self.last)
            self._tell()
            return False
        rows, _ = await outbox.following(session, self.last)
        if rows:
            self._take(rows)
            self._tell()
        self._drop()
        return bool(rows)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keeps the feed reading for as long as the block."""
        self._listeners += 1
        self.wake()
        try:
            yield
        finally:
            self._listeners -= 1

    async def beyond(self, number: int) -> int:
        """Waits until something beyond a number has been read; tells how far."""
        while self.last is None or self.last <= number:
            await self._news.wait()
        return self.last

    def after(self, number: int) -> tuple[Portion, float] | None:
        """What is held beyond a number, and when the first of it was read; None where some of it is held no more.

        Nor is what is too old to be told, though the next step is to drop it: whoever was given it would ask again at
        once, and for ever, and no step would come.
        """
        place = number - self._before
        if not 0 <= place < len(self._rows) or time.monotonic() - self._read_at[place] > SECONDS_KEPT:
            return None
        assert self.last is not None
        return Portion(self._rows[place:], self.last), self._read_at[place]

    def _take(self, rows: list[EventRow]) -> None:
        first, last = rows[0].sequence, rows[-1].sequence
        assert first is not None
        assert last is not None
        if last - first != len(rows) - 1:  # a gap, which only somebody's hand can have made
            self._keep([], last)
        elif any(row.event == self._erasing for row in rows):
            self._keep(rows, first - 1)
        else:
            self._rows += rows
            self._read_at += [time.monotonic()] * len(rows)
            self._length += _length(rows)
        self.last = last

    def _keep(self, rows: list[EventRow], before: int) -> None:
        self._rows, self._before = list(rows), before
        self._read_at = [time.monotonic()] * len(rows)
        self._length = _length(rows)

    def _drop(self) -> None:
        """Lets go of the oldest rows: beyond so many, so large, or so old."""
        over = time.monotonic() - SECONDS_KEPT
        gone = 0
        for row, read_at in zip(self._rows, self._read_at, strict=True):
            if len(self._rows) - gone <= KEPT and self._length <= KEPT_LENGTH and read_at > over:
                break
            self._length -= len(row.payload)
            gone += 1
        del self._rows[:gone], self._read_at[:gone]
        self._before += gone

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


async def listen(feed: Feed, session: Session, after: int, wanted: Wanted) -> AsyncIterator[EventRow]:
    """The wanted events beyond a number, those that have happened and those that will, each once and in order."""
    with feed.listening():
        while True:
            last = await feed.beyond(after)
            held = feed.after(after)
            if held is not None:
                portion, read_at = held
            else:
                read_at = time.monotonic()
                try:
                    portion = await outbox.following(session, after, last, wanted.where)
                except DatabaseUnavailable as error:
                    log.warning("a listener waits for the database", error=str(error))
                    await asyncio.sleep(SECONDS_TO_RETRY)
                    continue
            for row in portion.rows:
                if time.monotonic() - read_at > SECONDS_KEPT:
                    break
                assert row.sequence is not None
                after = row.sequence
                if wanted.fits(row):
                    yield row
            else:
                after = portion.reached


def _length(rows: list[EventRow]) -> int:
    return sum(len(row.payload) for row in rows)
