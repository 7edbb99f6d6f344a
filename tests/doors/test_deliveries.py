"""Deliveries through both doors: what was sent and what came of it, and what staff may have sent again."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from arcbilling import clock
from tests.conftest import House
from tests.doors.test_rest_errors import error_of
from tests.doors.undelivered import house, numbered

pytestmark = pytest.mark.anyio
__all__ = ["house"]

MEMBERS = {"id", "event_id", "event", "status", "attempts", "next_attempt_at", "response_status", "created_at"}
TRIED = {"trigger", "started_at", "milliseconds", "response_status", "error", "address", "answer"}


async def a_delivery(house: House) -> None:
    """Delivery 1: a client's creation for webhook 1."""
    await house.a_webhook(events=["client.created"])
    await house.a_client()
    await numbered(house)


async def tried(house: House, delivery: int, number: int, answer: str | None = "No") -> None:
    """Attempts at a delivery, as the dispatcher writes them down."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for place in range(number):
        await house.write(
            "INSERT INTO delivery_attempts (delivery_id, trigger, started_at, milliseconds, response_status, error, "
            "address, answer) VALUES (?, 'auto', ?, ?, 500, 'It answered 500.', '127.0.0.1', ?)",
            delivery,
            at + timedelta(seconds=place),
            place,
            answer,
        )


async def finished(house: House, status: str) -> None:
    done = "UPDATE deliveries SET status = ?, attempts = 10, due_at = NULL, finished_at = ?, response_status = 500"
    await house.write(done, status, clock.now())


async def row(house: House) -> tuple[Any, ...]:
    columns = "status, trigger, attempts, lease, finished_at"
    return (await house.rows(f"SELECT {columns} FROM deliveries ORDER BY id"))[0]


# What is shown


async def test_a_delivery_is_shown_with_its_attempts(house: House) -> None:
    await a_delivery(house)
    await tried(house, 1, 2)
    data = (await house.rest("GET", "/deliveries/1")).json()["data"]
    assert set(data) == MEMBERS | {"attempt_log"}
    ((event_id,),) = await house.rows("SELECT public_id FROM events")
    assert (data["id"], data["event_id"], data["event"], data["status"]) == (1, event_id, "client.created", "pending")
    assert (data["attempts"], data["response_status"]) == (0, None)
    assert data["next_attempt_at"].endswith("Z")
    assert data["attempt_log"][1] == {
        "trigger": "auto",
        "started_at": "2026-01-01T00:00:01Z",
        "milliseconds": 1,
        "response_status": 500,
        "error": "It answered 500.",
        "address": "127.0.0.1",
        "answer": "No",
    }
    assert set(data["attempt_log"][0]) == TRIED


async def test_the_deliveries_of_a_webhook_are_listed_and_filtered(house: House) -> None:
    await a_delivery(house)
    await house.a_webhook(events=["client.created"])
    await house.a_client()
    await numbered(house)
    await house.made("/webhooks/1/test")
    await house.write("UPDATE deliveries SET status = 'failed', due_at = NULL WHERE id = 1")
    for query, expected in (
        ("", [1, 2, 4]),
        ("?sort=-id", [4, 2, 1]),
        ("?status=failed", [1]),
        ("?event=client.created", [1, 2]),
        ("?event=webhook.test", [4]),
        ("?event=invoice.paid", []),
        ("?created_from=2999-01-01", []),
        ("?status=pending&event=client.created&total=true", [2]),
    ):
        listed = (await house.rest("GET", f"/webhooks/1/deliveries{query}")).json()
        found = (await house.rows("SELECT max(id) FROM deliveries"))[0][0]
        assert [one["id"] for one in listed["data"]] == [min(id, found) for id in expected], query
        assert all(set(one) == MEMBERS for one in listed["data"])
    assert listed["meta"]["total"] == 1
    for query, field in (
        ("?status=lost", "status"),
        ("?event=lost", "event"),
        ("?webhook_id=2", "webhook_id"),
        ("?sort=created_at", "sort"),
        ("?colour=red", "colour"),
    ):
        error = error_of(await house.rest("GET", f"/webhooks/1/deliveries{query}"), 400, "VALIDATION_ERROR")
        assert list(error["fields"]) == [field]
    error = error_of(await house.rest("GET", "/webhooks/9/deliveries"), 404, "NOT_FOUND")
    assert error["message"] == "Webhook 9 does not exist."


async def test_pages_of_a_webhooks_deliveries_follow_each_other(house: House) -> None:
    await house.a_webhook()
    for _ in range(5):
        await house.made("/webhooks/1/test")
    path, seen = "/webhooks/1/deliveries?per_page=2", []
    while path:
        answer = await house.rest("GET", path)
        seen += [one["id"] for one in answer.json()["data"]]
        link = answer.headers.get("link", "")
        assert not link or link.startswith("</api/v1/webhooks/1/deliveries?per_page=2&cursor=")
        path = link[1 : link.index(">")].removeprefix("/api/v1") if link else ""
    assert seen == [1, 2, 3, 4, 5]


async def test_only_the_last_fifty_attempts_are_shown(house: House) -> None:
    await a_delivery(house)
    await tried(house, 1, 60)
    shown = (await house.rest("GET", "/deliveries/1")).json()["data"]["attempt_log"]
    assert [one["milliseconds"] for one in shown] == list(range(10, 60))


async def test_answers_of_endpoints_are_held_within_bounds(house: House) -> None:
    await a_delivery(house)
    await house.made("/webhooks/1/test")
    others = (await house.rows("SELECT max(id) FROM deliveries"))[0][0]
    for delivery in (1, others):
        await tried(house, delivery, 55, "x" * 100_000)
    one = await house.data("{ delivery(id: 1) { attemptLog { milliseconds answer } } }")
    assert len(one["delivery"]["attemptLog"]) == 50
    (error,) = (await house.graphql("{ deliveries { nodes { attemptLog { answer } } } }"))["errors"][:1]
    assert "bytes of text" in error["message"]


async def test_the_payload_is_for_those_who_may_read_its_object(house: House) -> None:
    await a_delivery(house)
    query = "{ delivery(id: 1) { payload } }"
    payload = (await house.data(query))["delivery"]["payload"]
    ((stored,),) = await house.rows("SELECT payload FROM events")
    assert payload == json.loads(stored)
    assert payload["event"] == "client.created"
    for scopes, lacking in (
        (["webhooks:read"], "events:read"),
        (["webhooks:read", "events:read"], "clients:read"),
        (["webhooks:read", "events:read", "invoices:read"], "clients:read"),
    ):
        (error,) = (await house.graphql(query, key=await house.new_key(*scopes)))["errors"]
        assert (error["extensions"]["code"], lacking in error["message"]) == ("FORBIDDEN", True)
    key = await house.new_key("webhooks:read", "events:read", "clients:read")
    assert (await house.data(query, key=key))["delivery"]["payload"] == payload
    await house.write("DELETE FROM events")
    assert (await house.data(query))["delivery"]["payload"] is None


async def test_what_endpoints_answered_about_a_client_goes_with_the_client(house: House) -> None:
    await a_delivery(house)
    await house.made("/webhooks/1/test")
    for (delivery,) in await house.rows("SELECT id FROM deliveries"):
        await tried(house, delivery, 1, "Thanks, Ada")
    await house.rest("DELETE", "/clients/1")
    kept = "SELECT event, answer FROM delivery_attempts JOIN deliveries ON deliveries.id = delivery_id ORDER BY event"
    assert await house.rows(kept) == [("client.created", None), ("webhook.test", "Thanks, Ada")]
    shown = (await house.data("{ delivery(id: 1) { payload attemptLog { answer } } }"))["delivery"]
    assert "Ada" not in str(shown)


# Tests


async def test_a_test_is_queued_for_the_one_webhook_whatever_it_asked_for(house: House) -> None:
    await house.a_webhook(events=["*"])
    await house.a_webhook(events=["invoice.paid"])
    data = await house.made("/webhooks/2/test")
    assert set(data) == MEMBERS
    assert (data["event"], data["status"], data["attempts"]) == ("webhook.test", "pending", 0)
    shown = (await house.data("{ deliveries { nodes { eventId webhookId payload webhook { id } } } }"))["deliveries"]
    (one,) = shown["nodes"]
    assert (one["webhookId"], one["webhook"]) == ("whk_2", {"id": "whk_2"})
    assert set(one["payload"]) == {"data", "event", "timestamp"}
    assert (one["payload"]["data"], one["payload"]["event"]) == ({"id": 2}, "webhook.test")
    assert one["eventId"] == data["event_id"] != (await house.made("/webhooks/2/test"))["event_id"]
    assert await house.events() == []
    await house.rest("PUT", "/webhooks/2", {"status": "disabled"})
    error = error_of(await house.rest("POST", "/webhooks/2/test"), 400, "VALIDATION_ERROR")
    assert error["message"].startswith("Webhook 2 is disabled and gets nothing.")


# Again


@pytest.mark.parametrize("status", ["delivered", "failed", "skipped"])
async def test_a_finished_delivery_is_made_again_as_the_same_message(house: House, status: str) -> None:
    await a_delivery(house)
    await finished(house, status)
    before = (await house.rest("GET", "/deliveries/1")).json()["data"]
    assert (before["status"], before["next_attempt_at"]) == (status, None)
    after = (await house.rest("POST", "/deliveries/1/redeliver")).json()["data"]
    assert (after["status"], after["attempts"], after["event_id"]) == ("pending", 0, before["event_id"])
    assert await row(house) == ("pending", "manual", 0, None, None)
    assert await house.rows("SELECT count(*) FROM deliveries") == [(1,)]


async def test_a_delivery_that_waits_is_due_at_once_and_keeps_its_count(house: House) -> None:
    await a_delivery(house)
    await house.write("UPDATE deliveries SET attempts = 4, due_at = ?", clock.now() + timedelta(hours=5))
    after = await house.data("mutation { deliveryRedeliver(id: 1) { status attempts nextAttemptAt } }")
    due = datetime.fromisoformat(after["deliveryRedeliver"]["nextAttemptAt"])
    assert due <= clock.now()
    assert await row(house) == ("pending", "manual", 4, None, None)


async def test_a_delivery_that_is_being_made_is_left_as_it_is(house: House) -> None:
    await a_delivery(house)
    await house.write("UPDATE deliveries SET attempts = 1, lease = 'mine'")
    after = await house.data("mutation { deliveryRedeliver(id: 1) { status nextAttemptAt } }")
    assert after == {"deliveryRedeliver": {"status": "PENDING", "nextAttemptAt": None}}
    assert await row(house) == ("pending", "auto", 1, "mine", None)


async def test_what_cannot_be_made_again_is_refused_with_the_reason(house: House) -> None:
    await a_delivery(house)
    await house.write("DELETE FROM events")
    error = error_of(await house.rest("POST", "/deliveries/1/redeliver"), 400, "VALIDATION_ERROR")
    assert error["message"].endswith("is no longer kept, so it cannot be sent again.")
    await house.rest("PUT", "/webhooks/1", {"status": "disabled"})
    error = error_of(await house.rest("POST", "/deliveries/1/redeliver"), 400, "VALIDATION_ERROR")
    assert error["message"].startswith("Webhook 1 is disabled and gets nothing. Enable it first")
    await house.rest("DELETE", "/webhooks/1")
    error = error_of(await house.rest("POST", "/deliveries/1/redeliver"), 400, "VALIDATION_ERROR")
    assert error["message"] == "The webhook of delivery 1 is deleted, so it cannot be delivered again."
    error_of(await house.rest("POST", "/deliveries/999/redeliver"), 404, "NOT_FOUND")
