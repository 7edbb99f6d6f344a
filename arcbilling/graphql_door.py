"""The GraphQL door: GraphQL over HTTP at /graphql. Queries and mutations by POST, queries by GET.

Where an event stream is accepted, subscriptions are answered by one, in the form of graphql-sse; where nothing else is,
so is everything.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import graphql
import orjson
import structlog
from starlette.types import Receive, Scope, Send

from arcbilling.operations import Operations, Refused, contexts, is_subscription, members, told, told_refusal
from schema.calls import Call, Disconnected, Headers
from schema.decoding import DecodingError, canonical, decode
from schema.errors import Code, DomainError, internal
from schema.execution import Answer, NotSubscribed, Result, execute, subscribe
from schema.scalars import json

log = structlog.get_logger("arcbilling.graphql")

RESPONSE_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"
EVENT_STREAM = "text/event-stream"
NOT_BY_ONE_ANSWER = f"A subscription is answered as {EVENT_STREAM}: accept that, or ask over a WebSocket."
ACCEPTS_KEPT = 200
"""Of so many texts it is known what they accept."""
COMPLETE = b"event: complete\ndata:\n\n"
"""The last word of an event stream."""


class GraphQLDoor:
    """An ASGI application for /graphql."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call: Call = scope["state"]["call"]
        headers = call.headers
        accepted = ", ".join(headers.all(b"accept")) or "*/*"
        media_type = negotiated(accepted)
        try:
            answer = await self._answer(call, scope, headers, Accepted(media_type, accepts_events(accepted)))
            if not isinstance(answer, Answer):
                await call.stream(send, answer, COMPLETE)
                return
        except Disconnected:
            return
        except DomainError as error:
            answer = refusal(error, media_type, call.request_id)
        except Exception as error:
            log.error("internal error", exc_info=error, request_id=call.request_id)
            answer = refusal(internal(), media_type, call.request_id)
        body = b"" if scope["method"] == "HEAD" else answer.body
        raw = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
        if answer.status != 204:
            raw.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _answer(
        self, call: Call, scope: Scope, headers: Headers, accepted: "Accepted"
    ) -> Answer | AsyncGenerator[bytes]:
        """An answer, or the results of an operation as an event stream."""
        call.admitted()
        if scope["path"].rstrip("/") != "/graphql":
            raise DomainError(Code.NOT_FOUND, f"There is nothing at {scope['path']}.")
        method = scope["method"]
        if method == "OPTIONS":
            return Answer(204, b"", {"allow": "GET, HEAD, POST, OPTIONS"})
        if accepted.media_type is None and not accepted.events:
            raise DomainError(
                Code.VALIDATION_ERROR,
                f"The answer can be {RESPONSE_JSON}, {PLAIN_JSON} or {EVENT_STREAM}: accept one.",
                status=406,
            )
        if method == "POST":
            given = await _read_post(headers, call)
        elif method in ("GET", "HEAD"):
            given = _read_get(scope["query_string"].decode("latin-1"))
        else:
            raise DomainError(
                Code.VALIDATION_ERROR,
                f"The method {method} is not for /graphql; use POST, or GET for queries.",
                status=405,
                headers={"allow": "GET, HEAD, POST, OPTIONS"},
            )
        request = members(given)
        try:
            operation, cost = await self._operations.read(request)
        except Refused as refused:
            if accepted.only_events:
                return _once(rendered(refused.result, accepted.rather, call.request_id))
            return rendered(refused.result, accepted.rather, call.request_id)
        if operation.is_mutation and method != "POST":
            raise DomainError(
                Code.VALIDATION_ERROR,
                "A mutation must be sent by POST.",
                status=405,
                headers={"allow": "POST, OPTIONS"},
            )
        streamed = is_subscription(operation)
        if streamed and (not accepted.events or method == "HEAD"):
            refused_here = Refused((graphql.GraphQLError(NOT_BY_ONE_ANSWER),))
            return rendered(refused_here.result, accepted.rather, call.request_id)
        if cost and (limited := await call.charge(cost)) is not None:
            raise limited
        new_context = contexts(call)
        if streamed:
            try:
                results = await subscribe(self._operations.schema, operation, request.variables, new_context)
            except NotSubscribed as refused:
                return _once(rendered(refused.result, accepted.rather, call.request_id))
            return _each(results, call.request_id)
        asked = None
        if operation.is_mutation and (key := headers.get(b"idempotency-key")) is not None:
            normal = graphql.print_ast(operation.document)
            parts = (normal.encode(), (request.name or "").encode(), canonical(request.variables))
            asked = call.idempotency(key, b"graphql", *parts)

        def render(result: Result) -> Answer:
            return rendered(result, accepted.rather, call.request_id)

        schema = self._operations.schema
        answer = await execute(schema, operation, request.variables, new_context(), render, asked)
        return _once(answer) if accepted.only_events and method != "HEAD" else answer


