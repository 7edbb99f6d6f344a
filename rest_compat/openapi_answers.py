"""The answers of the OpenAPI document: the envelope, its headers, and every refusal."""

from dataclasses import dataclass, field
from typing import Any

from rest_compat import openapi_events
from rest_compat.openapi_schemas import Schema
from rest_compat.plans import Plan
from schema.errors import Code
from schema.limits import MAX_PAGE

_WHOLE: Schema = {"type": "integer", "minimum": 0}

HEADERS: dict[str, Schema] = {
    "RateLimit": {"description": "Requests that are allowed in a minute.", "schema": _WHOLE, "example": 60},
    "RateLimitRemaining": {"description": "How many of them are left.", "schema": _WHOLE, "example": 58},
    "RetryAfter": {
        "description": "In how many seconds to try again.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 42,
    },
    "RequestId": {
        "description": "Names this request in the log: the caller's `X-Request-Id`, if it sent a sane one.",
        "schema": {"type": "string"},
        "example": "0f8b2c6d4e9a47d1b3c5e7f901234567",
    },
    "IdempotencyReplayed": {
        "description": "Present when this is the stored answer to an earlier request with the same Idempotency-Key.",
        "schema": {"type": "string", "const": "true"},
        "example": "true",
    },
    "Location": {
        "description": "Where the new object is.",
        "schema": {"type": "string"},
        "example": "/api/v1/clients/56",
    },
    "Link": {
        "description": "The next page, while there is one.",
        "schema": {"type": "string"},
        "example": '</api/v1/clients?cursor=WyJpZCIsMTAwLDEwMF0>; rel="next"',
    },
    "Allow": {"description": "The methods that the path has.", "schema": {"type": "string"}, "example": "GET, HEAD"},
    "Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}, "example": "Bearer"},
}

ALWAYS = {"X-RateLimit-Limit": "RateLimit", "X-RateLimit-Remaining": "RateLimitRemaining", "X-Request-Id": "RequestId"}


@dataclass(frozen=True)
class Refusal:
    """An error status: what it means, an example, and the headers that it carries besides those of every answer."""

    name: str
    status: int
    code: Code
    meaning: str
    message: str
    fields: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


_EMAIL = "The email field must be a valid email address."
_RETRY = {"Retry-After": "RetryAfter"}

REFUSALS = {
    one.status: one
    for one in (
        Refusal(
            "Invalid",
            400,
            Code.VALIDATION_ERROR,
            "Members or parameters are wrong, or a rule forbids it.",
            _EMAIL,
            {"email": _EMAIL},
        ),
        Refusal(
            "Unauthorized",
            401,
            Code.UNAUTHORIZED,
            "The API key is missing or not valid.",
            "A valid API key is required: send it as 'Authorization: Bearer YOUR_API_KEY'.",
            headers={"WWW-Authenticate": "Authenticate"},
        ),
        Refusal(
            "Forbidden",
            403,
            Code.FORBIDDEN,
            "The API key may not do this; the message names the scope that it lacks.",
            "This key lacks the scope invoices:write.",
        ),
        Refusal("NotFound", 404, Code.NOT_FOUND, "There is no such object.", "Invoice 1234 does not exist."),
        Refusal(
            "MethodNotAllowed",
            405,
            Code.VALIDATION_ERROR,
            "The path does not have this method.",
            "The method PATCH is not for /api/v1/clients/56; use one of: GET, PUT, DELETE, HEAD, OPTIONS.",
            headers={"Allow": "Allow"},
        ),
        Refusal(
            "TooSlow",
            408,
            Code.VALIDATION_ERROR,
            "The request body did not arrive in time.",
            "The request body did not arrive within 10 seconds.",
        ),
        Refusal(
            "StillRunning",
            409,
            Code.VALIDATION_ERROR,
            "A request with the same Idempotency-Key is still running.",
            "The first request with the Idempotency-Key 'order-77' is still being done. Please try again.",
            headers=_RETRY,
        ),
        Refusal(
            "TooLarge",
            413,
            Code.VALIDATION_ERROR,
            "The request body is too large.",
            "The request body must be at most 1,048,576 bytes.",
        ),
        Refusal(
            "NotJson",
            415,
            Code.VALIDATION_ERROR,
            "The Content-Type is not JSON.",
            "The Content-Type text/plain is not read here; send application/json.",
        ),
        Refusal(
            "KeyReused",
            422,
            Code.VALIDATION_ERROR,
            "The Idempotency-Key was used before with another request.",
            "The Idempotency-Key 'order-77' was used before with another request. Use a new key.",
        ),
        Refusal(
            "RateLimited",
            429,
            Code.RATE_LIMITED,
            "Too many requests.",
            "The limit of 60 requests is used up. Please try again in 42 seconds.",
            headers=_RETRY,
        ),
        Refusal(
            "InternalError",
            500,
            Code.INTERNAL_ERROR,
            "Something went wrong on the server.",
            "Something went wrong on our side.",
        ),
        Refusal(
            "Unavailable",
            503,
            Code.INTERNAL_ERROR,
            "The server cannot do this at the moment.",
            "The service cannot do this at the moment. Please try again.",
            headers=_RETRY,
        ),
    )
}

