"""Connections: pages, cursors, counts, filters and orders of every list."""

import base64
import json
from typing import Any

import orjson
import pytest

from schema.fields import QUERIES
from tests.conftest import House
from tests.rehearsal import settled

pytestmark = pytest.mark.anyio

LISTS = sorted(name for name, root in QUERIES.items() if "first" in root.arguments.members)
PAGE_INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


async def filled(house: House) -> None:
    """Two objects of every kind, and more of some."""
    for number in (1, 2):
        client = (await house.a_client())["id"]
        service = await house.a_service(client)
        await house.a_ticket(client)
        await house.rest("POST", f"/invoices/{service['invoice_id']}/pay")
        await house.a_server(name=f"web{number}")
        await house.data(f'mutation {{ departmentCreate(input: {{name: "D{number}"}}) {{ id }} }}')
        await house.data(f'mutation {{ serverGroupCreate(input: {{name: "G{number}"}}) {{ id }} }}')
        await house.a_service(client, await house.a_product(module="mock"), invoice=False)
    await settled(house)
    await house.new_key("clients:read")
    while await house.rows("SELECT 1 FROM events WHERE sequence IS NULL"):
        await house.data("{ __typename }")
    for _ in range(2):
        await house.made(f"/webhooks/{(await house.a_webhook())['id']}/test")


async def many_invoices(house: House, number: int) -> list[str]:
    """Invoices of one client with few different due dates, so that orders have ties; their ids."""
    client = (await house.a_client())["id"]
    document = "mutation($input: InvoiceCreateInput!) { invoiceCreate(input: $input) { id } }"
    ids = []
    for place in range(number):
        items = [{"description": "Hosting", "amount": "1.00"}]
        given = {"clientId": str(client), "dueDate": f"2030-01-{place * 5 % 7 + 1:02}", "items": items}
        ids.append((await house.engine.run(document, {"input": given}))["invoiceCreate"]["id"])
    return ids


async def page(house: House, name: str, arguments: str = "") -> dict[str, Any]:
    given = f"({arguments})" if arguments else ""
    query = f"{{ {name}{given} {{ nodes {{ id }} edges {{ cursor node {{ id }} }} {PAGE_INFO} totalCount }} }}"
    found: dict[str, Any] = (await house.data(query))[name]
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    cursors = [edge["cursor"] for edge in found["edges"]]
    assert found["pageInfo"]["startCursor"] == (cursors[0] if cursors else None)
    assert found["pageInfo"]["endCursor"] == (cursors[-1] if cursors else None)
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [node["id"] for node in found["nodes"]]


async def refusal(house: House, query: str, variables: dict[str, Any] | None = None) -> dict[str, str]:
    """The fields of the one error."""
    (error,) = (await house.graphql(query, variables))["errors"]
    assert error["extensions"]["code"] == "VALIDATION_ERROR", error
    return dict(error["extensions"].get("fields", {}))


# Pages of every list


@pytest.mark.parametrize("name", LISTS)
async def test_every_list_is_walked_in_both_directions(house: House, name: str) -> None:
    await filled(house)
    whole = await page(house, name)
    count = len(whole["nodes"])
    assert count == whole["totalCount"] >= 2
    assert len(set(ids(whole))) == count
    assert (whole["pageInfo"]["hasNextPage"], whole["pageInfo"]["hasPreviousPage"]) == (False, False)
    first = await page(house, name, "first: 1")
    assert ids(first) == ids(whole)[:1]
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    cursor = json.dumps(first["pageInfo"]["endCursor"])
    rest = await page(house, name, f"after: {cursor}")
    assert ids(rest) == ids(whole)[1:]
    assert rest["totalCount"] == count
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    last = await page(house, name, "last: 1")
    assert ids(last) == ids(whole)[-1:]
    assert (last["pageInfo"]["hasNextPage"], last["pageInfo"]["hasPreviousPage"]) == (False, True)
    cursor = json.dumps(last["pageInfo"]["startCursor"])
    assert ids(await page(house, name, f"last: 100, before: {cursor}")) == ids(whole)[:-1]


@pytest.mark.parametrize("name", LISTS)
async def test_every_list_is_empty_when_nothing_is_there(house: House, name: str) -> None:
    found = await page(house, name)
    assert len(found["nodes"]) == found["totalCount"] == {"departments": 1, "apiKeys": 1}.get(name, 0)


