"""Figures of deliveries at servers in processes of their own: how soon, how often, in which order.

What is held is the count and the order; how long it took is told, since it is the machine's doing too.
"""

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.databases import EmptyDatabase
from tests.reliability.receiver import Receiver, receiving
from tests.reliability.served import Installation, two_servers
from tests.reliability.soundness import tell

pytestmark = pytest.mark.anyio

DELIVERIES = int(os.environ.get("ARCBILLING_TEST_DELIVERIES") or 80)
BACKLOG = int(os.environ.get("ARCBILLING_TEST_BACKLOG") or 60)
SCALE = "1" if "ARCBILLING_TEST_BACKLOG" in os.environ else "60"
"""The long form is at the pace of every day."""
A_SECOND = 20
"""Events that are made in a second."""
HANGING = 20

Clients = list[httpx2.AsyncClient]


@asynccontextmanager
async def served(
    folder: Path, empty: EmptyDatabase, engine: str, redis_url: str, **more: str
) -> AsyncIterator[tuple[Installation, Clients]]:
    """One server on SQLite, two on PostgreSQL with Redis; a client with a key for each."""
    settings = {name.upper(): value for name, value in (await empty.furnish(folder)).items()}
    settings |= {"WEBHOOK_ALLOW_NETS": "127.0.0.0/8", "LOG_LEVEL": "warning", **more}
    if engine == "postgres":
        async with two_servers(folder, REDIS_URL=redis_url, **settings) as pair:
            yield pair
        return
    place = Installation(folder, **settings)
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with place.serving(), httpx2.AsyncClient(base_url=place.url, headers=headers, timeout=60) as http:
        yield place, [http]


async def made(http: httpx2.AsyncClient, path: str, body: Any) -> Any:
    answer = await http.post(f"/api/v1{path}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def a_client(http: httpx2.AsyncClient) -> int:
    body = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}
    return int((await made(http, "/clients", body))["id"])


async def invoices(clients: Clients, client_id: int, number: int, a_second: float = A_SECOND) -> list[int]:
    """Makes invoices at an even pace, whatever the answers take; tells their ids."""
    items = [{"description": "Hosting", "amount": "29.99"}]
    body = {"client_id": client_id, "due_date": "2030-01-31", "items": items}
    asked, begun = [], time.monotonic()
    for place in range(number):
        await asyncio.sleep(max(0.0, begun + place / a_second - time.monotonic()))
        asked.append(asyncio.create_task(made(clients[place % len(clients)], "/invoices", body)))
    return [one["id"] for one in await asyncio.gather(*asked)]


def percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


async def delays(place: Installation, receiver: Receiver) -> list[float]:
    """Milliseconds from when each event was written, before its commit, until the receiver had it all."""
    rows = await place.rows("SELECT public_id, created_at FROM events WHERE event = 'invoice.created'")
    written = {id: at if isinstance(at, datetime) else datetime.fromisoformat(at) for id, at in rows}
    first: dict[str, float] = {}
    for one in receiver.received:
        first.setdefault(one.id, one.at)
    return [(first[id] - at.replace(tzinfo=at.tzinfo or UTC).timestamp()) * 1000 for id, at in written.items()]


async def test_each_event_arrives_once_and_soon(
    tmp_path: Path, empty_database: EmptyDatabase, engine: str, redis_url: str
) -> None:
    async with receiving() as receiver:
        async with served(tmp_path, empty_database, engine, redis_url) as (place, clients):
            client_id = await a_client(clients[0])
            await made(clients[0], "/webhooks", {"url": receiver.url, "events": ["invoice.created"]})
            await invoices(clients, client_id, DELIVERIES)
            await receiver.until_accepted(DELIVERIES)
        found = await delays(place, receiver)
    assert Counter(receiver.ids.values()) == {1: DELIVERIES}
    assert len(receiver.received) == DELIVERIES
    assert len(found) == DELIVERIES
    p50, p99 = percentile(found, 0.5), percentile(found, 0.99)
    tell(f"{engine}: {DELIVERIES} events, each once; p50 {p50:.0f} ms, p99 {p99:.0f} ms, slowest {max(found):.0f} ms")


async def test_a_backlog_flows_once_its_receiver_is_back(
    tmp_path: Path, empty_database: EmptyDatabase, engine: str, redis_url: str
) -> None:
    async with (
        receiving("500") as receiver,
        served(tmp_path, empty_database, engine, redis_url, TIME_SCALE=SCALE) as (_, clients),
    ):
        client_id = await a_client(clients[0])
        await made(clients[0], "/webhooks", {"url": receiver.url, "events": ["invoice.created", "invoice.paid"]})
        ids = await invoices(clients, client_id, BACKLOG // 2, 2 * A_SECOND)
        for place, id in enumerate(ids):
            answer = await clients[place % len(clients)].post(f"/api/v1/invoices/{id}/pay")
            assert answer.status_code == 200, answer.text
        while_down = len(receiver.received)
        receiver.mode = "ok"
        back = time.time()
        await receiver.until_accepted(2 * len(ids), seconds=300)
    assert Counter(receiver.ids.values()) == {1: 2 * len(ids)}
    told = defaultdict(list)
    for one in receiver.accepted:
        told[one.object].append(one.json["event"])
    assert Counter(map(tuple, told.values())) == {("invoice.created", "invoice.paid"): len(ids)}
    after = [one.at - back for one in receiver.accepted]
    tell(
        f"{engine}: {2 * len(ids)} events held with {while_down} requests, at {SCALE} times the pace; 95 % within "
        f"{percentile(after, 0.95):.1f} s of the receiver's return, the first after {after[0]:.1f} s"
    )


async def test_hanging_neighbours_make_no_difference(
    tmp_path: Path, empty_database: EmptyDatabase, engine: str, redis_url: str
) -> None:
    async with receiving("hang") as hanging, receiving() as receiver:
        async with served(tmp_path, empty_database, engine, redis_url) as (place, clients):
            client_id = await a_client(clients[0])
            wanted = {"url": receiver.url, "events": ["invoice.created"]}
            await made(clients[0], "/webhooks", wanted)
            alone = await invoices(clients, client_id, DELIVERIES)
            await receiver.until_accepted(len(alone))
            for _ in range(HANGING):
                await made(clients[0], "/webhooks", wanted | {"url": hanging.url})
            await invoices(clients, client_id, DELIVERIES)
            await receiver.until_accepted(2 * DELIVERIES)
        found = await delays(place, receiver)
    assert Counter(receiver.ids.values()) == {1: 2 * DELIVERIES}
    before, beside = percentile(found[:DELIVERIES], 0.99), percentile(found[DELIVERIES:], 0.99)
    tell(f"{engine}: p99 {before:.0f} ms alone, {beside:.0f} ms beside {HANGING} endpoints that hang")
