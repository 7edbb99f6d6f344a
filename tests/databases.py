"""The databases that tests stand on: an empty one of each engine, copied for whoever asks."""

import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol

import asyncpg
import pytest

from arcbilling.settings import load
from resolvers import migrations
from resolvers.database import Database, Location
from resolvers.engines.postgres import PostgresLocation
from resolvers.engines.sqlite import SqliteLocation

POSTGRES_URL = os.environ.get("ARCBILLING_TEST_POSTGRES_URL") or "postgresql://127.0.0.1:5432/postgres"
"""A server on which the tests may make and drop databases of their own."""

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
"""For tests of what is SQLite's alone."""
on_postgres = pytest.mark.parametrize("engine", ["postgres"], indirect=True)
"""For tests of what is PostgreSQL's alone."""


def absent(what: str, error: BaseException) -> NoReturn:
    """A service of the machine that is not there: a failure in CI, elsewhere the reason why a test is skipped."""
    reason = f"{what} cannot be reached ({error or type(error).__name__})"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}: CI needs it", pytrace=False)
    pytest.skip(f"{reason}: start it to run this test")


class EmptyDatabase(Protocol):
    """A migrated database without anything in it, to copy."""

    async def furnish(self, folder: Path) -> dict[str, str]:
        """Gives a data folder a database, unless it has one; tells the settings that lead to it."""
        ...

    async def blank(self, folder: Path) -> Location:
        """Where a database can be made or has just been made, that was never migrated."""
        ...

    async def kept(self, folder: Path) -> "EmptyDatabase":
        """The database of a folder, which nobody has open any more, for others to copy until the tests end."""
        ...

    async def drop_copies(self) -> None:
        """Removes what was made for a test, where that is worth while."""
        ...


class EmptySqlite:
    def __init__(self, path: Path) -> None:
        self.path = path

    async def migrate(self) -> None:
        await migrations.migrate(SqliteLocation(self.path))

    async def furnish(self, folder: Path) -> dict[str, str]:
        folder.mkdir(parents=True, exist_ok=True)
        path = load({}, data_dir=str(folder)).sqlite_path
        if not path.exists():
            shutil.copy(self.path, path)
        return {}

    async def blank(self, folder: Path) -> Location:
        return SqliteLocation(folder / "blank.sqlite3")

    async def kept(self, folder: Path) -> EmptyDatabase:
        return EmptySqlite(load({}, data_dir=str(folder)).sqlite_path)

    async def drop_copies(self) -> None:
        """The files go with their folders."""


class EmptyPostgres:
    def __init__(self, server: str, name: str) -> None:
        self.server = server
        self.name = name
        self.copies: dict[Path, str] = {}
        self._kept: list[EmptyPostgres] = []

    async def migrate(self) -> None:
        async with self._connected() as connection:
            await connection.execute(f"CREATE DATABASE {self.name}")
        await migrations.migrate(PostgresLocation(self.url_of(self.name)))

    async def furnish(self, folder: Path) -> dict[str, str]:
        folder.mkdir(parents=True, exist_ok=True)
        return {"database_url": await self._made(folder, f"TEMPLATE {self.name}")}

    async def blank(self, folder: Path) -> Location:
        return PostgresLocation(await self._made(folder / "blank", ""))

    async def _made(self, folder: Path, how: str) -> str:
        """The URL of the database that stands for a folder."""
        if folder not in self.copies:
            name = f"{self.name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
            async with self._connected() as connection:
                await connection.execute(f"CREATE DATABASE {name} {how}")
            self.copies[folder] = name
        return self.url_of(self.copies[folder])

    async def kept(self, folder: Path) -> EmptyDatabase:
        self._kept.append(EmptyPostgres(self.server, self.copies.pop(folder)))
        return self._kept[-1]

    async def drop_copies(self) -> None:
        async with self._connected() as connection:
            while self.copies:
                _, name = self.copies.popitem()
                await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def drop(self) -> None:
        for kept in self._kept:
            await kept.drop()
        await self.drop_copies()
        async with self._connected() as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        base, _, options = self.server.partition("?")
        return f"{base.rpartition('/')[0]}/{name}{'?' if options else ''}{options}"

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.server)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def at(location: Location) -> AsyncIterator[Database]:
    """The database at a location, open for as long as the block."""
    database = location.database()
    await database.connect()
    try:
        yield database
    finally:
        await database.close()


async def reach(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    await connection.close()
