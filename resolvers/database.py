"""The database: where SQLite is spoken to. Everything else speaks to `Database` and `Transaction`.

SQLite has one writer. A write transaction begins with BEGIN IMMEDIATE, so that it never fails half-way for want of the
lock; reads go through a second, read-only connection, which sees the last commit and which no write blocks.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Protocol

import aiosqlite

Rows = Sequence[Sequence[Any]]
BUSY_TIMEOUT_MS = 5000
"""How long SQLite waits for another process that writes."""
SECONDS_TO_WAIT = 10.0
"""How long a transaction waits for those of this process that came before it."""

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


class DatabaseUnavailable(Exception):
    """The database cannot be used at the moment; the same request may succeed later."""


class UniqueViolation(Exception):
    """A row with the same unique value exists; the text names the columns."""


class Connection(Protocol):
    """What runs statements: SQL with `?` for each value."""

    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows: ...


class Transaction(Connection, Protocol):
    """A write transaction. It ends once, by `commit` or `rollback`."""

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


class Database(Protocol):
    """One engine: how to read, how to write, how to store the values that it has no type for."""

    reader: Connection
    on_statement: Callable[[str], None] | None

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def begin(self) -> Transaction: ...

    def encode(self, value: object) -> object: ...

    def decoder(self, column_type: Any) -> Callable[[Any], Any] | None: ...

    @property
    def lock_clause(self) -> str: ...


class SqliteDatabase:
    """An SQLite file."""

    lock_clause = ""  # BEGIN IMMEDIATE has locked every row

    def __init__(self, path: Path) -> None:
        self.path = path
        self.on_statement: Callable[[str], None] | None = None
        self._writing = asyncio.Lock()
        self._writer: aiosqlite.Connection | None = None
        self._closing = AsyncExitStack()
        self.reader: Connection = _SqliteConnection(self, None)

    async def connect(self) -> None:
        try:
            self._writer = await self._open(read_only=False)
            self.reader = _SqliteConnection(self, await self._open(read_only=True))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self._writer = None
        self.reader = _SqliteConnection(self, None)
        await self._closing.aclose()

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
        """How a stored value becomes a value of the type; None where it is one already."""
        if column_type is datetime:
            return datetime.fromisoformat
        if column_type is date:
            return date.fromisoformat
        if column_type is bool:
            return bool
        if isinstance(column_type, type) and issubclass(column_type, StrEnum):
            return column_type
        return None


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
        self._end()

    async def rollback(self) -> None:
        try:
            if self.raw is not None:
                # Behind any statement that is still running, and nothing if no transaction is open by then.
                await self.raw.rollback()
        finally:
            self._end()

    def _end(self) -> None:
        if self.raw is not None:
            self.raw = None
            self._release()
