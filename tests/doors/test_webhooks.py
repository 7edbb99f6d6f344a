"""Webhooks over GraphQL: what staff set up, what is shown of it, what is queued for whom. Nothing is sent here."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from arcbilling import clock
from schema import webhooks as rules
from schema.events import CATALOGUE
from tests.conftest import NO_RECEIVER, House
from tests.doors.undelivered import (
    CREATE,
    UPDATE,
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


# What is set up


async def test_a_webhook_gets_the_eight_events_of_the_reference_unless_it_asks_for_others(house: House) -> None:
    eight = [name for name, event in CATALOGUE.items() if event.documented]
    assert len(eight) == 8
    assert (await created(house))["events"] == eight
    assert (await created(house, events=None))["events"] == eight
    assert (await created(house, events=["*"]))["events"] == ["*"]
    assert (await created(house, events=["*", "*"]))["events"] == ["*"]
    some = ["invoice.paid", "client.deleted", "invoice.paid", "webhook.disabled"]
    assert (await created(house, events=some))["events"] == ["invoice.paid", "client.deleted", "webhook.disabled"]


@pytest.mark.parametrize(
    ("events", "field", "words"),
    [
        ([], "events", "must have from 1 to 500 items"),
        (["*", "invoice.paid"], "events", "* alone"),
        (["invoice.paid", "invoice.lost"], "events[1]", "must be * or one of: client.created, "),
        (["webhook.test"], "events[0]", "must be * or one of: "),
        ([""], "events[0]", "is required"),
    ],
)
async def test_events_that_cannot_be_asked_for_are_refused(
    house: House, events: list[str], field: str, words: str
) -> None:
    error = await refused(house, CREATE, {"input": {"url": NO_RECEIVER, "events": events}})
    assert list(error["extensions"]["fields"]) == [field]
    assert words in error["message"]


async def test_every_member_that_is_wrong_is_named_at_once(house: House) -> None:
    given = {"url": "nonsense", "events": ["nonsense"], "description": "x" * 1001}
    error = await refused(house, CREATE, {"input": given})
    assert list(error["extensions"]["fields"]) == ["url", "events[0]", "description"]


async def test_a_url_that_leads_inside_is_refused_unless_the_operator_has_named_the_network(house: House) -> None:
    error = await refused(house, CREATE, {"input": {"url": "https://10.0.0.1/"}})
    assert error["message"] == (
        "The url field must lead to a public address: 10.0.0.1 is not a public address, and is in none of "
        "ARCBILLING_WEBHOOK_ALLOW_NETS."
    )
    webhook = await created(house)
    error = await refused(house, UPDATE, {"id": webhook["id"], "input": {"url": "https://169.254.169.254/latest"}})
    assert list(error["extensions"]["fields"]) == ["url"]


async def test_there_may_be_so_many_webhooks_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_WEBHOOKS", 2)
    first = await created(house)
    await created(house)
    error = await refused(house, CREATE, {"input": {"url": NO_RECEIVER}})
    assert error["message"] == "There are 2 webhooks, and there may be 2 at most. Delete one that is not used."
    await house.data("mutation($id: ID!) { webhookDelete(id: $id) { id deleted } }", {"id": first["id"]})
    await created(house)


async def test_a_change_that_changes_nothing_is_none(house: House) -> None:
    webhook = await created(house, events=["*"], description="D")
    rows = await house.rows("SELECT * FROM webhooks")
    await updated(house, webhook["id"])
    await updated(house, webhook["id"], url=NO_RECEIVER, events=["*"], description=" D ", status="ACTIVE", id="whk_1")
    assert await house.rows("SELECT * FROM webhooks") == rows
    assert await house.events() == []


async def test_a_change_leaves_what_is_not_given(house: House) -> None:
    id = (await created(house, events=["invoice.paid"], description="D"))["id"]
    changed = await updated(house, id, url="https://example.com/new")
    assert (changed["url"], changed["events"], changed["description"]) == (
        "https://example.com/new",
        ["invoice.paid"],
        "D",
    )
    assert (await updated(house, id, description=None))["description"] is None
    assert len((await updated(house, id, events=None))["events"]) == 8
    error = await refused(house, UPDATE, {"id": id, "input": {"id": "whk_2"}})
    assert error["message"] == "The id field cannot be changed."
    for name in ("url", "status"):
        error = await refused(house, UPDATE, {"id": id, "input": {name: None}})
        assert list(error["extensions"]["fields"]) == [name]


async def test_a_deleted_webhook_is_gone_and_has_no_secret_any_more(house: House) -> None:
    id = (await created(house, events=["*"]))["id"]
    await house.data("mutation($id: ID!) { webhookRotate(id: $id) { id } }", {"id": id})
    await house.a_client()
    assert await queue(house) == [("client.created", "pending")]
    delete = "mutation($id: ID!) { webhookDelete(id: $id) { id deleted } }"
    assert (await house.data(delete, {"id": id}))["webhookDelete"] == {"id": "whk_1", "deleted": True}
    ((secret, previous),) = await house.rows("SELECT secret, previous_secret FROM webhooks")
    assert (bytes(secret), previous) == (b"", None)
    assert await queue(house) == [("client.created", "skipped")]
    for document in ("{ webhook(id: 1) { id } }", '{ node(id: "whk_1") { id } }'):
        (error,) = (await house.graphql(document))["errors"]
        assert error["extensions"]["code"] == "NOT_FOUND"
    assert (await house.graphql(delete, {"id": id}))["errors"][0]["message"] == "Webhook 1 does not exist."
    shown = await house.data("{ webhooks { totalCount } delivery(id: 1) { status webhook { id } } }")
    assert shown == {"webhooks": {"totalCount": 0}, "delivery": {"status": "SKIPPED", "webhook": None}}
    await house.a_client()
    assert len(await queue(house)) == 1


# Who gets what


async def test_a_webhook_gets_exactly_the_events_that_are_committed_after_it(house: House) -> None:
    await house.a_client()
    await created(house, events=["*"])
    await house.a_client()
    await created(house, events=["invoice.created"])
    await house.an_invoice(1)
    assert await queue(house, "webhook_id, event, status, sequence") == [
        (1, "client.created", "pending", 2),
        (1, "invoice.created", "pending", 3),
        (2, "invoice.created", "pending", 3),
    ]


async def test_a_disabled_webhook_skips_what_comes_and_gets_it_when_it_is_enabled(house: House) -> None:
    id = (await created(house, events=["client.created"]))["id"]
    await house.a_client()
    await numbered(house)
    off = await updated(house, id, status="DISABLED")
    assert (off["status"], off["disabledReason"], off["queued"]) == ("DISABLED", "MANUAL", None)
    await house.a_client()
    assert await queue(house) == [("client.created", "skipped")] * 2
    assert (await updated(house, id, status="DISABLED"))["updatedAt"] == off["updatedAt"]
    on = await updated(house, id, status="ACTIVE")
    assert (on["status"], on["disabledReason"], on["queued"]) == ("ACTIVE", None, 2)
    assert await queue(house, "event, status, attempts, finished_at") == [("client.created", "pending", 0, None)] * 2


async def test_disabling_is_told_once_to_the_others(house: House) -> None:
    other = await created(house, events=["webhook.disabled"])
    id = (await created(house, description="Mine"))["id"]
    await updated(house, id, status="DISABLED")
    await updated(house, id, status="DISABLED")
    await updated(house, id, status="ACTIVE")
    assert await house.events() == ["webhook.disabled"]
    ((payload, type_, client),) = await house.rows("SELECT payload, object_type, client_id FROM events")
    told = json.loads(payload)["data"]
    assert (type_, client) == ("Webhook", None)
    assert {name: told[name] for name in ("id", "status", "description")} == {
        "id": 2,
        "status": "disabled",
        "description": "Mine",
    }
    assert set(told) == {"id", "url", "description", "status", "created_at"}
    assert await queue(house, "webhook_id, event") == [(int(other["id"][4:]), "webhook.disabled")]


async def test_what_is_being_tried_is_left_alone_when_the_webhook_is_disabled(house: House) -> None:
    id = (await created(house, events=["client.created"]))["id"]
    await house.a_client()
    await numbered(house)
    await house.write("UPDATE deliveries SET lease = 'mine'")
    await updated(house, id, status="DISABLED")
    assert await queue(house, "status, lease") == [("pending", "mine")]


async def test_enabling_queues_what_failed_while_the_endpoint_was_failing(house: House) -> None:
    id = (await created(house, events=["client.created"]))["id"]
    for _ in range(3):
        await house.a_client()
    await numbered(house)
    long_ago, lately = datetime(2026, 1, 1, tzinfo=UTC), clock.now() - timedelta(hours=1)
    for sequence, at in ((1, long_ago), (2, lately)):
        done = (
            "UPDATE deliveries SET status = 'failed', due_at = NULL, attempts = 10, finished_at = ? WHERE sequence = ?"
        )
        await house.write(done, at, sequence)
    await house.write("UPDATE deliveries SET status = 'delivered', due_at = NULL WHERE sequence = 3")
    since = clock.now() - timedelta(hours=2)
    failing = "UPDATE webhook_circuits SET state = 'open', failures = 9, failing_since = ?, next_probe_at = ?"
    await house.write(failing, since, clock.now())
    await house.write("UPDATE webhooks SET status = 'disabled', disabled_reason = 'failing'")
    assert (await updated(house, id, status="ACTIVE"))["queued"] == 1
    assert await queue(house, "sequence, status, attempts") == [
        (1, "failed", 10),
        (2, "pending", 0),
        (3, "delivered", 0),
    ]
    shown = await house.data("{ webhook(id: 1) { circuit { state failures failingSince nextProbeAt } } }")
    assert shown["webhook"]["circuit"] == {
        "state": "CLOSED",
        "failures": 0,
        "failingSince": None,
        "nextProbeAt": None,
    }


async def test_with_another_url_what_waits_is_due_at_once(house: House) -> None:
    id = (await created(house, events=["client.created"]))["id"]
    await house.a_client()
    await numbered(house)
    await house.write("UPDATE deliveries SET attempts = 7, due_at = ?", clock.now() + timedelta(hours=10))
    await house.write("UPDATE webhook_circuits SET state = 'open', failures = 7, next_probe_at = ?", clock.now())
    await updated(house, id, url="http://127.0.0.1:9/elsewhere")
    ((attempts, due),) = await house.rows("SELECT attempts, due_at FROM deliveries")
    assert attempts == 0
    assert datetime.fromisoformat(str(due)) <= clock.now()
    assert await house.rows("SELECT state, failures FROM webhook_circuits") == [("closed", 0)]


# Secrets


async def test_a_secret_is_shown_when_it_is_made_and_never_again(house: House) -> None:
    first = await created(house, events=["*"])
    assert first["secret"].startswith("whsec_")
    rotate = "mutation($id: ID!) { webhookRotate(id: $id) { id secret previousSecretUntil } }"
    rotated = (await house.data(rotate, {"id": first["id"]}))["webhookRotate"]
    assert rotated["secret"] != first["secret"]
    until = datetime.fromisoformat(rotated["previousSecretUntil"])
    assert timedelta(hours=23, minutes=59) < until - clock.now() <= timedelta(hours=24)
    await updated(house, first["id"], description="D", status="DISABLED")
    assert (await updated(house, first["id"], status="ACTIVE"))["secret"] is None
    assert await recovered(house, first["id"], "2020-01-01") == 0
    shown = await house.data('{ webhook(id: 1) { secret } webhooks { nodes { secret } } node(id: "whk_1") { id } }')
    assert shown["webhook"]["secret"] is None
    assert shown["webhooks"]["nodes"] == [{"secret": None}]
    held = ""
    for table in ("webhooks", "events", "audit_entries", "deliveries", "idempotency_records"):
        held += str(await house.rows(f"SELECT * FROM {table}"))
    for secret in (first["secret"], rotated["secret"]):
        assert secret.removeprefix("whsec_") not in held
    ((sealed, previous),) = await house.rows("SELECT secret, previous_secret FROM webhooks")
    opened = [house.engine.vault.open(bytes(one), rules.SEALED).decode() for one in (sealed, previous)]
    assert opened == [rotated["secret"], first["secret"]]


async def test_the_secret_before_a_rotation_is_told_of_for_a_day(house: House) -> None:
    id = (await created(house))["id"]
    await house.data("mutation($id: ID!) { webhookRotate(id: $id) { id } }", {"id": id})
    with clock.at(clock.now() + timedelta(hours=24, seconds=1)):
        shown = await house.data("{ webhook(id: 1) { previousSecretUntil } }")
    assert shown == {"webhook": {"previousSecretUntil": None}}


async def test_a_repeated_creation_gives_the_same_secret_and_one_webhook(house: House) -> None:
    keyed = {"headers": {"idempotency-key": "once"}}
    answers = [await house.graphql(CREATE, {"input": {"url": NO_RECEIVER}}, **keyed) for _ in range(2)]
    assert answers[0] == answers[1]
    secret = answers[0]["data"]["webhookCreate"]["secret"]
    assert await house.rows("SELECT count(*) FROM webhooks") == [(1,)]
    assert secret.removeprefix("whsec_") not in str(await house.rows("SELECT * FROM idempotency_records"))


async def test_the_audit_trail_tells_what_changed_and_no_secret(house: House) -> None:
    id = (await created(house, events=["invoice.paid"]))["id"]
    await house.data("mutation($id: ID!) { webhookRotate(id: $id) { id } }", {"id": id})
    trail = await house.rows("SELECT action, changes FROM audit_entries WHERE object_type = 'webhooks' ORDER BY id")
    assert [action for action, _ in trail] == ["webhookCreate", "webhookRotate"]
    assert json.loads(trail[0][1])["events"] == [None, "invoice.paid"]
    assert json.loads(trail[1][1])["secret"] is None
