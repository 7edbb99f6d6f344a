"""Conditions that several lists share."""

from datetime import datetime

from resolvers.tables import EVERYTHING, Where, equal


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
