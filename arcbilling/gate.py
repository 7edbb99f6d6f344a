"""The gate before both doors: request id, CORS, size, rate limit and key, in this order.

It finds out who is calling and whether the call may go on; the door itself says so in its own form. It is pure ASGI.
"""

import asyncio
import ipaddress
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from arcbilling.bodies import headers_too_large, read_body, too_large
from arcbilling.limiter import Limiter, SharedWindow, Verdict
from arcbilling.settings import Settings
from arcbilling.streams import Streams
from models.api_keys import ApiKeyRow
from resolvers.database import DatabaseUnavailable
from schema.actors import Actor
from schema.api_keys import Keyring, actor_of, admits
from schema.calls import Call, Engine, Headers
from schema.errors import Code, DomainError, forbidden, internal, unavailable

log = structlog.get_logger("arcbilling.gate")

DOORS = {"/api/v1": 1024 * 1024, "/graphql": 64 * 1024}
"""The doors, and the largest body that each reads."""

KNOWN_ADDRESSES = 1_000
"""So many addresses are not read anew each time."""

MAX_HEADERS = 32 * 1024
"""The most bytes of all headers of a request together."""

NOT_FROM_HERE = "This key may not be used from this address."

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}", re.ASCII)
_WITH_PORT = re.compile(r"\[([^]]*)\](?::[0-9]*)?|([0-9.]+):[0-9]*", re.ASCII)
_SINGLE = ("Authorization", "Idempotency-Key")
_EXPOSED = b"Location, Link, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-Request-Id, Idempotency-Replayed"
_METHODS = b"GET, HEAD, POST, PUT, DELETE, OPTIONS"


class Found(NamedTuple):
    """What is known of who calls: the key's row, or why there is none, and whether that is our own fault."""

    key: ApiKeyRow | None
    refusal: DomainError | None = None
    ours: bool = False


@dataclass(frozen=True)
class Handshake:
    """A WebSocket that asks to be opened; who calls is told by its first message."""

    request_id: str
    is_of_known_origin: bool
    admit: Callable[[str | None], Awaitable[Call]]
    """Finds out who calls by a key, and whether it may."""


