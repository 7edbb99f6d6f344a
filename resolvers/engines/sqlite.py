"""SQLite: a file, and one writer.

A write transaction begins with BEGIN IMMEDIATE, so that it never fails half-way for want of the lock; reads go through
connections of their own, which see the last commit and which no write blocks.

A read is begun in the thread of the event loop, where it has a few milliseconds; one that takes longer is begun again
in a thread.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

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
)
from resolvers.engines.sqlite_connection import SqliteConnection
from resolvers.engines.sqlite_writer import SECONDS_FOR_OTHERS, Writer

LEAST_VERSION = (3, 35)
OF_THE_WRITER = ("temp_store=MEMORY", "cache_size=-8000")
"""Savepoints keep what they may have to undo in memory; and 8 MB of pages, among which those of the indexes are."""


class SqliteDatabase:
    """An SQLite file that is open."""

    inserts_together = False
    shared = False
    lock_clause = ""  # BEGIN IMMEDIATE has locked every row

    def __init__(self, path: Path) -> None:
        self.path = path
        self.on_statement: Callable[[str], None] | None = None
        self.channel: Channel | None = None  # one process serves
        self.reader: Connection = _Closed()
        self._writer: Writer | None = None
        self._closing = AsyncExitStack()

    async def connect(self) -> None:
        try:
            # A group waits for other processes by itself, and a read at once for nobody.
            self._writer = Writer(self._open(0, *OF_THE_WRITER), self._watch)
            self._closing.push_async_callback(self._writer.close)
            read_only = "query_only=ON"
            self.reader = _Reader(self._open(0, read_only), self._open(SECONDS_FOR_OTHERS, read_only), self._watch)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self._writer = None
        self.reader = _Closed()
        await self._closing.aclose()

    async def ping(self) -> None:
        await self.reader.fetch("SELECT 1")

    async def lead(self) -> bool:
        return True  # one process serves

    def _open(self, seconds_to_wait: float, *pragmas: str) -> SqliteConnection:
        connection = SqliteConnection(self.path, *pragmas, seconds_to_wait=seconds_to_wait)
        self._closing.push_async_callback(connection.close)
        return connection

    def _watch(self, sql: str) -> None:
        if self.on_statement is not None:
            self.on_statement(sql)

    async def begin(self) -> Transaction:
        if self._writer is None:
            raise DatabaseUnavailable("The database is not open.")
        return await self._writer.begin()

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


class _Closed:
    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows:
        raise DatabaseUnavailable("The database is not open.")


class _Reader:
    """Reads at once what takes little, and in a thread what takes more."""

    def __init__(self, short: SqliteConnection, long: SqliteConnection, watch: Callable[[str], None]) -> None:
        self._short = short
        self._long = long
        self._watch = watch

    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows:
        self._watch(sql)
        await self._short.turn()
        rows = self._short.in_a_moment(sql, values)
        return await self._long.apart(sql, values) if rows is None else rows


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
