"""The API reference as a table: each of its lines is claimed by a test that says what the line promises.

The last tests of this file hold the claims to the text of the reference.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from schema.events import CATALOGUE
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase
from tests.reference import claims
from tests.reference.claims import reference

pytestmark = pytest.mark.anyio

FIELDS = "| Field | Type | Required |"
CLIENT = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}


async def refusal(house: House, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The error of a POST that must be refused as invalid."""
    answer = await house.rest("POST", path, body)
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    return error


async def check_fields(house: House, path: str, full: dict[str, Any], required: list[str], optional: list[str]) -> None:
    """Holds a create route to its table: which fields it knows, which of them it requires."""
    for name in required:
        sentence = f"The {name.replace('_', ' ')} field is required."
        for body in ({key: full[key] for key in full if key != name}, full | {name: None}):
            error = await refusal(house, path, body)
            assert (error["message"], error["fields"]) == (sentence, {name: sentence})
    assert list((await refusal(house, path, {}))["fields"]) == required
    assert set(full) == {*required, *optional}
    await house.made(path, full)
    await house.made(path, {name: full[name] for name in required} | without_taken_email(full))


def without_taken_email(full: dict[str, Any]) -> dict[str, Any]:
    return {"email": "second@shop.test"} if "email" in full else {}


@reference(
    "API Reference",
    "ArcBilling provides a REST API for managing clients, services, invoices, and support tickets programmatically.",
)
@reference("Base URL", "https://yourdomain.com/api/v1")
async def test_clients_services_invoices_and_tickets_are_managed_below_api_v1(house: House) -> None:
    async with house.http() as http:
        for noun in ("clients", "services", "invoices", "tickets"):
            answer = await http.get(f"/api/v1/{noun}")
            assert (answer.status_code, answer.json()["data"]) == (200, [])


