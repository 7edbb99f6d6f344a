"""Arguments become ours as Strawberry would make them."""

from random import Random
from typing import Any

import graphql
import pytest
from graphql import Undefined
from strawberry.types.arguments import convert_arguments

from schema.conversion import converter
from schema.root import build, strawberry_schema
from tests.executor.documents import Author

ROOTS = [("Query", name) for name in build().type_map["Query"].fields] + [  # type: ignore[attr-defined]
    ("Mutation", name)
    for name in build().type_map["Mutation"].fields  # type: ignore[attr-defined]
]


def values(random: Random, name: str, type_: Any) -> Any:
    match getattr(type_, "name", ""):
        case "Date":
            return "2026-01-31"
        case "DateTime":
            return "2026-01-31T12:00:00Z"
        case "Money":
            return "1.50"
    return None if random.random() < 0.1 else Undefined


@pytest.mark.parametrize(("parent", "name"), ROOTS)
def test_arguments_of_every_root_field_are_converted_as_by_strawberry(parent: str, name: str) -> None:
    declared = strawberry_schema()
    type_ = build().type_map[parent]
    assert isinstance(type_, graphql.GraphQLObjectType)
    field = type_.fields[name]
    declaration = field.extensions["strawberry-definition"]
    random = Random(name)
    author = Author(build(), random, values)
    convert = converter(declared, declaration.arguments)
    for _ in range(30):
        given = {
            key: graphql.coerce_input_value(author._value(key, argument.type), argument.type)
            for key, argument in field.args.items()
            if random.random() < 0.8
        }
        coerced = {key: value for key, value in given.items() if value is not Undefined}
        scalars = declared.schema_converter.scalar_registry
        expected = convert_arguments(coerced, declaration.arguments, scalars, declared.config)
        assert repr(convert(coerced)) == repr(expected)
