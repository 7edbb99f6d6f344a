"""`listen` and `trigger`: what whoever builds a receiver starts in a terminal."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from schema.events import CATALOGUE
from tests.databases import on_sqlite
from tests.reliability.receiver import Receiver, receiving
from tests.reliability.served import Installation
from webhooks.signing import verify_body, verify_header

pytestmark = pytest.mark.anyio

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}


@asynccontextmanager
async def asking(place: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    """A server, and a client with a key for it."""
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with place.serving(), httpx2.AsyncClient(base_url=place.url, headers=headers, timeout=30) as http:
        yield http


async def made(http: httpx2.AsyncClient, path: str, body: Any) -> Any:
    answer = await http.post(f"/api/v1{path}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


def check(receiver: Receiver, secret: str) -> None:
    """Each that came is signed with the secret."""
    for one in receiver.received:
        verify_body(one.body, secret)
        timestamp, signature = one.headers["webhook-timestamp"], one.headers["webhook-signature"]
        verify_header(one.body, one.id, timestamp, signature, secret, int(one.at))


async def test_listen_forwards_events_as_they_come_and_says_how_each_was_answered(place: Installation) -> None:
    async with receiving() as receiver, asking(place) as http:
        client = await made(http, "/clients", ADA)
        listening = await place.start("listen", "--forward", receiver.url, "--events", "invoice.created,invoice.paid")
        assert listening.stdout is not None
        assert listening.stderr is not None
        async with asyncio.timeout(60):
            secret = (await listening.stdout.readline()).decode().strip()
            assert secret.startswith("whsec_")
            told: list[list[str]] = []
            reading = asyncio.create_task(_lines(listening.stdout, told))
            items = [{"description": "Hosting", "amount": "1.00"}]
            body = {"client_id": client["id"], "due_date": "2030-01-31", "items": items}
            invoice = await made(http, "/invoices", body)  # it listens from the moment at which it tells the secret
            while not told:
                await asyncio.sleep(0.05)
            receiver.mode = "500"
            await http.post(f"/api/v1/invoices/{invoice['id']}/pay")
            await http.put(f"/api/v1/clients/{client['id']}", json={"city": "London"})
            while told[-1][1] != "invoice.paid":
                await asyncio.sleep(0.05)
            listening.send_signal(signal.SIGINT)
            err = await listening.stderr.read()
            await reading
            assert await listening.wait() == 0, err.decode()
    assert "Traceback" not in err.decode()
    assert [name for _, name, *_ in told] == ["invoice.created", "invoice.paid"]
    assert told[-1][2:] == [f"inv_{invoice['id']}", "500"]
    assert {answer for *_, answer in told[:-1]} == {"200"}
    assert [one.json["event"] for one in receiver.received] == [name for _, name, *_ in told]
    check(receiver, secret)


async def test_listen_ends_quietly_when_nobody_reads_what_it_prints(place: Installation) -> None:
    async with receiving() as receiver, asking(place) as http:
        reader, writer = os.pipe()
        listening = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "arcbilling", "listen", "--forward", receiver.url),
            env=place.environment,
            stdout=writer,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(writer)
        async with asyncio.timeout(60):
            assert (await asyncio.to_thread(os.read, reader, 100)).startswith(b"whsec_")
            os.close(reader)
            await made(http, "/clients", ADA)
            _, err = await listening.communicate()
    assert listening.returncode == 1
    assert len(err.decode().splitlines()) == 1, "what it said at first, and no word of the database"


async def _lines(stream: asyncio.StreamReader, told: list[list[str]]) -> None:
    while line := await stream.readline():
        told.append(line.decode().rstrip("\n").split("\t"))


async def test_trigger_sends_a_sample_to_every_webhook_that_wants_it(place: Installation) -> None:
    place.environment["ARCBILLING_WEBHOOK_ALLOW_NETS"] = "127.0.0.0/8"
    async with receiving() as wanting, receiving() as other, asking(place) as http:
        hook = await made(http, "/webhooks", {"url": wanting.url, "events": ["invoice.paid"]})
        await made(http, "/webhooks", {"url": other.url, "events": ["ticket.opened"]})
        code, out, err = await place.command("trigger", "invoice.paid")
        assert code == 0, err
        delivery, webhook, url = out.rstrip("\n").split("\t")
        assert (webhook, url) == (f"whk_{hook['id']}", wanting.url)
        assert "the server sends it" in err
        await wanting.until_accepted(1)
        async with asyncio.timeout(10):
            while True:
                answer = await http.get(f"/api/v1/deliveries/{delivery.removeprefix('dlv_')}")
                if answer.json()["data"]["status"] == "delivered":
                    break
                await asyncio.sleep(0.05)
        code, out, err = await place.command("trigger", "client.created")
        assert (code, out) == (1, "")
        assert err.strip() == (
            "None of the 2 active webhooks wants client.created. Create one that does, or send it to a URL."
        )
    (one,) = wanting.received
    assert (one.json["event"], one.json["data"]["status"]) == ("invoice.paid", "paid")
    assert one.id == answer.json()["data"]["event_id"]
    assert other.received == []
    check(wanting, hook["secret"])
    assert await place.rows("SELECT count(*) FROM events") == [(0,)], "it did not happen"


@on_sqlite
async def test_trigger_sends_a_sample_of_every_event_to_a_url(place: Installation) -> None:
    async with receiving() as receiver:
        for event in ("ticket.replied", "webhook.disabled"):
            code, out, err = await place.command("trigger", event, "--forward", receiver.url, "--secret", SECRET)
            assert (code, out) == (0, "200\n"), err
        receiver.mode = "500"
        code, out, err = await place.command("trigger", "client.deleted", "--forward", receiver.url)
        assert (code, out) == (1, "500\n")
        *_, made_secret = err.split()
        assert receiver.received[0].json["data"]["reply"]["author"] == "staff"
        assert receiver.received[1].json["data"]["status"] == "disabled"
        last = receiver.received.pop()
        check(receiver, SECRET)
        verify_body(last.body, made_secret)
        assert last.json["data"]["email"] is None
    code, out, err = await place.command("trigger", "client.created", "--forward", receiver.url)
    assert code == 1
    assert out.startswith("No connection came about: ")


@on_sqlite
async def test_a_secret_without_a_url_is_refused_and_not_passed_over(place: Installation) -> None:
    """The webhooks have secrets of their own."""
    code, out, err = await place.command("trigger", "invoice.paid", "--secret", SECRET)
    assert (code, out) == (2, "")
    assert "--forward" in err


@on_sqlite
async def test_unknown_events_are_refused_with_those_that_are_known(place: Installation) -> None:
    for words in (
        ["trigger", "invoice.payed"],
        ["listen", "--forward", "http://localhost:1/", "--events", "invoice.payed"],
    ):
        code, out, err = await place.command(*words)
        assert (code, out) == (1, "")
        assert err.startswith("'invoice.payed' is no event. These are: client.created, ")


@on_sqlite
async def test_trigger_lists_the_events_of_the_catalogue(place: Installation) -> None:
    code, out, err = await place.command("trigger", "--list")
    assert (code, err) == (0, "")
    assert [line.split("\t")[0] for line in out.splitlines()] == list(CATALOGUE)
