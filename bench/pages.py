"""The part pages: whether a page costs the same at any depth of a table of ten thousand, and of a million rows."""

from itertools import repeat
from pathlib import Path
from typing import Any

from bench.databases import filled
from bench.main_table import TITLES
from bench.measuring import Cell, spent
from bench.options import Options, tell
from bench.report import Report, Table, number, ratio
from bench.servers import Server, serving
from bench.workloads import PAGE, Requests

SIZES = (10_000, 100_000, 1_000_000)
QUICK = (1_000, 10_000)
PLACES = {"at the start": 0.0, "in the middle": 0.5, "at the end": 1.0}


async def measure(options: Options, folder: Path) -> Report:
    """The product alone, over REST."""
    tables: list[Table] = []
    figures: dict[str, Any] = {}
    for engine in options.engines:
        costs: dict[str, list[tuple[float, float]]] = {}
        for size in QUICK if options.quick else SIZES:
            tell(f"{TITLES[engine]}: a table of {size:,} clients")
            async with filled(engine, folder / str(size), size, 10) as databases:
                await databases.copy("ours")
                async with serving("ours", databases) as server:
                    costs[f"{size:,} clients"] = await _costs(server, Requests(databases.key, size, 10), size, options)
        figures[engine] = costs
        first, *_, last = costs.values()
        rows = [[name, *(_cost(one, engine == "postgres") for one in found)] for name, found in costs.items()]
        growth = (ratio(sum(one), sum(other)) for one, other in zip(last, first, strict=True))
        rows.append(["the last by the first", *growth])
        words = f"milliseconds of CPU for a page of {PAGE} clients" + (
            ", of the server and of its database." if engine == "postgres" else ", SQLite's within the server."
        )
        tables.append(Table(f"**{TITLES[engine]}**: {words}", ["", *PLACES], rows))
    return Report(tables, figures)


async def _costs(server: Server, requests: Requests, size: int, options: Options) -> list[tuple[float, float]]:
    """By place, of the server and of its database, in milliseconds."""
    cells = {place: Cell() for place in PLACES}
    for round_ in range(options.rounds + 1):
        for place, part in PLACES.items():
            request = requests.one("W2", "rest", int((size - PAGE - 1) * part))
            cell = cells[place] if round_ else Cell()  # the first is to warm up
            await spent(server, repeat(request), 200, options.seconds, cell)
    return [(1000 / cell.rate, cell.database_ms) for cell in cells.values()]


def _cost(cost: tuple[float, float], is_apart: bool) -> str:
    server, database = cost
    return f"{number(server)} + {number(database)}" if is_apart else number(server)
