"""Migrations: they lead to what the models say, lose no row on the way, and run once whoever starts them."""

import ast
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tortoise.context import TortoiseContext
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.migrations.executor import MigrationExecutor

from models.enums import ServiceStatus
from resolvers import migrations
from tests.models.test_rows import MODELS

pytestmark = pytest.mark.anyio

Schema = dict[str, Any]


def schema_of(path: Path) -> Schema:
    """Tables with columns and keys, indexes and uniques with their columns and conditions, whatever their spelling."""
    with closing(sqlite3.connect(path)) as database:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name not in ("tortoise_migrations", "sqlite_sequence")
        ]
        return {table: described(database, table) for table in tables}


def described(database: sqlite3.Connection, table: str) -> dict[str, Any]:
    (sql,) = database.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    indexes = []
    for _, name, unique, _, partial in database.execute(f"PRAGMA index_list('{table}')"):
        columns = tuple(column for _, _, column in database.execute(f"PRAGMA index_info('{name}')"))
        (text,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        condition = re.search(r"\bWHERE\b(.*)", text or "", re.IGNORECASE | re.DOTALL) if partial else None
        indexes.append((unique, columns, condition[1].strip(" ();") if condition else None))
    return {
        "columns": [row[1:] for row in database.execute(f"PRAGMA table_info('{table}')")],
        "keys": sorted(row[2:] for row in database.execute(f"PRAGMA foreign_key_list('{table}')")),
        "indexes": sorted(indexes, key=repr),
        "autoincrement": "AUTOINCREMENT" in sql.upper(),
    }


def conditional() -> list[tuple[str, UniqueConstraint]]:
    """Uniques of the models that hold for some rows alone, and their tables."""
    found = []
    for model in MODELS.values():
        for constraint in model._meta.constraints:
            assert isinstance(constraint, UniqueConstraint), "no migration makes this constraint yet"
            found.append((model._meta.db_table, constraint))
    return found


async def generated(path: Path) -> Path:
    """A database as Tortoise makes it from the models, without migrations."""
    async with TortoiseContext() as context:
        await context.init(config=migrations.config(path))
        await context.generate_schemas()
    return path


def fill(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Puts two rows into every table that has fewer, with values of every column; tells all rows."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA foreign_keys = OFF")  # rows refer to rows that come later
        for table in schema_of(path):
            columns = database.execute(f"PRAGMA table_info('{table}')").fetchall()
            references = {row[3] for row in database.execute(f"PRAGMA foreign_key_list('{table}')")}
            for number in (1, 2):
                if database.execute(f"SELECT 1 FROM {table} WHERE id = ?", (number,)).fetchone():
                    continue
                values = [a_value(name, kind, number, name in references) for _, name, kind, *_ in columns]
                marks = ", ".join("?" * len(values))
                database.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        database.commit()
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    return rows_of(path)


def a_value(name: str, kind: str, number: int, refers: bool) -> Any:
    if name == "id" or refers:
        return number
    if name == "status":
        return ServiceStatus.ACTIVE.value
    match kind.partition("(")[0].upper():
        case "BIGINT" | "INT" | "INTEGER":
            return number
        case "TIMESTAMP":
            return "2026-01-01 00:00:00.000000+00:00"
        case "DATE":
            return f"2026-01-0{number}"
        case "BLOB":
            return b"\x00\xff"
        case _:
            return f"é{number}"


def rows_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as database:
        return {table: database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in schema_of(path)}


async def test_the_migrations_lead_to_what_the_models_say(empty_database: Path, tmp_path: Path) -> None:
    fresh = schema_of(await generated(tmp_path / "generated.sqlite3"))
    migrated = schema_of(empty_database)
    assert migrated.keys() == fresh.keys()
    for table, constraint in conditional():
        # Tortoise makes none of these on SQLite, so a migration of ours does.
        fresh[table]["indexes"].append((1, constraint.fields, constraint.condition))
        fresh[table]["indexes"].sort(key=repr)
    for table in fresh:
        assert migrated[table] == fresh[table], table
    assert (1, ("service_id", "kind", "period_start"), "NOT void") in migrated["invoice_items"]["indexes"]
    assert all(table["autoincrement"] for table in fresh.values())


async def test_the_models_need_no_further_migration(empty_database: Path) -> None:
    async with TortoiseContext() as context:
        config = migrations.config(empty_database)
        await context.init(config=config)
        executor = MigrationExecutor(context.connections.get("default"), config["apps"])
        await executor.loader.build_graph()
        assert context.apps is not None
        detector = MigrationAutodetector(context.apps, config["apps"])
        changes = await detector.changes()
    assert [write for write in changes if write.operations] == []


@pytest.mark.parametrize("start", migrations.known()[:-1])
async def test_a_filled_database_is_migrated_without_loss(start: str, empty_database: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    await migrations.migrate(path, start)
    before = fill_but_defaults(path)
    applied = await migrations.migrate(path)
    assert applied == migrations.known()[migrations.known().index(start) + 1 :]
    assert schema_of(path) == schema_of(empty_database)
    after = rows_of(path)
    for table, rows in before.items():
        kept = {row[0]: row for row in after[table]}
        assert [kept.get(row[0]) for row in rows] == rows, table
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def fill_but_defaults(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Fills every table; what the migrations to come will put in themselves is left to them."""
    before = fill(path)
    if "0002_defaults" in migrations.pending(path):
        with closing(sqlite3.connect(path)) as database:
            database.execute("DELETE FROM event_head")
            database.commit()
        del before["event_head"]
    return before


@pytest.mark.parametrize("steps", range(1, len(migrations.known())))
async def test_migrations_go_down_and_up_again(steps: int, empty_database: Path, tmp_path: Path) -> None:
    path = tmp_path / "there-and-back.sqlite3"
    await migrations.migrate(path)
    before = schema_of(path)
    await migrations.migrate(path, migrations.known()[-1 - steps])
    assert migrations.pending(path) == migrations.known()[-steps:]
    assert await migrations.migrate(path) == migrations.known()[-steps:]
    assert schema_of(path) == before == schema_of(empty_database)
    data = rows_of(path)
    assert [len(data[table]) for table in ("departments", "number_series", "event_head")] == [1, 1, 1]


async def test_a_period_cannot_be_charged_twice_but_once_the_first_is_void(
    empty_database: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(empty_database, tmp_path))
    insert = (
        "INSERT INTO invoice_items (kind, description, amount, currency, period_start, void, client_id, invoice_id, "
        "service_id) VALUES ('recurring', 'x', 1, 'USD', '2026-01-01', ?, 1, 1, ?)"
    )
    with closing(sqlite3.connect(path)) as database:
        database.execute(insert, (True, 7))
        database.execute(insert, (False, 7))
        database.execute(insert, (True, 7))
        database.execute(insert, (False, None))
        database.execute(insert, (False, None))
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            database.execute(insert, (False, 7))


def backups(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.backup-*"))


async def test_a_backup_is_made_of_what_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "arcbilling.sqlite3"
    await migrations.migrate(path, migrations.known()[0])
    assert backups(tmp_path) == []
    before = rows_of(path)
    await migrations.migrate(path)
    (backup,) = backups(tmp_path)
    assert rows_of(backup) == before
    assert await migrations.migrate(path) == []
    assert backups(tmp_path) == [backup]


def test_a_database_is_migrated_once_by_many_that_start_together(tmp_path: Path, empty_database: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from resolvers import migrations; "
        "print(*asyncio.run(migrations.migrate(Path(sys.argv[1]))))"
    )
    path = tmp_path / "new" / "arcbilling.sqlite3"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(migrations.__file__).parents[1],
            text=True,
        )
        for _ in range(4)
    ]
    told = []
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        told.append(out.split())
    assert sorted(told) == [[], [], [], migrations.known()]
    assert schema_of(path) == schema_of(empty_database)
    assert len(rows_of(path)["departments"]) == 1


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


async def test_the_database_and_its_backups_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "arcbilling.sqlite3"
    await migrations.migrate(path, migrations.known()[0])
    await migrations.migrate(path)
    modes = {file.name: file.stat().st_mode & 0o077 for file in path.parent.iterdir() if "sqlite3" in file.name}
    assert any("backup" in name for name in modes)
    assert {name for name, mode in modes.items() if mode and not name.endswith((".migrating", ".lock"))} == set()
    assert path.parent.stat().st_mode & 0o077 == 0
