"""PostgreSQL: a pool of connections, rows locked by those who decide on them, and every wait bounded.

Transactions are READ COMMITTED: a command locks the rows that it decides on, and saves each where its version is the
one that was read.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from arcbilling.settings import without_password
from resolvers.database import (
    SECONDS_TO_MIGRATE,
    Channel,
    Connection,
    ConnectionLost,
    Database,
    DatabaseUnavailable,
    Finding,
    MigrationLocked,
    Rows,
    Transaction,
)
from resolvers.engines.postgres_channel import PostgresChannel
from resolvers.engines.postgres_errors import abandon, is_gone, reaching, translated, translating

log = structlog.get_logger("arcbilling.postgres")

SECONDS_TO_CONNECT = 3.0
SECONDS_TO_WAIT = 5.0
"""How long a statement waits for a free connection."""
SECONDS_IDLE = 300.0
"""A connection that was not used for so long is closed."""
LIMITS = {
    "statement_timeout": "10s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "15s",
}
COMMAND_SECONDS = 11.0
"""When the server that should have ended a statement by its own limit has not answered: it is gone."""
KEPT_FOR_READERS = 2
"""Connections of the pool that no writer takes, so that reads go on while writers wait for each other."""
LEADER = 7_300_001
MIGRATING = 7_300_002
"""Advisory locks."""
LEAST_VERSION = 13
SPARE_CONNECTIONS = 8
"""Five for commands, and the three that PostgreSQL keeps for its administrators."""


class _Pooled(asyncpg.Connection):  # type: ignore[misc]
    """A connection of the pool. Nothing is ever set on one, listened to or locked beyond its transaction, so there is
    nothing to be reset after each use, which took a round trip of its own."""

    def get_reset_query(self) -> str:
        return ""


class PostgresDatabase:
    """A PostgreSQL database that is open."""

    inserts_together = True
    shared = True
    lock_clause = " FOR UPDATE"

    def __init__(self, url: str, name: str, pool_size: int) -> None:
        self.on_statement: Callable[[str], None] | None = None
        self.reader: Connection = _Reader(self)
        self.channel: Channel | None = PostgresChannel(self)
        self._url = url
        self._name = name
        self._size = max(pool_size, KEPT_FOR_READERS + 1)
        self._writers = asyncio.Semaphore(self._size - KEPT_FOR_READERS)
        self._pool: Any = None
        self._leader: Any = None
        self._leads = False
        self._asking = asyncio.Lock()

    async def connect(self) -> None:
        settings = {**LIMITS, "application_name": "arcbilling", "timezone": "UTC"}
        pool = asyncpg.create_pool(
            self._url,
            min_size=0,  # a process may start while the server is away
            max_size=self._size,
            timeout=SECONDS_TO_CONNECT,
            command_timeout=COMMAND_SECONDS,
            max_inactive_connection_lifetime=SECONDS_IDLE,
            server_settings=settings,
            connection_class=_Pooled,
        )
        with reaching(self._name):
            await pool
        self._pool = pool

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        leader, self._leader = self._leader, None
        if leader is not None:
            leader.terminate()  # its lock ends with it
        if pool is not None:
            try:
                async with asyncio.timeout(SECONDS_TO_WAIT):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def ping(self) -> None:
        ((read_only,),) = await self.reader.fetch("SHOW transaction_read_only")
        if read_only == "on":  # a standby, or so set
            raise DatabaseUnavailable(f"{self._name} can be read and not written.")

    async def lead(self) -> bool:
        """Leads as long as a connection of its own holds the lock: whoever dies gives it up."""
        async with self._asking:  # several loops may ask at the same moment
            return await self._has_lock()

    async def _has_lock(self) -> bool:
        if self._leader is None or is_gone(self._leader):
            self._leads = False
            self._leader = await self.open("arcbilling leader")
        try:
            with translated(self._leader):
                if self._leads:
                    await self._leader.execute("SELECT 1")  # the lock is lost with the connection
                else:
                    self._leads = await self._leader.fetchval("SELECT pg_try_advisory_lock($1)", LEADER)
        except ConnectionLost:
            abandon(self._leader)
            return False
        return self._leads

    async def begin(self) -> Transaction:
        try:
            async with asyncio.timeout(SECONDS_TO_WAIT):
                await self._writers.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable(f"Others were writing for {SECONDS_TO_WAIT:g} seconds.") from error
        try:
            for last in (False, True):
                connection = await self.acquire()
                transaction = _Transaction(self, connection, self._writers.release)
                try:
                    await transaction.fetch("BEGIN ISOLATION LEVEL READ COMMITTED")
                    return transaction
                except ConnectionLost:
                    await self.release(connection)  # it was cut while it was idle: a new one is made
                    if last:
                        raise
                except BaseException:
                    await self.release(connection)
                    raise
            raise AssertionError("the second try returns or raises")
        except BaseException:
            # The place is ours until the transaction is handed over, whatever stops that.
            self._writers.release()
            raise

    async def open(self, name: str) -> Any:
        """A connection beside the pool, which the server shows by this name."""
        with reaching(self._name):
            return await asyncpg.connect(
                self._url,
                timeout=SECONDS_TO_CONNECT,
                command_timeout=COMMAND_SECONDS,
                server_settings={"application_name": name},
            )

    async def acquire(self) -> Any:
        if self._pool is None:
            raise DatabaseUnavailable("The database is not open.")
        with reaching(self._name):
            async with asyncio.timeout(SECONDS_TO_WAIT):  # the pool's own would make a task of it
                return await self._pool.acquire()

    async def release(self, connection: Any) -> None:
        """Gives it back to the pool, which sees to that though whoever waits for it is cancelled."""
        if self._pool is None:
            abandon(connection)
            return
        try:
            await self._pool.release(connection, timeout=SECONDS_TO_WAIT)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            log.debug("a connection could not be given back", error=str(error))

    def decoder(self, column_type: Any) -> Callable[[Any], Any] | None:
        if isinstance(column_type, type) and issubclass(column_type, StrEnum):
            return {one.value: one for one in column_type}.__getitem__  # a call of the enum takes five times as long
        return None

    def teller(self, _: Any) -> Callable[[Any], Any] | None:
        return None


class _Reader:
    """Runs each statement on a connection of the pool, once more if that was cut."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows:
        try:
            return await self._once(sql, values)
        except ConnectionLost:
            return await self._once(sql, values)

    async def _once(self, sql: str, values: Sequence[object]) -> Rows:
        connection = await self._database.acquire()
        try:
            return await _run(self._database, connection, sql, values)
        finally:
            await self._database.release(connection)


