"""Leaves: how values of scalars and enums are told, and when no function need be called for it."""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NoReturn

import graphql
from graphql import GraphQLEnumType, GraphQLScalarType, Undefined


class Unexpected(Exception):
    """What was resolved does not fit; graphql-core will say how, as it executes the operation again."""


def null() -> NoReturn:
    """Told where there must be something."""
    raise Unexpected("null")


EXACT: Final = {
    graphql.GraphQLString: "type(v) is str",
    graphql.GraphQLID: "type(v) is str",
    graphql.GraphQLBoolean: "type(v) is bool",
    graphql.GraphQLInt: f"type(v) is int and {graphql.GRAPHQL_MIN_INT} <= v <= {graphql.GRAPHQL_MAX_INT}",
}
"""The test whether a value v of a type is told as it is; most are."""


def names(type_: GraphQLEnumType) -> dict[Any, str]:
    """The name of each value of an enum, as graphql-core would tell it; those that cannot be hashed are left out."""
    known: dict[Any, str] = {}
    for one in type_.values.values():
        if one.value is None:
            continue
        try:
            known[one.value] = type_.coerce_output_value(one.value)
        except TypeError:
            continue
    return known


def plain(type_: GraphQLEnumType) -> Callable[[Any], Any]:
    """A function that tells a value of an enum as a plain operation does: of a member of Python's enums, its value."""
    values = [one.value for one in type_.values.values()]
    return {value: value.value if isinstance(value, Enum) else value for value in values}.__getitem__


def required(type_: GraphQLScalarType | GraphQLEnumType) -> Callable[[Any], Any]:
    """A function that tells a value, and does not take null."""
    coerce = type_.coerce_output_value

    def tell(value: Any) -> Any:
        if value is None or (told := coerce(value)) is None or told is Undefined:
            null()
        return told

    return tell


def optional(tell: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that tells a value, or null."""
    return lambda value: None if value is None else tell(value)
