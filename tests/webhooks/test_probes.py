"""Probes: which delivery an endpoint that is down is tried with, while another process is at some of them."""

import asyncio
from datetime import timedelta

import pytest

from arcbilling import clock
from tests.conftest import House
from tests.reliability.receiver import Mode, Received, receiving
from tests.webhooks.arranged import a_webhook
from tests.webhooks.test_outages import are_queued, brought_down

pytestmark = pytest.mark.anyio


async def test_a_probe_overtakes_no_earlier_event_of_its_object_that_another_process_is_at(house: House) -> None:
    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await brought_down(house, receiver)
        await house.rest("PUT", "/clients/1", {"city": "Rome"})
        await house.rest("PUT", "/clients/2", {"city": "Pisa"})
        await until_queued(house, 11)
        lease = "UPDATE deliveries SET lease = 'of another process', due_at = ? WHERE id <= 9"
        await house.write(lease, clock.now() + timedelta(seconds=20))
        tried = len(receiver.received)
        await house.write("UPDATE webhook_circuits SET next_probe_at = ?", clock.now())
        await asyncio.sleep(1.5)
        assert len(receiver.received) == tried, "what is left comes after something that another is at"
        await house.write(lease, clock.now())
        await receiver.until(lambda: len(receiver.received) > tried)
        assert receiver.received[tried].id == receiver.received[0].id


async def test_events_that_an_endpoint_refuses_do_not_hold_up_those_that_it_takes(house: House) -> None:
    def mode(one: Received) -> Mode:
        return "400" if one.json["event"] == "client.created" else "ok"

    async with receiving("400") as receiver:
        receiver.mode = mode
        await a_webhook(house, receiver)
        await brought_down(house, receiver)
        for number in range(20):
            await house.a_ticket(1, subject=f"Help {number}")
        async with asyncio.timeout(30):
            while not receiver.accepted:
                await house.write("UPDATE webhook_circuits SET next_probe_at = ?", clock.now())
                await asyncio.sleep(0.1)
    assert {one.json["event"] for one in receiver.accepted} == {"ticket.opened"}


async def until_queued(house: House, number: int) -> None:
    async with asyncio.timeout(10):
        while not await are_queued(house, number):
            await asyncio.sleep(0.02)
