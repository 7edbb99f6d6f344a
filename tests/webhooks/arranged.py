"""Houses with webhooks, and what tests of deliveries look at."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import House
from tests.reliability.receiver import Receiver


async def a_webhook(house: House, receiver: Receiver | str, *events: str) -> Any:
    """An endpoint at the receiver, for these events; for all without."""
    url = receiver if isinstance(receiver, str) else receiver.url
    return await house.made("/webhooks", {"url": url, "events": list(events) or ["*"]})


async def deliveries(house: House, columns: str = "status, attempts, trigger") -> list[tuple[Any, ...]]:
    """The deliveries, in the order of their making."""
    return await house.rows(f"SELECT {columns} FROM deliveries ORDER BY id")


async def attempts(house: House, columns: str = "trigger, response_status, error") -> list[tuple[Any, ...]]:
    """The attempts, in the order of their ends."""
    return await house.rows(f"SELECT {columns} FROM delivery_attempts ORDER BY id")


async def circuit(house: House, columns: str = "state, failures") -> tuple[Any, ...]:
    """How the only endpoint is doing."""
    (row,) = await house.rows(f"SELECT {columns} FROM webhook_circuits")
    return row


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Waits until it holds; fails when it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def until_attempts(house: House, number: int, seconds: float = 30) -> None:
    """Waits until so many attempts were written down."""

    async def are_there() -> bool:
        ((count,),) = await house.rows("SELECT count(*) FROM delivery_attempts")
        return bool(count >= number)

    await until(are_there, seconds)


async def until_settled(house: House, seconds: float = 30) -> None:
    """Waits until every event is numbered and no delivery is pending."""

    async def is_settled() -> bool:
        pending = "SELECT count(*) FROM deliveries WHERE status = 'pending'"
        unnumbered = "SELECT count(*) FROM events WHERE sequence IS NULL"
        return await house.rows(f"SELECT ({pending}) + ({unnumbered})") == [(0,)]

    await until(is_settled, seconds)
