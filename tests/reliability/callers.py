"""A server that receives requests, and callers that send what they like."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvicorn

from arcbilling import bodies, protocol

HEAD = b"GET /livez HTTP/1.1\r\nHost: test\r\n"
LATE = 0.3
"""Seconds that stand for the ten of a deadline."""


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
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def soon_late(app: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Opens connections to an application that is served with short deadlines."""
    monkeypatch.setattr(protocol, "SECONDS_FOR_HEAD", LATE)
    monkeypatch.setattr(protocol, "SECONDS_BEYOND_BODY", LATE)
    monkeypatch.setattr(protocol, "SECONDS_TO_LEAVE", LATE)
    monkeypatch.setattr(bodies, "SECONDS", LATE)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(app, timeout_keep_alive=1))

        async def connect() -> Caller:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            return Caller(reader, writer)

        yield connect
