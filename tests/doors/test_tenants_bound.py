"""Who may see and do what: every field of the schema against keys that are bound to a client."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from graphql import get_named_type, is_composite_type

from schema.fields import COMMANDS
from schema.root import NODES
from tests.conftest import open_house
from tests.databases import EmptyDatabase
from tests.doors.estate import (
    LISTS,
    OPEN_COMMANDS,
    OPEN_NOUNS,
    OWNED,
    PLANTED,
    SINGLES,
    Estate,
    commanded,
    everything,
    leaves,
    object_type,
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


# Keys that are bound to a client


async def test_a_bound_key_lists_and_counts_what_is_its_clients(estate: Estate) -> None:
    house = estate.house
    for key, client in ((estate.a, 1), (estate.b, 2)):
        for name in LISTS:
            response = await house.graphql(queried(name), key=key)
            if name not in OPEN_NOUNS:
                assert response["errors"][0]["extensions"]["code"] == "FORBIDDEN", name
                assert "data" not in response
                continue
            found = response["data"][name]
            assert found["totalCount"] == len(found["nodes"]), name
            if name == "products":
                assert found["totalCount"] == 1
            elif name == "clients":
                assert [node["id"] for node in found["nodes"]] == [f"cli_{client}"]
            elif name == "events":
                mine = "SELECT count(*) FROM events WHERE client_id = ? AND sequence IS NOT NULL"
                assert found["totalCount"] == (await house.rows(mine, client))[0][0] > 0
            else:
                assert {node["clientId"] for node in found["nodes"]} == {f"cli_{client}"}
                whole = (await house.data(f"{{ {name} {{ totalCount }} }}"))[name]["totalCount"]
                assert 0 < found["totalCount"] < whole


async def test_a_bound_key_finds_its_own_objects_and_no_others(estate: Estate) -> None:
    house = estate.house
    for type_, prefix in OWNED.items():
        noun = type_.lower()
        for number in (1, 2):
            owner = (
                await house.rows(
                    f"SELECT {'id' if noun == 'client' else 'client_id'} FROM {noun}s WHERE id = ?", number
                )
            )[0][0]
            for query in (queried(noun, f"id: {number}"), f'{{ node(id: "{prefix}_{number}") {{ id }} }}'):
                for key, client in ((estate.a, 1), (estate.b, 2)):
                    code, message = await outcome(house, query, key)
                    assert code == ("data" if owner == client else "NOT_FOUND"), (query, client)
                    absent, sentence = await outcome(house, query.replace(f"{number}", "999", 1), key)
                    if code == "NOT_FOUND":
                        assert (absent, sentence.replace("999", str(number))) == (code, message)
    theirs = await estate.event_of(2)
    assert (await outcome(house, queried("event", f'id: "{theirs}"'), estate.a))[0] == "NOT_FOUND"
    assert (await outcome(house, queried("event", f'id: "{await estate.event_of(1)}"'), estate.a))[0] == "data"


async def test_a_bound_key_is_forbidden_what_is_not_open_to_clients(estate: Estate) -> None:
    house = estate.house
    for name in SINGLES:
        if scope_of(name).open_to_clients:
            continue
        for number in (1, 999):
            code, message = await outcome(house, queried(name, f"id: {number}"), estate.a)
            assert (code, str(scope_of(name)) in message) == ("FORBIDDEN", True), name
    for kind, found in NODES.items():
        code, _ = await outcome(house, f'{{ node(id: "{kind}_1") {{ id }} }}', estate.a)
        assert code == ("data" if found.policy.open_to_clients else "FORBIDDEN"), kind


async def test_a_bound_key_may_only_open_and_answer_tickets(estate: Estate) -> None:
    house = estate.house
    before = await everything(house)
    for name in COMMANDS:
        if name in OPEN_COMMANDS:
            continue
        for number in (1, 2, 999):
            code, message = await outcome(house, commanded(name, number), estate.a)
            assert (code, str(scope_of(name)) in message) == ("FORBIDDEN", True), name
    assert await everything(house) == before


async def test_a_bound_key_writes_as_its_client_in_its_own_tickets(estate: Estate) -> None:
    house = estate.house
    author = "{ id clientId status messages { author message } }"
    document = f'mutation {{ ticketReply(id: 1, message: "Mine") {author} }}'
    replied = (await house.data(document, key=estate.a))["ticketReply"]
    assert replied["messages"][-1] == {"author": "CLIENT", "message": "Mine"}
    assert replied["status"] == "CUSTOMER_REPLY"
    opened = 'input: {clientId: "cli_1", departmentId: 1, subject: "S", message: "M"}'
    made = (await house.data(f"mutation {{ ticketCreate({opened}) {author} }}", key=estate.a))["ticketCreate"]
    assert (made["clientId"], made["messages"]) == ("cli_1", [{"author": "CLIENT", "message": "M"}])


async def test_a_bound_key_opens_and_answers_nothing_for_another_client(estate: Estate) -> None:
    house = estate.house
    before = await everything(house)
    for number in (2, 999):
        query = f'mutation {{ ticketReply(id: {number}, message: "M") {{ id }} }}'
        assert await outcome(house, query, estate.a) == ("NOT_FOUND", f"Ticket {number} does not exist.")
        response = await house.graphql(commanded("ticketCreate", number), key=estate.a)
        (error,) = response["errors"]
        assert error["extensions"]["code"] == "VALIDATION_ERROR"
        assert list(error["extensions"]["fields"]) == ["clientId"]
        assert error["message"] == f"The client id field names no client: {number}."
    query = 'mutation { ticketReply(id: 1, message: "M", clientId: 2) { id } }'
    response = await house.graphql(query, key=estate.a)
    assert list(response["errors"][0]["extensions"]["fields"]) == ["clientId"]
    assert await everything(house) == before


async def test_filters_on_another_clients_id_find_nothing(estate: Estate) -> None:
    for name in ("services", "invoices", "tickets"):
        for number in (2, 999):
            query = f"{{ {name}(filter: {{clientId: {number}}}) {{ totalCount nodes {{ id }} }} }}"
            assert await estate.house.data(query, key=estate.a) == {name: {"totalCount": 0, "nodes": []}}
    for given in (f'email: "{PLANTED}@shop.test"', f'q: "{PLANTED}"'):
        query = f"{{ clients(filter: {{{given}}}) {{ totalCount nodes {{ id }} }} }}"
        assert await estate.house.data(query, key=estate.a) == {"clients": {"totalCount": 0, "nodes": []}}


async def test_another_clients_cursors_lead_to_nothing_of_theirs(estate: Estate) -> None:
    house = estate.house
    for name in OPEN_NOUNS - {"products"}:
        query = f"{{ {name} {{ nodes {{ id }} pageInfo {{ startCursor endCursor }} }} }}"
        theirs = (await house.data(query, key=estate.b))[name]
        hidden = {node["id"] for node in theirs["nodes"]}
        for argument in ("after", "before"):
            for cursor in theirs["pageInfo"].values():
                query = f"{{ {name}({argument}: {json.dumps(cursor)}) {{ nodes {{ id }} }} }}"
                found = (await house.data(query, key=estate.a))[name]["nodes"]
                assert not hidden & {node["id"] for node in found}


async def test_nothing_of_b_is_in_any_answer_to_a(estate: Estate) -> None:
    house = estate.house
    asked: list[str] = [queried(name) for name in LISTS]
    asked += [queried(name, f"id: {number}") for name in SINGLES for number in range(1, 8) if name != "event"]
    events = [row[0] for row in await house.rows("SELECT public_id FROM events")]
    asked += [queried("event", f'id: "{event}"') for event in events]
    for kind, found in NODES.items():
        asked += [
            f'{{ node(id: "{kind}_{number}") {{ ... on {found.name} {leaves(found.name)} }} }}' for number in (1, 2, 3)
        ]
    for parent, name, _ in relations(plain=True):
        below = get_named_type(object_type(parent).fields[name].type)
        selection = leaves(below.name) if is_composite_type(below) else ""
        if parent in {found.name for found in NODES.values()}:
            asked.append(f"{{ {_plural(parent)}(first: 10) {{ nodes {{ {name} {selection} }} }} }}")
    asked += [commanded(name, number) for name in OPEN_COMMANDS for number in (1, 2)]
    planted = False
    for query in asked:
        planted = planted or PLANTED in str(await house.graphql(query))
        response = await house.graphql(query, key=estate.a)
        assert PLANTED not in str(response), query
        assert "cli_2" not in str(response.get("data")), query
    assert planted, "the word is nowhere to be found"
    for path in ("clients", "services", "invoices", "tickets", "products", "departments", "servers", "webhooks"):
        for below in ("", *(f"/{number}" for number in range(1, 5))):
            answer = await house.rest("GET", f"/{path}{below}", key=estate.a)
            assert PLANTED not in answer.text, path


async def test_what_staff_note_is_not_for_clients(estate: Estate) -> None:
    query = "{ service(id: 2) { suspensionNote } }"
    assert await estate.house.data(query) == {"service": {"suspensionNote": PLANTED}}
    assert (await outcome(estate.house, query, estate.b))[0] == "FORBIDDEN"


async def test_rest_is_scoped_as_graphql_is(estate: Estate) -> None:
    house = estate.house
    for noun in ("clients", "services", "invoices", "tickets"):
        listed = (await house.rest("GET", f"/{noun}?total=true", key=estate.a)).json()
        assert listed["meta"]["total"] == len(listed["data"]) > 0
        everyone = (await house.rest("GET", f"/{noun}?total=true")).json()
        mine = {row["id"] for row in listed["data"]}
        for row in everyone["data"]:
            answer = await house.rest("GET", f"/{noun}/{row['id']}", key=estate.a)
            assert answer.status_code == (200 if row["id"] in mine else 404), (noun, row["id"])
    for path in ("/servers", "/departments", "/webhooks", "/webhooks/1/deliveries", "/deliveries/1"):
        for asked in (path, f"{path}/1" if path.count("/") == 1 else path, path.replace("/1", "/999")):
            assert (await house.rest("GET", asked, key=estate.a)).status_code == 403


async def test_a_key_makes_no_key_that_may_do_more_than_itself(estate: Estate) -> None:
    house = estate.house
    key = await house.new_key("keys:write", "clients:read")
    document = "mutation($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { apiKey { scopes } } }"
    for scopes in (["clients:write"], ["*"], None, ["clients:read", "invoices:read"]):
        response = await house.graphql(document, {"input": {"name": "K", "scopes": scopes}}, key=key)
        assert response["errors"][0]["extensions"]["code"] == "FORBIDDEN", scopes
    made = await house.data(document, {"input": {"name": "K", "scopes": ["clients:read", "keys:read"]}}, key=key)
    assert made["apiKeyCreate"]["apiKey"]["scopes"] == ["clients:read", "keys:read"]


def _plural(type_: str) -> str:
    return f"{type_[0].lower()}{type_[1:]}s"
