"""The OpenAPI document as tests hold it against what the door reads and answers."""

from pathlib import Path
from typing import Any

import jsonschema
import orjson

from rest_compat.routes import ROUTES
from tests.conftest import House

FILE = Path(__file__).resolve().parents[1] / "openapi.json"
DOCUMENT: dict[str, Any] = orjson.loads(FILE.read_bytes())
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
WITH_BODY = sorted(name for name, (_, _, operation) in OPERATIONS.items() if "requestBody" in operation)
LISTS = sorted(route.document for route in ROUTES if route.is_list)


def resolved(value: Any) -> Any:
    """The same without references."""
    if isinstance(value, dict):
        if "$ref" in value:
            found: Any = DOCUMENT
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            return resolved({**found, **{name: one for name, one in value.items() if name != "$ref"}})
        return {name: resolved(one) for name, one in value.items()}
    return [resolved(one) for one in value] if isinstance(value, list) else value


def strict(schema: Any) -> Any:
    """The same, but with no member that it does not name: so that nothing is left undescribed."""
    if isinstance(schema, dict):
        inner = {name: one if name in ("example", "examples") else strict(one) for name, one in schema.items()}
        return {"additionalProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner
    return [strict(one) for one in schema] if isinstance(schema, list) else schema


def check(value: Any, schema: Any) -> None:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(strict(resolved(schema)), format_checker=checker).validate(value)


def check_answer(name: str, answer: Any) -> Any:
    """Holds a real answer against what the document says of the operation: status, headers, body."""
    responses = resolved(OPERATIONS[name][2]["responses"])
    assert str(answer.status_code) in responses, (name, answer.status_code, answer.text)
    described = responses[str(answer.status_code)]
    body = answer.json()
    check(body, described["content"]["application/json"]["schema"])
    for header in ("Location", "Link", "Retry-After", "WWW-Authenticate", "Idempotency-Replayed"):
        if header in answer.headers:
            assert header in described["headers"], (name, header)
    for header in ("Location", "Retry-After", "WWW-Authenticate"):
        assert (header in answer.headers) == (header in described["headers"]), (name, header)
    assert "X-Request-Id" in answer.headers
    return body.get("data")


def body_of(name: str, **changed: Any) -> dict[str, Any]:
    """The document's own example of a body."""
    example = OPERATIONS[name][2]["requestBody"]["content"]["application/json"]["example"]
    return {**example, **changed}


def properties_of(name: str) -> dict[str, Any]:
    schema = OPERATIONS[name][2]["requestBody"]["content"]["application/json"]["schema"]
    found: dict[str, Any] = schema["properties"]
    return found


async def call(house: House, name: str, id: int | None = None, body: Any = None, query: str = "", **more: Any) -> Any:
    method, path, _ = OPERATIONS[name]
    return await house.rest(method, path.replace("{id}", str(id)) + query, body, **more)
