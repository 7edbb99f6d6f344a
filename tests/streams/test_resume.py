"""Nothing lost and nothing doubled: replayed and live, cut off at any moment, and read slowly."""

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import httpx2
import pytest

from tests.conftest import House
from tests.databases import on_sqlite
from tests.reliability.soundness import tell
from tests.streams.listening import ALL, Server, a_socket, server_sent

pytestmark = pytest.mark.anyio

CUTS = int(os.environ.get("ARCBILLING_TEST_CUTS") or 15)
EVENTS = 50 * CUTS

Listening = Callable[[Server, str | None], AbstractAsyncContextManager[AsyncIterator[tuple[str, int]]]]
"""Opens a subscription after an event: what it tells, by id and sequence."""


@asynccontextmanager
async def over_a_socket(served: Server, after: str | None) -> AsyncIterator[AsyncIterator[tuple[str, int]]]:
    async with a_socket(served.address, served.house.key) as socket:
        await socket.subscribe("1", ALL, after=after)

        async def told() -> AsyncIterator[tuple[str, int]]:
            while True:
                event = (await socket.hear(60))["payload"]["data"]["events"]
                yield event["id"], event["sequence"]

        yield told()


@asynccontextmanager
async def over_an_event_stream(served: Server, after: str | None) -> AsyncIterator[AsyncIterator[tuple[str, int]]]:
    headers = {"authorization": f"Bearer {served.house.key}"} | ({"last-event-id": after} if after else {})
    async with (
        httpx2.AsyncClient(base_url=f"http://{served.address}", headers=headers, timeout=60) as http,
        http.stream("GET", "/api/v1/events/stream") as answer,
    ):

        async def told() -> AsyncIterator[tuple[str, int]]:
            async for one in server_sent(answer):
                yield str(one.id), json.loads(str(one.data))["sequence"]

        yield told()


async def change(house: House, client: int, times: int) -> None:
    """Makes events: each change of a client is one."""
    async with house.http() as http:
        for number in range(times):
            answer = await http.put(f"/api/v1/clients/{client}", json={"city": f"City {number}"})
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("listening", [over_a_socket, over_an_event_stream])
async def test_what_was_missed_is_replayed_and_goes_on_live_while_others_write(
    served: Server, listening: Listening
) -> None:
    house, each = served.house, 60
    clients = [(await house.a_client())["id"] for _ in range(2)]
    async with listening(served, None) as told:
        await house.a_client()
        first, begun = await anext(told)
    writing = [asyncio.create_task(change(house, client, each)) for client in clients]
    await asyncio.sleep(0.1)
    async with listening(served, first) as told:
        heard = [(await anext(told))[1] for _ in range(2 * each)]
    await asyncio.gather(*writing)
    assert heard == list(range(begun + 1, begun + 1 + 2 * each))


