"""The protocol graphql-transport-ws: what opens a socket, what closes it, and with which word."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from arcbilling import graphql_socket
from resolvers.tables import written
from schema.keys import new_key
from tests.conftest import open_house
from tests.databases import EmptyDatabase, on_sqlite
from tests.streams.listening import ALL, Server, a_socket, framed

pytestmark = [pytest.mark.anyio, on_sqlite]


async def test_a_socket_is_opened_by_its_first_message_and_runs_operations(served: Server) -> None:
    async with a_socket(served.address) as socket:
        assert socket.connection.subprotocol == "graphql-transport-ws"
        await socket.say(type="ping")
        assert await socket.hear() == {"type": "pong"}
        await socket.init(served.house.key)
        await socket.subscribe("q", "query($n: Int) { clients(first: $n) { totalCount } }", n=1)
        assert await socket.hear() == {"id": "q", "type": "next", "payload": {"data": {"clients": {"totalCount": 0}}}}
        assert await socket.hear() == {"id": "q", "type": "complete"}
        await socket.subscribe("q", 'mutation { departmentCreate(input: {name: "Sales"}) { name } }')
        made = await socket.hear()
        assert made["payload"] == {"data": {"departmentCreate": {"name": "Sales"}}}
        assert await socket.hear() == {"id": "q", "type": "complete"}
        await socket.say(type="ping", payload={"any": 1.5})
        assert await socket.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    "payload",
    [
        {"Authorization": "Bearer {key}"},
        {"authorization": "bearer {key}"},
        {"headers": {"Authorization": "Bearer {key}"}},
    ],
)
async def test_the_key_is_told_where_clients_tell_it(served: Server, payload: Any) -> None:
    text = json.dumps(payload).replace("{key}", served.house.key)
    async with a_socket(served.address) as socket:
        await socket.say(type="connection_init", payload=json.loads(text))
        assert await socket.hear() == {"type": "connection_ack"}


@pytest.mark.parametrize("payload", [None, {}, {"Authorization": "Bearer x"}, {"Authorization": 5}, {"headers": []}])
async def test_a_bad_key_closes_the_socket(served: Server, payload: Any) -> None:
    async with a_socket(served.address) as socket:
        await socket.say(type="connection_init", payload=payload)
        code, reason = await socket.closed()
        assert (code, reason) == (
            4401,
            "A valid API key is required: send it as 'Authorization: Bearer YOUR_API_KEY'.",
        )


async def test_an_unknown_key_closes_the_socket_too(served: Server) -> None:
    async with a_socket(served.address) as socket:
        await socket.say(type="connection_init", payload={"Authorization": f"Bearer {new_key()}"})
        assert (await socket.closed())[0] == 4401


async def test_a_key_that_is_not_for_this_address_closes_the_socket(served: Server) -> None:
    key = await served.house.new_key(networks=["192.0.2.0/24"])
    async with a_socket(served.address) as socket:
        await socket.say(type="connection_init", payload={"Authorization": f"Bearer {key}"})
        assert await socket.closed() == (4403, "This key may not be used from this address.")


async def test_who_says_nothing_is_closed(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphql_socket, "SECONDS_TO_INIT", 0.2)
    async with a_socket(served.address) as socket:
        assert await socket.closed() == (4408, "Connection initialisation timeout")
    async with a_socket(served.address) as socket:  # keep-alive is no init
        await socket.say(type="ping")
        assert await socket.closed() == (4408, "Connection initialisation timeout")


async def close_after(served: Server, *messages: str | bytes, key: str | None = None) -> tuple[int | None, str | None]:
    async with a_socket(served.address, key) as socket:
        for message in messages:
            await socket.connection.send(message)
        return await socket.closed()


SUBSCRIBE = json.dumps({"type": "subscribe", "id": "1", "payload": {"query": ALL}})


async def test_a_second_init_closes_the_socket(served: Server) -> None:
    init = json.dumps({"type": "connection_init"})
    assert (await close_after(served, init, key=served.house.key))[0] == 4429


async def test_to_subscribe_before_the_acknowledgement_closes_the_socket(served: Server) -> None:
    assert (await close_after(served, SUBSCRIBE))[0] == 4401


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        "[]",
        "{}",
        '{"type": 5}',
        '{"type": "start", "id": "1", "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": 5, "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 5}}',
        '{"type": "complete"}',
        '{"type": "ping", "type": "pong"}',
        '{"type": "\\ud800"}',
        "[" * 1000,
        b"\x00\x01",
        json.dumps({"type": "subscribe", "id": "x" * 256, "payload": {"query": ALL}}),
    ],
)
@pytest.mark.parametrize("known", [False, True])
async def test_a_bad_message_closes_the_socket(served: Server, message: str | bytes, known: bool) -> None:
    code, reason = await close_after(served, message, key=served.house.key if known else None)
    if not known and isinstance(message, str) and '"subscribe"' in message:
        assert code == 4401
    else:
        assert code == 4400
        assert reason


async def test_an_id_that_is_in_use_closes_the_socket_and_one_that_is_free_again_does_not(served: Server) -> None:
    assert await close_after(served, SUBSCRIBE, SUBSCRIBE, key=served.house.key) == (
        4409,
        "Subscriber for 1 already exists",
    )
    async with a_socket(served.address, served.house.key) as socket:
        for _ in range(3):
            await socket.subscribe("1", ALL)
            await socket.say(type="complete", id="1")
        await socket.say(type="complete", id="never seen")
        await socket.say(type="ping")
        assert await socket.hear() == {"type": "pong"}


async def test_a_message_that_is_too_large_closes_the_socket(served: Server) -> None:
    async with a_socket(served.address, served.house.key) as socket:
        await socket.connection.send(json.dumps({"type": "ping", "payload": {"x": "y" * 64 * 1024}}))
        assert (await socket.closed())[0] == 1009


@pytest.mark.parametrize("offered", [["graphql-ws"], None, ["other"]])
async def test_another_protocol_is_refused(served: Server, offered: Any) -> None:
    async with a_socket(served.address, subprotocols=offered) as socket:
        assert await socket.closed() == (4406, "The subprotocol must be graphql-transport-ws.")
    async with a_socket(served.address, subprotocols=["graphql-ws", "graphql-transport-ws"]) as socket:
        assert socket.connection.subprotocol == "graphql-transport-ws"


async def test_a_page_of_another_origin_opens_no_socket(tmp_path: Any, empty_database: EmptyDatabase) -> None:
    async with (
        open_house(tmp_path, empty_database, cors_origins="https://panel.example.com") as house,
        Server(house) as served,
    ):
        for origin in (None, "https://panel.example.com"):
            async with a_socket(served.address, house.key, origin=origin):
                pass
        with pytest.raises(InvalidStatus) as refused:
            async with a_socket(served.address, origin="https://elsewhere.example.com"):
                pass
        assert refused.value.response.status_code == 403
        assert refused.value.response.headers["x-request-id"]


async def test_sockets_are_opened_nowhere_else(served: Server) -> None:
    for path in ("/", "/api/v1/events/stream", "/graphql/x", "/graphiql"):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://{served.address}{path}", subprotocols=["graphql-transport-ws"]):  # type: ignore[list-item]
                pass
        assert refused.value.response.status_code in (200, 307, 401, 404)


async def test_a_bad_document_does_not_end_the_good_one_beside_it(served: Server) -> None:
    house = served.house
    async with a_socket(served.address, house.key) as socket:
        await socket.subscribe("good", ALL)
        for id, query, sentence in (
            ("syntax", "subscription {", "Syntax Error"),
            ("unknown", "subscription { nothing }", "Cannot query field 'nothing'"),
            ("two", "subscription { events { id } invoicePaid { id } }", "must select only one top level field"),
            ("deep", "{ " + "node(id: 1) { " * 13 + "id" + " }" * 14, "levels deep"),
            ("dear", "{ clients(first: 100) { nodes { services(first: 100) { nodes { id } } } } }", "points"),
            ("coerced", "subscription { invoicePaid(after: {a: 1}) { id } }", "ID cannot represent"),
            ("cursor", 'subscription { events(after: "evt_0") { id } }', "must be the id of an event that is kept"),
            ("types", 'subscription { events(types: ["a.b"]) { id } }', "must be names of the event catalogue"),
            ("none", "   ", "must be a GraphQL document"),
        ):
            await socket.subscribe(id, query)
            told = await socket.hear()
            assert (told["id"], told["type"]) == (id, "error"), told
            assert sentence in told["payload"][0]["message"]
            assert told["payload"][0]["extensions"]["code"] == "VALIDATION_ERROR"
        await house.a_client()
        told = await socket.hear()
        assert (told["id"], told["type"], told["payload"]["data"]["events"]["event"]) == (
            "good",
            "next",
            "client.created",
        )


async def test_a_socket_runs_so_many_operations_at_once(served: Server) -> None:
    async with a_socket(served.address, served.house.key) as socket:
        for number in range(20):
            await socket.subscribe(f"{number}", ALL)
        await socket.subscribe("more", ALL)
        told = await socket.hear()
        assert (told["id"], told["type"]) == ("more", "error")
        assert told["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        await socket.say(type="complete", id="7")
        await socket.subscribe("more", ALL)
        await served.house.a_client()
        heard = [await socket.hear() for _ in range(20)]
        assert {one["id"] for one in heard} == {"more", *map(str, range(20))} - {"7"}


async def test_a_key_has_so_many_streams(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from arcbilling import streams

    monkeypatch.setattr(streams, "MOST_FOR_A_KEY", 2)
    key, house = await served.house.new_key(), served.house
    async with a_socket(served.address, key) as first, a_socket(served.address, key):
        async with a_socket(served.address) as third:
            await third.say(type="connection_init", payload={"Authorization": f"Bearer {key}"})
            code, reason = await third.closed()
            assert code == 1013
            assert "2 streams open already" in str(reason)
        refused = await house.rest("GET", "/events/stream", key=key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
        async with a_socket(served.address, house.key):
            pass
        await first.connection.close()
        async with a_socket(served.address, key):
            pass


async def test_operations_pay_from_the_budget_of_the_key(tmp_path: Any, empty_database: EmptyDatabase) -> None:
    async with (
        open_house(tmp_path, empty_database, rate_limit_authenticated="5/minute") as house,
        Server(house) as served,
        a_socket(served.address, house.key) as socket,
    ):
        await socket.subscribe("dear", "{ clients(first: 100) { nodes { id email status city country phone } } }")
        assert [(await socket.hear())["type"] for _ in "12"] == ["next", "complete"]  # two of five
        for number in range(3):
            await socket.subscribe(f"{number}", "{ __typename }")
            assert [(await socket.hear())["type"] for _ in "12"] == ["next", "complete"]
        await socket.subscribe("more", "{ __typename }")
        told = await socket.hear()
        assert (told["id"], told["type"]) == ("more", "error")
        assert told["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert (await house.rest("GET", "/clients")).status_code == 429
        await socket.say(type="ping")
        assert await socket.hear() == {"type": "pong"}


async def test_what_is_given_up_at_once_is_paid_for_too(tmp_path: Any, empty_database: EmptyDatabase) -> None:
    """By one write, so that all of it is there before any of it begins."""
    async with (
        open_house(tmp_path, empty_database, rate_limit_authenticated="20/minute") as house,
        Server(house) as served,
        a_socket(served.address, house.key) as socket,
    ):
        complete = {"type": "complete", "id": "1"}
        socket.connection.transport.pause_reading()
        blob = b"".join(framed(**json.loads(SUBSCRIBE)) + framed(**complete) for _ in range(20))
        socket.connection.transport.write(blob)
        socket.connection.transport.resume_reading()
        await socket.say(type="ping")
        assert await socket.hear() == {"type": "pong"}
        assert (await house.rest("GET", "/clients")).status_code == 429


async def test_what_is_no_text_closes_the_socket_and_is_no_fault_of_ours(
    served: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_socket(served.address) as socket:
        socket.connection.transport.write(b"\x81\x81" + bytes(4) + b"\xff")
        assert (await socket.closed())[0] == 1007
    assert not [line for line in caplog.records if line.levelname == "ERROR"]


async def test_a_failed_authentication_pays_from_the_budget_of_the_address(
    tmp_path: Any, empty_database: EmptyDatabase
) -> None:
    async with (
        open_house(tmp_path, empty_database, rate_limit_anonymous="3/minute") as house,
        Server(house) as served,
    ):
        codes = []
        for _ in range(4):
            async with a_socket(served.address) as socket:
                await socket.say(type="connection_init", payload={"Authorization": f"Bearer {new_key()}"})
                codes.append((await socket.closed())[0])
        assert codes == [4401, 4401, 4401, 4429]
        async with a_socket(served.address, house.key):
            pass
        assert (await house.rest("GET", "/clients", key="")).status_code == 429


async def test_a_missing_scope_is_refused_by_its_name(served: Server) -> None:
    house = served.house
    for scopes, query, lacks in (
        (["clients:read"], ALL, "events:read"),
        (["events:read"], "subscription { invoicePaid { id } }", "invoices:read"),
        (["events:read"], 'subscription { events(types: ["ticket.opened"]) { id } }', "tickets:read"),
        (
            ["events:read", "invoices:read"],
            "subscription { invoicePaid { invoice { client { id } } } }",
            "clients:read",
        ),
    ):
        async with a_socket(served.address, await house.new_key(*scopes)) as socket:
            await socket.subscribe("1", query)
            told = await socket.hear()
            assert told["type"] == "error"
            assert told["payload"][0]["extensions"]["code"] == "FORBIDDEN"
            assert lacks in told["payload"][0]["message"]


async def test_what_is_internal_stays_so(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from schema import subscriptions

    async def broken(*_: Any) -> int:
        raise RuntimeError("secret-db-password")

    monkeypatch.setattr(subscriptions, "last_number", broken)
    async with a_socket(served.address, served.house.key) as socket:
        await socket.subscribe("1", ALL)
        told = await socket.hear()
        assert told["payload"][0]["message"] == "Something went wrong on our side."
        assert "secret" not in str(told)


@pytest.mark.parametrize("late", [False, True])
async def test_what_is_under_way_when_the_process_ends_is_answered(
    served: Server, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mutation is done all the same, and whoever is not told of it does it again."""
    monkeypatch.setattr(graphql_socket, "SECONDS_FOR_ANSWERS", 0.1 if late else 10)
    house = served.house
    async with a_socket(served.address, house.key) as socket:
        await socket.subscribe("s", ALL)
        async with written(house.engine.database) as session:
            await session.connection.fetch("UPDATE departments SET name = 'Held'", ())
            await socket.subscribe("m", 'mutation { departmentCreate(input: {name: "Sales"}) { name } }')
            await socket.say(type="ping")
            assert await socket.hear() == {"type": "pong"}
            await asyncio.sleep(0.1)
            house.app.drain.stopping.set()
            assert await socket.hear() == {"id": "s", "type": "complete"}
            if late:
                told = await socket.hear()
                assert (told["id"], told["type"]) == ("m", "error")
                assert told["payload"][0]["extensions"]["code"] == "INTERNAL_ERROR"
                assert "Please try again" in told["payload"][0]["message"]
        if not late:
            assert (await socket.hear())["payload"] == {"data": {"departmentCreate": {"name": "Sales"}}}
            assert await socket.hear() == {"id": "m", "type": "complete"}
        assert await socket.closed() == (1001, "Going away")
