"""What the schema promises to compiled operations: which fields are columns, and what the others are resolved from."""

from functools import cache
from typing import Any

import strawberry
from graphql import GraphQLField
from strawberry.types.field import StrawberryField

from executor import PROMISE, Calls, Reads
from schema import ids
from schema.checks import clean
from schema.context import Context, size_of
from schema.conversion import converter
from schema.snapshots import leaf


def promise(declared: strawberry.Schema, field: GraphQLField, declaration: StrawberryField) -> None:
    """Makes a field's promise, where its declaration allows one; its resolver gives the same."""
    made = _resolved(declared, declaration) if declaration.base_resolver is not None else _plain(declaration)
    if made is not None:
        field.extensions[PROMISE] = made


def counted(context: Context, value: Any) -> Any:
    """What may be long is counted."""
    context.hold(size_of(value))
    return value


def _plain(declaration: StrawberryField) -> Calls | Reads:
    metadata = declaration.metadata
    read = leaf(declaration.python_name, metadata)
    if metadata.get("waits"):
        return Calls(lambda row, _context, _arguments: read(row))
    if metadata.get("counted"):
        return Calls(lambda row, context, _arguments: counted(context, read(row)), waits=False)
    if metadata.get("compute") is not None or metadata.get("amount"):
        return Reads(function=read)
    column = metadata.get("column") or declaration.python_name
    kind: ids.Kind | None = metadata.get("kind")
    return Reads(column) if kind is None else Reads(column, ids.writer(kind))


def _resolved(declared: strawberry.Schema, declaration: StrawberryField) -> Calls | None:
    """A field with a resolver of ours: its arguments become ours as Strawberry would make them."""
    direct = declaration.metadata.get("direct")
    if direct is None:
        return None
    if not direct.waits:  # an event as it is told, whose arguments were for the stream
        return Calls(direct.resolve, waits=False)
    convert = cache(lambda: converter(declared, declaration.arguments))  # types may not all be there yet

    def prepare(arguments: dict[str, Any]) -> Any:
        return clean(direct.shape, convert()(arguments))

    return Calls(direct.resolve, prepare)
