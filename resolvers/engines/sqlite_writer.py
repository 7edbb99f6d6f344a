"""SQLite's one writer: transactions one after the other, and one commit for those that came at the same time.

Each transaction is a savepoint in a group, which ends when all that were waiting as it began have had their turn. None
of them is over before the group is on the disk; if it cannot be brought there, all of them have failed.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache

import structlog

from resolvers.database import DatabaseUnavailable, Rows, Transaction
from resolvers.engines.sqlite_connection import SqliteConnection

log = structlog.get_logger("arcbilling.sqlite")

SECONDS_FOR_OTHERS = 5.0
"""How long a group waits for another process that writes."""
SECONDS_BETWEEN_TRIES = 0.001
"""So short that a process finds the moment between two groups of another that has much to write."""
SECONDS_TO_WAIT = 10.0
"""How long a transaction waits for those of this process that came before it."""

SECONDS_TO_CLOSE = 5.0


class Writer:
    """Begins transactions on the connection that writes."""

    def __init__(self, connection: SqliteConnection, watch: Callable[[str], None]) -> None:
        self._connection = connection
        self._watch = watch
        self._turn = asyncio.Lock()
        self._group: _Group | None = None

    async def begin(self) -> Transaction:
        try:
            async with asyncio.timeout(SECONDS_TO_WAIT):
                await self._turn.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable(f"Others were writing for {SECONDS_TO_WAIT:g} seconds.") from error
        try:
            if self._group is None:
                self._group = await self._new_group()
            self._connection.at_once("SAVEPOINT unit")
            return _Transaction(self, self._group)
        except BaseException:
            self._turn.release()
            raise

    async def close(self) -> None:
        """Waits for the group that is open, within a time; what is not committed by then did not happen."""
        if self._group is not None:
            await asyncio.wait([self._group.done], timeout=SECONDS_TO_CLOSE)

    async def fetch(self, sql: str, values: Sequence[object]) -> Rows:
        """Runs a statement of the transaction whose turn it is."""
        self._watch(sql)
        await self._connection.turn()
        try:
            if sql.startswith("SELECT"):
                rows = self._connection.in_a_moment(sql, values)
                return await self._apart(sql, values) if rows is None else rows
            if names_its_rows(sql):
                return self._connection.at_once(sql, values)
            return await self._apart(sql, values)
        except Exception as error:
            self._look(error)
            raise

    def end(self, *, stands: bool) -> None:
        """Ends the transaction whose turn it is, and gives the next its turn."""
        try:
            if self._group is not None:
                if not stands:
                    self._connection.at_once("ROLLBACK TO unit")
                self._connection.at_once("RELEASE unit")
                self._group.stands |= stands
        except Exception as error:
            self._look(error)
            raise
        finally:
            self._turn.release()

    async def _new_group(self) -> "_Group":
        self._watch("BEGIN IMMEDIATE")
        until = time.monotonic() + SECONDS_FOR_OTHERS
        while True:
            try:
                self._connection.at_once("BEGIN IMMEDIATE")
                break
            except DatabaseUnavailable:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)
        group = _Group()
        group.end = asyncio.create_task(self._finish(group), name="sqlite-commit")
        return group

    async def _finish(self, group: "_Group") -> None:
        """Ends the group once all that wait now have had their turn: the lock is given in the order of asking."""
        async with self._turn:
            if self._group is not group:
                return
            try:
                if group.stands:
                    self._watch("COMMIT")
                    await self._apart("COMMIT")
                else:
                    self._connection.at_once("ROLLBACK")
            except Exception as error:
                log.warning("a commit failed", error=type(error).__name__)
                self._fail(error)
            except BaseException:
                self._fail(DatabaseUnavailable("The process ended while it wrote."))
                raise
            else:
                self._group = None
                group.done.set_result(None)

    async def _apart(self, sql: str, values: Sequence[object] = ()) -> Rows:
        """Runs it in the thread. Who is cancelled meanwhile waits for its end: the connection is not free before."""
        running = self._connection.apart(sql, values)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            while not running.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([running])
            raise

    def _look(self, error: Exception) -> None:
        """Some errors undo the whole transaction, such as those of a disk: then the group has failed."""
        if not self._connection.in_transaction:
            self._fail(DatabaseUnavailable(f"The transaction was undone: {error}."))

    def _fail(self, error: Exception) -> None:
        group, self._group = self._group, None
        if self._connection.in_transaction:
            self._connection.at_once("ROLLBACK")
        if group is not None:
            group.done.set_exception(error)
            group.done.exception()  # seen, should nobody wait for it


class _Group:
    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stands = False
        """Whether anything in it stands, so that there is something to commit."""
        self.end: asyncio.Task[None] | None = None


class _Transaction:
    def __init__(self, writer: Writer, group: _Group) -> None:
        self._writer = writer
        self._group = group
        self._one_at_a_time = asyncio.Lock()
        self._has_ended = False

    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows:
        async with self._one_at_a_time:
            if self._has_ended or self._group.done.done():
                raise DatabaseUnavailable("The transaction has ended.")
            return await self._writer.fetch(sql, values)

    async def commit(self) -> None:
        if self._has_ended:
            raise DatabaseUnavailable("The transaction has ended.")
        await self._end(stands=True)

    async def rollback(self) -> None:
        if not self._has_ended:
            await self._end(stands=False)

    async def _end(self, *, stands: bool) -> None:
        async with self._one_at_a_time:
            self._has_ended = True  # what is asked for from now on would stand outside the transaction
            self._writer.end(stands=stands)
        await asyncio.shield(self._group.done)


@lru_cache(maxsize=1000)
def names_its_rows(sql: str) -> bool:
    """Whether a statement writes no more than the rows that it names, which is short."""
    return (sql.startswith("INSERT ") and " VALUES (" in sql) or (
        sql.startswith("UPDATE ") and (" WHERE id = ?" in sql or " WHERE name = ?" in sql)
    )
