"""What is kept of the past, and for how long."""

from datetime import timedelta
from typing import Any

import pytest

from arcbilling import clock
from resolvers import retention
from tests.conftest import House
from tests.reliability.receiver import receiving
from tests.webhooks.arranged import a_webhook, attempts, deliveries, until, until_settled

pytestmark = pytest.mark.anyio

LONG_AGO = timedelta(days=400)


async def purged(house: House, attempts_days: int = 30, events_days: int = 90) -> None:
    now = clock.now()
    before = now - timedelta(days=attempts_days), now - timedelta(days=events_days)
    while await retention.purge(house.engine.database, *before):
        pass


async def delivered(house: House, clients: int) -> None:
    async with receiving() as receiver:
        await a_webhook(house, receiver)
        for _ in range(clients):
            await house.a_client()
        await receiver.until_accepted(clients)
        await until_settled(house)


async def aged(house: House, table: str, where: str = "TRUE", *columns: str) -> None:
    for column in columns or ("created_at",):
        await house.write(f"UPDATE {table} SET {column} = ? WHERE {where}", clock.now() - LONG_AGO)


async def are_numbered(house: House, numbers: list[int]) -> bool:
    return await sequences(house) == numbers


async def sequences(house: House) -> list[Any]:
    return [sequence for (sequence,) in await house.rows("SELECT sequence FROM events ORDER BY sequence")]


async def test_what_is_young_is_kept(house: House) -> None:
    await delivered(house, 3)
    await purged(house)
    assert (len(await deliveries(house)), len(await attempts(house)), await sequences(house)) == (3, 3, [1, 2, 3])


async def test_old_attempts_go_and_their_deliveries_stay(house: House) -> None:
    await delivered(house, 3)
    await aged(house, "delivery_attempts", "id < 3", "started_at")
    await purged(house)
    assert (len(await deliveries(house)), len(await attempts(house))) == (3, 1)


async def test_old_events_and_deliveries_go_and_the_newest_event_stays(house: House) -> None:
    await delivered(house, 3)
    await aged(house, "events")
    await aged(house, "deliveries")
    await purged(house)
    assert (await deliveries(house), await attempts(house), await sequences(house)) == ([], [], [3])
    await house.a_client()
    await until(lambda: are_numbered(house, [3, 4]))


async def test_an_event_that_a_delivery_waits_for_stays_and_so_do_those_after_it(house: House) -> None:
    await delivered(house, 4)
    later = clock.now() + timedelta(hours=1)
    await house.write(
        "UPDATE deliveries SET status = 'pending', due_at = ?, finished_at = NULL WHERE sequence = 2", later
    )
    await aged(house, "events")
    await purged(house)
    assert await sequences(house) == [2, 3, 4]


async def test_what_is_kept_has_no_gap(house: House) -> None:
    await delivered(house, 5)
    await aged(house, "events", "sequence IN (1, 3, 4)")
    await purged(house)
    assert await sequences(house) == [2, 3, 4, 5]


async def test_nothing_is_left_of_the_deliveries_to_an_endpoint_that_was_deleted(house: House) -> None:
    await delivered(house, 3)
    assert (await house.rest("DELETE", "/webhooks/1")).status_code == 200
    await purged(house)
    assert (await deliveries(house), await attempts(house)) == ([], [])
    assert await house.rows("SELECT id FROM webhook_circuits") == []
    assert await sequences(house) == [1, 2, 3]


async def test_there_may_be_more_than_a_batch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    await delivered(house, 7)
    await aged(house, "events")
    await aged(house, "deliveries")
    await aged(house, "delivery_attempts", "TRUE", "started_at")
    await purged(house)
    assert (await deliveries(house), await attempts(house), await sequences(house)) == ([], [], [7])
