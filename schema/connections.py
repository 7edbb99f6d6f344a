"""Lists: keyset connections, with cursors that nobody needs to understand."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar, get_type_hints

import orjson
import strawberry

from resolvers.filters import EVERYTHING, Where, created
from resolvers.paging import BY_ID, Cursor, Page, PageRequest, Sort
from resolvers.reading import Columns
from resolvers.tables import Session, Table
from schema import limits
from schema.actors import Policy, Scope
from schema.checks import Between, Text
from schema.context import Context
from schema.errors import invalid
from schema.fields import query, wanted

T = TypeVar("T")
F = TypeVar("F")

DEFAULT_PAGE = limits.DEFAULT_PAGE
LARGEST_PAGE = limits.MAX_PAGE
LARGEST_OFFSET = 10_000

First = Annotated[
    int | None, Between(1, LARGEST_PAGE), strawberry.argument(description="How many, from the start: 1 to 100.")
]
Last = Annotated[
    int | None, Between(1, LARGEST_PAGE), strawberry.argument(description="How many, from the end: 1 to 100.")
]
After = Annotated[str | None, Text(), strawberry.argument(description="Only what follows this cursor.")]
Before = Annotated[str | None, Text(), strawberry.argument(description="Only what comes before this cursor.")]
Offset = Annotated[
    int | None,
    Between(0, LARGEST_OFFSET),
    strawberry.argument(description="Skips so many; at most 10,000. Prefer cursors: they cost the same at any depth."),
]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow.")
    has_previous_page: bool = strawberry.field(description="Whether there are some before.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first node, for `before`.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last node, for `after`.")


@strawberry.type(description="A node with its cursor.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="The place of the node in the list.")
    node: T = strawberry.field(description="The object itself.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[T]):
    nodes: list[T] = strawberry.field(description="The objects of the page.")
    edges: list[Edge[T]] = strawberry.field(description="The objects, each with its cursor.")
    page_info: PageInfo = strawberry.field(description="Where the page stands in its list.")

    total_count: int = strawberry.field(
        description="How many there are in all. Counted only when asked for; it costs more than a page.",
        metadata={"compute": lambda row: row.count(), "extra": True, "waits": True},
    )


@dataclass(frozen=True)
class Slice:
    """A page as the connection's fields read it."""

    nodes: list[Any]
    has_next_page: bool
    has_previous_page: bool
    table: Table[Any]
    sort: Sort
    count: Callable[[], Awaitable[int]]

    @property
    def page_info(self) -> "Slice":
        return self

    @property
    def edges(self) -> list["EdgeRow"]:
        return [EdgeRow(self._cursor_of(node), node) for node in self.nodes]

    @property
    def start_cursor(self) -> str | None:
        return self._cursor_of(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        return self._cursor_of(self.nodes[-1]) if self.nodes else None

    def _cursor_of(self, row: Any) -> str:
        return cursor_of(row, self.sort, self.table.row)


@dataclass(frozen=True)
class EdgeRow:
    cursor: str
    node: Any


def page_request(
    of: Table[Any],
    sort: Enum | Sort | None,
    first: int | None,
    after: str | None,
    last: int | None = None,
    before: str | None = None,
    offset: int | None = 0,
) -> PageRequest:
    """Reads a connection's arguments; refuses those that do not go together."""
    by = sort_of(sort)
    if offset and (after is not None or before is not None or last is not None):
        raise invalid("offset", "cannot be combined with a cursor or last")
    return PageRequest(
        limit=last if last is not None else first if first is not None else DEFAULT_PAGE,
        after=None if after is None else read_cursor("after", after, by, of.row),
        before=None if before is None else read_cursor("before", before, by, of.row),
        backwards=last is not None,
        offset=offset or 0,
        sort=by,
    )


def sort_of(sort: Enum | Sort | None) -> Sort:
    """`CREATED_AT_DESC` is the column created_at, latest first."""
    if sort is None:
        return Sort()
    if isinstance(sort, Sort):
        return sort
    column, mark, _ = str(sort.value).partition(" desc")
    return Sort(column, bool(mark))


def connection(page: Page[Any], table: Table[Any], request: PageRequest, count: Callable[[], Awaitable[int]]) -> Slice:
    return Slice(page.rows, page.has_next, page.has_previous, table, request.sort, count)


def cursor_of(row: Any, sort: Sort, of: type) -> str:
    value = getattr(row, sort.column)
    text = orjson.dumps([_written(sort, of), value.isoformat() if isinstance(value, date) else value, row.id])
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def read_cursor(name: str, text: str, sort: Sort, row: type) -> Cursor:
    """Reads a cursor of the same rows in the same sort; anything else is refused."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        written, value, id = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if written != _written(sort, row) or not isinstance(id, int):
            raise ValueError("another list or sort")
        match sort.column:
            case "created_at":
                value = datetime.fromisoformat(value).astimezone(UTC)
            case "due_date":
                value = date.fromisoformat(value)
            case _ if not isinstance(value, int) or not 0 <= value < 2**63:
                raise ValueError("not a number")
        if not 0 <= id < 2**63:
            raise ValueError("not an id")
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise invalid(name, "must be a cursor that this list gave with the same sort") from None
    return Cursor(value, id)


def _written(sort: Sort, row: type) -> str:
    """Which list a cursor is of: its rows and their order."""
    return f"{row.__name__} {sort.column}{' desc' if sort.descending else ''}"


LISTS: dict[str, Table[Any]] = {}
"""The table of each list, by the name of its field."""


def lists(
    of: Any, table: Table[Any], *, requires: Scope | Policy, sort: type[Enum], unsorted: Sort = BY_ID
) -> Callable[[Callable[[F], Where]], Callable[[F], Where]]:
    """Declares the list of a type's objects. What is decorated tells which rows a filter means."""

    def declare(fitting: Callable[[F], Where]) -> Callable[[F], Where]:
        async def listing(
            context: Context,
            first: First = DEFAULT_PAGE,
            after: After = None,
            last: Last = None,
            before: Before = None,
            offset: Offset = 0,
            filter: Any = None,
            sort: Any = None,
        ) -> Slice:
            return await looking_ahead(context, None, first, after, last, before, offset, filter, sort)

        async def looking_ahead(
            context: Context,
            columns: Columns,
            first: int | None = DEFAULT_PAGE,
            after: str | None = None,
            last: int | None = None,
            before: str | None = None,
            offset: int | None = 0,
            filter: Any = None,
            sort: Any = None,
        ) -> Slice:
            request = page_request(table, sort or unsorted, first, after, last, before, offset)
            where = EVERYTHING
            if filter is not None:
                where = fitting(filter) & created(wanted(filter.created_from), wanted(filter.created_to))

            async def count() -> int:
                return await table.count(context.session, where)

            return connection(await table.page(context.session, request, where, columns), table, request, count)

        listing.__annotations__["filter"] = get_type_hints(fitting)["filter"] | None
        listing.__annotations__["sort"] = sort | None
        listing.__name__, listing.__module__, listing.__doc__ = fitting.__name__, fitting.__module__, fitting.__doc__
        query(Connection[of], requires=requires, looking_ahead=looking_ahead)(listing)
        LISTS[listing.__name__.rstrip("_")] = table
        return fitting

    return declare


async def below(
    context: Context,
    table: Table[Any],
    parent: str,
    ids: list[int],
    columns: Columns,
    request: PageRequest,
    where: Where = EVERYTHING,
) -> list[Slice]:
    """A page below each of several objects; they are read, and counted, by one statement each."""

    async def counts(session: Session, ids: list[int]) -> list[int]:
        found = await table.counts(session, parent, ids, where)
        return [found[id] for id in ids]

    def count(id: int) -> Callable[[], Awaitable[int]]:
        return lambda: context.load(("count", table.name, parent, where), id, counts)

    pages = await table.pages(context.session, parent, ids, request, where, columns)
    return [connection(pages[id], table, request, count(id)) for id in ids]
