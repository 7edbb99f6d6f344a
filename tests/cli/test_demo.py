"""`arcbilling demo`: an empty database filled with what looks real, in which every example of the reference works."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from arcbilling import clock, demo
from rest_compat.routes import ROUTES
from schema.errors import Code, DomainError
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
CLIENTS = 12
LISTS = ("clients", "services", "invoices", "tickets", "products", "servers", "departments")


SECRET = {"secret_key": "the secret of the demo's database"}
_filled: dict[str, EmptyDatabase] = {}


@pytest.fixture
async def demo_database(
    engine: str, tmp_path_factory: pytest.TempPathFactory, empty_database: EmptyDatabase
) -> AsyncIterator[EmptyDatabase]:
    """A database that the demo has filled once for each engine, to copy."""
    if engine not in _filled:
        folder: Path = tmp_path_factory.mktemp("demo")
        async with open_house(folder, empty_database, **SECRET) as house:
            await demo.fill(house.engine, CLIENTS, 1)
        _filled[engine] = await empty_database.kept(folder)
    yield _filled[engine]
    await _filled[engine].drop_copies()


@pytest.fixture
async def shop(tmp_path: Path, demo_database: EmptyDatabase) -> AsyncIterator[House]:
    """A house on the demo's database."""
    async with open_house(tmp_path, demo_database, **SECRET) as opened:
        yield opened


async def every(house: House, noun: str, query: str = "") -> list[Any]:
    """All of a list, page by page, as a consumer reads it."""
    found: list[Any] = []
    cursor = ""
    while True:
        parameters = "&".join(part for part in (query, cursor) if part)
        answer = await house.rest("GET", f"/{noun}?{parameters}" if parameters else f"/{noun}")
        assert answer.status_code == 200, answer.text
        found += answer.json()["data"]
        following = answer.json()["meta"]["next_cursor"]
        if following is None:
            return found
        cursor = f"cursor={following}"


@pytest.mark.parametrize("noun", LISTS)
async def test_no_list_of_the_demo_is_empty(shop: House, noun: str) -> None:
    assert await every(shop, noun)


async def test_the_demo_tells_how_much_there_is(house: House) -> None:
    told = await demo.fill(house.engine, 3, 5)
    assert told["clients"] == 3
    for noun in LISTS:
        assert told[noun] == len(await every(house, noun))
    assert all(told.values())


async def test_clients_come_from_several_countries_and_pay_in_several_currencies(shop: House) -> None:
    clients = await every(shop, "clients")
    assert len(clients) == CLIENTS
    assert len({client["country"] for client in clients}) > 2
    assert len({client["currency"] for client in clients}) > 2
    assert len({client["email"] for client in clients}) == CLIENTS
    assert all(client["email"].endswith((".test", ".example")) for client in clients)
    assert all(client["phone"] and client["address"] and client["city"] for client in clients)


async def test_the_first_product_is_sold_in_dollars_and_active_at_once(shop: House) -> None:
    product = (await every(shop, "products"))[0]
    prices = {price["billing_cycle"]: price["amount"] for price in product["pricing"] if price["currency"] == "USD"}
    assert prices == {"monthly": "5.99", "quarterly": "16.99", "annually": "59.90"}
    told = (await shop.data("{ product(id: 1) { autoSetup module serverGroupId } }"))["product"]
    assert told == {"autoSetup": "ON_ORDER", "module": "none", "serverGroupId": None}
    for cycle, amount in prices.items():
        sold = await shop.made("/services", {"client_id": 1, "product_id": product["id"], "billing_cycle": cycle})
        assert (sold["status"], sold["amount"], sold["currency"]) == ("active", amount, "USD")


async def test_the_three_cycles_are_sold_in_each_currency_of_a_client(shop: House) -> None:
    currencies = {client["currency"] for client in await every(shop, "clients")}
    for product in (await every(shop, "products"))[:7]:
        sold = {(price["billing_cycle"], price["currency"]) for price in product["pricing"]}
        assert sold >= {(cycle, money) for cycle in ("monthly", "quarterly", "annually") for money in currencies}


