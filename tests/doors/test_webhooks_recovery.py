"""Recovery: what a webhook has missed since a time or an event is queued again, each under its own id."""

from datetime import UTC, datetime, timedelta

import pytest

from arcbilling import clock
from schema import recovery
from tests.conftest import House
from tests.doors.undelivered import (
    RECOVER,
    created,
    house,
    numbered,
    queue,
    recovered,
    refused,
    updated,
)

pytestmark = pytest.mark.anyio
__all__ = ["house"]


async def test_recovery_queues_what_failed_was_skipped_or_is_missing_and_nothing_that_arrived(house: House) -> None:
    id = (await created(house, events=["client.created"]))["id"]
    for _ in range(5):
        await house.a_client()
    await numbered(house)
    for sequence, status in ((1, "failed"), (2, "skipped"), (3, "delivered")):
        change = "UPDATE deliveries SET status = ?, due_at = NULL, attempts = 3, finished_at = ? WHERE sequence = ?"
        await house.write(change, status, clock.now(), sequence)
    await house.write("DELETE FROM deliveries WHERE sequence = 4")
    await house.write("UPDATE webhook_circuits SET state = 'open', next_probe_at = ?", clock.now() + timedelta(hours=1))
    ids = dict(await house.rows("SELECT sequence, message_id FROM deliveries"))
    assert await recovered(house, id, "2020-01-01T00:00:00Z") == 3
    assert await queue(house, "sequence, status, attempts, trigger") == [
        (1, "pending", 0, "auto"),
        (2, "pending", 0, "auto"),
        (3, "delivered", 3, "auto"),
        (4, "pending", 0, "auto"),
        (5, "pending", 0, "auto"),
    ]
    kept = dict(await house.rows("SELECT sequence, message_id FROM deliveries WHERE sequence <> 4"))
    assert kept == ids
    assert await house.rows(
        "SELECT count(*) FROM deliveries JOIN events ON public_id = message_id AND event_id = events.id"
    ) == [(5,)]
    ((probe,),) = await house.rows("SELECT next_probe_at FROM webhook_circuits")
    assert datetime.fromisoformat(str(probe)) <= clock.now()
    assert await recovered(house, id, "2020-01-01T00:00:00Z") == 0


async def test_recovery_begins_with_the_event_or_the_moment_that_is_named(house: House) -> None:
    id = (await created(house, events=["client.created"]))["id"]
    for _ in range(3):
        await house.a_client()
    await numbered(house)
    lost = "UPDATE deliveries SET status = 'failed', due_at = NULL"
    for sequence, day in ((1, 1), (2, 2), (3, 3)):
        await house.write(
            "UPDATE events SET created_at = ? WHERE sequence = ?", datetime(2026, 1, day, tzinfo=UTC), sequence
        )
    second = (await house.rows("SELECT public_id FROM events WHERE sequence = 2"))[0][0]
    for since, expected in (
        (second, 2),
        ("2026-01-02T00:00:00Z", 2),
        ("2026-01-02T00:00:01Z", 1),
        ("2026-01-02T01:00:00+01:00", 2),
        ("2026-01-03", 1),
        ("2026-01-04", 0),
        ("2999-01-01", 0),
        ("2025-01-01", 3),
    ):
        await house.write(lost)
        assert await recovered(house, id, since) == expected, since


async def test_recovery_is_part_by_part(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "AT_ONCE", 2)
    id = (await created(house, events=["client.created"]))["id"]
    for _ in range(5):
        await house.a_client()
    await numbered(house)
    await house.write("UPDATE deliveries SET status = 'failed', due_at = NULL")
    assert await recovered(house, id, "2020-01-01") == 5


async def test_recovery_gives_no_event_of_before_the_webhook_and_none_that_it_does_not_want(house: House) -> None:
    await house.a_client()
    id = (await created(house, events=["invoice.created"]))["id"]
    await house.a_client()
    assert await recovered(house, id, "2020-01-01") == 0
    await updated(house, id, events=["*"])
    assert await recovered(house, id, "2020-01-01") == 1
    await house.write("UPDATE deliveries SET status = 'failed', due_at = NULL")
    await updated(house, id, events=["invoice.paid"])
    assert await recovered(house, id, "2020-01-01") == 0
    assert await queue(house) == [("client.created", "failed")]


async def test_recovery_is_refused_where_it_makes_no_sense(house: House) -> None:
    id = (await created(house))["id"]
    for since in ("yesterday", "evt_01JHN5Z8Q0000000000000000A", "2026-02-30", "1736942400"):
        error = await refused(house, RECOVER, {"id": id, "since": since})
        assert list(error["extensions"]["fields"]) == ["since"]
        assert since in error["message"]
    await updated(house, id, status="DISABLED")
    error = await refused(house, RECOVER, {"id": id, "since": "2026-01-01"})
    assert error["extensions"]["reason"] == "INVALID_TRANSITION"
    assert error["message"].startswith("Webhook 1 is disabled and gets nothing. Enable it first")
