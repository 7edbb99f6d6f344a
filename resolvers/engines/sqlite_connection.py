"""One connection to an SQLite file, and the two ways to run a statement on it.

Most statements take some microseconds, and asking another thread for them ten times as long. So what is short runs in
the thread of the event loop, and what may take long in a thread of the connection's own.
"""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from types import NoneType

from resolvers.database import DatabaseUnavailable, Rows, UniqueViolation

SECONDS_AT_ONCE = 0.003
"""What a read may take of the event loop's time; and what several may, before everybody else has a turn."""
STEPS_BETWEEN_LOOKS = 1_000
"""So many of SQLite's steps, some tens of microseconds, lie between looks at the time."""

_PASSING = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
    )
)
"""Errors of the surroundings, not of the statement."""
_STORED_AS_IT_IS = frozenset((NoneType, bool, bytes, float, int, str))


class SqliteConnection:
    """A connection that is open. Whoever has it sees to it that its two threads do not use it at the same time."""

    def __init__(self, path: Path, *pragmas: str, seconds_to_wait: float) -> None:
        self._raw = sqlite3.connect(
            path, isolation_level=None, timeout=seconds_to_wait, cached_statements=500, check_same_thread=False
        )
        self._thread = ThreadPoolExecutor(1, "sqlite")
        self._until = float("inf")
        self._spent = 0.0
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", *pragmas):
            self._raw.execute(f"PRAGMA {pragma}")
        self._raw.set_progress_handler(self._is_too_long, STEPS_BETWEEN_LOOKS)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._raw.close)
        self._thread.shutdown(wait=False)

    @property
    def in_transaction(self) -> bool:
        return self._raw.in_transaction

    async def turn(self) -> None:
        """Gives everybody else a turn, if what ran at once has taken a moment in all."""
        if self._spent > SECONDS_AT_ONCE:
            self._spent = 0.0
            await asyncio.sleep(0)

    def at_once(self, sql: str, values: Sequence[object] = ()) -> Rows:
        """Runs a statement that is short."""
        began = time.perf_counter()
        try:
            return self._run(sql, values)
        finally:
            self._spent += time.perf_counter() - began

    def in_a_moment(self, sql: str, values: Sequence[object] = ()) -> Rows | None:
        """Runs a statement that reads; None if that takes longer than a moment, or fails: its thread will say how."""
        self._until = time.perf_counter() + SECONDS_AT_ONCE
        try:
            with suppress(sqlite3.Error, DatabaseUnavailable):
                return self.at_once(sql, values)
            return None
        finally:
            self._until = float("inf")

    def apart(self, sql: str, values: Sequence[object] = ()) -> "asyncio.Future[Rows]":
        """Runs a statement in the connection's thread, behind those that run there."""
        return asyncio.get_running_loop().run_in_executor(self._thread, self._run, sql, values)

    def _run(self, sql: str, values: Sequence[object]) -> Rows:
        try:
            return self._raw.execute(sql, stored(values)).fetchall()
        except sqlite3.IntegrityError as error:
            if "UNIQUE" in str(error):
                raise UniqueViolation(str(error)) from error
            raise
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in _PASSING:
                raise DatabaseUnavailable(f"SQLite says: {error}.") from error
            raise

    def _is_too_long(self) -> bool:
        return time.perf_counter() > self._until


def stored(values: Sequence[object]) -> list[object]:
    """The values as SQLite stores them."""
    return [value if type(value) in _STORED_AS_IT_IS else encoded(value) for value in values]


def encoded(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")
        case date():
            return value.isoformat()
        case Enum():
            return value.value
        case _:
            return value
