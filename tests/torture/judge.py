"""The judgement: what callers were told, what the database holds, and what receivers were sent, held together."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2

from tests.reliability.receiver import Received
from tests.reliability.soundness import check_sound_at
from tests.torture.endpoints import Endpoint, fault_of
from tests.torture.report import Report, spread

if TYPE_CHECKING:
    from tests.torture.run import Run

PATHS = {
    "/clients": "client.created",
    "/invoices": "invoice.created",
    "/services": "service.created",
    "/tickets": "ticket.opened",
}
SECONDS_IN_FLIGHT = 2.0
"""How long before a kill an answer may have been given that the process had not written down."""
AT_ONCE = 64
"""Deliveries that a process makes at once: no more can be in flight when it is killed."""
TRIES_BEFORE_OTHERS = 3
"""After so many failed attempts an object's later events need not wait."""
EVENTS = """
    SELECT sequence, public_id, event, object_type, object_id, payload, created_at FROM events ORDER BY sequence
"""


class Happened(NamedTuple):
    """An event as the database has it."""

    sequence: int
    id: str
    event: str
    object_type: str
    object_id: int
    payload: str
    at: float


async def judge(run: "Run", report: Report, endpoints: Sequence[Endpoint], steady: Sequence[Endpoint]) -> None:
    """Holds everything together, once nothing is under way; stops the servers for it."""
    journal, place = run.journal, run.site.place
    shown = {path: await _all(run.site.clients[0], path) for path in PATHS}
    await run.site.stop()
    report.figure("kills", len(run.site.kills))
    report.figure("requests acknowledged", journal.acknowledged)
    report.figure("requests made again", journal.unanswered)
    report.figure("answers replayed", journal.replayed)
    report.figure("requests told to come back", journal.put_off)
    _judge_objects(run, report, shown)
    events = [Happened(*row)._replace(at=_seconds(row[-1])) for row in await place.rows(EVENTS)]
    facts = Counter((one.event, one.object_id) for one in events)
    report.figure("events", len(events))
    report.must_not_be("events lost", list((journal.facts - facts).elements()))
    report.must_not_be("events that nobody asked for, or twice", list((facts - journal.facts).elements()))
    gaps = [one.id for number, one in enumerate(events, 1) if one.sequence != number]
    report.must_not_be("events out of the sequence", gaps)
    try:
        await check_sound_at(place.location)
    except AssertionError as error:
        report.must_not_be("unsound", [error])
    for follower in run.followers:
        _judge_follower(report, follower.seen, follower.wrong, events)
    await _judge_deliveries(run, report, endpoints, events)
    report.must_not_be("redirects followed", [one.path for one in run.canary.received])
    report.latencies = list(_latencies(steady, events))
    report.figure("commit to receiver", spread(report.latencies))


def _judge_objects(run: "Run", report: Report, shown: dict[str, dict[int, Any]]) -> None:
    """What GET answers is what was acknowledged last."""
    lost: list[str] = []
    foreign: list[str] = []
    other: list[str] = []
    for path, created in PATHS.items():
        made = {id for event, id in run.journal.facts if event == created}
        lost += [f"{path}/{id}" for id in made - shown[path].keys()]
        foreign += [f"{path}/{id}" for id in shown[path].keys() - made]
    for (path, id), data in run.journal.last_seen.items():
        now = shown[path].get(id, {})
        differ = [name for name in now.keys() & data.keys() if now[name] != data[name]]
        other += [f"{path}/{id} {name}: acknowledged {data[name]!r}, now {now[name]!r}" for name in differ]
    report.must_not_be("objects lost", lost)
    report.must_not_be("objects that nobody asked for, or twice", foreign)
    report.must_not_be("objects other than acknowledged", other)


def _judge_follower(report: Report, seen: list[int], wrong: list[str], events: list[Happened]) -> None:
    """A follower has seen each event after the first once, in order."""
    expected = list(range(2, len(events) + 1))
    report.figure("events seen in the stream", len(seen))
    if seen != expected or wrong:
        again = [number for number, times in Counter(seen).items() if times > 1]
        missing = sorted(set(expected) - set(seen))
        faults = [f"missing {missing[:20]}", f"seen again {again[:20]}", f"in order: {sorted(seen) == seen}", *wrong]
        report.must_not_be("stream not each once in order", faults)


@dataclass
class Tally:
    """What the receivers of all endpoints were sent, held to what they were to be sent."""

    unqueued: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    allowed: int = 0
    """Doubles of what was in flight at a kill."""
    forbidden: list[str] = field(default_factory=list)
    released: int = 0
    """Events before an earlier one of their object that had failed three times."""
    swapped: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


