"""Who may see and do what: every field of the schema against every kind of key that is bound to no client.

The matrix is made of the schema itself, so that a field that is added is in it, and a field without a policy fails.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from graphql import GraphQLObjectType, get_named_type, is_composite_type
from strawberry.types.field import StrawberryField

from schema.actors import EVERY_SCOPE, Actor, ActorKind, Policy, Scope
from schema.fields import COMMANDS, QUERIES
from schema.root import NODES, build
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase
from tests.doors.estate import (
    LISTS,
    OBJECTS,
    OPEN_COMMANDS,
    OPEN_NOUNS,
    SINGLES,
    VALUES,
    Estate,
    commanded,
    everything,
    leaves,
    object_type,
    one_of,
    outcome,
    queried,
    relations,
    scope_of,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def estate(tmp_path: Path, empty_database: EmptyDatabase) -> AsyncIterator[Estate]:
    async with open_house(tmp_path, empty_database, deliver="off") as house:
        made = Estate(house)
        await made.furnish()
        yield made


# Every field has a policy


def test_every_root_field_has_a_policy() -> None:
    for roots, type_ in ((QUERIES, "Query"), (COMMANDS, "Mutation")):
        assert set(object_type(type_).fields) == set(roots)
        for name, root in roots.items():
            if name == "node":
                continue  # its policy is that of the type that the id names
            assert isinstance(root.requires, Policy), name
            assert object_type(type_).fields[name].extensions["requires"] == root.requires


def test_every_field_that_leads_to_other_objects_has_a_policy() -> None:
    """Pages, edges, snapshots and the key's own record are parts of what leads to them, which has one."""
    parts = ("Connection", "Edge", "CreatedApiKey")
    for type_ in build().type_map.values():
        if not isinstance(type_, GraphQLObjectType) or type_.name.startswith("__"):
            continue
        if type_.name in ("Query", "Mutation", "Subscription") or type_.name.endswith(parts):
            continue
        for name, field in type_.fields.items():
            below = get_named_type(field.type)
            if is_composite_type(below) and not below.name.endswith("Snapshot"):
                assert isinstance(field.extensions.get("requires"), Policy), f"{type_.name}.{name} has no policy"


def test_every_field_that_reads_more_than_its_row_has_a_policy() -> None:
    for type_ in build().type_map.values():
        if isinstance(type_, GraphQLObjectType) and type_.name not in ("Query", "Mutation", "Subscription"):
            for name, field in type_.fields.items():
                declared = field.extensions.get("strawberry-definition")
                if isinstance(declared, StrawberryField) and declared.base_resolver is not None:
                    assert isinstance(field.extensions.get("requires"), Policy), f"{type_.name}.{name} has no policy"


def test_a_field_leads_to_objects_by_the_scope_of_their_type() -> None:
    """A relation asks for what the query of the same type asks for, so that it is no way around it."""
    nouns = {found.name: found.policy for found in NODES.values()}
    for parent, name, policy in relations():
        target = get_named_type(object_type(parent).fields[name].type).name.removesuffix("Connection")
        if target in nouns:
            assert policy == nouns[target], f"{parent}.{name}"
        else:
            narrower = Policy(nouns[parent].scope, open_to_clients=False)
            assert policy in (nouns[parent], narrower), f"{parent}.{name} leads to a part of its parent"


def test_only_what_the_contract_names_is_open_to_clients() -> None:
    opened = {name for name, root in QUERIES.items() if root.requires and root.requires.open_to_clients}
    assert opened == OPEN_NOUNS | {noun.removesuffix("s") for noun in OPEN_NOUNS}
    assert {name for name, root in COMMANDS.items() if root.requires and root.requires.open_to_clients} == OPEN_COMMANDS


def test_every_mutation_is_in_the_matrix() -> None:
    assert set(VALUES) == set(COMMANDS)


def test_every_node_is_in_the_matrix() -> None:
    assert sorted(found.name for found in NODES.values()) == sorted(OBJECTS)


def test_commands_need_write_and_queries_need_read() -> None:
    for name, root in QUERIES.items():
        assert name == "node" or str(root.requires).endswith(":read")
    for root in COMMANDS.values():
        assert str(root.requires).endswith(":write")


