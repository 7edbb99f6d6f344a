"""A PostgreSQL that stops amid the work of two servers: answers come in seconds, and nothing acknowledged is lost."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from resolvers import migrations
from resolvers.engines.postgres import PostgresLocation
from tests.reliability.load import Load
from tests.reliability.own_postgres import OwnPostgres
from tests.reliability.served import Installation, two_servers
from tests.reliability.soundness import check_sound_at, tell
from tests.reliability.test_shutdown import until
from tests.reliability.test_workers import both

pytestmark = pytest.mark.anyio

SECONDS_AWAY = float(os.environ.get("ARCBILLING_TEST_OUTAGE_SECONDS") or 4)
WORKERS = 4
SECONDS_TO_ANSWER = 5
SECONDS_TO_HEAL = 5


@pytest.fixture
def own_postgres() -> Iterator[OwnPostgres]:
    server = OwnPostgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def servers(
    tmp_path: Path, own_postgres: OwnPostgres
) -> AsyncIterator[tuple[Installation, list[httpx2.AsyncClient]]]:
    await migrations.migrate(PostgresLocation(own_postgres.url))
    async with two_servers(tmp_path, DATABASE_URL=own_postgres.url, LOG_LEVEL="error") as servers:
        yield servers


async def test_a_database_that_goes_away_is_answered_503_and_heals_without_a_restart(
    servers: tuple[Installation, list[httpx2.AsyncClient]], own_postgres: OwnPostgres
) -> None:
    place, clients = servers
    ada = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}
    client_id = (await clients[0].post("/api/v1/clients", json=ada)).json()["data"]["id"]
    load = Load(clients)
    before = load.enter("before")
    workers = [asyncio.create_task(load.work(client_id)) for _ in range(WORKERS)]
    await asyncio.sleep(2)
    away = load.enter("database away")
    await asyncio.sleep(0.5)  # what began before is answered
    await asyncio.to_thread(own_postgres.stop)
    await asyncio.sleep(SECONDS_AWAY / 2)
    assert [(await http.get("/readyz")).status_code for http in clients] == [503, 503]
    assert [(await http.get("/livez")).status_code for http in clients] == [200, 200]
    await asyncio.sleep(SECONDS_AWAY / 2)
    healing = load.enter("coming back")
    await asyncio.to_thread(own_postgres.start)
    began = time.monotonic()
    while [(await http.get("/readyz")).status_code for http in clients] != [200, 200]:
        assert time.monotonic() - began < SECONDS_TO_HEAL
        await asyncio.sleep(0.05)
    healed = time.monotonic() - began
    after = load.enter("after")
    await asyncio.sleep(3)
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)
    await asyncio.sleep(2)  # what the last callers did not wait for, and its numbering

    kept = {id for (id,) in await place.rows("SELECT id FROM invoices")}
    lost = [id for id in load.acknowledged if id not in kept]
    phases = "\n".join(str(phase) for phase in load.phases)
    tell(
        f"two servers, PostgreSQL away for {SECONDS_AWAY:g} s, {WORKERS} callers:\n{phases}\n"
        f"  ready again {healed:.2f} s after it answered; {len(lost)} of {len(load.acknowledged)} writes lost"
    )
    assert lost == []
    assert (before.failed, after.failed) == ([], [])
    assert after.seconds
    assert away.failed
    for phase in (away, healing):
        assert max(phase.seconds) <= SECONDS_TO_ANSWER
        assert all('"INTERNAL_ERROR"' in text and "503" in text for text in phase.failed), phase.failed[:3]
    assert await place.rows("SELECT id FROM events WHERE sequence IS NULL") == []
    await check_sound_at(place.location)


async def test_workers_that_die_while_the_database_is_away_are_replaced_and_answer_503(
    tmp_path: Path, own_postgres: OwnPostgres
) -> None:
    place = Installation(tmp_path, DATABASE_URL=own_postgres.url, LOG_LEVEL="error")
    async with place.serving("--workers", "2"), httpx2.AsyncClient(base_url=place.url, timeout=30) as http:
        first = await both(place)
        await asyncio.to_thread(own_postgres.stop)
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()

        async def others() -> bool:
            return first.isdisjoint(await both(place))  # one that is being killed may answer once more

        await until(others)
        replaced = time.monotonic() - began
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
        await asyncio.to_thread(own_postgres.start)

        async def ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await until(ready, within=SECONDS_TO_HEAL)
    tell(f"both workers killed while PostgreSQL was away: two others answered {replaced:.2f} s later")
