"""Servers whose Redis is killed amid their work: what it costs is latency and exactness of limits, never an answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.databases import EmptyDatabase, on_postgres
from tests.reliability.load import Load
from tests.reliability.own_redis import OwnRedis
from tests.reliability.served import Installation, two_servers
from tests.reliability.soundness import tell

pytestmark = pytest.mark.anyio

WORKERS = 4


@pytest.fixture
async def servers(
    tmp_path: Path, empty_database: EmptyDatabase, own_redis: OwnRedis
) -> AsyncIterator[tuple[Installation, list[httpx2.AsyncClient]]]:
    """Two servers on one database and one Redis, with limits too high to be reached."""
    settings = {name.upper(): value for name, value in (await empty_database.furnish(tmp_path)).items()}
    settings |= {"REDIS_URL": own_redis.url, "RATE_LIMIT_AUTHENTICATED": "1000000/minute", "LOG_LEVEL": "warning"}
    async with two_servers(tmp_path, **settings) as servers:
        yield servers


@on_postgres
async def test_no_request_fails_and_no_write_is_lost_when_redis_is_killed_under_load(
    servers: tuple[Installation, list[httpx2.AsyncClient]], own_redis: OwnRedis
) -> None:
    place, clients = servers
    load = Load(clients)
    load.enter("warming up")
    ada = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}
    client = await load.ask(clients[0], "POST", "/clients", ada)
    workers = [asyncio.create_task(load.work(client["id"])) for _ in range(WORKERS)]
    await asyncio.sleep(2)
    load.enter("with Redis")
    await asyncio.sleep(3)
    load.enter("Redis killed")
    own_redis.kill()
    await asyncio.sleep(3)
    load.enter("Redis back, empty")
    await asyncio.to_thread(own_redis.start)
    await asyncio.sleep(3)
    load.enter("Redis silent")
    with own_redis.silent():
        await asyncio.sleep(3)
    load.enter("Redis speaks again")
    await asyncio.sleep(3)
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)

    await asyncio.sleep(2)  # what the last caller did not wait for
    kept = {id for (id,) in await place.rows("SELECT id FROM invoices")}
    lost = [id for id in load.acknowledged if id not in kept]
    phases = "\n".join(str(phase) for phase in load.phases)
    written = f"{len(lost)} of {len(load.acknowledged)} writes lost"
    tell(f"two servers on PostgreSQL, {WORKERS} callers:\n{phases}\n  {written}")
    assert [phase.failed for phase in load.phases] == [[]] * len(load.phases)
    assert all(phase.seconds for phase in load.phases)
    assert lost == []
    assert await place.rows("SELECT id FROM events WHERE sequence IS NULL") == []
    assert await in_step(clients)


async def in_step(clients: list[httpx2.AsyncClient]) -> bool:
    """Whether all servers count in one window again."""
    left = [int((await http.get("/api/v1/clients")).headers["x-ratelimit-remaining"]) for http in clients]
    return left == list(range(left[0], left[0] - len(left), -1))