ERROR: Schema = {
    "type": "object",
    "description": "The envelope of an error.",
    "required": ["status", "error"],
    "properties": {
        "status": {"type": "string", "const": "error"},
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id"],
            "properties": {
                "code": {
                    "type": "string",
                    "enum": [code.value for code in Code],
                    "description": "One of six; statuses that the API reference does not name carry the nearest.",
                },
                "message": {"type": "string", "description": "A sentence: the first thing that is wrong."},
                "fields": {
                    "type": "object",
                    "description": (
                        "Member or parameter → sentence, if any is wrong; nested members as `items[0].amount`."
                    ),
                    "additionalProperties": {"type": "string"},
                },
                "reason": {"type": "string", "description": "What programs may go by: `CURSOR_EXPIRED`."},
                "request_id": {"type": "string", "description": "The `X-Request-Id` of the answer."},
            },
        },
    },
}

META: Schema = {
    "type": "object",
    "description": "Where a page stands in its list.",
    "required": ["per_page", "has_more", "next_cursor"],
    "properties": {
        "per_page": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_PAGE,
            "description": "How many objects the page holds at most.",
        },
        "has_more": {"type": "boolean", "description": "Whether more follow."},
        "next_cursor": {
            "type": ["string", "null"],
            "description": "Where to go on, for `cursor`; null at the end of the list.",
        },
        "page": {"type": "integer", "minimum": 1, "description": "The page that `page` asked for."},
        "total": {
            "type": "integer",
            "minimum": 0,
            "description": "How many there are in all, if `total` asked for it.",
        },
    },
    "examples": [{"per_page": 100, "has_more": False, "next_cursor": None}],
}


def components() -> dict[str, dict[str, Schema]]:
    """What the answers refer to."""
    error = {**ERROR, "examples": [_example(REFUSALS[400])]}
    responses = {one.name: _refusal(one) for one in REFUSALS.values()}
    return {"responses": responses, "schemas": {"Meta": META, "EventMeta": openapi_events.META, "Error": error}}


def answer(plan: Plan, data: Schema, example: Any) -> Schema:
    """The success of a route."""
    headers = dict(ALWAYS)
    members: dict[str, Schema] = {"status": {"type": "string", "const": "success"}, "data": data}
    shown: dict[str, Any] = {"status": "success", "data": example}
    if plan.route.is_list:
        name, meta = ("EventMeta", openapi_events.META) if plan.route.is_log else ("Meta", META)
        members |= {"data": {"type": "array", "items": data}, "meta": {"$ref": f"#/components/schemas/{name}"}}
        shown |= {"data": [example], "meta": meta["examples"][0]}
        headers["Link"] = "Link"
    if plan.route.status == 201:
        headers["Location"] = "Location"
    if plan.operation.is_mutation:
        headers["Idempotency-Replayed"] = "IdempotencyReplayed"
    schema = {"type": "object", "required": list(members), "properties": members}
    content: Schema = {"schema": schema}
    if example is not None:
        content["example"] = shown
    if plan.route.is_stream:
        described = "Events as they happen, without end; a comment where there was none for 15 seconds."
        return {"description": described, "headers": _headers(headers), "content": openapi_events.content(example)}
    described = "Created." if plan.route.status == 201 else "Success."
    return {"description": described, "headers": _headers(headers), "content": {"application/json": content}}


def refusals(plan: Plan) -> dict[str, Schema]:
    """The statuses that a route may refuse with."""
    statuses = {400, 401, 403, 429, 500, 503}
    if "{id}" in plan.route.path:
        statuses.add(404)
    if plan.operation.is_mutation:
        statuses |= {408, 409, 413, 415, 422}
    return {str(status): {"$ref": f"#/components/responses/{REFUSALS[status].name}"} for status in sorted(statuses)}


def _refusal(refusal: Refusal) -> Schema:
    content = {"schema": {"$ref": "#/components/schemas/Error"}, "example": _example(refusal)}
    return {
        "description": refusal.meaning,
        "headers": _headers({**ALWAYS, **refusal.headers}),
        "content": {"application/json": content},
    }


def _example(refusal: Refusal) -> Schema:
    error: Schema = {"code": refusal.code.value, "message": refusal.message}
    if refusal.fields:
        error["fields"] = refusal.fields
    return {"status": "error", "error": {**error, "request_id": HEADERS["RequestId"]["example"]}}


def _headers(names: dict[str, str]) -> Schema:
    return {header: {"$ref": f"#/components/headers/{name}"} for header, name in names.items()}