async def _judge_deliveries(run: "Run", report: Report, endpoints: Sequence[Endpoint], events: list[Happened]) -> None:
    sql = "SELECT webhook_id, message_id, status, attempts FROM deliveries"
    ours = {endpoint.id for endpoint in endpoints}
    rows = [row for row in await run.site.place.rows(sql) if row[0] in ours]
    active_from = dict(await run.site.place.rows("SELECT id, active_from FROM webhooks"))
    tally = Tally()
    for endpoint in endpoints:
        attempts = [(row[1], int(row[3])) for row in rows if row[0] == endpoint.id]
        _count(tally, endpoint, [one for one in events if one.sequence > active_from[endpoint.id]], attempts, run)
    report.figure("deliveries", len(rows))
    report.must_not_be("deliveries not queued, or twice", tally.unqueued)
    report.must_not_be("undelivered", tally.undelivered)
    unknown = [row for row in rows if row[2] != "delivered"] if not tally.undelivered else []
    report.must_not_be("delivered, and not known to be", unknown)
    report.figure("doubled, in flight at a kill", tally.allowed)
    report.must_not_be("doubled without a kill, or other than before", tally.forbidden)
    if tally.allowed > AT_ONCE * run.plan.processes * len(run.site.kills):
        report.must_not_be("more in flight than a process may have", [tally.allowed])
    report.must_not_be("sent and not wanted", tally.foreign)
    report.figure("out of order after three failures", tally.released)
    report.must_not_be("out of order for an object", tally.swapped)
    report.must_not_be("bodies at fault", tally.faults)


def _count(
    tally: Tally, endpoint: Endpoint, events: Sequence[Happened], attempts: Sequence[tuple[str, int]], run: "Run"
) -> None:
    """Adds an endpoint, which was to get those of the events that it wants."""
    name, wants = endpoint.name, set(endpoint.wants or ())
    wanted = {one.id: one for one in events if wants & {"*", one.event}}
    queued = Counter(id for id, _ in attempts)
    tried = dict(attempts)
    accepted: dict[str, list[Received]] = {}
    for one in endpoint.receiver.accepted:
        accepted.setdefault(one.id, []).append(one)
    tally.unqueued += [f"{name}: {id}" for id in wanted if queued[id] != 1]
    tally.undelivered += [f"{name}: {id} ({wanted[id].event})" for id in wanted.keys() - accepted.keys()]
    tally.foreign += [f"{name}: {id}" for id in accepted.keys() - wanted.keys()]
    for id, times in accepted.items():
        doubles = _doubles(times, run.site.kills)
        tally.allowed += len(times) - 1 - len(doubles)
        tally.forbidden += [f"{name}: {id} {why}" for why in doubles]
    for one in endpoint.receiver.received:
        if (fault := fault_of(one, endpoint.secret)) is not None:
            tally.faults.append(f"{name}: {one.id} {fault}")
        elif one.id in wanted and not one.body.startswith(wanted[one.id].payload.encode()[:-1] + b","):
            tally.faults.append(f"{name}: {one.id} is not what was stored")
    for earlier, later in _inversions([wanted[id] for id in accepted if id in wanted]):
        if tried[earlier.id] >= TRIES_BEFORE_OTHERS:
            tally.released += 1
        else:
            tally.swapped.append(f"{name}: {later.event} {later.id} before {earlier.event} {earlier.id}")


def _doubles(times: Sequence[Received], kills: Sequence[tuple[float, float]]) -> list[str]:
    """Why a message that came several times must not have."""
    found = []
    for first, again in itertools.pairwise(times):
        if again.body != first.body:
            found.append("came again with other bytes")
        elif not any(first.at <= gone and began - SECONDS_IN_FLIGHT <= first.at < again.at for began, gone in kills):
            found.append(f"came at {first.at:.3f} and again {again.at - first.at:.3f} s later")
    return found


def _inversions(order: Sequence[Happened]) -> Iterator[tuple[Happened, Happened]]:
    """Events of one object that came after a later one of it: each with the latest that had come."""
    latest: dict[tuple[str, int], Happened] = {}
    for one in order:
        last = latest.get((one.object_type, one.object_id))
        if last is not None and one.sequence < last.sequence:
            yield one, last
        else:
            latest[one.object_type, one.object_id] = one


def _latencies(endpoints: Sequence[Endpoint], events: Sequence[Happened]) -> Iterator[float]:
    """From the moment at which a command wrote the event, shortly before its commit, to its arrival."""
    written = {one.id: one.at for one in events}
    for endpoint in endpoints:
        seen = set()
        for one in endpoint.receiver.accepted:
            if one.id not in seen and one.id in written:
                seen.add(one.id)
                yield one.at - written[one.id]


async def _all(http: httpx2.AsyncClient, path: str) -> dict[int, Any]:
    """Every object of a list, by its id."""
    found: dict[int, Any] = {}
    cursor: str | None = None
    while True:
        parameters = {} if cursor is None else {"cursor": cursor}
        answer = await http.get(f"/api/v1{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found |= {one["id"]: one for one in page["data"]}
        cursor = page["meta"]["next_cursor"]
        if cursor is None:
            return found


def _seconds(stored: Any) -> float:
    moment = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
