"""The OpenAPI document: complete, valid, and true to what the door reads and answers."""

import base64
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openapi_spec_validator
import orjson
import pytest
from typer.testing import CliRunner

from arcbilling import cli
from rest_compat.routes import ROUTES
from schema.events import CATALOGUE
from tests.conftest import NO_RECEIVER, House, open_house
from tests.databases import EmptyDatabase
from tests.described import (
    DOCUMENT,
    FILE,
    LISTS,
    OPERATIONS,
    WITH_BODY,
    body_of,
    call,
    check,
    check_answer,
    properties_of,
    resolved,
)

pytestmark = pytest.mark.anyio

REFERENCE_EVENTS = {
    "client.created",
    "service.created",
    "service.suspended",
    "service.terminated",
    "invoice.created",
    "invoice.paid",
    "ticket.opened",
    "ticket.replied",
}


async def run_of_the_mill(house: House) -> dict[str, Any]:
    """Every operation of the table done once, with the document's own examples: operation → data."""
    done: dict[str, Any] = {}

    async def does(name: str, id: int | None = None, body: Any = None, **more: Any) -> Any:
        done[name] = check_answer(name, await call(house, name, id, body, **more))
        return done[name]

    product = await house.a_product()
    server = await house.a_server(maxAccounts=200)
    client = (await does("CreateClient", body=body_of("CreateClient")))["id"]
    await does("UpdateClient", client, body_of("UpdateClient"))
    service = (await does("CreateService", body=body_of("CreateService", client_id=client, product_id=product)))["id"]
    await does("SuspendService", service, body_of("SuspendService"))
    await does("GetService", service)
    await does("ListServices")
    await does("UnsuspendService", service)
    invoice = (await does("CreateInvoice", body=body_of("CreateInvoice", client_id=client)))["id"]
    await does("GetInvoice", invoice)
    await does("PayInvoice", invoice, body_of("PayInvoice"))
    await does("ListInvoices")
    ticket = (await does("CreateTicket", body=body_of("CreateTicket", client_id=client)))["id"]
    await does("ReplyToTicket", ticket, body_of("ReplyToTicket"))
    await does("GetTicket", ticket)
    await does("ListTickets")
    await does("CloseTicket", ticket)
    await does("GetClient", client)
    await does("ListClients")
    await does("GetProduct", product)
    await does("ListProducts")
    await does("GetServer", server)
    await does("ListServers")
    await does("GetDepartment", 1)
    await does("ListDepartments")
    await does("TerminateService", service)
    webhook = (await does("CreateWebhook", body=body_of("CreateWebhook", url=NO_RECEIVER)))["id"]
    delivery = (await does("TestWebhook", webhook))["id"]
    await does("UpdateWebhook", webhook, body_of("UpdateWebhook"))
    await does("RotateWebhook", webhook)
    await does("RecoverWebhook", webhook, body_of("RecoverWebhook"))
    await does("GetWebhook", webhook)
    await does("ListWebhooks")
    await does("ListDeliveries", webhook)
    await does("RedeliverDelivery", delivery)
    await does("GetDelivery", delivery)
    await does("DeleteWebhook", webhook)
    await house.data(
        "mutation($id: ID!) { invoiceCancel(id: $id) { id } }", {"id": done["CreateService"]["invoice_id"]}
    )
    await does("DeleteClient", client)
    await does("ListEvents")
    return done


# The document


def test_the_document_is_valid_openapi() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(DOCUMENT)


def test_the_committed_file_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(cli.app, ["openapi", "print"])
    assert printed.exit_code == 0
    assert printed.stdout_bytes == FILE.read_bytes(), "run: arcbilling openapi print > openapi.json"


async def test_the_server_gives_the_committed_file_without_a_key(house: House) -> None:
    answer = await house.rest("GET", "/openapi.json", key="")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == FILE.read_bytes()
    assert "x-ratelimit-limit" not in answer.headers


