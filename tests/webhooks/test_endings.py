"""Processes that are killed or told to stop, and what is left of a client that was erased."""

import signal
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from arcbilling import clock
from tests.conftest import House
from tests.databases import EmptyDatabase, at, on_postgres, on_sqlite
from tests.reliability.receiver import receiving
from tests.reliability.served import Installation
from tests.webhooks.arranged import a_webhook, attempts, circuit, deliveries, until, until_attempts
from webhooks.sender import Sender

pytestmark = pytest.mark.anyio

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}
PENDING = "SELECT count(*) FROM deliveries WHERE status = 'pending'"


async def test_a_kill_between_send_and_note_gives_the_same_again(place: Installation) -> None:
    place.environment["ARCBILLING_WEBHOOK_ALLOW_NETS"] = "127.0.0.0/8"
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with receiving("hang") as receiver, httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
        async with place.serving() as process:
            answer = await http.post("/api/v1/webhooks", json={"url": receiver.url})
            assert answer.status_code == 201, answer.text
            assert (await http.post("/api/v1/clients", json=ADA)).status_code == 201
            await receiver.until(lambda: len(receiver.received) == 1)
            process.kill()
            await process.wait()
        receiver.mode = "ok"
        async with at(place.location) as database:
            transaction = await database.begin()
            await transaction.fetch("UPDATE deliveries SET due_at = ?", (clock.now(),))  # its lease runs out
            await transaction.commit()
        async with place.serving():
            await receiver.until_accepted(1)
    assert await place.rows("SELECT status, attempts FROM deliveries") == [("delivered", 2)]
    told = await place.rows("SELECT response_status, error FROM delivery_attempts ORDER BY id")
    assert told == [(None, "The process that sent it ended before an answer was known."), (200, None)]
    assert len(receiver.received) == 2
    assert len({(one.id, one.body) for one in receiver.received}) == 1


@on_sqlite
async def test_on_sqlite_a_worker_is_refused(place: Installation) -> None:
    code, out, err = await place.command("worker")
    assert (code, out) == (1, "")
    assert "On SQLite the process that serves does this work itself." in err


@on_postgres
async def test_workers_deliver_for_servers_that_do_not(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    settings = {name.upper(): value for name, value in (await empty_database.furnish(tmp_path)).items()}
    place = Installation(tmp_path, WEBHOOK_ALLOW_NETS="127.0.0.0/8", DELIVER="off", **settings)
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with (
        receiving("slow", seconds=0.3) as receiver,
        place.serving(),
        httpx2.AsyncClient(base_url=place.url, headers=headers) as http,
    ):
        workers = [await place.start("worker") for _ in range(2)]
        for worker in workers:
            assert worker.stderr is not None
            while b"the worker is at work" not in await worker.stderr.readline():
                assert worker.returncode is None
        assert (await http.post("/api/v1/webhooks", json={"url": receiver.url})).status_code == 201
        for number in range(6):
            answer = await http.post("/api/v1/clients", json=ADA | {"email": f"ada{number}@shop.test"})
            assert answer.status_code == 201, answer.text
        await receiver.until(lambda: len(receiver.received) >= 6, 60)
        for told, worker in zip((signal.SIGTERM, signal.SIGINT), workers, strict=True):
            worker.send_signal(told)
        for worker in workers:
            _, err = await worker.communicate()
            assert worker.returncode == 0, err.decode()
            assert b"the worker finishes what is under way" in err
    assert Counter(receiver.ids.values()) == {1: 6}
    assert len(receiver.received) == 6
    assert await place.rows(PENDING) == [(0,)], "what was under way was written down"


async def test_an_answer_that_comes_after_an_erasure_is_not_kept(house: House) -> None:
    async with receiving("slow", seconds=1.0) as receiver:
        await a_webhook(house, receiver, "client.created")
        await house.a_client()
        await receiver.until(lambda: len(receiver.received) == 1)
        assert (await house.rest("DELETE", "/clients/1")).status_code == 200
        await until_attempts(house, 1)
    assert await attempts(house, "response_status, answer") == [(200, None)]


async def test_what_was_answered_goes_with_the_client(house: House) -> None:
    async with receiving() as receiver:
        await a_webhook(house, receiver, "client.created")
        await house.a_client()
        await house.a_client()
        await until_attempts(house, 2)
        assert (await house.rest("DELETE", "/clients/1")).status_code == 200
    assert await attempts(house, "answer") == [(None,), ("ok",)]


async def test_what_waits_is_sent_without_what_was_erased(house: House) -> None:
    async with receiving("400") as receiver:
        await a_webhook(house, receiver, "client.created")
        await house.a_client(first_name="Plantedname")
        await until_attempts(house, 1)
        assert (await house.rest("DELETE", "/clients/1")).status_code == 200
        receiver.mode = "ok"
        await house.write("UPDATE deliveries SET due_at = ?", clock.now())
        await receiver.until_accepted(1)
    (one,) = receiver.accepted
    assert one.json["data"]["first_name"] is None


async def test_a_delivery_whose_event_is_gone_has_failed_and_says_nothing_of_its_endpoint(house: House) -> None:
    """It was queued again while its event was removed for its age."""
    async with receiving("400") as receiver:
        await a_webhook(house, receiver)
        await house.a_client()
        await until_attempts(house, 1)
        await house.write("DELETE FROM events")
        await house.write("UPDATE deliveries SET due_at = ?", clock.now())
        await until_attempts(house, 2)
    assert await deliveries(house) == [("failed", 2, "auto")]
    assert (await attempts(house))[1] == ("auto", None, "The event is not kept any more.")
    assert await circuit(house) == ("closed", 1)
    assert len(receiver.received) == 1


async def test_an_attempt_that_fails_by_itself_is_one_of_the_ten(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else it would be made again, uncounted, each time its lease runs out."""

    async def broken(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(Sender, "send", broken)
    await a_webhook(house, "http://127.0.0.1:9/")
    await house.a_client()
    await until_attempts(house, 1)
    error = "It could not be sent for an internal error, which the server's log tells of."
    assert await attempts(house) == [("auto", None, error)]
    assert await deliveries(house, "status, attempts, lease") == [("pending", 1, None)]
    assert "planted" in caplog.text


async def test_the_metrics_tell_of_deliveries(house: House) -> None:
    async def shown(line: str) -> bool:
        async with house.http("") as http:
            return line in (await http.get("/metrics")).text.splitlines()

    async with receiving("400") as receiver:
        await a_webhook(house, receiver, "client.created")
        await house.a_client()
        await until_attempts(house, 1)
        await until(lambda: shown('arcbilling_delivery_attempts_total{outcome="retried"} 1.0'))
        receiver.mode = "ok"
        await house.write("UPDATE deliveries SET due_at = ?", clock.now())
        await receiver.until_accepted(1)
        await until(lambda: shown('arcbilling_delivery_attempts_total{outcome="delivered"} 1.0'))
        await until(lambda: shown("arcbilling_deliveries_due 0.0"))
