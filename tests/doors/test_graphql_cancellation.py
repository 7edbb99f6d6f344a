"""Services that are cancelled before they were provisioned: with their invoice, unless anything was paid on it."""

import asyncio
from typing import Any

import pytest

from tests.conftest import House
from tests.databases import on_postgres
from tests.rehearsal import refused
from tests.reliability.test_postgres import beside

pytestmark = pytest.mark.anyio

CANCEL = "mutation($id: ID!) { serviceCancel(id: $id) { status } }"


async def a_waiting_service(house: House) -> Any:
    return await house.a_service(product_id=await house.a_product(autoSetup="MANUAL"))


async def statuses(house: House) -> list[tuple[Any, ...]]:
    return await house.rows("SELECT services.status, invoices.status FROM services, invoices")


async def test_the_unpaid_invoice_of_a_service_is_cancelled_with_it(house: House) -> None:
    await a_waiting_service(house)
    for _ in range(2):
        assert await house.data(CANCEL, {"id": 1}) == {"serviceCancel": {"status": "CANCELLED"}}
    assert await statuses(house) == [("cancelled", "cancelled")]
    assert (await house.events())[2:] == ["invoice.cancelled", "service.cancelled"]


@pytest.mark.parametrize(("amount", "paid"), [("4.00", "partly paid"), ("10.00", "paid")])
async def test_a_service_that_something_was_paid_for_is_not_cancelled(house: House, amount: str, paid: str) -> None:
    await a_waiting_service(house)
    await house.made("/invoices/1/pay", {"amount": amount})
    error = await refused(house, CANCEL, id=1)
    assert error["message"] == (
        f"Service 1 is pending and cannot be cancelled: its invoice is {paid}. It can be terminated."
    )
    assert (await house.made("/services/1/terminate"))["status"] == "terminated"


async def test_a_service_that_costs_nothing_is_cancelled(house: House) -> None:
    free = [{"billingCycle": "MONTHLY", "currency": "USD", "amount": "0.00"}]
    await house.a_service(product_id=await house.a_product(autoSetup="MANUAL", prices=free))
    assert await house.data(CANCEL, {"id": 1}) == {"serviceCancel": {"status": "CANCELLED"}}


async def test_a_service_whose_invoice_was_cancelled_before_is_cancelled(house: House) -> None:
    await a_waiting_service(house)
    await house.data("mutation { invoiceCancel(id: 1) { id } }")
    assert await house.data(CANCEL, {"id": 1}) == {"serviceCancel": {"status": "CANCELLED"}}
    assert (await house.events())[2:] == ["invoice.cancelled", "service.cancelled"]


@on_postgres
async def test_a_cancellation_that_waits_for_a_payment_leaves_the_service_to_it(house: House) -> None:
    await a_waiting_service(house)
    async with beside(house) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("SELECT 1 FROM invoices WHERE id = 1 FOR UPDATE")
        cancelled = asyncio.create_task(house.graphql(CANCEL, {"id": 1}))
        await asyncio.sleep(0.3)
        await other.execute("SELECT 1 FROM services WHERE id = 1 FOR UPDATE NOWAIT")
        await other.execute("UPDATE invoices SET status = 'paid', balance = 0")
        await transaction.commit()
        response = await cancelled
    assert "its invoice is paid" in response["errors"][0]["message"]
    assert await statuses(house) == [("pending", "paid")]
