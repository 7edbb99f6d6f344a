"""The part workers: two processes that serve one PostgreSQL, beside one.

Without W4: workers are started by the product alone, which hashes passwords in earnest.
"""

from pathlib import Path

from bench.databases import filled
from bench.main_table import told
from bench.measuring import Cell, Results, stretch
from bench.options import Options, tell
from bench.report import Report, Table, number, ratio
from bench.servers import serving
from bench.workloads import PAGE, WORKLOADS, Requests

NUMBERS = (1, 2)


async def measure(options: Options, folder: Path) -> Report:
    workloads = [one for one in WORKLOADS if one.name in options.workloads and one.name != "W4"]
    results: Results = {}
    megabytes: dict[int, float] = {}
    async with filled("postgres", folder, options.clients, options.invoices) as databases:
        await databases.copy("ours")
        requests = Requests(databases.key, options.clients, options.invoices)
        for number_ in NUMBERS:  # one after the other: two that serve at once would share the processors
            tell(f"PostgreSQL: {number_} {'worker' if number_ == 1 else 'workers'}")
            async with serving("ours", databases, number_) as server:
                for workload in workloads:
                    cell = results[workload.name, str(number_)] = Cell()
                    await stretch(server, requests, workload.name, "rest", options.seconds / 2, PAGE, Cell())
                    for _ in range(options.rounds):
                        await stretch(server, requests, workload.name, "rest", options.seconds, PAGE, cell)
                megabytes[number_] = server.megabytes()
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
