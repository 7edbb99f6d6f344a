"""An object as REST shows it in lists, made from its GraphQL type: what events carry."""

from collections.abc import Callable, Collection
from datetime import date, datetime
from enum import Enum
from functools import cache, partial
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any

import strawberry
from strawberry.tools import create_type
from strawberry.types.base import StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

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
    return [
        (field.python_name, _as_rest(leaf(field.python_name, field.metadata), field.metadata))
        for field in members(graphql_type)
    ]


def members(graphql_type: Any) -> list[StrawberryField]:
    """The plain fields of a type, in its order."""
    fields: list[StrawberryField] = graphql_type.__strawberry_definition__.fields
    return [field for field in fields if field.base_resolver is None and not field.metadata.get("extra")]


# A snapshot as GraphQL shows it


def snapshot_type(graphql_type: Any, erased: Collection[str], *more: StrawberryField) -> Any:
    """The GraphQL type of snapshots of a type: its plain fields, nullable where erasure blanks them; and some more."""
    name = graphql_type.__strawberry_definition__.name
    fields = [snapshot_member(field, erased) for field in members(graphql_type)]
    words = f"{name} as it was when something happened to it; what is personal is null once its client was erased."
    return create_type(f"{name}Snapshot", [*fields, *more], description=words)


def snapshot_member(field: StrawberryField, erased: Collection[str], *, counted: bool = False) -> Any:
    """A plain field of a type, as it is read from a snapshot."""
    type_: Any = field.type
    is_nullable = isinstance(type_, StrawberryOptional)
    read = _from_rest(field.python_name, type_.of_type if is_nullable else type_, field.metadata.get("kind"))
    return strawberry.field(
        name=_camel(field.python_name),
        graphql_type=type_ if is_nullable or field.python_name not in erased else StrawberryOptional(type_),
        description=field.description,
        metadata={"compute": read, "kind": field.metadata.get("kind"), "counted": counted},
    )


def added_member(event: Any, name: str, graphql_type: Any, erased: Collection[str]) -> Any:
    """What the snapshots of one event hold beside the object: null in those of the others."""
    type_name, shown = event.adds[name]
    assert graphql_type.__strawberry_definition__.name == type_name
    # Beside the object stands what may be long.
    fields = [
        snapshot_member(field, erased, counted=field.type is str)
        for field in members(graphql_type)
        if field.python_name in shown
    ]
    words = f"What `{event.name}` tells beside the object; what is personal is null once its client was erased."
    added = create_type(f"{type_name}Snapshot", fields, description=words)
    return strawberry.field(
        name=_camel(name),
        graphql_type=StrawberryOptional(added),
        description=f"What `{event.name}` tells beside the object; null for other events.",
        metadata={"compute": lambda data: data.get(name)},
    )


def snapshot_field(type_: Any, read: Callable[[Any], Any]) -> Any:
    """The field of an event that shows its snapshot."""
    return strawberry.field(
        graphql_type=type_,
        description="The object as it was when this happened: the values of `payload`, in GraphQL's forms.",
        metadata={"compute": read, "extra": True},
    )


def _from_rest(name: str, type_: Any, kind: ids.Kind | None) -> Callable[[dict[str, Any]], Any]:
    """Reads a member of a snapshot as GraphQL shows it."""
    read = itemgetter(name)
    form: Callable[[Any], Any] | None = None
    if kind is not None:
        form = partial(ids.write, kind)
    elif isinstance(type_, StrawberryEnumDefinition):
        form = type_.wrapped_cls
    elif type_ is datetime:
        form = datetime.fromisoformat
    elif type_ is date:
        form = date.fromisoformat
    if form is None:
        return read

    def formed(data: dict[str, Any]) -> Any:
        value = read(data)
        return None if value is None else form(value)

    return formed


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _as_rest(read: Callable[[Any], Any], metadata: Any) -> Callable[[Any], Any]:
    if metadata.get("kind") is not None:
        return lambda row: None if (text := read(row)) is None else int(text.rpartition("_")[2])

    def value(row: Any) -> Any:
        found = read(row)
        return found if type(found) in _SHOWN_AS_IT_IS else _shown(found)

    return value


_SHOWN_AS_IT_IS = frozenset((NoneType, bool, int, str))


def _shown(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case datetime():
            return write_time(value)
        case date():
            return value.isoformat()
        case _:
            return value
