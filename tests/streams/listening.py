"""Who listens: over a WebSocket, and over event streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from arcbilling import server
from tests.conftest import House

PROTOCOL = Subprotocol("graphql-transport-ws")
ALL = "subscription($after: ID) { events(after: $after) { id sequence event } }"


class Server(uvicorn.Server):
    """A server in this process; signals are not its own."""

    def __init__(self, house: House) -> None:
        config = server.configuration(lambda: house.app)
        config.lifespan = "off"  # the house has it running
        config.port = 0
        super().__init__(config)
        self.house = house
        self._serving: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def __aenter__(self) -> "Server":
        self._serving = asyncio.create_task(self._serve())
        while not self.started:
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._serving is not None
        self.house.app.drain.stopping.set()
        self.should_exit = True
        await self._serving


class Socket:
    """A WebSocket that speaks graphql-transport-ws."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._waiting: dict[str, asyncio.Queue[dict[str, Any]]] = {}

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self, within: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(within):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def init(self, key: str) -> None:
        await self.say(type="connection_init", payload={"Authorization": f"Bearer {key}"})
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, id: str, query: str, **variables: Any) -> None:
        await self.say(type="subscribe", id=id, payload={"query": query, "variables": variables})

    async def closed(self, within: float = 10) -> tuple[int | None, str | None]:
        """How it was closed, whatever is said before."""
        async with asyncio.timeout(within):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed:
                return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def a_socket(address: str, key: str | None = None, **more: Any) -> AsyncIterator[Socket]:
    """A socket, with the key told if there is one."""
    given: dict[str, Any] = {"subprotocols": [PROTOCOL], "compression": None, "ping_interval": None}
    async with connect(f"ws://{address}/graphql", **(given | more)) as connection:
        socket = Socket(connection)
        if key is not None:
            await socket.init(key)
        yield socket


def framed(**message: Any) -> bytes:
    """A message as a frame, for those who write by hand."""
    data = json.dumps(message).encode().ljust(126)
    return b"\x81\xfe" + len(data).to_bytes(2) + bytes(4) + data


class Told(NamedTuple):
    """A server-sent event; a comment has nothing but its data."""

    id: str | None
    event: str | None
    data: str | None


async def server_sent(answer: httpx2.Response) -> AsyncIterator[Told]:
    """The events of a stream."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            yield Told(fields.get("id"), fields.get("event"), fields.get("data"))
            fields = {}
