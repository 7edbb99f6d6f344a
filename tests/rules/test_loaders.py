"""Loaders: what is asked for together is read at once, whoever goes meanwhile."""

import asyncio
from typing import Any, cast

import pytest

from schema.context import Context

pytestmark = pytest.mark.anyio


async def test_who_asks_after_everybody_has_gone_is_answered() -> None:
    context = Context(*cast(Any, [None] * 7))
    read: list[list[int]] = []

    async def batch(_: Any, keys: list[int]) -> list[int]:
        read.append(keys)
        return keys

    context._reader = cast(Any, object())
    for turns in range(5):  # they go before the batch is begun, while it is, or once it is done
        gone = [asyncio.ensure_future(context.load("rows", key, batch)) for key in (1, 2)]
        await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        async with asyncio.timeout(5):
            assert await asyncio.gather(*(context.load("rows", key, batch) for key in (1, 3))) == [1, 3]
        context.forget()
    assert read[-1] in ([1, 3], [3])


async def test_who_goes_takes_nothing_from_those_who_wait_for_the_same() -> None:
    context = Context(*cast(Any, [None] * 7))
    context._reader = cast(Any, object())

    async def batch(_: Any, keys: list[int]) -> list[int]:
        await asyncio.sleep(0.01)
        return keys

    going, staying = (asyncio.ensure_future(context.load("rows", 1, batch)) for _ in range(2))
    await asyncio.sleep(0)
    going.cancel()
    assert await staying == 1
    assert going.cancelled()
    assert not context._waiting
