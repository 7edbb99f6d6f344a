"""SQLite: a file, and one writer.

A write transaction begins with BEGIN IMMEDIATE, so that it never fails half-way for want of the lock; reads go through
connections of their own, which see the last commit and which no write blocks.

Most reads take some microseconds, and asking another thread for them ten times as long. So each is begun in the thread
of the event loop, where it has a few milliseconds; one that takes longer is begun again in a thread.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import aiosqlite

from arcbilling import clock
from resolvers.database import (
    SECONDS_TO_MIGRATE,
    Channel,
    Connection,
    Database,
    DatabaseUnavailable,
    Finding,
    MigrationLocked,
    Rows,
    Transaction,
    UniqueViolation,
)

BUSY_TIMEOUT_MS = 5000
"""How long SQLite waits for another process that writes."""
SECONDS_TO_WAIT = 10.0
"""How long a transaction waits for those of this process that came before it."""
SECONDS_AT_ONCE = 0.003
"""What a read may take of the event loop's time; and what several may, before everybody else has a turn."""
STEPS_BETWEEN_LOOKS = 1_000
"""So many of SQLite's steps, some tens of microseconds, lie between looks at the time."""
LEAST_VERSION = (3, 35)

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


class SqliteDatabase:
    """An SQLite file that is open."""

    shared = False
    lock_clause = ""  # BEGIN IMMEDIATE has locked every row

    def __init__(self, path: Path) -> None:
        self.path = path
        self.on_statement: Callable[[str], None] | None = None
        self.channel: Channel | None = None  # one process serves
        self._writing = asyncio.Lock()
        self._writer: aiosqlite.Connection | None = None
        self._closing = AsyncExitStack()
        self.reader: Connection = _SqliteConnection(self, None)

    async def connect(self) -> None:
        try:
            self._writer = await self._open(read_only=False)
            self.reader = _Reader(self, await self._open(read_only=True))
            self._closing.callback(self.reader.close)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self._writer = None
        self.reader = _SqliteConnection(self, None)
        await self._closing.aclose()

    async def ping(self) -> None:
        await self.reader.fetch("SELECT 1")

    async def lead(self) -> bool:
        return True  # one process serves

    async def _open(self, *, read_only: bool) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(self.path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
        # Its thread ends with it alone, and would keep the process from ending.
        self._closing.push_async_callback(connection.close)
        pragmas = ["journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}"]
        if read_only:
            pragmas.append("query_only=ON")
        for pragma in pragmas:
            await connection.execute_fetchall(f"PRAGMA {pragma}")
        return connection

    async def begin(self) -> Transaction:
        if self._writer is None:
            raise DatabaseUnavailable("The database is not open.")
        try:
            async with asyncio.timeout(SECONDS_TO_WAIT):
                await self._writing.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable(f"Others were writing for {SECONDS_TO_WAIT:g} seconds.") from error
        transaction = _SqliteTransaction(self, self._writer, self._writing.release)
        try:
            await transaction.fetch("BEGIN IMMEDIATE")
            return transaction
        except BaseException:
            # The lock is ours until the transaction is handed over, whatever stops that.
            await asyncio.shield(transaction.rollback())
            raise

    def encode(self, value: object) -> object:
        match value:
            case datetime():
                return value.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")
            case date():
                return value.isoformat()
            case Enum():
                return value.value
            case _:
                return value

    def decoder(self, column_type: Any) -> Callable[[Any], Any] | None:
        if column_type is datetime:
            return datetime.fromisoformat
        if column_type is date:
            return date.fromisoformat
        if column_type is bool:
            return bool
        if isinstance(column_type, type) and issubclass(column_type, StrEnum):
            return {one.value: one for one in column_type}.__getitem__  # a call of the enum takes five times as long
        return None

    def teller(self, column_type: Any) -> Callable[[Any], Any] | None:
        if column_type is datetime:
            return _told_moment
        return bool if column_type is bool else None


def _told_moment(text: str) -> str:
    return f"{text[:10]}T{text[11:19]}Z"


class _SqliteConnection:
    def __init__(self, database: SqliteDatabase, raw: aiosqlite.Connection | None) -> None:
        self._database = database
        self.raw = raw

    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows:
        if self.raw is None:
            raise DatabaseUnavailable("The database is not open.")
        if self._database.on_statement is not None:
            self._database.on_statement(sql)
        encode = self._database.encode
        try:
            return await self.raw.execute_fetchall(sql, [encode(value) for value in values])  # type: ignore[return-value]
        except sqlite3.IntegrityError as error:
            if "UNIQUE" in str(error):
                raise UniqueViolation(str(error)) from error
            raise
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in _PASSING:
                raise DatabaseUnavailable(f"SQLite says: {error}.") from error
            raise


class _Reader(_SqliteConnection):
    """Reads at once what takes little, and in a thread what takes more."""

    def __init__(self, database: SqliteDatabase, raw: aiosqlite.Connection) -> None:
        super().__init__(database, raw)
        self._at_once = sqlite3.connect(database.path, isolation_level=None, timeout=0, cached_statements=500)
        self._at_once.execute("PRAGMA query_only=ON")
        self._at_once.set_progress_handler(self._is_too_long, STEPS_BETWEEN_LOOKS)
        self._until = 0.0
        self._spent = 0.0

    def close(self) -> None:
        self._at_once.close()

    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows:
        if self._spent > SECONDS_AT_ONCE:
            self._spent = 0.0
            await asyncio.sleep(0)
        began = time.perf_counter()
        self._until = began + SECONDS_AT_ONCE
        rows: Rows | None = None
        with suppress(sqlite3.Error):  # it takes longer, or the thread will say what is wrong
            rows = self._at_once.execute(sql, [self._database.encode(value) for value in values]).fetchall()
        self._spent += time.perf_counter() - began
        if rows is None:
            return await super().fetch(sql, values)
        if self._database.on_statement is not None:
            self._database.on_statement(sql)
        return rows

    def _is_too_long(self) -> bool:
        return time.perf_counter() > self._until


class _SqliteTransaction(_SqliteConnection):
    def __init__(self, database: SqliteDatabase, raw: aiosqlite.Connection, release: Callable[[], None]) -> None:
        super().__init__(database, raw)
        self._release = release

    async def commit(self) -> None:
        try:
            await self.fetch("COMMIT")
        except BaseException:
            await self.rollback()
            raise
        self.raw = None
        self._release()

    async def rollback(self) -> None:
        raw, self.raw = self.raw, None  # what is asked for from now on would stand outside the transaction
        if raw is not None:
            try:
                # Behind any statement that is still running, and nothing if no transaction is open by then.
                await raw.rollback()
            finally:
                self._release()


@dataclass(frozen=True)
class SqliteLocation:
    """The path of an SQLite file."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def database(self) -> Database:
        return SqliteDatabase(self.path)

    def tortoise(self) -> dict[str, Any]:
        # Tortoise rebuilds a table to alter it, which with foreign keys on would delete every row that refers to it.
        credentials = {"file_path": str(self.path), "foreign_keys": "OFF"}
        return {"engine": "resolvers.engines.migrating_sqlite", "credentials": credentials}

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(f"{self.path}.migrating", os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            await _locked(lock, self.name)
            _make_private(self.path)
            yield
        finally:
            os.close(lock)

    async def applied(self) -> set[str]:
        if not self.path.exists():
            return set()
        with closing(sqlite3.connect(self.path, timeout=10)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tortoise_migrations'").fetchone():
                return set()
            return {name for (name,) in connection.execute("SELECT name FROM tortoise_migrations")}

    async def back_up(self) -> Path | None:
        """Copies a database that has anything in it, by SQLite's own means."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return None
        backup = self.path.with_name(f"{self.path.name}.backup-{clock.now():%Y%m%d-%H%M%S}")
        _make_private(backup)
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(backup)) as copy:
            source.backup(copy)
        return backup

    async def dangling(self) -> list[str]:
        with closing(self._read_only()) as connection:
            return sorted({table for table, *_ in connection.execute("PRAGMA foreign_key_check")})

    async def examine(self) -> list[Finding]:
        least = ".".join(map(str, LEAST_VERSION))
        new = sqlite3.sqlite_version_info >= LEAST_VERSION
        version = Finding(new, f"SQLite {sqlite3.sqlite_version} ({least} or newer)")
        if not self.path.exists():
            return [version, Finding(True, f"database {self.path} will be made at the first start")]
        try:
            with closing(self._read_only()) as connection:
                (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
                dangling = len(connection.execute("PRAGMA foreign_key_check").fetchall())
        except sqlite3.DatabaseError as error:
            return [version, Finding(False, f"{self.path} cannot be read: {error}")]
        return [
            version,
            Finding(integrity == "ok", f"integrity of {self.path}: {integrity}"),
            Finding(not dangling, f"{dangling} rows refer to rows that do not exist"),
        ]

    def _read_only(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)


async def _locked(file: int, name: str) -> None:
    until = time.monotonic() + SECONDS_TO_MIGRATE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise MigrationLocked(name) from None
        await asyncio.sleep(0.1)


def _make_private(path: Path) -> None:
    """Makes the file, if it is not there, for its owner alone; SQLite gives what it writes beside it the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
