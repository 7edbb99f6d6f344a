"""How processes tell each other something by PostgreSQL: NOTIFY, and LISTEN on a connection of their own."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import structlog

from resolvers.database import DatabaseUnavailable
from resolvers.engines.postgres_errors import abandon, translated

if TYPE_CHECKING:
    from resolvers.engines.postgres import PostgresDatabase

log = structlog.get_logger("arcbilling.postgres")

NAME = "arcbilling"
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_OF_SILENCE = 15.0
"""After how long without a message a listener asks whether PostgreSQL is still there."""


class PostgresChannel:
    """One channel of the database. What is said while nobody listens is not kept."""

    def __init__(self, database: "PostgresDatabase") -> None:
        self._database = database

    async def publish(self, message: str) -> None:
        """Tells whoever listens; without a word where PostgreSQL does not take it."""
        try:
            connection = await self._database.acquire()
            try:
                with translated(connection):
                    await connection.execute("SELECT pg_notify($1, $2)", NAME, message)
            finally:
                await asyncio.shield(self._database.release(connection))
        except DatabaseUnavailable as error:
            log.debug("a hint did not reach other processes", error=str(error))

    async def heard(self) -> AsyncIterator[str | None]:
        """What is said, without end; None when listening begins anew: some may be missed."""
        hears = True
        while True:
            connection = None
            try:
                connection = await self._database.open("arcbilling listener")
                said: asyncio.Queue[str | None] = asyncio.Queue()
                with translated(connection):
                    await connection.add_listener(NAME, lambda *told, said=said: said.put_nowait(told[-1]))
                connection.add_termination_listener(lambda _, said=said: said.put_nowait(None))
                hears = True
                yield None
                while (message := await _next(connection, said)) is not None:
                    yield message
            except DatabaseUnavailable as error:
                log.log(
                    logging.INFO if hears else logging.DEBUG,
                    "this process does not hear the others, and tries again",
                    error=str(error),
                )
                hears = False
            finally:
                if connection is not None:
                    abandon(connection)
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)


async def _next(connection: Any, said: "asyncio.Queue[str | None]") -> str | None:
    """The next message; None when the connection has ended."""
    while True:
        try:
            async with asyncio.timeout(SECONDS_OF_SILENCE):
                return await said.get()
        except TimeoutError:
            with translated(connection):
                await connection.execute("SELECT 1")
