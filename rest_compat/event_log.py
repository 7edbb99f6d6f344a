"""The event log in REST: its pages, which begin after the id of an event, and the stream that follows on them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import urlencode

from rest_compat.plans import Plan
from rest_compat.reading import PREFIX, read_parameters, read_whole
from schema.errors import cursor_expired, invalid_fields, sentence
from schema.event_log import PREFIX as EVENT_PREFIX
from schema.execution import Answer, Result, error_of
from schema.limits import MAX_PAGE
from schema.scalars import json

STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}


def read_page(query: str) -> dict[str, Any]:
    """The variables of a page of events."""
    given = read_parameters(query)
    errors = _unknown(given, "after", "types", "per_page")
    variables = _common(given, errors)
    variables["first"] = read_whole("per_page", given.get("per_page", str(MAX_PAGE)), 1, MAX_PAGE, errors)
    if errors:
        raise invalid_fields(errors)
    after = variables["after"]
    if after is not None and not after.startswith(EVENT_PREFIX):  # GraphQL would take a cursor of its own for a place
        raise cursor_expired(f"The after field must be the id of an event that is kept, and {after!r} is none.")
    return variables


def read_stream(query: str, last_event_id: str | None) -> dict[str, Any]:
    """The variables of the stream; what a browser has received last wins over where the caller began."""
    given = read_parameters(query)
    errors = _unknown(given, "after", "types")
    variables = _common(given, errors)
    if errors:
        raise invalid_fields(errors)
    return variables | ({"after": last_event_id} if last_event_id else {})


def page(plan: Plan, result: Result, variables: Mapping[str, Any]) -> Answer:
    """A page of events. What follows it begins after its last one, or, where it is empty, where it began itself."""
    assert result.data is not None
    data = result.data["data"]
    events = plan.shown(data["nodes"], is_plain=result.is_plain)
    more = data["pageInfo"]["hasNextPage"]
    following = events[-1]["id"] if events else variables["after"]
    headers = {"content-type": "application/json"}
    if more:
        types = {"types": ",".join(variables["types"])} if variables["types"] else {}
        asked = urlencode({**types, "per_page": variables["first"], "after": following})
        headers["link"] = f'<{PREFIX}{plan.route.path}?{asked}>; rel="next"'
    body = {"status": "success", "data": events, "meta": {"has_more": more, "next_after": following}}
    return Answer(200, json(body), headers)


async def stream(plan: Plan, results: AsyncGenerator[Result], request_id: str) -> AsyncGenerator[bytes]:
    """Each event as server-sent events are written, its data on one line."""
    async with aclosing(results):
        async for result in results:
            if result.failed:
                raise error_of(result.errors[0], request_id)
            assert result.data is not None
            (event,) = plan.shown([result.data["data"]], is_plain=result.is_plain)
            head = f"id: {event['id']}\nevent: {event['event']}\ndata: "
            yield head.encode() + json(event) + b"\n\n"


def _unknown(given: Mapping[str, str], *known: str) -> dict[str, str]:
    return {name: sentence(name, "is not known") for name in given if name not in known}


def _common(given: Mapping[str, str], errors: dict[str, str]) -> dict[str, Any]:
    types = [name.strip() for name in given["types"].split(",")] if "types" in given else None
    for name, value in given.items():
        if not value.strip():
            errors[name] = sentence(name, "must not be empty")
    return {"after": given.get("after"), "types": types}
