"""What the dispatcher sends, to whom, how often and in which order."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from arcbilling import clock
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase, on_postgres
from tests.reliability.receiver import Mode, Received, receiving
from tests.webhooks.arranged import (
    a_webhook,
    attempts,
    circuit,
    deliveries,
    until,
    until_attempts,
    until_settled,
)
from webhooks.signing import signed_body, verify_body, verify_header

pytestmark = pytest.mark.anyio


async def renamed(house: House, client_id: int, name: str) -> Any:
    return await house.rest("PUT", f"/clients/{client_id}", {"first_name": name})


async def test_an_event_arrives_once_and_signed(house: House) -> None:
    async with receiving() as receiver:
        webhook = await a_webhook(house, receiver)
        client = await house.a_client()
        await receiver.until_accepted(1)
        await until_settled(house)
    (one,) = receiver.received
    ((id, payload),) = await house.rows("SELECT public_id, payload FROM events")
    assert one.id == id
    assert one.body == signed_body(payload.encode(), webhook["secret"])
    assert one.json["event"] == "client.created"
    assert one.json["data"] == client
    assert await deliveries(house) == [("delivered", 1, "auto")]
    ((status, error, address, answer),) = await attempts(house, "response_status, error, address, answer")
    assert (status, error, address, answer) == (200, None, "127.0.0.1", "ok")


async def test_only_what_an_endpoint_asked_for_is_sent(house: House) -> None:
    async with receiving() as one, receiving() as other:
        await a_webhook(house, one, "invoice.created")
        await a_webhook(house, other, "invoice.created", "client.created")
        await house.an_invoice()
        await until_settled(house)
    assert [each.json["event"] for each in one.received] == ["invoice.created"]
    assert [each.json["event"] for each in other.received] == ["client.created", "invoice.created"]


async def test_nothing_is_sent_where_others_deliver(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with receiving() as receiver, open_house(tmp_path, empty_database, deliver="off") as house:
        await a_webhook(house, receiver)
        await house.a_client()
        await until(lambda: queued(house))
        assert "dispatcher" not in {loop.name for loop in house.app.loops}
    assert receiver.connections == 0


async def queued(house: House) -> bool:
    return await deliveries(house, "status") == [("pending",)]


async def test_a_failed_attempt_is_made_again_with_the_same_id_and_bytes(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    def mode(_: Received) -> Mode:
        return "500" if len(receiver.received) < 3 else "ok"

    async with receiving(mode) as receiver, open_house(tmp_path, empty_database, time_scale="1000") as house:
        await a_webhook(house, receiver)
        await house.a_client()
        await receiver.until_accepted(1)
        await until_settled(house)
        assert await deliveries(house) == [("delivered", 3, "auto")]
        assert await attempts(house) == [
            ("auto", 500, "The answer was 500."),
            ("auto", 500, "The answer was 500."),
            ("auto", 200, None),
        ]
        assert await circuit(house) == ("closed", 0)
    assert len(receiver.received) == 3
    assert len({(one.id, one.body) for one in receiver.received}) == 1


async def test_the_next_attempt_waits_as_long_as_the_endpoint_asks_for(house: House) -> None:
    async with receiving("503", retry_after="7200") as receiver:
        await a_webhook(house, receiver)
        await house.a_client()
        await until_attempts(house, 1)
    ((due,),) = await deliveries(house, "due_at")
    due_at = (house.engine.database.decoder(datetime) or (lambda value: value))(due)
    assert timedelta(seconds=7100) < due_at - clock.now() <= timedelta(seconds=7200)


async def test_a_redirect_is_not_followed(house: House) -> None:
    async with receiving() as canary, receiving("redirect", location=canary.url) as receiver:
        await a_webhook(house, receiver)
        await house.a_client()
        await until_attempts(house, 1)
        assert await attempts(house) == [("auto", 302, "The answer was 302.")]
    assert canary.connections == 0


async def test_an_endpoint_that_is_gone_is_disabled_at_once(house: House) -> None:
    async with receiving("410") as receiver, receiving() as other:
        await a_webhook(house, receiver)
        await a_webhook(house, other, "webhook.disabled")
        for _ in range(10):
            await house.a_client()
        await other.until_accepted(1)
        await until_settled(house)
    assert 1 <= len(receiver.received) <= 4
    (one,) = other.received
    assert (one.json["event"], one.json["data"]["status"]) == ("webhook.disabled", "disabled")
    assert await house.rows("SELECT status, disabled_reason FROM webhooks ORDER BY id") == [
        ("disabled", "gone"),
        ("active", None),
    ]
    assert Counter(status for (status,) in await deliveries(house, "status")) == {"skipped": 11, "delivered": 1}


async def test_an_address_that_is_not_public_is_never_dialled(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    """It was admitted when the endpoint was made, and is not any more."""
    async with receiving() as canary:
        async with open_house(tmp_path, empty_database) as house:
            await a_webhook(house, canary.url.replace("http:", "https:"))
        async with open_house(tmp_path, empty_database, webhook_allow_nets="") as house:
            await house.a_client()
            await until_attempts(house, 1)
            assert await circuit(house) == ("open", 1)
            ((error, address),) = await attempts(house, "error, address")
    assert canary.connections == 0
    assert "127.0.0.1 is not a public address" in error
    assert address is None


# Order


async def test_an_objects_events_arrive_in_order_though_one_fails(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    def mode(one: Received) -> Mode:
        failing = one.json["event"] == "client.created" and one.json["data"]["id"] == 1
        return "500" if failing and len(receiver.received) < 6 else "ok"

    async with receiving(mode) as receiver, open_house(tmp_path, empty_database, time_scale="500") as house:
        await a_webhook(house, receiver)
        for number in (1, 2, 3):
            await house.a_client()
            await renamed(house, number, "Grace")
            await renamed(house, number, "Hedy")
        await until_settled(house)
    told = defaultdict(list)
    for one in receiver.accepted:
        told[one.object].append((one.json["event"], one.json["data"]["first_name"]))
    in_order = [("client.created", "Ada"), ("client.updated", "Grace"), ("client.updated", "Hedy")]
    assert told == {("client", number): in_order for number in (1, 2, 3)}


async def test_an_object_whose_event_has_failed_three_times_goes_on(house: House) -> None:
    async with receiving(lambda one: "400" if one.json["event"] == "client.created" else "ok") as receiver:
        await a_webhook(house, receiver)
        await house.a_client()
        await until_attempts(house, 1)
        await house.write("UPDATE deliveries SET attempts = 3")
        await renamed(house, 1, "Grace")
        await receiver.until_accepted(1)
    assert [one.json["event"] for one in receiver.accepted] == ["client.updated"]


# Processes that end


async def test_an_outcome_that_comes_too_late_changes_nothing(house: House) -> None:
    async with receiving("slow", seconds=0.6) as receiver:
        await a_webhook(house, receiver)
        await house.a_client()
        await receiver.until(lambda: len(receiver.received) == 1)
        later = clock.now() + timedelta(hours=1)
        await house.write("UPDATE deliveries SET lease = 'another', due_at = ?", later)
        await receiver.until_accepted(1)
        await house.a_client()  # whose delivery is written down after that of the first
        await until(lambda: is_delivered(house, 2))
    assert await deliveries(house, "status, lease") == [("pending", "another"), ("delivered", None)]
    assert len(await attempts(house)) == 1


async def is_delivered(house: House, id: int) -> bool:
    return await house.rows(f"SELECT status FROM deliveries WHERE id = {id}") == [("delivered",)]


async def test_what_a_process_was_at_when_it_ended_is_sent_again(house: House) -> None:
    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await house.a_client()
        await until_attempts(house, 1)
        receiver.mode = "ok"
        await house.write("UPDATE deliveries SET lease = 'lost', due_at = ?, attempts = 2", clock.now())
        await until_settled(house)
    assert await deliveries(house) == [("delivered", 3, "auto")]
    assert await attempts(house) == [
        ("auto", 400, "The answer was 400."),
        ("auto", None, "The process that sent it ended before an answer was known."),
        ("auto", 200, None),
    ]
    assert len({(one.id, one.body) for one in receiver.received}) == 1


async def test_a_process_that_stops_finishes_what_it_is_at(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with receiving("slow", seconds=0.7) as receiver:
        async with open_house(tmp_path, empty_database) as house:
            await a_webhook(house, receiver)
            await house.a_client()
            await receiver.until(lambda: len(receiver.received) == 1)
        async with open_house(tmp_path, empty_database, deliver="off") as house:
            assert await deliveries(house, "status, attempts, lease") == [("delivered", 1, None)]
    assert len(receiver.accepted) == 1


@on_postgres
async def test_two_processes_deliver_each_event_once(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with (
        receiving("slow", seconds=0.01) as receiver,
        open_house(tmp_path, empty_database) as one,
        open_house(tmp_path, empty_database) as other,
    ):
        await a_webhook(one, receiver)
        for number in range(60):
            await (one, other)[number % 2].a_client(email=f"ada{number}@shop.test")
        await receiver.until_accepted(60)
        await until_settled(one)
    assert len(receiver.received) == len(receiver.ids) == 60


# Rotation


async def test_after_a_rotation_both_secrets_sign(house: House) -> None:
    async with receiving() as receiver:
        webhook = await a_webhook(house, receiver)
        await house.a_client()
        await receiver.until_accepted(1)
        rotated = await house.made(f"/webhooks/{webhook['id']}/rotate")
        await house.a_client()
        await receiver.until_accepted(2)
        await house.write("UPDATE webhooks SET previous_until = ?", clock.now())
        await house.a_client()
        await receiver.until_accepted(3)
    secrets = [webhook["secret"], rotated["secret"]]
    first, second, third = receiver.received
    verify_body(first.body, secrets[0])
    for one in (second, third):
        verify_body(one.body, secrets[1])
    for one, signing in ((first, secrets[:1]), (second, secrets), (third, secrets[1:])):
        signatures = one.headers["webhook-signature"]
        assert len(signatures.split(" ")) == len(signing)
        for secret in signing:
            stamp = one.headers["webhook-timestamp"]
            verify_header(one.body, one.id, stamp, signatures, secret, int(stamp))
