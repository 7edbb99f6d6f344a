"""What is SQLite's alone: one writer, a lock that other processes hold, a disk that is full."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from resolvers.database import DatabaseUnavailable
from resolvers.engines import sqlite_writer
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase, on_sqlite
from tests.reliability.soundness import check_sound
from tests.reliability.test_unit_of_work import ADA, check_unavailable

pytestmark = [pytest.mark.anyio, on_sqlite]


@contextmanager
def written_elsewhere(house: House) -> Iterator[None]:
    """As while another process writes and does not end."""
    with closing(sqlite3.connect(house.settings.sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


COUNTING = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n"


@pytest.fixture
async def hasty(tmp_path: Path, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A house that waits for other processes for no more than a moment."""
    monkeypatch.setattr(sqlite_writer, "SECONDS_FOR_OTHERS", 0.05)
    async with open_house(tmp_path, empty_database) as house:
        yield house


async def test_every_write_begins_with_the_lock(house: House, statements: list[str]) -> None:
    await house.an_invoice()
    begun = [sql for sql in statements if sql.startswith("BEGIN")]
    assert begun
    assert set(begun) == {"BEGIN IMMEDIATE"}
    ((journal, synchronous, foreign_keys),) = [
        [row[0][0] for row in [await writer(house, f"PRAGMA {name}") for name in PRAGMAS]]
    ]
    assert (journal, synchronous, foreign_keys) == ("wal", 2, 1)


PRAGMAS = ("journal_mode", "synchronous", "foreign_keys")


async def writer(house: House, sql: str) -> Any:
    transaction = await house.engine.database.begin()
    try:
        return await transaction.fetch(sql)
    finally:
        await transaction.rollback()


async def test_the_reading_connection_cannot_write(house: House) -> None:
    with pytest.raises(DatabaseUnavailable, match="readonly"):
        await house.engine.database.reader.fetch("DELETE FROM clients")


async def test_a_writer_waits_for_others_no_longer_than_its_limit(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "SECONDS_TO_WAIT", 0.05)
    transaction = await house.engine.database.begin()
    check_unavailable(await house.rest("POST", "/clients", ADA))
    await transaction.rollback()
    assert (await house.rest("POST", "/clients", ADA)).status_code == 201


async def test_a_database_that_another_process_locks_is_unavailable_and_recovers(hasty: House) -> None:
    with written_elsewhere(hasty):
        check_unavailable(await hasty.rest("POST", "/clients", ADA))
        check_unavailable(await hasty.rest("POST", "/clients", ADA, headers={"Idempotency-Key": "a"}))
        assert (await hasty.rest("GET", "/clients")).json()["data"] == []
        response = await hasty.graphql('mutation { departmentCreate(input: { name: "Sales" }) { id } }')
        assert response["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    assert (await hasty.rest("POST", "/clients", ADA, headers={"Idempotency-Key": "a"})).status_code == 201
    assert await hasty.events() == ["client.created"]


async def test_a_full_disk_refuses_writes_and_nothing_else(house: House) -> None:
    client = await house.a_client()
    ((pages,),) = await house.rows("PRAGMA page_count")
    await writer(house, f"PRAGMA max_page_count = {pages + 3}")
    items = [{"description": "x" * 900, "amount": "1"}] * 50
    body = {"client_id": client["id"], "due_date": "2030-01-31", "items": items}
    with capture_logs():
        answers = [await house.rest("POST", "/invoices", body) for _ in range(3)]
        graphql = await house.graphql(
            "mutation($i: InvoiceCreateInput!) { invoiceCreate(input: $i) { id } }",
            {"i": {"clientId": client["id"], "dueDate": "2030-01-31", "items": items}},
        )
    for answer in answers:
        check_unavailable(answer)
    assert graphql["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    assert (await house.rest("GET", f"/clients/{client['id']}")).status_code == 200
    assert await house.rows("SELECT count(*) FROM invoices") == [(0,)]
    await check_sound(house.engine.database)
    await writer(house, "PRAGMA max_page_count = 1000000")
    assert (await house.rest("POST", "/invoices", body)).status_code == 201
    await check_sound(house.engine.database)


async def test_a_read_that_takes_long_holds_nobody_up(house: House) -> None:
    """It is begun in the loop's own thread, and after a moment begun again in another."""
    reading = asyncio.create_task(house.engine.database.reader.fetch(COUNTING, (3_000_000,)))
    longest, turns = 0.0, 0
    while not reading.done():
        began = time.perf_counter()
        await asyncio.sleep(0)
        longest, turns = max(longest, time.perf_counter() - began), turns + 1
    assert [tuple(row) for row in await reading] == [(3_000_000,)]
    assert turns > 100
    assert longest < 0.25


async def test_reads_that_are_answered_at_once_leave_others_their_turn(house: House) -> None:
    others = 0

    async def another() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(another())
    for _ in range(1_000):
        assert await house.engine.database.reader.fetch(COUNTING, (1_000,)) == [(1_000,)]
    beside.cancel()
    assert others > 10


async def test_what_was_committed_by_another_connection_is_read_at_once(house: House) -> None:
    for number in range(1, 20):
        await house.a_client()
        assert await house.engine.database.reader.fetch("SELECT count(*) FROM clients") == [(number,)]
