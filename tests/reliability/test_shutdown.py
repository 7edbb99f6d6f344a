"""How a process ends: announced, and with what is in flight finished."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx2
import pytest

from tests.databases import on_sqlite
from tests.reliability.served import ROOT, Installation
from tests.reliability.soundness import tell

pytestmark = pytest.mark.anyio

ADA = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def until(true: Callable[[], Awaitable[bool]], within: float = 30) -> None:
    """Asks again and again."""
    async with asyncio.timeout(within):
        while True:
            if await true():
                return
            await asyncio.sleep(0.05)


async def refused(place: Installation) -> bool:
    """Whether nobody listens."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", place.port)
    except ConnectionError:
        return True
    writer.close()
    return False


@on_sqlite
async def test_the_end_is_announced_before_it_comes(place: Installation) -> None:
    place.environment["ARCBILLING_SHUTDOWN_DELAY"] = "1"
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with place.serving() as server, httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
        before = await http.get("/api/v1/clients")
        assert "connection" not in before.headers
        server.terminate()
        told = seconds()
        while (ready := await http.get("/readyz")).status_code == 200:
            assert seconds() - told < 0.5
        assert ready.status_code == 503
        assert ready.json() == {"status": "unavailable", "failed": {"draining": "The process is about to end."}}
        served = 0
        with suppress(httpx2.TransportError):  # until it closes
            while True:
                answers = [await http.get("/api/v1/clients"), await http.get("/livez"), await http.get("/docs")]
                assert {answer.status_code for answer in answers} == {200}
                assert {answer.headers["connection"] for answer in answers} == {"close"}
                served += 1
        noticed = seconds() - told
        assert served > 1
        assert 0.9 < noticed < 3
        assert await server.wait() == 0
    tell(f"not ready at once, {served * 3} requests served after it, closed after {noticed:.2f} s")


@on_sqlite
@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]], ids=["keyboard", "twice"])
async def test_neither_the_keyboard_nor_a_second_signal_waits(
    place: Installation, signals: list[signal.Signals]
) -> None:
    place.environment["ARCBILLING_SHUTDOWN_DELAY"] = "300"
    async with place.serving() as server:
        for told in signals:
            server.send_signal(told)
            await asyncio.sleep(0.2)
        async with asyncio.timeout(10):
            assert await server.wait() == 0


@on_sqlite
async def test_a_request_that_has_begun_is_answered(place: Installation) -> None:
    key = await place.new_key()
    async with place.serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        body = json.dumps(ADA).encode()
        head = f"POST /api/v1/clients HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\n\r\n".encode() + body[:10])
        await writer.drain()
        await asyncio.sleep(0.2)
        server.terminate()
        await until(lambda: refused(place))
        writer.write(body[10:])
        answer = (await reader.read()).decode()
        assert answer.startswith("HTTP/1.1 201 ")
        assert "connection: close" in answer.lower()
        writer.close()
        assert await server.wait() == 0
    assert await place.rows("SELECT email FROM clients") == [("ada@shop.test",)]


STREAMING = """
from starlette.responses import StreamingResponse
from starlette.routing import Route
from arcbilling import app, cli

class Streaming(app.App):
    def _routes(self):
        async def words():
            yield "hello,"
            await self.drain.stopping.wait()
            yield "goodbye."
        return [*super()._routes(), Route("/stream", lambda _: StreamingResponse(words()))]

app.App = Streaming
cli.main()
"""


@on_sqlite
async def test_an_open_stream_says_its_last_word_and_closes(place: Installation) -> None:
    arguments = ["-c", STREAMING, "serve", "--port", str(place.port)]
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env=place.environment, stderr=pipe
    )
    assert server.stderr is not None
    while b"complete" not in await server.stderr.readline():
        pass
    async with (
        httpx2.AsyncClient(base_url=place.url, timeout=30) as http,
        asyncio.timeout(10),
        http.stream("GET", "/stream") as answer,
    ):
        words = answer.aiter_text()
        assert await anext(words) == "hello,"
        server.terminate()
        told = seconds()
        assert [word async for word in words] == ["goodbye."]  # and a proper end, or it raises
        await server.stderr.read()
        assert await server.wait() == 0
        tell(f"a stream and its process ended {seconds() - told:.2f} s after the signal")
