"""Endpoints that are down: what is held for them, how they are tried, and what happens once they are back."""

import asyncio
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path

import pytest

from arcbilling import clock
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase
from tests.reliability.receiver import Mode, Received, Receiver, receiving
from tests.webhooks.arranged import a_webhook, attempts, circuit, deliveries, until, until_attempts, until_settled

pytestmark = pytest.mark.anyio


async def brought_down(house: House, receiver: Receiver, clients: int = 8) -> None:
    """Makes clients until the circuit of the only endpoint is open, and one more."""
    assert receiver.mode != "ok"
    for _ in range(clients):
        await house.a_client()
    await until(lambda: is_in(house, "open"))
    await house.a_client()
    await until(lambda: are_queued(house, clients + 1))


async def is_in(house: House, state: str) -> bool:
    return (await circuit(house, "state"))[0] == state


async def test_while_an_endpoint_is_down_its_deliveries_are_held(house: House) -> None:
    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await brought_down(house, receiver)
        tried = len(receiver.received)
        assert tried <= 8  # four at once, when the fifth failed
        assert (await deliveries(house))[-1] == ("pending", 0, "auto")
        assert len(receiver.received) == tried


async def are_queued(house: House, number: int) -> bool:
    return len(await deliveries(house)) == number


async def test_one_is_tried_at_a_time_and_does_not_count(house: House) -> None:
    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await brought_down(house, receiver)
        before, tried = await deliveries(house), len(receiver.received)
        await house.write("UPDATE webhook_circuits SET next_probe_at = ?", clock.now())
        await receiver.until(lambda: len(receiver.received) > tried)
        await until_attempts(house, tried + 1)
        assert len(receiver.received) == tried + 1
        assert (await attempts(house, "trigger"))[-1] == ("probe",)
        assert receiver.received[-1].id == receiver.received[0].id, "the oldest is tried"
        assert await deliveries(house) == before
        assert (await circuit(house, "state, failures"))[1] == tried + 1


async def test_what_staff_ask_for_is_tried_though_the_circuit_is_open(house: House) -> None:
    async with receiving("400") as receiver:
        webhook = await a_webhook(house, receiver)
        await brought_down(house, receiver)
        tried = len(receiver.received)
        test = await house.made(f"/webhooks/{webhook['id']}/test")
        await receiver.until(lambda: len(receiver.received) > tried)
        await until_attempts(house, tried + 1)
        assert receiver.received[-1].id == test["event_id"]
        assert receiver.received[-1].json["event"] == "webhook.test"
        assert (await attempts(house, "trigger"))[-1] == ("manual",)
        assert (await deliveries(house))[-1] == ("pending", 1, "auto")


async def test_once_it_is_back_everything_flows_in_the_order_of_each_object(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    async with receiving("400") as receiver, open_house(tmp_path, empty_database, time_scale="60") as house:
        await a_webhook(house, receiver)
        await brought_down(house, receiver)
        for number in range(1, 10):
            for name in ("Grace", "Hedy"):
                await house.rest("PUT", f"/clients/{number}", {"first_name": name})
        receiver.mode = "ok"
        await until_settled(house)
        await until(lambda: is_in(house, "closed"))
        assert await circuit(house, "failures, failing_since, next_probe_at, draining_since") == (0, None, None, None)
    assert Counter(receiver.ids.values()) == {1: 27}
    told = defaultdict(list)
    for one in receiver.accepted:
        told[one.object].append(one.json["data"]["first_name"])
    assert told == {("client", number): ["Ada", "Grace", "Hedy"] for number in range(1, 10)}


async def test_what_is_held_for_76_hours_has_failed(house: House) -> None:
    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await brought_down(house, receiver)
        held_since = clock.now() - timedelta(hours=76)
        await house.write("UPDATE deliveries SET queued_at = ? WHERE id <> 9", held_since)
        await until(lambda: have_failed(house, 8))
    assert (await deliveries(house))[-1] == ("pending", 0, "auto")


async def have_failed(house: House, number: int) -> bool:
    return [status for (status,) in await deliveries(house, "status")].count("failed") == number


async def test_an_endpoint_that_has_only_failed_for_five_days_is_disabled(house: House) -> None:
    async with receiving("400") as receiver, receiving() as other:
        await a_webhook(house, receiver)
        await brought_down(house, receiver)
        await a_webhook(house, other, "webhook.disabled")
        failing_since = clock.now() - timedelta(hours=120)
        changed = "UPDATE webhook_circuits SET failing_since = ?, next_probe_at = ? WHERE webhook_id = 1"
        await house.write(changed, failing_since, clock.now())
        await other.until_accepted(1)
        await until_settled(house)
    assert await house.rows("SELECT status, disabled_reason FROM webhooks WHERE id = 1") == [("disabled", "failing")]
    assert {status for (status,) in await deliveries(house, "status")} == {"skipped", "delivered"}
    assert other.received[0].json["data"]["id"] == 1


async def test_what_becomes_pending_for_a_disabled_endpoint_is_skipped(house: House) -> None:
    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await house.a_client()
        await until_attempts(house, 1)
        await house.write("UPDATE webhooks SET status = 'disabled'")
        await until_settled(house)
    assert await deliveries(house, "status, due_at, lease") == [("skipped", None, None)]


async def test_endpoints_that_hang_do_not_hold_up_the_others(house: House) -> None:
    """More of them than attempts that a process makes at once for all."""
    async with receiving("hang") as hanging, receiving() as receiver:
        for _ in range(70):
            await a_webhook(house, hanging, "client.created")
        await a_webhook(house, receiver, "client.created")
        for _ in range(10):
            await house.a_client()
        await receiver.until_accepted(10, seconds=10)
        assert len(hanging.received) <= 70


async def test_an_endpoint_that_answers_has_four_at_once(house: House) -> None:
    most = 0

    def mode(_: Received) -> Mode:
        nonlocal most
        most = max(most, len(receiver.received) - len(receiver.accepted))
        return "slow"

    async with receiving(mode, seconds=1.0) as receiver:
        client = await house.a_client()
        await a_webhook(house, receiver, "invoice.created")
        for _ in range(12):
            await house.an_invoice(client["id"])
        await receiver.until_accepted(12)
    assert most == 4


async def test_nothing_is_written_while_there_is_nothing_to_do(house: House) -> None:
    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await brought_down(house, receiver)
        begun: list[str] = []
        house.engine.database.on_statement = lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None
        await asyncio.sleep(2.5)  # several looks of every loop
        house.engine.database.on_statement = None
    assert begun == []


async def test_the_log_tells_of_an_outage_and_no_secret(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with receiving("400") as receiver:
        webhook = await a_webhook(house, f"{receiver.url}?token=plantedtoken")
        await brought_down(house, receiver)
        receiver.mode = "410"
        await house.write("UPDATE webhook_circuits SET next_probe_at = ?", clock.now())
        await until_settled(house)
    text = caplog.text
    assert "a webhook fails; it is tried now and then until it is back" in text
    assert "a webhook is disabled" in text
    assert f"whk_{webhook['id']}" in text
    assert webhook["secret"] not in text
    assert "plantedtoken" not in text
