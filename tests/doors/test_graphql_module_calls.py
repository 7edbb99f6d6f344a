"""Services whose accounts a module makes: what is asked of it and when, what staff see, what they may do about it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schema import module_calls as rules
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase
from tests.rehearsal import (
    FAST,
    PROVISION,
    RETRY,
    a_mocked_product,
    calls,
    heal,
    is_running,
    panel,
    refused,
    seen,
    settled,
    until,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fast(tmp_path: Path, empty_database: EmptyDatabase) -> AsyncIterator[House]:
    """A house whose retries follow each other quickly."""
    async with open_house(tmp_path, empty_database, **FAST) as opened:
        yield opened


# What is asked of the module


async def test_a_service_becomes_active_once_its_module_has_made_the_account(fast: House) -> None:
    product = await a_mocked_product(fast, delay=0.2)
    service = await fast.a_service(product_id=product, domain="ada.example.com")
    assert (service["status"], service["username"]) == ("pending", None)
    waiting = await seen(fast, service["id"])
    assert waiting["provisionState"] in ("QUEUED", "RUNNING")
    assert await fast.events() == ["client.created", "invoice.created"]
    await settled(fast)
    assert await seen(fast, service["id"]) == {
        "status": "ACTIVE",
        "provisionState": "OK",
        "username": "mock1",
        "moduleCalls": [
            {
                "id": "mcl_1",
                "action": "CREATE",
                "status": "DONE",
                "attempts": 1,
                "module": "mock",
                "lastError": None,
                "nextAttemptAt": None,
                "finishedAt": (await seen(fast, 1))["moduleCalls"][0]["finishedAt"],
                "serverId": None,
            }
        ],
    }
    assert await fast.events() == ["client.created", "invoice.created", "service.created"]
    ((payload, actor, request),) = await fast.rows(
        "SELECT payload, actor, request_id FROM events WHERE event = 'service.created'"
    )
    assert (actor, request) == ("system:0", "mcl_1")
    told = json.loads(payload)["data"]
    assert (told["status"], told["username"], told["domain"]) == ("active", "mock1", "ada.example.com")
    assert panel(fast) == [(1, "active")]


async def test_each_step_of_a_call_is_in_the_audit_trail(fast: House) -> None:
    await fast.a_service(product_id=await a_mocked_product(fast))
    await settled(fast)
    trail = "SELECT actor, action, changes FROM audit_entries WHERE object_type = ? ORDER BY id"
    states = [
        (actor, action, json.loads(changes)["provision_state"][1])
        for actor, action, changes in await fast.rows(trail, "services")
    ]
    assert [state for _, _, state in states] == ["queued", "running", "ok"]
    assert states[1:] == [("system:0", "moduleCallBegin", "running"), ("system:0", "moduleCallEnd", "ok")]


async def test_a_service_that_is_set_up_on_payment_is_asked_for_then(fast: House) -> None:
    product = await a_mocked_product(fast)
    await fast.data(f"mutation {{ productUpdate(id: {product}, input: {{autoSetup: ON_PAYMENT}}) {{ id }} }}")
    service = await fast.a_service(product_id=product)
    assert await calls(fast, 1) == []
    await fast.made(f"/invoices/{service['invoice_id']}/pay")
    await settled(fast)
    assert await calls(fast, 1) == ["create done"]
    assert (await fast.events())[2:] == ["invoice.paid", "service.created"]


async def test_the_account_follows_the_status_of_its_service(fast: House) -> None:
    await fast.a_service(product_id=await a_mocked_product(fast))
    await settled(fast)
    expected = ["create done"]
    for verb, status, account in (
        ("suspend", "suspended", "suspended"),
        ("unsuspend", "active", "active"),
        ("terminate", "terminated", "terminated"),
    ):
        assert (await fast.made(f"/services/1/{verb}"))["status"] == status
        await settled(fast)
        expected.append(f"{verb} done")
        assert await calls(fast, 1) == expected
        assert panel(fast) == [(1, account)]
        assert (await seen(fast, 1))["provisionState"] == "OK"
    assert await fast.events() == [
        "client.created",
        "invoice.created",
        "service.created",
        "service.suspended",
        "service.unsuspended",
        "service.terminated",
    ]


async def test_a_payment_that_lifts_a_suspension_lifts_the_accounts_too(fast: House) -> None:
    service = await fast.a_service(product_id=await a_mocked_product(fast))
    await settled(fast)
    await fast.made("/services/1/suspend", {"reason": "overdue"})
    await settled(fast)
    await fast.made(f"/invoices/{service['invoice_id']}/pay")
    await settled(fast)
    assert await calls(fast, 1) == ["create done", "suspend done", "unsuspend done"]
    assert panel(fast) == [(1, "active")]


async def test_a_service_that_nothing_was_made_for_is_ended_without_a_call(
    fast: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcbilling.provisioner.AT_ONCE", 0)
    product = await a_mocked_product(fast)
    for verb, state in (("serviceTerminate", "TERMINATED"), ("serviceCancel", "CANCELLED")):
        id = (await fast.a_service(product_id=product))["id"]
        ended = await fast.data(f"mutation {{ {verb}(id: {id}) {{ status provisionState }} }}")
        assert ended[verb] == {"status": state, "provisionState": "NONE"}
        assert await calls(fast, id) == ["create cancelled"]


async def test_an_account_that_may_have_been_made_is_removed_and_its_service_never_becomes_active(fast: House) -> None:
    product = await a_mocked_product(fast, delay=0.3)
    await fast.a_service(product_id=product)
    await until(fast, 1, is_running)
    await fast.made("/services/1/terminate")
    assert (await seen(fast, 1))["provisionState"] == "RUNNING"
    await settled(fast)
    assert await calls(fast, 1) == ["create done", "terminate done"]
    assert panel(fast) == [(1, "terminated")]
    found = await seen(fast, 1)
    assert (found["status"], found["provisionState"]) == ("TERMINATED", "OK")
    assert "service.created" not in await fast.events()


async def test_a_call_that_was_overtaken_while_it_ran_is_not_made_again(fast: House) -> None:
    await fast.a_service(product_id=await a_mocked_product(fast, delay=0.2, lose=1))
    await until(fast, 1, is_running)
    await fast.made("/services/1/terminate")
    await heal(fast, 1)
    await settled(fast)
    assert await calls(fast, 1) == ["create cancelled", "terminate done"]
    assert panel(fast) == [(1, "terminated")]


async def test_what_module_a_service_has_was_decided_when_it_was_made(fast: House) -> None:
    await fast.a_service(product_id=await a_mocked_product(fast))
    await settled(fast)
    await fast.data('mutation { productUpdate(id: 1, input: {module: "none"}) { id } }')
    await fast.made("/services/1/suspend")
    await settled(fast)
    assert panel(fast) == [(1, "suspended")]
    await fast.a_service(product_id=1)
    await fast.data('mutation { productUpdate(id: 1, input: {module: "mock"}) { id } }')
    await fast.made("/services/2/suspend")
    assert await calls(fast, 2) == []


# What goes wrong


async def test_a_call_that_fails_is_tried_again_under_its_key_until_it_is_done(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    async with open_house(tmp_path, empty_database, time_scale="1000") as house:
        await house.a_service(product_id=await a_mocked_product(house, lose=1))
        await until(house, 1, lambda service: service["moduleCalls"][0]["attempts"] >= 3)
        await heal(house, 1)
        await settled(house)
        (call,) = (await seen(house, 1))["moduleCalls"]
        assert (call["id"], call["status"], call["lastError"]) == ("mcl_1", "DONE", None)
        assert panel(house) == [(1, "active")]
        assert (await house.events()).count("service.created") == 1


async def test_a_call_waits_visibly_for_its_next_attempt(house: House) -> None:
    await house.a_service(product_id=await a_mocked_product(house, fail=1))
    await until(house, 1, lambda service: service["moduleCalls"][0]["status"] == "RETRYING")
    found = await seen(house, 1)  # again, for a service is read a moment before its calls
    (call,) = found["moduleCalls"]
    assert call["lastError"] == "The mock failed before it did anything."
    assert call["nextAttemptAt"] is not None
    assert (found["status"], found["provisionState"]) == ("PENDING", "QUEUED")
    await heal(house, 1)
    assert (await house.data(RETRY, {"id": "mcl_1"}))["moduleCallRetry"]["status"] == "QUEUED"
    await settled(house)
    assert (await seen(house, 1))["status"] == "ACTIVE"


async def test_after_eight_attempts_a_call_has_failed_until_staff_retry_it(fast: House) -> None:
    await fast.a_service(product_id=await a_mocked_product(fast, fail=1))
    await settled(fast)
    found = await seen(fast, 1)
    assert (found["status"], found["provisionState"]) == ("PENDING", "FAILED")
    (call,) = found["moduleCalls"]
    assert (call["status"], call["attempts"]) == ("FAILED", rules.MOST_ATTEMPTS)
    assert call["finishedAt"] is not None
    failed = await fast.data("{ moduleCalls(filter: {status: FAILED}) { totalCount nodes { id service { id } } } }")
    assert failed["moduleCalls"] == {"totalCount": 1, "nodes": [{"id": "mcl_1", "service": {"id": "svc_1"}}]}
    await heal(fast, 1)
    await fast.data(RETRY, {"id": 1})
    await settled(fast)
    (call,) = (await seen(fast, 1))["moduleCalls"]
    assert (call["id"], call["status"], call["attempts"]) == ("mcl_1", "DONE", rules.MOST_ATTEMPTS + 1)
    error = await refused(fast, RETRY, id=1)
    assert error["message"] == "Module call 1 is done and cannot be retried."
    assert error["extensions"]["reason"] == "INVALID_TRANSITION"


async def test_what_cannot_be_helped_by_trying_again_fails_at_once(fast: House) -> None:
    await fast.a_service(product_id=await a_mocked_product(fast, refuse=1))
    await settled(fast)
    (call,) = (await seen(fast, 1))["moduleCalls"]
    assert (call["status"], call["attempts"], call["lastError"]) == ("FAILED", 1, "The mock refuses.")


async def test_a_module_that_hangs_is_given_up_in_time(fast: House) -> None:
    await fast.a_service(product_id=await a_mocked_product(fast, hang=1))
    found = await until(fast, 1, lambda service: service["moduleCalls"][0]["lastError"])
    assert found["moduleCalls"][0]["lastError"] == "The module did not answer within 0.5 seconds."
    await heal(fast, 1)
    await settled(fast)
    assert panel(fast) == [(1, "active")]


async def test_staff_provision_what_waits_for_them_and_retry_what_has_failed(fast: House) -> None:
    product = await a_mocked_product(fast, refuse=1)
    await fast.data(f"mutation {{ productUpdate(id: {product}, input: {{autoSetup: MANUAL}}) {{ id }} }}")
    await fast.a_service(product_id=product)
    assert await calls(fast, 1) == []
    assert (await fast.data(PROVISION, {"id": 1}))["serviceProvision"] == {
        "status": "PENDING",
        "provisionState": "QUEUED",
    }
    await settled(fast)
    assert await calls(fast, 1) == ["create failed"]
    await heal(fast, product, delay=0.2)
    await fast.data(PROVISION, {"id": 1})
    again = (await fast.data(PROVISION, {"id": 1}))["serviceProvision"]
    assert again["provisionState"] in ("QUEUED", "RUNNING")
    await settled(fast)
    assert await calls(fast, 1) == ["create done"]
    assert (await fast.data(PROVISION, {"id": 1}))["serviceProvision"] == {"status": "ACTIVE", "provisionState": "OK"}
    assert (await fast.events()).count("service.created") == 1


async def test_a_failed_call_that_was_overtaken_waits_for_nobody(fast: House) -> None:
    await fast.a_service(product_id=await a_mocked_product(fast))
    await settled(fast)
    await heal(fast, 1, refuse=1)
    await fast.made("/services/1/suspend")
    await settled(fast)
    await heal(fast, 1)
    assert (await seen(fast, 1))["provisionState"] == "FAILED"
    await fast.made("/services/1/unsuspend")
    await settled(fast)
    assert await calls(fast, 1) == ["create done", "suspend cancelled", "unsuspend done"]
    error = await refused(fast, RETRY, id="mcl_2")
    assert error["message"] == "Module call 2 is cancelled and cannot be retried."


# Where staff set up by hand what a module was to do


async def set_up_by_hand(house: House) -> None:
    await house.data('mutation { productUpdate(id: 1, input: {module: "manual"}) { id } }')
    assert (await house.data(PROVISION, {"id": 1}))["serviceProvision"]["status"] == "ACTIVE"


@pytest.mark.parametrize("fault", ["fail", "refuse"])
async def test_what_staff_set_up_by_hand_no_module_makes_again(house: House, fault: str) -> None:
    await house.a_service(product_id=await a_mocked_product(house, **{fault: 1}))
    await until(house, 1, lambda service: service["moduleCalls"][0]["lastError"])
    await set_up_by_hand(house)
    assert await calls(house, 1) == ["create cancelled"]
    await house.made("/services/1/suspend")
    assert await calls(house, 1) == ["create cancelled"]


async def test_an_account_that_is_made_while_staff_set_up_by_hand_follows_its_service(house: House) -> None:
    await house.a_service(product_id=await a_mocked_product(house, delay=0.3))
    await until(house, 1, is_running)
    await set_up_by_hand(house)
    await house.made("/services/1/suspend")
    await settled(house)
    assert await calls(house, 1) == ["create done", "suspend done"]
    assert panel(house) == [(1, "suspended")]


async def test_an_account_that_fails_while_staff_set_up_by_hand_is_not_tried_again(house: House) -> None:
    await house.a_service(product_id=await a_mocked_product(house, delay=0.3, fail=1))
    await until(house, 1, is_running)
    await set_up_by_hand(house)
    await settled(house)
    assert await calls(house, 1) == ["create cancelled"]
    assert panel(house) == []
