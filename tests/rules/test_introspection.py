"""What our own introspection answers is, to the letter, what graphql-core answers."""

import json
from typing import Any

import graphql
import pytest

from schema.introspection import executable
from schema.root import build
from tests.reliability import attacks

STANDARD = [
    graphql.get_introspection_query(type_depth=7),
    graphql.get_introspection_query(descriptions=False),
    graphql.get_introspection_query(True, True, True, True, input_value_deprecation=True),
    graphql.get_introspection_query(True, True, True, True, True, True, True, type_depth=14),
]
OTHERS = [
    "{ __schema { __typename types { __typename name kind } queryType { name } subscriptionType { name } } }",
    '{ __type(name: "Client") { name fields { name type { kind name ofType { name } } } } }',
    '{ a: __type(name: "Nobody") { name } b: __type(name: "ClientStatus") { enumValues { name description } } }',
    '{ __type(name: "Client") { ...T ... on __Type { name kind } ... { description } } } fragment T on __Type { name }',
    '{ __type(name: "Client") { fields { name } fields { description args { name } } ...F } } '
    "fragment F on __Type { fields { args { defaultValue } } }",
    '{ __type(name: "Client") { name @skip(if: true) kind @include(if: false) ...F @skip(if: true) } } '
    "fragment F on __Type { description }",
    '{ __type(name: "Client") { ...F ...F ... @include(if: true) { kind } } } fragment F on __Type { name }',
    '{ __type(name: "Node") { possibleTypes { name } interfaces { name } } }',
    '{ __type(name: "ClientCreateInput") { inputFields { name defaultValue type { name kind } } isOneOf } }',
    '{ __type(name: "Client") { isOneOf fields { type { isOneOf ofType { isOneOf } } args { type { isOneOf } } } } }',
    "{ __schema { types { name isOneOf inputFields { type { isOneOf ofType { isOneOf } } } } } }",
    "{ __typename __schema { directives { name locations isRepeatable args { name } } description } }",
]
VARIABLES = """
    query ($name: String!, $old: Boolean = true, $no: Boolean!) {
      __type(name: $name) { fields(includeDeprecated: $old) { name isDeprecated } kind @skip(if: $no) }
    }
"""


def both(query: str, variables: dict[str, Any] | None = None) -> tuple[Any, Any]:
    document = graphql.parse(query)
    schema = build()
    assert not graphql.validate(schema, document)
    theirs, ours = (
        graphql.execute_sync(one, document, variable_values=variables) for one in (schema, executable(schema))
    )
    return theirs, ours


@pytest.mark.parametrize("query", [*STANDARD, *OTHERS])
def test_every_answer_is_the_one_of_graphql_core(query: str) -> None:
    theirs, ours = both(query)
    assert theirs.errors is None
    assert ours.errors is None
    assert json.dumps(ours.data) == json.dumps(theirs.data)


@pytest.mark.parametrize("name", [name for name in attacks.QUERIES if name.startswith("introspection")])
def test_the_answers_to_attacks_are_too(name: str) -> None:
    query, variables = attacks.QUERIES[name]
    if "clients" in query or graphql.validate(build(), graphql.parse(query)):
        return  # it reads rows, or is refused
    theirs, ours = both(query, variables)
    assert json.dumps(ours.data) == json.dumps(theirs.data)


@pytest.mark.parametrize(
    "variables",
    [{"name": "Client", "no": True}, {"name": "Client", "no": False, "old": False}, {"name": "X", "no": True}],
)
def test_variables_are_read(variables: dict[str, Any]) -> None:
    theirs, ours = both(VARIABLES, variables)
    assert ours.errors is None
    assert ours.data == theirs.data


def test_only_an_input_type_says_whether_it_takes_one_of_its_members() -> None:
    query = '{ a: __type(name: "Client") { isOneOf } b: __type(name: "ClientCreateInput") { isOneOf } }'
    assert both(query)[1].data == {"a": {"isOneOf": None}, "b": {"isOneOf": False}}


def test_introspection_stands_on_the_query_type_alone() -> None:
    schema = build()
    assert executable(schema) is executable(schema)
    assert executable(schema).get_field(schema.query_type, "__schema") is not None  # type: ignore[arg-type]
    assert executable(schema).get_field(schema.mutation_type, "__schema") is None  # type: ignore[arg-type]
