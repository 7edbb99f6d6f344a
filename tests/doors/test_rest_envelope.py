"""What every answer of the REST door looks like, and which members each object has."""

import re
from typing import Any

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio

CLIENT = {
    "id",
    "first_name",
    "last_name",
    "email",
    "company",
    "phone",
    "address",
    "city",
    "country",
    "status",
    "currency",
}
SERVICE = {
    "id",
    "client_id",
    "product_id",
    "server_id",
    "domain",
    "username",
    "billing_cycle",
    "status",
    "amount",
    "currency",
    "next_due_date",
    "suspension_reason",
}
INVOICE = {
    "id",
    "number",
    "client_id",
    "status",
    "due_date",
    "subtotal",
    "tax",
    "total",
    "balance",
    "currency",
    "items",
    "paid_at",
}
TICKET = {"id", "client_id", "department_id", "subject", "status", "priority"}
TIMES = {"created_at", "updated_at"}
MEMBERS = {
    "clients": CLIENT | TIMES,
    "services": SERVICE | TIMES,
    "invoices": INVOICE | TIMES,
    "tickets": TICKET | TIMES,
    "products": {"id", "name", "description", "type", "status", "pricing"},
    "servers": {"id", "name", "hostname", "module", "status", "max_accounts", "accounts"},
    "departments": {"id", "name"},
}
CREATED: dict[str, dict[str, Any]] = {
    "clients": {"first_name": "Ada", "last_name": "L", "email": "new@shop.test", "password": "12345678"},
    "services": {"client_id": 1, "product_id": 1, "billing_cycle": "monthly"},
    "invoices": {"client_id": 1, "due_date": "2030-01-31", "items": [{"description": "Hosting", "amount": "1.00"}]},
    "tickets": {"client_id": 1, "department_id": 1, "subject": "Help", "message": "It is down."},
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


async def furnish(house: House) -> None:
    """One object of each kind, all with id 1."""
    await house.a_client()
    await house.a_service(1)
    await house.a_ticket(1)
    await house.a_server()


@pytest.mark.parametrize("noun", MEMBERS)
async def test_an_object_has_exactly_its_members(house: House, noun: str) -> None:
    await furnish(house)
    answer = await house.rest("GET", f"/{noun}/1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    body = answer.json()
    assert (set(body), body["status"]) == ({"status", "data"}, "success")
    extra = {"messages"} if noun == "tickets" else set()
    assert set(body["data"]) == MEMBERS[noun] | extra
    assert body["data"]["id"] == 1
    for name in TIMES & set(body["data"]):
        assert TIME.fullmatch(body["data"][name])


@pytest.mark.parametrize("noun", MEMBERS)
async def test_a_list_shows_the_same_members_and_tickets_without_their_messages(house: House, noun: str) -> None:
    await furnish(house)
    body = (await house.rest("GET", f"/{noun}")).json()
    assert set(body) == {"status", "data", "meta"}
    assert set(body["meta"]) == {"per_page", "has_more", "next_cursor"}
    (shown,) = body["data"]
    got = (await house.rest("GET", f"/{noun}/1")).json()["data"]
    got.pop("messages", None)
    assert shown == got


async def test_nested_objects_have_exactly_their_members(house: House) -> None:
    await furnish(house)
    (item,) = (await house.rest("GET", "/invoices/1")).json()["data"]["items"]
    assert set(item) == {"id", "description", "amount"}
    (message,) = (await house.rest("GET", "/tickets/1")).json()["data"]["messages"]
    assert set(message) == {"id", "author", "message", "created_at"}
    price = (await house.rest("GET", "/products/1")).json()["data"]["pricing"][0]
    assert price == {"billing_cycle": "monthly", "currency": "USD", "amount": "10.00", "setup_fee": "0.00"}


async def test_ids_are_integers_enums_small_and_money_a_string(house: House) -> None:
    await furnish(house)
    service = (await house.rest("GET", "/services/1")).json()["data"]
    assert (service["id"], service["client_id"], service["product_id"], service["server_id"]) == (1, 1, 1, None)
    assert (service["status"], service["billing_cycle"], service["amount"]) == ("active", "monthly", "10.00")
    invoice = (await house.rest("GET", "/invoices/1")).json()["data"]
    assert invoice["number"] != str(invoice["id"])
    assert [invoice[name] for name in ("subtotal", "tax", "total", "balance")] == ["10.00", "0.00", "10.00", "10.00"]
    assert [type(item["id"]) for item in invoice["items"]] == [int]


@pytest.mark.parametrize("noun", CREATED)
async def test_what_is_created_has_a_location_and_is_shown_whole(house: House, noun: str) -> None:
    await furnish(house)
    answer = await house.rest("POST", f"/{noun}", CREATED[noun])
    assert answer.status_code == 201
    data = answer.json()["data"]
    assert answer.headers["location"] == f"/api/v1/{noun}/{data['id']}"
    if noun == "services":
        assert isinstance(data.pop("invoice_id"), int)
    assert data == (await house.rest("GET", f"/{noun}/{data['id']}")).json()["data"]


async def test_every_other_success_is_200_with_the_object_and_no_location(house: House) -> None:
    await furnish(house)
    calls: list[tuple[str, str, Any, str]] = [
        ("PUT", "/clients/1", {"city": "London"}, "/clients/1"),
        ("POST", "/services/1/suspend", None, "/services/1"),
        ("POST", "/services/1/unsuspend", None, "/services/1"),
        ("POST", "/services/1/terminate", None, "/services/1"),
        ("POST", "/invoices/1/pay", None, "/invoices/1"),
        ("POST", "/tickets/1/reply", {"message": "On it."}, "/tickets/1"),
        ("POST", "/tickets/1/close", None, "/tickets/1"),
    ]
    for method, path, body, object_path in calls:
        answer = await house.rest(method, path, body)
        assert (answer.status_code, "location" in answer.headers) == (200, False)
        assert answer.json()["data"] == (await house.rest("GET", object_path)).json()["data"]


async def test_no_answer_ever_holds_a_password(house: House) -> None:
    secret = "correct horse battery"
    made = await house.rest("POST", "/clients", CREATED["clients"] | {"password": secret})
    changed = await house.rest("PUT", "/clients/1", {"password": secret + " staple"})
    listed = await house.rest("GET", "/clients")
    for answer in (made, changed, listed):
        assert "password" not in answer.text
        assert secret not in answer.text
        assert "argon2" not in answer.text
    for (payload,) in await house.rows("SELECT payload FROM events"):
        assert "password" not in payload
        assert "argon2" not in payload


async def test_an_error_has_code_message_fields_and_request_id(house: House) -> None:
    answer = await house.rest("POST", "/clients", {"email": "nobody"})
    body = answer.json()
    assert (answer.status_code, set(body), body["status"]) == (400, {"status", "error"}, "error")
    error = body["error"]
    assert set(error) == {"code", "message", "fields", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    assert error["message"] == "The first name field is required."
    assert error["fields"] == {
        "first_name": "The first name field is required.",
        "last_name": "The last name field is required.",
        "email": "The email field must be a valid email address.",
        "password": "The password field is required.",
    }
