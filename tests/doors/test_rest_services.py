"""Services over REST: what is sold, for how much, and what may be done with it."""

import json
from datetime import date
from typing import Any

import pytest

from models.enums import BillingCycle
from schema.cycles import due
from tests.conftest import House

pytestmark = pytest.mark.anyio


def price(cycle: str, amount: str, currency: str = "USD", **more: str) -> dict[str, str]:
    return {"billingCycle": cycle, "currency": currency, "amount": amount, **more}


async def order(house: House, product: int, **changed: Any) -> Any:
    """A service of a product for a new client."""
    client = changed.pop("client_id", None) or (await house.a_client())["id"]
    return await house.a_service(client, product, **changed)


async def refused(house: House, path: str, body: Any = None) -> dict[str, Any]:
    """The error of a POST that must be refused, without an event."""
    before = await house.events()
    answer = await house.rest("POST", path, body)
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert await house.events() == before
    return error


async def got(house: House, path: str) -> Any:
    return (await house.rest("GET", path)).json()["data"]


def after(service: Any, cycle: BillingCycle) -> str:
    """The start of the second period of a service that was sold today."""
    return str(due(date.fromisoformat(service["created_at"][:10]), cycle, 1))


@pytest.mark.parametrize(("cycle", "amount"), [("monthly", "10.00"), ("quarterly", "27.00"), ("annually", "100.00")])
async def test_a_service_costs_the_products_price_and_its_first_invoice_is_due_today(
    house: House, cycle: str, amount: str
) -> None:
    service = await house.a_service(billing_cycle=cycle, domain="ada.example.com", username="ada")
    today = service["created_at"][:10]
    assert (service["status"], service["amount"], service["currency"]) == ("active", amount, "USD")
    assert (service["domain"], service["username"]) == ("ada.example.com", "ada")
    assert service["next_due_date"] == today
    invoice = await got(house, f"/invoices/{service['invoice_id']}")
    assert (invoice["client_id"], invoice["status"]) == (service["client_id"], "unpaid")
    assert (invoice["due_date"], invoice["total"], invoice["currency"]) == (today, amount, "USD")
    assert [item["amount"] for item in invoice["items"]] == [amount]
    assert await house.events() == ["client.created", "invoice.created", "service.created"]
    paid = await house.made(f"/invoices/{invoice['id']}/pay")
    assert paid["status"] == "paid"
    later = await got(house, f"/services/{service['id']}")
    assert later["next_due_date"] == after(service, BillingCycle(cycle))
    assert (await house.events())[3:] == ["invoice.paid"]


async def test_a_setup_fee_is_on_the_first_invoice_and_not_in_the_price(house: House) -> None:
    product = await house.a_product(prices=[price("MONTHLY", "10.00", setupFee="4.50")])
    service = await order(house, product)
    assert service["amount"] == "10.00"
    invoice = await got(house, f"/invoices/{service['invoice_id']}")
    assert (invoice["total"], [item["amount"] for item in invoice["items"]]) == ("14.50", ["10.00", "4.50"])


async def test_a_price_is_frozen_on_the_service(house: House) -> None:
    product = await house.a_product()
    service = await order(house, product)
    await house.data(
        "mutation($id: ID!, $input: ProductUpdateInput!) { productUpdate(id: $id, input: $input) { id } }",
        {"id": product, "input": {"prices": [price("MONTHLY", "99.00")]}},
    )
    assert (await got(house, f"/services/{service['id']}"))["amount"] == "10.00"
    assert (await order(house, product))["amount"] == "99.00"


async def test_the_price_is_that_of_the_clients_currency_and_never_converted(house: House) -> None:
    product = await house.a_product(prices=[price("MONTHLY", "1000", "JPY"), price("ANNUALLY", "10.00")])
    japanese, american = await house.a_client(currency="JPY"), await house.a_client()
    service = await order(house, product, client_id=japanese["id"])
    assert (service["amount"], service["currency"]) == ("1000", "JPY")
    body = {"client_id": american["id"], "product_id": product, "billing_cycle": "monthly"}
    error = await refused(house, "/services", body)
    assert list(error["fields"]) == ["billing_cycle"]
    assert "USD" in error["message"]
    assert "monthly" in error["message"]


async def test_a_service_names_what_exists_and_is_sold(house: House) -> None:
    client = (await house.a_client())["id"]
    product, retired = await house.a_product(), await house.a_product(status="RETIRED")
    body = {"client_id": client, "product_id": product, "billing_cycle": "monthly"}
    for changed, field in (
        ({"client_id": 999}, "client_id"),
        ({"product_id": 999}, "product_id"),
        ({"product_id": retired}, "product_id"),
        ({"billing_cycle": "triennially"}, "billing_cycle"),
    ):
        assert list((await refused(house, "/services", body | changed))["fields"]) == [field]
    assert await got(house, "/services") == []
    assert await got(house, "/invoices") == []


