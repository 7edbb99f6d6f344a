"""An installation for one run: a database of its own, and servers that can be killed and started again."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
from redis import Redis
from redis.exceptions import RedisError

from tests.databases import POSTGRES_URL, EmptyDatabase, EmptyPostgres, EmptySqlite
from tests.reliability.own_redis import OwnRedis
from tests.reliability.served import Installation
from tests.torture.plan import Plan

REDIS_URL = "redis://127.0.0.1:6379/0"
SECONDS_TO_ANSWER = 30.0


class Server:
    """One process that serves, on a port that it keeps."""

    def __init__(self, place: Installation) -> None:
        self.place = place
        self._life: AsyncExitStack | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    async def start(self) -> None:
        self._life = AsyncExitStack()
        self._process = await self._life.enter_async_context(self.place.serving())

    async def kill(self) -> None:
        """SIGKILL: nothing in it can do anything about that."""
        assert self._process is not None, "it was started"
        self._process.kill()
        await self.stop()

    async def stop(self) -> None:
        if self._life is not None:
            life, self._life = self._life, None
            await life.aclose()


class Site:
    """The servers of one database."""

    def __init__(self, servers: list[Server], clients: list[httpx2.AsyncClient], redis: OwnRedis | None) -> None:
        self.servers = servers
        self.clients = clients
        self.redis = redis
        self.kills: list[tuple[float, float]] = []
        """When each kill began and when the processes were gone, as `time.time()` tells it."""

    @property
    def place(self) -> Installation:
        return self.servers[0].place

    async def kill(self, which: list[int]) -> None:
        began = time.time()
        for number in which:
            await self.servers[number].kill()
        self.kills.append((began, time.time()))

    async def start(self, which: list[int]) -> None:
        for number in which:
            await self.servers[number].start()

    async def stop(self) -> None:
        for server in self.servers:
            await server.stop()


@asynccontextmanager
async def built(plan: Plan) -> AsyncIterator[Site]:
    """A site that serves; at the end it and its database are gone."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="arcbilling-torture-")))
        empty: EmptyDatabase
        if plan.engine == "sqlite":
            empty = sqlite = EmptySqlite(folder / "empty.sqlite3")
            await sqlite.migrate()
        else:
            empty = postgres = EmptyPostgres(POSTGRES_URL, f"arcbilling_torture_{secrets.token_hex(4)}")
            stack.push_async_callback(postgres.drop)
            await postgres.migrate()
        settings = {name.upper(): value for name, value in (await empty.furnish(folder / "data")).items()}
        settings |= {
            "LOG_LEVEL": "warning",
            "TIME_SCALE": str(plan.time_scale),
            "WEBHOOK_ALLOW_NETS": "127.0.0.0/8",
            "AUTO_MIGRATE": "off",
        }
        redis = None
        if plan.redis == "own":
            redis = OwnRedis(folder)
            redis.start()
            stack.callback(redis.kill)
            settings["REDIS_URL"] = redis.url
        elif plan.redis == "shared" and plan.engine == "postgres" and _answers(REDIS_URL):
            settings["REDIS_URL"] = REDIS_URL
        places = [Installation(folder / "data", **settings) for _ in range(plan.processes)]
        headers = {"authorization": f"Bearer {await places[0].new_key()}"}
        limits = httpx2.Limits(max_connections=None)
        clients = [
            await stack.enter_async_context(
                httpx2.AsyncClient(base_url=place.url, headers=headers, timeout=SECONDS_TO_ANSWER, limits=limits)
            )
            for place in places
        ]
        site = Site([Server(place) for place in places], clients, redis)
        stack.push_async_callback(site.stop)
        await site.start(list(range(plan.processes)))
        yield site


def _answers(url: str) -> bool:
    with Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1) as redis:
        try:
            return bool(redis.ping())
        except RedisError:
            return False
