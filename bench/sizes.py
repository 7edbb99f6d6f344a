"""The part sizes: lists of 10, 50 and 100, of all three systems."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench.databases import filled
from bench.main_table import NAMES, TITLES, told
from bench.measuring import CONTENDERS, interleaved
from bench.options import Options, tell
from bench.report import Report, Table, number, ratio
from bench.servers import SYSTEMS, Server, serving
from bench.workloads import Requests

LENGTHS = (10, 50, 100)
LISTS = {"W2": "clients", "W3": "invoices with their items"}


async def measure(options: Options, folder: Path) -> Report:
    tables: list[Table] = []
    figures: dict[str, Any] = {}
    for engine in options.engines:
        async with AsyncExitStack() as stack:
            databases = await stack.enter_async_context(filled(engine, folder, options.clients, options.invoices))
            servers: dict[str, Server] = {}
            for system in SYSTEMS:
                await databases.copy(system)
                servers[system] = await stack.enter_async_context(serving(system, databases))
            requests = Requests(databases.key, options.clients, options.invoices)
            rows = []
            for length in LENGTHS:
                tell(f"{TITLES[engine]}: lists of {length}")
                results = await interleaved(
                    servers, requests, tuple(LISTS), CONTENDERS, options.rounds, options.seconds, tell, length
                )
                for workload, title in LISTS.items():
                    rate = {name: results[workload, name].rate for name in NAMES}
                    ratios = [ratio(rate["rest"], rate[other]) for other in ("p0", "p1")]
                    rows.append([f"{length} {title}", *(number(rate[name]) for name in NAMES), *ratios])
                    figures |= {f"{engine} {length} {workload} {name}": told(results[workload, name]) for name in NAMES}
        words = f"**{TITLES[engine]}**: requests for each CPU-second of the server, by the length of the list."
        tables.append(Table(words, ["", *NAMES.values(), "REST / P0", "REST / P1"], sorted(rows, key=_by_list)))
    return Report(tables, figures)


def _by_list(row: list[str]) -> tuple[str, int]:
    length, _, title = row[0].partition(" ")
    return title, int(length)
