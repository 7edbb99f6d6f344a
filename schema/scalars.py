"""The scalars Money, Date and DateTime: exact in, exact out. Moments and dates are what they are until `json`."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NewType

import orjson
import strawberry
from graphql import FloatValueNode, IntValueNode, StringValueNode, ValueNode
from strawberry.types.scalar import ScalarDefinition

from schema import money

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,18})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)

_FINER = re.compile(r"(\.\d{6})\d+", re.ASCII)
"""Digits finer than microseconds, which some clients write."""

JSON = NewType("JSON", object)
"""What an answer holds as it is stored, whatever its form."""

MONEY_REASON = "must be a decimal number such as 29.99"
DATE_REASON = "must be a date (Y-m-d) such as 2026-01-31"
TIME_REASON = "must be a time (RFC 3339) such as 2026-01-31T12:00:00Z"


def read_date(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{DATE_REASON}; {value} is not in the calendar") from None
    raise ValueError(DATE_REASON)


def read_moment(value: object) -> datetime | date:
    """A time, or a date where a whole day is meant (filters take both)."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        return read_date(value)
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            return datetime.fromisoformat(_FINER.sub(r"\1", value.upper())).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError(TIME_REASON) from None
    raise ValueError(TIME_REASON)


def write_time(value: datetime) -> str:
    moment = value if value.tzinfo is UTC else value.astimezone(UTC)
    return moment.isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


def _money_literal(node: ValueNode, variables: Any = None) -> Decimal:
    if isinstance(node, StringValueNode | IntValueNode | FloatValueNode):
        return money.read(node.value)
    raise ValueError(MONEY_REASON)


def _identity(value: Any) -> Any:
    return value


def json(value: Any) -> bytes:
    """What an operation came to, as JSON: moments and dates are written here, all at once."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS)


SCALARS: dict[object, ScalarDefinition] = {
    Decimal: strawberry.scalar(
        name="Money",
        description=(
            "An amount of money as a decimal string with exactly the digits of its currency: `29.99` in USD, `30` in "
            "JPY, `1.250` in KWD. Strings and numbers are accepted and read exactly, in plain decimal notation, with "
            "at most 15 digits before the point; more digits than the currency has are refused."
        ),
        serialize=_identity,
        parse_value=money.read,
        parse_literal=_money_literal,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A calendar date, `2026-01-31`, in the billing timezone.",
        serialize=_identity,
        parse_value=read_date,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment in UTC in whole seconds, `2026-01-31T12:00:00Z` (RFC 3339). Offsets are accepted.",
        serialize=_identity,
        parse_value=read_moment,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value, told as it was stored: nothing of it can be selected.",
        serialize=_identity,
    ),
}
