"""The part workers: two processes that serve one PostgreSQL, beside one.

Without W4: workers are started by the product alone, which hashes passwords in earnest.
"""

from contextlib import AsyncExitStack
from pathlib import Path

from bench.databases import filled
from bench.main_table import told
from bench.measuring import Cell, Results, stretch
from bench.options import Options, tell
from bench.report import Report, Table, number, ratio
from bench.servers import Server, serving
from bench.workloads import PAGE, WORKLOADS, Requests

NUMBERS = (1, 2)


async def measure(options: Options, folder: Path) -> Report:
    workloads = [one for one in WORKLOADS if one.name in options.workloads and one.name != "W4"]
    results: Results = {}
    async with AsyncExitStack() as stack:
        databases = await stack.enter_async_context(filled("postgres", folder, options.clients, options.invoices))
        servers: dict[int, Server] = {}
        for number_ in NUMBERS:
            await databases.copy(f"of_{number_}")
            servers[number_] = await stack.enter_async_context(serving("ours", databases, number_, f"of_{number_}"))
        requests = Requests(databases.key, options.clients, options.invoices)
        for round_ in range(options.rounds + 1):
            tell(f"  round {round_} of {options.rounds}")
            for workload in workloads:
                for number_, server in servers.items():
                    cell = results.setdefault((workload.name, str(number_)), Cell())
                    into = cell if round_ else Cell()  # the first is to warm up
                    await stretch(server, requests, workload.name, "rest", options.seconds, PAGE, into)
        megabytes = {number_: server.megabytes() for number_, server in servers.items()}
    rows = []
    for workload in workloads:
        one, two = (results[workload.name, str(number_)] for number_ in NUMBERS)
        walls = [number(one.wall_rate), number(two.wall_rate), ratio(two.wall_rate, one.wall_rate)]
        rows.append([f"{workload.name} {workload.title}", *walls, ratio(two.rate, one.rate)])
    heads = ["", "1 worker, a second", "2 workers, a second", "2 / 1", "2 / 1 by CPU-second"]
    words = "**PostgreSQL**: requests a second over REST; who asks and the database use the same processors."
    memory = [["MB of all processes", *(number(megabytes[number_]) for number_ in NUMBERS)]]
    tables = [
        Table(words, heads, rows),
        Table("**PostgreSQL**: memory after the load.", ["", "1 worker", "2 workers"], memory),
    ]
    figures = {f"{workload} {name} workers": told(cell) for (workload, name), cell in results.items()}
    return Report(tables, {**figures, "megabytes": megabytes})