def test_every_route_of_the_table_is_there_and_nothing_else() -> None:
    told = [(method, path, operation["summary"]) for method, path, operation in OPERATIONS.values()]
    assert sorted(told) == sorted((route.method, route.path, route.title) for route in ROUTES)
    for route in ROUTES:
        _, _, operation = OPERATIONS[route.document]
        assert operation["x-graphql-operation"] == route.document
        assert operation["x-api-reference"] == route.documented
        assert "Requires: `" in operation["description"]
        assert str(route.status) in operation["responses"]


def test_every_event_of_the_catalogue_is_there_and_the_reference_s_are_marked() -> None:
    assert set(DOCUMENT["webhooks"]) == set(CATALOGUE)
    marked = {name for name, entry in DOCUMENT["webhooks"].items() if entry["post"]["x-api-reference"]}
    assert marked == REFERENCE_EVENTS


def test_every_tag_is_described_and_used() -> None:
    operations = [operation for _, _, operation in OPERATIONS.values()]
    used = {
        tag for operation in [*operations, DOCUMENT["webhooks"]["invoice.paid"]["post"]] for tag in operation["tags"]
    }
    assert {tag["name"] for tag in DOCUMENT["tags"]} == used
    assert all(tag["description"] for tag in DOCUMENT["tags"])


