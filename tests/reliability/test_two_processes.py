"""Two servers on one PostgreSQL: what is asked of both at once happens as often as it should."""

import asyncio
import itertools
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.databases import EmptyDatabase, on_postgres
from tests.reliability.served import Installation, two_servers
from tests.reliability.soundness import check_sound_at, tell

pytestmark = [pytest.mark.anyio, on_postgres]

CANCELLED = int(os.environ.get("ARCBILLING_TEST_CANCELLED") or 200)
Request = tuple[str, str, Any, dict[str, str]]
"""Method, path, body, headers."""
ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}


class Pair:
    """Two servers, asked in turn."""

    def __init__(self, place: Installation, clients: list[httpx2.AsyncClient]) -> None:
        self.place = place
        self.clients = clients
        self._next = itertools.cycle(clients)

    async def at_once(self, requests: Sequence[Request]) -> list[httpx2.Response]:
        """The answers to requests that are sent together, half to each."""
        return list(await asyncio.gather(*(self.ask(*request) for request in requests)))

    async def ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx2.Response:
        return await next(self._next).request(method, f"/api/v1{path}", json=body, headers=headers)

    async def made(self, path: str, body: Any) -> Any:
        answer = await self.ask("POST", path, body, {})
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def events(self) -> Counter[str]:
        return Counter(name for (name,) in await self.place.rows("SELECT event FROM events"))


@pytest.fixture
async def pair(tmp_path: Path, empty_database: EmptyDatabase) -> AsyncIterator[Pair]:
    settings = {name.upper(): value for name, value in (await empty_database.furnish(tmp_path)).items()}
    async with two_servers(tmp_path, **settings, LOG_LEVEL="error") as (place, clients):
        yield Pair(place, clients)


def told(answers: list[httpx2.Response]) -> str:
    return ", ".join(f"{number} x {status}" for status, number in Counter(a.status_code for a in answers).items())


async def test_what_two_servers_are_asked_at_once_happens_as_often_as_it_should(pair: Pair) -> None:
    client = (await pair.made("/clients", ADA))["id"]
    items = [{"description": "Hosting", "amount": "29.99"}]
    invoice = {"client_id": client, "due_date": "2030-01-31", "items": items}

    answers = await pair.at_once([("POST", "/invoices", invoice, {"Idempotency-Key": "same"})] * 100)
    tell(f"two servers, 100 uses of one Idempotency-Key: {told(answers)}")
    stored = [answer for answer in answers if answer.status_code != 409]
    assert {(answer.status_code, answer.content) for answer in stored} == {(201, stored[0].content)}
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert sum("idempotency-replayed" not in answer.headers for answer in stored) == 1
    assert await pair.events() == {"client.created": 1, "invoice.created": 1}

    id = stored[0].json()["data"]["id"]
    answers = await pair.at_once([("POST", f"/invoices/{id}/pay", {}, {})] * 200)
    tell(f"two servers, 200 pays of one invoice: {told(answers)}")
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["data"]["status"] for answer in answers} == {"paid"}
    assert [tuple(row) for row in await pair.place.rows("SELECT count(*), sum(amount) FROM payments")] == [(1, 2999)]
    assert (await pair.events())["invoice.paid"] == 1

    answers = await pair.at_once([("POST", "/invoices", invoice, {})] * 100)
    tell(f"two servers, 100 invoices at once: {told(answers)}")
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["number"] for answer in answers}) == 100

    answers = await pair.at_once([("POST", "/clients", ADA | {"email": "eve@shop.test"}, {})] * 20)
    tell(f"two servers, 20 clients with one e-mail at once: {told(answers)}")
    assert Counter(answer.status_code for answer in answers) == {201: 1, 400: 19}
    await asyncio.sleep(1.5)
    await check_sound_at(pair.place.location)


async def test_parallel_verbs_at_two_servers_leave_a_legal_history(pair: Pair) -> None:
    client = (await pair.made("/clients", ADA))["id"]
    product = """mutation { productCreate(input: { name: "Web S",
        prices: [{ billingCycle: MONTHLY, currency: "USD", amount: "10.00" }] }) { id } }"""
    answer = await pair.clients[0].post("/graphql", json={"query": product})
    assert answer.json()["data"] == {"productCreate": {"id": "pro_1"}}
    sale = {"client_id": client, "product_id": 1, "billing_cycle": "monthly"}
    services = [(await pair.made("/services", sale))["id"] for _ in range(5)]
    verbs = ["suspend", "unsuspend"] * 5
    requests: list[Request] = [
        ("POST", f"/services/{id}/{verb}", {}, {})
        for some in (verbs, ["terminate"], verbs)
        for id in services
        for verb in some
    ]
    answers = await pair.at_once(requests)
    tell(f"two servers, 105 suspend, unsuspend and terminate of five services: {told(answers)}")
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert [tuple(row) for row in await pair.place.rows("SELECT DISTINCT status FROM services")] == [("terminated",)]
    await asyncio.sleep(1.5)
    await check_sound_at(pair.place.location)


async def test_callers_that_hang_up_leave_nothing_half_done_and_no_connection_behind(pair: Pair) -> None:
    dice = random.Random(3)
    client = (await pair.made("/clients", ADA))["id"]
    items = [{"description": "Hosting", "amount": "5.00"}] * 3
    invoice = {"client_id": client, "due_date": "2030-01-31", "items": items}
    outcomes: Counter[str] = Counter()

    async def cut_short(number: int) -> None:
        try:
            async with asyncio.timeout(dice.uniform(0.0, 0.05)):
                await pair.ask("POST", "/invoices", invoice, {"Idempotency-Key": f"cut-{number}"})
            outcomes["answered"] += 1
        except TimeoutError:
            outcomes["hung up"] += 1

    for start in range(0, CANCELLED, 10):
        await asyncio.gather(*(cut_short(number) for number in range(start, min(start + 10, CANCELLED))))

    async def insist(number: int) -> httpx2.Response:
        """As a caller does that is told to come back: what others left behind is still being done."""
        while True:
            answer = await pair.ask("POST", "/invoices", invoice, {"Idempotency-Key": f"cut-{number}"})
            if answer.status_code != 503:
                return answer
            await asyncio.sleep(int(answer.headers["retry-after"]))

    again: list[httpx2.Response] = []
    async with asyncio.timeout(120):
        for start in range(0, CANCELLED, 50):
            again += await asyncio.gather(*(insist(number) for number in range(start, min(start + 50, CANCELLED))))
    assert {answer.status_code for answer in again} == {201}
    replayed = sum("idempotency-replayed" in answer.headers for answer in again)
    tell(f"two servers, {CANCELLED} callers: {dict(outcomes)}; asked again, {replayed} had been done")
    assert await pair.place.rows("SELECT count(*) FROM invoices") == [(CANCELLED,)]
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in %'"
    async with asyncio.timeout(5):  # a loop may be in the middle of one; what was left behind stays for fifteen
        while await pair.place.rows(open_ones) != [(0,)]:
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)
    await check_sound_at(pair.place.location)
