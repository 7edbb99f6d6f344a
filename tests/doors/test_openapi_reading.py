"""The OpenAPI document says what the door reads: members and parameters, one by one."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from tests.conftest import House
from tests.described import LISTS, OPERATIONS, WITH_BODY, check, check_answer, properties_of, resolved

pytestmark = pytest.mark.anyio


def wrong_values(schema: dict[str, Any]) -> Iterator[Any]:
    """Values that the schema refuses."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "null" not in kinds:
        yield None
    if "object" not in kinds:
        yield {}
    if "array" not in kinds:
        yield []
    if "enum" in schema:
        yield "nonsense"
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    if schema.get("minLength"):
        yield "x" * (schema["minLength"] - 1)
    if schema.get("format", "none") != "none" or "pattern" in schema:
        yield "no such thing!"
    if "integer" in kinds:
        yield 1.5
    if "maxItems" in schema:
        yield [{}] * (schema["maxItems"] + 1)
        yield []


async def wrong_fields(house: House, name: str, body: Any) -> set[str]:
    method, path, _ = OPERATIONS[name]
    answer = await house.rest(method, path.replace("{id}", "1000000"), body)
    return set(answer.json()["error"].get("fields", {})) if answer.status_code >= 400 else set()


@pytest.mark.parametrize("name", WITH_BODY)
async def test_the_required_members_are_those_that_are_required(house: House, name: str) -> None:
    schema = OPERATIONS[name][2]["requestBody"]["content"]["application/json"]["schema"]
    assert await wrong_fields(house, name, {}) == set(schema.get("required", ()))
    assert OPERATIONS[name][2]["requestBody"]["required"] == bool(schema.get("required"))


@pytest.mark.parametrize("name", WITH_BODY)
async def test_members_are_refused_when_their_schema_refuses_them(house: House, name: str) -> None:
    for member, schema in properties_of(name).items():
        for value in wrong_values(schema):
            with pytest.raises(jsonschema.ValidationError):
                check(value, schema)
            wrong = await wrong_fields(house, name, {member: value})
            assert any(one.startswith(member) for one in wrong), (member, value)


@pytest.mark.parametrize("name", WITH_BODY)
async def test_members_that_may_be_null_may_be_null(house: House, name: str) -> None:
    for member, schema in properties_of(name).items():
        if "null" in schema["type"]:
            assert member not in await wrong_fields(house, name, {member: None}), member


@pytest.mark.parametrize("name", WITH_BODY)
async def test_every_value_of_an_enum_is_read(house: House, name: str) -> None:
    for member, schema in properties_of(name).items():
        for value in schema.get("enum", ()):
            assert member not in await wrong_fields(house, name, {member: value}), (member, value)


async def test_what_is_nested_is_read_as_described(house: House) -> None:
    items = properties_of("CreateInvoice")["items"]["items"]
    for member, schema in items["properties"].items():
        for value in wrong_values(schema):
            wrong = await wrong_fields(house, "CreateInvoice", {"items": [{member: value}]})
            assert f"items[0].{member}" in wrong, (member, value)
    missing = await wrong_fields(house, "CreateInvoice", {"items": [{}]})
    assert {one for one in missing if one.startswith("items")} == {f"items[0].{one}" for one in items["required"]}
    assert "items[0].colour" in await wrong_fields(house, "CreateInvoice", {"items": [{"colour": "red"}]})


def right_values(schema: dict[str, Any]) -> list[Any]:
    if "enum" in schema:
        return list(schema["enum"])
    if "examples" in schema:
        return list(schema["examples"])
    match schema["type"]:
        case "boolean":
            return ["true", "false"]
        case "integer":
            return [schema.get("minimum", 1)]
        case _:
            return ["ada@example.com"]


@pytest.mark.parametrize("name", sorted(set(LISTS) - {"ListEvents"}))  # test_rest_events.py has its parameters
async def test_every_parameter_of_a_list_is_read_as_described(house: House, name: str) -> None:
    _, path, operation = OPERATIONS[name]
    path = path.replace("{id}", str((await house.a_webhook())["id"]))
    for parameter in resolved(operation["parameters"]):
        schema = parameter["schema"]
        if parameter["in"] == "path":
            continue
        wrong = [""]
        if parameter["name"] != "cursor":
            for value in right_values(schema):
                answer = await house.rest("GET", path, params={parameter["name"]: value})
                assert answer.status_code == 200, answer.text
                check_answer(name, answer)
        if schema["type"] != "string" or "enum" in schema or "pattern" in schema or parameter["name"] == "cursor":
            wrong.append("nonsense")
        wrong += [str(schema["maximum"] + 1)] if "maximum" in schema else []
        for value in wrong:
            answer = await house.rest("GET", path, params={parameter["name"]: value})
            assert answer.status_code == 400, (parameter["name"], value)
            assert parameter["name"] in answer.json()["error"]["fields"]
