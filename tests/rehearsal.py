"""A shop whose accounts are made by a module: what tests of provisioning begin with, and wait for."""

import asyncio
from collections.abc import Callable
from typing import Any

from provisioning.mock import accounts
from tests.conftest import House

FAST = {"time_scale": "100000", "provisioning_timeout": "0.5"}
"""Settings by which all waits of a call together take a third of a second."""


def options(**faults: object) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in faults.items()]


async def a_mocked_product(house: House, **faults: object) -> int:
    """A product whose accounts the mock makes, with these faults."""
    return await house.a_product(module="mock", moduleOptions=options(**faults) or None)


async def heal(house: House, product: int, **faults: object) -> None:
    """Gives the mock other faults, or none."""
    document = "mutation($id: ID!, $input: ProductUpdateInput!) { productUpdate(id: $id, input: $input) { id } }"
    await house.data(document, {"id": product, "input": {"moduleOptions": options(**faults) or None}})


async def settled(house: House, seconds: float = 10) -> None:
    """Waits until no call is left that will be made by itself."""
    async with asyncio.timeout(seconds):
        while await house.rows("SELECT 1 FROM module_calls WHERE due_at IS NOT NULL"):
            await asyncio.sleep(0.01)


async def until(house: House, service: int, holds: Callable[[Any], bool], seconds: float = 10) -> Any:
    """The service as staff see it, once something holds of it."""
    async with asyncio.timeout(seconds):
        while not holds(found := await seen(house, service)):
            await asyncio.sleep(0.01)
    return found


def is_running(service: Any) -> bool:
    return bool(service["provisionState"] == "RUNNING")


async def seen(house: House, service: int) -> Any:
    """A service as staff see it, with its calls."""
    calls = "nodes { id action status attempts module lastError nextAttemptAt finishedAt serverId }"
    document = f"query($id: ID!) {{ service(id: $id) {{ status provisionState username moduleCalls {{ {calls} }} }} }}"
    found = (await house.data(document, {"id": service}))["service"]
    return found | {"moduleCalls": found["moduleCalls"]["nodes"]}


async def calls(house: House, service: int) -> list[str]:
    """The calls for a service, the oldest first: `create done`."""
    return [f"{call['action']} {call['status']}".lower() for call in (await seen(house, service))["moduleCalls"]]


def panel(house: House) -> list[tuple[int, str]]:
    """Every account that the mock ever made: service and status."""
    folder = house.settings.data_dir / "modules" / "mock"
    return sorted((account["service"], account["status"]) for account in accounts(folder))


RETRY = "mutation($id: ID!) { moduleCallRetry(id: $id) { status attempts } }"
PROVISION = "mutation($id: ID!) { serviceProvision(id: $id) { status provisionState } }"


async def refused(house: House, mutation: str, **variables: Any) -> dict[str, Any]:
    """The error of a mutation that must be refused, without an event."""
    before = await house.events()
    (error,) = (await house.graphql(mutation, variables or None))["errors"]
    assert error["extensions"]["code"] == "VALIDATION_ERROR"
    assert await house.events() == before
    return dict(error)
