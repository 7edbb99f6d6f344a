"""Pages of lists, by keyset: which rows are asked for, and what came of it."""

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

R = TypeVar("R", bound=tuple[Any, ...])


class Sort(NamedTuple):
    column: str = "id"
    descending: bool = False


BY_ID = Sort()


class Cursor(NamedTuple):
    """A place in a sorted list: the sort column's value there, and the id."""

    value: Any
    id: int


@dataclass(frozen=True)
class PageRequest:
    """Which page: `limit` rows after or before a cursor, or from an offset; backwards gives the last ones."""

    limit: int
    after: Cursor | None = None
    before: Cursor | None = None
    backwards: bool = False
    offset: int = 0
    sort: Sort = BY_ID


@dataclass(frozen=True)
class Page(Generic[R]):
    """Rows in the order asked for; whether there are more before and after them."""

    rows: list[R]
    has_next: bool
    has_previous: bool


def order_of(request: PageRequest) -> str:
    direction = " DESC" if request.sort.descending != request.backwards else ""
    return f"id{direction}" if request.sort.column == "id" else f"{request.sort.column}{direction}, id{direction}"


def page_of(rows: list[R], request: PageRequest) -> Page[R]:
    more = len(rows) > request.limit
    rows = rows[: request.limit]
    if request.backwards:
        rows.reverse()
        return Page(rows, has_next=request.before is not None, has_previous=more)
    return Page(rows, has_next=more, has_previous=request.after is not None or request.offset > 0)