async def test_cycles_beyond_the_references_are_sold_where_they_have_a_price(house: House) -> None:
    cycles = {"semiannually": BillingCycle.SEMIANNUALLY, "biennially": BillingCycle.BIENNIALLY}
    product = await house.a_product(prices=[price(cycle.name, "50.00") for cycle in cycles.values()])
    for name, cycle in cycles.items():
        service = await order(house, product, billing_cycle=name)
        await house.made(f"/invoices/{service['invoice_id']}/pay")
        assert (await got(house, f"/services/{service['id']}"))["next_due_date"] == after(service, cycle)


async def test_a_one_time_service_has_an_invoice_and_no_due_date(house: House) -> None:
    service = await order(house, await house.a_product(prices=[price("ONE_TIME", "5.00")]), billing_cycle="one_time")
    assert (service["status"], service["next_due_date"]) == ("active", None)
    invoice = await house.made(f"/invoices/{service['invoice_id']}/pay")
    assert (invoice["total"], invoice["status"]) == ("5.00", "paid")
    assert (await got(house, f"/services/{service['id']}"))["next_due_date"] is None


async def test_a_setup_fee_is_charged_even_where_the_price_is_zero(house: House) -> None:
    product = await house.a_product(prices=[price("FREE", "0.00", setupFee="4.50")], autoSetup="ON_PAYMENT")
    service = await house.a_service(product_id=product, billing_cycle="free")
    assert service["status"] == "pending"
    paid = await house.made(f"/invoices/{service['invoice_id']}/pay")
    assert paid["total"] == "4.50"
    after = (await house.rest("GET", f"/services/{service['id']}")).json()["data"]
    assert (after["status"], after["next_due_date"]) == ("active", None)


@pytest.mark.parametrize("cycle", ["free", "monthly"])
async def test_a_price_of_zero_makes_no_invoice_and_no_due_date(house: House, cycle: str) -> None:
    product = await house.a_product(prices=[price(cycle.upper(), "0")], autoSetup="ON_PAYMENT")
    service = await order(house, product, billing_cycle=cycle)
    assert (service["status"], service["amount"]) == ("active", "0.00")
    assert (service["invoice_id"], service["next_due_date"]) == (None, None)
    assert await house.events() == ["client.created", "service.created"]


async def test_the_first_invoice_can_be_left_out(house: House) -> None:
    service = await house.a_service(invoice=False)
    assert (service["status"], service["invoice_id"]) == ("active", None)
    assert service["next_due_date"] == service["created_at"][:10]
    assert await got(house, "/invoices") == []
    assert await house.events() == ["client.created", "service.created"]
    for value in (True, None):
        assert (await house.a_service(service["client_id"], 1, invoice=value))["invoice_id"] is not None
    body = {"client_id": 1, "product_id": 1, "billing_cycle": "monthly", "invoice": 0}
    assert list((await refused(house, "/services", body))["fields"]) == ["invoice"]


async def test_a_service_that_is_set_up_on_payment_waits_for_it(house: House) -> None:
    service = await order(house, await house.a_product(autoSetup="ON_PAYMENT"))
    assert service["status"] == "pending"
    assert await house.events() == ["client.created", "invoice.created"]
    await house.made(f"/invoices/{service['invoice_id']}/pay", {"amount": "4.00"})
    assert (await got(house, f"/services/{service['id']}"))["status"] == "pending"
    await house.made(f"/invoices/{service['invoice_id']}/pay")
    assert (await got(house, f"/services/{service['id']}"))["status"] == "active"
    assert (await house.events())[2:] == ["invoice.paid", "service.created"]


async def test_a_service_that_is_set_up_by_hand_waits_for_staff(house: House) -> None:
    service = await order(house, await house.a_product(autoSetup="MANUAL"))
    assert service["status"] == "pending"
    await house.made(f"/invoices/{service['invoice_id']}/pay")
    assert (await got(house, f"/services/{service['id']}"))["status"] == "pending"
    data = await house.data("mutation { serviceProvision(id: 1) { status } }")
    assert data["serviceProvision"]["status"] == "ACTIVE"
    assert await house.events() == ["client.created", "invoice.created", "invoice.paid", "service.created"]


async def test_a_service_with_a_module_stays_pending_until_that_has_succeeded(house: House) -> None:
    service = await order(house, await house.a_product(module="manual"))
    assert service["status"] == "pending"
    assert await house.events() == ["client.created", "invoice.created"]