@reference(
    "Authentication",
    "Authorization: Bearer YOUR_API_KEY",
    "Generate API keys from Admin Panel → Settings → API.",
)
async def test_a_generated_key_is_sent_as_a_bearer_token(house: House) -> None:
    key = (await house.data('mutation { apiKeyCreate(input: {name: "shop"}) { key } }'))["apiKeyCreate"]["key"]
    async with house.http(key="") as http:
        assert (await http.get("/api/v1/clients")).status_code == 401
        answer = await http.get("/api/v1/clients", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200


@reference(
    "Response Format",
    "{",
    '"status": "success",',
    '"data": { ... }',
    "}",
    '"status": "error",',
    '"error": {',
    '"code": "VALIDATION_ERROR",',
    '"message": "The email field is required."',
)
async def test_answers_have_the_envelope(house: House) -> None:
    client = await house.a_client()
    good = (await house.rest("GET", f"/clients/{client['id']}")).json()
    assert good == {"status": "success", "data": client}
    without_email = {name: value for name, value in CLIENT.items() if name != "email"}
    bad = (await house.rest("POST", "/clients", without_email)).json()
    assert bad["status"] == "error"
    assert bad["error"]["code"] == "VALIDATION_ERROR"
    assert bad["error"]["message"] == "The email field is required."
    assert set(bad) == {"status", "error"}


@reference(
    "Rate Limiting",
    "| Scope | Limit |",
    "| Authenticated | 60 requests/minute |",
    "| Unauthenticated | 10 requests/minute |",
    "X-RateLimit-Limit: 60",
    "X-RateLimit-Remaining: 58",
    "Retry-After: 42",
)
@reference("Error Codes", "| 429 | RATE_LIMITED | Too many requests |")
async def test_sixty_requests_a_minute_with_a_key_and_ten_without(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    defaults = {"rate_limit_authenticated": "60/minute", "rate_limit_anonymous": "10/minute"}
    async with open_house(tmp_path, empty_database, **defaults) as house:
        for key, limit in ((house.key, 60), ("", 10)):
            async with house.http(key) as http:
                answers = [await http.get("/api/v1/clients") for _ in range(limit + 1)]
            assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {str(limit)}
            remaining = [int(answer.headers["X-RateLimit-Remaining"]) for answer in answers]
            assert remaining == [*range(limit - 1, -1, -1), 0]
            assert {answer.status_code for answer in answers[:-1]} == {200 if key else 401}
            assert answers[-1].status_code == 429
            assert answers[-1].json()["error"]["code"] == "RATE_LIMITED"
            assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60


NOUNS = {
    "clients": ("Clients", "List Clients", "Get Client"),
    "services": ("Services", "List Services", "Get Service"),
    "invoices": ("Invoices", "List Invoices", "Get Invoice"),
    "tickets": ("Support Tickets", "List Tickets", "Get Ticket"),
    "products": ("Products", "List Products", "Get Product"),
    "servers": ("Servers", "List Servers", "Get Server"),
}


async def one_of_each(house: House) -> dict[str, int]:
    """An object of every noun of the reference, by its integer id."""
    client = await house.a_client()
    return {
        "clients": client["id"],
        "services": (await house.a_service(client["id"]))["id"],
        "invoices": (await house.an_invoice(client["id"]))["id"],
        "tickets": (await house.a_ticket(client["id"]))["id"],
        "products": 1,
        "servers": await house.a_server(),
    }


async def test_every_noun_is_listed_and_got(house: House) -> None:
    for noun, id in (await one_of_each(house)).items():
        got = await house.rest("GET", f"/{noun}/{id}")
        assert (got.status_code, got.json()["data"]["id"]) == (200, id)
        listed = await house.rest("GET", f"/{noun}")
        assert listed.status_code == 200
        assert id in [one["id"] for one in listed.json()["data"]]


for _noun, (_title, _list, _get) in NOUNS.items():
    reference(_title)(test_every_noun_is_listed_and_got)
    reference(_list, f"GET /api/v1/{_noun}")(test_every_noun_is_listed_and_got)
    reference(_get, f"GET /api/v1/{_noun}/{{id}}")(test_every_noun_is_listed_and_got)


@reference(
    "Create Client",
    "POST /api/v1/clients",
    FIELDS,
    "first_name | string | Yes |",
    "last_name | string | Yes |",
    "email | string | Yes |",
    "password | string | Yes (min 8 chars) |",
    "company | string | No |",
    "phone | string | No |",
    "address | string | No |",
    "city | string | No |",
    "country | string | No (ISO 3166-1) |",
)
async def test_a_client_is_created_from_the_fields_of_the_table(house: House) -> None:
    more = {"company": "Analytical", "phone": "+44 20 1", "address": "1 Row", "city": "London", "country": "GB"}
    full = CLIENT | more
    await check_fields(house, "/clients", full, list(CLIENT), list(more))
    shown = (await house.rest("GET", "/clients/1")).json()["data"]
    assert {name: shown[name] for name in full if name != "password"} == {
        name: value for name, value in full.items() if name != "password"
    }
    assert "password" not in shown
    for name in full:
        assert (await refusal(house, "/clients", full | {name: 5}))["message"].endswith("must be a string.")
    short = await refusal(house, "/clients", full | {"password": "1234567"})
    assert short["message"] == "The password field must be at least 8 characters."
    assert "country" in (await refusal(house, "/clients", full | {"country": "XX"}))["fields"]


@reference("Update Client", "PUT /api/v1/clients/{id}")
async def test_a_client_is_updated(house: House) -> None:
    id = (await house.a_client())["id"]
    answer = await house.rest("PUT", f"/clients/{id}", {"company": "Analytical"})
    assert (answer.status_code, answer.json()["data"]["company"]) == (200, "Analytical")


@reference("Delete Client", "DELETE /api/v1/clients/{id}")
async def test_a_client_is_deleted(house: House) -> None:
    id = (await house.a_client())["id"]
    answer = await house.rest("DELETE", f"/clients/{id}")
    assert (answer.status_code, answer.json()["data"]) == (200, {"id": id, "deleted": True})
    assert (await house.rest("GET", f"/clients/{id}")).status_code == 404


@reference(
    "Create Service",
    "POST /api/v1/services",
    FIELDS,
    "client_id | integer | Yes |",
    "product_id | integer | Yes |",
    "billing_cycle | string | Yes (monthly, quarterly, annually) |",
    "domain | string | No |",
    "username | string | No |",
)
async def test_a_service_is_created_from_the_fields_of_the_table(house: House) -> None:
    required = {
        "client_id": (await house.a_client())["id"],
        "product_id": await house.a_product(),
        "billing_cycle": "monthly",
    }
    full = required | {"domain": "ada.example.com", "username": "ada"}
    await check_fields(house, "/services", full, list(required), ["domain", "username"])
    for cycle in ("monthly", "quarterly", "annually"):
        assert (await house.made("/services", full | {"billing_cycle": cycle}))["billing_cycle"] == cycle
    for name in ("client_id", "product_id"):
        assert (await refusal(house, "/services", full | {name: "one"}))["message"].endswith("must be an integer.")
    unknown = await refusal(house, "/services", full | {"billing_cycle": "hourly"})
    assert unknown["message"].startswith("The billing cycle field must be one of: monthly, quarterly, ")


@reference("Suspend Service", "POST /api/v1/services/{id}/suspend")
@reference("Unsuspend Service", "POST /api/v1/services/{id}/unsuspend")
@reference("Terminate Service", "POST /api/v1/services/{id}/terminate")
async def test_a_service_is_suspended_unsuspended_and_terminated(house: House) -> None:
    id = (await house.a_service())["id"]
    for verb, status in (("suspend", "suspended"), ("unsuspend", "active"), ("terminate", "terminated")):
        assert (await house.made(f"/services/{id}/{verb}"))["status"] == status


@reference(
    "Create Invoice",
    "POST /api/v1/invoices",
    FIELDS,
    "client_id | integer | Yes |",
    "due_date | date (Y-m-d) | Yes |",
    "items | array | Yes |",
    "items[].description | string | Yes |",
    "items[].amount | decimal | Yes |",
)
async def test_an_invoice_is_created_from_the_fields_of_the_table(house: House) -> None:
    item = {"description": "Hosting", "amount": "29.99"}
    full = {"client_id": (await house.a_client())["id"], "due_date": "2030-01-31", "items": [item]}
    await check_fields(house, "/invoices", full, list(full), [])
    for name in item:
        error = await refusal(house, "/invoices", full | {"items": [{k: v for k, v in item.items() if k != name}]})
        assert error["fields"] == {f"items[0].{name}": f"The {name} field is required."}
    for body, field in (
        (full | {"client_id": "one"}, "client_id"),
        (full | {"due_date": "31.01.2030"}, "due_date"),
        (full | {"due_date": "2030-02-30"}, "due_date"),
        (full | {"items": item}, "items"),
        (full | {"items": [item | {"description": 5}]}, "items[0].description"),
        (full | {"items": [item | {"amount": "much"}]}, "items[0].amount"),
    ):
        assert list((await refusal(house, "/invoices", body))["fields"]) == [field]


@reference("Mark Invoice Paid", "POST /api/v1/invoices/{id}/pay")
async def test_an_invoice_is_marked_as_paid(house: House) -> None:
    id = (await house.an_invoice())["id"]
    assert (await house.made(f"/invoices/{id}/pay"))["status"] == "paid"


@reference(
    "Create Ticket",
    "POST /api/v1/tickets",
    FIELDS,
    "client_id | integer | Yes |",
    "department_id | integer | Yes |",
    "subject | string | Yes |",
    "message | string | Yes |",
    "priority | string | No (low, medium, high) |",
)
async def test_a_ticket_is_created_from_the_fields_of_the_table(house: House) -> None:
    required = {
        "client_id": (await house.a_client())["id"],
        "department_id": 1,
        "subject": "Help",
        "message": "It is down.",
    }
    full = required | {"priority": "high"}
    await check_fields(house, "/tickets", full, list(required), ["priority"])
    for priority in ("low", "medium", "high"):
        assert (await house.made("/tickets", full | {"priority": priority}))["priority"] == priority
    unknown = await refusal(house, "/tickets", full | {"priority": "urgent"})
    assert unknown["message"] == "The priority field must be one of: low, medium, high."
    for name, kind in (("client_id", "an integer"), ("department_id", "an integer"), ("subject", "a string")):
        assert (await refusal(house, "/tickets", full | {name: []}))["message"].endswith(f"must be {kind}.")
    assert (await refusal(house, "/tickets", full | {"message": 5}))["message"].endswith("must be a string.")


@reference("Reply to Ticket", "POST /api/v1/tickets/{id}/reply")
@reference("Close Ticket", "POST /api/v1/tickets/{id}/close")
async def test_a_ticket_is_replied_to_and_closed(house: House) -> None:
    id = (await house.a_ticket())["id"]
    replied = await house.made(f"/tickets/{id}/reply", {"message": "On it."})
    assert [one["message"] for one in replied["messages"]] == ["It is down.", "On it."]
    assert (await house.made(f"/tickets/{id}/close"))["status"] == "closed"


TRIGGERS = {
    "client.created": "New client registered",
    "service.created": "New service provisioned",
    "service.suspended": "Service suspended",
    "service.terminated": "Service terminated",
    "invoice.created": "New invoice generated",
    "invoice.paid": "Invoice marked as paid",
    "ticket.opened": "New support ticket",
    "ticket.replied": "New reply on a ticket",
}


@reference("Webhooks", "| Event | Trigger |", *(f"{name} | {trigger} |" for name, trigger in TRIGGERS.items()))
async def test_each_trigger_has_its_event(house: House) -> None:
    assert {name: event.trigger for name, event in CATALOGUE.items() if event.documented} == TRIGGERS
    service = await house.a_service()
    ticket = await house.a_ticket(service["client_id"])
    await house.made(f"/services/{service['id']}/suspend")
    await house.made(f"/services/{service['id']}/terminate")
    await house.made(f"/invoices/{service['invoice_id']}/pay")
    await house.made(f"/tickets/{ticket['id']}/reply", {"message": "On it."})
    assert sorted(await house.events()) == sorted(TRIGGERS)


@reference(
    "Webhook Payload",
    "{",
    '"event": "invoice.paid",',
    '"timestamp": "2025-01-15T12:00:00Z",',
    '"data": {',
    '"id": 1234,',
    '"client_id": 56,',
    '"total": "29.99",',
    '"currency": "USD"',
    "},",
    "}",
)
async def test_an_event_keeps_the_payload_of_the_reference(house: House) -> None:
    invoice = await house.an_invoice(amount="29.99")
    await house.made(f"/invoices/{invoice['id']}/pay")
    ((text,),) = await house.rows("SELECT payload FROM events WHERE event = 'invoice.paid'")
    payload = json.loads(text)
    assert set(payload) == {"event", "timestamp", "data"}
    assert payload["event"] == "invoice.paid"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", payload["timestamp"])
    expected = {"id": invoice["id"], "client_id": invoice["client_id"], "total": "29.99", "currency": "USD"}
    assert expected.items() <= payload["data"].items()


@reference(
    "Error Codes",
    "| HTTP Code | Error Code | Description |",
    "| 400 | VALIDATION_ERROR | Invalid request parameters |",
    "| 401 | UNAUTHORIZED | Missing or invalid API key |",
    "| 403 | FORBIDDEN | Insufficient permissions |",
    "| 404 | NOT_FOUND | Resource not found |",
)
async def test_errors_have_the_code_of_their_status(house: House) -> None:
    reader = await house.new_key("clients:read")
    for status, code, answer in (
        (400, "VALIDATION_ERROR", await house.rest("GET", "/clients?colour=red")),
        (401, "UNAUTHORIZED", await house.rest("GET", "/clients", key="")),
        (401, "UNAUTHORIZED", await house.rest("GET", "/clients", key="nonsense")),
        (403, "FORBIDDEN", await house.rest("GET", "/invoices", key=reader)),
        (404, "NOT_FOUND", await house.rest("GET", "/clients/999")),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@reference("Error Codes", "| 500 | INTERNAL_ERROR | Server error |")
async def test_what_goes_wrong_here_is_an_internal_error(house: House) -> None:
    transaction = await house.engine.database.begin()
    await transaction.fetch("ALTER TABLE departments RENAME TO hidden")
    await transaction.commit()
    answer = await house.rest("GET", "/departments")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert "departments" not in answer.text


def test_every_line_of_the_reference_is_claimed_by_a_test() -> None:
    assert claims.unclaimed() == []


def test_nothing_is_claimed_that_the_reference_does_not_say() -> None:
    assert claims.unfounded() == []