@pytest.mark.parametrize("clients", [1, 4])
async def test_even_a_small_demo_has_a_service_in_each_status_and_suspended_for_each_reason(
    house: House, clients: int
) -> None:
    await demo.fill(house.engine, clients, 2)
    services = await every(house, "services")
    assert {one["status"] for one in services} == {"pending", "active", "suspended", "terminated", "cancelled"}
    reasons = {one["suspension_reason"] for one in services if one["status"] == "suspended"}
    assert reasons == {"overdue", "abuse", "manual"}
    tickets = await every(house, "tickets")
    assert {one["status"] for one in tickets} == {"open", "answered", "customer_reply", "on_hold", "closed"}
    assert {one["priority"] for one in tickets} == {"low", "medium", "high"}
    invoices = await every(house, "invoices")
    assert {one["status"] for one in invoices} == {"paid", "unpaid", "cancelled"}
    assert await every(house, "invoices", "status=overdue")
    assert {one["status"] for one in await every(house, "products")} == {"active", "hidden", "retired"}


async def test_invoices_are_paid_in_full_in_part_and_not_at_all(shop: House) -> None:
    invoices = await every(shop, "invoices")
    unpaid = [one for one in invoices if one["status"] == "unpaid"]
    assert any(one["balance"] == one["total"] for one in unpaid)
    assert any(one["balance"] != one["total"] for one in unpaid)
    assert all(float(one["balance"]) == 0 for one in invoices if one["status"] == "paid")
    assert any(item["amount"].startswith("-") for one in invoices for item in one["items"])
    overdue = {one["id"] for one in await every(shop, "invoices", "status=overdue")}
    assert {one["id"] for one in unpaid} - overdue, "some are not due yet"
    data = await shop.data("{ invoices(first: 100) { nodes { payments { method transactionId amount } } } }")
    payments = [payment for node in data["invoices"]["nodes"] for payment in node["payments"]]
    assert len({payment["method"] for payment in payments}) >= 4
    references = [payment["transactionId"] for payment in payments if payment["transactionId"]]
    assert len(references) == len(set(references)) > 5


async def test_what_was_paid_for_is_not_over(shop: House) -> None:
    """Nothing renews services yet, so those that are shown as paid are within the period that was paid for."""
    today = clock.today().isoformat()
    services = {one["id"]: one for one in await every(shop, "services", "status=active")}
    for invoice in await every(shop, "invoices", "status=unpaid"):
        data = await shop.data("query($id: ID!) { invoice(id: $id) { items { serviceId } } }", {"id": invoice["id"]})
        for item in data["invoice"]["items"]:
            if item["serviceId"]:
                services.pop(int(item["serviceId"].removeprefix("svc_")), None)
    assert services
    assert all(one["next_due_date"] is None or one["next_due_date"] > today for one in services.values())


async def test_history_spreads_over_more_than_a_year_and_ends_before_today(shop: House) -> None:
    tables = " UNION ALL ".join(
        f"SELECT created_at FROM {name}" for name in ("clients", "services", "invoices", "tickets")
    )
    days = {str(moment)[:10] for (moment,) in await shop.rows(tables)}
    assert len({day[:7] for day in days}) >= 12
    assert max(days) < clock.today().isoformat()


async def test_events_stand_in_the_order_of_their_moments(shop: House) -> None:
    moments = [moment for (moment,) in await shop.rows("SELECT created_at FROM events ORDER BY id")]
    assert moments == sorted(moments)


async def test_tickets_hold_talks_of_client_and_staff(shop: House) -> None:
    answer = await shop.rest("GET", "/tickets/1")
    messages = answer.json()["data"]["messages"]
    assert [message["author"] for message in messages] == ["client", "staff", "client", "staff"]
    assert [message["created_at"] for message in messages] == sorted(message["created_at"] for message in messages)


async def told(house: House) -> dict[str, list[Any]]:
    """Everything that the demo made, but for hours of the day."""
    found = {noun: await every(house, noun) for noun in LISTS}
    for things in found.values():
        for one in things:
            for name in ("created_at", "updated_at", "paid_at"):
                if one.get(name):
                    one[name] = one[name][:10]
    return found


async def test_the_same_seed_gives_the_same_data(shop: House, tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path / "again", empty_database) as again:
        await demo.fill(again.engine, CLIENTS, 1)
        assert await told(again) == await told(shop)


async def test_another_seed_gives_other_data(shop: House, tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path / "other", empty_database) as other:
        await demo.fill(other.engine, CLIENTS, 2)
        assert await every(other, "clients") != await every(shop, "clients")


async def test_a_database_that_holds_a_client_is_refused(house: House) -> None:
    await house.a_client()
    with pytest.raises(DomainError, match=r"empty database only, and this one holds: clients \(1\)") as refusal:
        await demo.fill(house.engine, 3, 1)
    assert refusal.value.code is Code.VALIDATION_ERROR
    assert len(await every(house, "clients")) == 1


