"""A request arrives in time and within bounds, or it is refused in the form of every other refusal."""

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from tests.conftest import House
from tests.reliability.callers import HEAD, LATE, Served, soon_late
from tests.reliability.served import Installation
from tests.reliability.soundness import tell

pytestmark = pytest.mark.anyio


@pytest.fixture
def engine() -> str:
    """How requests arrive has nothing to do with what is below."""
    return "sqlite"


@pytest.fixture
async def opened(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    async with soon_late(house.app, monkeypatch) as connect:
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
