"""Leases: for how long a delivery is left to the process that tries it, and what becomes of those of one that is gone."""

import asyncio
from datetime import datetime, timedelta

import pytest

from arcbilling import clock
from schema.circuits import LEASE
from tests.conftest import House
from tests.databases import on_sqlite
from tests.reliability.receiver import receiving
from tests.webhooks.arranged import a_webhook, deliveries, until_attempts

pytestmark = pytest.mark.anyio


async def lease_end(house: House) -> datetime:
    ((due,),) = await deliveries(house, "due_at")
    end = (house.engine.database.decoder(datetime) or (lambda value: value))(due)
    assert isinstance(end, datetime)
    return end


@on_sqlite
async def test_a_lease_begins_when_the_delivery_is_taken_up_however_long_that_had_to_wait(house: House) -> None:
    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await house.a_client()
        await until_attempts(house, 1)
        receiver.mode = "hang"
        await house.write("UPDATE deliveries SET due_at = ?", clock.now() + timedelta(seconds=0.5))
        writing = await house.engine.database.begin()
        await asyncio.sleep(3.5)
        taken = clock.now()
        await writing.rollback()
        await receiver.until(lambda: len(receiver.received) == 2)
        assert await lease_end(house) >= taken + LEASE