# Keys that are not bound


async def test_without_a_key_nothing_is_answered(estate: Estate) -> None:
    for name in QUERIES:
        assert (await outcome(estate.house, queried(name, 'id: "cli_1"' if one_of(name) else ""), ""))[
            0
        ] == "UNAUTHORIZED"
    for name in COMMANDS:
        assert (await outcome(estate.house, commanded(name, 1), ""))[0] == "UNAUTHORIZED"


async def test_a_key_with_one_scope_reaches_just_what_that_covers(estate: Estate) -> None:
    house = estate.house
    event = await estate.event_of(1)
    for scope in (*Scope, EVERY_SCOPE):
        key = await house.new_key(scope)
        actor = Actor(ActorKind.KEY, 0, frozenset({scope}))
        for name in (*SINGLES, *LISTS):
            if name == "event":
                continue
            await expect(house, queried(name, "id: 1" if one_of(name) else ""), key, scope_of(name), actor)
        # What an event tells of needs its own scope too; this one is of a client.
        both = frozenset({scope, Scope.EVENTS_READ})
        client = Policy.reading(Scope.CLIENTS_READ)
        one = queried("event", f'id: "{event}"')
        await expect(house, one, await house.new_key(*both), client, Actor(ActorKind.KEY, 0, both))
        for kind, found in NODES.items():
            await expect(house, f'{{ node(id: "{kind}_1") {{ id }} }}', key, found.policy, actor)
        for name in COMMANDS:
            if actor.lacks(scope_of(name)) is not None:
                await expect(house, commanded(name, 1), key, scope_of(name), actor)


async def expect(house: House, query: str, key: str, policy: Policy, actor: Actor) -> None:
    """Data where the scope is there, else FORBIDDEN with the scope's name."""
    code, message = await outcome(house, query, key)
    if actor.lacks(policy) is None:
        assert code == "data", f"{query}: {message}"
    else:
        assert code == "FORBIDDEN", query
        assert str(policy) in message


async def test_each_command_is_reached_with_its_one_scope(estate: Estate) -> None:
    """It may be refused by a rule, in the state that the commands before it have left, and is never by its policy."""
    house = estate.house
    for name in COMMANDS:
        scopes = {scope_of(name).scope.value} | ({"products:read"} if name == "apiKeyCreate" else set())
        key = await house.new_key(*scopes)
        number = (await house.rows("SELECT max(id) FROM api_keys"))[0][0] if name == "apiKeyRevoke" else 1
        code, message = await outcome(house, commanded(name, number), key)
        assert code in ("data", "VALIDATION_ERROR", "NOT_FOUND"), f"{name}: {message}"
        if name.endswith(("Create", "Reply", "Revoke")):
            assert code == "data", f"{name}: {message}"


@pytest.mark.parametrize("client", [None, 1])
async def test_a_key_that_only_reads_changes_nothing(estate: Estate, client: int | None) -> None:
    house = estate.house
    reading = [scope.value for scope in Scope if scope.value.endswith(":read")]
    key = await house.new_key(*reading, client=client)
    before = await everything(house)
    for name in COMMANDS:
        code, message = await outcome(house, commanded(name, 1), key)
        assert (code, str(scope_of(name)) in message) == ("FORBIDDEN", True), name
    assert await everything(house) == before


async def test_each_relation_needs_the_scope_of_what_it_leads_to(estate: Estate) -> None:
    house = estate.house
    kinds = {found.name: (kind, found.policy) for kind, found in NODES.items()}
    for parent, name, policy in relations(plain=True):
        if parent not in kinds:
            continue
        kind, own = kinds[parent]
        below = get_named_type(object_type(parent).fields[name].type)
        selection = leaves(below.name) if is_composite_type(below) else ""
        query = f'{{ node(id: "{kind}_1") {{ ... on {parent} {{ {name} {selection} }} }} }}'
        alone = await house.new_key(own.scope.value)
        actor = Actor(ActorKind.KEY, 0, frozenset({own.scope.value}))
        await expect(house, query, alone, policy, actor)
        together = await house.new_key(own.scope.value, policy.scope.value)
        assert (await outcome(house, query, together))[0] == "data", query