def places(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, with its place, examples apart."""
    if isinstance(value, dict):
        yield path, value
        for name, inner in value.items():
            if name not in ("example", "examples"):
                yield from places(inner, f"{path}/{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, f"{path}/{number}")


def test_every_example_is_valid() -> None:
    seen = 0
    for place, found in places(DOCUMENT):
        if "schema" in found and "example" in found:
            check(found["example"], found["schema"])
            seen += 1
        if isinstance(found.get("examples"), list) and not place.endswith("/properties"):
            for example in found["examples"]:
                check(example, found)
                seen += 1
    assert seen > len(OPERATIONS)


def test_whatever_is_sent_or_answered_has_an_example() -> None:
    for place, found in places(DOCUMENT):
        if place.endswith("/application/json"):
            assert "example" in found, place
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema.get("examples"), name


def test_every_member_and_parameter_is_described() -> None:
    for name, (_, _, operation) in OPERATIONS.items():
        for parameter in resolved(operation.get("parameters", [])):
            assert parameter["description"], (name, parameter["name"])
        if name in WITH_BODY:
            for member, schema in properties_of(name).items():
                assert schema.get("description"), (name, member)


def test_descriptions_speak_rest() -> None:
    for place, found in places(DOCUMENT):
        words = found.get("description", "")
        if isinstance(words, str):
            for enum in found.get("enum", ()):
                assert f"`{str(enum).upper()}`" not in words, place
            assert "`cli_" not in words, place
            assert "`inv_" not in words, place


def test_no_answer_refers_to_a_scalar() -> None:
    """The page at /docs shows null for a scalar that stands behind references."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["type"] == "object", name


# What is answered


async def test_every_operation_answers_as_described(house: House) -> None:
    done = await run_of_the_mill(house)
    assert set(done) == set(OPERATIONS) - {"StreamEvents"}  # it has no end: tests/streams
    for name in LISTS:
        assert done[name], name


async def test_a_page_of_a_list_is_as_described(house: House) -> None:
    for _ in range(3):
        await house.a_client()
    answer = await call(house, "ListClients", query="?page=1&per_page=2&total=true")
    check_answer("ListClients", answer)
    assert answer.json()["meta"].keys() == DOCUMENT["components"]["schemas"]["Meta"]["properties"].keys()
    assert "Link" in answer.headers


async def test_a_repeated_request_is_answered_as_described(house: House) -> None:
    body = body_of("CreateClient")
    first = await call(house, "CreateClient", body=body, headers={"Idempotency-Key": "once"})
    again = await call(house, "CreateClient", body=body, headers={"Idempotency-Key": "once"})
    other = await call(house, "CreateClient", body={}, headers={"Idempotency-Key": "once"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (first.status_code, again.status_code) == (201, 201)
    check_answer("CreateClient", again)
    check_answer("CreateClient", other)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
async def test_every_operation_refuses_as_described(house: House, name: str) -> None:
    method, path, _ = OPERATIONS[name]
    narrow = await house.new_key("settings:read")
    id = 10**9 if "{id}" in path else None
    refusals = [
        (401, await call(house, name, id, key="")),
        (403, await call(house, name, id, key=narrow)),
        (400, await call(house, name, id, query="?colour=red")),
    ]
    if id is not None:
        body = body_of(name) if name in WITH_BODY else None
        refusals.append((404, await call(house, name, id, body)))
    if method in ("POST", "PUT", "DELETE"):
        refusals += [
            (400, await call(house, name, id, {"colour": "red"})),
            (413, await call(house, name, id, content=b" " * 1_048_577)),
            (415, await call(house, name, id, content=b"a=b", headers={"content-type": "text/plain"})),
        ]
    for status, answer in refusals:
        assert answer.status_code == status, answer.text
        check_answer(name, answer)


async def test_a_request_over_the_limit_is_answered_as_described(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database, rate_limit_authenticated="1/minute") as house:
        allowed = await call(house, "ListClients")
        refused = await call(house, "ListClients")
        assert (allowed.status_code, refused.status_code) == (200, 429)
        for answer in (allowed, refused):
            check_answer("ListClients", answer)
            described = resolved(OPERATIONS["ListClients"][2]["responses"][str(answer.status_code)])["headers"]
            for header in ("X-RateLimit-Limit", "X-RateLimit-Remaining"):
                check(int(answer.headers[header]), described[header]["schema"])


async def test_a_method_that_a_path_does_not_have_is_answered_as_described(house: House) -> None:
    described = resolved(DOCUMENT["components"]["responses"]["MethodNotAllowed"])
    for path, methods in DOCUMENT["paths"].items():
        answer = await house.rest("PATCH", path.replace("{id}", "1"))
        assert answer.status_code == 405
        check(answer.json(), described["content"]["application/json"]["schema"])
        allowed = set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"}
        assert allowed == {method.upper() for method in methods}


# Webhooks


def test_the_examples_of_webhooks_are_truly_signed() -> None:
    """As a receiver checks it: the last 87 bytes are the signature, the headers sign the whole."""
    (tag,) = [tag for tag in DOCUMENT["tags"] if tag["name"] == "Webhooks"]
    secret = tag["description"].rpartition(" `")[2].removesuffix("`.")
    for name, entry in DOCUMENT["webhooks"].items():
        given = {one["name"]: one["example"] for one in entry["post"]["parameters"]}
        example = entry["post"]["requestBody"]["content"]["application/json"]["example"]
        signature = example["signature"]
        body = orjson.dumps(example)
        signed = hmac.new(secret.encode(), body[:-87] + b"}", "sha256").hexdigest()
        assert signature == f"sha256={signed}", name
        content = f"{given['webhook-id']}.{given['webhook-timestamp']}.".encode() + body
        whole = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, "sha256").digest()
        assert given["webhook-signature"] == "v1," + base64.b64encode(whole).decode(), name


async def test_every_event_that_happens_is_as_described(house: House) -> None:
    await run_of_the_mill(house)
    by_hand = await house.a_product(autoSetup="MANUAL")
    waiting = await house.a_service(product_id=by_hand)
    await house.data("mutation($id: ID!) { serviceCancel(id: $id) { id } }", {"id": waiting["id"]})
    ticket = await house.a_ticket(waiting["client_id"])
    await house.made(f"/tickets/{ticket['id']}/reply", {"message": "Hello", "client_id": waiting["client_id"]})
    await house.rest("PUT", f"/webhooks/{(await house.a_webhook())['id']}", {"status": "disabled"})
    seen = set()
    for name, payload in await house.rows("SELECT event, payload FROM events"):
        body = DOCUMENT["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
        check({**orjson.loads(payload), "signature": "sha256=" + "0" * 64}, body)
        seen.add(name)
    assert seen == set(CATALOGUE)


def test_the_reference_s_payload_is_within_what_is_described() -> None:
    data = DOCUMENT["webhooks"]["invoice.paid"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(data["properties"]) == {"event", "timestamp", "data", "signature"}
    assert data["additionalProperties"] is False
    shown = data["properties"]["data"]["properties"]
    for member, value in {"id": 1234, "client_id": 56, "total": "29.99", "currency": "USD"}.items():
        check(value, shown[member])
