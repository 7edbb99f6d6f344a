"""A request that asks for an upgrade is served with its body, and an answer that nobody reads is not held."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from arcbilling import protocol
from tests.conftest import House
from tests.reliability.callers import HEAD, LATE, Served, serving, soon_late

pytestmark = pytest.mark.anyio


@pytest.fixture
def engine() -> str:
    """How requests arrive has nothing to do with what is below."""
    return "sqlite"


@pytest.fixture
async def opened(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    async with soon_late(house.app, monkeypatch) as connect:
        yield connect


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
