"""The number of SQL statements of a list does not grow with its rows."""

from collections.abc import Iterator

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type, is_composite_type

from rest_compat.routes import ROUTES
from schema.fields import QUERIES
from schema.root import build
from tests.conftest import House
from tests.doors.undelivered import house
from tests.rehearsal import settled

pytestmark = pytest.mark.anyio
__all__ = ["house"]

FEW, MANY = 3, 30
LISTS = [name for name, root in QUERIES.items() if "first" in root.arguments.members]
ASIDE = ("FROM api_keys WHERE digest = ?", "UPDATE api_keys SET last_used_at")
"""What the process does beside the request: recognising the key, noting its use."""


def object_type(name: str) -> GraphQLObjectType | GraphQLInterfaceType:
    found = build().type_map[name]
    assert isinstance(found, GraphQLObjectType | GraphQLInterfaceType)
    return found


def plain(name: str) -> str:
    return " ".join(n for n, f in object_type(name).fields.items() if not is_composite_type(get_named_type(f.type)))


def selections(name: str, depth: int) -> Iterator[str]:
    """What can be selected of a type: each relation, and below it each one again, as deep as told."""
    for field_name, field in object_type(name).fields.items():
        target = get_named_type(field.type)
        if not is_composite_type(target):
            if "requires" in field.extensions:
                yield field_name
            continue
        if target.name.endswith("Connection"):
            node = get_named_type(object_type(target.name).fields["nodes"].type).name
            before, after = f"{field_name}(first: 2) {{ totalCount pageInfo {{ endCursor }} nodes {{ id ", "} }"
        else:
            node, before, after = target.name, f"{field_name} {{ __typename ", "}"
        yield before + after
        if depth:
            for below in selections(node, depth - 1):
                yield f"{before} {below} {after}"


def documents(name: str) -> Iterator[str]:
    """The list alone, by nodes and by edges, and with each selection of relations one and two levels deep."""
    connection = get_named_type(object_type("Query").fields[name].type).name
    node = get_named_type(object_type(connection).fields["nodes"].type).name
    page = "pageInfo { hasNextPage startCursor endCursor }"
    yield f"{{ {name}(first: {MANY}) {{ totalCount {page} nodes {{ {plain(node)} }} }} }}"
    yield f"{{ {name}(last: {MANY}) {{ edges {{ cursor node {{ id }} }} }} }}"
    for selection in selections(node, 1):
        yield f"{{ {name}(first: {MANY}) {{ nodes {{ id {selection} }} }} }}"
        yield f"{{ {name}(first: {MANY}) {{ edges {{ node {{ {selection} }} }} }} }}"


async def furnish(house: House, start: int, end: int) -> None:
    """Objects of every kind, each related to others of its own: as many of each as told."""
    for number in range(start, end):
        group = await house.data(f'mutation {{ serverGroupCreate(input: {{name: "G{number}"}}) {{ id }} }}')
        group_id = group["serverGroupCreate"]["id"]
        await house.a_server(serverGroupId=group_id, module="mock")
        client = (await house.a_client())["id"]
        product = await house.a_product(serverGroupId=group_id, module="mock")
        service = await house.a_service(client, product)
        await house.made(f"/invoices/{service['invoice_id']}/pay")
        department = await house.data(f'mutation {{ departmentCreate(input: {{name: "D{number}"}}) {{ id }} }}')
        department_id = int(department["departmentCreate"]["id"].removeprefix("dep_"))
        ticket = await house.a_ticket(client, department_id=department_id)
        await house.made(f"/tickets/{ticket['id']}/reply", {"message": "Yes?"})
        await house.new_key("clients:read", client=client)
        webhook = await house.a_webhook(events=["webhook.disabled"])
        await house.made(f"/webhooks/{webhook['id']}/test")
    await settled(house)
    while await house.rows("SELECT 1 FROM events WHERE sequence IS NULL"):
        await house.data("{ __typename }")


async def measured(house: House, statements: list[str]) -> dict[str, int]:
    """Each list at each door, and the number of its statements."""
    counts: dict[str, int] = {}
    for name in LISTS:
        for document in documents(name):
            statements.clear()
            await house.data(document)
            counts[document] = len(of_the_request(statements))
    for route in ROUTES:
        if route.is_list:
            for query in ("",) if route.noun == "events" else ("", "?total=true", "?sort=-id"):  # that has one order
                statements.clear()
                assert (await house.rest("GET", route.path.replace("{id}", "1") + query)).status_code == 200
                counts[route.path + query] = len(of_the_request(statements))
    return counts


def of_the_request(statements: list[str]) -> list[str]:
    return [sql for sql in statements if not any(part in sql for part in ASIDE)]


async def test_no_list_needs_more_statements_for_thirty_rows_than_for_three(
    house: House, statements: list[str]
) -> None:
    await furnish(house, 0, FEW)
    few = await measured(house, statements)
    await furnish(house, FEW, MANY)
    for name in LISTS:
        data = await house.data(f"{{ {name}(first: 100) {{ nodes {{ __typename }} }} }}")
        assert len(data[name]["nodes"]) >= MANY, f"there are too few {name} to tell"
    many = await measured(house, statements)
    assert {what: (few[what], count) for what, count in many.items() if count != few[what]} == {}
    assert len(many) > 50
    # One for the list and, for each connection below it, one for the page and one for the count.
    assert all(0 < count <= 5 for count in many.values()), {what: count for what, count in many.items() if count > 5}


async def test_a_list_is_one_statement_and_each_level_below_it_one_more(house: House, statements: list[str]) -> None:
    await furnish(house, 0, FEW)
    for document, expected in {
        "{ invoices { nodes { id total status } } }": 1,
        "{ invoices { nodes { id client { id } } } }": 2,
        "{ invoices { nodes { id items { id } payments { id } client { id } } } }": 4,
        "{ clients { nodes { services(first: 5) { nodes { id product { pricing { amount } } } } } } }": 4,
        "{ clients { totalCount } }": 2,
        "{ client(id: 1) { id } }": 1,
        '{ node(id: "cli_1") { id } }': 1,
        "{ a: client(id: 1) { id } b: client(id: 2) { id } }": 2,
    }.items():
        statements.clear()
        await house.data(document)
        assert len(of_the_request(statements)) == expected, document
