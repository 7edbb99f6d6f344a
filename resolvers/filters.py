"""Conditions: which rows are meant."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple


class Where(NamedTuple):
    """A condition: SQL with `?` for each value."""

    sql: str
    values: tuple[object, ...] = ()

    def __and__(self, other: "Where") -> "Where":
        if not self.sql or not other.sql:
            return self if self.sql else other
        return Where(f"{self.sql} AND {other.sql}", self.values + other.values)


EVERYTHING = Where("")


def equal(column: str, value: object) -> Where:
    return Where(f"{column} IS NULL") if value is None else Where(f"{column} = ?", (value,))


def one_of(column: str, values: Collection[object]) -> Where:
    if not values:
        return Where("1 = 0")
    return Where(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def clause(where: Where) -> str:
    """As a statement says it."""
    return f" WHERE {where.sql}" if where.sql else ""


def matching(**columns: object) -> Where:
    """Rows whose columns hold the values given; None leaves a column free."""
    where = EVERYTHING
    for column, value in columns.items():
        if value is not None:
            where &= equal(column, value)
    return where


def created(since: datetime | None, until: datetime | None) -> Where:
    """Rows created from one moment to another, both included."""
    where = EVERYTHING
    if since is not None:
        where &= Where("created_at >= ?", (since,))
    if until is not None:
        where &= Where("created_at <= ?", (until,))
    return where
