"""How requests are received: in time, within bounds, and refused in the form of our own answers.

uvicorn waits for a request as long as it takes, holds whatever headers come, and refuses in plain text. Here a head and
a body have seconds, a head has a size, what was answered already is not read to its end, and an answer that nobody
reads is not held. The only upgrade that is offered is that to a WebSocket at /graphql: any other that is asked for is
ignored, and the request served as it stands.
"""

import secrets
import socket
from asyncio import TimerHandle, Transport
from enum import Enum
from http import HTTPStatus
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from arcbilling import bodies
from arcbilling.bodies import headers_too_large
from arcbilling.gate import MAX_HEADERS
from rest_compat.app import failure
from schema.errors import Code, DomainError

SECONDS_FOR_HEAD = 10
"""From the connection, or from the first byte of a later request, to the end of its headers."""

SECONDS_BEYOND_BODY = 1
"""A door refuses a body that is late (`bodies.SECONDS`); so much later the connection ends, whatever it was for."""

SECONDS_TO_LEAVE = 2
"""So long a caller may take to read a refusal while it still sends."""

SECONDS_TO_READ = 10
"""A caller that takes in nothing of an answer for so long is left."""

BYTES_ON_THE_WAY = 64 * 1024
"""So much of an answer the system holds for a caller: with more, slow reading would look like none for a long while."""

MAX_SOCKET_HEADERS = 100
"""What opens a WebSocket is read by another parser, which takes little more."""

MAX_URL = 65_535
"""The parser of URLs takes no more."""

MAX_IGNORED = 1024 * 1024
"""So many bytes that nobody wants are taken in, so that the caller gets to read the answer it has already."""


