"""Invoices over REST: what is owed, to the last digit, and how it is paid."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio


def items(*amounts: Any) -> list[dict[str, Any]]:
    return [{"description": "Hosting", "amount": amount} for amount in amounts]


async def refused(house: House, path: str, body: Any = None) -> dict[str, Any]:
    """The error of a POST that must be refused, without an event."""
    before = await house.events()
    answer = await house.rest("POST", path, body)
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert await house.events() == before
    return error


async def refused_items(house: House, client_id: int, *amounts: Any) -> dict[str, str]:
    body = {"client_id": client_id, "due_date": "2030-01-31", "items": items(*amounts)}
    return dict((await refused(house, "/invoices", body))["fields"])


async def got(house: House, id: int) -> Any:
    return (await house.rest("GET", f"/invoices/{id}")).json()["data"]


async def test_an_invoice_is_the_sum_of_its_items_in_the_clients_currency(house: House) -> None:
    invoice = await house.an_invoice(items=items("29.99", "0.01", 5, -3))
    assert [invoice[name] for name in ("subtotal", "tax", "total", "balance")] == ["32.00", "0.00", "32.00", "32.00"]
    assert [item["amount"] for item in invoice["items"]] == ["29.99", "0.01", "5.00", "-3.00"]
    assert (invoice["status"], invoice["currency"], invoice["paid_at"]) == ("unpaid", "USD", None)
    assert await house.events() == ["client.created", "invoice.created"]


async def test_amounts_are_strings_or_numbers_and_read_exactly(house: House) -> None:
    client = (await house.a_client())["id"]
    for written, shown in (
        ('"29.99"', "29.99"),
        ("29.99", "29.99"),
        ("0.1", "0.10"),
        ("1.15", "1.15"),
        ("4.35", "4.35"),
        ("8", "8.00"),
        ('"0010.5"', "10.50"),
        ('" 7.10 "', "7.10"),
        ("999999999999999.99", "999999999999999.99"),
        ('"0.00"', "0.00"),
    ):
        content = json.dumps({"client_id": client, "due_date": "2030-01-31", "items": items("@")})
        content = content.replace('"@"', written)
        answer = await house.rest("POST", "/invoices", content=content)
        assert answer.status_code == 201, (written, answer.text)
        assert answer.json()["data"]["total"] == shown


async def test_what_is_no_plain_decimal_is_refused(house: House) -> None:
    client = (await house.a_client())["id"]
    bad: list[Any] = [
        "1e3",
        "1,50",
        "1.",
        ".5",
        "+1",
        "0x10",
        "1 000",
        "--1",
        "NaN",
        "Infinity",
        "$5",
        "\u0661",
        True,
        [],
        {},
    ]
    for wrong in bad:
        assert list(await refused_items(house, client, "1.00", wrong)) == ["items[1].amount"], wrong
    content = json.dumps({"client_id": client, "due_date": "2030-01-31", "items": items(0)})
    answer = await house.rest("POST", "/invoices", content=content.replace(": 0}", ": 1e3}"))
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["items[0].amount"])
    assert "items[0].amount" in await refused_items(house, client, "1000000000000000")


@pytest.mark.parametrize(
    ("currency", "amount", "shown", "too_many"),
    [("USD", "29.99", "29.99", "29.999"), ("JPY", "30", "30", "30.0"), ("KWD", "1.25", "1.250", "1.2345")],
)
async def test_amounts_have_the_digits_of_their_currency(
    house: House, currency: str, amount: str, shown: str, too_many: str
) -> None:
    client = (await house.a_client(currency=currency))["id"]
    invoice = await house.an_invoice(client, amount)
    assert (invoice["total"], invoice["items"][0]["amount"], invoice["currency"]) == (shown, shown, currency)
    assert list(await refused_items(house, client, amount, too_many)) == ["items[1].amount"]
    paid = await house.made(f"/invoices/{invoice['id']}/pay", {"amount": amount})
    assert (paid["status"], paid["balance"]) == ("paid", {"JPY": "0", "KWD": "0.000", "USD": "0.00"}[currency])
    error = await refused(
        house, f"/invoices/{(await house.an_invoice(client, amount))['id']}/pay", {"amount": too_many}
    )
    assert list(error["fields"]) == ["amount"]


async def test_a_negative_total_is_refused_and_a_total_of_zero_is_paid_at_once(house: House) -> None:
    client = (await house.a_client())["id"]
    assert await refused_items(house, client, "1.00", "-1.01") == {
        "items": "The items field must not have a negative total."
    }
    for amounts in (("5.00", "-5.00"), ("0",)):
        free = await house.an_invoice(client, items=items(*amounts))
        assert (free["status"], free["total"], free["balance"]) == ("paid", "0.00", "0.00")
        assert free["paid_at"] is not None
    assert (await house.events())[1:] == ["invoice.created", "invoice.paid"] * 2


async def test_a_due_date_is_a_day_of_the_calendar_and_may_be_past(house: House) -> None:
    client = (await house.a_client())["id"]
    for day in ("2020-02-29", "1999-01-01", "9999-12-31"):
        assert (await house.an_invoice(client, due_date=day))["due_date"] == day
    for no_day in (
        "2023-02-29",
        "2030-1-1",
        "31/01/2030",
        "2030-01-31T00:00:00Z",
        "20300131",
        "tomorrow",
        20300131,
        None,
    ):
        body = {"client_id": client, "due_date": no_day, "items": items("1")}
        assert list((await refused(house, "/invoices", body))["fields"]) == ["due_date"], no_day


async def test_an_invoice_for_nobody_is_refused(house: House) -> None:
    body = {"client_id": 999, "due_date": "2030-01-31", "items": items("1")}
    assert list((await refused(house, "/invoices", body))["fields"]) == ["client_id"]


async def test_numbers_have_no_gap_though_some_were_refused(house: House) -> None:
    client = (await house.a_client())["id"]
    numbers = []
    for _ in range(3):
        numbers.append((await house.an_invoice(client))["number"])
        await refused_items(house, client, "-1")
    places = [int(number.rpartition("-")[2]) for number in numbers]
    assert places == [1, 2, 3]


async def test_paying_without_a_body_pays_the_whole_balance(house: House) -> None:
    invoice = await house.an_invoice()
    paid = await house.made(f"/invoices/{invoice['id']}/pay")
    assert (paid["status"], paid["balance"], paid["total"]) == ("paid", "0.00", "29.99")
    assert paid["paid_at"] is not None
    assert await house.events() == ["client.created", "invoice.created", "invoice.paid"]
    assert await house.rows("SELECT amount, method FROM payments") == [(2999, "offline")]


async def test_less_than_the_balance_is_recorded_and_the_rest_stays_owed(house: House) -> None:
    path = f"/invoices/{(await house.an_invoice())['id']}/pay"
    partly = await house.made(path, {"amount": "10.00", "method": "bank"})
    assert (partly["status"], partly["balance"], partly["paid_at"]) == ("unpaid", "19.99", None)
    assert await house.events() == ["client.created", "invoice.created"]
    over = await refused(house, path, {"amount": "20.00"})
    assert over["fields"] == {"amount": "The amount field must not be more than the balance of 19.99 USD."}
    paid = await house.made(path, {"amount": 19.99})
    assert (paid["status"], paid["balance"]) == ("paid", "0.00")
    assert (await house.events())[2:] == ["invoice.paid"]
    payments = await house.rows("SELECT amount, method FROM payments ORDER BY id")
    assert payments == [(1000, "bank"), (1999, "offline")]


@pytest.mark.parametrize("amount", ["0", "-1", "0.00", "29.999", "x", 1000])
async def test_an_amount_that_cannot_be_is_refused(house: House, amount: Any) -> None:
    path = f"/invoices/{(await house.an_invoice())['id']}/pay"
    assert list((await refused(house, path, {"amount": amount}))["fields"]) == ["amount"]
    assert await house.rows("SELECT 1 FROM payments") == []


async def test_the_same_transaction_twice_is_one_payment(house: House) -> None:
    invoice, other = await house.an_invoice(), await house.an_invoice()
    path = f"/invoices/{invoice['id']}/pay"
    body = {"amount": "10.00", "method": "stripe", "transaction_id": "txn_1"}
    first = await house.made(path, body)
    assert await house.made(path, body) == first
    assert await house.rows("SELECT count(*) FROM payments") == [(1,)]
    for changed_path, changed in (
        (path, body | {"amount": "11.00"}),
        (f"/invoices/{other['id']}/pay", body),
    ):
        assert list((await refused(house, changed_path, changed))["fields"]) == ["transaction_id"]
    assert (await house.made(path, body | {"method": "paypal"}))["balance"] == "9.99"


async def test_a_paid_invoice_drops_no_money_silently(house: House) -> None:
    path = f"/invoices/{(await house.an_invoice())['id']}/pay"
    body = {"amount": "29.99", "transaction_id": "txn_1"}
    paid = await house.made(path, body)
    assert paid["status"] == "paid"
    assert await house.made(path) == paid
    assert await house.made(path, body) == paid
    for again in ({"amount": "29.99"}, {"amount": "0.01"}, {"amount": "29.99", "transaction_id": "txn_2"}):
        assert "paid already" in (await refused(house, path, again))["message"]
    assert (await house.events()).count("invoice.paid") == 1
    assert await house.rows("SELECT count(*) FROM payments") == [(1,)]


async def test_a_payment_may_have_been_received_earlier_and_never_later(house: House) -> None:
    path = f"/invoices/{(await house.an_invoice())['id']}/pay"
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for wrong in (later, "2026-01-31", "yesterday", 1736942400):
        assert list((await refused(house, path, {"paid_at": wrong}))["fields"]) == ["paid_at"]
    paid = await house.made(path, {"paid_at": "2025-01-15T14:00:00+02:00"})
    assert (paid["status"], paid["paid_at"]) == ("paid", "2025-01-15T12:00:00Z")


async def test_members_that_are_null_count_as_left_out_of_a_payment(house: House) -> None:
    path = f"/invoices/{(await house.an_invoice())['id']}/pay"
    paid = await house.made(path, dict.fromkeys(("amount", "method", "transaction_id", "paid_at")))
    assert paid["status"] == "paid"
    other = f"/invoices/{(await house.an_invoice())['id']}/pay"
    assert (await house.made(other, dict.fromkeys(("method", "transaction_id", "paid_at"), "")))["status"] == "paid"


async def test_paying_a_cancelled_invoice_is_refused(house: House) -> None:
    id = (await house.an_invoice())["id"]
    await house.data("mutation($id: ID!) { invoiceCancel(id: $id) { status } }", {"id": id})
    for body in (None, {"amount": "1.00"}):
        error = await refused(house, f"/invoices/{id}/pay", body)
        assert error["message"] == f"Invoice {id} is cancelled and cannot be paid."
    assert (await house.events())[2:] == ["invoice.cancelled"]
    assert (await got(house, id))["status"] == "cancelled"


async def test_events_of_invoices_show_them_as_lists_do_without_their_items(house: House) -> None:
    id = (await house.an_invoice(due_date="2020-01-31"))["id"]
    await house.made(f"/invoices/{id}/pay")
    shown = await got(house, id)
    del shown["items"]
    created, paid = (
        json.loads(payload)["data"]
        for (payload,) in await house.rows("SELECT payload FROM events WHERE event LIKE 'invoice.%' ORDER BY id")
    )
    assert paid == shown
    assert (created["status"], created["balance"], set(created)) == ("unpaid", "29.99", set(shown))


async def test_an_invoice_that_does_not_exist_is_not_found(house: House) -> None:
    for method, path in (("GET", "/invoices/999"), ("POST", "/invoices/999/pay")):
        answer = await house.rest(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
