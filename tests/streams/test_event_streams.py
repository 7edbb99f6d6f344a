"""Event streams over HTTP: graphql-sse at /graphql, and /api/v1/events/stream."""

import json
from typing import Any

import httpx2
import pytest

from arcbilling import streams
from tests.conftest import open_house
from tests.databases import EmptyDatabase, on_sqlite
from tests.streams.listening import ALL, Server, server_sent

pytestmark = [pytest.mark.anyio, on_sqlite]

EVENTS = {"accept": "text/event-stream"}


def http(served: Server, key: str | None = None) -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {key or served.house.key}"}
    return httpx2.AsyncClient(base_url=f"http://{served.address}", headers=headers, timeout=20)


async def test_a_subscription_is_told_by_events_until_the_caller_leaves(served: Server) -> None:
    for method in ("POST", "GET"):
        asked: dict[str, Any] = {"json": {"query": ALL}} if method == "POST" else {"params": {"query": ALL}}
        async with http(served) as caller, caller.stream(method, "/graphql", headers=EVENTS, **asked) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.headers["x-accel-buffering"] == "no"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-request-id"]
            told = server_sent(answer)
            for _ in range(2):
                await served.house.a_client()
                one = await anext(told)
                assert one.event == "next"
                assert json.loads(str(one.data))["data"]["events"]["event"] == "client.created"


async def test_a_query_and_a_mutation_are_told_by_one_event(served: Server) -> None:
    async with http(served) as caller:
        for query, data in (
            ("{ clients { totalCount } }", {"clients": {"totalCount": 0}}),
            ('mutation { departmentCreate(input: {name: "Sales"}) { name } }', {"departmentCreate": {"name": "Sales"}}),
        ):
            answer = await caller.post("/graphql", headers=EVENTS, json={"query": query})
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.text == f"event: next\ndata: {json.dumps({'data': data}, separators=(',', ':'))}\n\n" + (
                "event: complete\ndata:\n\n"
            )


async def test_an_idempotency_key_counts_as_over_plain_http(served: Server) -> None:
    async with http(served) as caller:
        made = {"query": 'mutation { departmentCreate(input: {name: "Sales"}) { id } }'}
        answers = [
            await caller.post("/graphql", headers={**accept, "idempotency-key": "once"}, json=made)
            for accept in (EVENTS, EVENTS, {})
        ]
        assert answers[0].text == answers[1].text
        assert answers[2].headers["idempotency-replayed"] == "true"
        assert answers[2].text in answers[0].text
    assert await served.house.rows("SELECT count(*) FROM departments WHERE name = 'Sales'") == [(1,)]


