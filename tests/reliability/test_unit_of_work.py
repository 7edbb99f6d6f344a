"""The unit of work when something goes wrong: a lock, a full disk, a time-out, a failure at the last moment."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from resolvers import database as database_module
from resolvers import unit_of_work
from schema.events import ClientCreated, InvoicePaid, emit
from schema.fields import COMMANDS
from tests.conftest import House, open_house
from tests.reliability.soundness import check_sound

pytestmark = pytest.mark.anyio

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}


def check_unavailable(answer: httpx2.Response) -> None:
    """503 in the envelope, with when to try again."""
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "INTERNAL_ERROR"
    assert int(answer.headers["retry-after"]) >= 1


@contextmanager
def written_elsewhere(house: House) -> Iterator[None]:
    """As while another process writes and does not end."""
    with closing(sqlite3.connect(house.settings.sqlite_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
async def hasty(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A house that waits for other processes for no more than a moment."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 50)
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


async def test_the_reading_connection_cannot_write(house: House) -> None:
    with pytest.raises(database_module.DatabaseUnavailable, match="readonly"):
        await house.engine.database.reader.fetch("DELETE FROM clients")


async def test_a_unit_that_takes_too_long_is_rolled_back_and_frees_the_writer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resolvers import clients

    await house.a_client()
    add = clients.table.add

    async def slow(*arguments: Any) -> Any:
        row = await add(*arguments)
        await asyncio.sleep(60)
        return row

    monkeypatch.setattr(clients, "add", slow)
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
    check_sound(house.settings.sqlite_path)


async def test_a_writer_waits_for_others_no_longer_than_its_limit(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "SECONDS_TO_WAIT", 0.05)
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


@pytest.mark.parametrize("statement", ["COMMIT", "INSERT INTO audit_entries", "INSERT INTO events", "UPDATE number"])
async def test_a_failure_at_any_statement_leaves_nothing(house: House, statement: str) -> None:
    client = await house.a_client()
    body = {"client_id": client["id"], "due_date": "2030-01-31", "items": [{"description": "x", "amount": "1"}]}
    before = await house.rows("SELECT count(*) FROM audit_entries")

    def fail(sql: str) -> None:
        if sql.startswith(statement):
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
    check_sound(house.settings.sqlite_path)


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
    check_sound(house.settings.sqlite_path)
    await writer(house, "PRAGMA max_page_count = 1000000")
    assert (await house.rest("POST", "/invoices", body)).status_code == 201
    check_sound(house.settings.sqlite_path)


async def test_a_database_that_cannot_be_read_is_answered_in_the_envelope(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(sql: str) -> None:
        raise database_module.DatabaseUnavailable("The disk went away.")

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


async def test_shutdown_waits_for_what_has_begun(tmp_path: Path, empty_database: Path) -> None:
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
    check_sound(house.settings.sqlite_path)
    with closing(sqlite3.connect(house.settings.sqlite_path)) as database:
        assert database.execute("SELECT count(*) FROM invoices").fetchone() == (1,)