@pytest.mark.parametrize("name", LISTS)
async def test_more_than_a_hundred_are_refused_with_a_sentence(house: House, name: str) -> None:
    for argument in ("first", "last"):
        for number in (101, 0, -1):
            fields = await refusal(house, f"{{ {name}({argument}: {number}) {{ totalCount }} }}")
            assert fields == {argument: f"The {argument} field must be from 1 to 100."}
    assert ids(await page(house, name, "first: 100")) == ids(await page(house, name, "first: null"))


@pytest.mark.parametrize("name", LISTS)
async def test_every_list_refuses_a_cursor_that_it_did_not_give(house: House, name: str) -> None:
    def written(*parts: object) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")

    bad = ["x", "MQ", written("id", 1), written("id", "1", 1), written("id", -1, 1), written("id", 1, 2**63), "é", "=="]
    bad += [written("password_hash", "a", 1), written("created_at", "0001-01-01T00:00:00+14:00", 1), written(1)]
    for cursor in bad:
        if name != "events" and cursor == written("id", 1):
            continue
        for argument in ("after", "before"):
            query = f"query($cursor: String) {{ {name}({argument}: $cursor) {{ totalCount }} }}"
            expected = f"The {argument} field must be a cursor that this list gave with the same sort."
            if cursor == written("id", 1, 1) and name != "events":
                continue
            assert await refusal(house, query, {"cursor": cursor}) == {argument: expected}, cursor


# Long walks


async def test_walking_250_rows_gives_each_once_in_both_directions(house: House) -> None:
    made = await many_invoices(house, 250)
    by_date = sorted(made, key=lambda one: (made.index(one) * 5 % 7, made.index(one)))
    orders = {"": made, ", sort: ID": made, ", sort: CREATED_AT": made, ", sort: DUE_DATE": by_date}
    orders |= {f"{order}_DESC": expected[::-1] for order, expected in orders.items() if order}
    for order, expected in orders.items():
        found = await page(house, "invoices", f"first: 30{order}")
        forwards = ids(found)
        while found["pageInfo"]["hasNextPage"]:
            cursor = json.dumps(found["pageInfo"]["endCursor"])
            found = await page(house, "invoices", f"first: 30, after: {cursor}{order}")
            forwards += ids(found)
        assert forwards == expected, order
        found = await page(house, "invoices", f"last: 30{order}")
        backwards = ids(found)
        while found["pageInfo"]["hasPreviousPage"]:
            cursor = json.dumps(found["pageInfo"]["startCursor"])
            found = await page(house, "invoices", f"last: 30, before: {cursor}{order}")
            backwards = ids(found) + backwards
        assert backwards == expected, order


async def test_rows_that_come_and_go_do_not_move_those_of_the_next_page(house: House) -> None:
    for _ in range(6):
        await house.a_client()
    first = await page(house, "clients", "first: 3")
    await house.rest("DELETE", "/clients/1")
    await house.rest("DELETE", "/clients/3")
    await house.a_client(email="late@shop.test")
    cursor = json.dumps(first["pageInfo"]["endCursor"])
    assert ids(await page(house, "clients", f"first: 10, after: {cursor}")) == ["cli_4", "cli_5", "cli_6", "cli_7"]


async def test_an_offset_skips_and_goes_with_first_alone(house: House) -> None:
    for _ in range(5):
        await house.a_client()
    found = await page(house, "clients", "first: 2, offset: 2")
    assert ids(found) == ["cli_3", "cli_4"]
    assert (found["pageInfo"]["hasNextPage"], found["pageInfo"]["hasPreviousPage"]) == (True, True)
    assert ids(await page(house, "clients", "offset: 10000")) == []
    cursor = json.dumps(found["pageInfo"]["endCursor"])
    for more in (f"after: {cursor}", f"before: {cursor}", "last: 1"):
        assert list(await refusal(house, f"{{ clients(offset: 1, {more}) {{ totalCount }} }}")) == ["offset"]
    for number in (-1, 10_001):
        assert list(await refusal(house, f"{{ clients(offset: {number}) {{ totalCount }} }}")) == ["offset"]


async def test_a_cursor_of_another_sort_is_refused(house: House) -> None:
    await many_invoices(house, 3)
    sorts = ["ID", "ID_DESC", "CREATED_AT", "CREATED_AT_DESC", "DUE_DATE", "DUE_DATE_DESC"]
    for given in sorts:
        cursor = (await page(house, "invoices", f"first: 1, sort: {given}"))["pageInfo"]["endCursor"]
        for asked in sorts:
            query = f"query($cursor: String) {{ invoices(sort: {asked}, after: $cursor) {{ totalCount }} }}"
            if asked == given:
                await house.data(query, {"cursor": cursor})
            else:
                assert list(await refusal(house, query, {"cursor": cursor})) == ["after"]