async def test_a_mutation_is_answered_though_the_key_has_all_its_streams(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be done, and then refused."""
    monkeypatch.setattr(streams, "MOST_FOR_A_KEY", 1)
    async with http(served) as caller, caller.stream("GET", "/api/v1/events/stream"):
        made = {"query": 'mutation { departmentCreate(input: {name: "Sales"}) { name } }'}
        answer = await caller.post("/graphql", headers={**EVENTS, "idempotency-key": "once"}, json=made)
        again = await caller.post("/graphql", headers={**EVENTS, "idempotency-key": "once"}, json=made)
    assert answer.status_code == 200
    assert [line for line in answer.text.splitlines() if line] == [
        "event: next",
        'data: {"data":{"departmentCreate":{"name":"Sales"}}}',
        "event: complete",
        "data:",
    ]
    assert again.text == answer.text
    assert again.headers["idempotency-replayed"] == "true"


async def test_what_is_wrong_with_a_document_is_told_by_an_event(served: Server) -> None:
    async with http(served) as caller:
        for query, sentence in (
            ("subscription {", "Syntax Error"),
            ("subscription { nothing }", "Cannot query field 'nothing'"),
            ("{ clients(first: 100) { nodes { services(first: 100) { nodes { id } } } } }", "points"),
            ('subscription { events(after: "evt_0") { id } }', "must be the id of an event that is kept"),
            ("{ client(id: 99) { id } }", "Client 99 does not exist."),
        ):
            answer = await caller.post("/graphql", headers=EVENTS, json={"query": query})
            assert answer.status_code == 200
            first, last, end = answer.text.split("\n\n")
            assert sentence in json.loads(first.removeprefix("event: next\ndata: "))["errors"][0]["message"]
            assert (last, end) == ("event: complete\ndata:", "")


async def test_other_refusals_are_ordinary_answers(served: Server) -> None:
    async with http(served) as caller:
        nobody = {"authorization": "Bearer x", **EVENTS}
        answer = await caller.post("/graphql", headers=nobody, json={"query": ALL})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        answer = await caller.post("/graphql", headers=EVENTS, content=b"{")
        assert answer.status_code == 415
        answer = await caller.post("/graphql", headers=EVENTS, json={"query": 5})
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        answer = await caller.post("/graphql", json={"query": ALL})
        assert answer.status_code == 200
        assert "accept that" in answer.json()["errors"][0]["message"]
        both = {"accept": "application/json, text/event-stream"}
        answer = await caller.post("/graphql", headers=both, json={"query": "{ __typename }"})
        assert answer.json() == {"data": {"__typename": "Query"}}
        async with caller.stream("POST", "/graphql", headers=both, json={"query": ALL}) as streamed:
            assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
        answer = await caller.post("/graphql", headers={"accept": "text/html"}, json={"query": ALL})
        assert answer.status_code == 406


async def test_a_limit_is_an_ordinary_answer_too(tmp_path: Any, empty_database: EmptyDatabase) -> None:
    async with (
        open_house(tmp_path, empty_database, rate_limit_authenticated="1/minute") as house,
        Server(house) as served,
        http(served) as caller,
    ):
        assert (await caller.post("/graphql", headers=EVENTS, json={"query": "{ __typename }"})).status_code == 200
        answer = await caller.post("/graphql", headers=EVENTS, json={"query": "{ __typename }"})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1


async def test_rest_tells_events_by_their_names(served: Server) -> None:
    async with http(served) as caller, caller.stream("GET", "/api/v1/events/stream") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["x-accel-buffering"] == "no"
        told = server_sent(answer)
        await served.house.an_invoice()
        client, invoice = await anext(told), await anext(told)
        logged = (await served.house.rest("GET", "/events")).json()["data"]
        assert [json.loads(str(one.data)) for one in (client, invoice)] == logged
        assert [(one.id, one.event) for one in (client, invoice)] == [(one["id"], one["event"]) for one in logged]


async def test_rest_goes_on_after_what_was_received(served: Server) -> None:
    for _ in range(3):
        await served.house.a_client()
    async with http(served) as caller:
        while len(logged := (await caller.get("/api/v1/events")).json()["data"]) < 3:
            pass
        ids = [one["id"] for one in logged]
        for headers, query, expected in (
            ({}, f"?after={ids[0]}", ids[1]),
            ({"last-event-id": ids[1]}, f"?after={ids[0]}", ids[2]),
            ({"last-event-id": ids[0]}, "?types=client.created", ids[1]),
        ):
            async with caller.stream("GET", f"/api/v1/events/stream{query}", headers=headers) as answer:
                assert (await anext(server_sent(answer))).id == expected
        async with caller.stream("GET", "/api/v1/events/stream") as answer:  # from now
            await served.house.a_client()
            assert (await anext(server_sent(answer))).id not in ids


async def test_a_quiet_stream_says_that_it_lives(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SECONDS_QUIET", 0.2)
    async with http(served) as caller, caller.stream("GET", "/api/v1/events/stream") as answer:
        lines = answer.aiter_lines()
        assert [await anext(lines) for _ in range(4)] == [":", "", ":", ""]
        await served.house.a_client()
        told = [line async for line in _until_data(lines)]
        assert told[-1].startswith("data: ")


async def _until_data(lines: Any) -> Any:
    async for line in lines:
        yield line
        if line.startswith("data: "):
            return


async def test_foreign_events_are_never_told(served: Server) -> None:
    house = served.house
    theirs, mine = (await house.a_client())["id"], (await house.a_client())["id"]
    key = await house.new_key(client=mine)
    narrow = await house.new_key("events:read", "tickets:read")
    async with (
        http(served, key) as own,
        http(served, narrow) as narrowed,
        own.stream("GET", "/api/v1/events/stream") as to_own,
        narrowed.stream("GET", "/api/v1/events/stream") as to_narrow,
        narrowed.stream("POST", "/graphql", headers=EVENTS, json={"query": ALL}) as to_graphql,
    ):
        for client in (theirs, mine):
            await house.an_invoice(client)
            await house.a_ticket(client)
        told = server_sent(to_own)
        heard = [json.loads(str((await anext(told)).data)) for _ in range(2)]
        assert [(one["event"], one["data"]["client_id"]) for one in heard] == [
            ("invoice.created", mine),
            ("ticket.opened", mine),
        ]
        told = server_sent(to_narrow)
        assert [(await anext(told)).event for _ in range(2)] == ["ticket.opened", "ticket.opened"]
        told = server_sent(to_graphql)
        heard = [json.loads(str((await anext(told)).data))["data"]["events"]["event"] for _ in range(2)]
        assert heard == ["ticket.opened", "ticket.opened"]


async def test_streams_are_counted_and_logged(served: Server, capsys: pytest.CaptureFixture[str]) -> None:
    async with http(served) as caller:
        async with caller.stream("GET", "/api/v1/events/stream"):
            text = (await caller.get("/metrics")).text
            assert 'arcbilling_streams{transport="sse"} 1.0' in text
            assert "arcbilling_http_requests_in_flight 1.0" in text
        while 'arcbilling_streams{transport="sse"} 0.0' not in (text := (await caller.get("/metrics")).text):
            pass
        assert 'route="/events/stream",status="200"} 1.0' in text
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "/events/stream" in line]
    assert [(line["method"], line["status"], line["actor"]) for line in lines] == [("GET", 200, "key:1")]
