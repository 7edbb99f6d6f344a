"""Conversion of arguments as GraphQL has coerced them to ours: what Strawberry's `convert_arguments` does.

Strawberry asks each value anew of which type it is, by the annotations. Here that is asked once for each field, which
makes the conversion of an input several times as fast.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any

import strawberry
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryList, StrawberryOptional, has_object_definition
from strawberry.types.lazy_type import LazyType

Convert = Callable[[Any], Any]


def converter(declared: strawberry.Schema, arguments: list[StrawberryArgument]) -> Convert:
    """A function that makes of GraphQL's arguments of a field those that its resolver takes, by their Python names."""
    name_of = declared.config.name_converter.from_argument
    found = [(name_of(one), one.python_name, _of(declared, one.type)) for one in arguments]

    def convert(values: Mapping[str, Any]) -> dict[str, Any]:
        return {to: one(values[name]) for name, to, one in found if name in values}

    return convert


def _of(declared: strawberry.Schema, type_: Any) -> Convert:
    if isinstance(type_, LazyType):
        type_ = type_.resolve_type()
    if isinstance(type_, StrawberryOptional):
        return _of(declared, type_.of_type)
    if isinstance(type_, StrawberryList):
        each = _of(declared, type_.of_type)
        return lambda value: [each(one) for one in value] if _is_some(value) else value
    return _input(declared, type_) if has_object_definition(type_) else _as_it_is


def _input(declared: strawberry.Schema, type_: Any) -> Convert:
    """Makes an input of its members; those that are not given have their defaults, or None where they have none."""
    definition = type_.__strawberry_definition__
    assert definition.from_input is None, "inputs of ours are made by their class"
    name_of = declared.config.name_converter.from_field
    members = [
        (name_of(field), field.python_name, _of(declared, field.resolve_type(type_definition=definition)))
        for field in definition.fields
    ]
    absent = {
        field.python_name: None
        for field in definition.fields
        if field.default_value is MISSING and field.default_factory is MISSING
    }

    def convert(value: Any) -> Any:
        if not _is_some(value):
            return value
        return type_(**absent | {to: one(value[name]) for name, to, one in members if name in value})

    return convert


def _is_some(value: Any) -> bool:
    return value is not None and value is not strawberry.UNSET


def _as_it_is(value: Any) -> Any:
    return value
