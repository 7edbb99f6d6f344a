"""An estate for the tests of who may see and do what: two clients with one of everything, and every field's question.

What is asked is made of the schema itself, so that a field that is added is asked for.
"""

from collections.abc import Iterator
from typing import Any

from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type, is_composite_type

from schema.actors import EVERY_SCOPE, Policy
from schema.fields import COMMANDS, QUERIES
from schema.root import build
from tests.conftest import House

PLANTED = "zanzibar"
"""Stands in everything of client B, so that it can be searched for in the answers to A."""

OPEN_NOUNS = {"clients", "services", "invoices", "tickets", "products", "events"}
OPEN_COMMANDS = {"ticketCreate", "ticketReply"}

OBJECTS = [
    "Client",
    "Service",
    "Invoice",
    "Ticket",
    "Product",
    "Server",
    "ServerGroup",
    "Department",
    "ApiKey",
    "ModuleCall",
    "Webhook",
    "Delivery",
]
OWNED = {"Client": "cli", "Service": "svc", "Invoice": "inv", "Ticket": "tic"}


class Estate:
    """A house where A and B have one of everything, A's being the first."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.a = self.b = ""
        """Keys with every scope that are bound to A and to B."""

    async def furnish(self) -> None:
        house = self.house
        group = await house.data('mutation { serverGroupCreate(input: {name: "G"}) { id } }')
        await house.a_server(serverGroupId=group["serverGroupCreate"]["id"])
        product = await house.a_product(serverGroupId="grp_1")
        for word, email in (("alpha", "a@shop.test"), (PLANTED, f"{PLANTED}@shop.test")):
            names = dict.fromkeys(("first_name", "last_name", "company", "phone", "address", "city"), word)
            client = (await house.a_client(**names, email=email))["id"]
            await house.a_service(client, product, domain=f"{word}.example.com", username=word)
            items = [{"description": word, "amount": "5.00"}]
            await house.an_invoice(client, items=items)
            paid = {"transaction_id": word}
            await house.rest("POST", f"/invoices/{client * 2}/pay", paid)
            await house.a_ticket(client, subject=word, message=word)
        await house.data(f'mutation {{ serviceSuspend(id: 2, note: "{PLANTED}") {{ id }} }}')
        await self._provision()
        webhook = await house.a_webhook(description=PLANTED)
        await house.made(f"/webhooks/{webhook['id']}/test")
        self.a = await house.new_key(EVERY_SCOPE, client=1)
        self.b = await house.new_key(EVERY_SCOPE, client=2, name=PLANTED)
        while await house.rows("SELECT 1 FROM events WHERE sequence IS NULL"):
            await house.data("{ __typename }")

    async def _provision(self) -> None:
        """A service of B whose account was made by a module."""
        change = "mutation($input: ProductUpdateInput!) { productUpdate(id: 1, input: $input) { id } }"
        await self.house.data(change, {"input": {"module": "mock", "serverGroupId": None}})
        await self.house.a_service(2, 1, domain=f"{PLANTED}.example.com", username=PLANTED, invoice=False)
        await self.house.data(change, {"input": {"module": "none", "serverGroupId": "grp_1"}})
        while await self.house.rows("SELECT 1 FROM module_calls WHERE due_at IS NOT NULL"):
            await self.house.data("{ __typename }")

    async def event_of(self, client: int) -> str:
        rows = await self.house.rows("SELECT public_id FROM events WHERE client_id = ? ORDER BY id LIMIT 1", client)
        return str(rows[0][0])


def leaves(name: str, depth: int = 0) -> str:
    """A selection of everything plain of a type, and of what it leads to without a policy of its own."""
    type_ = build().type_map[name]
    assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
    parts = ["__typename", *_leaves(type_, depth)]
    if isinstance(type_, GraphQLInterfaceType):
        for one in build().get_possible_types(type_):
            own = [part for part in _leaves(one, depth) if part not in parts]
            # Each has its own name, for what is called the same is of another type in each.
            named = [f"{one.name}_{place}: {part}" for place, part in enumerate(own)]
            parts.append(f"... on {one.name} {{ {' '.join(named)} }}")
    return "{ " + " ".join(parts) + " }"


def _leaves(type_: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> list[str]:
    parts = []
    for field_name, field in type_.fields.items():
        below = get_named_type(field.type)
        if "requires" in field.extensions:
            continue
        if not is_composite_type(below):
            parts.append(field_name)
        elif depth < 4:
            parts.append(f"{field_name} {leaves(below.name, depth + 1)}")
    return parts


def object_type(name: str) -> GraphQLObjectType:
    found = build().type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found


def relations(*, plain: bool = False) -> Iterator[tuple[str, str, Policy]]:
    """Type, field and policy of every field that has a policy, below the root."""
    for type_ in build().type_map.values():
        if isinstance(type_, GraphQLObjectType) and type_.name not in ("Query", "Mutation", "Subscription"):
            for name, field in type_.fields.items():
                policy = field.extensions.get("requires")
                if policy is not None and (plain or is_composite_type(get_named_type(field.type))):
                    yield type_.name, name, policy


def queried(name: str, arguments: str = "") -> str:
    result = get_named_type(object_type("Query").fields[name].type).name
    selection = "{ __typename id }" if name == "node" else leaves(result)
    return f"{{ {name}{f'({arguments})' if arguments else ''} {selection} }}"


def one_of(name: str) -> bool:
    return "id" in QUERIES[name].arguments.members


def scope_of(name: str) -> Policy:
    policy = (QUERIES.get(name) or COMMANDS[name]).requires
    assert policy is not None
    return policy


SINGLES = [name for name in QUERIES if one_of(name) and name != "node"]
LISTS = [name for name in QUERIES if not one_of(name)]

VALUES: dict[str, str] = {
    "clientCreate": 'input: {firstName: "N", lastName: "N", email: "n@shop.test", password: "12345678"}',
    "clientUpdate": 'id: %s, input: {city: "Oslo"}',
    "clientDelete": "id: %s",
    "serviceCreate": "input: {clientId: %s, productId: 1, billingCycle: MONTHLY}",
    "serviceSuspend": "id: %s",
    "serviceUnsuspend": "id: %s",
    "serviceTerminate": "id: %s",
    "serviceProvision": "id: %s",
    "serviceCancel": "id: %s",
    "moduleCallRetry": "id: %s",
    "invoiceCreate": 'input: {clientId: %s, dueDate: "2030-01-31", items: [{description: "D", amount: 1}]}',
    "invoicePay": "id: %s",
    "invoiceCancel": "id: %s",
    "ticketCreate": 'input: {clientId: %s, departmentId: 1, subject: "S", message: "M"}',
    "ticketReply": 'id: %s, message: "M"',
    "ticketClose": "id: %s",
    "ticketUpdate": "id: %s, input: {priority: LOW}",
    "productCreate": 'input: {name: "P", prices: [{billingCycle: MONTHLY, currency: "USD", amount: 1}]}',
    "productUpdate": 'id: 1, input: {name: "P"}',
    "departmentCreate": 'input: {name: "D"}',
    "departmentUpdate": 'id: 1, input: {name: "D"}',
    "serverCreate": 'input: {name: "S", hostname: "s.example.com"}',
    "serverUpdate": 'id: 1, input: {name: "S"}',
    "serverGroupCreate": 'input: {name: "G"}',
    "serverGroupUpdate": 'id: 1, input: {name: "G"}',
    "apiKeyCreate": 'input: {name: "K", scopes: ["products:read"]}',
    "apiKeyRevoke": "id: %s",
    "webhookCreate": 'input: {url: "http://127.0.0.1:9/webhooks"}',
    "webhookUpdate": 'id: %s, input: {description: "D"}',
    "webhookRotate": "id: %s",
    "webhookTest": "id: %s",
    "webhookRecover": 'id: %s, since: "2020-01-01"',
    "deliveryRedeliver": "id: %s",
    "webhookDelete": "id: %s",
}
"""Arguments of every mutation, `%s` for the object that it acts on or for."""


def commanded(name: str, number: int) -> str:
    arguments = VALUES[name].replace("%s", str(number))
    return f"mutation {{ {name}({arguments}) {{ __typename }} }}"


async def outcome(house: House, query: str, key: str) -> tuple[str, str]:
    """`data` and nothing, or the code of the first error and its message."""
    response = await house.graphql(query, key=key)
    if "errors" not in response:
        return "data", ""
    error = response["errors"][0]
    return error["extensions"]["code"], error["message"]


async def everything(house: House) -> list[tuple[Any, ...]]:
    """What the database holds, but for notes of when keys were used."""
    names = (
        "clients services invoices payments tickets ticket_messages products departments servers server_groups "
        "events audit_entries module_calls webhooks webhook_circuits deliveries delivery_attempts"
    )
    rows: list[tuple[Any, ...]] = []
    for table in names.split():
        rows += await house.rows(f"SELECT * FROM {table} ORDER BY 1")
    return rows + await house.rows("SELECT id, scopes, revoked_at FROM api_keys ORDER BY 1")
