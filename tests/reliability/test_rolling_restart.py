"""A rolling restart: two servers are restarted in turn, under load, and no request fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.databases import EmptyDatabase, on_postgres
from tests.reliability.served import Installation
from tests.reliability.soundness import check_sound_at, tell
from tests.reliability.test_shutdown import ADA, seconds, until

pytestmark = pytest.mark.anyio

WRITERS = READERS = 4
ROUNDS = 2


class Balancer:
    """Spreads requests over the servers that say that they are ready, and tries nothing a second time."""

    def __init__(self, places: list[Installation], headers: dict[str, str]) -> None:
        self.places = places
        self.headers = headers
        self.ready: set[str] = set()
        self.answers = 0
        self.failures: list[str] = []
        self._turn = count()
        self._to: dict[str, httpx2.AsyncClient] = {}

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for place in self.places:
                http = httpx2.AsyncClient(base_url=place.url, headers=self.headers, timeout=30)
                self._to[place.url] = await stack.enter_async_context(http)
            watching = [asyncio.create_task(self._watch(place.url)) for place in self.places]
            try:
                yield
            finally:
                for task in watching:
                    task.cancel()
                await asyncio.gather(*watching, return_exceptions=True)

    async def _watch(self, url: str) -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=2) as http:
            while True:
                try:
                    ready = (await http.get("/readyz")).status_code == 200
                except httpx2.TransportError:
                    ready = False
                (self.ready.add if ready else self.ready.discard)(url)
                await asyncio.sleep(0.1)

    async def has_both(self) -> bool:
        return len(self.ready) == 2

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        urls = sorted(self.ready)
        if not urls:
            self.failures.append("no server is ready")
            await asyncio.sleep(0.1)
            return None
        url = urls[next(self._turn) % len(urls)]
        try:
            answer = await self._to[url].request(method, path, **more)
        except httpx2.TransportError as error:
            self.failures.append(f"{method} {path}: {error!r}")
            return None
        if answer.status_code not in (200, 201):
            self.failures.append(f"{method} {path}: {answer.status_code} {answer.text}")
            return None
        self.answers += 1
        return answer.json()["data"]


async def write(balancer: Balancer, done: asyncio.Event, paid: list[int]) -> None:
    while not done.is_set():
        items = [{"description": "Hosting", "amount": "5.00"}]
        body = {"client_id": 1, "due_date": "2030-01-31", "items": items}
        if (invoice := await balancer.ask("POST", "/api/v1/invoices", json=body)) is not None and (
            await balancer.ask("POST", f"/api/v1/invoices/{invoice['id']}/pay", json={})
        ) is not None:
            paid.append(invoice["id"])


async def read(balancer: Balancer, done: asyncio.Event) -> None:
    while not done.is_set():
        await balancer.ask("GET", "/api/v1/invoices?per_page=5&sort=-id")
        await balancer.ask("POST", "/graphql", json={"query": "{ clients(first: 2) { nodes { id email } } }"})


@on_postgres
async def test_a_rolling_restart_of_two_servers_fails_no_request(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    database = {name.upper(): value for name, value in (await empty_database.furnish(tmp_path)).items()}
    places = [Installation(tmp_path, **database, SHUTDOWN_DELAY="1") for _ in range(2)]
    balancer = Balancer(places, {"authorization": f"Bearer {await places[0].new_key()}"})
    done, paid = asyncio.Event(), list[int]()
    served = [place.serving() for place in places]
    servers = [await one.__aenter__() for one in served]
    restarts, ends = 0, []
    try:
        async with balancer.working():
            await until(balancer.has_both)
            assert await balancer.ask("POST", "/api/v1/clients", json=ADA) is not None
            working = [asyncio.create_task(write(balancer, done, paid)) for _ in range(WRITERS)]
            working += [asyncio.create_task(read(balancer, done)) for _ in range(READERS)]
            for _ in range(ROUNDS):
                for number, place in enumerate(places):
                    await asyncio.sleep(0.5)
                    servers[number].terminate()
                    told = seconds()
                    assert await servers[number].wait() == 0
                    ends.append(seconds() - told)
                    await served[number].__aexit__(None, None, None)
                    served[number] = place.serving()
                    servers[number] = await served[number].__aenter__()
                    await until(balancer.has_both)
                    restarts += 1
            await asyncio.sleep(0.5)
            done.set()
            await asyncio.gather(*working)
    finally:
        for one in served:
            await one.__aexit__(None, None, None)
    tell(
        f"{restarts} restarts under load: {balancer.answers} requests answered, {len(balancer.failures)} failed; "
        f"a server ended within {max(ends):.2f} s"
    )
    assert balancer.failures == []
    assert len(paid) == len(set(paid)) > 10
    assert dict(await places[0].rows("SELECT event, count(*) FROM events GROUP BY event"))["invoice.paid"] == len(paid)
    await check_sound_at(places[0].location)
