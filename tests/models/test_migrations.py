"""Migrations: they lead to what the models say, lose no row on the way, and run once whoever starts them."""

import ast
import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tortoise.context import TortoiseContext
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.recorder import MigrationRecorder

from resolvers import migrations
from resolvers.database import Database, DatabaseUnavailable, Location, UniqueViolation
from resolvers.engines import postgres, sqlite
from resolvers.engines.sqlite import SqliteLocation
from resolvers.tables import written
from tests.databases import EmptyDatabase, at
from tests.models.schemas import fill, rows_of, schema_of
from tests.models.test_rows import MODELS
from tests.reliability.served import Installation

pytestmark = pytest.mark.anyio


@pytest.fixture
async def blank(tmp_path: Path, empty_database: EmptyDatabase) -> Location:
    return await empty_database.blank(tmp_path)


@pytest.fixture
async def migrated(place: Installation) -> AsyncIterator[Database]:
    """A database that all migrations have made."""
    async with at(place.location) as database:
        yield database


def conditional() -> list[tuple[str, UniqueConstraint]]:
    """Uniques of the models that hold for some rows alone, and their tables."""
    found = []
    for model in MODELS.values():
        for constraint in model._meta.constraints:
            assert isinstance(constraint, UniqueConstraint), "no migration makes this constraint yet"
            found.append((model._meta.db_table, constraint))
    return found


async def generate(location: Location) -> None:
    """Makes the tables as Tortoise makes them from the models, without migrations."""
    async with TortoiseContext() as context:
        await context.init(config=migrations.config(location))
        await context.generate_schemas()


async def test_the_migrations_lead_to_what_the_models_say(blank: Location, migrated: Database) -> None:
    await generate(blank)
    async with at(blank) as database:
        fresh = await schema_of(database)
    made = await schema_of(migrated)
    assert made.keys() == fresh.keys()
    for table, constraint in conditional():
        # Tortoise makes none of these when it makes a table, so a migration of ours does.
        fresh[table]["indexes"].append((True, constraint.fields, constraint.condition))
        fresh[table]["indexes"].sort(key=repr)
    for table in fresh:
        assert made[table] == fresh[table], table
    assert (True, ("service_id", "kind", "period_start"), "NOT void") in made["invoice_items"]["indexes"]
    assert all(table["counts up"] for table in fresh.values())


async def test_the_models_need_no_further_migration(place: Installation) -> None:
    async with TortoiseContext() as context:
        config = migrations.config(place.location)
        await context.init(config=config)
        executor = MigrationExecutor(context.connections.get("default"), config["apps"])
        await executor.loader.build_graph()
        assert context.apps is not None
        detector = MigrationAutodetector(context.apps, config["apps"])
        changes = await detector.changes()
    assert [write for write in changes if write.operations] == []


@pytest.mark.parametrize("start", migrations.known()[:-1])
async def test_a_filled_database_is_migrated_without_loss(start: str, blank: Location, migrated: Database) -> None:
    await migrations.migrate(blank, start)
    before = await fill_but_defaults(blank)
    applied = await migrations.migrate(blank)
    assert applied == migrations.known()[migrations.known().index(start) + 1 :]
    async with at(blank) as database:
        assert await schema_of(database) == await schema_of(migrated)
        for table, (names, rows) in before.items():
            kept = await database.reader.fetch(f"SELECT {', '.join(names)} FROM {table} ORDER BY id")
            by_id = {row[names.index("id")]: tuple(row) for row in kept}
            assert [by_id.get(row[names.index("id")]) for row in rows] == rows, table
    assert [finding for finding in await blank.examine() if not finding.fine] == []


async def fill_but_defaults(location: Location) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """Fills every table, and tells the names of its columns and its rows.

    What the migrations to come will put in themselves is left to them.
    """
    async with at(location) as database:
        rows = await fill(database)
        schema = await schema_of(database)
        if "0002_defaults" in await migrations.pending(location):
            async with written(database) as session:
                await session.connection.fetch("DELETE FROM event_head")
            del rows["event_head"]
    order = {table: [c.name for c in schema[table]["columns"] if c.name != "id"] for table in rows}
    return {table: (["id", *order[table]], found) for table, found in rows.items()}


@pytest.mark.parametrize("steps", range(1, len(migrations.known())))
async def test_migrations_go_down_and_up_again(steps: int, place: Installation) -> None:
    async with at(place.location) as database:
        before = await schema_of(database)
    await migrations.migrate(place.location, migrations.known()[-1 - steps])
    assert await migrations.pending(place.location) == migrations.known()[-steps:]
    assert await migrations.migrate(place.location) == migrations.known()[-steps:]
    async with at(place.location) as database:
        assert await schema_of(database) == before
        data = await rows_of(database)
    assert [len(data[table]) for table in ("departments", "number_series", "event_head")] == [1, 1, 1]


