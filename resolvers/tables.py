"""Tables: SQL built once from the models' names and the rows' columns; rows in, rows out.

Every read is narrowed to the owner of the session: a key that is bound to a client cannot reach another client's rows,
whatever is asked, because no statement is built without that condition.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from types import UnionType
from typing import Any, Generic, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tortoise.models import Model

from arcbilling import clock
from resolvers.database import Connection, Database, Rows, Transaction
from resolvers.filters import EVERYTHING, Where, clause, equal, one_of
from resolvers.paging import Page, PageRequest, order_of, page_of
from resolvers.reading import Columns, Reading, Readings

R = TypeVar("R", bound=tuple[Any, ...])


ROWS_AT_ONCE = 50
"""Rows of one INSERT: every engine takes so many values."""
MAX_ROWS = 50_000
"""The most rows of lists without pages that are held at once: a full page of invoices, each with all the items that it
may have."""


class Statement(NamedTuple):
    sql: str
    values: list[Any]


@dataclass(frozen=True)
class Session:
    """What reads rows: a connection, and whose rows may be seen (None: everyone's)."""

    database: Database
    connection: Connection
    owner: int | None = None


class Change(NamedTuple):
    """What a transaction did to one row: columns → (old, new), None where the values are personal."""

    table: str
    id: int
    columns: dict[str, tuple[object, object] | None]


@dataclass(frozen=True)
class WriteSession(Session):
    """What writes rows, inside one transaction; it remembers the changes for the audit trail."""

    changes: list[Change] = field(default_factory=list)
    clients: dict[int, None] = field(default_factory=dict)
    """Whose rows were read or written, in the order of their first: of whom the answer may tell."""
    unwritten: "list[tuple[Table[Any], Any]]" = field(default_factory=list)
    """Rows that nobody asks for before the transaction ends: they are added then, together."""

    @property
    def transaction(self) -> Transaction:
        return cast(Transaction, self.connection)


@asynccontextmanager
async def written(database: Database) -> AsyncIterator[WriteSession]:
    """A transaction for what is no command: committed at the end of the block, rolled back if it fails."""
    transaction = await database.begin()
    try:
        yield WriteSession(database, transaction)
        await transaction.commit()
    except BaseException:
        await transaction.rollback()
        raise


class Table(Generic[R]):
    """One table. `owner` names the column of the client that a row belongs to; `live` hides rows that are gone."""

    def __init__(
        self,
        model: type[Model],
        row: type[R],
        *,
        owner: str | None = None,
        live: str = "",
        personal: Collection[str] = (),
        unaudited: bool = False,
    ) -> None:
        meta = model._meta
        self.name = str(meta.db_table)
        self.row = row
        self.columns: tuple[str, ...] = cast(Any, row)._fields
        self.types = {name: _plain(hint) for name, hint in get_type_hints(row).items()}
        self._owner = owner
        self._live = Where(live)
        self._personal = frozenset(personal)
        self._audited = not unaudited
        self._versioned = "version" in self.columns
        self._readings = Readings(self.name, row, self.types)
        self._insert = f"INSERT INTO {self.name} ({', '.join(self.columns[1:])}) VALUES "
        self._values = f"({', '.join('?' * (len(self.columns) - 1))})"

    # Reading

    async def by_id(self, session: Session, id: int) -> R | None:
        scope = self._scoped(session, equal("id", id))
        reading = self._reading(session, None)
        rows = self._rows(
            session, reading, await session.connection.fetch(reading.select + clause(scope), scope.values)
        )
        return rows[0] if rows else None

    async def by_ids(self, session: Session, ids: Iterable[int], columns: Columns = None) -> dict[int, R]:
        wanted = dict.fromkeys(ids)
        if not wanted:
            return {}
        rows = await self.all(session, one_of("id", wanted), columns=columns)
        return {cast(Any, row).id: row for row in rows}

    async def each(self, session: Session, ids: list[int], columns: Columns = None) -> list[R | None]:
        """The rows of the ids, in their order, by one statement."""
        found = await self.by_ids(session, ids, columns)
        return [found.get(id) for id in ids]

    async def first(self, session: Session, where: Where) -> R | None:
        rows = await self.all(session, where, limit=1)
        return rows[0] if rows else None

    async def all(
        self,
        session: Session,
        where: Where = EVERYTHING,
        *,
        order: str = "id",
        limit: int | None = None,
        columns: Columns = None,
    ) -> list[R]:
        """The rows; where `columns` are given these alone and the id, as an answer tells them."""
        scope = self._scoped(session, where)
        reading = self._reading(session, columns, "id")
        sql = f"{reading.select}{clause(scope)} ORDER BY {order}"
        if limit is not None:
            sql += f" LIMIT {limit}"
        return self._rows(session, reading, await session.connection.fetch(sql, scope.values))

    async def count(self, session: Session, where: Where = EVERYTHING) -> int:
        scope = self._scoped(session, where)
        rows = await session.connection.fetch(f"SELECT count(*) FROM {self.name}{clause(scope)}", scope.values)
        return int(rows[0][0])

    async def counts(
        self, session: Session, parent: str, ids: Collection[int], where: Where = EVERYTHING
    ) -> dict[int, int]:
        """How many there are below each of several parents, by one statement."""
        scope = self._scoped(session, where) & one_of(parent, ids)
        sql = f"SELECT {parent}, count(*) FROM {self.name}{clause(scope)} GROUP BY {parent}"
        found = {id: int(number) for id, number in await session.connection.fetch(sql, scope.values)}
        return {id: found.get(id, 0) for id in ids}

    async def grouped(
        self, session: Session, parent: str, ids: Collection[int], most: int = MAX_ROWS, columns: Columns = None
    ) -> list[list[R]]:
        """The rows below each of several parents, in the order of the ids, by one statement; raises TooManyRows."""
        columns = None if columns is None else (*columns, parent)
        rows = await self.all(session, one_of(parent, dict.fromkeys(ids)), limit=most + 1, columns=columns)
        if len(rows) > most:
            raise TooManyRows(f"{self.name} below {len(ids)} parents")
        found: dict[int, list[R]] = {id: [] for id in ids}
        for id, row in zip(map(attrgetter(parent), rows), rows, strict=True):
            found[id].append(row)
        return [found[id] for id in ids]

    async def extent(
        self, session: Session, parent: str, ids: Collection[int], column: str, latest: int | None = None
    ) -> tuple[int, int]:
        """How many rows there are below several parents, or of the latest below each, and how long a column's texts
        are in all."""
        scope = self._scoped(session, one_of(parent, ids))
        source = f"{self.name}{clause(scope)}"
        if latest is not None:
            place = f"row_number() OVER (PARTITION BY {parent} ORDER BY id DESC) AS place"
            source = f"(SELECT {column}, {place} FROM {source}) AS ranked WHERE place <= {latest}"
        sql = f"SELECT count(*), coalesce(sum(length({column})), 0) FROM {source}"
        ((number, characters),) = await session.connection.fetch(sql, scope.values)
        return int(number), int(characters)

    async def sizes(self, session: Session, where: Where, order: str, column: str, limit: int) -> list[tuple[int, int]]:
        """How long the texts of a column are, each by the column that gives the order."""
        scope = self._scoped(session, where)
        sql = f"SELECT {order}, length({column}) FROM {self.name}{clause(scope)} ORDER BY {order} LIMIT {limit}"
        return [(place, size) for place, size in await session.connection.fetch(sql, scope.values)]

    async def exists(self, session: Session, where: Where) -> bool:
        scope = self._scoped(session, where)
        return bool(await session.connection.fetch(f"SELECT 1 FROM {self.name}{clause(scope)} LIMIT 1", scope.values))

    async def page(
        self, session: Session, request: PageRequest, where: Where = EVERYTHING, columns: Columns = None
    ) -> Page[R]:
        """One page by keyset: its cost does not grow with its place in the table."""
        scope = self._scoped(session, where) & self._beyond(request)
        reading = self._of_page(session, request, columns, "id")
        sql = f"{reading.select}{clause(scope)} ORDER BY {order_of(request)} LIMIT {request.limit + 1}"
        if request.offset:
            sql += f" OFFSET {request.offset}"
        return page_of(self._rows(session, reading, await session.connection.fetch(sql, scope.values)), request)

    async def pages(
        self,
        session: Session,
        parent: str,
        ids: Collection[int],
        request: PageRequest,
        where: Where = EVERYTHING,
        columns: Columns = None,
    ) -> dict[int, Page[R]]:
        """The same page below each of several parents, by one statement."""
        scope = self._scoped(session, where) & self._beyond(request) & one_of(parent, dict.fromkeys(ids))
        reading = self._of_page(session, request, columns, "id", parent)
        sql = (
            f"SELECT {reading.columns} FROM (SELECT {reading.columns}, row_number() OVER (PARTITION BY {parent} "
            f"ORDER BY {order_of(request)}) AS place FROM {self.name}{clause(scope)}) AS ranked "
            f"WHERE place <= {request.limit + 1} ORDER BY {parent}, place"
        )
        found: dict[int, list[R]] = {id: [] for id in ids}
        for row in self._rows(session, reading, await session.connection.fetch(sql, scope.values)):
            found[getattr(row, parent)].append(row)
        return {id: page_of(rows, request) for id, rows in found.items()}

    # Writing

    async def locked(self, session: WriteSession, id: int) -> R | None:
        """The row, locked until the transaction ends."""
        rows = await self.all_locked(session, equal("id", id))
        return rows[0] if rows else None

    async def all_locked(self, session: WriteSession, where: Where) -> list[R]:
        scope = self._scoped(session, where)
        reading = self._reading(session, None)
        sql = f"{reading.select}{clause(scope)} ORDER BY id{session.database.lock_clause}"
        return self._rows(session, reading, await session.connection.fetch(sql, scope.values))

    async def add(self, session: WriteSession, row: R) -> R:
        """Inserts the row, whose id is given by the database."""
        return (await self.add_all(session, [row]))[0]

    async def add_all(self, session: WriteSession, rows: list[R]) -> list[R]:
        """Inserts the rows by as few statements as their number allows; their ids rise in their order."""
        added: list[R] = []
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            sql, values = self.insertion(some)
            ids = await session.connection.fetch(f"{sql} RETURNING id", values)
            for row, id in zip(some, sorted(id for (id,) in ids), strict=True):
                added.append(cast(Any, row)._replace(id=id))
        self._note_added(session, added)
        return added

    def insertion(self, rows: list[R]) -> Statement:
        """What inserts the rows, which are not too many for one statement."""
        sql = f"{self._insert}{', '.join([self._values] * len(rows))}"
        return Statement(sql, [value for row in rows for value in row[1:]])

    async def add_unless_taken(self, session: WriteSession, row: R, unique: tuple[str, ...]) -> R | None:
        """Inserts the row, unless there is one with the same values in the columns of a unique constraint."""
        sql = f"{self._insert}{self._values} ON CONFLICT ({', '.join(unique)}) DO NOTHING RETURNING id"
        ids = await session.connection.fetch(sql, row[1:])
        if not ids:
            return None
        added: R = cast(Any, row)._replace(id=ids[0][0])
        self._note_added(session, [added])
        return added

    async def save(self, session: WriteSession, old: R, new: R) -> R:
        """Stores what differs. A versioned row must still be as it was read, and its version rises by one."""
        columns = {
            name: (before, after) for name, before, after in zip(self.columns, old, new, strict=True) if before != after
        }
        if self._versioned:
            version = cast(Any, old).version
            stamp = {"version": version + 1, "updated_at": clock.now()}
            new = cast(Any, new)._replace(**stamp)
            values = {**{name: after for name, (_, after) in columns.items()}, **stamp}
            where = Where("id = ? AND version = ?", (old[0], version))
        else:
            values = {name: after for name, (_, after) in columns.items()}
            where = equal("id", old[0])
        if not values:
            return new
        assignments = ", ".join(f"{name} = ?" for name in values)
        sql = f"UPDATE {self.name} SET {assignments}{clause(where)} RETURNING id"
        rows = await session.connection.fetch(sql, (*values.values(), *where.values))
        if not rows:
            raise StaleRow(f"{self.name} {old[0]} was changed by somebody else after it was read.")
        if self._audited and columns:
            self._remember(session, old[0], columns)
        return new

    async def blank(self, session: WriteSession, where: Where, **values: object) -> None:
        """Overwrites columns of many rows at once, without an audit entry for each: for erasure, which has its own."""
        stamp: dict[str, object] = {"updated_at": clock.now()} if self._versioned else {}
        assignments = [f"{name} = ?" for name in (*values, *stamp)]
        if self._versioned:
            assignments.append("version = version + 1")
        sql = f"UPDATE {self.name} SET {', '.join(assignments)}{clause(where)}"
        await session.connection.fetch(sql, (*values.values(), *stamp.values(), *where.values))

    async def remove(self, session: WriteSession, where: Where) -> list[int]:
        """Deletes rows and tells their ids."""
        rows = await session.connection.fetch(f"DELETE FROM {self.name}{clause(where)} RETURNING id", where.values)
        if self._audited:
            for (id,) in rows:
                self._remember(session, id, {"id": (id, None)})
        return [id for (id,) in rows]

    # Inside

    def _note_added(self, session: WriteSession, rows: Iterable[R]) -> None:
        self._note_owners(session, rows)
        if self._audited:
            for row in rows:
                session.changes.append(Change(self.name, row[0], self._added(row)))

    def _added(self, row: R) -> dict[str, tuple[object, object] | None]:
        return {
            name: None if name in self._personal else (None, value)
            for name, value in zip(self.columns[1:], row[1:], strict=True)
            if value is not None
        }

    def _remember(self, session: WriteSession, id: int, columns: Mapping[str, tuple[object, object]]) -> None:
        kept = {name: None if name in self._personal else pair for name, pair in columns.items()}
        session.changes.append(Change(self.name, id, kept))

    def _note_owners(self, session: Session, rows: Iterable[R]) -> None:
        if self._owner is not None and isinstance(session, WriteSession):
            session.clients.update(dict.fromkeys(getattr(row, self._owner) for row in rows))

    def _scoped(self, session: Session, where: Where) -> Where:
        scope = self._live & where
        if session.owner is not None and self._owner is not None:
            scope = Where(f"{self._owner} = ?", (session.owner,)) & scope
        return scope

    def _reading(self, session: Session, columns: Columns, *always: str) -> Reading[R]:
        """How rows are read: whole ones within a command, which notes whose they are, and where it is not known what
        is told of them."""
        if columns is None or isinstance(session, WriteSession) or not self.types.keys() >= set(columns):
            return self._readings.whole(session.database)
        return self._readings.told(session.database, (*columns, *always))

    def _of_page(self, session: Session, request: PageRequest, columns: Columns, *always: str) -> Reading[R]:
        """The same for a page. Cursors of another order than that of the ids are made of whole rows."""
        return self._reading(session, columns if request.sort.column == "id" else None, *always)

    def _rows(self, session: Session, reading: Reading[R], stored: Rows) -> list[R]:
        rows = reading.rows(stored)
        self._note_owners(session, rows)
        return rows

    def _beyond(self, request: PageRequest) -> Where:
        where = EVERYTHING
        for cursor, forwards in ((request.after, True), (request.before, False)):
            if cursor is not None:
                sign = ">" if forwards != request.sort.descending else "<"
                column = request.sort.column
                where &= (
                    Where(f"id {sign} ?", (cursor.id,))
                    if column == "id"
                    else Where(f"({column}, id) {sign} (?, ?)", (cursor.value, cursor.id))
                )
        return where


class TooManyRows(Exception):
    """More rows were asked for than may be held at once."""


class StaleRow(Exception):
    """A row was saved that is no longer as it was read: it was not locked."""


def _plain(hint: Any) -> Any:
    """The type of a column, without its `None`."""
    if get_origin(hint) in (Union, UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return hint
