"""Webhooks over REST: the same as over GraphQL, in the forms of the contract."""

from typing import Any

import pytest

from tests.conftest import NO_RECEIVER, House
from tests.doors.test_rest_errors import error_of
from tests.doors.undelivered import house, numbered

pytestmark = pytest.mark.anyio
__all__ = ["house"]

MEMBERS = {"id", "url", "events", "description", "status", "created_at"}


async def test_a_webhook_is_created_with_its_location_and_its_secret(house: House) -> None:
    body = {"url": "https://example.com/hooks", "events": ["invoice.paid"], "description": "D"}
    answer = await house.rest("POST", "/webhooks", body)
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/webhooks/1")
    data = answer.json()["data"]
    assert set(data) == MEMBERS | {"secret"}
    assert data | body == data
    assert (data["id"], data["status"]) == (1, "active")
    shown = (await house.rest("GET", "/webhooks/1")).json()["data"]
    assert shown == {name: value for name, value in data.items() if name != "secret"}
    listed = (await house.rest("GET", "/webhooks?status=active&sort=-created_at&total=true")).json()
    assert (listed["data"], listed["meta"]["total"]) == ([shown], 1)
    assert (await house.rest("GET", "/webhooks?status=disabled")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "url", "The url field is required."),
        ({"url": ""}, "url", "The url field is required."),
        ({"url": 5}, "url", "The url field must be a string."),
        ({"url": "ftp://example.com"}, "url", "no other scheme than https and http is sent to"),
        ({"url": "https://[v1.example]/"}, "url", "must be a URL such as"),
        ({"url": "https://8.8.8.8:993/"}, "url", "must not name port 993: of a public host only 80, 443 and 1024"),
        ({"url": NO_RECEIVER, "events": []}, "events", "The events field must have from 1 to 500 items."),
        ({"url": NO_RECEIVER, "events": "*"}, "events", "The events field must be an array."),
        ({"url": NO_RECEIVER, "events": ["x"]}, "events[0]", "must be * or one of: client.created"),
        ({"url": NO_RECEIVER, "secret": "whsec_"}, "secret", "The secret field is not known."),
        ({"url": NO_RECEIVER, "status": "disabled"}, "status", "The status field is not known."),
    ],
)
async def test_what_is_wrong_is_named(house: House, body: Any, field: str, words: str) -> None:
    error = error_of(await house.rest("POST", "/webhooks", body), 400, "VALIDATION_ERROR")
    assert list(error["fields"]) == [field]
    assert words in error["message"]
    assert await house.rows("SELECT 1 FROM webhooks") == []


async def test_an_update_takes_the_object_as_it_is_shown(house: House) -> None:
    await house.a_webhook()
    shown = (await house.rest("GET", "/webhooks/1")).json()["data"]
    assert (await house.rest("PUT", "/webhooks/1", shown)).json()["data"] == shown
    changed = (await house.rest("PUT", "/webhooks/1", shown | {"description": "D", "events": ["*"]})).json()["data"]
    assert changed == shown | {"description": "D", "events": ["*"]}
    assert (await house.rest("PUT", "/webhooks/1", {"description": ""})).json()["data"]["description"] is None
    error = error_of(await house.rest("PUT", "/webhooks/1", {"id": 2}), 400, "VALIDATION_ERROR")
    assert error["fields"] == {"id": "The id field cannot be changed."}
    error_of(await house.rest("PUT", "/webhooks/1", {"status": "gone"}), 400, "VALIDATION_ERROR")
    assert await house.events() == []


async def test_a_secret_is_in_the_answers_of_create_and_rotate_alone(house: House) -> None:
    first = (await house.a_webhook())["secret"]
    answer = await house.rest("POST", "/webhooks/1/rotate")
    assert (answer.status_code, set(answer.json()["data"])) == (200, MEMBERS | {"secret"})
    second = answer.json()["data"]["secret"]
    assert first != second
    for method, path, body in (
        ("GET", "/webhooks", None),
        ("GET", "/webhooks/1", None),
        ("PUT", "/webhooks/1", {"description": "D"}),
        ("POST", "/webhooks/1/test", None),
        ("POST", "/webhooks/1/recover", {"since": "2026-01-01"}),
        ("GET", "/webhooks/1/deliveries", None),
        ("GET", "/deliveries/1", None),
        ("GET", "/events", None),
        ("DELETE", "/webhooks/1", None),
    ):
        answer = await house.rest(method, path, body)
        assert answer.status_code == 200, answer.text
        assert "whsec_" not in answer.text, path


async def test_a_repeated_request_does_nothing_twice(house: House) -> None:
    keyed = {"headers": {"idempotency-key": "once"}}
    answers = [await house.rest("POST", "/webhooks", {"url": NO_RECEIVER}, **keyed) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[1].headers["location"] == "/api/v1/webhooks/1"
    for verb in ("test", "rotate"):
        keyed = {"headers": {"idempotency-key": verb}}
        answers = [await house.rest("POST", f"/webhooks/1/{verb}", **keyed) for _ in range(2)]
        assert answers[0].json() == answers[1].json()
        error_of(await house.rest("POST", f"/webhooks/2/{verb}", **keyed), 422, "VALIDATION_ERROR")
    assert await house.rows("SELECT count(*) FROM deliveries") == [(1,)]


async def test_recovery_answers_the_webhook_with_the_number_queued(house: House) -> None:
    await house.a_webhook(events=["client.created"])
    await house.a_client()
    await numbered(house)
    await house.write("UPDATE deliveries SET status = 'failed', due_at = NULL")
    answer = await house.rest("POST", "/webhooks/1/recover", {"since": "2020-01-01T00:00:00Z"})
    assert answer.status_code == 200
    assert set(answer.json()["data"]) == MEMBERS | {"queued"}
    assert answer.json()["data"]["queued"] == 1
    error = error_of(await house.rest("POST", "/webhooks/1/recover"), 400, "VALIDATION_ERROR")
    assert error["fields"] == {"since": "The since field is required."}
    error = error_of(await house.rest("POST", "/webhooks/1/recover", {"since": 1736942400}), 400, "VALIDATION_ERROR")
    assert error["fields"] == {"since": "The since field must be a string."}


async def test_a_deleted_webhook_is_nowhere(house: House) -> None:
    await house.a_webhook()
    answer = await house.rest("DELETE", "/webhooks/1")
    assert (answer.status_code, answer.json()["data"]) == (200, {"id": 1, "deleted": True})
    for method, path in (
        ("GET", "/webhooks/1"),
        ("PUT", "/webhooks/1"),
        ("DELETE", "/webhooks/1"),
        ("POST", "/webhooks/1/test"),
        ("POST", "/webhooks/1/rotate"),
        ("GET", "/webhooks/1/deliveries"),
    ):
        error = error_of(await house.rest(method, path), 404, "NOT_FOUND")
        assert error["message"] == "Webhook 1 does not exist."
    assert (await house.rest("GET", "/webhooks")).json()["data"] == []
