"""Provisioning by processes that end at any moment: each service ends with one account, and each state is seen."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from provisioning.mock import accounts
from tests.rehearsal import is_running, options
from tests.reliability.served import ROOT, Installation
from tests.reliability.soundness import check_sound_at, tell

pytestmark = pytest.mark.anyio

SERVICES = int(os.environ.get("ARCBILLING_TEST_PROVISIONED_SERVICES") or 40)
"""How many services the long rehearsal provisions."""


async def asked(http: httpx2.AsyncClient, query: str, **variables: Any) -> Any:
    answer = (await http.post("/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in answer, answer
    return answer["data"]


async def a_shop(http: httpx2.AsyncClient, **faults: object) -> None:
    """Client 1, and product 1, whose accounts the mock makes."""
    ada = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}
    assert (await http.post("/api/v1/clients", json=ada)).status_code == 201
    prices = [{"billingCycle": "MONTHLY", "currency": "USD", "amount": "10.00"}]
    given = {"name": "Web S", "module": "mock", "prices": prices, "moduleOptions": options(**faults)}
    await asked(http, "mutation($input: ProductCreateInput!) { productCreate(input: $input) { id } }", input=given)


ORDER = {"client_id": 1, "product_id": 1, "billing_cycle": "monthly"}


async def services(http: httpx2.AsyncClient, holds: Callable[[Any], bool]) -> Any:
    """All services as staff see them, once something holds of each."""
    seen = "{ services { nodes { status provisionState moduleCalls { nodes { status attempts lastError } } } } }"
    while not all(map(holds, found := (await asked(http, seen))["services"]["nodes"])):
        await asyncio.sleep(0.02)
    return found


async def test_a_process_killed_in_the_middle_of_a_call_leaves_one_account(place: Installation) -> None:
    """Killed before one account was made and after another was: each call is made again once its lease has run out."""
    place.environment["ARCBILLING_PROVISIONING_TIMEOUT"] = "1"
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with place.serving() as server, httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
        await a_shop(http, delay=0.8)
        await http.post("/api/v1/services", json=ORDER)
        await services(http, is_running)
        change = "mutation($input: ProductUpdateInput!) { productUpdate(id: 1, input: $input) { id } }"
        await asked(http, change, input={"moduleOptions": options(linger=0.8)})
        assert (await http.post("/api/v1/services", json=ORDER)).json()["data"]["status"] == "pending"
        await services(http, is_running)
        await asyncio.sleep(0.2)
        server.kill()
    folder = place.folder / "modules" / "mock"
    assert [account["service"] for account in accounts(folder)] == [2]
    assert await place.rows("SELECT status, attempts FROM module_calls") == [("running", 1)] * 2
    async with place.serving(), httpx2.AsyncClient(base_url=place.url, headers=headers) as http, asyncio.timeout(20):
        assert await services(http, is_running)
        found = await services(http, lambda service: service["status"] == "ACTIVE")
    done = {"status": "DONE", "attempts": 2, "lastError": None}
    assert [service["moduleCalls"]["nodes"] for service in found] == [[done], [done]]
    assert [(account["service"], account["status"]) for account in accounts(folder)] == [(1, "active"), (2, "active")]
    assert await place.rows("SELECT count(*) FROM events WHERE event = 'service.created'") == [(2,)]
    await check_sound_at(place.location)


class Rehearsal:
    """A shop whose module fails, forgets, hangs and whose process is killed; and staff who retry what has failed."""

    def __init__(self, place: Installation, services: int) -> None:
        self.place = place
        self.services = services
        self.ordered = 0
        self.retried = 0
        self.states: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    async def run(self, http: httpx2.AsyncClient, seconds: float | None) -> bool:
        """Orders and watches for some seconds, or until every service is provisioned; tells whether that is so."""
        until = asyncio.get_running_loop().time() + (seconds or 120)
        ordering = asyncio.create_task(self.order(http))
        try:
            while asyncio.get_running_loop().time() < until:
                if await self.look(http):
                    return True
                await asyncio.sleep(0.05)
            return False
        finally:
            ordering.cancel()
            await asyncio.gather(ordering, return_exceptions=True)

    async def order(self, http: httpx2.AsyncClient) -> None:
        while self.ordered < self.services:
            key = {"Idempotency-Key": f"order-{self.ordered}"}
            answer = await http.post("/api/v1/services", json=ORDER, headers=key)
            assert answer.status_code == 201, answer.text
            self.ordered += 1

    async def look(self, http: httpx2.AsyncClient) -> bool:
        """Notes the states that staff see, retries what has failed, and tells whether every service is active."""
        query = (
            "query($s: ModuleCallStatus!) { moduleCalls(first: 100, filter: {status: $s}) { nodes { id lastError } } }"
        )
        for status in ("QUEUED", "RUNNING", "RETRYING", "FAILED"):
            found = (await asked(http, query, s=status))["moduleCalls"]["nodes"]
            self.states[status] += len(found)
            self.errors.update(call["lastError"] for call in found if call["lastError"])
            if status == "FAILED":
                for call in found:
                    await asked(http, "mutation($id: ID!) { moduleCallRetry(id: $id) { id } }", id=call["id"])
                    self.retried += 1
        active = await asked(http, "{ services(first: 1, filter: {status: ACTIVE}) { totalCount } }")
        return bool(active["services"]["totalCount"] == self.services)


async def test_every_service_is_provisioned_once_by_a_module_that_fails_hangs_and_dies_at_random(
    place: Installation,
) -> None:
    dice = random.Random(SERVICES)
    place.environment |= {"ARCBILLING_TIME_SCALE": "5000", "ARCBILLING_PROVISIONING_TIMEOUT": "0.4"}
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    rehearsal, kills, began = Rehearsal(place, SERVICES), 0, asyncio.get_running_loop().time()
    while True:
        async with place.serving() as server, httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
            if not kills:
                await a_shop(http, fail=0.25, lose=0.2, hang=0.05, delay=0.03, linger=0.03)
            if await rehearsal.run(http, dice.uniform(0.3, 1.2) if kills < max(2, SERVICES // 20) else None):
                break
            server.kill()
            kills += 1
        await check_sound_at(place.location)
    seconds = asyncio.get_running_loop().time() - began
    await check_sound_at(place.location)
    states = await place.rows("SELECT status, provision_state, count(*) FROM services GROUP BY 1, 2")
    assert states == [("active", "ok", SERVICES)]
    made = Counter(account["service"] for account in accounts(place.folder / "modules" / "mock"))
    assert made == {id: 1 for (id,) in await place.rows("SELECT id FROM services")}
    assert await place.rows("SELECT count(*) FROM events WHERE event = 'service.created'") == [(SERVICES,)]
    assert await place.rows("SELECT count(*), count(DISTINCT service_id) FROM module_calls") == [(SERVICES, SERVICES)]
    ((attempts_made, most),) = await place.rows("SELECT sum(attempts), max(attempts) FROM module_calls")
    tell(
        f"{SERVICES} services, each provisioned once, in {seconds:.1f} s: {attempts_made} attempts, at most {most} for "
        f"one, {kills} kills, {rehearsal.retried} retries by staff; seen {dict(rehearsal.states)}; "
        f"errors seen {dict(rehearsal.errors)}"
    )


DEAF = """
import asyncio, time
from provisioning.mock import Mock

async def deaf(mock, call):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

Mock.create = deaf
"""


async def test_a_process_ends_though_its_modules_do_not(place: Installation, tmp_path: Path) -> None:
    """One that swallows its cancellation, and one that sleeps in a thread: Python would wait for both."""
    (tmp_path / "sitecustomize.py").write_text(f"{DEAF}\n")
    place.environment |= {"ARCBILLING_PROVISIONING_TIMEOUT": "0.1", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with place.serving() as server, httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
        await a_shop(http, delay=0)
        await http.post("/api/v1/services", json=ORDER)
        async with asyncio.timeout(20):
            await services(http, lambda service: service["moduleCalls"]["nodes"][0]["lastError"])
        server.terminate()
        try:
            async with asyncio.timeout(15):
                assert await server.wait() == 0
        finally:
            if server.returncode is None:
                server.kill()
