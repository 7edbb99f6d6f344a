"""The names of the public schema, as the contract gives them, and the file that shows it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import graphql
import pytest
from graphql import GraphQLInterfaceType, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, get_introspection_query

from schema.actors import EVERY_SCOPE, Scope
from schema.root import build, sdl
from tests.conftest import House

FILE = Path(__file__).parents[2] / "schema.graphql"

NOUNS = ("client", "service", "invoice", "ticket", "product", "server", "department", "apiKey", "webhook", "event")
PAGE = {"first": "Int = 25", "after": "String", "last": "Int", "before": "String"}

COMMANDS = {
    "clientCreate": ({"input": "ClientCreateInput!"}, "Client!"),
    "clientUpdate": ({"id": "ID!", "input": "ClientUpdateInput!"}, "Client!"),
    "clientDelete": ({"id": "ID!"}, "DeletedClient!"),
    "serviceCreate": ({"input": "ServiceCreateInput!"}, "Service!"),
    "serviceSuspend": ({"id": "ID!", "reason": "SuspensionReason", "note": "String"}, "Service!"),
    "serviceUnsuspend": ({"id": "ID!"}, "Service!"),
    "serviceTerminate": ({"id": "ID!"}, "Service!"),
    "serviceProvision": ({"id": "ID!"}, "Service!"),
    "invoiceCreate": ({"input": "InvoiceCreateInput!"}, "Invoice!"),
    "invoicePay": (
        {"id": "ID!", "amount": "Money", "method": "String", "transactionId": "String", "paidAt": "DateTime"},
        "Invoice!",
    ),
    "invoiceCancel": ({"id": "ID!"}, "Invoice!"),
    "ticketCreate": ({"input": "TicketCreateInput!"}, "Ticket!"),
    "ticketReply": ({"id": "ID!", "message": "String!", "clientId": "ID"}, "Ticket!"),
    "ticketClose": ({"id": "ID!"}, "Ticket!"),
    "ticketUpdate": ({"id": "ID!", "input": "TicketUpdateInput!"}, "Ticket!"),
    "apiKeyCreate": ({"input": "ApiKeyCreateInput!"}, "CreatedApiKey!"),
    "apiKeyRevoke": ({"id": "ID!"}, "ApiKey!"),
    "webhookCreate": ({"input": "WebhookCreateInput!"}, "Webhook!"),
    "webhookUpdate": ({"id": "ID!", "input": "WebhookUpdateInput!"}, "Webhook!"),
    "webhookDelete": ({"id": "ID!"}, "DeletedWebhook!"),
    "webhookRotate": ({"id": "ID!"}, "Webhook!"),
    "webhookTest": ({"id": "ID!"}, "Delivery!"),
    "webhookRecover": ({"id": "ID!", "since": "String!"}, "Webhook!"),
    "deliveryRedeliver": ({"id": "ID!"}, "Delivery!"),
} | {
    f"{noun}{verb}": (({"id": "ID!"} if verb == "Update" else {}) | {"input": f"{type_}{verb}Input!"}, f"{type_}!")
    for noun, type_ in (
        ("product", "Product"),
        ("department", "Department"),
        ("server", "Server"),
        ("serverGroup", "ServerGroup"),
    )
    for verb in ("Create", "Update")
}

INPUTS = {
    "ClientCreateInput": {
        **dict.fromkeys(("firstName", "lastName", "email", "password"), "String!"),
        **dict.fromkeys(("company", "phone", "address", "city", "country"), "String"),
    },
    "ServiceCreateInput": {
        "clientId": "ID!",
        "productId": "ID!",
        "billingCycle": "BillingCycle!",
        "domain": "String",
        "username": "String",
        "invoice": "Boolean",
    },
    "InvoiceCreateInput": {"clientId": "ID!", "dueDate": "Date!", "items": "[InvoiceItemInput!]!"},
    "InvoiceItemInput": {"description": "String!", "amount": "Money!"},
    "TicketCreateInput": {
        "clientId": "ID!",
        "departmentId": "ID!",
        "subject": "String!",
        "message": "String!",
        "priority": "TicketPriority",
    },
    "WebhookCreateInput": {"url": "String!", "events": "[String!]", "description": "String"},
    "PriceInput": {"billingCycle": "BillingCycle!", "currency": "String!", "amount": "Money!", "setupFee": "Money"},
}

OBJECTS = {
    "Client": "id firstName lastName email company phone address city country status currency createdAt updatedAt",
    "Service": "id clientId productId serverId domain username billingCycle status amount currency nextDueDate "
    "suspensionReason createdAt updatedAt invoiceId provisionState allowedActions",
    "Invoice": "id number clientId status dueDate subtotal tax total balance currency items paidAt createdAt updatedAt "
    "allowedActions",
    "InvoiceItem": "id description amount",
    "Ticket": "id clientId departmentId subject status priority messages createdAt updatedAt allowedActions",
    "TicketMessage": "id author message createdAt",
    "Product": "id name description type status pricing",
    "Price": "billingCycle currency amount setupFee",
    "Server": "id name hostname module status maxAccounts accounts",
    "Department": "id name",
    "Event": "id sequence event timestamp",
    "CreatedApiKey": "key apiKey",
    "DeletedClient": "id deleted",
    "Webhook": "id url events description status disabledReason secret createdAt updatedAt deliveries",
    "Delivery": "id webhookId eventId event status attempts nextAttemptAt responseStatus createdAt attemptLog webhook",
    "DeliveryAttempt": "trigger startedAt milliseconds responseStatus error address answer",
    "DeletedWebhook": "id deleted",
}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    """The schema as a stranger reads it."""
    return graphql.build_schema(sdl())


def object_type(schema: GraphQLSchema, name: str) -> GraphQLObjectType | GraphQLInterfaceType:
    found = schema.type_map[name]
    assert isinstance(found, GraphQLObjectType | GraphQLInterfaceType)
    return found


def arguments(field: Any) -> dict[str, str]:
    """Name → type and default, as SDL writes them."""
    written = {}
    for name, argument in field.args.items():
        default = graphql.utilities.ast_from_value(argument.default_value, argument.type)
        shown = argument.default.literal if getattr(argument, "default", None) else default
        written[name] = str(argument.type) + ("" if shown is None else f" = {graphql.print_ast(shown)}")
    return written


@pytest.mark.parametrize("noun", NOUNS)
def test_each_noun_has_a_query_for_one_and_for_many(schema: GraphQLSchema, noun: str) -> None:
    fields = object_type(schema, "Query").fields
    type_ = noun[0].upper() + noun[1:]
    assert str(fields[noun].type) == type_
    assert arguments(fields[noun]) == {"id": "ID!"}
    many = fields[f"{noun}s"]
    assert str(many.type) == f"{type_}Connection!"
    assert arguments(many).items() >= (PAGE | {"filter": f"{type_}Filter", "sort": f"{type_}Sort"}).items()
    connection = object_type(schema, f"{type_}Connection").fields
    assert {name: str(field.type) for name, field in connection.items()} == {
        "nodes": f"[{type_}!]!",
        "edges": f"[{type_}Edge!]!",
        "pageInfo": "PageInfo!",
        "totalCount": "Int!",
    }
    edge = object_type(schema, f"{type_}Edge").fields
    assert {name: str(field.type) for name, field in edge.items()} == {"cursor": "String!", "node": f"{type_}!"}


def test_node_takes_an_id(schema: GraphQLSchema) -> None:
    node = object_type(schema, "Query").fields["node"]
    assert (str(node.type), arguments(node)) == ("Node", {"id": "ID!"})


@pytest.mark.parametrize("name", COMMANDS)
def test_each_mutation_has_its_arguments_and_returns_the_object_itself(schema: GraphQLSchema, name: str) -> None:
    field = object_type(schema, "Mutation").fields[name]
    assert (arguments(field), str(field.type)) == COMMANDS[name]


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_have_the_fields_of_the_reference_in_camel_case(schema: GraphQLSchema, name: str) -> None:
    found = schema.type_map[name]
    assert isinstance(found, graphql.GraphQLInputObjectType)
    assert {name: str(field.type) for name, field in found.fields.items()}.items() >= INPUTS[name].items()


def test_the_prices_of_a_product_are_an_input(schema: GraphQLSchema) -> None:
    found = schema.type_map["ProductCreateInput"]
    assert isinstance(found, graphql.GraphQLInputObjectType)
    assert str(found.fields["prices"].type) == "[PriceInput!]!"


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_have_the_fields_of_the_contract(schema: GraphQLSchema, name: str) -> None:
    assert set(object_type(schema, name).fields) >= set(OBJECTS[name].split())


def test_the_scalars_are_those_of_the_contract(schema: GraphQLSchema) -> None:
    scalars = {name for name, type_ in schema.type_map.items() if graphql.is_scalar_type(type_)}
    assert scalars == {"Money", "Date", "DateTime", "JSON", "ID", "String", "Int", "Boolean"}


def test_no_password_digest_or_credential_can_be_read(schema: GraphQLSchema) -> None:
    shown_once = {"Webhook": {"secret", "previousSecretUntil"}}  # in the answers that make it; test_webhooks.py
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name in set(type_.fields) - shown_once.get(type_.name, set()):
                assert not any(word in name.lower() for word in ("password", "digest", "credential", "secret", "hash"))


def test_every_field_argument_value_and_type_is_described() -> None:
    missing = []
    for type_ in build().type_map.values():
        if type_.name.startswith("__") or graphql.is_specified_scalar_type(type_):
            continue
        members: dict[str, Any] = {type_.name: type_}
        if graphql.is_enum_type(type_):
            members = {type_.name: type_}
        elif hasattr(type_, "fields"):
            members |= {f"{type_.name}.{name}": field for name, field in type_.fields.items()}
            for name, field in type_.fields.items():
                given = getattr(field, "args", {})
                members |= {f"{type_.name}.{name}({argument})": one for argument, one in given.items()}
        missing += [name for name, member in members.items() if not member.description]
    assert missing == []


def test_names_follow_the_pattern(schema: GraphQLSchema) -> None:
    mutation = object_type(schema, "Mutation").fields
    nouns = sorted(object_type(schema, "Query").fields, key=len, reverse=True)
    for name, field in mutation.items():
        assert next(noun for noun in nouns if name.startswith(noun)), name
        assert isinstance(field.type, GraphQLNonNull), f"{name} may be null"


# The file


def test_schema_graphql_is_the_schema() -> None:
    assert FILE.read_text() == sdl(), "write it anew: ./run schema print > schema.graphql"


def test_schema_graphql_is_tidy() -> None:
    text = sdl()
    assert text.endswith("}\n")
    assert not text.endswith("\n\n")
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_the_schema_is_printed_the_same_by_every_process() -> None:
    for seed in ("1", "2"):
        program = "import sys; from schema.root import sdl; sys.stdout.write(sdl())"
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            text=True,
            cwd=FILE.parent,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(FILE.parent)},
        )
        assert done.stdout == sdl()


def test_the_schema_survives_being_read_and_compared() -> None:
    assert (
        graphql.find_schema_changes(graphql.build_schema(sdl()), graphql.build_schema(graphql.print_schema(build())))
        == []
    )


# Introspection


INTROSPECTIONS: dict[str, dict[str, Any]] = {
    "the plain one": {},
    "every option": {
        "descriptions": True,
        "specified_by_url": True,
        "directive_is_repeatable": True,
        "schema_description": True,
        "input_value_deprecation": True,
        "experimental_directive_deprecation": True,
        "one_of": True,
    },
    "no descriptions": {"descriptions": False},
}


@pytest.mark.anyio
@pytest.mark.parametrize("options", INTROSPECTIONS.values(), ids=INTROSPECTIONS.keys())
async def test_the_standard_introspection_passes_for_every_key(house: House, options: dict[str, Any]) -> None:
    client = (await house.a_client())["id"]
    keys = [
        house.key,
        await house.new_key(*[scope.value for scope in Scope]),
        await house.new_key("events:read"),
        await house.new_key("clients:read", client=client),
        await house.new_key(EVERY_SCOPE, client=client),
    ]
    for key in keys:
        data = await house.data(get_introspection_query(**options), key=key)
        found = graphql.build_client_schema(data)
        assert set(object_type(found, "Query").fields) == set(object_type(build(), "Query").fields)
        assert set(object_type(found, "Mutation").fields) == set(object_type(build(), "Mutation").fields)


@pytest.mark.anyio
async def test_a_type_can_be_looked_up_by_name(house: House) -> None:
    key = await house.new_key("events:read")
    data = await house.data('{ __type(name: "Client") { kind fields { name type { name kind } } } }', key=key)
    assert data["__type"]["kind"] == "OBJECT"
