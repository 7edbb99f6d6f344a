"""What streams cost and how they end, in a process of their own: memory, slow readers, the end of the process."""

import asyncio
import contextlib
import os
import signal
import socket as socket_module
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from arcbilling import sockets
from resolvers.tables import written
from tests.conftest import House
from tests.databases import at, on_sqlite
from tests.reliability.served import Installation
from tests.reliability.soundness import tell
from tests.streams.listening import ALL, Server, Socket, a_socket, server_sent

pytestmark = [pytest.mark.anyio, on_sqlite]

SUBSCRIBERS = int(os.environ.get("ARCBILLING_TEST_SUBSCRIBERS") or 200)
SLOW_READERS = 10
EVENTS = 2_000
"""Of 5,000 bytes: far more than a reader may cost."""
WHOLE = "subscription($after: ID) { events(after: $after) { sequence payload } }"

PLANT = """
    INSERT INTO events (
        public_id, event, object_type, object_id, object_version, payload, actor, request_id, created_at
    )
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
    SELECT 'evt_planted' || i, 'client.updated', 'Client', 1, i,
        '{"data":{"id":1,"city":"' || hex(zeroblob(2400)) || '"},"event":"client.updated","timestamp":"x"}',
        'test', 'test', '2026-01-01 00:00:00.000000+00:00'
    FROM n
"""


