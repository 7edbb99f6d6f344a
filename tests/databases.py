"""The databases that tests stand on: an empty one of each engine, copied for whoever asks."""

import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
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

MOST_USES = 30
"""So often a copy is used: emptied rows still take their place, and nobody sweeps it out."""

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
    """Copies are made of a template, and used again by other tests once they are emptied: making one takes longer."""

    def __init__(self, server: str, name: str) -> None:
        self.server = server
        self.name = name
        self.copies: dict[Path, str] = {}
        self._made_so_far = 0
        self._emptied: list[str] = []
        self._uses: Counter[str] = Counter()
        self._contents: Contents | None = None
        self._kept: list[EmptyPostgres] = []

    async def migrate(self) -> None:
        async with self._connected() as connection:
            await connection.execute(f"CREATE DATABASE {self.name}")
        await migrations.migrate(PostgresLocation(self.url_of(self.name)))
        async with self._connected(self.name) as connection:
            self._contents = await Contents.of(connection)

    async def furnish(self, folder: Path) -> dict[str, str]:
        folder.mkdir(parents=True, exist_ok=True)
        if folder not in self.copies and self._emptied:
            self.copies[folder] = self._emptied.pop()
        return {"database_url": await self._made(folder, f"TEMPLATE {self.name}")}

    async def blank(self, folder: Path) -> Location:
        return PostgresLocation(await self._made(folder / "blank", ""))

    async def _made(self, folder: Path, how: str) -> str:
        """The URL of the database that stands for a folder."""
        if folder not in self.copies:
            self._made_so_far += 1
            name = f"{self.name}_{self._made_so_far}"
            async with self._connected() as connection:
                await connection.execute(f"CREATE DATABASE {name} {how}")
            self.copies[folder] = name
        return self.url_of(self.copies[folder])

    async def kept(self, folder: Path) -> EmptyDatabase:
        self._kept.append(EmptyPostgres(self.server, self.copies.pop(folder)))
        return self._kept[-1]

    async def drop_copies(self) -> None:
        while self.copies:
            _, name = self.copies.popitem()
            if await self._is_emptied(name):
                self._emptied.append(name)
            else:
                await self._drop(name)

    async def drop(self) -> None:
        for kept in self._kept:
            await kept.drop()
        for name in (*self.copies.values(), *self._emptied, self.name):
            await self._drop(name)

    async def _is_emptied(self, name: str) -> bool:
        """Empties a copy for the next test, if it is still like the template but for its rows."""
        self._uses[name] += 1
        if self._contents is None or self._uses[name] == MOST_USES:
            return False
        async with self._connected() as connection:
            await connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        async with self._connected(name) as connection:
            return await self._contents.restored(connection)

    async def _drop(self, name: str) -> None:
        async with self._connected() as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        base, _, options = self.server.partition("?")
        return f"{base.rpartition('/')[0]}/{name}{'?' if options else ''}{options}"

    @asynccontextmanager
    async def _connected(self, name: str | None = None) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.server if name is None else self.url_of(name))
        try:
            yield connection
        finally:
            await connection.close()


FORM = """
    SELECT string_agg(line, ', ' ORDER BY line) FROM (
        SELECT format('%s.%s %s %s %s', relname, attname, atttypid, attnotnull, relhastriggers) AS line
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = 'public'::regnamespace AND attnum > 0
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT format('%s %s', conname, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
        WHERE datname = current_database()
    ) AS lines
"""
NAMES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = '{kind}'"


@dataclass(frozen=True)
class Contents:
    """What a migrated database is: its form, which says all but its rows, the rows, and where its sequences stand."""

    form: str
    rows: dict[str, str | None]
    sequences: dict[str, tuple[int, bool]]

    @classmethod
    async def of(cls, connection: Any) -> "Contents":
        tables = [name for (name,) in await connection.fetch(NAMES.format(kind="r"))]
        sequences = [name for (name,) in await connection.fetch(NAMES.format(kind="S"))]
        return cls(
            await connection.fetchval(FORM),
            {name: await connection.fetchval(f"SELECT json_agg({name}) FROM {name}") for name in tables},
            {name: tuple(await connection.fetchrow(f"SELECT last_value, is_called FROM {name}")) for name in sequences},
        )

    async def restored(self, connection: Any) -> bool:
        """Makes a database hold this again, unless it is of another form by now."""
        if await connection.fetchval(FORM) != self.form:
            return False
        steps = ["SET LOCAL session_replication_role = replica"]  # no foreign key is looked at
        for table, rows in self.rows.items():
            steps.append(f"DELETE FROM {table}")
            if rows is not None:
                steps.append(
                    f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $rows${rows}$rows$)"
                )
        for sequence, (last, called) in self.sequences.items():
            steps.append(f"SELECT setval('{sequence}', {last}, {called})")
        async with connection.transaction():
            await connection.execute(";".join(steps))
        return True


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
