"""A key that may not be used any more: what was opened with it ends."""

import asyncio
import socket as socket_module
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import httpx2
import pytest

from arcbilling import clock
from arcbilling.draining import Drain
from arcbilling.metrics import Metrics
from arcbilling.streams import Streams
from resolvers.database import Database, Rows
from schema.actors import Actor, ActorKind
from tests.databases import on_sqlite
from tests.streams.listening import ALL, Server, a_socket, framed, server_sent
from tests.streams.test_held_open import OPENING, PLANT

pytestmark = [pytest.mark.anyio, on_sqlite]

REVOKE = "mutation($id: ID!) { apiKeyRevoke(id: $id) { id } }"


async def listening_until(served: Server, key: str, end: str) -> float:
    """Opens a socket and a stream, ends the key, and tells after how long both were over."""
    house = served.house
    headers = {"authorization": f"Bearer {key}"}
    async with (
        a_socket(served.address, key) as socket,
        a_socket(served.address, house.key) as other,
        httpx2.AsyncClient(base_url=f"http://{served.address}", headers=headers, timeout=20) as http,
        http.stream("GET", "/api/v1/events/stream") as answer,
    ):
        await socket.subscribe("1", ALL)
        await other.subscribe("1", ALL)
        number = (await house.rows("SELECT max(id) FROM api_keys"))[0][0]
        began = asyncio.get_running_loop().time()
        if end == "hint":
            await house.data(REVOKE, {"id": number})
        else:
            column = "revoked_at" if end == "revoked elsewhere" else "expires_at"
            await house.write(f"UPDATE api_keys SET {column} = ? WHERE id = ?", clock.now(), number)
        assert await socket.hear() == {"id": "1", "type": "complete"}
        assert await socket.closed() == (4401, "Unauthorized")
        assert [one async for one in server_sent(answer)] == []
        ended = asyncio.get_running_loop().time() - began
        await house.a_client()
        assert (await other.hear())["type"] == "next"
    return ended


async def test_a_key_that_is_revoked_here_ends_its_streams_at_once(served: Server) -> None:
    assert await listening_until(served, await served.house.new_key(), "hint") < 2


@pytest.mark.parametrize("end", ["revoked elsewhere", "expired"])
async def test_a_key_that_ends_without_a_hint_ends_its_streams_within_seconds(served: Server, end: str) -> None:
    assert await listening_until(served, await served.house.new_key(), end) < 5


async def test_a_key_that_expires_ends_its_streams(served: Server) -> None:
    soon = (clock.now() + timedelta(seconds=1)).isoformat()
    async with a_socket(served.address, await served.house.new_key(expiresAt=soon)) as socket:
        assert await socket.closed() == (4401, "Unauthorized")


@pytest.mark.parametrize("how", ["event stream", "socket"])
async def test_one_that_reads_nothing_is_left_when_its_key_is_revoked(served: Server, how: str) -> None:
    house, key, loop = served.house, await served.house.new_key(), asyncio.get_running_loop()
    number = (await house.rows("SELECT max(id) FROM api_keys"))[0][0]
    await house.write(PLANT, 2_000)
    while (await house.rows("SELECT count(sequence) FROM events"))[0][0] < 2_000:
        await asyncio.sleep(0.1)
    if how == "socket":
        query = 'subscription { events(after: "evt_planted1") { payload } }'
        said = [
            OPENING,
            framed(type="connection_init", payload={"Authorization": f"Bearer {key}"}),
            framed(type="subscribe", id="1", payload={"query": query}),
        ]
    else:
        path = "/api/v1/events/stream?after=evt_planted1"
        said = [f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n".encode()]
    with socket_module.socket() as raw:
        raw.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", int(served.address.rpartition(":")[2])))
        await loop.sock_sendall(raw, b"".join(said))
        while not any(one.transport.get_write_buffer_size() for one in served.server_state.connections):  # type: ignore[union-attr]
            await asyncio.sleep(0.05)
        await house.data(REVOKE, {"id": number})
        async with asyncio.timeout(4):
            while served.server_state.connections:
                await asyncio.sleep(0.05)


async def test_an_erased_clients_key_ends_with_it(served: Server) -> None:
    client = (await served.house.a_client())["id"]
    async with a_socket(served.address, await served.house.new_key(client=client)) as socket:
        assert (await served.house.rest("DELETE", f"/clients/{client}")).status_code == 200
        assert await socket.closed() == (4401, "Unauthorized")


async def test_who_comes_while_keys_are_looked_at_is_not_taken_for_revoked(served: Server) -> None:
    """The first stream of a key opens between the question, which keys may go on, and its answer."""
    database, asked, answered = served.house.engine.database, asyncio.Event(), asyncio.Event()

    class Slow:
        async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows:
            asked.set()
            await answered.wait()
            return await database.reader.fetch(sql, values)

    class Looked:
        reader = Slow()

        def __getattr__(self, name: str) -> object:
            return getattr(database, name)

    streams = Streams(cast(Database, Looked()), Drain(), Metrics())
    rows = await served.house.rows("SELECT id FROM api_keys")
    first, second = (Actor(ActorKind.KEY, id, frozenset()) for id in (rows[0][0], 999))
    with streams.open(first, "websocket") as early:
        looking = asyncio.create_task(streams.look())
        await asked.wait()
        with streams.open(second, "websocket") as late:
            answered.set()
            await looking
            assert not early.ended.done()
            assert not late.ended.done()
            await streams.look()
            assert late.ended.done()
