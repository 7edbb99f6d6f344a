"""The REST door: an ASGI application for everything below /api/v1."""

from collections.abc import AsyncGenerator, Mapping
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import orjson
import structlog
from graphql import GraphQLSchema
from starlette.types import Receive, Scope, Send

from rest_compat import event_log
from rest_compat.openapi import openapi
from rest_compat.plans import Plan, compile_plans
from rest_compat.reading import PREFIX, read_no_query, read_query
from rest_compat.reading import read_body as read_members
from schema.calls import Call, Disconnected, Headers
from schema.decoding import DecodingError, canonical, decode
from schema.errors import Code, DomainError, internal
from schema.execution import Answer, NotSubscribed, Result, error_of, execute, subscribe
from schema.scalars import json

log = structlog.get_logger("arcbilling.rest")

JSON = {"content-type": "application/json"}


class Match(NamedTuple):
    """A plan and the id in the path that led to it."""

    plan: Plan
    id: int | None


class RestApp:
    """Translates requests into documents and results into the envelope; decides nothing."""

    def __init__(self, schema: GraphQLSchema, version: str) -> None:
        self._schema = schema
        self.plans = compile_plans(schema)
        self._table: dict[str, dict[str, Plan]] = {}
        for plan in self.plans:
            self._table.setdefault(plan.route.path, {})[plan.route.method] = plan
        self._version = version

    @cached_property
    def openapi(self) -> bytes:
        """The OpenAPI document, made when it is first asked for."""
        document = openapi(self.plans, self._version)
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call: Call = scope["state"]["call"]
        try:
            answer = await self._answer(call, scope)
            if not isinstance(answer, Answer):
                await call.stream(send, answer, b"")
                return
        except Disconnected:
            return
        except DomainError as error:
            answer = failure(error, call.request_id)
        except Exception as error:
            log.error("internal error", exc_info=error, request_id=call.request_id)
            answer = failure(internal(), call.request_id)
        body = b"" if scope["method"] == "HEAD" else answer.body
        headers = {**answer.headers, "content-length": str(len(answer.body))}
        if answer.status == 204:
            del headers["content-length"]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, call: Call, scope: Scope) -> Answer | AsyncGenerator[bytes]:
        """An answer, or the parts of an event stream."""
        path = scope["path"].removeprefix(PREFIX).rstrip("/")
        if path == "/openapi.json":
            scope["state"]["route"] = path
            return self._description(scope["method"])
        call.admitted()
        matched = self._match(scope["method"], path)
        if isinstance(matched, Answer):
            return matched
        plan, actor = matched.plan, call.admitted()
        scope["state"]["route"] = plan.route.path
        if missing := plan.operation.authorise(actor):
            raise error_of(missing[0], call.request_id)
        query = scope["query_string"].decode("latin-1")
        headers = call.headers
        if plan.route.is_stream:
            variables = event_log.read_stream(query, headers.get(b"last-event-id"))
            return await self._stream(call, plan, variables, scope["method"])
        if plan.operation.is_mutation:
            read_no_query(query)
            body = await _read_json(headers, call)
            variables = read_members(plan, body)
            parts = (plan.route.method.encode(), plan.route.path.encode(), str(matched.id).encode(), canonical(body))
            asked = call.idempotency(headers.get(b"idempotency-key"), *parts)
        else:
            variables = {}
            asked = None
            if plan.is_log:
                variables = event_log.read_page(query)
            elif plan.is_list:
                variables = read_query(plan, query, matched.id)
            else:
                read_no_query(query)
        if matched.id is not None:
            variables["id"] = str(matched.id)
        context = call.engine.context(actor, call.request_id)

        def render(result: Result) -> Answer:
            if result.failed:
                return failure(error_of(result.errors[0], call.request_id), call.request_id)
            assert result.data is not None
            if plan.is_log:
                return event_log.page(plan, result, variables)
            if plan.is_list:
                return _list(plan, result, variables, query)
            return _object(plan, result)

        return await execute(self._schema, plan.operation, variables, context, render, asked)

    async def _stream(
        self, call: Call, plan: Plan, variables: Mapping[str, Any], method: str
    ) -> Answer | AsyncGenerator[bytes]:
        actor = call.admitted()
        try:
            results = await subscribe(
                self._schema, plan.operation, variables, lambda: call.engine.context(actor, call.request_id)
            )
        except NotSubscribed as refused:
            raise error_of(refused.result.errors[0], call.request_id) from None
        if method == "HEAD":
            await results.aclose()
            return Answer(200, b"", event_log.STREAM_HEADERS)
        return event_log.stream(plan, results, call.request_id)

    def _description(self, method: str) -> Answer:
        """The OpenAPI document, which needs no key."""
        allowed = "GET, HEAD, OPTIONS"
        if method == "OPTIONS":
            return Answer(204, b"", {"allow": allowed})
        if method not in ("GET", "HEAD"):
            raise _not_allowed(method, "/openapi.json", allowed)
        return Answer(200, self.openapi, JSON)

    def _match(self, method: str, path: str) -> Match | Answer:
        """The route; raises 404 and 405 as the contract says."""
        methods, id = self._table.get(path), None
        if methods is None:
            segments = path.split("/")
            if len(segments) > 2 and (id := _id(segments[2])) is not None:
                segments[2] = "{id}"
                methods = self._table.get("/".join(segments))
        if methods is None or (id is None and "{id}" in path):
            raise DomainError(Code.NOT_FOUND, f"There is nothing at {PREFIX}{path}.")
        plan = methods.get("GET" if method == "HEAD" else method)
        if plan is not None:
            return Match(plan, id)
        allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])
        if method == "OPTIONS":
            return Answer(204, b"", {"allow": allowed})
        raise _not_allowed(method, path, allowed)


