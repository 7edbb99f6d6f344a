"""The schema as a whole: everything is described, everything has its policy, every event is told."""

import ast
from pathlib import Path

import graphql
import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLNamedType, GraphQLObjectType

from rest_compat.routes import ROUTES
from schema.actors import Policy, Scope
from schema.events import CATALOGUE
from schema.fields import COMMANDS, QUERIES, SUBSCRIPTIONS
from schema.root import NODES, build

ROOT = Path(__file__).parents[2]
SCHEMA = build()
OURS = sorted(
    (
        type_
        for type_ in SCHEMA.type_map.values()
        if not type_.name.startswith("__") and not graphql.is_specified_scalar_type(type_)
    ),
    key=lambda type_: type_.name,
)
SELF_GOVERNED = {"node"}
"""Root fields that decide themselves what they require."""

REFERENCE_EVENTS = {
    "client.created",
    "invoice.created",
    "invoice.paid",
    "service.created",
    "service.suspended",
    "service.terminated",
    "ticket.opened",
    "ticket.replied",
}


def undescribed(type_: GraphQLNamedType) -> list[str]:
    """What of a type has no description."""
    lacking = [] if type_.description else [type_.name]
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in type_.fields.items():
            lacking += [] if field.description else [f"{type_.name}.{name}"]
            lacking += [f"{type_.name}.{name}({one}:)" for one, given in field.args.items() if not given.description]
    elif isinstance(type_, GraphQLInputObjectType):
        lacking += [f"{type_.name}.{name}" for name, field in type_.fields.items() if not field.description]
    return lacking


@pytest.mark.parametrize("type_", OURS, ids=lambda type_: type_.name)
def test_every_type_field_argument_and_input_is_described(type_: GraphQLNamedType) -> None:
    assert undescribed(type_) == []


@pytest.mark.parametrize("type_", OURS, ids=lambda type_: type_.name)
def test_every_description_ends_as_a_sentence_does(type_: GraphQLNamedType) -> None:
    texts = [type_.description or ""]
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
        texts += [field.description or "" for field in type_.fields.values()]
    assert [text for text in texts if text and text[-1] not in ".)"] == []


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_query_requires_a_read_scope(name: str) -> None:
    requires = QUERIES[name].requires
    assert SCHEMA.query_type is not None
    assert SCHEMA.query_type.fields[name].extensions.get("requires") == requires
    if name in SELF_GOVERNED:
        assert requires is None
    else:
        assert requires is not None
        assert requires.scope.endswith(":read")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_requires_a_write_scope(name: str) -> None:
    requires = COMMANDS[name].requires
    assert SCHEMA.mutation_type is not None
    assert SCHEMA.mutation_type.fields[name].extensions.get("requires") == requires
    assert requires is not None
    assert requires.scope.endswith(":write")


@pytest.mark.parametrize("name", sorted(SUBSCRIPTIONS))
def test_every_subscription_requires_that_events_may_be_read(name: str) -> None:
    assert SCHEMA.subscription_type is not None
    requires = SCHEMA.subscription_type.fields[name].extensions.get("requires")
    assert requires == SUBSCRIPTIONS[name].requires == Policy.reading(Scope.EVENTS_READ)


def test_every_event_of_the_catalogue_has_a_subscription_of_its_name() -> None:
    """And there is one over all of them, and no other."""
    named = {name.replace(".", " ").title().replace(" ", "") for name in CATALOGUE}
    assert {name[0].upper() + name[1:] for name in SUBSCRIPTIONS} == named | {"Events"}


def test_every_event_is_told_with_its_object_as_it_was_and_as_it_is() -> None:
    interface = SCHEMA.type_map["Event"]
    assert isinstance(interface, GraphQLInterfaceType)
    told = {type_.name: type_ for type_ in SCHEMA.get_possible_types(interface)}
    assert set(told) == {f"{name.partition('.')[0].capitalize()}Event" for name in CATALOGUE}
    for name, type_ in told.items():
        noun = name.removesuffix("Event")
        assert str(type_.fields["data"].type) == f"{noun}Snapshot!"
        assert str(type_.fields[noun.lower()].type) == noun


def test_root_fields_are_declared_by_query_command_and_subscription_alone() -> None:
    assert SCHEMA.query_type is not None
    assert SCHEMA.mutation_type is not None
    assert SCHEMA.subscription_type is not None
    assert set(SCHEMA.subscription_type.fields) == set(SUBSCRIPTIONS)
    assert set(SCHEMA.query_type.fields) == set(QUERIES)
    assert set(SCHEMA.mutation_type.fields) == set(COMMANDS)


def test_a_field_that_leads_to_an_object_of_its_own_requires_that_objects_scope() -> None:
    """So that no relation is a way around the scope of what it leads to."""
    policies = {found.name: found.policy for found in NODES.values()}
    wrong = []
    for type_ in OURS:
        if not isinstance(type_, GraphQLObjectType) or type_ in (SCHEMA.query_type, SCHEMA.mutation_type):
            continue
        if type_.name.endswith(("Connection", "Edge")) or type_.name == "CreatedApiKey":
            continue  # their own field has required it
        for name, field in type_.fields.items():
            led_to = graphql.get_named_type(field.type).name.removesuffix("Connection")
            if led_to in policies and field.extensions.get("requires") != policies[led_to]:
                wrong.append(f"{type_.name}.{name}")
    assert wrong == []


def test_policies_are_all_of_one_kind() -> None:
    for type_ in OURS:
        if isinstance(type_, GraphQLObjectType):
            for field in type_.fields.values():
                assert isinstance(field.extensions.get("requires"), Policy | None)


def test_every_name_follows_its_pattern() -> None:
    nouns = (
        "apiKey",
        "client",
        "delivery",
        "department",
        "invoice",
        "moduleCall",
        "product",
        "server",
        "serverGroup",
        "service",
        "ticket",
        "webhook",
    )
    for name in COMMANDS:
        assert any(name.startswith(noun) and name[len(noun) : len(noun) + 1].isupper() for noun in nouns), name
    for type_ in OURS:
        if isinstance(type_, GraphQLInputObjectType):
            assert type_.name.endswith(("Input", "Filter")), type_.name
        if isinstance(type_, GraphQLEnumType):
            assert all(value.isupper() for value in type_.values), type_.name


def test_the_catalogue_documents_the_events_of_the_reference() -> None:
    assert {name for name, event in CATALOGUE.items() if event.documented} == REFERENCE_EVENTS


def test_every_event_of_the_catalogue_is_declared_by_a_command_and_every_declared_one_is_in_it() -> None:
    declared = {event for root in COMMANDS.values() for event in root.emits}
    assert declared == set(CATALOGUE.values())


def test_every_event_of_the_catalogue_is_told_somewhere() -> None:
    """Named in a module beside the import and beside the `emits=` of a command."""
    told = set()
    for path in (ROOT / "schema").glob("*.py"):
        tree = ast.parse(path.read_text())
        declared = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.keyword) and node.arg == "emits"
            for part in ast.walk(node.value)
        }
        told |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in declared}
    assert {event.__name__ for event in CATALOGUE.values()} - told == set()


def test_every_event_is_named_after_its_class() -> None:
    for name, event in CATALOGUE.items():
        noun, verb = name.split(".")
        assert event.__name__ == noun.capitalize() + verb.capitalize()
        assert event.trigger


def test_every_route_has_a_row_of_its_own() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert len({route.document for route in ROUTES}) == len(ROUTES)
    assert len({route.title for route in ROUTES}) == len(ROUTES)