async def test_suspending_takes_a_reason_and_a_note(house: House) -> None:
    service = await house.a_service()
    path = f"/services/{service['id']}"
    for body, reason in (
        (None, "manual"),
        ({}, "manual"),
        ({"reason": "abuse", "note": "Spam."}, "abuse"),
        ({"reason": "overdue", "note": ""}, "overdue"),
        ({"reason": None}, "manual"),
    ):
        suspended = await house.made(f"{path}/suspend", body)
        assert (suspended["status"], suspended["suspension_reason"]) == ("suspended", reason)
        lifted = await house.made(f"{path}/unsuspend")
        assert (lifted["status"], lifted["suspension_reason"]) == ("active", None)
    assert (await house.events())[3:] == ["service.suspended", "service.unsuspended"] * 5
    error = await refused(house, f"{path}/suspend", {"reason": "angry", "note": 5})
    assert error["fields"] == {
        "reason": "The reason field must be one of: overdue, abuse, manual.",
        "note": "The note field must be a string.",
    }
    told = [json.loads(payload)["data"] for (payload,) in await house.rows("SELECT payload FROM events ORDER BY id")]
    assert [one["suspension_reason"] for one in told[3:5]] == ["manual", None]


async def test_the_same_state_again_is_a_success_without_an_event(house: House) -> None:
    service = await house.a_service()
    path = f"/services/{service['id']}"
    for verb in ("unsuspend", "suspend", "terminate"):
        first = await house.made(f"{path}/{verb}")
        events = await house.events()
        assert await house.made(f"{path}/{verb}") == first == await got(house, path)
        assert await house.events() == events
    suspended = await house.a_service(service["client_id"], 1)
    await house.made(f"/services/{suspended['id']}/suspend", {"reason": "abuse"})
    again = await house.made(f"/services/{suspended['id']}/suspend", {"reason": "overdue"})
    assert again["suspension_reason"] == "abuse"


async def test_an_illegal_transition_names_the_current_status(house: House) -> None:
    pending = await order(house, await house.a_product(autoSetup="MANUAL"))
    for verb, participle in (("suspend", "suspended"), ("unsuspend", "unsuspended")):
        error = await refused(house, f"/services/{pending['id']}/{verb}")
        assert error["message"] == f"Service {pending['id']} is pending and cannot be {participle}."
    ended = await house.made(f"/services/{pending['id']}/terminate")
    assert ended["status"] == "terminated"
    for verb, participle in (("suspend", "suspended"), ("unsuspend", "unsuspended")):
        error = await refused(house, f"/services/{pending['id']}/{verb}")
        assert error["message"] == f"Service {pending['id']} is terminated and cannot be {participle}."


async def test_a_suspended_service_is_terminated(house: House) -> None:
    service = await house.a_service()
    await house.made(f"/services/{service['id']}/suspend")
    assert (await house.made(f"/services/{service['id']}/terminate"))["status"] == "terminated"
    assert (await house.events())[3:] == ["service.suspended", "service.terminated"]


async def test_a_payment_lifts_a_suspension_for_being_overdue_and_no_other(house: House) -> None:
    for reason, status, events in (
        ("overdue", "active", ["invoice.paid", "service.unsuspended"]),
        ("abuse", "suspended", ["invoice.paid"]),
        ("manual", "suspended", ["invoice.paid"]),
    ):
        service = await house.a_service()
        await house.made(f"/services/{service['id']}/suspend", {"reason": reason})
        seen = len(await house.events())
        await house.made(f"/invoices/{service['invoice_id']}/pay")
        assert (await got(house, f"/services/{service['id']}"))["status"] == status
        assert (await house.events())[seen:] == events


async def test_a_service_is_placed_on_a_server_with_room_and_a_full_group_refuses(house: House) -> None:
    group = (await house.data('mutation { serverGroupCreate(input: {name: "eu"}) { id } }'))["serverGroupCreate"]["id"]
    server = await house.a_server(serverGroupId=group, maxAccounts=1)
    product = await house.a_product(serverGroupId=group)
    service = await order(house, product)
    assert service["server_id"] == server
    assert (await got(house, f"/servers/{server}"))["accounts"] == 1
    body = {"client_id": service["client_id"], "product_id": product, "billing_cycle": "monthly"}
    assert list((await refused(house, "/services", body))["fields"]) == ["product_id"]
    await house.made(f"/services/{service['id']}/terminate")
    assert (await got(house, f"/servers/{server}"))["accounts"] == 0
    assert (await order(house, product))["server_id"] == server


@pytest.mark.parametrize("verb", ["suspend", "unsuspend", "terminate"])
async def test_a_service_that_does_not_exist_is_not_found(house: House, verb: str) -> None:
    answer = await house.rest("POST", f"/services/999/{verb}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert answer.json()["error"]["message"] == "Service 999 does not exist."