class Reads(Enum):
    """What a connection is in the middle of."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


class Whole:
    """The transport of one answer. Its head waits for its body where that has a length, and both go out by one write:
    each is a call of the system, which takes longer than all that is written here."""

    __slots__ = ("_cycle", "_head", "_transport")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        cycle = self._cycle
        if self._head is not None:
            self._transport.writelines((self._head, data))
            cycle.transport = self._transport
        elif cycle.response_started and cycle.chunked_encoding is False and cycle.scope["method"] != "HEAD":
            self._head = data
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class Protocol(HttpToolsProtocol):
    """One connection."""

    url = b""
    _head: TimerHandle | None = None
    """Runs while a head is awaited."""
    _body: TimerHandle | None = None
    """Runs while a body is received."""
    _leaving: TimerHandle | None = None
    """Runs once the connection was refused."""
    _writing: TimerHandle | None = None
    """Runs while something of an answer waits to be read."""
    _reason: DomainError | None = None
    _received = 0
    _in_headers = 0
    _in_trailers = False
    _reads = Reads.NOTHING
    _ignored = 0

    # What uvicorn and the event loop call

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BYTES_ON_THE_WAY)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        for timer in (self._leaving, self._writing):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._leaving is not None:
            self._ignore(len(data))
            return
        if self._reads is not Reads.BODY:
            self._reads = Reads.HEAD
            self._received += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError:
            self._refuse(self._reason or DomainError(Code.VALIDATION_ERROR, "The request is not valid HTTP."))
        if self._reads is Reads.HEAD and self._received - len(self.url) > MAX_HEADERS:
            self._refuse(headers_too_large())
        self._arm()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._writing is not None:
            self._writing.cancel()
        self._await_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.transport = Whole(cycle)  # type: ignore[assignment] # it does what is asked of one

        async def attended(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            if cycle.response_started and not cycle.response_complete and not cycle.disconnected:
                self._break_off(cycle)

        super()._start_asgi_task(cycle, attended)

    def _break_off(self, cycle: RequestResponseCycle) -> None:
        """Ends a connection in the middle of an answer, whether or not what was sent of it is ever read."""
        cycle.disconnected = True  # uvicorn would call it a fault, close, and wait for the caller to read
        self.transport.close()
        if self.flow.write_paused:
            self.transport.abort()
        else:
            self.loop.call_later(SECONDS_TO_LEAVE, self.transport.abort)

    def _parse(self, data: memoryview) -> None:
        """Feeds the parser, which would drop the body of a request that asks for an upgrade, and what follows it.

        Such a head is read again, by a new parser, without the header that asks; unless it opens a WebSocket.
        """
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self._opens_socket():
                    self._disarm()
                    self.scope["method"] = "GET"
                    self.handle_websocket_upgrade()
                    if data:
                        self.transport.get_protocol().data_received(bytes(data))  # type: ignore[attr-defined]
                    return
                start = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
                lines = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(b"\r\n".join([start, *lines, b"", b""]))

    # What the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = self._ignored = 0
        self._in_trailers = False
        self._reads = Reads.HEAD

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL:
            self._stop(DomainError(Code.VALIDATION_ERROR, f"The URL is longer than {MAX_URL:,} bytes.", status=414))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_trailers:  # what comes after the body tells nothing of who calls, or of what is asked
            super().on_header(name, value)
        self._in_headers += len(name) + len(value) + len(": \r\n")
        if self._in_headers > MAX_HEADERS:
            self._stop(headers_too_large())

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("not a proxy")
            return
        self._disarm()
        self._received = 0
        self._in_trailers = True
        super().on_headers_complete()
        self._reads = Reads.BODY

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle is not None and self.cycle.response_complete:
            self._ignore(len(body))

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._disarm()
        self._reads = Reads.NOTHING
        super().on_message_complete()

    def _opens_socket(self) -> bool:
        """Whether the head that was read asks for a WebSocket where there is one, and no answer is owed before."""
        return (
            self._get_upgrade() == b"websocket"
            and self.ws_protocol_class is not None
            and self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and self.url.partition(b"?")[0].rstrip(b"/") == b"/graphql"
            and len(self.headers) <= MAX_SOCKET_HEADERS
            and (self.cycle is None or self.cycle.response_complete)
        )

    # Deadlines and refusals

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(SECONDS_FOR_HEAD, self._head_is_late)

    def _arm(self) -> None:
        """Begins to wait for the rest of what did not come at once."""
        if self._reads is Reads.HEAD and self._leaving is None:
            self._await_head()
        elif self._reads is Reads.BODY and self._body is None:
            self._body = self.loop.call_later(bodies.SECONDS + SECONDS_BEYOND_BODY, self.transport.close)

    def _disarm(self) -> None:
        for timer in (self._head, self._body):
            if timer is not None:
                timer.cancel()
        self._head = self._body = None

    def _head_is_late(self) -> None:
        sentence = f"The headers of the request did not arrive within {SECONDS_FOR_HEAD} seconds."
        self._refuse(DomainError(Code.VALIDATION_ERROR, sentence, status=408))

    def _await_reading(self, left: int | None = None) -> None:
        """Ends the connection once its caller has taken in nothing of what was left."""
        size = self.transport.get_write_buffer_size()
        self._writing = None
        if left is not None and size >= left:
            self.transport.abort()
        elif size:
            self._writing = self.loop.call_later(SECONDS_TO_READ, self._await_reading, size)

    def _stop(self, reason: DomainError) -> NoReturn:
        """Stops the parser, and with it the request."""
        self._reason = reason
        raise ValueError(reason.message)

    def _refuse(self, error: DomainError) -> None:
        in_body = self._reads is Reads.BODY
        self._disarm()
        if self._leaving is not None or self.transport.is_closing():
            return
        self._leaving = self.loop.call_later(SECONDS_TO_LEAVE, self.transport.abort)
        if in_body and not self.pipeline and not self.cycle.response_started:
            self.cycle.disconnected = True  # whoever waits for this body need not
            self.cycle.message_event.set()
        elif in_body or (self.cycle is not None and not self.cycle.response_complete):
            self.transport.close()  # what was asked has an answer already, or another's is to come first
            return
        request_id = secrets.token_hex(16)
        answer = failure(error, request_id)
        headers = {
            **answer.headers,
            "content-length": str(len(answer.body)),
            "x-request-id": request_id,
            "cache-control": "no-store",
            "connection": "close",
        }
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
        self.transport.write_eof()

    def _ignore(self, size: int) -> None:
        self._ignored += size
        if self._ignored > MAX_IGNORED:
            self.transport.close()
