"""Rounds: each system in turn works off each workload for a moment, again and again; the median counts.

So whatever else the machine does meanwhile falls on all of them alike.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from bench import figures
from bench.load import load
from bench.servers import Server
from bench.workloads import PAGE, Door, Requests, status_of

SECONDS_TO_SETTLE = 0.1
"""What a request leaves to be done after its answer counts too."""


class Contender(NamedTuple):
    """A system, and the door by which it is asked."""

    system: str
    door: Door

    @property
    def name(self) -> str:
        return self.system if self.system != "ours" else self.door


CONTENDERS = (Contender("p0", "rest"), Contender("p1", "rest"), Contender("ours", "rest"), Contender("ours", "graphql"))


class Round(NamedTuple):
    requests: int
    seconds: float
    cpu: float
    database_cpu: float


@dataclass
class Cell:
    """What was measured of one contender at one workload."""

    rounds: list[Round] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests for each CPU-second of the server."""
        return median(one.requests / one.cpu for one in self.rounds)

    @property
    def database_ms(self) -> float:
        """CPU of the database for a request, in milliseconds."""
        return median(one.database_cpu / one.requests for one in self.rounds) * 1000

    @property
    def wall_rate(self) -> float:
        return median(one.requests / one.seconds for one in self.rounds)

    def wait_ms(self, part: float) -> float:
        """So long that part of the requests waited at most, in milliseconds."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000


Results = dict[tuple[str, str], Cell]
"""By workload and contender's name."""


async def stretch(
    server: Server, requests: Requests, workload: str, door: Door, seconds: float, page: int, cell: Cell
) -> None:
    """Works off a workload for some time."""
    await spent(server, requests.source(workload, door, page), status_of(workload, door), seconds, cell)


async def spent(server: Server, source: Iterator[bytes], status: int, seconds: float, cell: Cell) -> None:
    """Enters what requests cost the server and its database, and how long they waited."""
    backends = await server.backends()
    before, database_before = server.cpu(), figures.cpu(backends)
    told = await load(server.port, source, status, seconds)
    await asyncio.sleep(SECONDS_TO_SETTLE)
    # A backend that was started meanwhile has done all that it has done for these requests.
    database_cpu = figures.cpu({*backends, *await server.backends()}) - database_before
    cpu = max(server.cpu() - before, 1 / figures.TICK)
    cell.rounds.append(Round(len(told.waits), told.seconds, cpu, database_cpu))
    cell.waits += told.waits


async def interleaved(
    servers: dict[str, Server],
    requests: Requests,
    workloads: Sequence[str],
    contenders: Sequence[Contender],
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
    page: int = PAGE,
) -> Results:
    results: Results = {(workload, one.name): Cell() for workload in workloads for one in contenders}
    for workload in workloads:
        for one in contenders:
            await stretch(servers[one.system], requests, workload, one.door, seconds / 2, page, Cell())
    for place in range(rounds):
        tell(f"  round {place + 1} of {rounds}")
        turn = place % len(contenders)
        for workload in workloads:
            for one in (*contenders[turn:], *contenders[:turn]):
                cell = results[workload, one.name]
                await stretch(servers[one.system], requests, workload, one.door, seconds, page, cell)
    return results