class _Transaction:
    def __init__(self, database: PostgresDatabase, connection: Any, release: Callable[[], None]) -> None:
        self._database = database
        self._connection = connection
        self._release = release
        self._one_at_a_time = asyncio.Lock()

    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows:
        async with self._one_at_a_time:  # loaders of one level ask at the same moment
            if self._connection is None:
                raise DatabaseUnavailable("The transaction has ended.")
            return await _run(self._database, self._connection, sql, values)

    async def commit(self) -> None:
        async with self._ending() as connection:
            if self._database.on_statement is not None:
                self._database.on_statement("COMMIT")
            with translated(connection):
                done = await connection.execute("COMMIT")
            # PostgreSQL answers so when a statement before had failed: then nothing was stored.
            if done == "ROLLBACK":
                raise DatabaseUnavailable("The transaction had failed before it was committed.")

    async def rollback(self) -> None:
        if self._connection is not None:
            async with self._ending() as connection:
                await self._undo(connection)

    @asynccontextmanager
    async def _ending(self) -> AsyncIterator[Any]:
        """The connection, once no statement runs on it; none comes after: it would stand outside the transaction."""
        async with self._one_at_a_time:
            connection, self._connection = self._connection, None
            if connection is None:
                raise DatabaseUnavailable("The transaction has ended.")
            try:
                yield connection
            except BaseException:
                await self._undo(connection)
                raise
            finally:
                try:
                    await self._database.release(connection)
                finally:
                    self._release()

    async def _undo(self, connection: Any) -> None:
        try:
            if not is_gone(connection):
                with translated(connection):
                    await connection.execute("ROLLBACK")
        except DatabaseUnavailable as error:
            abandon(connection)
            log.debug("a transaction was ended with its connection", error=str(error))


