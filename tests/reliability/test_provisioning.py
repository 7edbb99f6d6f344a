"""Provisioning under faults: whatever fails, hangs or is killed, each service ends with one account, and is seen to."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from arcbilling import provisioner
from provisioning.mock import accounts
from provisioning.protocol import Account
from schema import attempts
from schema.actors import SYSTEM
from schema.attempts import Attempt
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase
from tests.rehearsal import FAST, a_mocked_product, calls, heal, is_running, options, panel, seen, settled, until
from tests.reliability.served import Installation
from tests.reliability.soundness import check_sound_at, tell

pytestmark = pytest.mark.anyio

SERVICES = int(os.environ.get("ARCBILLING_TEST_PROVISIONED_SERVICES") or 40)
"""How many services the long rehearsal provisions."""


# One attempt and another


async def idle(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose call nobody takes up but the test."""
    monkeypatch.setattr("arcbilling.provisioner.AT_ONCE", 0)
    await house.a_service(product_id=await a_mocked_product(house))


async def begin(house: House, seconds: float) -> Attempt | None:
    return await attempts.begin(house.engine.context(SYSTEM, "test"), 1, timedelta(seconds=seconds))


async def end(house: House, attempt: Attempt | None, answer: attempts.Answer) -> None:
    assert attempt is not None
    await attempts.end(house.engine.context(SYSTEM, "test"), attempt, answer, 1.0)


