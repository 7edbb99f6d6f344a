"""The unit of work when something goes wrong: a lock, a full disk, a time-out, a failure at the last moment."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from resolvers import unit_of_work
from resolvers.database import DatabaseUnavailable
from schema.events import ClientCreated, InvoicePaid, emit
from schema.fields import COMMANDS
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase, at
from tests.reliability.soundness import check_sound, check_sound_at

pytestmark = pytest.mark.anyio

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}


def check_unavailable(answer: httpx2.Response) -> None:
    """503 in the envelope, with when to try again."""
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "INTERNAL_ERROR"
    assert int(answer.headers["retry-after"]) >= 1


async def test_reads_do_not_wait_for_an_open_write(house: House) -> None:
    await house.a_client()
    transaction = await house.engine.database.begin()
    await transaction.fetch("UPDATE clients SET city = 'London'")
    async with asyncio.timeout(5):
        answer = await house.rest("GET", "/clients/1")
        data = await house.data("{ client(id: 1) { city } }")
    await transaction.rollback()
    assert answer.json()["data"]["city"] is None
    assert data["client"]["city"] is None


async def test_a_unit_that_takes_too_long_is_rolled_back_and_frees_the_writer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resolvers import clients

    await house.a_client()
    add = clients.add_unless_taken

    async def slow(*arguments: Any) -> Any:
        row = await add(*arguments)
        await asyncio.sleep(60)
        return row

    monkeypatch.setattr(clients, "add_unless_taken", slow)
    monkeypatch.setattr(unit_of_work, "TIME_LIMIT_SECONDS", 0.05)
    check_unavailable(await house.rest("POST", "/clients", ADA, headers={"Idempotency-Key": "a"}))
    query = "mutation($i: ClientCreateInput!) { clientCreate(input: $i) { id } }"
    given = {"firstName": "Ada", "lastName": "L", "email": "b@shop.test", "password": "12345678"}
    response = await house.graphql(query, {"i": given})
    assert response["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    monkeypatch.undo()
    async with asyncio.timeout(5):
        answer = await house.rest("POST", "/clients", ADA, headers={"Idempotency-Key": "a"})
    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers
    assert await house.events() == ["client.created", "client.created"]
    await check_sound(house.engine.database)


@pytest.mark.parametrize("statement", ["COMMIT", "INSERT INTO audit_entries", "INSERT INTO events", "UPDATE number"])
async def test_a_failure_at_any_statement_leaves_nothing(house: House, statement: str) -> None:
    client = await house.a_client()
    body = {"client_id": client["id"], "due_date": "2030-01-31", "items": [{"description": "x", "amount": "1"}]}
    before = await house.rows("SELECT count(*) FROM audit_entries")

    def fail(sql: str) -> None:
        if statement in sql:
            raise RuntimeError("planted-secret")

    house.engine.database.on_statement = fail
    with capture_logs():
        answer = await house.rest("POST", "/invoices", body, headers={"Idempotency-Key": "a"})
    house.engine.database.on_statement = None
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert "planted" not in answer.text
    assert await house.rows("SELECT count(*) FROM invoices") == [(0,)]
    assert await house.rows("SELECT count(*) FROM idempotency_records") == [(0,)]
    assert await house.rows("SELECT count(*) FROM audit_entries") == before
    assert await house.events() == ["client.created"]
    again = await house.rest("POST", "/invoices", body, headers={"Idempotency-Key": "a"})
    assert (again.status_code, again.json()["data"]["number"][-5:]) == (201, "00001")
    await check_sound(house.engine.database)


async def test_a_database_that_cannot_be_read_is_answered_in_the_envelope(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(sql: str) -> None:
        raise DatabaseUnavailable("The disk went away.")

    def break_down(sql: str) -> None:
        raise RuntimeError("planted-secret")

    for broken, status in ((fail, 503), (break_down, 500)):
        house.engine.keyring.forget()
        house.engine.database.on_statement = broken
        with capture_logs():
            rest = await house.rest("GET", "/clients")
            async with house.http() as http:
                graphql = await http.post("/graphql", json={"query": "{ clients { nodes { id } } }"})
        house.engine.database.on_statement = None
        assert (rest.status_code, rest.json()["error"]["code"]) == (status, "INTERNAL_ERROR")
        assert (graphql.status_code, graphql.json()["errors"][0]["extensions"]["code"]) == (status, "INTERNAL_ERROR")
        assert "disk" not in rest.text + graphql.text
        assert "planted" not in rest.text + graphql.text
    assert (await house.rest("GET", "/clients")).status_code == 200


async def test_an_event_that_is_not_declared_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from schema import clients

    async def another(context: Any, happened: ClientCreated) -> None:
        await emit(context, InvoicePaid(happened.object_type, happened.row, happened.client_id))

    assert COMMANDS["clientCreate"].emits == (ClientCreated,)
    monkeypatch.setattr(clients, "emit", another)
    with capture_logs() as logged:
        assert (await house.rest("POST", "/clients", ADA)).status_code == 500
    assert "does not declare that it emits invoice.paid" in str(logged)
    assert await house.events() == []
    assert await house.rows("SELECT count(*) FROM clients") == [(0,)]


async def test_the_same_event_twice_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from schema import clients

    async def twice(context: Any, happened: ClientCreated) -> None:
        await emit(context, happened)
        await emit(context, happened)

    monkeypatch.setattr(clients, "emit", twice)
    with capture_logs():
        assert (await house.rest("POST", "/clients", ADA)).status_code == 500
    assert await house.events() == []
    assert await house.rows("SELECT count(*) FROM clients") == [(0,)]


async def test_shutdown_waits_for_what_has_begun(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database) as house:
        client = await house.a_client()
        begun = asyncio.Event()
        house.engine.database.on_statement = lambda sql: begun.set() if "INSERT INTO invoices" in sql else None
        items = [{"description": "x", "amount": "1"}]
        body = {"client_id": client["id"], "due_date": "2030-01-31", "items": items}
        task = asyncio.create_task(house.rest("POST", "/invoices", body))
        await begun.wait()
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await check_sound_at(house.location)
    async with at(house.location) as database:
        assert [tuple(row) for row in await database.reader.fetch("SELECT count(*) FROM invoices")] == [(1,)]