async def test_after_and_before_bound_a_page_together(house: House) -> None:
    for _ in range(6):
        await house.a_client()
    cursors = [edge["cursor"] for edge in (await page(house, "clients"))["edges"]]
    between = f"after: {json.dumps(cursors[0])}, before: {json.dumps(cursors[4])}"
    assert ids(await page(house, "clients", between)) == ["cli_2", "cli_3", "cli_4"]
    assert ids(await page(house, "clients", f"last: 2, {between}")) == ["cli_3", "cli_4"]
    assert ids(await page(house, "clients", f"first: 2, {between}")) == ["cli_2", "cli_3"]


async def test_the_count_is_computed_only_when_asked_for(house: House, statements: list[str]) -> None:
    await house.data("{ clients { nodes { id } edges { cursor } pageInfo { endCursor } } }")
    assert [sql for sql in statements if "count(" in sql.lower()] == []
    await house.data("{ clients { totalCount } }")
    assert len([sql for sql in statements if "count(" in sql.lower()]) == 1


# Lists below an object


async def test_connections_below_an_object_are_paged_too(house: House) -> None:
    ones = await many_invoices(house, 5)
    others = await many_invoices(house, 4)
    query = (
        "query($first: Int, $after: String, $last: Int) { clients(first: 2) { nodes {"
        " invoices(first: $first, after: $after, last: $last)"
        f" {{ nodes {{ id }} {PAGE_INFO} totalCount }} }} }} }}"
    )
    found = [node["invoices"] for node in (await house.data(query, {"first": 3}))["clients"]["nodes"]]
    assert [ids(each) for each in found] == [ones[:3], others[:3]]
    assert [each["totalCount"] for each in found] == [5, 4]
    assert [each["pageInfo"]["hasNextPage"] for each in found] == [True, True]
    cursor = found[0]["pageInfo"]["endCursor"]
    found = [node["invoices"] for node in (await house.data(query, {"after": cursor}))["clients"]["nodes"]]
    assert ids(found[0]) == ones[3:]
    found = [node["invoices"] for node in (await house.data(query, {"last": 2}))["clients"]["nodes"]]
    assert [ids(each) for each in found] == [ones[-2:], others[-2:]]
    assert list(await refusal(house, query, {"first": 101})) == ["first"]


# Filters


async def test_clients_are_filtered(house: House) -> None:
    await house.a_client(first_name="Ada", company="Analytical")
    await house.a_client(first_name="Grace", last_name="Hopper", email="Grace@Navy.test")
    for given, expected in {
        "status: ACTIVE": ["cli_1", "cli_2"],
        "status: CLOSED": [],
        'email: "gRACE@navy.test"': ["cli_2"],
        'q: "ANALY"': ["cli_1"],
        'q: "hop"': ["cli_2"],
        'q: "grace h"': ["cli_2"],
        'q: "race"': [],
        'q: "%"': [],
        'createdFrom: "2020-01-01", createdTo: "2100-01-01T00:00:00Z"': ["cli_1", "cli_2"],
        'createdTo: "2020-01-01"': [],
        'createdFrom: "2100-01-01"': [],
        'status: ACTIVE, email: "ada1@shop.test"': ["cli_1"],
        "": ["cli_1", "cli_2"],
    }.items():
        found = await page(house, "clients", f"filter: {{{given}}}")
        assert (ids(found), found["totalCount"]) == (expected, len(expected)), given


async def test_services_are_filtered(house: House) -> None:
    await house.a_service()
    await house.a_service()
    await house.data("mutation { serviceSuspend(id: 2) { id } }")
    for given, expected in {
        "status: ACTIVE": ["svc_1"],
        "status: SUSPENDED": ["svc_2"],
        "status: PENDING": [],
        'clientId: "cli_2"': ["svc_2"],
        "productId: 1": ["svc_1"],
        'clientId: "cli_2", productId: "pro_1"': [],
        'createdFrom: "2020-01-01"': ["svc_1", "svc_2"],
        'createdTo: "2020-01-01"': [],
    }.items():
        assert ids(await page(house, "services", f"filter: {{{given}}}")) == expected, given