async def test_a_call_is_taken_up_by_one_of_many_that_try(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await idle(house, monkeypatch)
    taken = await asyncio.gather(*(begin(house, 60) for _ in range(8)))
    assert len([attempt for attempt in taken if attempt is not None]) == 1
    assert await begin(house, 60) is None


async def test_an_answer_that_comes_after_the_next_attempt_began_changes_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await idle(house, monkeypatch)
    lost = await begin(house, -1)
    second = await begin(house, 60)
    assert second is not None
    assert second.number == 2
    before = await house.rows("SELECT * FROM module_calls")
    await end(house, lost, Account("late"))
    assert await house.rows("SELECT * FROM module_calls") == before
    assert (await seen(house, 1))["username"] is None
    assert (await seen(house, 1))["moduleCalls"][0]["lastError"] == (
        "The process that made the call ended before there was an answer."
    )
    await end(house, second, Account("ada"))
    await end(house, second, Account("again"))
    found = await seen(house, 1)
    assert (found["status"], found["username"]) == ("ACTIVE", "ada")
    assert (await house.events()).count("service.created") == 1


async def test_a_call_whose_process_is_lost_every_time_fails_in_the_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await idle(house, monkeypatch)
    for number in range(1, 9):
        attempt = await begin(house, -1)
        assert attempt is not None
        assert attempt.number == number
    assert await begin(house, -1) is None
    assert (await seen(house, 1))["provisionState"] == "FAILED"
    assert await calls(house, 1) == ["create failed"]


async def test_a_transaction_that_fails_takes_nothing_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await idle(house, monkeypatch)

    async def broken(*_: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(attempts, "show", broken)
    with pytest.raises(RuntimeError):
        await begin(house, 60)
    monkeypatch.undo()
    monkeypatch.setattr("arcbilling.provisioner.AT_ONCE", 0)
    assert await calls(house, 1) == ["create queued"]


async def test_a_module_with_a_mistake_in_it_is_told_of_without_its_secrets(
    tmp_path: Path, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hunter2"

    async def broken(*_: Any) -> None:
        raise KeyError(secret)

    told: list[Any] = []
    monkeypatch.setattr(provisioner.log, "error", lambda *text, **more: told.append((text, more)))

    monkeypatch.setattr("provisioning.mock.Mock.create", broken)
    async with open_house(tmp_path, empty_database) as house:
        await house.a_service(product_id=await a_mocked_product(house))
        found = await until(house, 1, lambda service: service["moduleCalls"][0]["lastError"])
    (call,) = found["moduleCalls"]
    assert (call["status"], call["lastError"]) == ("RETRYING", "The module failed with KeyError; the log says where.")
    assert "test_provisioning.py" in str(told)
    assert secret not in str(told)


# Shutting down


async def test_a_call_that_is_under_way_at_the_end_is_finished(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database) as house:
        await house.a_service(product_id=await a_mocked_product(house, delay=0.3))
        await until(house, 1, is_running)
    async with open_house(tmp_path, empty_database) as house:
        assert await calls(house, 1) == ["create done"]
        assert panel(house) == [(1, "active")]


async def test_a_call_that_takes_too_long_at_the_end_is_left_to_its_lease(
    tmp_path: Path, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcbilling.provisioner.SECONDS_TO_FINISH", 0.1)
    monkeypatch.setattr("arcbilling.provisioner.LEASE_MARGIN_SECONDS", 0.5)
    async with open_house(tmp_path, empty_database, provisioning_timeout="1") as house:
        await house.a_service(product_id=await a_mocked_product(house, hang=1))
        await until(house, 1, is_running)
    async with open_house(tmp_path, empty_database) as house:
        assert await calls(house, 1) == ["create running"]
        await heal(house, 1)
        await settled(house)
        assert (await seen(house, 1))["moduleCalls"][0]["attempts"] == 2
        assert panel(house) == [(1, "active")]


# Several processes


async def test_processes_that_share_a_database_share_its_calls(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database, **FAST) as one, open_house(tmp_path, empty_database, **FAST) as two:
        product = await a_mocked_product(one, lose=0.3, delay=0.02)
        client = (await one.a_client())["id"]
        for _ in range(10):
            await asyncio.gather(*(house.a_service(client, product, invoice=False) for house in (one, two)))
        await settled(one, 30)
        while failed := await one.rows("SELECT id FROM module_calls WHERE status = 'failed'"):
            await heal(one, product)
            for (id,) in failed:
                await one.data(f"mutation {{ moduleCallRetry(id: {id}) {{ id }} }}")
            await settled(one)
        assert panel(one) == [(id, "active") for id in range(1, 21)]
        assert await one.rows("SELECT count(*) FROM events WHERE event = 'service.created'") == [(20,)]


async def test_a_server_that_hangs_holds_up_its_own_calls_alone(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database, provisioning_timeout="30") as house:
        client = (await house.a_client())["id"]
        for number, faults in ((1, {"hang": 1}), (2, {})):
            group = await house.data('mutation { serverGroupCreate(input: {name: "g"}) { id } }')
            await house.a_server(serverGroupId=group["serverGroupCreate"]["id"], module="mock")
            given = {"serverGroupId": number, "moduleOptions": options(**faults) or None}
            product = await house.a_product(module="mock", **given)
            for _ in range(20 if faults else 1):
                await house.a_service(client, product, invoice=False)
        await until(house, 21, lambda service: service["status"] == "ACTIVE")
        states = dict(await house.rows("SELECT provision_state, count(*) FROM services GROUP BY provision_state"))
        assert states == {"running": 4, "queued": 16, "ok": 1}
        for task in [task for task in asyncio.all_tasks() if task.get_name().startswith("mcl_")]:
            task.cancel()


# Kills


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
    while not all(map(holds, found := (await asked(http, seen))["services"]["nodes"])):  # noqa: ASYNC110
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
                if await self.look(http) and self.ordered == self.services:
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
        """Notes the states that staff see, retries what has failed, and tells whether nothing is left to do."""
        query = (
            "query($s: ModuleCallStatus!) { moduleCalls(first: 100, filter: {status: $s}) { nodes { id lastError } } }"
        )
        left = 0
        for status in ("QUEUED", "RUNNING", "RETRYING", "FAILED"):
            found = (await asked(http, query, s=status))["moduleCalls"]["nodes"]
            left += len(found)
            self.states[status] += len(found)
            self.errors.update(call["lastError"] for call in found if call["lastError"])
            if status == "FAILED":
                for call in found:
                    await asked(http, "mutation($id: ID!) { moduleCallRetry(id: $id) { id } }", id=call["id"])
                    self.retried += 1
        return not left


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
