"""Leases: how long a delivery is left to the process that tries it, and what becomes of those of one that is gone."""

import asyncio
from datetime import datetime, timedelta

import httpx2
import pytest

from arcbilling import clock
from schema.circuits import LEASE
from tests.conftest import House
from tests.databases import on_sqlite
from tests.reliability.receiver import receiving
from tests.reliability.served import Installation
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


@on_sqlite
async def test_on_sqlite_the_next_process_takes_over_at_once(place: Installation) -> None:
    place.environment["ARCBILLING_WEBHOOK_ALLOW_NETS"] = "127.0.0.0/8"
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with receiving("hang") as receiver, httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
        async with place.serving() as process:
            assert (await http.post("/api/v1/webhooks", json={"url": receiver.url})).status_code == 201
            body = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}
            assert (await http.post("/api/v1/clients", json=body)).status_code == 201
            await receiver.until(lambda: len(receiver.received) == 1)
            process.kill()
            await process.wait()
        ((before,),) = await place.rows("SELECT due_at FROM deliveries")
        receiver.mode = "ok"
        async with place.serving():
            await receiver.until_accepted(1)
    assert receiver.accepted[0].at < datetime.fromisoformat(before).timestamp() - 5, "its lease had not run out"
    assert await place.rows("SELECT status, attempts FROM deliveries") == [("delivered", 2)]
    lost, made = await place.rows("SELECT response_status, started_at, milliseconds FROM delivery_attempts ORDER BY id")
    assert (lost[0], made[0]) == (None, 200)
    assert datetime.fromisoformat(lost[1]) == datetime.fromisoformat(before) - LEASE
    assert 0 < lost[2] < LEASE.total_seconds() * 1000
