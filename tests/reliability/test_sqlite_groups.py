"""SQLite's groups: transactions that come together are committed once, and stand or fall as each would by itself."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from structlog.testing import capture_logs

from resolvers.database import DatabaseUnavailable, Transaction, UniqueViolation
from tests.conftest import House
from tests.databases import at, on_sqlite
from tests.reliability.soundness import check_sound
from tests.reliability.test_unit_of_work import check_unavailable

pytestmark = [pytest.mark.anyio, on_sqlite]

TOGETHER = 20
ADD = "INSERT INTO departments (name, version, created_at, updated_at) VALUES (?, 1, '', '')"
COUNTING = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n"
LONG = f"SELECT * FROM ({COUNTING})"
LONG_WRITE = f"UPDATE departments SET name = name || ({COUNTING})"
UNDO = "INSERT OR ROLLBACK INTO departments (id, name, version, created_at, updated_at) VALUES (1, '', 1, '', '')"
"""As a disk does that fails in the middle."""


async def create(house: House) -> list[Any]:
    items = [{"description": "Hosting", "amount": "5.00"}]
    body = {"client_id": 1, "due_date": "2030-01-31", "items": items}
    return await asyncio.gather(*(house.rest("POST", "/invoices", body) for _ in range(TOGETHER)))


async def two(house: House) -> tuple[Transaction, "asyncio.Task[Transaction]"]:
    """A transaction that has begun, and one of the same group that waits for its turn."""
    first, second = (asyncio.create_task(house.engine.database.begin()) for _ in range(2))
    return await first, second


async def departments(house: House) -> list[str]:
    return [name for (name,) in await house.rows("SELECT name FROM departments WHERE id > 1 ORDER BY id")]


async def test_what_comes_together_is_committed_once(house: House, statements: list[str]) -> None:
    await house.a_client()
    statements.clear()
    assert {answer.status_code for answer in await create(house)} == {201}
    assert Counter(statements)["COMMIT"] < TOGETHER / 2
    await check_sound(house.engine.database)


async def test_nothing_is_over_before_its_group_is_committed(house: House) -> None:
    before = await departments(house)
    first, waiting = await two(house)
    await first.fetch(ADD, ("One",))
    ending = asyncio.create_task(first.commit())
    second = await waiting
    await second.fetch(ADD, ("Two",))
    refused = asyncio.create_task(second.rollback())
    assert not ending.done()
    assert await departments(house) == before
    await asyncio.gather(ending, refused)
    assert await departments(house) == [*before, "One"]


async def test_a_commit_that_fails_fails_all_of_its_group(house: House) -> None:
    def fail(sql: str) -> None:
        if sql == "COMMIT":
            raise DatabaseUnavailable("The disk went away.")

    await house.a_client()
    house.engine.database.on_statement = fail
    with capture_logs():
        answers = await create(house)
    house.engine.database.on_statement = None
    for answer in answers:
        check_unavailable(answer)
    assert await house.rows("SELECT count(*) FROM invoices") == [(0,)]
    assert {answer.status_code for answer in await create(house)} == {201}
    await check_sound(house.engine.database)


async def test_an_error_that_undoes_the_whole_transaction_fails_all_of_the_group(house: House) -> None:
    before = await departments(house)
    first, waiting = await two(house)
    await first.fetch(ADD, ("One",))
    ending = asyncio.create_task(first.commit())
    second = await waiting
    with pytest.raises(UniqueViolation):
        await second.fetch(UNDO)
    with pytest.raises(DatabaseUnavailable):
        await second.fetch(ADD, ("Outside",))
    for ended in (second.rollback(), ending):
        with pytest.raises(DatabaseUnavailable):
            await ended
    assert await departments(house) == before
    third = await house.engine.database.begin()
    await third.fetch(ADD, ("Three",))
    await third.commit()
    assert await departments(house) == [*before, "Three"]


@pytest.mark.parametrize("sql", [LONG, LONG_WRITE])
async def test_what_takes_long_in_a_transaction_holds_nobody_up(house: House, sql: str) -> None:
    before = await departments(house)
    transaction = await house.engine.database.begin()
    await transaction.fetch(ADD, ("One",))
    running = asyncio.create_task(transaction.fetch(sql, (3_000_000,)))
    longest, turns = 0.0, 0
    while not running.done():
        began = time.perf_counter()
        await asyncio.sleep(0)
        longest, turns = max(longest, time.perf_counter() - began), turns + 1
    await running
    assert turns > 100
    assert longest < 0.25
    await transaction.commit()
    assert len(await departments(house)) == len(before) + 1


async def test_a_statement_whose_caller_goes_away_ends_before_the_next(house: House) -> None:
    before = await departments(house)
    transaction = await house.engine.database.begin()
    await transaction.fetch(ADD, ("One",))
    running = asyncio.create_task(transaction.fetch(LONG_WRITE, (1_000_000,)))
    await asyncio.sleep(0.02)
    running.cancel()
    await transaction.rollback()
    assert running.cancelled()
    assert await departments(house) == before
    await house.a_client()


async def test_another_process_finds_its_turn_beside_one_that_always_writes(house: House) -> None:
    writing = True

    async def write() -> None:
        while writing:
            transaction = await house.engine.database.begin()
            await transaction.fetch("UPDATE departments SET name = name WHERE id = ?", (1,))
            await transaction.commit()

    writers = [asyncio.create_task(write()) for _ in range(16)]
    async with at(house.location) as other:
        for number in range(5):
            transaction = await other.begin()
            await transaction.fetch(ADD, (f"Beside {number}",))
            await transaction.commit()
    writing = False
    await asyncio.gather(*writers)
    assert (await departments(house))[-5:] == [f"Beside {number}" for number in range(5)]
