"""P1's FastAPI application: `bench.yardsticks.p1.app:app`."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from bench.yardsticks.contract import CACHE_SECONDS, PREFIX, cursor_of, digest, next_link, read_cursor, setting
from bench.yardsticks.limits import MovingWindow
from bench.yardsticks.p1 import commands
from bench.yardsticks.p1.database import reader, reading, writer, writing
from bench.yardsticks.p1.forms import Answer, ClientIn, ClientOut, InvoiceIn, InvoiceOut, ListAnswer, Meta
from bench.yardsticks.p1.tables import ApiKey, Client, Invoice

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Caller(NamedTuple):
    key_id: int
    scopes: frozenset[str]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await reader.dispose()
    await writer.dispose()


class Headers:
    """The headers that every answer has: a middleware of plain ASGI, which costs little."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given or secrets.token_hex(16).encode()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id.decode("latin-1")

        async def sending(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                limits = state.get("limits", [])
                message["headers"] += [(b"x-request-id", request_id), (b"cache-control", b"no-store"), *limits]
            await send(message)

        await self._app(scope, receive, sending)


app = FastAPI(lifespan=lifespan, openapi_url=None)
app.add_middleware(Headers)
window = MovingWindow(setting("RATE"))
keys: dict[str, tuple[float, Caller]] = {}


async def caller(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
) -> Caller:
    if given is None:
        raise HTTPException(401, "The API key is missing or not valid.")
    found = digest(given.credentials)
    known = keys.get(found)
    if known is None or time.monotonic() - known[0] > CACHE_SECONDS:
        is_usable = ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
        async with reading() as session:
            key = await session.scalar(select(ApiKey).where(ApiKey.digest == found, is_usable))
        if key is None:
            raise HTTPException(401, "The API key is missing or not valid.")
        known = keys[found] = time.monotonic(), Caller(key.id, frozenset(key.scopes.split()))
    left = window.take(found)
    request.state.limits = [
        (b"x-ratelimit-limit", str(window.amount).encode()),
        (b"x-ratelimit-remaining", str(max(left, 0)).encode()),
    ]
    if left < 0:
        raise HTTPException(429, "The limit is used up. Please try again in 1 seconds.")
    return known[1]


def needs(noun: str, what: str) -> Any:
    """Whoever calls, if the key has the scope."""

    async def allowed(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if not who.scopes & {"*", f"{noun}:{what}", f"{noun}:write"}:
            raise HTTPException(403, f"This key lacks the scope {noun}:{what}.")
        return who

    return Depends(allowed)


async def read_session() -> AsyncIterator[AsyncSession]:
    async with reading() as session:
        yield session


async def write_session() -> AsyncIterator[AsyncSession]:
    async with writing() as session:
        yield session


Reading = Annotated[AsyncSession, Depends(read_session)]
Writing = Annotated[AsyncSession, Depends(write_session)]
PerPage = Annotated[int, Query(ge=1, le=100)]
CODES = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 429: "RATE_LIMITED"}


@app.exception_handler(HTTPException)
async def failed(request: Request, error: HTTPException) -> JSONResponse:
    code = CODES.get(error.status_code, "VALIDATION_ERROR")
    content = {"code": code, "message": error.detail, "request_id": request.state.request_id}
    return JSONResponse({"status": "error", "error": content}, error.status_code)


@app.exception_handler(RequestValidationError)
async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
    fields = {".".join(map(str, one["loc"][1:])): one["msg"] for one in error.errors()}
    content = {"code": "VALIDATION_ERROR", "message": next(iter(fields.values())), "fields": fields}
    return JSONResponse({"status": "error", "error": {**content, "request_id": request.state.request_id}}, 400)


@app.get("/readyz")
async def ready() -> dict[str, str]:
    return {}


@app.get(PREFIX + "/clients/{id}", dependencies=[needs("clients", "read")])
async def get_client(id: int, session: Reading) -> Answer[ClientOut]:
    row = await session.scalar(select(Client).where(Client.id == id, Client.deleted_at.is_(None)))
    if row is None:
        raise HTTPException(404, f"Client {id} was not found.")
    return Answer[ClientOut](data=ClientOut.model_validate(row))


@app.get(PREFIX + "/clients", dependencies=[needs("clients", "read")])
async def list_clients(
    session: Reading, response: Response, per_page: PerPage = 100, cursor: str | None = None
) -> ListAnswer[ClientOut]:
    after = place("ClientRow", cursor)
    live = select(Client).where(Client.deleted_at.is_(None), Client.id > after)
    rows = (await session.scalars(live.order_by(Client.id).limit(per_page + 1))).all()
    shown = [ClientOut.model_validate(row) for row in rows[:per_page]]
    return ListAnswer[ClientOut](data=shown, meta=meta("clients", "ClientRow", rows, per_page, response))


@app.get(PREFIX + "/invoices", dependencies=[needs("invoices", "read")])
async def list_invoices(
    session: Reading, response: Response, per_page: PerPage = 100, cursor: str | None = None
) -> ListAnswer[InvoiceOut]:
    after = place("InvoiceRow", cursor)
    some = select(Invoice).where(Invoice.id > after).order_by(Invoice.id).limit(per_page + 1)
    rows = (await session.scalars(some.options(selectinload(Invoice.items)))).all()
    shown = [InvoiceOut.model_validate(row) for row in rows[:per_page]]
    return ListAnswer[InvoiceOut](data=shown, meta=meta("invoices", "InvoiceRow", rows, per_page, response))


@app.post(PREFIX + "/clients", status_code=201)
async def create_client(
    given: ClientIn,
    session: Writing,
    request: Request,
    response: Response,
    who: Annotated[Caller, needs("clients", "write")],
) -> Answer[ClientOut]:
    try:
        shown = await commands.create_client(session, given, f"key:{who.key_id}", request.state.request_id)
    except IntegrityError:
        raise HTTPException(400, "The email has already been taken.") from None
    response.headers["location"] = f"{PREFIX}/clients/{shown.id}"
    return Answer[ClientOut](data=shown)


@app.post(PREFIX + "/invoices", status_code=201)
async def create_invoice(
    given: InvoiceIn,
    session: Writing,
    request: Request,
    response: Response,
    who: Annotated[Caller, needs("invoices", "write")],
) -> Answer[InvoiceOut]:
    try:
        shown = await commands.create_invoice(session, given, f"key:{who.key_id}", request.state.request_id)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    response.headers["location"] = f"{PREFIX}/invoices/{shown.id}"
    return Answer[InvoiceOut](data=shown)


def place(row: str, cursor: str | None) -> int:
    try:
        return 0 if cursor is None else read_cursor(row, cursor)
    except ValueError:
        raise HTTPException(400, "The cursor field must be a cursor that this list gave.") from None


def meta(noun: str, row: str, found: Any, per_page: int, response: Response) -> Meta:
    if len(found) <= per_page:
        return Meta(per_page=per_page, has_more=False, next_cursor=None)
    cursor = cursor_of(row, found[per_page - 1].id)
    response.headers["link"] = next_link(f"/{noun}", per_page, cursor)
    return Meta(per_page=per_page, has_more=True, next_cursor=cursor)