async def test_a_filled_database_goes_down_and_up_without_losing_a_row(place: Installation) -> None:
    async with at(place.location) as database:
        before = await fill(database)
    await migrations.migrate(place.location, "0003_one_charge_for_a_period")
    async with at(place.location) as database:
        tables = (await schema_of(database)).keys()
    await migrations.migrate(place.location)
    async with at(place.location) as database:
        after = await rows_of(database)
    assert len(tables) >= 15
    for table in tables:
        assert [row[0] for row in after[table]] == [row[0] for row in before[table]], table


async def test_a_migration_that_ends_before_it_is_recorded_has_not_happened(
    blank: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tortoise records a migration after it; what is killed in between must be able to start again."""
    first = migrations.known()[0]
    await migrations.migrate(blank, first)
    async with at(blank) as database:
        before = await schema_of(database)
    record = MigrationRecorder.record_applied

    async def die(recorder: MigrationRecorder, app: str, name: str) -> None:
        if name == migrations.known()[-1]:
            raise RuntimeError("killed")
        await record(recorder, app, name)

    monkeypatch.setattr(MigrationRecorder, "record_applied", die)
    with pytest.raises(migrations.MigrationError, match="killed"):
        await migrations.migrate(blank)
    monkeypatch.undo()
    assert await blank.applied() == {first}
    async with at(blank) as database:
        assert await schema_of(database) == before
    assert await migrations.migrate(blank) == migrations.known()[1:]


async def test_a_process_waits_for_another_that_migrates_and_not_for_ever(
    blank: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "SECONDS_TO_MIGRATE", 0.3)
    monkeypatch.setattr(postgres, "SECONDS_TO_MIGRATE", 0.3)
    async with blank.alone():
        with pytest.raises(DatabaseUnavailable, match="Another process is migrating"):
            await migrations.migrate(blank)
    assert await migrations.migrate(blank) == migrations.known()
    async with blank.alone():
        assert await migrations.migrate(blank) == []  # nothing to do, so nothing to wait for


async def test_a_period_cannot_be_charged_twice_but_once_the_first_is_void(migrated: Database) -> None:
    await fill(migrated)
    insert = (
        "INSERT INTO invoice_items (kind, description, amount, currency, period_start, void, client_id, invoice_id, "
        "service_id) VALUES ('recurring', 'x', 1, 'USD', '2027-01-01', ?, 1, 1, ?)"
    )
    async with written(migrated) as session:
        for void, service in ((True, 1), (False, 1), (True, 1), (False, None), (False, None)):
            await session.connection.fetch(insert, (void, service))
    with pytest.raises(UniqueViolation):
        async with written(migrated) as session:
            await session.connection.fetch(insert, (False, 1))


def backups(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.backup-*"))


async def test_a_backup_is_made_of_an_sqlite_file_that_is_migrated(tmp_path: Path) -> None:
    location = SqliteLocation(tmp_path / "arcbilling.sqlite3")
    await migrations.migrate(location, migrations.known()[0])
    assert backups(tmp_path) == []
    await migrations.migrate(location)
    (backup,) = backups(tmp_path)
    assert await SqliteLocation(backup).applied() == {migrations.known()[0]}
    with closing(sqlite3.connect(backup)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert await migrations.migrate(location) == []
    assert backups(tmp_path) == [backup]


async def test_a_database_is_migrated_once_by_many_that_start_together(
    tmp_path: Path, empty_database: EmptyDatabase, migrated: Database
) -> None:
    blank = await empty_database.blank(tmp_path)
    url = blank.url if hasattr(blank, "url") else f"sqlite:///{blank.name}"
    place = Installation(tmp_path, DATABASE_URL=url)
    told = await asyncio.gather(*(place.command("migrate") for _ in range(4)))
    assert [code for code, _, _ in told] == [0] * 4, told
    assert sorted(out.split() for _, out, _ in told) == [[], [], [], migrations.known()]
    async with at(blank) as database:
        assert await schema_of(database) == await schema_of(migrated)
        assert len((await rows_of(database))["departments"]) == 1


@pytest.mark.parametrize("file", sorted(migrations.FOLDER.glob("[0-9]*.py")), ids=lambda file: file.stem)
def test_a_migration_runs_without_orjson_and_on_tables_with_rows(file: Path) -> None:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            assert not any("orjson" in name for name in names), "orjson may be absent where this runs"
            assert not any(name.startswith(("schema", "resolvers", "rest_compat")) for name in names)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("AddField"):
            text = ast.unparse(node)
            assert "null=True" in text or "db_default=" in text, f"{text} fails on a table with rows"


async def test_an_sqlite_file_and_its_backups_are_for_their_owner_alone(tmp_path: Path) -> None:
    location = SqliteLocation(tmp_path / "data" / "arcbilling.sqlite3")
    await migrations.migrate(location, migrations.known()[0])
    await migrations.migrate(location)
    files = [file for file in location.path.parent.iterdir() if "sqlite3" in file.name]
    assert any("backup" in file.name for file in files)
    assert {file.name for file in files if file.stat().st_mode & 0o077} == set()
    assert location.path.parent.stat().st_mode & 0o077 == 0
