"""What a database's tables look like, on either engine, and two rows for each of them."""

import re
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from models.enums import ServiceStatus
from resolvers.database import Database
from resolvers.tables import WriteSession, written

Schema = dict[str, dict[str, Any]]
OURS = ("tortoise_migrations", "sqlite_sequence")


class Column(NamedTuple):
    name: str
    kind: str
    rest: tuple[Any, ...]
    """Whether it may be null, its default, whether it is the key."""


class Reference(NamedTuple):
    column: str
    table: str
    on_delete: str


async def schema_of(database: Database) -> Schema:
    """Tables with columns and references, indexes and uniques with their columns and conditions, in any order."""
    look: Any = _Sqlite(database) if database.lock_clause == "" else _Postgres(database)
    return {
        table: {
            "columns": sorted(await look.columns(table)),
            "references": sorted(await look.references(table)),
            "indexes": sorted(await look.indexes(table), key=repr),
            "counts up": await look.counts_up(table),
        }
        for table in await look.tables()
        if table not in OURS
    }


async def fill(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Puts two rows into every table that has fewer, with values of every column; tells all rows."""
    schema = await schema_of(database)
    async with written(database) as session:
        for table in _referred_first(schema):
            for number in (1, 2):
                await _add(session, schema, table, number)
            if database.lock_clause:  # the ids above were not taken from its sequence
                await session.connection.fetch(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 2)")
    return await rows_of(database)


async def rows_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table, by their columns' names, so that the columns' order does not matter."""
    found = {}
    for table, described in (await schema_of(database)).items():
        names = ", ".join(["id", *(column.name for column in described["columns"] if column.name != "id")])
        found[table] = [tuple(row) for row in await database.reader.fetch(f"SELECT {names} FROM {table} ORDER BY id")]
    return found


async def _add(session: WriteSession, schema: Schema, table: str, number: int) -> None:
    if await session.connection.fetch(f"SELECT 1 FROM {table} WHERE id = ?", (number,)):
        return
    references = {reference.column for reference in schema[table]["references"]}
    values = {
        column.name: _a_value(column.name, column.kind, number, column.name in references)
        for column in schema[table]["columns"]
    }
    sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
    await session.connection.fetch(sql, tuple(values.values()))


def _a_value(name: str, kind: str, number: int, refers: bool) -> Any:
    if name == "id" or refers:
        return number
    if name == "status":
        return ServiceStatus.ACTIVE.value
    match kind.partition("(")[0].lower():
        case "bigint" | "int" | "integer":
            return number
        case "timestamp" | "timestamp with time zone":
            return datetime(2026, 1, 1, tzinfo=UTC)
        case "date":
            return date(2026, 1, number)
        case "blob" | "bytea":
            return b"\x00\xff"
        case "bool" | "boolean":
            return True
        case "char" | "character varying" | "varchar" | "text":
            return f"é{number}"
        case other:
            raise AssertionError(f"no value for a column of type {other}")


def _referred_first(schema: Schema) -> list[str]:
    placed: list[str] = []
    while len(placed) < len(schema):
        for table, described in schema.items():
            needed = {reference.table for reference in described["references"]} - {table}
            if table not in placed and needed <= set(placed):
                placed.append(table)
    return placed


class _Sqlite:
    def __init__(self, database: Database) -> None:
        self._fetch = database.reader.fetch

    async def tables(self) -> list[str]:
        return [name for (name,) in await self._fetch("SELECT name FROM sqlite_master WHERE type = 'table'")]

    async def columns(self, table: str) -> list[Column]:
        rows = await self._fetch(f"PRAGMA table_info('{table}')")
        return [Column(name, kind, (bool(required), default, key)) for _, name, kind, required, default, key in rows]

    async def references(self, table: str) -> list[Reference]:
        rows = await self._fetch(f"PRAGMA foreign_key_list('{table}')")
        return [Reference(row[3], row[2], row[6]) for row in rows]

    async def indexes(self, table: str) -> list[tuple[bool, tuple[str, ...], str | None]]:
        found = []
        for _, name, unique, _, partial in await self._fetch(f"PRAGMA index_list('{table}')"):
            columns = tuple(column for _, _, column in await self._fetch(f"PRAGMA index_info('{name}')"))
            ((text,),) = await self._fetch("SELECT sql FROM sqlite_master WHERE name = ?", (name,))
            condition = re.search(r"\bWHERE\b(.*)", text or "", re.IGNORECASE | re.DOTALL) if partial else None
            found.append((bool(unique), columns, condition[1].strip(" ();") if condition else None))
        return found

    async def counts_up(self, table: str) -> bool:
        """Whether an id is never given out again."""
        ((sql,),) = await self._fetch("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
        return "AUTOINCREMENT" in sql.upper()


class _Postgres:
    def __init__(self, database: Database) -> None:
        self._fetch = database.reader.fetch

    async def tables(self) -> list[str]:
        return [name for (name,) in await self._fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]

    async def columns(self, table: str) -> list[Column]:
        rows = await self._fetch(
            "SELECT column_name, data_type, character_maximum_length, is_nullable, column_default "
            "FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ?",
            (table,),
        )
        return [Column(name, kind, (str(length), null, str(default))) for name, kind, length, null, default in rows]

    async def references(self, table: str) -> list[Reference]:
        rows = await self._fetch(
            "SELECT a.attname::text, c.confrelid::regclass::text, c.confdeltype::text FROM pg_constraint c "
            "JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] "
            "WHERE c.contype = 'f' AND c.conrelid = ?::text::regclass",
            (table,),
        )
        return [Reference(column, to, on_delete) for column, to, on_delete in rows]

    async def indexes(self, table: str) -> list[tuple[bool, tuple[str, ...], str | None]]:
        rows = await self._fetch(
            "SELECT i.indisunique, pg_get_expr(i.indpred, i.indrelid), "
            "ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place) "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number ORDER BY k.place) "
            "FROM pg_index i WHERE i.indrelid = ?::text::regclass",
            (table,),
        )
        return [
            (unique, tuple(columns), condition.strip("()") if condition else None)
            for unique, condition, columns in rows
        ]

    async def counts_up(self, table: str) -> bool:
        ((sequence,),) = await self._fetch("SELECT pg_get_serial_sequence(?, 'id')", (table,))
        return sequence is not None