class Gate:
    """Wraps the application; a door finds its `Call` in the scope's state."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        engine: Engine,
        keyring: Keyring,
        streams: Streams,
        window: SharedWindow | None = None,
    ) -> None:
        self._app = app
        self._settings = settings
        self._engine = engine
        self._keyring = keyring
        self._streams = streams
        self._keys = Limiter(settings.rate_limit_authenticated, window)
        self._addresses = Limiter(settings.rate_limit_anonymous, window)
        self._background: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope["headers"])
        request_id = headers.get(b"x-request-id") or ""
        if not _SANE_REQUEST_ID.fullmatch(request_id):
            request_id = f"{random.getrandbits(128):032x}"
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)  # every line of this request carries it
        added: list[tuple[bytes, bytes]] = [(b"x-request-id", request_id.encode())]
        door = door_of(scope["path"])
        if scope["type"] == "websocket":
            state["handshake"] = self._handshake(scope, headers, request_id)
            await self._app(scope, receive, _adding(send, added))
            return
        if door is None:
            await self._app(scope, receive, _adding(send, added))
            return
        added.append((b"cache-control", b"no-store"))
        added += self._cors(headers)
        if scope["method"] == "OPTIONS" and _is_preflight(headers):
            await _preflight(headers, added, send)
            return
        if scope["path"].rstrip("/") != "/api/v1/openapi.json":
            state["call"] = await self._call(scope, receive, headers, request_id, DOORS[door], added)
        else:
            state["call"] = Call(self._engine, headers, request_id, None, None, _no_body, _free, _no_stream)
        await self._app(scope, receive, _adding(send, added))

    async def _call(
        self,
        scope: Scope,
        receive: Receive,
        headers: Headers,
        request_id: str,
        most: int,
        added: list[tuple[bytes, bytes]],
    ) -> Call:
        ip = scope["state"]["ip"] = client_ip(scope, headers, self._settings)
        found = await self._identify(bearer(headers), request_id)
        key, refusal = found.key, found.refusal
        limiter, caller = self._budget(found, ip)
        # The key may be a valid one, which never pays the address's budget.
        verdict = await (limiter.peek(caller) if found.ours else limiter.take(caller))
        if verdict is not None:
            added += verdict.headers
        if headers.size > MAX_HEADERS:
            refusal = headers_too_large()
        elif (name := _contradicted(headers)) is not None:
            refusal = DomainError(Code.VALIDATION_ERROR, f"The header {name} is given twice, with different values.")
        elif _length(headers) > most:
            refusal = too_large(most)
        elif verdict is not None and verdict.retry_after is not None:
            refusal = rate_limited(verdict)
        elif key is not None and not admits(key, ip):
            refusal = forbidden(NOT_FROM_HERE)
        actor = None
        if key is not None and refusal is None:
            actor = self._let_in(key, ip)

        async def charge(cost: int) -> DomainError | None:
            more = await limiter.take(caller, cost)
            if more is None:
                return None
            added[:] = [pair for pair in added if not pair[0].startswith(b"x-ratelimit")] + more.headers
            return None if more.retry_after is None else rate_limited(more)

        async def body() -> bytes:
            return await read_body(receive, most)

        async def stream(sending: Send, chunks: AsyncGenerator[bytes], last: bytes) -> None:
            assert actor is not None
            await self._streams.tell(actor, receive, sending, chunks, last)

        return Call(self._engine, headers, request_id, actor, refusal, body, charge, stream)

    def _handshake(self, scope: Scope, headers: Headers, request_id: str) -> "Handshake":
        ip = scope["state"]["ip"] = client_ip(scope, headers, self._settings)

        async def admit(token: str | None) -> Call:
            call = await self._admit(token, ip, headers, request_id)
            scope["state"]["call"] = call
            return call

        origin = headers.get(b"origin")
        allowed = self._settings.cors_origins
        return Handshake(request_id, origin is None or "*" in allowed or origin in allowed, admit)

    async def _admit(self, token: str | None, ip: str | None, headers: Headers, request_id: str) -> Call:
        """Who calls over a socket. The caller pays for what it asks there; without a key, its address for trying."""
        found = await self._identify(token, request_id)
        key, refusal = found.key, found.refusal
        limiter, caller = self._budget(found, ip)
        if key is None:
            verdict = await (limiter.peek(caller) if found.ours else limiter.take(caller))
            if verdict is not None and verdict.retry_after is not None:
                refusal = rate_limited(verdict)
        elif not admits(key, ip):
            refusal = forbidden(NOT_FROM_HERE)

        async def charge(cost: int) -> DomainError | None:
            more = await limiter.take(caller, cost)
            return None if more is None or more.retry_after is None else rate_limited(more)

        actor = self._let_in(key, ip) if key is not None and refusal is None else None
        return Call(self._engine, headers, request_id, actor, refusal, _no_body, charge, _no_stream)

    async def _identify(self, token: str | None, request_id: str) -> "Found":
        try:
            return Found(await self._keyring.authenticate(token))
        except DomainError as error:
            return Found(None, error)
        except Exception as error:
            log.error("the key could not be looked up", exc_info=error, request_id=request_id)
            return Found(None, unavailable() if isinstance(error, DatabaseUnavailable) else internal(), ours=True)

    def _budget(self, found: "Found", ip: str | None) -> tuple[Limiter, str]:
        """Whose budget a call takes from: the key's, or that of the address which comes without one."""
        return (self._keys, f"key:{found.key.id}") if found.key is not None else (self._addresses, _network(ip))

    def _let_in(self, key: ApiKeyRow, ip: str | None) -> Actor:
        if (moment := self._keyring.claim_note(key)) is not None:
            self._start(self._note_use(key, moment, ip))
        return actor_of(key)

    def _cors(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        origin = headers.get(b"origin")
        allowed = self._settings.cors_origins
        if origin is None or ("*" not in allowed and origin not in allowed):
            return []
        if "*" in allowed:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED)]
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]

    async def _note_use(self, key: ApiKeyRow, moment: datetime, ip: str | None) -> None:
        try:
            await self._keyring.note_use(key, moment, ip)
        except Exception as error:
            log.warning("the use of a key could not be noted", key_id=key.id, error=str(error))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="note-key-use")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def finish(self) -> None:
        """Waits for what was started on the side, at shutdown."""
        await asyncio.gather(*self._background, return_exceptions=True)


