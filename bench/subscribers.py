"""The part subscribers: many who listen and hear nothing, and one event that all of them are to hear."""

import asyncio
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.databases import Databases, command, filled
from bench.listening import Listener, listen
from bench.load import ask
from bench.main_table import TITLES
from bench.options import Options, tell
from bench.report import Report, Table, number
from bench.servers import Server, serving
from bench.workloads import Requests

DOCUMENT = "subscription { invoiceCreated { id sequence event timestamp data { number total currency status } } }"
FOR_A_KEY = 100
"""A key may have so many streams open."""
AT_ONCE = 20
SECONDS_IDLE = 5.0
SECONDS_TO_HEAR = 30.0


async def measure(options: Options, folder: Path) -> Report:
    figures: dict[str, Any] = {}
    rows = []
    for engine in options.engines:
        tell(f"{TITLES[engine]}: {options.subscribers:,} subscribers")
        async with filled(engine, folder, 1_000, 10) as databases:
            keys = await _keys(databases, options.subscribers)
            await databases.copy("ours")
            async with serving("ours", databases) as server:
                figures[engine] = told = await _measure(server, databases, keys, options)
        rows.append([TITLES[engine], *(number(one) for one in told.values())])
    heads = [
        "",
        "KB each",
        "connected a second",
        "CPU % while idle",
        "first ms",
        "median ms",
        "last ms",
        "CPU ms for each",
    ]
    words = (
        f"**{options.subscribers:,} subscribers** over graphql-transport-ws: memory of the server for each, and when "
        "an event has reached them after the answer of the command that it is of. They run beside the server."
    )
    return Report([Table(words, heads, rows)], figures)


async def _keys(databases: Databases, subscribers: int) -> list[str]:
    """Made before the copy, by the product's own command."""
    keys = [databases.key]
    while len(keys) * FOR_A_KEY < subscribers:
        printed = await command(databases.environment("original"), "keys", "create", f"listener {len(keys)}")
        keys.append(printed.split()[-1])
    return keys


async def _measure(server: Server, databases: Databases, keys: list[str], options: Options) -> dict[str, float]:
    requests = Requests(databases.key, 1_000, 10)
    for number_ in range(1, 21):  # what is loaded at its first use is no subscriber's
        await ask(server.port, requests.one("W5", "rest", number_))
    (await listen(server.port, keys[0], DOCUMENT)).close()
    await asyncio.sleep(1.0)
    memory, began = server.megabytes(), time.perf_counter()
    room = asyncio.Semaphore(AT_ONCE)

    async def one(place: int) -> Listener:
        async with room:
            return await listen(server.port, keys[place % len(keys)], DOCUMENT)

    listeners = await asyncio.gather(*(one(place) for place in range(options.subscribers)))
    connecting = time.perf_counter() - began
    await asyncio.sleep(1.0)
    each = (server.megabytes() - memory) * 1024 / options.subscribers
    before = server.cpu()
    await asyncio.sleep(SECONDS_IDLE)
    idle = (server.cpu() - before) / SECONDS_IDLE * 100
    found: dict[str, list[float]] = {"first": [], "median": [], "last": [], "cpu": []}
    for number_ in range(options.rounds):
        waits, cpu = await _event(server, requests.one("W5", "rest", 100 + number_), listeners, number_ + 1)
        for name, value in (("first", waits[0]), ("median", median(waits)), ("last", waits[-1])):
            found[name].append(value * 1000)
        found["cpu"].append(cpu / len(listeners) * 1000)
    for listener in listeners:
        listener.close()
    figures = {"kilobytes_each": each, "connected_a_second": options.subscribers / connecting, "idle_cpu_percent": idle}
    return figures | {name: median(values) for name, values in found.items()}


async def _event(server: Server, request: bytes, listeners: list[Listener], heard: int) -> tuple[list[float], float]:
    """How long after the answer each has heard of the event, in order; and the CPU of it."""
    before = server.cpu()
    answer = await ask(server.port, request)
    answered = time.perf_counter()
    if answer.status != 201:
        raise RuntimeError(answer.body.decode())
    async with asyncio.timeout(SECONDS_TO_HEAR):
        while missing := [one for one in listeners if len(one.times) < heard]:
            if missing[0].failed:
                raise RuntimeError(f"{len(missing):,} heard nothing: {missing[0].failed}")
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    return sorted(one.times[heard - 1] - answered for one in listeners), server.cpu() - before
