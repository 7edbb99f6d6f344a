"""Large backlogs: no statement grows with them, and nobody else waits for what is done with them."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from arcbilling import clock
from resolvers import dispatch, recovery
from resolvers.dispatch import Share
from resolvers.tables import Session
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase, on_postgres
from tests.reliability.receiver import receiving
from tests.webhooks.arranged import a_webhook, deliveries, until, until_attempts, until_settled

pytestmark = pytest.mark.anyio

HELD = """
    INSERT INTO deliveries (
        webhook_id, message_id, event, event_id, object_type, object_id, sequence,
        status, trigger, attempts, due_at, queued_at, created_at
    )
    SELECT
        1, 'evt_' || place, 'client.updated', place, 'Client', place, place,
        'pending', 'auto', 0, now(), now(), now()
    FROM generate_series(1, 20000) AS place
"""


async def statuses(house: House) -> Counter[Any]:
    return Counter(status for (status,) in await deliveries(house, "status"))


async def held(house: House, clients: int) -> None:
    """An endpoint with deliveries that nobody makes."""
    await house.a_webhook(events=["*"])
    for _ in range(clients):
        await house.a_client()

    async def are_queued() -> bool:
        return len(await deliveries(house)) == clients

    await until(are_queued)


@on_postgres
async def test_the_beginning_of_a_backlog_is_found_without_reading_it_all(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    """Before anything has gathered statistics too: autovacuum takes its time, or is off."""
    async with open_house(tmp_path, empty_database, deliver="off") as house:
        await house.write(HELD)
        reader = Session(house.engine.database, house.engine.database.reader)
        asked: list[str] = []
        house.engine.database.on_statement = lambda sql: asked.append(sql) if "deliveries" in sql else None
        await dispatch.candidates(reader, [Share(1, 4)], clock.now())
        await dispatch.oldest(reader, 1, clock.now())
        await dispatch.newest(reader, 1)
        house.engine.database.on_statement = None
        for sql, values in zip(asked, ((1, clock.now(), 4), (1, clock.now(), 0), (1,)), strict=True):
            plan = "\n".join(str(line) for (line,) in await house.rows(f"EXPLAIN {sql}", *values))
            assert "Sort" not in plan, plan


async def test_of_a_large_backlog_a_command_skips_the_beginning_and_tending_the_rest(
    tmp_path: Path, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "AT_ONCE", 2)
    async with open_house(tmp_path, empty_database, deliver="off") as house:
        await held(house, 7)
        assert (await house.rest("PUT", "/webhooks/1", {"status": "disabled"})).status_code == 200
        assert (await statuses(house))["skipped"] == 2
    async with open_house(tmp_path, empty_database) as house:
        await until_settled(house)
        assert await statuses(house) == {"skipped": 8}


async def test_what_was_not_skipped_yet_is_sent_when_the_webhook_is_enabled_again(
    tmp_path: Path, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "AT_ONCE", 2)
    async with receiving() as receiver, open_house(tmp_path, empty_database, deliver="off") as house:
        await held(house, 7)
        assert (await house.rest("PUT", "/webhooks/1", {"status": "disabled"})).status_code == 200
        await house.a_client()
        body = {"status": "active", "url": receiver.url}
        assert (await house.rest("PUT", "/webhooks/1", body)).status_code == 200
        assert set(await statuses(house)) == {"pending"}
        async with open_house(tmp_path, empty_database) as sending:
            await until_settled(sending)
    assert Counter(receiver.ids.values()) == {1: 9}


@on_postgres
@pytest.mark.parametrize("asked", [("POST", "/recover", {"since": "2020-01-01"}), ("PUT", "", {"status": "active"})])
async def test_events_of_all_others_are_numbered_while_a_webhook_recovers(
    house: House, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, str, Any]
) -> None:
    begun = asyncio.Event()
    recover = recovery.recover

    async def slowly(*given: Any) -> int:
        first = not begun.is_set()
        begun.set()
        if first:
            await asyncio.sleep(2.5)
        return await recover(*given)

    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await house.a_client()
        await until_attempts(house, 1)
        if asked[0] == "PUT":
            assert (await house.rest("PUT", "/webhooks/1", {"status": "disabled"})).status_code == 200
        monkeypatch.setattr(recovery, "recover", slowly)
        method, path, body = asked
        recovering = asyncio.create_task(house.rest(method, f"/webhooks/1{path}", body))
        await begun.wait()
        receiver.mode = "ok"
        await house.a_client()
        async with asyncio.timeout(1.5):
            while await house.rows("SELECT 1 FROM events WHERE sequence IS NULL"):
                await asyncio.sleep(0.02)
        assert not recovering.done()
        assert (await recovering).status_code == 200
        await until_settled(house)
    assert set(await statuses(house)) == {"delivered"}