async def _run(database: PostgresDatabase, connection: Any, sql: str, values: Sequence[object]) -> Rows:
    if database.on_statement is not None:
        database.on_statement(sql)
    with translated(connection):
        rows: Rows = await connection.fetch(numbered(sql), *values)
        return rows


@lru_cache(maxsize=1000)
def numbered(sql: str) -> str:
    """The statement with PostgreSQL's placeholders: `$1` for the first `?`, and so on."""
    first, *rest = sql.split("?")
    return first + "".join(f"${place}{part}" for place, part in enumerate(rest, 1))


@dataclass(frozen=True)
class PostgresLocation:
    """The URL of a PostgreSQL database."""

    url: str
    pool_size: int = 10
    processes: int = 1

    @property
    def connections(self) -> int:
        """What the servers of this host open at most: the pools, and one each to ask who leads and to listen."""
        return self.processes * (self.pool_size + 2)

    @property
    def name(self) -> str:
        return f"PostgreSQL at {without_password(self.url)}"

    def database(self) -> Database:
        return PostgresDatabase(self.url, self.name, self.pool_size)

    def tortoise(self) -> dict[str, Any]:
        credentials = {"url": self.url, "host": "", "port": 0, "user": "", "password": "", "database": ""}
        limits = {"lock_timeout": LIMITS["lock_timeout"], "statement_timeout": "0"}  # an index may take long to build
        return {
            "engine": "resolvers.engines.migrating_asyncpg",
            "credentials": {**credentials, "minsize": 1, "maxsize": 2, "server_settings": limits},
        }

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with self._connected() as connection:
            until = time.monotonic() + SECONDS_TO_MIGRATE
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", MIGRATING):
                if time.monotonic() > until:
                    raise MigrationLocked(self.name)
                await asyncio.sleep(0.1)
            yield

    async def applied(self) -> set[str]:
        async with self._connected() as connection, translating(connection):
            if await connection.fetchval("SELECT to_regclass('tortoise_migrations')") is None:
                return set()
            return {name for (name,) in await connection.fetch("SELECT name FROM tortoise_migrations")}

    async def back_up(self) -> Path | None:
        return None  # the operator's own means are better: docs/production.md

    async def dangling(self) -> list[str]:
        return []  # a migration cannot leave any: constraints are checked by each statement

    async def examine(self) -> list[Finding]:
        try:
            async with self._connected() as connection, translating(connection):
                version = connection.get_server_version()
                encoding = await connection.fetchval("SHOW server_encoding")
                most = int(await connection.fetchval("SHOW max_connections"))
                durable = await connection.fetchval("SELECT current_setting('fsync') = 'on'")
                read_only = await connection.fetchval("SHOW transaction_read_only") == "on"
        except DatabaseUnavailable as error:
            return [Finding(False, str(error))]
        return [
            Finding(version.major >= LEAST_VERSION, f"PostgreSQL {version.major} ({LEAST_VERSION} or newer)"),
            Finding(encoding == "UTF8", f"encoding of the database: {encoding} (UTF8)"),
            Finding(not read_only, f"the database can {'be read and not' if read_only else 'be'} written"),
            Finding(
                most >= self.connections + SPARE_CONNECTIONS,
                f"{most} connections are allowed; this host's servers open up to {self.connections}, and "
                f"{SPARE_CONNECTIONS} are for commands and administrators",
            ),
            Finding(
                bool(durable), f"fsync is {'on' if durable else 'off: a crash of the machine can lose the database'}"
            ),
        ]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        with reaching(self.name):
            connection = await asyncpg.connect(self.url, timeout=SECONDS_TO_CONNECT)
        try:
            yield connection
        finally:
            await connection.close(timeout=SECONDS_TO_WAIT)