@on_sqlite
@pytest.mark.parametrize("listening", [over_a_socket, over_an_event_stream])
async def test_who_is_cut_off_at_any_moment_hears_each_event_once(served: Server, listening: Listening) -> None:
    dice, house = random.Random(CUTS), served.house
    client = (await house.a_client())["id"]
    async with listening(served, None) as told:
        await house.a_client()
        last, begun = await anext(told)
    writing = asyncio.create_task(change(house, client, EVENTS))
    heard: list[int] = []
    cuts = 0
    while len(heard) < EVENTS:
        more = min(dice.randint(0, 2 * EVENTS // CUTS), EVENTS - len(heard))
        async with listening(served, last) as told:
            for _ in range(more):
                last, sequence = await anext(told)
                heard.append(sequence)
        cuts += 1
    await writing
    assert heard == list(range(begun + 1, begun + 1 + EVENTS))
    tell(f"{listening.__name__.replace('_', ' ')}: cut off {cuts} times, {EVENTS:,} events once each and in order")


@on_sqlite
async def test_a_listener_that_lags_reads_the_database_and_misses_nothing(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resolvers import feed, outbox

    monkeypatch.setattr(feed, "KEPT", 3)
    monkeypatch.setattr(outbox, "PORTION", 7)
    house = served.house
    client = (await house.a_client())["id"]
    async with a_socket(served.address, house.key, max_queue=1) as slow, a_socket(served.address, house.key) as quick:
        for socket in (slow, quick):
            await socket.subscribe("1", "subscription { events { sequence payload data: __typename } }")
        await slow.say(type="ping")
        await change(house, client, 200)
        told: list[Any] = []
        for socket in (quick, slow):
            heard = [await socket.hear() for _ in range(201 if socket is slow else 200)]
            told.append([one["payload"]["data"]["events"]["sequence"] for one in heard if one["type"] == "next"])
    assert told[0] == told[1]
    assert told[0] == list(range(told[0][0], told[0][0] + 200))


@on_sqlite
async def test_what_was_erased_is_told_to_nobody_any_more(served: Server) -> None:
    house = served.house
    async with a_socket(served.address, house.key) as socket:
        await socket.subscribe("1", ALL)
        await house.a_client()
        first = (await socket.hear())["payload"]["data"]["events"]["id"]
        client = (await house.a_client(first_name="Gone", city="Nowhere"))["id"]
        await house.rest("PUT", f"/clients/{client}", {"city": "Elsewhere"})
        await house.rest("DELETE", f"/clients/{client}")
        assert [(await socket.hear())["payload"]["data"]["events"]["event"] for _ in range(3)][-1] == "client.deleted"
        await socket.subscribe("2", "subscription($a: ID) { events(after: $a) { event payload } }", a=first)
        replayed = [(await socket.hear())["payload"]["data"]["events"] for _ in range(3)]
    assert [one["event"] for one in replayed] == ["client.created", "client.updated", "client.deleted"]
    assert [one["payload"]["first_name"] for one in replayed[:2]] == [None, None]
    assert "where" not in str(replayed)


@on_sqlite
async def test_a_listener_outlasts_a_database_that_is_away(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from resolvers import clients, feed, outbox
    from resolvers.database import DatabaseUnavailable
    from schema import execution

    monkeypatch.setattr(feed, "SECONDS_TO_RETRY", 0.05)
    monkeypatch.setattr(execution, "SECONDS_TO_RETRY", 0.05)
    failures = {"following": 4, "each": 2}
    whole = {"following": outbox.following, "each": clients.table.each}

    def failing(name: str) -> Any:
        async def fail(*given: Any) -> Any:
            if failures[name]:
                failures[name] -= 1
                raise DatabaseUnavailable("away")
            return await whole[name](*given)

        return fail

    house = served.house
    async with a_socket(served.address, house.key) as socket:
        await socket.subscribe("1", "subscription { events { event ... on ClientEvent { client { id } } } }")
        await socket.say(type="ping")
        await socket.hear()
        monkeypatch.setattr(outbox, "following", failing("following"))
        monkeypatch.setattr(clients.table, "each", failing("each"))
        client = await house.a_client()
        told = await socket.hear(20)
        assert told["payload"] == {
            "data": {"events": {"event": "client.created", "client": {"id": f"cli_{client['id']}"}}}
        }
    assert failures == {"following": 0, "each": 0}


@contextmanager
def no_hang(seconds: int) -> Iterator[None]:
    """Breaks into whatever runs without an end, for then no time-out of the loop's own would come."""

    def found(*_: object) -> None:
        raise AssertionError("the loop hangs")

    before = signal.signal(signal.SIGALRM, found)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@on_sqlite
async def test_a_listener_that_lags_while_the_database_is_away_holds_nobody_up(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the feed holds is too old to be told by then, and no step of the feed has let go of it."""
    from resolvers import clients, feed, outbox
    from resolvers.database import DatabaseUnavailable
    from schema import execution

    monkeypatch.setattr(feed, "SECONDS_KEPT", 0.5)
    monkeypatch.setattr(feed, "SECONDS_TO_RETRY", 0.05)
    monkeypatch.setattr(execution, "SECONDS_TO_RETRY", 0.05)
    away: set[str] = set()
    asked: list[str] = []

    def failing(name: str, whole: Any) -> Any:
        async def fail(*given: Any) -> Any:
            if name in away:
                asked.append(name)
                assert asked.count(name) < 1_000
                raise DatabaseUnavailable("away")
            return await whole(*given)

        return fail

    async def until(name: str, times: int = 1) -> None:
        async with asyncio.timeout(10):
            while asked.count(name) < times:
                await asyncio.sleep(0.01)

    house = served.house
    query = "subscription { events { sequence ... on ClientEvent { client { id } } } }"
    with no_hang(20):
        async with a_socket(served.address, house.key) as socket:
            await socket.subscribe("1", query)
            await socket.say(type="ping")
            await socket.hear()
            monkeypatch.setattr(outbox, "following", failing("following", outbox.following))
            monkeypatch.setattr(clients.table, "each", failing("each", clients.table.each))
            away.add("each")
            for _ in range(3):
                await house.a_client()
            await until("each")
            assert house.app.engine is not None
            while house.app.engine.feed.last != 3:
                await asyncio.sleep(0.01)
            away.add("following")
            await asyncio.sleep(feed.SECONDS_KEPT + 0.1)
            away.remove("each")
            heard = [await socket.hear()]
            asked.clear()
            await until("following", 2)
            away.clear()
            heard += [await socket.hear() for _ in range(2)]
    assert [one["payload"]["data"]["events"]["sequence"] for one in heard] == [1, 2, 3]
