"""P0's ASGI application: `bench.yardsticks.p0.app:app`."""

import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from bench.yardsticks.contract import CACHE_SECONDS, PREFIX, cursor_of, digest, next_link, setting
from bench.yardsticks.limits import MovingWindow
from bench.yardsticks.p0.postgres import Postgres
from bench.yardsticks.p0.reading import Refused, read_client, read_invoice, read_page
from bench.yardsticks.p0.rows import Call, Store
from bench.yardsticks.p0.sqlite import Sqlite
from bench.yardsticks.passwords import hash_password

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

JSON = (b"content-type", b"application/json")
TIMES = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
NOT_FOUND = Refused(404, "NOT_FOUND", "There is nothing here.")


class App:
    def __init__(self) -> None:
        url = setting("DATABASE")
        self._store: Store = Postgres(url) if "://" in url else Sqlite(url)
        self._window = MovingWindow(setting("RATE"))
        self._keys: dict[str, tuple[float, int, str]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        request_id = token = ""
        for name, value in scope["headers"]:
            if name == b"authorization":
                token = value.decode("latin-1").removeprefix("Bearer ")
            elif name == b"x-request-id":
                request_id = value.decode("latin-1")
        request_id = request_id or secrets.token_hex(16)
        headers = [JSON, (b"x-request-id", request_id.encode("latin-1")), (b"cache-control", b"no-store")]
        status = 200
        try:
            body, extra = await self._answer(scope, receive, token, request_id, headers)
            if extra is not None:
                headers.append(extra)
                status = 201 if extra[0] == b"location" else 200
        except Refused as refused:
            status = refused.status
            body = orjson.dumps({"status": "error", "error": {**refused.error, "request_id": request_id}})
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(
        self, scope: dict[str, Any], receive: Receive, token: str, request_id: str, headers: list[tuple[bytes, bytes]]
    ) -> tuple[bytes, tuple[bytes, bytes] | None]:
        path, method = scope["path"], scope["method"]
        if path == "/readyz":
            return b"{}", None
        key_id, scopes = await self._key(token)
        left = self._window.take(token)
        headers.append((b"x-ratelimit-limit", b"%d" % self._window.amount))
        headers.append((b"x-ratelimit-remaining", b"%d" % max(left, 0)))
        if left < 0:
            raise Refused(429, "RATE_LIMITED", "The limit is used up. Please try again in 1 seconds.")
        noun, *id = path.removeprefix(PREFIX + "/").rstrip("/").split("/")
        _allow(scopes, noun, "read" if method == "GET" else "write")
        if method == "POST":
            call = Call(f"key:{key_id}", request_id, datetime.now(UTC))
            return await self._create(noun, call, await _body(receive))
        if noun == "clients" and id:
            row = await self._store.client(int(id[0])) if id[0].isdigit() else None
            if row is None:
                raise NOT_FOUND
            return orjson.dumps({"status": "success", "data": row}, option=TIMES), None
        return await self._list(noun, scope["query_string"])

    async def _list(self, noun: str, query: bytes) -> tuple[bytes, tuple[bytes, bytes] | None]:
        row = "ClientRow" if noun == "clients" else "InvoiceRow"
        page = read_page(query, row)
        found = await (self._store.clients(page) if noun == "clients" else self._store.invoices(page))
        more = len(found) > page.per_page
        shown = found[: page.per_page]
        cursor = cursor_of(row, shown[-1]["id"]) if more else None
        meta = {"per_page": page.per_page, "has_more": more, "next_cursor": cursor}
        link = (b"link", next_link(f"/{noun}", page.per_page, cursor).encode()) if cursor else None
        return orjson.dumps({"status": "success", "data": shown, "meta": meta}, option=TIMES), link

    async def _create(self, noun: str, call: Call, body: bytes) -> tuple[bytes, tuple[bytes, bytes] | None]:
        if noun == "clients":
            client = read_client(body)
            client["password_hash"] = await hash_password(client["password"])
            row = await self._store.create_client(call, client)
        elif noun == "invoices":
            row = await self._store.create_invoice(call, *read_invoice(body))
        else:
            raise NOT_FOUND
        location = (b"location", f"{PREFIX}/{noun}/{row['id']}".encode())
        return orjson.dumps({"status": "success", "data": row}), location

    async def _key(self, token: str) -> tuple[int, str]:
        known = self._keys.get(found := digest(token))
        now = time.monotonic()
        if known is None or now - known[0] > CACHE_SECONDS:
            row = await self._store.key(found)
            if row is None:
                raise Refused(401, "UNAUTHORIZED", "The API key is missing or not valid.")
            known = self._keys[found] = now, *row
        return known[1], known[2]

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._store.connect()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._store.close()
        await send({"type": "lifespan.shutdown.complete"})


def _allow(scopes: str, noun: str, what: str) -> None:
    if noun not in ("clients", "invoices"):
        raise NOT_FOUND
    granted = scopes.split()
    if "*" not in granted and f"{noun}:{what}" not in granted and f"{noun}:write" not in granted:
        raise Refused(403, "FORBIDDEN", f"This key lacks the scope {noun}:{what}.")


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


app = App()
