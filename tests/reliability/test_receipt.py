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
        app, http=protocol.Protocol, lifespan="off", log_config=None, access_log=False, ws="none", **changed
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
        b"POST /livez HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnothing\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
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


@pytest.mark.parametrize("trailer", ["Authorization: Bearer {}", "X-Forwarded-For: 9.9.9.9"])
async def test_what_follows_a_body_is_no_header(opened: Served, house: House, trailer: str) -> None:
    """A proxy that took headers out or put others in has not seen it."""
    caller = await opened()
    start = b"POST /api/v1/clients HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    await caller.send(start + b"2\r\n{}\r\n0\r\n" + trailer.format(house.key).encode() + b"\r\n\r\n")
    assert (await caller.answer())[0] == 401
    await caller.send(HEAD + b"\r\n")
    assert (await caller.answer())[0] == 200


async def test_what_follows_a_body_has_a_size(opened: Served) -> None:
    caller = await opened()
    start = b"POST /livez HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    await caller.send(start + b"a: " + b"b" * 40_000 + b"\r\n\r\n")
    assert await caller.refusal() == (431, "The headers of the request are too large.")


@pytest.mark.parametrize("name", ["Authorization", "Idempotency-Key"])
async def test_two_headers_of_which_only_one_can_be_meant_are_refused(opened: Served, house: House, name: str) -> None:
    caller = await opened()
    said = [f"Authorization: Bearer {house.key}", f"{name}: Bearer other", f"{name}: Bearer another"]
    await caller.send("\r\n".join(["GET /api/v1/clients HTTP/1.1", "Host: test", *said, "", ""]).encode())
    status, _, body = await caller.answer()
    assert (status, json.loads(body)["error"]["message"]) == (
        400,
        f"The header {name} is given twice, with different values.",
    )


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


async def test_a_body_that_never_comes_does_not_hold_its_connection(opened: Served) -> None:
    caller = await opened()
    started = time.monotonic()
    await caller.send(b"POST /livez HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n")
    assert (await caller.answer())[0] == 405
    assert await caller.rest() == b""
    assert time.monotonic() - started < 0.9, "not only once the connection was idle for a second"


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


# What nobody reads


async def long_answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"20000000")]})
    await send({"type": "http.response.body", "body": b"a" * 20_000_000})


@asynccontextmanager
async def reading_little(port: int) -> AsyncIterator[asyncio.StreamReader]:
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        caller.connect(("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=caller, limit=65_536)
        writer.write(HEAD + b"\r\n")
        yield reader
        writer.close()


async def test_an_answer_that_is_not_read_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SECONDS_TO_READ", LATE)
    async with serving(long_answer) as port, reading_little(port) as reader:
        await asyncio.sleep(LATE * 4)
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(20_000_000)


async def test_an_answer_that_is_read_slowly_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SECONDS_TO_READ", LATE)
    started, got = time.monotonic(), 0
    async with serving(long_answer, timeout_keep_alive=1) as port, reading_little(port) as reader:
        while got < 20_000_000:
            got += len(await reader.read(65_536))
            await asyncio.sleep(0.003)
    assert time.monotonic() - started > LATE * 2


# Upgrades


def paying(house: House, invoice: int, upgrade: str, body: bytes, length: str) -> bytes:
    """A payment by a client that would rather speak another protocol, as those of Java and curl --http2 do."""
    lines = (
        f"POST /api/v1/invoices/{invoice}/pay HTTP/1.1",
        "Host: test",
        f"Authorization: Bearer {house.key}",
        "Content-Type: application/json",
        "Connection: Upgrade, HTTP2-Settings",
        f"Upgrade: {upgrade}",
        "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
        length,
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "TLS/1.2, HTTP/2.0"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_request_that_asks_for_an_upgrade_is_served_with_its_body(
    opened: Served, house: House, upgrade: str, size: int
) -> None:
    """And what follows it too, however the bytes are cut."""
    invoice = (await house.an_invoice())["id"]
    body = b'{"amount":"1.00"}'
    chunks = b"5\r\n%b\r\nc\r\n%b\r\n0\r\n\r\n" % (body[:5], body[5:])
    sent = paying(house, invoice, upgrade, body, f"Content-Length: {len(body)}") + HEAD + b"\r\n"
    sent += paying(house, invoice, upgrade, chunks, "Transfer-Encoding: chunked") + HEAD + b"\r\n"
    caller = await opened()
    for place in range(0, len(sent), size):
        await caller.send(sent[place : place + size])
    for left in ("28.99", "27.99"):
        status, headers, paid = await caller.answer()
        assert (status, "upgrade" in headers) == (200, False)
        assert json.loads(paid)["data"]["balance"] == left
        assert (await caller.answer())[2] == b'{"status":"alive"}'


async def test_the_body_of_an_upgrade_is_no_request(opened: Served, house: House) -> None:
    caller = await opened()
    for body in (HEAD + b"\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        await caller.send(paying(house, 1, "h2c", body, f"Content-Length: {len(body)}") + HEAD + b"\r\n")
        assert (await caller.answer())[0] == 400
        assert (await caller.answer())[0] == 200


async def test_a_body_that_was_announced_with_an_upgrade_is_awaited(opened: Served, house: House) -> None:
    """What would run without it is another command: an empty body pays the whole balance."""
    invoice = (await house.an_invoice())["id"]
    caller = await opened()
    await caller.send(paying(house, invoice, "h2c", b"", "Content-Length: 17"))
    assert (await caller.answer())[0] == 408
    assert (await house.rest("GET", f"/invoices/{invoice}")).json()["data"]["balance"] == "29.99"


@pytest.mark.parametrize("headers", [b"a: b\r\n" * 6_000, b"a: " + b"b" * 40_000 + b"\r\n"])
async def test_the_bounds_hold_for_an_upgrade_too(opened: Served, headers: bytes) -> None:
    caller = await opened()
    await caller.send(HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + headers + b"\r\n")
    assert await caller.refusal() == (431, "The headers of the request are too large.")


async def test_a_thousand_upgrades_at_once_are_each_answered(opened: Served) -> None:
    caller = await opened()
    await caller.send(b"GET /livez HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" * 1_000)
    for _ in range(1_000):
        assert (await caller.answer())[0] == 200


@pytest.mark.parametrize("target", [b"test:80", b"/livez"])
async def test_nobody_is_connected_through(opened: Served, target: bytes) -> None:
    caller = await opened()
    await caller.send(b"CONNECT " + target + b" HTTP/1.1\r\nHost: test\r\n\r\n" + HEAD + b"\r\n")
    assert await caller.refusal() == (400, "The request is not valid HTTP.")


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
