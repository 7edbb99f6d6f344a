"""What is PostgreSQL's alone: deadlocks, locks and statements that take too long, connections that are cut."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from arcbilling.settings import load
from resolvers.database import Conflict, ConnectionLost, Database, DatabaseUnavailable, LockTimeout
from resolvers.engines import postgres
from resolvers.engines.postgres import PostgresLocation, numbered
from tests.conftest import House, open_house
from tests.databases import POSTGRES_URL, EmptyDatabase, at, on_postgres
from tests.reliability.soundness import check_sound, tell
from tests.reliability.test_unit_of_work import ADA, check_unavailable

pytestmark = [pytest.mark.anyio, on_postgres]


@asynccontextmanager
async def beside(house: House) -> AsyncIterator[Any]:
    """A connection that is not the application's."""
    connection = await asyncpg.connect(house.settings.database_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def hasty(tmp_path: Path, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A house that waits for rows and statements for no more than a moment."""
    monkeypatch.setitem(postgres.LIMITS, "lock_timeout", "100ms")
    monkeypatch.setitem(postgres.LIMITS, "statement_timeout", "300ms")
    monkeypatch.setitem(postgres.LIMITS, "idle_in_transaction_session_timeout", "500ms")
    async with open_house(tmp_path, empty_database) as house:
        yield house


def test_placeholders_are_numbered_in_their_order(engine: str) -> None:
    assert numbered("SELECT 1") == "SELECT 1"
    assert numbered("a = ? AND b IN (?, ?)") == "a = $1 AND b IN ($2, $3)"


def test_a_location_is_named_without_its_password(engine: str) -> None:
    url = "postgresql://arc:hunter2@db.example.com:5433/billing?sslmode=require"
    assert PostgresLocation(url).name == "PostgreSQL at db.example.com:5433/billing"
    assert load({"ARCBILLING_DATABASE_URL": url}).database_name == PostgresLocation(url).name


async def test_the_limits_hold_on_every_connection(house: House) -> None:
    for name, value in postgres.LIMITS.items():
        assert await house.rows(f"SHOW {name}") == [(value,)]
    assert await house.rows("SHOW timezone") == [("UTC",)]


async def test_one_of_two_in_a_deadlock_is_told_and_the_other_goes_on(house: House) -> None:
    await house.a_client()
    await house.a_client()
    first, second = await house.engine.database.begin(), await house.engine.database.begin()
    lock = "SELECT 1 FROM clients WHERE id = ? FOR UPDATE"
    await first.fetch(lock, (1,))
    await second.fetch(lock, (2,))
    outcomes = await asyncio.gather(first.fetch(lock, (2,)), second.fetch(lock, (1,)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, BaseException)] == [Conflict]
    await first.rollback()
    await second.rollback()
    assert (await house.rest("PUT", "/clients/1", {"city": "Rome"})).status_code == 200


@pytest.mark.parametrize("error", [Conflict, ConnectionLost])
async def test_a_command_that_the_engine_undid_is_done_again_once(house: House, error: type[Exception]) -> None:
    client = await house.a_client()
    failures = 2

    def undo(sql: str) -> None:
        nonlocal failures
        if sql.startswith("INSERT INTO invoice_items") and failures:
            failures -= 1
            raise error("undone")

    house.engine.database.on_statement = undo
    made = await house.an_invoice(client["id"])
    house.engine.database.on_statement = None
    assert failures == 0
    assert made["number"].endswith("-00001")
    assert await house.events() == ["client.created", "invoice.created"]
    await check_sound(house.engine.database)


async def test_a_commit_whose_outcome_is_not_known_is_not_done_again(house: House) -> None:
    def cut(sql: str) -> None:
        if sql == "COMMIT":
            raise ConnectionLost("cut")

    house.engine.database.on_statement = cut
    with capture_logs() as logged:
        check_unavailable(await house.rest("POST", "/clients", ADA, headers={"Idempotency-Key": "a"}))
    house.engine.database.on_statement = None
    assert "database unavailable" in [line["event"] for line in logged if line["log_level"] == "warning"]
    assert await house.rows("SELECT count(*) FROM clients") == [(0,)]
    answer = await house.rest("POST", "/clients", ADA, headers={"Idempotency-Key": "a"})
    assert answer.status_code == 201
    assert await house.events() == ["client.created"]


async def test_a_row_that_is_held_for_too_long_is_answered_503_and_changes_nothing(hasty: House) -> None:
    await hasty.a_client()
    async with beside(hasty) as other, other.transaction():
        await other.execute("SELECT 1 FROM clients WHERE id = 1 FOR UPDATE")
        check_unavailable(await hasty.rest("PUT", "/clients/1", {"city": "Rome"}))
        assert (await hasty.rest("GET", "/clients/1")).json()["data"]["city"] is None
    assert (await hasty.rest("PUT", "/clients/1", {"city": "Rome"})).status_code == 200
    assert await hasty.events() == ["client.created", "client.updated"]


async def test_a_key_that_another_process_is_using_is_answered_409(hasty: House) -> None:
    (key_id,) = (await hasty.rows("SELECT max(id) FROM api_keys"))[0]
    async with beside(hasty) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(
            "INSERT INTO idempotency_records (principal, key, fingerprint, created_at, expires_at) "
            "VALUES ($1, 'a', 'x', now(), now() + interval '1 day')",
            f"key:{key_id}",
        )
        answer = await hasty.rest("POST", "/clients", ADA, headers={"Idempotency-Key": "a"})
        assert (answer.status_code, answer.headers["retry-after"]) == (409, "2")
        await transaction.rollback()
    answer = await hasty.rest("POST", "/clients", ADA, headers={"Idempotency-Key": "a"})
    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers


async def test_a_statement_that_takes_too_long_is_ended_and_the_connection_lives(hasty: House) -> None:
    database = hasty.engine.database
    with pytest.raises(DatabaseUnavailable, match="statement timeout"):
        await database.reader.fetch("SELECT pg_sleep(5)")
    assert [tuple(row) for row in await database.reader.fetch("SELECT 1")] == [(1,)]
    transaction = await database.begin()
    with pytest.raises(DatabaseUnavailable, match="statement timeout"):
        await transaction.fetch("SELECT pg_sleep(5)")
    await transaction.rollback()


async def test_a_transaction_that_is_left_open_is_ended_by_the_server(hasty: House) -> None:
    await hasty.a_client()
    transaction = await hasty.engine.database.begin()
    await transaction.fetch("UPDATE clients SET city = 'Rome'")
    await asyncio.sleep(0.8)
    with pytest.raises(ConnectionLost):
        await transaction.fetch("SELECT 1")
    await transaction.rollback()
    assert (await hasty.rest("GET", "/clients/1")).json()["data"]["city"] is None
    assert (await hasty.rest("PUT", "/clients/1", {"city": "Pisa"})).status_code == 200


async def test_a_transaction_that_had_failed_is_not_taken_for_committed(house: House) -> None:
    transaction = await house.engine.database.begin()
    with pytest.raises(asyncpg.UndefinedColumnError):
        await transaction.fetch("SELECT nothing FROM clients")
    with pytest.raises(DatabaseUnavailable, match="had failed"):
        await transaction.commit()
    assert (await house.rest("POST", "/clients", ADA)).status_code == 201


async def test_connections_that_are_cut_amid_the_work_cost_no_answer_that_can_be_saved(house: House) -> None:
    client = await house.a_client()
    statuses: Counter[int] = Counter()

    async def cut(other: Any) -> None:
        await asyncio.sleep(0.01)
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2"
        )

    async def ask(method: str, path: str, body: Any = None) -> None:
        statuses[(await house.rest(method, path, body)).status_code] += 1

    async with beside(house) as other:
        with capture_logs() as logged:
            for number in range(20):
                await asyncio.gather(
                    cut(other),
                    *(ask("GET", f"/clients/{client['id']}") for _ in range(4)),
                    *(ask("POST", "/clients", ADA | {"email": f"{number}-{n}@shop.test"}) for n in range(2)),
                )
    tell(f"120 requests, 40 connections cut meanwhile: {dict(statuses)}")
    assert set(statuses) <= {200, 201, 503}, [line for line in logged if line["log_level"] == "error"]
    assert statuses[200] + statuses[201] >= 100
    assert (await house.rest("GET", "/clients")).status_code == 200
    ((kept,),) = await house.rows("SELECT count(*) FROM clients")
    assert kept - 1 >= statuses[201]
    await check_sound(house.engine.database)


async def test_readers_go_on_while_every_writer_waits(
    tmp_path: Path, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(tmp_path, empty_database, database_pool="4") as house:
        await house.a_client()
        async with beside(house) as other:
            transaction = other.transaction()
            await transaction.start()
            await other.execute("SELECT 1 FROM clients WHERE id = 1 FOR UPDATE")
            writers = [asyncio.create_task(house.rest("PUT", "/clients/1", {"city": f"Rome {n}"})) for n in range(10)]
            await asyncio.sleep(0.2)
            async with asyncio.timeout(1):
                assert (await house.rest("GET", "/clients/1")).status_code == 200
            await transaction.rollback()
        assert Counter(answer.status_code for answer in await asyncio.gather(*writers)) == {200: 10}


async def test_one_process_leads_and_another_takes_over_when_it_is_gone(house: House) -> None:
    first = house.engine.database
    assert await first.lead()
    assert await first.lead()
    async with at(house.location) as second, at(house.location) as third:
        assert not await second.lead()
        await cut_leader(house)
        assert await takes_over(second)
        assert not await third.lead()
        assert not await first.lead()
        await second.close()
        assert await takes_over(third)


async def test_whoever_asks_at_the_same_moment_is_told_the_same(house: House) -> None:
    database = house.engine.database
    assert await asyncio.gather(*(database.lead() for _ in range(5))) == [True] * 5
    async with beside(house) as other:
        held = await other.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'arcbilling leader' "
            "AND datname = current_database()"
        )
    assert held == 1, "no connection is left over"


async def cut_leader(house: House) -> None:
    async with beside(house) as other:
        cut = await other.fetch(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
            "WHERE application_name = 'arcbilling leader' AND datname = current_database() "
            "AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
        )
        assert [tuple(row) for row in cut] == [(True,)]


async def takes_over(database: Database) -> bool:
    for _ in range(100):  # the server needs a moment to see that a connection is gone
        if await database.lead():
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_database_that_can_only_be_read_is_not_ready(house: House) -> None:
    async with house.http() as http:
        assert (await http.get("/readyz")).status_code == 200
        async with beside(house) as other:
            name = await other.fetchval("SELECT quote_ident(current_database())")
            await other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with capture_logs():
            assert (await http.get("/readyz")).status_code == 503
            check_unavailable(await house.rest("POST", "/clients", ADA))
        assert [found.what for found in await house.location.examine() if not found.fine] == [
            "the database can be read and not written"
        ]


async def test_a_column_that_is_widened_beside_the_server_fails_no_request(house: House) -> None:
    await house.a_client()
    for city in ("Rome", "Pisa"):
        assert (await house.rest("PUT", "/clients/1", {"city": city})).status_code == 200
    async with beside(house) as other:
        await other.execute("ALTER TABLE clients ALTER city TYPE varchar(300)")
    assert (await house.rest("PUT", "/clients/1", {"city": "Bari"})).status_code == 200
    assert (await house.rest("GET", "/clients/1")).json()["data"]["city"] == "Bari"


async def test_the_connections_of_all_processes_are_counted(engine: str) -> None:
    few = PostgresLocation(POSTGRES_URL, pool_size=3, processes=2)
    many = PostgresLocation(POSTGRES_URL, pool_size=10, processes=200)
    assert few.connections == 10
    assert [finding.fine for finding in await few.examine() if "connections" in finding.what] == [True]
    assert [finding.fine for finding in await many.examine() if "connections" in finding.what] == [False]


async def test_a_lock_that_takes_too_long_has_its_own_name(hasty: House) -> None:
    await hasty.a_client()
    one, two = await hasty.engine.database.begin(), await hasty.engine.database.begin()
    lock = "SELECT 1 FROM clients WHERE id = 1 FOR UPDATE"
    await one.fetch(lock)
    with pytest.raises(LockTimeout):
        await two.fetch(lock)
    await one.rollback()
    await two.rollback()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://127.0.0.1:1/billing", "cannot be reached"),
        ("postgresql://arc:hunter2@127.0.0.1:1/billing", "cannot be reached"),
        ("postgresql://127.0.0.1:99999/billing", "cannot be reached"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_named_without_its_password(
    engine: str, url: str, reason: str
) -> None:
    location = PostgresLocation(url)
    async with at(location) as database:
        for work in (database.ping, database.begin, database.lead, location.applied):
            with pytest.raises(DatabaseUnavailable, match=reason) as raised:
                await work()
            assert "hunter2" not in str(raised.value)


async def test_nothing_is_reset_after_each_use_of_a_connection_for_nothing_is_ever_set(house: House) -> None:
    await house.a_client()
    await house.rest("GET", "/clients")
    await house.data("{ clients(first: 5) { nodes { id invoices { nodes { id } } } } }")
    last = await house.rows("SELECT query FROM pg_stat_activity WHERE datname = current_database()")
    assert last
    assert not [query for (query,) in last if "RESET" in query]
    settings = "SELECT name FROM pg_settings WHERE source = 'session'"
    assert await house.rows(settings) == []
    assert await house.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()") == []
