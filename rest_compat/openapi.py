"""OpenAPI 3.1, made from the plans: what is read and shown is what is described."""

from collections.abc import Sequence
from typing import Any

import orjson

from rest_compat import openapi_events
from rest_compat.openapi_answers import HEADERS, answer, refusals
from rest_compat.openapi_answers import components as answer_components
from rest_compat.openapi_schemas import ID, Components, Schema, body_schema, parameter
from rest_compat.openapi_webhooks import TAG as WEBHOOKS_TAG
from rest_compat.openapi_webhooks import webhooks
from rest_compat.plans import DOCUMENTS, Plan
from schema.calls import MAX_KEY_LENGTH
from schema.connections import LARGEST_OFFSET
from schema.limits import MAX_PAGE

PARAMETERS: dict[str, Schema] = {
    "PerPage": {
        "name": "per_page",
        "in": "query",
        "description": "How many objects an answer holds at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": MAX_PAGE},
    },
    "Cursor": {
        "name": "cursor",
        "in": "query",
        "description": "Where to go on: `meta.next_cursor` of the answer before, asked with the same `sort`.",
        "schema": {"type": "string", "minLength": 1},
    },
    "Page": {
        "name": "page",
        "in": "query",
        "description": f"Which page, instead of `cursor`; within the first {LARGEST_OFFSET:,} objects.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_OFFSET},
    },
    "Total": {
        "name": "total",
        "in": "query",
        "description": "Whether to count all objects into `meta.total`.",
        "schema": {"type": "boolean", "default": False},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A name of your own for this request; the same one again gives the stored answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!-~]+$"},
    },
}


def openapi(plans: Sequence[Plan], version: str) -> Schema:
    """The document."""
    examples: dict[str, Any] = orjson.loads((DOCUMENTS / "examples.json").read_bytes())
    components = Components(plans, examples["objects"])
    paths: dict[str, Schema] = {}
    for plan in plans:
        operation = _operation(plan, components, examples)
        paths.setdefault(plan.route.path, {})[plan.route.method.lower()] = operation
    hooks = webhooks(plans, components, examples["events"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ArcBilling",
            "version": version,
            "summary": "Clients, services, invoices and support tickets of a hosting company.",
            "description": (DOCUMENTS / "openapi.md").read_text(encoding="utf-8"),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api/v1", "description": "This server"}],
        "security": [{"bearer": []}],
        "tags": [*_tags(plans), WEBHOOKS_TAG],
        "paths": paths,
        "webhooks": hooks,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "An API key."}},
            "parameters": {**PARAMETERS, **openapi_events.PARAMETERS},
            "headers": HEADERS,
            **answer_components(),
            "schemas": {**components.schemas, **answer_components()["schemas"]},
        },
    }


def _tags(plans: Sequence[Plan]) -> list[Schema]:
    """One for each noun, with the words of its type."""
    tags = {plan.route.noun.capitalize(): plan.type.description or "" for plan in plans if plan.route.is_list}
    return [{"name": name, "description": words} for name, words in tags.items() if name != WEBHOOKS_TAG["name"]]


def _operation(plan: Plan, components: Components, examples: dict[str, Any]) -> Schema:
    route = plan.route
    operation: Schema = {
        "tags": [route.noun.capitalize()],
        "operationId": route.document,
        "summary": route.title,
        "description": plan.root.field.description,
        "x-graphql-operation": route.document,
        "x-api-reference": route.documented,
    }
    if parameters := _parameters(plan):
        operation["parameters"] = parameters
    if plan.body.members:
        body = body_schema(plan.body)
        content: Schema = {"schema": body}
        if (example := examples["bodies"].get(route.document)) is not None:
            content["example"] = example
        operation["requestBody"] = {"required": "required" in body, "content": {"application/json": content}}
    example = components.example(plan.type.name, plan.output)
    if example is not None:
        example |= examples["answers"].get(route.document, {})
    operation["responses"] = {str(route.status): answer(plan, components.answered(plan), example), **refusals(plan)}
    return operation


def _parameters(plan: Plan) -> list[Schema]:
    parameters: list[Schema] = []
    if "{id}" in plan.route.path:
        parameters.append({"name": "id", "in": "path", "required": True, "description": "The id.", "schema": ID})
    parameters += [parameter(member) for member in plan.filter.members.values()]
    if plan.route.is_log:
        return [_parameter(name) for name in openapi_events.parameters(plan)]
    if plan.route.is_list:
        parameters.append(
            {
                "name": "sort",
                "in": "query",
                "description": "The order; `-` reverses it.",
                "schema": {"type": "string", "enum": list(plan.sorts), "default": "id"},
            }
        )
        parameters += [_parameter(name) for name in ("PerPage", "Cursor", "Page", "Total")]
    if plan.operation.is_mutation:
        parameters.append(_parameter("IdempotencyKey"))
    return parameters


def _parameter(name: str) -> Schema:
    return {"$ref": f"#/components/parameters/{name}"}