async def test_invoices_are_filtered(house: House) -> None:
    await house.an_invoice()
    await house.an_invoice(due_date="2020-01-31")
    await house.an_invoice(1, due_date="2020-01-31")
    await house.an_invoice(1)
    await house.data("mutation { a: invoicePay(id: 3) { id } b: invoiceCancel(id: 4) { id } }")
    for given, expected in {
        "status: UNPAID": ["inv_1", "inv_2"],
        "status: OVERDUE": ["inv_2"],
        "status: PAID": ["inv_3"],
        "status: CANCELLED": ["inv_4"],
        "status: DRAFT": [],
        'clientId: "cli_1"': ["inv_1", "inv_3", "inv_4"],
        'clientId: "cli_1", status: UNPAID': ["inv_1"],
        "clientId: 2, status: OVERDUE": ["inv_2"],
        'createdFrom: "2020-01-01"': ["inv_1", "inv_2", "inv_3", "inv_4"],
        'createdTo: "2020-01-01"': [],
    }.items():
        found = await page(house, "invoices", f"filter: {{{given}}}")
        assert (ids(found), found["totalCount"]) == (expected, len(expected)), given


async def test_tickets_are_filtered(house: House) -> None:
    await house.data('mutation { departmentCreate(input: {name: "Sales"}) { id } }')
    await house.a_ticket()
    await house.a_ticket(department_id=2, priority="high")
    await house.data("mutation { ticketClose(id: 2) { id } }")
    for given, expected in {
        "status: OPEN": ["tic_1"],
        "status: CLOSED": ["tic_2"],
        'clientId: "cli_2"': ["tic_2"],
        'departmentId: "dep_1"': ["tic_1"],
        "departmentId: 2": ["tic_2"],
        "priority: HIGH": ["tic_2"],
        "priority: LOW": [],
        "priority: HIGH, departmentId: 1": [],
        'createdFrom: "2020-01-01"': ["tic_1", "tic_2"],
        'createdTo: "2020-01-01"': [],
    }.items():
        assert ids(await page(house, "tickets", f"filter: {{{given}}}")) == expected, given


async def test_products_servers_and_departments_are_filtered(house: House) -> None:
    await house.a_product()
    await house.a_product(status="HIDDEN")
    await house.a_server()
    await house.a_server(status="DISABLED")
    assert ids(await page(house, "products", "filter: {status: ACTIVE}")) == ["pro_1"]
    assert ids(await page(house, "products", "filter: {status: HIDDEN}")) == ["pro_2"]
    assert ids(await page(house, "servers", "filter: {status: ACTIVE}")) == ["srv_1"]
    for name, all_of_it in (("products", 2), ("servers", 2), ("departments", 1)):
        assert len(ids(await page(house, name, 'filter: {createdFrom: "2020-01-01"}'))) == all_of_it
        assert ids(await page(house, name, 'filter: {createdTo: "2020-01-01"}')) == []


async def test_a_moment_in_a_filter_is_included_to_its_whole_second(house: House) -> None:
    await house.a_client()
    moment = (await house.data("{ client(id: 1) { createdAt } }"))["client"]["createdAt"]
    for given in (
        f'createdFrom: "{moment}"',
        f'createdTo: "{moment}"',
        f'createdFrom: "{moment}", createdTo: "{moment}"',
    ):
        assert ids(await page(house, "clients", f"filter: {{{given}}}")) == ["cli_1"]


async def test_null_in_a_filter_leaves_it_free(house: House) -> None:
    await house.a_client()
    members = ("status", "email", "q", "createdFrom", "createdTo")
    query = "query($filter: ClientFilter) { clients(filter: $filter) { totalCount } }"
    for given in (None, {}, dict.fromkeys(members)):
        assert await house.data(query, {"filter": given}) == {"clients": {"totalCount": 1}}


async def test_an_unknown_filter_is_refused(house: House) -> None:
    for name in LISTS:
        response = await house.graphql(f"{{ {name}(filter: {{statsu: 1}}) {{ totalCount }} }}")
        assert [error["extensions"]["code"] for error in response["errors"]] == ["VALIDATION_ERROR"]
        assert "data" not in response


# Orders


@pytest.mark.parametrize("name", LISTS)
async def test_every_order_of_every_list_sorts_and_its_reverse_reverses(house: House, name: str) -> None:
    await filled(house)
    noun = "delivery" if name == "deliveries" else name.removesuffix("s")
    data = await house.data(f'{{ __type(name: "{noun[0].upper()}{noun[1:]}Sort") {{ enumValues {{ name }} }} }}')
    values = [value["name"] for value in data["__type"]["enumValues"]]
    assert values
    for value in values:
        if not value.endswith("_DESC"):
            upwards = ids(await page(house, name, f"sort: {value}"))
            assert ids(await page(house, name, f"sort: {value}_DESC")) == upwards[::-1]
            assert len(upwards) >= 2
