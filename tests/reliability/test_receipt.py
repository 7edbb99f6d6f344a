"""A request arrives in time and within bounds, or it is refused in the form of every other refusal."""

import asyncio
import json
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from arcbilling import bodies, protocol
from tests.conftest import House
from tests.reliability.served import Installation
from tests.reliability.soundness import tell

pytestmark = pytest.mark.anyio

HEAD = b"GET /livez HTTP/1.1\r\nHost: test\r\n"
LATE = 0.3
"""Seconds that stand for the ten of a deadline."""


@pytest.fixture
def engine() -> str:
    """How requests arrive has nothing to do with what is below."""
    return "sqlite"


class Caller:
    """A caller that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send_on(self, pieces: Iterable[bytes], pause: float = 0) -> int:
        """Sends until the other side ends the connection, as it must; the bytes that were sent."""
        sent = 0
        try:
            for piece in pieces:
                await self.send(piece)
                await asyncio.sleep(pause)
                sent += len(piece)
        except OSError:
            return sent
        pytest.fail("the connection was not ended")

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.split("\r\n")[:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return int(status.split()[1]), headers, await self._reader.readexactly(int(headers["content-length"]))

    async def rest(self) -> bytes:
        """What comes until the other side closes."""
        async with asyncio.timeout(10):
            return await self._reader.read()

    async def refusal(self) -> tuple[int, str]:
        """The status and the sentence of a refusal, after which the connection ends."""
        status, headers, body = await self.answer()
        error = json.loads(body)["error"]
        assert json.loads(body) == {"status": "error", "error": error}
        assert error["code"] == "VALIDATION_ERROR"
        assert headers["content-type"] == "application/json"
        assert headers["connection"] == "close"
        assert headers["x-request-id"] == error["request_id"]
        assert await self.rest() == b""
        return status, error["message"]


Served = Callable[[], Awaitable[Caller]]


@asynccontextmanager
async def serving(app: Any, **changed: Any) -> AsyncIterator[int]:
    """The port on which an application is served by our protocol."""
    config = uvicorn.Config(
        app, http=protocol.Protocol, lifespan="off", log_config=None, access_log=False, **{"ws": "none", **changed}
    )
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def opened(
    house: House, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    """Opens connections to a house that is served, whose deadlines are short."""
    monkeypatch.setattr(protocol, "SECONDS_FOR_HEAD", LATE)
    monkeypatch.setattr(protocol, "SECONDS_BEYOND_BODY", LATE)
    monkeypatch.setattr(protocol, "SECONDS_TO_LEAVE", LATE)
    monkeypatch.setattr(bodies, "SECONDS", LATE)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(house.app, timeout_keep_alive=1))

        async def connect() -> Caller:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            return Caller(reader, writer)

        yield connect


# What is no request


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nA: \x00\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http:// HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_the_envelope(opened: Served, sent: bytes) -> None:
    caller = await opened()
    await caller.send(sent)
    assert await caller.refusal() == (400, "The request is not valid HTTP.")


async def test_a_url_beyond_64_kib_is_refused(opened: Served) -> None:
    caller = await opened()
    await caller.send(b"GET /" + b"a" * 70_000)
    assert await caller.refusal() == (414, "The URL is longer than 65,535 bytes.")


async def test_a_url_of_64_kib_is_read(opened: Served) -> None:
    caller = await opened()
    await caller.send(b"GET /" + b"a" * 65_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n")
    assert (await caller.answer())[0] == 404


@pytest.mark.parametrize("header", [b"a", b"a: b\r\n", b"a: " + b"b" * 1_000 + b"\r\n", b"\r\n"])
async def test_headers_beyond_32_kib_are_refused_without_taking_in_more(opened: Served, header: bytes) -> None:
    """Whether they come as one that never ends or as many; the last are line ends before any request."""
    caller = await opened()
    start = b"" if header == b"\r\n" else HEAD
    await caller.send(start + header * (40_000 // len(header)))
    assert await caller.refusal() == (431, "The headers of the request are too large.")


async def test_whole_headers_beyond_32_kib_are_refused(opened: Served) -> None:
    caller = await opened()
    await caller.send(HEAD + b"a: " + b"b" * 40_000 + b"\r\n\r\n")
    assert await caller.refusal() == (431, "The headers of the request are too large.")


async def test_headers_of_almost_32_kib_are_read_each_time(opened: Served) -> None:
    caller = await opened()
    for _ in range(3):
        await caller.send(HEAD + b"a: " + b"b" * 32_000 + b"\r\n\r\n")
        assert (await caller.answer())[0] == 200


async def test_a_refused_caller_may_send_on_for_a_while_and_gets_to_read_its_refusal(opened: Served) -> None:
    caller = await opened()
    await caller.send(HEAD + b"a: " + b"b" * 900_000)
    assert await caller.refusal() == (431, "The headers of the request are too large.")


# What is late


@pytest.mark.parametrize("sent", [b"", b"GET /li", HEAD, HEAD + b"accept: te", b"\r\n"])
async def test_a_head_that_is_late_is_refused(opened: Served, sent: bytes) -> None:
    caller = await opened()
    await caller.send(sent)
    started = time.monotonic()
    assert await caller.refusal() == (408, f"The headers of the request did not arrive within {LATE} seconds.")
    assert LATE * 0.8 < time.monotonic() - started < LATE + 1


async def test_a_head_that_drips_is_late_all_the_same(opened: Served) -> None:
    caller = await opened()
    started = time.monotonic()
    await caller.send_on((bytes([byte]) for byte in HEAD + b"a: " + b"b" * 200), pause=0.02)
    assert time.monotonic() - started < LATE * 2 + 1


@pytest.mark.parametrize("sent", [b"G", HEAD, b"\r\n"])
async def test_the_head_of_a_later_request_has_its_time_from_its_first_byte(opened: Served, sent: bytes) -> None:
    caller = await opened()
    for _ in range(2):
        await caller.send(HEAD + b"\r\n")
        assert (await caller.answer())[0] == 200
        await asyncio.sleep(LATE * 2)  # an idle connection is in nobody's way
    await caller.send(sent)
    assert (await caller.refusal())[0] == 408


async def test_an_idle_connection_ends_without_a_word(opened: Served) -> None:
    caller = await opened()
    await caller.send(HEAD + b"\r\n")
    await caller.answer()
    assert await caller.rest() == b""


@pytest.mark.parametrize("door", ["/api/v1/clients", "/graphql"])
@pytest.mark.parametrize("length", [b"Content-Length: 20\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"])
async def test_a_body_that_is_late_at_a_door_is_refused_there(
    opened: Served, house: House, door: str, length: bytes
) -> None:
    caller = await opened()
    key = f"Authorization: Bearer {house.key}\r\nContent-Type: application/json\r\n".encode()
    await caller.send(f"POST {door} HTTP/1.1\r\nHost: test\r\n".encode() + key + length)
    status, _, body = await caller.answer()
    assert status == 408
    assert f"The request body did not arrive within {LATE} seconds." in body.decode()
    assert await caller.rest() == b""


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/api/v1/clients", "/graphql"])
async def test_a_body_that_nobody_reads_does_not_hold_its_connection(opened: Served, path: str) -> None:
    caller = await opened()
    await caller.send(f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n".encode())
    assert (await caller.answer())[0] in (401, 404, 405)
    started = time.monotonic()
    await caller.send_on([b"a"] * 100, pause=0.05)
    assert time.monotonic() - started < LATE * 2 + 1


async def test_a_body_that_is_too_large_is_refused_and_not_taken_in_to_its_end(opened: Served, house: House) -> None:
    caller = await opened()
    size = 80 * 1024 * 1024
    head = f"POST /api/v1/clients HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {house.key}\r\n"
    await caller.send(f"{head}Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n".encode())
    status, _, body = await caller.answer()
    assert (status, json.loads(body)["error"]["code"]) == (413, "VALIDATION_ERROR")
    sent = await caller.send_on([b" " * 65_536] * (size // 65_536))
    assert sent < size // 4  # what the sockets hold between them comes on top of what is ignored


async def test_requests_that_come_together_are_answered_in_turn(opened: Served) -> None:
    caller = await opened()
    body = b"POST /livez HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc"
    await caller.send((HEAD + b"\r\n" + body) * 5 + HEAD)
    statuses = [(await caller.answer())[0] for _ in range(10)]
    assert statuses == [200, 405] * 5
    assert (await caller.refusal())[0] == 408


# WebSockets


@pytest.mark.parametrize("offered", [b"graphql-ws", b"graphql-transport-ws", b"nonsense"])
async def test_the_legacy_protocol_of_subscriptions_is_not_served(opened: Served, house: House, offered: bytes) -> None:
    caller = await opened()
    await caller.send(
        b"GET /graphql HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: "
        + offered
        + f"\r\nAuthorization: Bearer {house.key}\r\n\r\n".encode()
    )
    status, headers, _ = await caller.answer()
    assert 400 <= status < 500
    assert "upgrade" not in headers


async def test_no_deadline_ends_a_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(LATE * 3)
        await send({"type": "websocket.send", "text": "still here"})
        await send({"type": "websocket.close"})

    monkeypatch.setattr(protocol, "SECONDS_FOR_HEAD", LATE)
    monkeypatch.setattr(protocol, "SECONDS_BEYOND_BODY", LATE)
    monkeypatch.setattr(bodies, "SECONDS", 0)
    async with serving(app, ws="websockets-sansio") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        assert b"still here" in await reader.readexactly(12)
        writer.write(b"\x88\x80\x00\x00\x00\x00")
        writer.close()


# Many of them


async def test_a_thousand_idle_connections_leave_the_service_up(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for ours, and for the server that inherits it
    installation = Installation(tmp_path)
    async with installation.serving(), AsyncExitStack() as stack, httpx2.AsyncClient() as http:
        for number in range(1_000):
            _, writer = await asyncio.open_connection("127.0.0.1", installation.port)
            stack.callback(writer.close)
            writer.write(b"" if number % 2 else HEAD)
        times = []
        for _ in range(50):
            started = time.monotonic()
            assert (await http.get(f"{installation.url}/livez")).status_code == 200
            times.append(time.monotonic() - started)
    tell(f"beside 1,000 idle connections /livez took {max(times) * 1000:.1f} ms at most")
