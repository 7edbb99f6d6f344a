"""`./run torture`: proves that nothing is lost, and prints the figures. Exit 1 when something was."""

import argparse
import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import asyncpg

from arcbilling.settings import without_password
from tests.databases import POSTGRES_URL, reach
from tests.reliability.soundness import tell
from tests.torture.measures import beside_hanging, come_back
from tests.torture.plan import Engine, Plan
from tests.torture.report import Report
from tests.torture.run import carry_out

ENGINES: dict[str, tuple[Engine, ...]] = {
    "sqlite": ("sqlite",),
    "postgres": ("postgres",),
    "both": ("sqlite", "postgres"),
}
SECONDS_OF_REDIS = 45.0


def read(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run torture",
        description="Kills servers amid their work and holds what callers were told, what the database holds and what "
        "receivers were sent together. PostgreSQL and Redis are those of the tests.",
    )
    parser.add_argument("--engine", choices=ENGINES, default="both")
    parser.add_argument("--kills", type=int, default=50, help="how often a server is killed by SIGKILL")
    parser.add_argument("--writers", type=int, default=20, help="callers who write at the same time")
    parser.add_argument("--processes", type=int, default=2, help="servers on PostgreSQL; on SQLite one serves")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second of all callers together")
    parser.add_argument("--seconds", type=float, default=0.0, help="write for so long at least")
    parser.add_argument("--events", type=int, default=0, help="write until there are so many events at least")
    parser.add_argument("--seed", type=int, help="repeats the kills, moods and callers of a run")
    parser.add_argument("--no-redis", action="store_true", help="without the Redis of the tests")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--no-kill", action="store_true", help="measures: exactly once, and how soon")
    mode.add_argument("--redis-restart", action="store_true", help="kills a Redis of its own, which comes back empty")
    mode.add_argument("--backlog", type=int, metavar="EVENTS", help="measures: a receiver that is down, then back")
    mode.add_argument("--hanging", type=int, metavar="ENDPOINTS", help="measures: beside endpoints that never answer")
    parser.add_argument("--down", type=float, default=60.0, help="seconds that the receiver of --backlog is down")
    return parser.parse_args(words)


async def reports(told: argparse.Namespace) -> AsyncIterator[Report]:
    """One report for each engine."""
    seed = random.randrange(1_000_000) if told.seed is None else told.seed
    for engine in ENGINES[told.engine]:
        if engine == "postgres" and told.engine == "both" and not await _postgres_answers():
            tell(f"PostgreSQL at {without_password(POSTGRES_URL)} does not answer, so that only SQLite was tortured.")
            return
        plan = Plan(
            engine,
            seed,
            kills=told.kills,
            writers=told.writers,
            processes=told.processes if engine == "postgres" else 1,
            seconds=told.seconds,
            events=told.events,
            rate=told.rate,
            redis="none" if told.no_redis else "shared",
        )
        yield await _report(plan, told)


async def _postgres_answers() -> bool:
    try:
        await reach(POSTGRES_URL)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    return True


async def _report(plan: Plan, told: argparse.Namespace) -> Report:
    if told.backlog is not None:
        changed = {"kills": 0, "time_scale": 1.0, "events": told.backlog}
        return await come_back(plan.but(**changed), told.down)
    if told.hanging is not None:
        return await beside_hanging(plan.but(kills=0, time_scale=1.0, events=told.events or 500), told.hanging)
    if told.no_kill:
        return await carry_out(plan.but(kills=0, moody=0))
    if told.redis_restart:
        return await carry_out(
            plan.but(kills=0, redis="own", redis_restart=True, seconds=told.seconds or SECONDS_OF_REDIS)
        )
    return await carry_out(plan)


async def main(words: Sequence[str]) -> int:
    task = asyncio.current_task()
    assert task is not None
    for told in (signal.SIGINT, signal.SIGTERM):  # whatever ends it, the servers and the databases end with it
        asyncio.get_running_loop().add_signal_handler(told, task.cancel)
    fine = True
    async for report in reports(read(words)):
        tell(str(report))
        fine = fine and report.fine
    return 0 if fine else 1


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        sys.exit(asyncio.run(main(sys.argv[1:])))
    sys.exit(1)
