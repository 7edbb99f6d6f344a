"""The `webhooks` of the OpenAPI document: one entry for each event of the catalogue."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import graphql
import orjson
from graphql import GraphQLList, GraphQLObjectType

from rest_compat.openapi_schemas import EVENT_ID, TIME, Components, Schema, nullable
from rest_compat.plans import Plan
from schema.erasure import PERSONAL_MEMBERS
from schema.events import CATALOGUE, Event, canonical

_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

TAG: Schema = {
    "name": "Webhooks",
    "description": (
        "URLs that events are sent to, each as a POST with a JSON body.\n\nAn endpoint that answers 2xx has received "
        "it; anything else is tried again, ten times within three days, with the same `webhook-id`. Events about one "
        "object are sent in their order.\n\n"
        "To check a message: `signature`, always the last member, is `sha256=` and the hexadecimal HMAC-SHA256, with "
        "the endpoint's secret as it was shown, of the body without that member (its last 87 bytes replaced by `}`). "
        "The `webhook-` headers are those of Standard Webhooks and sign the whole body. The examples are signed "
        f"with the secret `{_SECRET}`."
    ),
}

_SIGNATURE: Schema = {
    "type": "string",
    "pattern": "^sha256=[0-9a-f]{64}$",
    "description": "`sha256=` and the hexadecimal HMAC-SHA256 of the body without this member.",
}
_TIMESTAMP = "2025-01-15T12:00:00Z"
_ID = "evt_01JHN5Z8Q0000000000000000A"
_SECONDS = 1736942400
_DATA: Schema = {
    "description": (
        "The object as lists show it, frozen when this happened; what is personal is null once its client was erased."
    )
}
_HEADERS: tuple[Schema, ...] = (
    {
        "name": "webhook-id",
        "in": "header",
        "required": True,
        "description": "Id of the event, the same on every attempt: what was received twice is known by it.",
        "schema": EVENT_ID,
        "example": _ID,
    },
    {
        "name": "webhook-timestamp",
        "in": "header",
        "required": True,
        "description": "When this attempt was made, in seconds since 1970.",
        "schema": {"type": "integer"},
        "example": _SECONDS,
    },
    {
        "name": "webhook-signature",
        "in": "header",
        "required": True,
        "description": (
            "`v1,` and the base64 HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}`, with the base64-decoded "
            "secret; for a day after the secret was rotated two of them, separated by a blank."
        ),
        "schema": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$"},
    },
)


def webhooks(plans: Sequence[Plan], components: Components, examples: Mapping[str, Any]) -> dict[str, Schema]:
    """Event name → what its receiver is sent."""
    lists = {plan.type.name: plan for plan in plans if plan.route.is_list}
    found: dict[str, Schema] = {}
    for name, event in CATALOGUE.items():
        shown = lists.get(name.partition(".")[0].capitalize())
        data: Schema = {"type": "object"} if shown is None else _object(shown, components)
        example = data.setdefault("examples", [{}])[0]
        for member, (type_name, members) in event.adds.items():
            added = _added(plans, type_name, members, components)
            data["required"].append(member)
            data["properties"][member] = added
            example[member] = added["examples"][0]
        example |= examples.get(name, {})
        found[name] = {"post": _operation(event, {**data, **_DATA})}
    return found


def _operation(event: type[Event], data: Schema) -> Schema:
    body: Schema = {
        "type": "object",
        "required": ["event", "timestamp", "data", "signature"],
        "properties": {
            "event": {"type": "string", "const": event.name, "description": event.trigger + "."},
            "timestamp": {**TIME, "description": "When it happened, the same on every attempt."},
            "data": data,
            "signature": _SIGNATURE,
        },
        "additionalProperties": False,
    }
    example, signatures = _signed({"data": data["examples"][0], "event": event.name, "timestamp": _TIMESTAMP})
    standing = (
        "One of the events of the API reference: an endpoint gets it unless it chose others."
        if event.documented
        else "An addition to the API reference: an endpoint gets it when it chose it by name, or everything by `*`."
    )
    return {
        "tags": [TAG["name"]],
        "operationId": event.__name__,
        "summary": event.name,
        "description": f"{event.trigger}.\n\n{standing}",
        "x-api-reference": event.documented,
        "security": [],
        "parameters": [*_HEADERS[:-1], {**_HEADERS[-1], "example": signatures}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body, "example": example}}},
        "responses": {"2XX": {"description": "Received."}},
    }


def _signed(unsigned: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The example with its true signature, and the header that signs it as a whole."""
    content = canonical(unsigned).encode()
    signature = "sha256=" + hmac.new(_SECRET.encode(), content, hashlib.sha256).hexdigest()
    body = content[:-1] + f',"signature":"{signature}"}}'.encode()
    key = base64.b64decode(_SECRET.removeprefix("whsec_"))
    whole = hmac.new(key, f"{_ID}.{_SECONDS}.".encode() + body, hashlib.sha256).digest()
    return orjson.loads(body), "v1," + base64.b64encode(whole).decode()


def _object(plan: Plan, components: Components) -> Schema:
    """The object as lists show it, without what is nested in it; what is personal may have been erased."""
    plain = [one for one in plan.output if not isinstance(graphql.get_nullable_type(one.type), GraphQLList)]
    schema = components.object(plan.type, plain)
    for name in PERSONAL_MEMBERS & set(schema["properties"]):
        schema["properties"][name] = nullable(schema["properties"][name])
    return schema


def _added(plans: Sequence[Plan], type_name: str, members: tuple[str, ...], components: Components) -> Schema:
    """Some members of an object that the answer of a plan holds."""
    whole = next(one for plan in plans for one in plan.output if graphql.get_named_type(one.type).name == type_name)
    type_ = graphql.get_named_type(whole.type)
    assert isinstance(type_, GraphQLObjectType)
    schema = components.object(type_, [one for name in members for one in whole.members if one.name == name])
    for name in PERSONAL_MEMBERS & set(members):
        schema["properties"][name] = nullable(schema["properties"][name])
    return schema
