"""Real processes: killed in the middle of writing, and written beside by other commands."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from tests.reliability.served import Installation
from tests.reliability.soundness import check_sound_at, tell

pytestmark = pytest.mark.anyio

KILLS = 5
WRITERS = 8


class Journal:
    """What the server has acknowledged, and what was asked for and never answered."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, Any] = {}
        self.unanswered: dict[str, tuple[str, Any]] = {}

    async def ask(self, http: httpx2.AsyncClient, name: str, path: str, body: Any) -> Any:
        self.unanswered[name] = path, body
        answer = await http.post(path, json=body, headers={"Idempotency-Key": name})
        assert answer.status_code in (200, 201), answer.text
        del self.unanswered[name]
        self.acknowledged[name] = answer.json()["data"]
        return self.acknowledged[name]

    async def write(self, http: httpx2.AsyncClient, writer: str) -> None:
        """Issues invoices and pays them, until the server goes away."""
        number = 0
        with suppress(httpx2.TransportError):
            while True:
                number += 1
                items = [{"description": "Hosting", "amount": "5.00"}, {"description": "More", "amount": "2.00"}]
                body = {"client_id": 1, "due_date": "2030-01-31", "items": items}
                invoice = await self.ask(http, f"{writer}-{number}", "/api/v1/invoices", body)
                await self.ask(http, f"{writer}-{number}-pay", f"/api/v1/invoices/{invoice['id']}/pay", {})

    async def try_again(self, http: httpx2.AsyncClient) -> None:
        for name, (path, body) in list(self.unanswered.items()):
            await self.ask(http, name, path, body)


async def test_what_was_acknowledged_survives_kill_9_with_exactly_its_events(place: Installation) -> None:
    dice = random.Random(9)
    journal = Journal()
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    retried = 0
    for kill in range(KILLS):
        async with place.serving() as server, httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
            if not kill:
                ada = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}
                await journal.ask(http, "client", "/api/v1/clients", ada)
            retried += len(journal.unanswered)
            await journal.try_again(http)
            async with asyncio.TaskGroup() as writers:
                for number in range(WRITERS):
                    writers.create_task(journal.write(http, f"{kill}-{number}"))
                await asyncio.sleep(dice.uniform(0.1, 0.6))
                server.kill()
        await check_sound_at(place.location)
    async with place.serving(), httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
        await journal.try_again(http)
        for name, data in journal.acknowledged.items():
            if name.endswith("-pay"):
                found = (await http.get(f"/api/v1/invoices/{data['id']}")).json()["data"]
                assert (found["status"], found["number"]) == ("paid", data["number"])
    await check_sound_at(place.location)
    counts = dict(await place.rows("SELECT event, count(*) FROM events GROUP BY event"))
    assert await place.rows("SELECT count(*) FROM events WHERE sequence IS NULL") == [(0,)]
    paid = [data for name, data in journal.acknowledged.items() if name.endswith("-pay")]
    assert len({data["id"] for data in paid}) == len(paid)
    asked = Counter("pay" if name.endswith("-pay") else "invoice" for name in journal.acknowledged if name != "client")
    assert counts == {"client.created": 1, "invoice.created": asked["invoice"], "invoice.paid": asked["pay"]}
    tell(f"{KILLS} kills amid {len(journal.acknowledged)} acknowledged writes, {retried} tried again: {counts}")


async def test_commands_write_beside_a_server_that_writes(place: Installation) -> None:
    journal = Journal()
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with httpx2.AsyncClient(base_url=place.url, headers=headers) as http, place.serving():
        ada = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}
        await journal.ask(http, "client", "/api/v1/clients", ada)
        writers = [asyncio.create_task(journal.write(http, str(number))) for number in range(WRITERS)]
        before = len(journal.acknowledged)
        made = await asyncio.gather(*(place.command("keys", "create", f"key {n}") for n in range(4)))
        during = len(journal.acknowledged) - before
        assert [(code, "locked" in err) for code, _, err in made] == [(0, False)] * 4, made
        keys = [out.splitlines()[-1] for _, out, _ in made]
        for key in keys:
            answer = await http.get("/api/v1/clients", headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == 200
        code, _, err = await place.command("keys", "revoke", "2")
        assert code == 0, err
        await asyncio.sleep(5)
        assert len(await alive(http, keys)) == 3
        if place.settings.is_sqlite:
            second, _, err = await place.command("serve", "--port", "0")
            assert second == 1
            assert "ARCBILLING_DATABASE_URL" in err
        failed = [task.exception() for task in writers if task.done()]
        assert failed == []
    await asyncio.gather(*writers)
    tell(f"{during} writes of the server while 4 commands made keys; {len(journal.acknowledged)} in all")
    await check_sound_at(place.location)


async def status(http: httpx2.AsyncClient, key: str) -> int:
    return (await http.get("/api/v1/clients", headers={"authorization": f"Bearer {key}"})).status_code


async def alive(http: httpx2.AsyncClient, keys: list[str]) -> list[str]:
    return [key for key in keys if await status(http, key) == 200]


async def test_a_server_that_is_told_to_stop_finishes_what_has_begun(place: Installation) -> None:
    journal = Journal()
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with place.serving() as server, httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
        ada = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}
        await journal.ask(http, "client", "/api/v1/clients", ada)
        writers = [asyncio.create_task(journal.write(http, str(number))) for number in range(WRITERS)]
        await asyncio.sleep(0.3)
        server.terminate()
        async with asyncio.timeout(15):
            assert await server.wait() in (0, -15)
        await asyncio.gather(*writers)
    await check_sound_at(place.location)
    assert await place.rows("SELECT count(*) FROM events WHERE sequence IS NULL") == [(0,)]
