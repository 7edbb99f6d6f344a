"""What the schema promises to compiled operations: which fields are columns, and what the others are resolved from."""

from datetime import date, datetime
from functools import cache
from typing import Any

import graphql
import strawberry
from graphql import GraphQLField
from strawberry.types.base import StrawberryOptional
from strawberry.types.field import StrawberryField

from executor import PROMISE, Calls, Gathers, Reads
from schema import ids, money
from schema.checks import clean
from schema.context import Context, size_of
from schema.conversion import converter
from schema.fields import Direct, Leading
from schema.snapshots import leaf


def promise(declared: strawberry.Schema, field: GraphQLField, declaration: StrawberryField) -> None:
    """Makes a field's promise, where its declaration allows one; its resolver gives the same."""
    made: Calls | Gathers | Reads | None
    if declaration.base_resolver is not None:
        made = _resolved(declared, declaration, graphql.get_named_type(field.type).name.removesuffix("Connection"))
    else:
        made = _plain(declaration)
    if made is not None:
        field.extensions[PROMISE] = made


def counted(context: Context, value: Any) -> Any:
    """What may be long is counted."""
    context.hold(size_of(value))
    return value


TOLD_AS_STORED = (str, bool, date, datetime)
"""Types whose values are told as rows hold them."""


def _plain(declaration: StrawberryField) -> Calls | Reads:
    metadata = declaration.metadata
    read = leaf(declaration.python_name, metadata)
    if metadata.get("waits"):
        return Calls(lambda row, _context, _arguments: read(row))
    if metadata.get("counted"):
        return Calls(lambda row, context, _arguments: counted(context, read(row)), waits=False)
    column = metadata.get("column") or declaration.python_name
    if metadata.get("compute") is not None:
        return Reads(function=read)
    if metadata.get("amount"):
        return Reads(column, money.text, beside=("currency",), is_typed=True)
    kind: ids.Kind | None = metadata.get("kind")
    if kind is not None:
        return Reads(column, ids.writer(kind), is_typed=True, is_plain=True)
    return Reads(column, is_typed=_is_typed(declaration))


def _is_typed(declaration: StrawberryField) -> bool:
    """Whether the column holds nothing that a scalar would tell otherwise or refuse."""
    type_ = declaration.type.of_type if isinstance(declaration.type, StrawberryOptional) else declaration.type
    return type_ in TOLD_AS_STORED


def _resolved(declared: strawberry.Schema, declaration: StrawberryField, of: str) -> Calls | Gathers | None:
    """A field with a resolver of ours: its arguments become ours as Strawberry would make them."""
    direct: Direct | Leading | None = declaration.metadata.get("direct")
    if direct is None:
        return None
    convert = cache(lambda: converter(declared, declaration.arguments))  # types may not all be there yet

    def prepare(arguments: dict[str, Any]) -> Any:
        return clean(direct.shape, convert()(arguments))

    if isinstance(direct, Leading):
        return Gathers(direct.resolve, direct.by, prepare, of)
    if not direct.waits:  # an event as it is told, whose arguments were for the stream
        return Calls(direct.resolve, waits=False)
    return Calls(direct.resolve, prepare, of=of if direct.looks_ahead else None)