async def test_a_database_that_the_demo_filled_is_refused(shop: House) -> None:
    before = await told(shop)
    with pytest.raises(DomainError, match="empty database only"):
        await demo.fill(shop.engine, 3, 1)
    assert await told(shop) == before


async def test_keys_alone_leave_a_database_empty(house: House) -> None:
    await house.new_key("clients:read")
    assert (await demo.fill(house.engine, 1, 1))["clients"] == 1


async def test_every_post_of_the_reference_succeeds_with_ids_from_the_demo(shop: House) -> None:
    """Read the way a newcomer reads the reference: the first of each list, and the first that the verb is for."""

    async def first(noun: str, query: str = "") -> int:
        return int((await every(shop, noun, query))[0]["id"])

    client, product, department = await first("clients"), await first("products"), await first("departments")
    assert (client, product, department) == (1, 1, 1)
    suspended = await first("services", "status=suspended")
    bodies: dict[str, tuple[str, Any]] = {
        "Create Client": (
            "/clients",
            {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "correct horse"},
        ),
        "Create Service": ("/services", {"client_id": client, "product_id": product, "billing_cycle": "monthly"}),
        "Suspend Service": (f"/services/{await first('services', 'status=active')}/suspend", None),
        "Unsuspend Service": (f"/services/{suspended}/unsuspend", None),
        "Terminate Service": (f"/services/{suspended}/terminate", None),
        "Create Invoice": (
            "/invoices",
            {
                "client_id": client,
                "due_date": "2030-01-31",
                "items": [{"description": "Consulting", "amount": "29.99"}],
            },
        ),
        "Mark Invoice Paid": (f"/invoices/{await first('invoices', 'status=unpaid')}/pay", None),
        "Create Ticket": (
            "/tickets",
            {"client_id": client, "department_id": department, "subject": "Help", "message": "It is down."},
        ),
        "Reply to Ticket": (f"/tickets/{await first('tickets')}/reply", {"message": "We look into it."}),
        "Close Ticket": (f"/tickets/{await first('tickets', 'status=open')}/close", None),
    }
    posts = [route for route in ROUTES if route.method == "POST" and route.documented]
    assert {route.title for route in posts} == set(bodies)
    for route in posts:
        path, body = bodies[route.title]
        answer = await shop.rest("POST", path, body)
        assert answer.status_code == route.status, f"{route.title}: {answer.text}"
        assert answer.json()["status"] == "success"


@pytest.mark.parametrize("path", ["services/1/suspend", "services/1/unsuspend", "services/1/terminate"])
async def test_the_first_service_takes_every_verb(shop: House, path: str) -> None:
    assert (await shop.rest("POST", f"/{path}")).status_code == 200


async def test_whatever_has_the_id_1_is_the_first_clients(shop: House) -> None:
    for noun in ("services", "invoices", "tickets"):
        assert (await shop.rest("GET", f"/{noun}/1")).json()["data"]["client_id"] == 1
    assert (await shop.rest("POST", "/invoices/1/pay")).status_code == 200
    assert (await shop.rest("POST", "/tickets/1/reply", {"message": "Once more.", "client_id": 1})).status_code == 200
    assert (await shop.rest("POST", "/tickets/1/close")).status_code == 200


def arcbilling(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "ARCBILLING_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "arcbilling", *words]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_prints_nouns_and_counts_and_refuses_to_do_it_twice(tmp_path: Path) -> None:
    done = arcbilling(tmp_path, "demo", "--clients", "2", "--seed", "7")
    assert done.returncode == 0, done.stderr
    told = dict(line.split("\t") for line in done.stdout.splitlines())
    assert told["clients"] == "2"
    assert all(count.isdigit() for count in told.values())
    again = arcbilling(tmp_path, "demo")
    assert (again.returncode, again.stdout) == (1, "")
    assert "empty database only" in again.stderr


def test_nobody_can_ask_for_a_demo_without_clients(tmp_path: Path) -> None:
    assert arcbilling(tmp_path, "demo", "--clients", "0").returncode == 2


async def test_things_are_sold_in_the_currency_of_the_setting_too(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    async with open_house(tmp_path, empty_database, currency="CHF") as house:
        await demo.fill(house.engine, 1, 1)
        client = await house.a_client()
        assert client["currency"] == "CHF"
        sold = await house.made("/services", {"client_id": client["id"], "product_id": 1, "billing_cycle": "monthly"})
        assert (sold["currency"], sold["status"]) == ("CHF", "active")
