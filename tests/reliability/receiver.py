"""A receiver of webhooks on loopback: it speaks real HTTP, behaves as it is told, and remembers what came."""

import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal[
    "ok",
    "500",
    "400",
    "slow",
    "hang",
    "drip",
    "drip head",
    "redirect",
    "reset",
    "410",
    "429",
    "503",
    "huge",
    "gzip bomb",
]
"""`slow` answers after `seconds`, `hang` never; `drip` sends a byte of its body each tenth of a second, for ever; 429
and 503 name `retry_after`; `redirect` leads to `location`; `reset` cuts the connection once it has read the request."""

SECONDS_BETWEEN_DRIPS = 0.1
HUGE_BYTES = 64 * 1024 * 1024
BOMB = gzip.compress(bytes(16 * 1024 * 1024))


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    id: str
    """`webhook-id`."""
    at: float
    """When its last byte was read, as `time.time()` tells it."""
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def object(self) -> tuple[str, int]:
        """What it tells of: the noun of the event, and the id."""
        return self.json["event"].partition(".")[0], self.json["data"]["id"]


@dataclass
class Receiver:
    """One receiver. Its mode may be changed at any moment; a function decides for each request."""

    mode: Mode | Callable[[Received], Mode] = "ok"
    host: str = "127.0.0.1"
    port: int = 0
    seconds: float = 0.5
    retry_after: str = "120"
    location: str = "http://127.0.0.1:9/"
    received: list[Received] = field(default_factory=list)
    accepted: list[Received] = field(default_factory=list)
    """Those that were answered with 200."""
    connections: int = 0
    """How often anybody connected."""
    bytes_sent: int = 0
    """What was written of huge bodies, before the caller went away."""
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/hook"

    @property
    def ids(self) -> Counter[str]:
        """How often each `webhook-id` was answered with 200."""
        return Counter(one.id for one in self.accepted)

    @property
    def listens(self) -> bool:
        return self._server is not None

    @property
    def open_connections(self) -> int:
        return len(self._open)

    async def start(self) -> None:
        """Listens: on the port that it had before, if it had one."""
        assert self._server is None, "it listens"
        self._server = await asyncio.start_server(self._serve, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuses connections from now on, and cuts those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for task in list(self._open):
                task.cancel()
            if self._open:
                await asyncio.wait(list(self._open))
            await server.wait_closed()

    async def until(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        """Waits until it holds; fails when it does not in time."""
        async with asyncio.timeout(seconds):
            while True:
                if holds():
                    return
                await asyncio.sleep(0.01)

    async def until_accepted(self, number: int, seconds: float = 30) -> None:
        """Waits for so many different messages to have been answered with 200."""
        await self.until(lambda: len(self.ids) >= number, seconds)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while (one := await _read(reader)) is not None:
                self.received.append(one)
                mode = self.mode(one) if callable(self.mode) else self.mode
                if not await self._answer(mode, one, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(
        self, mode: Mode, one: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answers as the mode says; tells whether the connection goes on."""
        match mode:
            case "slow":
                await asyncio.sleep(self.seconds)
            case "hang":
                await reader.read()  # until the caller goes away
                return False
            case "reset":
                writer.transport.abort()
                return False
            case "drip":
                writer.write(_head(200, {"content-length": "1000000"}))
                await _drip(writer)
            case "drip head":
                writer.write(b"HTTP/1.1 200 OK\r\nx-drip: ")
                await _drip(writer)
            case "huge":
                writer.write(_head(200, {"content-length": str(HUGE_BYTES)}))
                while self.bytes_sent < HUGE_BYTES:
                    writer.write(b"x" * 65536)
                    await writer.drain()
                    self.bytes_sent += 65536
                return True
        status, headers, body = self._plain(mode)
        if status == 200:
            self.accepted.append(one)
        writer.write(_head(status, {"content-length": str(len(body)), **headers}) + body)
        await writer.drain()
        return one.headers.get("connection", "") != "close"

    def _plain(self, mode: Mode) -> tuple[int, dict[str, str], bytes]:
        match mode:
            case "redirect":
                return 302, {"location": self.location}, b""
            case "429" | "503":
                return int(mode), {"retry-after": self.retry_after}, b"later"
            case "400" | "410" | "500":
                return int(mode), {}, f"this is the answer {mode}".encode()
            case "gzip bomb":
                return 200, {"content-encoding": "gzip"}, BOMB
        return 200, {}, b"ok"


@asynccontextmanager
async def receiving(mode: Mode | Callable[[Received], Mode] = "ok", **settings: Any) -> AsyncIterator[Receiver]:
    """A receiver that listens as long as the block."""
    receiver = Receiver(mode, **settings)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    head = b""
    with suppress(asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
    if not head:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(headers.get("webhook-id", ""), time.time(), first.split(" ")[1], headers, body)


async def _drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(SECONDS_BETWEEN_DRIPS)


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode("latin-1")
