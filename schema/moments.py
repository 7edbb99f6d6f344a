"""Moments and days in filters: `created_from` and `created_to`, both included."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from arcbilling import clock

_TICK = timedelta(microseconds=1)


def since(value: datetime | date) -> datetime:
    """The first moment that is meant: a day's first one in the billing timezone."""
    if isinstance(value, datetime):
        return value
    try:
        return clock.start_of(value)
    except OverflowError:  # in a zone east of UTC, the calendar's first day
        return datetime.min.replace(tzinfo=UTC)


def until(value: datetime | date) -> datetime:
    """The last moment that is meant: a whole second's, or a day's."""
    try:
        if isinstance(value, datetime):
            return value if value.microsecond else value + timedelta(seconds=1) - _TICK
        return clock.start_of(value + timedelta(days=1)) - _TICK
    except OverflowError:  # the calendar's last one
        return datetime.max.replace(tzinfo=UTC)


Since = Annotated[datetime | None, since]
Until = Annotated[datetime | None, until]
