"""Erasure amid other work: whatever is under way when a client is erased, nothing of it is left and nothing is done."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from resolvers import outbox, unit_of_work
from resolvers.database import Connection, Rows
from resolvers.tables import WriteSession
from schema.erasure import payload_without_personal
from tests.conftest import House
from tests.databases import on_postgres
from tests.rehearsal import RETRY, a_mocked_product, settled
from tests.reliability.test_postgres import beside

pytestmark = pytest.mark.anyio

ERASED = "UPDATE clients SET deleted_at = created_at WHERE id = 1"


async def planted(house: House, tickets: int) -> None:
    """A client with so many tickets."""
    client = await house.a_client(first_name="Plantedname")
    for _ in range(tickets):
        await house.a_ticket(client["id"], subject="Plantedsubject", message="Plantedmessage")


async def numbered(house: House) -> None:
    while await outbox.sequence_committed(house.engine.database):
        pass


async def test_erasure_may_take_longer_than_other_work_as_long_as_it_gets_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await planted(house, 16)
    rewritings = 0

    def take_time(sql: str) -> None:
        nonlocal rewritings
        if sql.startswith("UPDATE events SET payload"):
            rewritings += 1
            time.sleep(0.2)

    monkeypatch.setattr(outbox, "REWRITTEN_AT_ONCE", 2)
    monkeypatch.setattr(unit_of_work, "TIME_LIMIT_SECONDS", 1)
    house.engine.database.on_statement = take_time
    answer = await house.rest("DELETE", "/clients/1")
    house.engine.database.on_statement = None
    assert answer.status_code == 200, answer.text
    assert rewritings >= 9
    assert "Planted" not in str(await house.rows("SELECT payload FROM events"))


async def test_erasure_reads_the_events_part_by_part(
    house: House, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "REWRITTEN_AT_ONCE", 3)
    await planted(house, 8)
    await numbered(house)
    statements.clear()
    assert (await house.rest("DELETE", "/clients/1")).status_code == 200
    reading = [sql for sql in statements if sql.startswith("SELECT") and "payload" in sql]
    assert len(reading) >= 3
    assert all(sql.endswith(" LIMIT 3") for sql in reading)


@dataclass
class Meanwhile:
    """A connection beside which the events are numbered just before those without a number are asked for."""

    house: House
    connection: Connection

    async def fetch(self, sql: str, values: Sequence[object] = ()) -> Rows:
        if "sequence IS NULL" in sql:
            await numbered(self.house)
        return await self.connection.fetch(sql, values)


@on_postgres
async def test_events_that_are_numbered_during_an_erasure_are_blanked_too(house: House) -> None:
    await planted(house, 2)
    await numbered(house)
    await house.write("UPDATE events SET sequence = NULL WHERE id = (SELECT max(id) FROM events)")
    await house.write("UPDATE event_head SET last_sequence = last_sequence - 1")
    transaction = await house.engine.database.begin()
    session = WriteSession(house.engine.database, Meanwhile(house, transaction))
    await outbox.rewrite_for_erasure(session, 1, payload_without_personal, lambda: None)
    await transaction.commit()
    assert await house.rows("SELECT count(*) FROM events WHERE sequence IS NULL") == [(0,)]
    assert "Planted" not in str(await house.rows("SELECT payload FROM events"))


async def test_an_answer_that_was_stored_while_its_client_was_erased_is_not_replayed(house: House) -> None:
    await house.an_invoice()
    pay = {"query": "mutation { invoicePay(id: 1) { status client { email } } }"}
    async with house.http() as http:
        first = await http.post("/graphql", json=pay, headers={"Idempotency-Key": "k"})
        assert "ada1@shop.test" in first.text
        await house.write(ERASED)  # and its answer is there, since erasure could not see it
        again = await http.post("/graphql", json=pay, headers={"Idempotency-Key": "k"})
    assert again.status_code == 422
    assert "erased" in again.text
    assert "ada1@shop.test" not in again.text


@asynccontextmanager
async def waiting_for(work: Awaitable[Any]) -> AsyncIterator["asyncio.Future[Any]"]:
    """The work, once it has begun and has had the time to end if nothing stops it."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0.3)
    yield task


@on_postgres
async def test_a_key_that_is_made_for_a_client_waits_for_its_erasure(house: House) -> None:
    await house.a_client()
    create = 'mutation { apiKeyCreate(input: {name: "k", clientId: 1}) { key } }'
    async with beside(house) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(ERASED)
        async with waiting_for(house.graphql(create)) as made:
            await transaction.commit()
            response = await made
    assert response["errors"][0]["message"] == "The client id field names no client: 1."
    assert await house.rows("SELECT count(*) FROM api_keys WHERE client_id = 1") == [(0,)]


@on_postgres
async def test_a_call_that_is_retried_waits_for_the_erasure_of_its_client(house: House) -> None:
    await one_call_that_failed(house)
    async with beside(house) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(ERASED)
        async with waiting_for(house.graphql(RETRY, {"id": 1})) as retried:
            await transaction.commit()
            response = await retried
    assert response["errors"][0]["message"] == "Module call 1 is for a client that was erased and cannot be retried."
    assert await house.rows("SELECT status FROM module_calls") == [("failed",)]


@on_postgres
async def test_erasure_waits_for_what_is_under_way_with_the_clients_services(house: House) -> None:
    await one_call_that_failed(house)
    await house.write("UPDATE services SET status = 'terminated'")
    async with beside(house) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("SELECT 1 FROM services WHERE id = 1 FOR UPDATE")
        async with waiting_for(house.rest("DELETE", "/clients/1")) as deleted:
            await other.execute("UPDATE module_calls SET status = 'retrying'")
            await transaction.commit()
            answer = await deleted
    assert answer.status_code == 400
    assert "1 module call not finished" in answer.json()["error"]["message"]


async def one_call_that_failed(house: House) -> None:
    """Client 1 with service 1, whose account could not be made; module call 1 says so."""
    client = await house.a_client()
    await house.a_service(client["id"], await a_mocked_product(house, refuse=1), invoice=False)
    await settled(house)
    assert await house.rows("SELECT status FROM module_calls") == [("failed",)]