def door_of(path: str) -> str | None:
    """The door that a path leads to."""
    for door in DOORS:
        if path.startswith(door) and path[len(door) : len(door) + 1] in ("", "/"):
            return door
    return None


def bearer(headers: Headers) -> str | None:
    return token_of(headers.get(b"authorization") or "")


def token_of(authorization: str) -> str | None:
    """The key of `Bearer …`."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _contradicted(headers: Headers) -> str | None:
    """A header that is given twice, of which only one can be meant."""
    if not headers.has_repeats:
        return None
    return next((name for name in _SINGLE if len(set(headers.all(name.lower().encode()))) > 1), None)


def client_ip(scope: Scope, headers: Headers, settings: Settings) -> str | None:
    """The caller's address: the peer's, or what a trusted proxy says it is."""
    peer = _address(scope["client"][0]) if scope.get("client") else None
    hops = [hop.strip() for hop in ",".join(headers.all(b"x-forwarded-for")).split(",") if hop.strip()]
    while peer is not None and hops and any(peer in network for network in settings.trusted_proxies):
        peer = _address(hops.pop())
    return None if peer is None else _written(peer)


def rate_limited(verdict: Verdict) -> DomainError:
    return DomainError(
        Code.RATE_LIMITED,
        f"The limit of {verdict.limit} requests is used up. Please try again in {verdict.retry_after} seconds.",
        retry_after=verdict.retry_after,
    )


@lru_cache(KNOWN_ADDRESSES)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text says; an IPv4 address in IPv6's form is the IPv4 address.

    Some proxies write the caller's port behind it, and brackets around an IPv6 address.
    """
    if written := _WITH_PORT.fullmatch(text):
        text = written[1] or written[2]
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if ip.version == 6 else ip


_written = lru_cache(KNOWN_ADDRESSES)(str)
"""An address as text."""


@lru_cache(KNOWN_ADDRESSES)
def _network(address: str | None) -> str:
    """Whose budget an address has: its own, or that of its /64."""
    ip = _address(address or "")
    if ip is None:
        return "ip:unknown"
    return f"ip:{ip if ip.version == 4 else ipaddress.ip_network((ip, 64), strict=False)}"


def _length(headers: Headers) -> int:
    text = headers.get(b"content-length") or "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _adding(send: Send, added: list[tuple[bytes, bytes]]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return sending


def _is_preflight(headers: Headers) -> bool:
    return None not in (headers.get(b"access-control-request-method"), headers.get(b"origin"))


async def _preflight(headers: Headers, added: list[tuple[bytes, bytes]], send: Send) -> None:
    wanted = headers.get(b"access-control-request-headers")
    if wanted is None:
        wanted = "authorization, content-type, idempotency-key, x-request-id"
    extra: list[tuple[bytes, bytes]] = []
    if any(name == b"access-control-allow-origin" for name, _ in added):
        extra = [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", wanted.encode("latin-1")),
            (b"access-control-max-age", b"600"),
        ]
    await send({"type": "http.response.start", "status": 204, "headers": [*added, *extra]})
    await send({"type": "http.response.body", "body": b""})


async def _no_body() -> bytes:
    return b""


async def _no_stream(_: Send, __: AsyncGenerator[bytes], ___: bytes) -> None:
    raise AssertionError("there is nothing to be streamed")


async def _free(_: int) -> DomainError | None:
    return None
