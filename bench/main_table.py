"""The main part: the five workloads, over both doors, on both engines, beside the yardsticks."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import equality, plot
from bench.databases import Engine, filled
from bench.measuring import CONTENDERS, Cell, Results, interleaved
from bench.options import Options, tell
from bench.report import Report, Table, number, ratio
from bench.servers import SYSTEMS, Server, serving
from bench.workloads import WORKLOADS, Requests

TITLES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
NAMES = {"p0": "P0", "p1": "P1", "rest": "REST", "graphql": "GraphQL"}


async def measure(options: Options, folder: Path) -> Report:
    tables: list[Table] = []
    figures: dict[str, Any] = {}
    drawn: dict[str, Results] = {}
    for engine in options.engines:
        tell(f"{TITLES[engine]}: {options.clients:,} clients, {options.invoices:,} invoices")
        async with AsyncExitStack() as stack:
            databases = await stack.enter_async_context(filled(engine, folder, options.clients, options.invoices))
            servers: dict[str, Server] = {}
            for system in SYSTEMS:
                await databases.copy(system)
                servers[system] = await stack.enter_async_context(serving(system, databases))
            requests = Requests(databases.key, options.clients, options.invoices)
            compared = await equality.check(servers, requests)
            tell(f"  {compared} answers compared: all do the same")
            results = await interleaved(
                servers, requests, options.workloads, CONTENDERS, options.rounds, options.seconds, tell
            )
            loaded = {system: server.megabytes() for system, server in servers.items()}
        drawn[engine] = results
        tables += [
            _rates(engine, options, results),
            _waits(engine, options, results),
            _processes(engine, servers, loaded),
        ]
        figures[engine] = {
            "workloads": {f"{workload} {name}": told(cell) for (workload, name), cell in results.items()},
            "start_seconds": {system: server.seconds_to_start for system, server in servers.items()},
            "start_cpu_seconds": {system: server.cpu_to_start for system, server in servers.items()},
            "megabytes_idle": {system: server.megabytes_idle for system, server in servers.items()},
            "megabytes_loaded": loaded,
        }
    return Report(tables, figures, {"performance.svg": plot.bars(_parts_of_p0(drawn, options))})


def told(cell: Cell) -> dict[str, Any]:
    return {
        "requests_per_cpu_second": cell.rate,
        "requests_per_second": cell.wall_rate,
        "database_ms": cell.database_ms,
        "p50_ms": cell.wait_ms(0.5),
        "p99_ms": cell.wait_ms(0.99),
        "rounds": [one._asdict() for one in cell.rounds],
    }


def _titles(options: Options) -> dict[str, str]:
    return {one.name: f"{one.name} {one.title}" for one in WORKLOADS if one.name in options.workloads}


def _rates(engine: Engine, options: Options, results: Results) -> Table:
    heads = ["", *NAMES.values(), "REST / P0", "REST / P1", "GraphQL / P0", "GraphQL / P1", "GraphQL / REST"]
    rows = []
    for workload, title in _titles(options).items():
        rate = {name: results[workload, name].rate for name in NAMES}
        ratios = [ratio(rate[one], rate[other]) for one in ("rest", "graphql") for other in ("p0", "p1")]
        rows.append([title, *(number(rate[name]) for name in NAMES), *ratios, ratio(rate["graphql"], rate["rest"])])
    return Table(f"**{TITLES[engine]}**: requests for each CPU-second of the server, and the ratios.", heads, rows)


def _waits(engine: Engine, options: Options, results: Results) -> Table:
    heads = ["", *(f"{name} p50 / p99" for name in NAMES.values())]
    if engine == "postgres":
        heads += [f"{name} DB" for name in NAMES.values()]
    rows = []
    for workload, title in _titles(options).items():
        cells = [results[workload, name] for name in NAMES]
        row = [title, *(f"{number(cell.wait_ms(0.5))} / {number(cell.wait_ms(0.99))}" for cell in cells)]
        if engine == "postgres":
            row += [f"{cell.database_ms:.2f}" for cell in cells]
        rows.append(row)
    words = ", and the CPU of the database for a request" if engine == "postgres" else ""
    return Table(f"**{TITLES[engine]}**: milliseconds that 16 callers wait at once{words}.", heads, rows)


def _processes(engine: Engine, servers: dict[str, Server], loaded: dict[str, float]) -> Table:
    rows = [
        [
            {"p0": "P0", "p1": "P1", "ours": "ArcBilling"}[system],
            number(server.megabytes_idle),
            number(loaded[system]),
            f"{server.seconds_to_start:.2f}",
            f"{server.cpu_to_start:.2f}",
        ]
        for system, server in servers.items()
    ]
    heads = ["", "MB idle", "MB after the load", "seconds to the first answer", "CPU-seconds of them"]
    return Table(f"**{TITLES[engine]}**: the process.", heads, rows)


def _parts_of_p0(drawn: dict[str, Results], options: Options) -> list[plot.Group]:
    groups = []
    for engine, results in drawn.items():
        for workload in options.workloads:
            floor = results[workload, "p0"].rate
            bars = {NAMES[name]: results[workload, name].rate / floor for name in NAMES if name != "p0"}
            groups.append(plot.Group(f"{workload} {TITLES[engine]}", bars))
    return groups