def failure(error: DomainError, request_id: str) -> Answer:
    """The envelope of an error."""
    content: dict[str, Any] = {"code": error.code.value, "message": error.message}
    if error.fields:
        content["fields"] = error.fields
    if error.reason is not None and error.allowed_actions is None:  # which actions are allowed, GraphQL alone says
        content["reason"] = error.reason
    content["request_id"] = request_id
    headers = {**JSON, **error.headers}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    return Answer(error.status, orjson.dumps({"status": "error", "error": content}), headers)


def _object(plan: Plan, result: Result) -> Answer:
    assert result.data is not None
    (shown,) = plan.shown([result.data["data"]], is_plain=result.is_plain)
    headers = dict(JSON)
    if plan.route.status == 201:
        headers["location"] = f"{PREFIX}{plan.route.path}/{shown['id']}"
    return Answer(plan.route.status, json({"status": "success", "data": shown}), headers)


def _list(plan: Plan, result: Result, variables: Mapping[str, Any], query: str) -> Answer:
    assert result.data is not None
    data = result.data["data"]
    page = data["pageInfo"]
    more, cursor = page["hasNextPage"], page["endCursor"] if page["hasNextPage"] else None
    meta: dict[str, Any] = {"per_page": variables["first"], "has_more": more, "next_cursor": cursor}
    given = dict(parse_qsl(query, keep_blank_values=True))
    if "page" in given:
        meta["page"] = int(given["page"])
    if variables["total"]:
        meta["total"] = data["totalCount"]
    headers = dict(JSON)
    if cursor is not None:
        following = {name: value for name, value in given.items() if name not in ("page", "cursor")}
        path = plan.route.path.replace("{id}", variables.get("id", ""))
        headers["link"] = f'<{PREFIX}{path}?{urlencode({**following, "cursor": cursor})}>; rel="next"'
    body = {"status": "success", "data": plan.shown(data["nodes"], is_plain=result.is_plain), "meta": meta}
    return Answer(200, json(body), headers)


def _not_allowed(method: str, path: str, allowed: str) -> DomainError:
    return DomainError(
        Code.VALIDATION_ERROR,
        f"The method {method} is not for {PREFIX}{path}; use one of: {allowed}.",
        status=405,
        headers={"allow": allowed},
    )


async def _read_json(headers: Headers, call: Call) -> object:
    """The body as JSON; none is an empty object."""
    body = await call.body()
    if not body.strip():
        return {}
    media_type = (headers.get(b"content-type") or "").partition(";")[0].strip().lower()
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        raise DomainError(
            Code.VALIDATION_ERROR, f"The Content-Type {media_type} is not read here; send application/json.", status=415
        )
    try:
        return decode(body)
    except DecodingError as error:
        raise DomainError(Code.VALIDATION_ERROR, str(error)) from None


def _id(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63:
        return int(text)
    return None
