"""A listener of one subscription over graphql-transport-ws: as much of a WebSocket as that needs."""

import asyncio
import base64
import json
import os
import struct
import time
from typing import cast

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Listener(asyncio.Protocol):
    """Connects, subscribes, and notes when each event came."""

    def __init__(self, key: str, document: str) -> None:
        self._key = key
        self._document = document
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._is_open = False
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.times: list[float] = []
        self.failed = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        lines = (
            "GET /graphql HTTP/1.1",
            "Host: bench.example",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Protocol: graphql-transport-ws",
        )
        self._transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._fail(self._buffer.decode(errors="replace"))
                return
            self._is_open, self._buffer = True, rest
            self._say({"type": "connection_init", "payload": {"Authorization": f"Bearer {self._key}"}})
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def connection_lost(self, _: Exception | None) -> None:
        self._fail("the server closed the connection")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame: its kind and what it holds."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 127, 2
        if length == 126:
            if len(buffer) < 4:
                return None
            (length,), start = struct.unpack_from(">H", buffer, 2), 4
        elif length == 127:
            if len(buffer) < 10:
                return None
            (length,), start = struct.unpack_from(">Q", buffer, 2), 10
        if len(buffer) < start + length:
            return None
        self._buffer = buffer[start + length :]
        return buffer[0] & 15, buffer[start : start + length]

    def _take(self, kind: int, content: bytes) -> None:
        if kind == PING:
            self._send(PONG, content)
        elif kind == CLOSE:
            self._fail(content[2:].decode(errors="replace"))
        elif b'"connection_ack"' in content:
            self._say({"type": "subscribe", "id": "1", "payload": {"query": self._document}})
            self._say({"type": "ping"})  # messages are answered in their order
        elif b'"pong"' in content:
            if not self.subscribed.done():
                self.subscribed.set_result(None)
        elif b'"next"' in content:
            self.times.append(time.perf_counter())
        else:
            self._fail(content.decode(errors="replace"))

    def _say(self, message: object) -> None:
        self._send(TEXT, json.dumps(message).encode())

    def _send(self, kind: int, content: bytes) -> None:
        """A frame, masked by zeroes, which leave it as it is."""
        assert self._transport is not None
        length = len(content)
        head = bytes([128 | kind, 128 | length]) if length < 126 else struct.pack(">BBH", 128 | kind, 254, length)
        self._transport.write(head + bytes(4) + content)

    def _fail(self, why: str) -> None:
        self.failed = f"{self.failed}; {why}" if self.failed else why
        if not self.subscribed.done():
            self.subscribed.set_exception(RuntimeError(why))


async def listen(port: int, key: str, document: str) -> Listener:
    """A listener whose subscription has been taken."""
    _, listener = await asyncio.get_running_loop().create_connection(lambda: Listener(key, document), "127.0.0.1", port)
    await listener.subscribed
    return listener
