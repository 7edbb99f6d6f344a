"""What modules are given to work with: servers, credentials and options; and what is left of it after erasure."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import House, open_house
from tests.databases import EmptyDatabase
from tests.rehearsal import (
    FAST,
    PROVISION,
    RETRY,
    a_mocked_product,
    calls,
    heal,
    options,
    panel,
    refused,
    seen,
    settled,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fast(tmp_path: Path, empty_database: EmptyDatabase) -> AsyncIterator[House]:
    """A house whose retries follow each other quickly."""
    async with open_house(tmp_path, empty_database, **FAST) as opened:
        yield opened


async def test_a_module_is_given_a_server_of_its_own_kind_with_its_credentials(fast: House) -> None:
    group = (await fast.data('mutation { serverGroupCreate(input: {name: "eu"}) { id } }'))["serverGroupCreate"]["id"]
    product = await fast.a_product(module="mock", serverGroupId=group)
    client = (await fast.a_client())["id"]
    await fast.a_server(serverGroupId=group, maxAccounts=5)
    body = {"client_id": client, "product_id": product, "billing_cycle": "monthly"}
    error = (await fast.rest("POST", "/services", body)).json()["error"]
    assert error["message"] == (
        "The product id field names a product whose server group has no server of its module mock."
    )
    server = await fast.a_server(
        serverGroupId=group, hostname="panel.example.com", module="mock", credentials="root:hunter2", maxAccounts=1
    )
    service = await fast.made("/services", body)
    assert service["server_id"] == server
    full = (await fast.rest("POST", "/services", body)).json()["error"]
    assert full["message"] == "The product id field names a product whose servers are all full."
    await settled(fast)
    (made,) = (fast.settings.data_dir / "modules" / "mock").glob("*/*.json")
    assert json.loads(made.read_text())["server"] == "panel.example.com"


async def test_credentials_are_sealed_and_told_nowhere(fast: House) -> None:
    document = "mutation($id: ID!, $input: ServerUpdateInput!) { serverUpdate(id: $id, input: $input) { id } }"
    server = await fast.a_server(module="mock", credentials="hunter2-first")
    await fast.data(document, {"id": server, "input": {"credentials": "hunter2-second"}})
    sealed = (await fast.rows("SELECT credentials FROM servers"))[0][0]
    assert fast.engine.vault.open(bytes(sealed), "credentials of a server") == b"hunter2-second"
    trail = await fast.rows("SELECT changes FROM audit_entries WHERE object_type = 'servers' ORDER BY id")
    assert [json.loads(changes)["credentials"] for (changes,) in trail] == [None, None]
    assert "hunter2" not in str(trail)
    await fast.data(document, {"id": server, "input": {"credentials": None}})
    assert (await fast.rows("SELECT credentials FROM servers")) == [(None,)]


async def test_credentials_are_told_to_no_other_host_or_module_than_they_were_entered_for(fast: House) -> None:
    document = "mutation($id: ID!, $input: ServerUpdateInput!) { serverUpdate(id: $id, input: $input) { id } }"
    first = {"hostname": "panel.example.com", "module": "mock"}
    server = await fast.a_server(**first, credentials="hunter2")
    for moved in ({"hostname": "evil.example.com"}, {"module": "manual"}):
        error = await refused(fast, document, id=server, input=moved)
        assert error["extensions"]["fields"] == {
            "credentials": "The credentials field must be given again, or null, with another host name or module."
        }
    await fast.data(document, {"id": server, "input": first})
    await fast.data(document, {"id": server, "input": {"hostname": "new.example.com", "credentials": "hunter3"}})
    await fast.data(document, {"id": server, "input": {"module": "manual", "credentials": None}})
    await fast.data(document, {"id": server, "input": {"module": "mock"}})


async def test_a_service_that_its_module_was_never_told_of_ends_without_a_call(fast: House) -> None:
    group = (await fast.data('mutation { serverGroupCreate(input: {name: "eu"}) { id } }'))["serverGroupCreate"]["id"]
    await fast.a_server(serverGroupId=group)
    await fast.a_product(module="manual", serverGroupId=group, autoSetup="MANUAL")
    await fast.a_service(product_id=1)
    await fast.data('mutation { productUpdate(id: 1, input: {module: "mock"}) { id } }')
    await fast.data(PROVISION, {"id": 1})
    await settled(fast)
    assert await calls(fast, 1) == ["create failed"]
    await fast.data("mutation { serviceCancel(id: 1) { id } }")
    assert await calls(fast, 1) == ["create cancelled"]
    assert (await seen(fast, 1))["provisionState"] == "NONE"


async def test_a_call_for_a_server_of_another_module_says_so(fast: House) -> None:
    group = (await fast.data('mutation { serverGroupCreate(input: {name: "eu"}) { id } }'))["serverGroupCreate"]["id"]
    server = await fast.a_server(serverGroupId=group, module="mock")
    product = await fast.a_product(module="mock", serverGroupId=group, autoSetup="MANUAL")
    await fast.a_service(product_id=product)
    change = "mutation($module: String) { serverUpdate(id: 1, input: {module: $module}) { id } }"
    await fast.data(change, {"module": "manual"})
    await fast.data(PROVISION, {"id": 1})
    await settled(fast)
    (call,) = (await seen(fast, 1))["moduleCalls"]
    assert (call["status"], call["lastError"]) == (
        "FAILED",
        f"Server {server} is set to the module manual, and this call is for mock.",
    )
    await fast.data(change, {"module": "mock"})
    await fast.data(RETRY, {"id": 1})
    await settled(fast)
    assert (await seen(fast, 1))["status"] == "ACTIVE"


async def test_an_unknown_module_is_refused_with_the_list_of_those_installed(fast: House) -> None:
    for mutation in (
        'serverCreate(input: {name: "s", hostname: "s.example.com", module: "plesk"})',
        'productCreate(input: {name: "p", module: "MOCK", prices: []})',
    ):
        response = await fast.graphql(f"mutation {{ {mutation.replace('prices: []', PRICES)} {{ id }} }}")
        assert response["errors"][0]["message"] == "The module field must be one of: none, manual, mock."
    await a_mocked_product(fast)
    error = await refused(fast, 'mutation { productUpdate(id: 1, input: {module: "plesk"}) { id } }')
    assert error["extensions"]["fields"] == {"module": "The module field must be one of: none, manual, mock."}


PRICES = 'prices: [{billingCycle: MONTHLY, currency: "USD", amount: 1}]'


async def test_the_options_of_a_product_are_kept_in_order_and_each_once(fast: House) -> None:
    product = await fast.a_product(module="mock", moduleOptions=options(delay="0.1", fail="0"))
    shown = "{ product(id: 1) { moduleOptions { name value } } }"
    assert (await fast.data(shown))["product"]["moduleOptions"] == options(delay="0.1", fail="0")
    await heal(fast, product)
    assert (await fast.data(shown))["product"]["moduleOptions"] == []
    twice = [*options(fail="1"), *options(fail="0")]
    change = "mutation($input: ProductUpdateInput!) { productUpdate(id: 1, input: $input) { id } }"
    error = await refused(fast, change, input={"moduleOptions": twice})
    assert list(error["extensions"]["fields"]) == ["moduleOptions[1].name"]


async def test_the_options_of_a_product_are_for_staff(fast: House) -> None:
    await a_mocked_product(fast)
    client = (await fast.a_client())["id"]
    bound = await fast.new_key(client=client)
    response = await fast.graphql("{ product(id: 1) { moduleOptions { name } } }", key=bound)
    assert response["errors"][0]["extensions"]["code"] == "FORBIDDEN"


# Erasure


async def test_a_client_is_not_erased_while_a_call_for_it_is_not_done(fast: House) -> None:
    client = (await fast.a_client())["id"]
    await fast.a_service(client, await a_mocked_product(fast), invoice=False)
    await settled(fast)
    await heal(fast, 1, delay=0.4)
    await fast.made("/services/1/terminate")
    answer = await fast.rest("DELETE", f"/clients/{client}")
    assert answer.status_code == 400
    assert "1 module call not finished" in answer.json()["error"]["message"]
    await settled(fast)
    assert (await fast.rest("DELETE", f"/clients/{client}")).status_code == 200


async def one_whose_account_was_not_removed(house: House) -> int:
    """A client; its service 1 was terminated, and module call 2 has failed to remove the account."""
    client = int((await house.a_client())["id"])
    await house.a_service(client, await a_mocked_product(house), invoice=False)
    await settled(house)
    await heal(house, 1, refuse=1)
    await house.made("/services/1/terminate")
    await settled(house)
    return client


async def test_a_client_is_not_erased_while_an_account_could_not_be_removed(fast: House) -> None:
    client = await one_whose_account_was_not_removed(fast)
    answer = await fast.rest("DELETE", f"/clients/{client}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        "The client cannot be deleted: 1 account could not be removed. Mend what failed and try again by "
        "moduleCallRetry, first with mcl_2."
    )
    await heal(fast, 1)
    await fast.data(RETRY, {"id": "mcl_2"})
    await settled(fast)
    assert panel(fast) == [(1, "terminated")]
    assert (await fast.rest("DELETE", f"/clients/{client}")).status_code == 200


async def test_erasure_drops_what_modules_said(fast: House) -> None:
    client = (await fast.a_client())["id"]
    await fast.a_service(client, await a_mocked_product(fast, refuse=1), invoice=False)
    await settled(fast)
    assert (await seen(fast, 1))["moduleCalls"][0]["lastError"] is not None
    await heal(fast, 1)
    await fast.made("/services/1/terminate")
    await settled(fast)
    assert (await fast.rest("DELETE", f"/clients/{client}")).status_code == 200
    assert {error for (error,) in await fast.rows("SELECT last_error FROM module_calls")} == {None}


async def test_nothing_is_retried_for_a_client_that_was_erased(fast: House) -> None:
    client = await one_whose_account_was_not_removed(fast)
    await fast.write("UPDATE clients SET deleted_at = created_at WHERE id = ?", client)
    error = await refused(fast, RETRY, id=2)
    assert error["message"] == "Module call 2 is for a client that was erased and cannot be retried."
