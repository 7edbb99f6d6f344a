"""Mutations over GraphQL: their transactions, Idempotency-Key, node ids, and errors of our own."""

from typing import Any

import pytest

from resolvers import invoices, tickets
from resolvers.database import DatabaseUnavailable
from schema.root import NODES
from tests.conftest import House

pytestmark = pytest.mark.anyio

DEPARTMENT = 'departmentCreate(input: {name: "Sales"}) { id name }'


async def departments(house: House) -> list[str]:
    return [name for (name,) in await house.rows("SELECT name FROM departments ORDER BY id")]


def codes(response: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in response["errors"]]


# Several root fields


async def test_root_fields_run_one_after_the_other_each_in_its_own_transaction(house: House) -> None:
    await house.an_invoice()
    data = await house.data(
        "mutation { pay: invoicePay(id: 1) { status } again: invoicePay(id: 1) { status }"
        ' one: departmentCreate(input: {name: "A"}) { id } two: departmentCreate(input: {name: "B"}) { id } }'
    )
    assert list(data) == ["pay", "again", "one", "two"]
    assert data["pay"] == data["again"] == {"status": "PAID"}
    assert (data["one"]["id"], data["two"]["id"]) == ("dep_2", "dep_3")
    entries = await house.rows("SELECT DISTINCT action FROM audit_entries")
    assert {("invoicePay",), ("departmentCreate",)} <= set(entries)


