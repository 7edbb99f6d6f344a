"""WebSockets below their messages: bounded in what they hold, and left when nobody is there any more.

uvicorn would hold whatever it is made to answer, wait for a peer that reads nothing, and take one that reads slowly for
dead.
"""

import logging
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

MAX_MESSAGE = 64 * 1024
SECONDS_BETWEEN_PINGS = 15.0
SECONDS_TO_ANSWER = 15.0
"""How long a peer may take to answer a ping that nothing stands before."""
SLOWEST = 512
"""So many bytes a second a peer must read of what stands before a ping …"""
SECONDS_TO_CATCH_UP = 300.0
"""… but no longer than this."""
SECONDS_TO_LEAVE = 3.0
"""How long a connection may take to be gone once the last word is said."""
MAX_UNREAD = 64 * 1024
"""So much of the answers to its pings is held for a peer that reads nothing."""
MAX_FRAMES = 1_000
"""A message comes in so many frames at most."""

NOT_UNDERSTOOD = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
"""What opens a socket is read twice, and the second reader takes lines of 8 KiB and no longer ones."""

_quiet = logging.getLogger("arcbilling.sockets.frames")
_quiet.setLevel(logging.WARNING)  # each socket has its line in our own log
_quiet.addFilter(lambda record: not str(record.msg).startswith("Invalid UTF-8"))  # nor is it a fault of ours


class Socket(WebSocketsSansIOProtocol):
    """One connection that is a WebSocket."""

    _unconfirmed = 0
    """Bytes of messages that were sent since the last ping that was answered."""
    _before_ping = 0
    """How many of them were sent before the ping that waits for its answer."""
    _unread = 0
    """Bytes of answers to pings that wait to be read."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.logger = self.conn.logger = _quiet
        self.close_timeout = SECONDS_TO_LEAVE

    async def run_asgi(self) -> None:
        await super().run_asgi()
        is_reading = self.writable.is_set()
        self.loop.call_later(SECONDS_TO_LEAVE if is_reading else 0, self.transport.abort)

    def shutdown(self) -> None:
        """The application hears of the end by itself, and closes with its own word; who lingers is left."""
        self.stop_keepalive()
        self.loop.call_later(SECONDS_TO_LEAVE, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.write(NOT_UNDERSTOOD)
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAMES:
            self.transport.abort()
            return
        super().handle_cont(event)

    # Pings

    def handle_ping(self) -> None:
        before = self.transport.get_write_buffer_size()
        super().handle_ping()
        added = self.transport.get_write_buffer_size() - before
        self._unread = self._unread + added if before else 0
        if self._unread > MAX_UNREAD:
            self.transport.abort()

    async def send(self, message: Any) -> None:
        await super().send(message)
        self._unconfirmed += len(message.get("text") or "")

    def handle_pong(self, event: Frame) -> None:
        if self.pending_ping_payload == bytes(event.data):
            self._unconfirmed -= self._before_ping
        super().handle_pong(event)

    def send_keepalive_ping(self) -> None:
        if self.transport.get_write_buffer_size():
            self.schedule_ping()  # it has not read what is there: TCP knows whether it lives
            return
        self._before_ping = self._unconfirmed
        self.ping_timeout = SECONDS_TO_ANSWER + min(self._unconfirmed / SLOWEST, SECONDS_TO_CATCH_UP)
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """Leaves a peer that does not answer. uvicorn would say 1011, after which clients do not come back."""
        self.pong_timer = self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(CloseCode.GOING_AWAY, "keepalive ping timeout")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.loop.call_later(SECONDS_TO_LEAVE, self.transport.abort)