class Accepted(NamedTuple):
    """What a caller takes as an answer."""

    media_type: str | None
    """Of one that is a single document; None if it takes none."""
    events: bool
    """Whether it takes an event stream."""

    @property
    def rather(self) -> str:
        return self.media_type or RESPONSE_JSON

    @property
    def only_events(self) -> bool:
        return self.media_type is None


def _once(answer: Answer) -> Answer:
    """An answer in the form of an event stream. It is there, and so is no stream that is counted or ended."""
    headers = {**answer.headers, "content-type": f"{EVENT_STREAM}; charset=utf-8"}
    return Answer(200, _next(answer.body) + COMPLETE, headers)


async def _each(results: AsyncGenerator[Result], request_id: str) -> AsyncGenerator[bytes]:
    async with aclosing(results):
        async for result in results:
            yield _next(json(told(result, request_id)[0]))


def _next(response: bytes) -> bytes:
    return b"event: next\ndata: " + response + b"\n\n"


@lru_cache(ACCEPTS_KEPT)
def negotiated(accept: str) -> str | None:
    """The media type of the answer: what is accepted rather, the first named when equally; None when neither is."""
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((_quality(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
        ranges.setdefault(name, quality)
    best: tuple[float, int, str] | None = None
    for kind in (PLAIN_JSON, RESPONSE_JSON):
        named = next((name for name in (kind, "application/*", "*/*") if name in ranges), None)
        if named is not None and ranges[named] > 0:
            place = list(ranges).index(named)
            if best is None or (-ranges[named], place) < best[:2]:
                best = -ranges[named], place, kind
    return best[2] if best else None


@lru_cache(ACCEPTS_KEPT)
def accepts_events(accept: str) -> bool:
    """Whether an event stream is named among what is accepted."""
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name == EVENT_STREAM:
            return all(_quality(one[2:]) > 0 for one in parameters if one.startswith("q="))
    return False


def rendered(result: Result, media_type: str, request_id: str) -> Answer:
    """A GraphQL response. A request that was not executed has no data entry, and fails as a whole."""
    body, first = told(result, request_id)
    headers = {"content-type": f"{media_type}; charset=utf-8"}
    status = 200
    if result.data is None:
        assert first is not None
        if first.status >= 500 or (media_type == RESPONSE_JSON and not result.executed):
            status = first.status
        if first.retry_after is not None:
            headers["retry-after"] = str(first.retry_after)
    return Answer(status, json(body), headers)


def refusal(error: DomainError, media_type: str | None, request_id: str) -> Answer:
    """A response to a request that never became an operation."""
    headers = {"content-type": f"{media_type or PLAIN_JSON}; charset=utf-8", **error.headers}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    return Answer(error.status, orjson.dumps({"errors": told_refusal(error, request_id)}), headers)


async def _read_post(headers: Headers, call: Call) -> Mapping[str, Any]:
    body = await call.body()
    media_type = (headers.get(b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != PLAIN_JSON:
        raise DomainError(
            Code.VALIDATION_ERROR,
            f"{f'The Content-Type {media_type}' if media_type else 'A body without Content-Type'} is not read here; "
            "send application/json.",
            status=415,
        )
    try:
        request = decode(body)
    except DecodingError as error:
        raise DomainError(Code.VALIDATION_ERROR, str(error)) from None
    if not isinstance(request, dict):
        raise DomainError(Code.VALIDATION_ERROR, "The request body must be a JSON object with the member query.")
    return request


def _read_get(query: str) -> Mapping[str, Any]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise DomainError(Code.VALIDATION_ERROR, "The query string is malformed.") from None
    request: dict[str, Any] = dict(pairs)
    if len(request) < len(pairs):
        raise DomainError(Code.VALIDATION_ERROR, "A parameter of the query string is given twice.")
    for name in ("variables", "extensions"):
        if request.get(name):
            try:
                request[name] = decode(request[name].encode())
            except DecodingError as error:
                reason = str(error).removeprefix("The request body is not valid JSON: ")
                raise DomainError(Code.VALIDATION_ERROR, f"The parameter {name} is not valid JSON: {reason}") from None
        else:
            request.pop(name, None)
    return request


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
