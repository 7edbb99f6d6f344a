"""An object as REST shows it in lists, made from its GraphQL type: what events carry."""

from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any

from schema import ids, money
from schema.scalars import write_time


def snapshot(graphql_type: Any, row: Any) -> dict[str, Any]:
    """The plain fields of the type, in its order, read from the row."""
    return {name: read(row) for name, read in _readers(graphql_type)}


def leaf(name: str, metadata: Any) -> Callable[[Any], Any]:
    """How a plain field's value is read from its row, as GraphQL shows it but for scalars and enums."""
    if metadata.get("compute") is not None:
        compute: Callable[[Any], Any] = metadata["compute"]
        return compute
    column = metadata.get("column") or name
    if metadata.get("amount"):
        read_amount = attrgetter(column, "currency")

        def amount(row: Any) -> str:
            return money.text(*read_amount(row))

        return amount
    if (kind := metadata.get("kind")) is not None:
        read_id = attrgetter(column)

        def identifier(row: Any) -> str | None:
            number = read_id(row)
            return None if number is None else ids.write(kind, number)

        return identifier
    return attrgetter(column)


@cache
def _readers(graphql_type: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    readers = []
    for field in graphql_type.__strawberry_definition__.fields:
        if field.base_resolver is None and not field.metadata.get("extra"):
            readers.append((field.python_name, _as_rest(leaf(field.python_name, field.metadata), field.metadata)))
    return readers


def _as_rest(read: Callable[[Any], Any], metadata: Any) -> Callable[[Any], Any]:
    if metadata.get("kind") is not None:
        return lambda row: None if (text := read(row)) is None else int(text.rpartition("_")[2])

    def value(row: Any) -> Any:
        match read(row):
            case Enum() as member:
                return member.value
            case datetime() as moment:
                return write_time(moment)
            case date() as day:
                return day.isoformat()
            case other:
                return other

    return value