async def test_a_root_field_that_fails_leaves_what_was_done_before_it(house: House) -> None:
    response = await house.graphql(
        'mutation { a: departmentCreate(input: {name: "A"}) { id } b: invoiceCancel(id: 99) { id }'
        ' c: departmentCreate(input: {name: "C"}) { id } }'
    )
    assert response["data"] is None
    (error,) = response["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["b"], "NOT_FOUND")
    assert await departments(house) == ["Support", "A"]


async def test_root_fields_stand_in_fragments_and_under_directives(house: House) -> None:
    document = """
        mutation M($yes: Boolean!, $no: Boolean!, $name: String!) {
          ...Make @include(if: $yes)
          ... on Mutation @skip(if: $yes) { second: departmentCreate(input: {name: "B"}) { id } }
          ... @include(if: $yes) { third: departmentCreate(input: {name: "C"}) @skip(if: $no) { ...Part } }
          __typename
        }
        fragment Make on Mutation { first: departmentCreate(input: {name: $name}) { id } ...Deeper }
        fragment Deeper on Mutation { first: departmentCreate(input: {name: $name}) { name } }
        fragment Part on Department { name ... on Node { id } }
    """
    data = await house.data(document, {"yes": True, "no": False, "name": "A"})
    assert data == {
        "first": {"id": "dep_2", "name": "A"},
        "third": {"name": "C", "id": "dep_3"},
        "__typename": "Mutation",
    }
    assert await departments(house) == ["Support", "A", "C"]


async def test_the_operation_that_is_named_is_the_one_that_runs(house: House) -> None:
    other = DEPARTMENT.replace("Sales", "B")
    document = f"mutation A {{ {DEPARTMENT} }} mutation B {{ b: {other} }} query C {{ __typename }}"
    async with house.http() as http:
        answer = await http.post("/graphql", json={"query": document, "operationName": "B"})
        assert answer.json()["data"] == {"b": {"id": "dep_2", "name": "B"}}
        answer = await http.post("/graphql", json={"query": document, "operationName": "C"})
        assert answer.json()["data"] == {"__typename": "Query"}
    assert await departments(house) == ["Support", "B"]


async def test_too_many_mutations_in_a_request_are_refused_before_any_runs(house: House) -> None:
    fields = " ".join(f'm{n}: departmentCreate(input: {{name: "D{n}"}}) {{ id }}' for n in range(6))
    response = await house.graphql(f"mutation {{ {fields} }}")
    assert codes(response) == ["VALIDATION_ERROR"]
    assert await departments(house) == ["Support"]


async def test_a_scope_that_one_field_lacks_stops_them_all(house: House) -> None:
    key = await house.new_key("departments:write")
    document = f"mutation {{ {DEPARTMENT} clientDelete(id: 1) {{ id }} }}"
    response = await house.graphql(document, key=key)
    assert codes(response) == ["FORBIDDEN"]
    assert "clients:write" in response["errors"][0]["message"]
    assert await departments(house) == ["Support"]


async def test_an_answer_shows_what_the_command_has_changed(house: House) -> None:
    await house.a_service()
    document = "mutation { serviceSuspend(id: 1) { client { services { nodes { id status } totalCount } } } }"
    data = await house.data(document)
    nodes = [{"id": "svc_1", "status": "SUSPENDED"}]
    assert data["serviceSuspend"]["client"]["services"] == {"nodes": nodes, "totalCount": 1}


# What fails


async def test_a_nested_field_that_fails_undoes_the_mutation(house: House) -> None:
    await house.a_service()
    before = await house.events()
    document = "mutation { serviceSuspend(id: 1) { id status client { services(first: 101) { totalCount } } } }"
    response = await house.graphql(document)
    assert codes(response) == ["VALIDATION_ERROR"]
    assert response["errors"][0]["path"] == ["serviceSuspend", "client", "services"]
    assert response["data"] is None
    assert await house.data("{ service(id: 1) { status } }") == {"service": {"status": "ACTIVE"}}
    assert await house.events() == before
    assert not await house.rows("SELECT 1 FROM audit_entries WHERE action = 'serviceSuspend'")


async def test_a_nested_scope_that_is_missing_is_found_before_anything_runs(house: House) -> None:
    await house.a_service()
    key = await house.new_key("services:write")
    response = await house.graphql("mutation { serviceSuspend(id: 1) { id client { id } } }", key=key)
    assert codes(response) == ["FORBIDDEN"]
    assert "data" not in response
    assert await house.data("{ service(id: 1) { status } }") == {"service": {"status": "ACTIVE"}}


async def test_an_error_of_our_own_is_masked_and_stores_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.a_client()
    before = await house.events()

    async def broken(*_: object) -> None:
        raise RuntimeError("the secret is in /etc/passwd")

    monkeypatch.setattr(tickets.messages, "add", broken)
    document = 'ticketCreate(input: {clientId: 1, departmentId: 1, subject: "S", message: "M"}) { id }'
    async with house.http() as http:
        answer = await http.post(
            "/graphql",
            json={"query": f"mutation {{ {document} }}"},
            headers={"idempotency-key": "k1", "x-request-id": "request-7"},
        )
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "request-7"
    assert "secret" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.json() == {
        "data": None,
        "errors": [
            {
                "message": "Something went wrong on our side.",
                "locations": [{"line": 1, "column": 12}],
                "path": ["ticketCreate"],
                "extensions": {"code": "INTERNAL_ERROR", "requestId": "request-7"},
            }
        ],
    }
    assert await house.rows("SELECT 1 FROM tickets") == []
    assert await house.rows("SELECT 1 FROM idempotency_records") == []
    assert await house.rows("SELECT 1 FROM audit_entries WHERE action = 'ticketCreate'") == []
    assert await house.events() == before
    monkeypatch.undo()
    async with house.http() as http:
        again = await http.post(
            "/graphql", json={"query": f"mutation {{ {document} }}"}, headers={"idempotency-key": "k1"}
        )
    ((id,),) = await house.rows("SELECT id FROM tickets")  # on PostgreSQL what failed has used up an id
    assert again.json()["data"] == {"ticketCreate": {"id": f"tic_{id}"}}


async def test_an_error_of_our_own_in_a_query_is_masked_and_leaves_the_rest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.an_invoice()

    async def broken(*_: object) -> None:
        raise KeyError("SELECT password_hash FROM clients")

    monkeypatch.setattr(invoices, "by_id", broken)
    response = await house.graphql("{ invoice(id: 1) { id } client(id: 1) { id } }")
    assert response["data"] == {"invoice": None, "client": {"id": "cli_1"}}
    assert codes(response) == ["INTERNAL_ERROR"]
    assert "password" not in str(response)


async def test_a_database_that_is_away_is_503_with_retry_after(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("disk I/O error")

    monkeypatch.setattr(tickets.departments, "add", away)
    async with house.http() as http:
        answer = await http.post("/graphql", json={"query": f"mutation {{ {DEPARTMENT} }}"})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert codes(answer.json()) == ["INTERNAL_ERROR"]
    assert "I/O" not in answer.text


# Idempotency-Key


async def keyed(house: House, query: str, key: str, variables: Any = None, **more: Any) -> Any:
    async with house.http(more.pop("token", None)) as http:
        body = {"query": query, "variables": variables} | more
        return await http.post("/graphql", json=body, headers={"idempotency-key": key})


async def test_a_key_that_is_used_again_replays_the_answer(house: House) -> None:
    document = "mutation($name: String!) { departmentCreate(input: {name: $name}) { id updatedAt } }"
    first = await keyed(house, document, "k-1", {"name": "Sales"})
    assert first.status_code == 200
    assert "idempotency-replayed" not in first.headers
    for key in ("k-1", '"k-1"'):
        again = await keyed(house, document, key, {"name": "Sales"})
        assert again.headers["idempotency-replayed"] == "true"
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]
    assert await departments(house) == ["Support", "Sales"]


async def test_blanks_and_the_order_of_members_do_not_make_another_request(house: House) -> None:
    await keyed(house, "mutation($a: String!) { departmentCreate(input: {name: $a}) { id } }", "k", {"a": "A"})
    other = "mutation ($a: String!) {\n  departmentCreate(input: { name: $a }) {\n    id\n  }\n}"
    again = await keyed(house, other, "k", {"a": "A"})
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_key_that_is_used_for_another_request_is_422(house: House) -> None:
    document = "mutation($name: String!) { departmentCreate(input: {name: $name}) { id } }"
    await keyed(house, document, "k-1", {"name": "Sales"})
    for query, variables in ((document, {"name": "Other"}), (document.replace("id }", "name }"), {"name": "Sales"})):
        answer = await keyed(house, query, "k-1", variables)
        assert answer.status_code == 422
        assert codes(answer.json()) == ["VALIDATION_ERROR"]
        assert "data" not in answer.json()
    assert await departments(house) == ["Support", "Sales"]


async def test_a_key_belongs_to_who_calls(house: House) -> None:
    document = f"mutation {{ {DEPARTMENT} }}"
    await keyed(house, document, "k-1")
    other = await house.new_key("departments:write")
    answer = await keyed(house, document, "k-1", token=other)
    assert answer.json()["data"]["departmentCreate"]["id"] == "dep_3"


async def test_a_refused_mutation_leaves_its_key_free(house: House) -> None:
    document = "mutation { invoicePay(id: 1) { status } }"
    assert codes((await keyed(house, document, "k-1")).json()) == ["NOT_FOUND"]
    await house.an_invoice()
    answer = await keyed(house, document, "k-1")
    assert answer.json()["data"] == {"invoicePay": {"status": "PAID"}}
    assert "idempotency-replayed" not in answer.headers


async def test_a_key_is_for_one_root_field(house: House) -> None:
    answer = await keyed(house, f"mutation {{ {DEPARTMENT} b: {DEPARTMENT} }}", "k-1")
    assert answer.status_code == 400
    assert "one mutation field" in answer.json()["errors"][0]["message"]
    assert await departments(house) == ["Support"]


async def test_a_malformed_key_is_refused_and_none_is_needed_for_queries(house: House) -> None:
    for key in ("", '""', "a" * 256, "a b", "a\tb"):
        answer = await keyed(house, f"mutation {{ {DEPARTMENT} }}", key)
        assert answer.status_code == 400
        assert "Idempotency-Key" in answer.json()["errors"][0]["message"]
    assert await departments(house) == ["Support"]
    assert (await keyed(house, "{ __typename }", "k")).json() == {"data": {"__typename": "Query"}}


# node


async def test_node_finds_every_type_by_its_typed_id(house: House) -> None:
    service = await house.a_service()
    await house.a_ticket(service["client_id"])
    await house.a_server()
    await house.data('mutation { serverGroupCreate(input: {name: "G"}) { id } }')
    await house.a_service(product_id=await house.a_product(module="mock"))
    await house.made(f"/webhooks/{(await house.a_webhook())['id']}/test")
    for kind, found in NODES.items():
        data = await house.data("query($id: ID!) { node(id: $id) { __typename id } }", {"id": f"{kind}_1"})
        assert data == {"node": {"__typename": found.name, "id": f"{kind}_1"}}
    interface = (await house.data('{ __type(name: "Node") { possibleTypes { name } } }'))["__type"]["possibleTypes"]
    assert {each["name"] for each in interface} == {found.name for found in NODES.values()}


async def test_node_gives_the_fields_of_the_type(house: House) -> None:
    await house.an_invoice()
    query = "{ node(id: %s) { id ... on Invoice { total client { email } items { amount } } ... on Client { email } } }"
    data = await house.data(query % '"inv_1"')
    expected = {"id": "inv_1", "total": "29.99", "client": {"email": "ada1@shop.test"}, "items": [{"amount": "29.99"}]}
    assert data == {"node": expected}
    assert await house.data(query % '"cli_1"') == {"node": {"id": "cli_1", "email": "ada1@shop.test"}}


async def test_node_refuses_what_is_no_typed_id_and_tells_what_is_not_there(house: House) -> None:
    query = "query($id: ID!) { node(id: $id) { id } }"
    for given in ("1", 1, "", "xyz_1", "cli_", "cli_x", "cli", "_1", "item_1", "pay_1", "msg_1"):
        response = await house.graphql(query, {"id": given})
        assert (codes(response), response["data"]) == (["VALIDATION_ERROR"], {"node": None}), given
    for kind in NODES:
        response = await house.graphql(query, {"id": f"{kind}_99"})
        assert (codes(response), response["data"]) == (["NOT_FOUND"], {"node": None})


async def test_a_mutation_may_read_several_relations_of_what_it_changed(house: House) -> None:
    """Loaders of one level ask at the same moment, and a transaction has one connection."""
    service = await house.a_service()
    ticket = await house.a_ticket(service["client_id"])
    for mutation in (
        f"ticketClose(id: {ticket['id']}) {{ id messages {{ id }} client {{ id }} department {{ name }} }}",
        f"invoicePay(id: {service['invoice_id']}) {{ id items {{ id }} payments {{ id }} client {{ id }} }}",
        f"serviceSuspend(id: {service['id']}) {{ id client {{ id invoices {{ nodes {{ id }} }} }} product {{ id }} }}",
    ):
        assert await house.data(f"mutation {{ {mutation} }}")
