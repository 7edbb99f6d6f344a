"""Provisioning under faults: whatever fails, hangs or is killed, each service ends with one account, and is seen to."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from arcbilling import provisioner
from provisioning.mock import Mock
from provisioning.protocol import Account, Call, ModuleError
from schema import attempts
from schema.actors import SYSTEM
from schema.attempts import Attempt
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase
from tests.rehearsal import FAST, a_mocked_product, calls, heal, is_running, options, panel, seen, settled, until

pytestmark = pytest.mark.anyio

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


class Odd(ModuleError):
    def __init__(self, text: str) -> None:
        Exception.__init__(self, text)


RAISED: dict[str, Any] = {
    "SystemExit": lambda secret: SystemExit(3),
    "KeyboardInterrupt": lambda secret: KeyboardInterrupt(),
    "CancelledError": lambda secret: asyncio.CancelledError(),
    "TimeoutError": lambda secret: TimeoutError("connect"),
    "wrapped": lambda secret: ModuleError(RuntimeError(f"no login with {secret}")),  # type: ignore[arg-type]
    "odd": lambda secret: Odd(f"no login with {secret}"),
    "nothing": lambda secret: ModuleError(None),  # type: ignore[arg-type]
    "surrogate": lambda secret: ModuleError("The panel said \ud800."),
}
SAID = {
    "wrapped": "no login with [secret]",
    "odd": "no login with [secret]",
    "nothing": "None",
    "surrogate": "The panel said .",
}


async def test_whatever_a_module_raises_is_an_answer_and_tells_no_secret(
    tmp_path: Path,
    empty_database: EmptyDatabase,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def broken(_: Any, call: Call) -> None:
        assert call.server is not None
        try:
            raise RuntimeError(f"no login with {call.server.credentials}")
        except RuntimeError as error:
            raise RAISED[call.options["raise"]](call.server.credentials) from error

    monkeypatch.setattr("provisioning.mock.Mock.create", broken)
    monkeypatch.setattr("arcbilling.provisioner.AT_ONCE_PER_SERVER", len(RAISED))
    async with open_house(tmp_path, empty_database) as house:
        group = (await house.data('mutation { serverGroupCreate(input: {name: "g"}) { id } }'))["serverGroupCreate"]
        await house.a_server(serverGroupId=group["id"], module="mock", credentials="hunter2")
        client = (await house.a_client())["id"]
        for number, kind in enumerate(RAISED, start=1):
            given = {"serverGroupId": group["id"], "moduleOptions": options(**{"raise": kind})}
            await house.a_service(client, await house.a_product(module="mock", **given), invoice=False)
            found = await until(house, number, lambda service: service["moduleCalls"][0]["lastError"])
            (call,) = found["moduleCalls"]
            said = SAID.get(kind, f"The module failed with {kind}; the log says where.")
            assert (call["status"], call["lastError"]) == ("RETRYING", said)
    out, err = capfd.readouterr()
    assert "hunter2" not in out + err


async def test_an_answer_that_cannot_be_written_down_is_told_of_without_its_text(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hunter2"

    async def broken(*_: Any) -> None:
        raise RuntimeError(secret)

    told: list[Any] = []
    monkeypatch.setattr(provisioner.log, "error", lambda *text, **more: told.append((text, more)))
    monkeypatch.setattr(attempts, "end", broken)
    await house.a_service(product_id=await a_mocked_product(house))
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    assert "RuntimeError" in str(told)
    assert secret not in str(told)


# Modules that do not end


async def test_a_call_is_not_made_again_beside_itself_and_holds_up_nobody(
    tmp_path: Path, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that does not heed its cancellation: each call is at it once, and others go on."""
    ended, at_it = asyncio.Event(), Counter[int]()
    create = Mock.create

    async def deaf(mock: Mock, call: Call) -> Account | None:
        if call.server is not None:
            return await create(mock, call)
        at_it[call.service_id] += 1
        while not ended.is_set():
            with suppress(asyncio.CancelledError):
                await ended.wait()
        return None

    monkeypatch.setattr(Mock, "create", deaf)
    async with open_house(tmp_path, empty_database, time_scale="100000", provisioning_timeout="0.1") as house:
        product, client = await a_mocked_product(house), (await house.a_client())["id"]
        for _ in range(20):
            await house.a_service(client, product, invoice=False)
        await until(house, 4, lambda service: service["moduleCalls"][0]["lastError"])
        await asyncio.sleep(0.5)
        assert at_it == dict.fromkeys((1, 2, 3, 4), 1)
        (call,) = (await seen(house, 1))["moduleCalls"]
        assert (call["status"], call["attempts"]) == ("RETRYING", 1)
        assert call["lastError"] == "The module did not answer within 0.1 seconds."
        group = (await house.data('mutation { serverGroupCreate(input: {name: "g"}) { id } }'))["serverGroupCreate"]
        await house.a_server(serverGroupId=group["id"], module="mock")
        healthy = await house.a_product(module="mock", serverGroupId=group["id"])
        await house.a_service(client, healthy, invoice=False)
        await until(house, 21, lambda service: service["status"] == "ACTIVE")
        ended.set()
        await settled(house)
        assert set(at_it) == set(range(1, 21))


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
        await house.a_product(name="without a server", module="mock", moduleOptions=options(hang=1))
        for _ in range(20):
            await house.a_service(client, 1, invoice=False)
        for number, faults in ((1, {"hang": 1}), (2, {})):
            group = await house.data('mutation { serverGroupCreate(input: {name: "g"}) { id } }')
            await house.a_server(serverGroupId=group["serverGroupCreate"]["id"], module="mock")
            given = {"serverGroupId": number, "moduleOptions": options(**faults) or None}
            product = await house.a_product(module="mock", **given)
            for _ in range(20 if faults else 1):
                await house.a_service(client, product, invoice=False)
        await until(house, 41, lambda service: service["status"] == "ACTIVE")
        states = dict(await house.rows("SELECT provision_state, count(*) FROM services GROUP BY provision_state"))
        assert states == {"running": 8, "queued": 32, "ok": 1}
        for task in [task for task in asyncio.all_tasks() if task.get_name().startswith("mcl_")]:
            task.cancel()
