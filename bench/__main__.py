"""`./run bench`: measures the product beside the yardsticks, prints the ratios, and writes what the docs show."""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench import main_table, pages, sizes, subscribers, workers
from bench.databases import Engine
from bench.options import Options
from bench.report import Report
from bench.workloads import WORKLOADS

PARTS = {
    "main": main_table.measure,
    "sizes": sizes.measure,
    "pages": pages.measure,
    "workers": workers.measure,
    "subscribers": subscribers.measure,
}


def read(words: Sequence[str]) -> tuple[str, Options, Path | None]:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="./run bench",
        description="Measures the product beside two yardsticks, in requests for each CPU-second of the server. The "
        "PostgreSQL is that of the tests. A part that is measured in full is written into docs/performance.md.",
    )
    parser.add_argument("part", nargs="?", choices=PARTS, default="main", help="what to measure (default: main)")
    parser.add_argument("--quick", action="store_true", help="about a minute; writes nothing")
    parser.add_argument("--engine", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--only", metavar="W1,W3", default=",".join(names), help="some of the workloads")
    parser.add_argument("--rounds", type=int, help="how often each is measured; the median counts")
    parser.add_argument("--seconds", type=float, help="how long each time")
    parser.add_argument("--rows", type=int, default=10_000, help="clients; there are three invoices for each")
    parser.add_argument("--subscribers", type=int, default=1_000, help="for the part subscribers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    told = parser.parse_args(words)
    only = tuple(told.only.split(","))
    if unknown := [name for name in only if name not in names]:
        parser.error(f"there is no workload {unknown[0]}; use some of {','.join(names)}")
    if told.rows < 200:
        parser.error("use 200 rows or more")
    engines: tuple[Engine, ...] = ("sqlite", "postgres") if told.engine == "both" else (told.engine,)
    options = Options(
        engines=engines,
        workloads=only,
        rounds=told.rounds or (3 if told.quick else 7),
        seconds=told.seconds or (0.2 if told.quick else 1.5),
        clients=told.rows,
        quick=told.quick,
        subscribers=told.subscribers,
        is_whole=not told.quick and len(engines) == 2 and len(only) == len(names),
    )
    return told.part, options, told.json


async def run(part: str, options: Options) -> Report:
    with tempfile.TemporaryDirectory(prefix="arcbilling-bench-") as folder:
        return await PARTS[part](options, Path(folder))


def main(words: Sequence[str]) -> int:
    part, options, file = read(words)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(run(part, options))
    sys.stdout.write(report.text())
    if file is not None:
        file.write_text(json.dumps(report.figures, indent=2) + "\n")
    if options.is_whole:
        for path in report.publish(part):
            sys.stdout.write(f"Written: {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
