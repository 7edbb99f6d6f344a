"""Moments and days in filters: `created_from` and `created_to`, both included."""

from datetime import date, datetime, timedelta
from typing import Annotated

from arcbilling import clock

_TICK = timedelta(microseconds=1)


def since(value: datetime | date) -> datetime:
    """The first moment that is meant: a day's first one in the billing timezone."""
    return value if isinstance(value, datetime) else clock.start_of(value)


def until(value: datetime | date) -> datetime:
    """The last moment that is meant: a whole second's, or a day's."""
    if isinstance(value, datetime):
        return value if value.microsecond else value + timedelta(seconds=1) - _TICK
    return clock.start_of(value + timedelta(days=1)) - _TICK


Since = Annotated[datetime | None, since]
Until = Annotated[datetime | None, until]
