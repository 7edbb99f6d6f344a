"""What is measured rather than tortured: an endpoint that comes back, and one beside others that never answer."""

import asyncio
import os
import time

from tests.torture.judge import judge
from tests.torture.plan import Plan
from tests.torture.report import Report, percentile, spread
from tests.torture.run import Run, begun, carry_out, followed

SECONDS_AFTER = 90.0
SHARE_AFTER = 0.95
MOST_CPU = 0.05
SECONDS_OF_REST = 10.0
MOST_SLOWER = 1.2
QUICK_ENOUGH = 0.05
"""Seconds that a p99 may rise by: less says more of the machine than of the dispatcher."""


async def come_back(plan: Plan, seconds_down: float) -> Report:
    """A receiver is down while events come, and then back: how many have arrived after 90 seconds."""
    report = Report(f"Backlog of {plan.events:,} on {plan.engine}, at its own pace, seed {plan.seed}")
    async with begun(plan) as run, followed(run):
        endpoint = await run.add("down")
        await endpoint.be("down")
        began = time.monotonic()
        await run.write()
        await asyncio.sleep(max(SECONDS_OF_REST, seconds_down - (time.monotonic() - began)) - SECONDS_OF_REST)
        busy = _cpu_seconds(run)
        await asyncio.sleep(SECONDS_OF_REST)
        share_of_cpu = (_cpu_seconds(run) - busy) / SECONDS_OF_REST
        report.figure("seconds down", f"{time.monotonic() - began:.0f}")
        report.figure("CPU while down, of one core", f"{share_of_cpu:.1%}")
        waiting = await run.count("SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL")
        await endpoint.be("ok")
        back = time.time()
        await run.drain()
        await run.catch_up()
        arrived = sorted(one.at - back for one in endpoint.receiver.accepted)
        in_time = sum(seconds <= SECONDS_AFTER for seconds in arrived)
        report.figure("waiting when it came back", waiting)
        if arrived:
            quarters = ", ".join(f"{share:.0%} {percentile(arrived, share):.1f} s" for share in (0, 0.5, 0.95, 1))
            report.figure("arrived after", quarters)
        report.figure(f"arrived within {SECONDS_AFTER:.0f} s", f"{in_time / max(waiting, 1):.1%}")
        if in_time < waiting * SHARE_AFTER:
            report.must_not_be("too few in time", [f"{in_time} of {waiting}"])
        if share_of_cpu > MOST_CPU:
            report.must_not_be("too much CPU while it was down", [f"{share_of_cpu:.1%}"])
        await judge(run, report, [endpoint], [])
    return report


async def beside_hanging(plan: Plan, hanging: int) -> Report:
    """How long a healthy endpoint waits, alone and beside others that never answer."""
    report = Report(f"Healthy beside {hanging} that hang, on {plan.engine}, seed {plan.seed}")
    found = {}
    for number in (0, hanging):
        part = await carry_out(plan.but(hanging=number, moody=0))
        report.problems |= part.problems
        found[number] = part.latencies
        report.figure(f"commit to receiver beside {number}", spread(part.latencies))
    alone, beside = (percentile(seconds, 0.99) for seconds in found.values())
    report.figure("p99 beside them", f"{beside / alone - 1:+.0%}")
    if beside > alone * MOST_SLOWER and beside - alone > QUICK_ENOUGH:
        report.must_not_be("slower beside those that hang", [f"{alone * 1000:.0f} ms, {beside * 1000:.0f} ms"])
    return report


def _cpu_seconds(run: Run) -> float:
    """What the servers have used so far, with their children."""
    ticks = 0
    for server in run.site.servers:
        with open(f"/proc/{server.pid}/stat") as stat:
            ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")
