"""The GraphQL door: GraphQL over HTTP at /graphql. Queries and mutations by POST, queries by GET."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import graphql
import orjson
import structlog
from graphql import GraphQLError, GraphQLSchema
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from schema.calls import Call, Disconnected
from schema.context import MAX_ROWS_CHOSEN
from schema.decoding import DecodingError, canonical, decode
from schema.documents import Documents, Invalid
from schema.errors import Code, DomainError, internal
from schema.execution import Answer, Result, error_of, execute
from schema.limits import LimitError

log = structlog.get_logger("arcbilling.graphql")

RESPONSE_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"
COST_OF_ONE = 500
"""So much cost is one request of the caller's budget."""


class GraphQLDoor:
    """An ASGI application for /graphql."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._documents = Documents(schema)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call: Call = scope["state"]["call"]
        headers = Headers(scope=scope)
        media_type = negotiated(", ".join(headers.getlist("accept")) or "*/*")
        try:
            answer = await self._answer(call, scope, headers, media_type)
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

    async def _answer(self, call: Call, scope: Scope, headers: Headers, media_type: str | None) -> Answer:
        actor = call.admitted()
        if scope["path"].rstrip("/") != "/graphql":
            raise DomainError(Code.NOT_FOUND, f"There is nothing at {scope['path']}.")
        method = scope["method"]
        if method == "OPTIONS":
            return Answer(204, b"", {"allow": "GET, HEAD, POST, OPTIONS"})
        if media_type is None:
            raise DomainError(
                Code.VALIDATION_ERROR, f"The answer can be {RESPONSE_JSON} or {PLAIN_JSON}: accept one.", status=406
            )
        if method == "POST":
            request = await _read_post(headers, call)
        elif method in ("GET", "HEAD"):
            request = _read_get(scope["query_string"].decode("latin-1"))
        else:
            raise DomainError(
                Code.VALIDATION_ERROR,
                f"The method {method} is not for /graphql; use POST, or GET for queries.",
                status=405,
                headers={"allow": "GET, HEAD, POST, OPTIONS"},
            )
        text, name, variables = _members(request)
        try:
            operation, cost = self._documents.operation(text, name, variables)
        except Invalid as invalid:
            return rendered(Result(None, invalid.errors, executed=False), media_type, call.request_id)
        except (GraphQLError, LimitError) as error:
            refused = error if isinstance(error, GraphQLError) else GraphQLError(str(error))
            return rendered(Result(None, (refused,), executed=False), media_type, call.request_id)
        if operation.is_mutation and method != "POST":
            raise DomainError(
                Code.VALIDATION_ERROR,
                "A mutation must be sent by POST.",
                status=405,
                headers={"allow": "POST, OPTIONS"},
            )
        if operation.definition.operation is graphql.OperationType.SUBSCRIPTION:
            raise DomainError(Code.VALIDATION_ERROR, "Subscriptions are not served over this transport.")
        if (more := cost // COST_OF_ONE) and (limited := await call.charge(more)) is not None:
            raise limited
        asked = None
        if operation.is_mutation and (key := headers.get("idempotency-key")) is not None:
            normal = graphql.print_ast(operation.document)
            asked = call.idempotency(key, b"graphql", normal.encode(), (name or "").encode(), canonical(variables))
        context = replace(call.engine.context(actor, call.request_id), most_rows=MAX_ROWS_CHOSEN)

        def render(result: Result) -> Answer:
            return rendered(result, media_type, call.request_id)

        return await execute(self._schema, operation, variables, context, render, asked)


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


def rendered(result: Result, media_type: str, request_id: str) -> Answer:
    """A GraphQL response. A request that was not executed has no data entry, and fails as a whole."""
    body: dict[str, Any] = {}
    failures = [(error, error_of(error, request_id)) for error in result.errors]
    if failures:
        body["errors"] = [_error(error, failure, request_id) for error, failure in failures]
    if result.executed:
        body["data"] = result.data
    headers = {"content-type": f"{media_type}; charset=utf-8"}
    status = 200
    if result.data is None:
        first = failures[0][1]
        if first.status >= 500 or (media_type == RESPONSE_JSON and not result.executed):
            status = first.status
        if first.retry_after is not None:
            headers["retry-after"] = str(first.retry_after)
    return Answer(status, orjson.dumps(body), headers)


def refusal(error: DomainError, media_type: str | None, request_id: str) -> Answer:
    """A response to a request that never became an operation."""
    headers = {"content-type": f"{media_type or PLAIN_JSON}; charset=utf-8", **error.headers}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    body = {"errors": [{"message": error.message, "extensions": _extensions(error, request_id)}]}
    return Answer(error.status, orjson.dumps(body), headers)


def _error(error: GraphQLError, failure: DomainError, request_id: str) -> dict[str, Any]:
    content: dict[str, Any] = {"message": failure.message}
    if error.locations:
        content["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        content["path"] = list(error.path)
    content["extensions"] = _extensions(failure, request_id)
    return content


def _extensions(error: DomainError, request_id: str) -> dict[str, Any]:
    content: dict[str, Any] = {"code": error.code.value}
    if error.code is Code.INTERNAL_ERROR:
        content["requestId"] = request_id
    if error.fields:
        content["fields"] = {camel_path(path): text for path, text in error.fields.items()}
    if error.reason is not None:
        content["reason"] = error.reason
    if error.allowed_actions is not None:
        content["allowedActions"] = [action.upper() for action in error.allowed_actions]
    return content


def camel_path(path: str) -> str:
    """`items[0].unit_price` → `items[0].unitPrice`."""
    first, *rest = path.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


async def _read_post(headers: Headers, call: Call) -> Mapping[str, Any]:
    body = await call.body()
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
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


def _members(request: Mapping[str, Any]) -> tuple[str, str | None, Mapping[str, Any]]:
    text, name, variables = request.get("query"), request.get("operationName"), request.get("variables")
    if not isinstance(text, str) or not text.strip():
        raise DomainError(Code.VALIDATION_ERROR, "The member query must be a GraphQL document.")
    if name is not None and not isinstance(name, str):
        raise DomainError(Code.VALIDATION_ERROR, "The member operationName must be a string.")
    if variables is not None and not isinstance(variables, dict):
        raise DomainError(Code.VALIDATION_ERROR, "The member variables must be an object.")
    if not isinstance(request.get("extensions", None), dict | None):
        raise DomainError(Code.VALIDATION_ERROR, "The member extensions must be an object.")
    return text, name or None, variables or {}


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