def resident(pid: int) -> int:
    """What a process holds in memory, in KiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def plant(place: Installation, number: int) -> None:
    """Puts events of 5,000 bytes where a server will number them."""
    async with at(place.location) as database, written(database) as session:
        await session.connection.fetch(PLANT, (number,))


async def all_numbered(place: Installation, key: str, number: int) -> None:
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=place.url, headers=headers) as http, asyncio.timeout(60):
        query = {"query": "{ events(first: 1) { totalCount } }"}
        while (await http.post("/graphql", json=query)).json()["data"]["events"]["totalCount"] < number:
            await asyncio.sleep(0.1)


async def test_an_idle_subscriber_costs_little(place: Installation) -> None:
    keys = [await place.new_key() for _ in range(-(-SUBSCRIBERS // 100))]
    async with place.serving() as server, AsyncExitStack() as stack:
        address = place.url.removeprefix("http://")
        for warming in range(20):
            async with a_socket(address, keys[0]) as socket:
                await socket.subscribe(f"{warming}", ALL)
                await socket.say(type="ping")
                await socket.hear()
        before = resident(server.pid)
        subscribers: list[Socket] = []
        for number in range(SUBSCRIBERS):
            socket = await stack.enter_async_context(a_socket(address, keys[number // 100]))
            await socket.subscribe("1", ALL)
            await socket.say(type="ping")
            await socket.hear()
            subscribers.append(socket)
        each = (resident(server.pid) - before) / SUBSCRIBERS
        headers = {"authorization": f"Bearer {keys[0]}"}
        async with httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
            began = asyncio.get_running_loop().time()
            body = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}
            assert (await http.post("/api/v1/clients", json=body)).status_code == 201
            told = await asyncio.gather(*(socket.hear(60) for socket in subscribers))
            seconds = asyncio.get_running_loop().time() - began
        assert {one["payload"]["data"]["events"]["event"] for one in told} == {"client.created"}
        tell(
            f"{SUBSCRIBERS:,} idle subscribers: {each:.1f} KiB each; all told of an event after {seconds * 1000:.0f} ms"
        )
        assert each < 100


async def test_one_that_reads_nothing_for_a_while_costs_little_and_then_reads_everything(place: Installation) -> None:
    key = await place.new_key()
    await plant(place, EVENTS)
    async with place.serving() as server, AsyncExitStack() as stack:
        address = place.url.removeprefix("http://")
        await all_numbered(place, key, EVENTS)
        first = (await place.rows("SELECT public_id FROM events WHERE sequence = 1"))[0][0]
        async with a_socket(address, key) as socket:  # warm
            await socket.subscribe("1", WHOLE, after=first)
            for _ in range(EVENTS - 1):
                await socket.hear()
        before = most = resident(server.pid)
        unread = {"max_queue": 1, "close_timeout": 0.1}  # nor will it read a farewell
        readers = [await stack.enter_async_context(a_socket(address, key, **unread)) for _ in range(SLOW_READERS)]
        for reader in readers:
            await reader.subscribe("1", WHOLE, after=first)
        for _ in range(20):
            await asyncio.sleep(0.1)
            most = max(most, resident(server.pid))
        tell(f"{SLOW_READERS} readers that read nothing: {(most - before) / SLOW_READERS:.0f} KiB each")
        assert (most - before) / SLOW_READERS < 2048
        for reader in readers[:3]:
            heard = [(await reader.hear())["payload"]["data"]["events"]["sequence"] for _ in range(EVENTS - 1)]
            assert heard == list(range(2, EVENTS + 1))


@asynccontextmanager
async def one_that_never_reads(place: Installation, key: str, first: str) -> AsyncIterator[None]:
    """A caller of an event stream that takes in nothing, with a small buffer of its own."""
    raw = socket_module.socket()
    raw.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", place.port))
    head = f"GET /api/v1/events/stream?after={first} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"
    await asyncio.get_running_loop().sock_sendall(raw, head.encode())
    try:
        yield
    finally:
        raw.close()


async def test_the_end_of_a_process_is_the_end_of_its_streams_with_a_clean_last_word(place: Installation) -> None:
    key = await place.new_key()
    await plant(place, 2_000)
    headers = {"authorization": f"Bearer {key}", "accept": "text/event-stream"}
    async with place.serving() as server:
        address = place.url.removeprefix("http://")
        await all_numbered(place, key, 2_000)
        first = (await place.rows("SELECT public_id FROM events WHERE sequence = 1"))[0][0]
        async with (
            a_socket(address, key) as socket,
            a_socket(address) as unknown,
            httpx2.AsyncClient(base_url=place.url, headers=headers, timeout=20) as http,
            http.stream("GET", "/api/v1/events/stream") as rest,
            http.stream("POST", "/graphql", json={"query": ALL}) as graphql,
            one_that_never_reads(place, key, first),
        ):
            await socket.subscribe("1", ALL)
            await socket.subscribe("2", ALL)
            await socket.say(type="ping")
            await socket.hear()
            began = asyncio.get_running_loop().time()
            server.send_signal(signal.SIGTERM)
            assert [await socket.hear(), await socket.hear()] == [
                {"id": "1", "type": "complete"},
                {"id": "2", "type": "complete"},
            ]
            assert await socket.closed() == (1001, "Going away")
            assert [one async for one in server_sent(rest)] == []
            assert [one.event async for one in server_sent(graphql)] == ["complete"]
            ended = asyncio.get_running_loop().time() - began
            await unknown.closed()
            assert await server.wait() == 0
            gone = asyncio.get_running_loop().time() - began
    tell(f"streams ended {ended:.2f} s after the signal, the process {gone:.2f} s after it")
    assert ended < 3
    assert gone < 14


OPENING = (
    b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
)


async def test_whoever_does_not_answer_is_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """By raw bytes, for every library answers pings by itself."""
    for name in ("SECONDS_BETWEEN_PINGS", "SECONDS_TO_ANSWER"):
        monkeypatch.setattr(sockets, name, 0.3)
    async with Server(house) as served, asyncio.timeout(4):  # it would have five seconds for its first message
        reader, writer = await asyncio.open_connection(*served.address.split(":"))
        writer.write(OPENING)
        said = await reader.read()
        writer.close()
    assert said.startswith(b"HTTP/1.1 101 ")
    assert b"\x89\x04" in said, "there is no ping"
    # By 1001, for who was asleep comes back; after 1011 graphql-ws would not.
    assert (1001).to_bytes(2) + b"keepalive ping timeout" in said


async def test_whoever_asks_for_answers_and_reads_none_is_left(house: House) -> None:
    async with Server(house) as served, asyncio.timeout(20):
        raw = socket_module.socket()
        raw.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        host, port = served.address.split(":")
        await loop.sock_connect(raw, (host, int(port)))
        await loop.sock_sendall(raw, OPENING)
        ping = b"\x89\xfd" + bytes(4) + bytes(125)
        with contextlib.suppress(ConnectionError):
            while True:
                await loop.sock_sendall(raw, ping * 500)
        raw.close()


@pytest.mark.parametrize("header", ["x-many: y\r\n" * 90, f"x-long: {'y' * 9_000}\r\n", "x-odd: \xff\r\n"])
async def test_an_odd_opening_is_answered_somehow(house: House, header: str) -> None:
    async with Server(house) as served, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*served.address.split(":"))
        writer.write(OPENING.replace(b"host: x\r\n", b"host: x\r\n" + header.encode("latin-1")))
        said = await reader.read(12)
        assert said in (b"HTTP/1.1 101", b"HTTP/1.1 431")
        writer.close()
        assert (await house.rest("GET", "/clients")).status_code == 200
