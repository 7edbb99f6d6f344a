"""The event log in the OpenAPI document: what it is asked by, and how its pages and its stream are answered."""

from typing import Any

import orjson

from rest_compat.openapi_schemas import EVENT_ID, Schema
from rest_compat.plans import Plan
from schema.events import CATALOGUE

META: Schema = {
    "type": "object",
    "description": "Where a page stands in the event log.",
    "required": ["has_more", "next_after"],
    "properties": {
        "has_more": {"type": "boolean", "description": "Whether more have happened already."},
        "next_after": {
            "type": ["string", "null"],
            "description": "Where to go on, for `after`: the last event of the page, or where an empty page began.",
        },
    },
    "examples": [{"has_more": False, "next_after": "evt_01JHN5Z8Q0000000000000000A"}],
}

PARAMETERS: dict[str, Schema] = {
    "AfterEvent": {
        "name": "after",
        "in": "query",
        "description": (
            "The id of an event: only what has happened since. A page begins with the oldest event that is kept "
            "without it, and a stream with what happens next. One that is not kept any more is refused with the "
            "reason `CURSOR_EXPIRED`."
        ),
        "schema": EVENT_ID,
    },
    "EventTypes": {
        "name": "types",
        "in": "query",
        "description": "Only events of these names, separated by commas.",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(CATALOGUE)}},
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "What browsers send when they connect again; it wins over `after`.",
        "schema": EVENT_ID,
    },
}


def parameters(plan: Plan) -> list[str]:
    """The names of what a route of the event log is asked by."""
    return ["AfterEvent", "EventTypes", "LastEventId" if plan.route.is_stream else "PerPage"]


def content(example: Any) -> Schema:
    """The content of the stream: server-sent events, each with an event of the log on one line."""
    line = orjson.dumps(example).decode()
    shown = f"id: {example['id']}\nevent: {example['event']}\ndata: {line}\n\n"
    return {"text/event-stream": {"schema": {"type": "string"}, "example": shown}}
