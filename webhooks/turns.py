"""A turn of the dispatcher: in one transaction what has ended is written down, and what is due is taken up."""

import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from arcbilling import clock
from models.enums import AttemptTrigger, Circuit, DisabledReason
from models.webhooks import DeliveryAttemptRow, DeliveryRow, WebhookCircuitRow
from resolvers import circuits, clients, deliveries, dispatch
from resolvers.database import Database
from resolvers.dispatch import Candidate
from resolvers.tables import Session, WriteSession, written
from schema.circuits import (
    LEASE,
    LEAST_JITTER,
    MOST_JITTER,
    PROCESS_ENDED,
    Outcome,
    after_attempt,
    after_outcome,
    next_probe_of,
    reason_to_disable,
)
from webhooks.room import Room


@dataclass(frozen=True)
class Attempt:
    """One attempt at a delivery, as it was taken up."""

    delivery: DeliveryRow
    """As it was found, but for the number of attempts, which counts this one unless it is a probe."""
    trigger: AttemptTrigger
    lease: str
    until: datetime
    """When the lease ends."""
    payload: str | None
    """None when the event is not kept any more."""


@dataclass(frozen=True)
class Ended:
    """An attempt that has ended, and how."""

    attempt: Attempt
    outcome: Outcome


@dataclass
class Turn:
    """What a turn has come to."""

    taken: list[Attempt] = field(default_factory=list)
    opened: list[WebhookCircuitRow] = field(default_factory=list)
    """Circuits that have opened."""
    released: bool = False
    """Whether what was held for an endpoint is due now."""
    to_disable: dict[int, DisabledReason] = field(default_factory=dict)
    """Endpoints, and why they are to be disabled."""
    counted: list[tuple[Ended, DeliveryRow]] = field(default_factory=list)
    """The attempts whose outcome counts, with what has become of their deliveries."""


async def take_turn(
    database: Database, ended: Sequence[Ended], room: Room | None, now: datetime, time_scale: float
) -> Turn:
    """Takes a turn: nothing is written if nothing has ended and nothing can be taken up. Without room, nothing is."""
    reader = Session(database, database.reader)
    ready = [] if room is None else await circuits.ready(reader, now)
    shares = [] if room is None else room.shares(ready)
    probed = [] if room is None else [row.webhook_id for row in ready if room.has_probe(row, now)]
    turn = Turn()
    chosen: list[Candidate] | None = None
    if not ended:
        chosen = await dispatch.candidates(reader, shares, now)
        if not chosen and not probed:
            return turn
    async with written(database) as session:
        rows = await _locked(session, ended, probed)
        rows = await _write_down(session, turn, ended, rows, now, time_scale)
        if room is not None:
            closed_to = {row.webhook_id for row in turn.opened} | set(turn.to_disable)
            if chosen is None:
                shares = [share for share in shares if share.webhook_id not in closed_to]
                chosen = await dispatch.candidates(session, shares, now)
            some = room.admitted(chosen)
            probes = await _probes(
                session, [rows[id] for id in probed if id in rows and id not in closed_to], now, time_scale
            )
            turn.taken = await _take_up(session, [one.id for one in some], probes, now)
    return turn


async def take_over(database: Database) -> None:
    """Ends the leases of processes that have ended, before the first turn: of a database that only this one serves."""
    if not await dispatch.left(Session(database, database.reader)):
        return
    async with written(database) as session:
        now, rows = clock.now(), await dispatch.left(session)
        await deliveries.attempts.add_all(session, [_lost(row, now) for row in rows])
        await dispatch.free_now(session, [row.id for row in rows], now)


async def _locked(session: WriteSession, ended: Iterable[Ended], probed: Iterable[int]) -> dict[int, WebhookCircuitRow]:
    """The circuits that may change, in an order that is everybody's."""
    failed = {one.attempt.delivery.webhook_id for one in ended if not one.outcome.succeeded}
    succeeded = {one.attempt.delivery.webhook_id for one in ended if one.outcome.succeeded}
    rows = await circuits.locked(session, failed | set(probed), succeeded - failed)
    return {row.webhook_id: row for row in rows}


async def _write_down(
    session: WriteSession,
    turn: Turn,
    ended: Sequence[Ended],
    rows: Mapping[int, WebhookCircuitRow],
    now: datetime,
    time_scale: float,
) -> dict[int, WebhookCircuitRow]:
    """Writes down how attempts have ended, and what follows for their endpoints; tells how those are doing now."""
    results = []
    for one in ended:
        jitter = random.uniform(LEAST_JITTER, MOST_JITTER)
        attempt = one.attempt
        results.append(after_attempt(attempt.delivery, attempt.trigger, one.outcome, now, jitter, time_scale))
    leases = [one.attempt.lease for one in ended]
    counting = await dispatch.end(session, zip(leases, results, strict=True))
    turn.counted = [(one, row) for one, row in zip(ended, results, strict=True) if row.id in counting]
    erased = await clients.erased(session, {row.client_id for _, row in turn.counted if row.client_id is not None})
    records = [_record(one, is_erased=row.client_id in erased) for one, row in turn.counted]
    await deliveries.attempts.add_all(session, records)
    after = dict(rows)
    for one, row in turn.counted:
        before = after.get(row.webhook_id)
        if before is None or one.outcome.final:
            continue  # all is well with it, or nothing was asked of it
        doing = after[row.webhook_id] = after_outcome(before, one.outcome, now, time_scale)
        if (reason := reason_to_disable(doing, one.outcome, now, time_scale)) is not None:
            turn.to_disable[row.webhook_id] = reason
    for id, doing in after.items():
        if doing != rows[id]:
            await circuits.table.save(session, rows[id], doing)
        if doing.state is Circuit.OPEN and rows[id].state is not Circuit.OPEN:
            turn.opened.append(doing)
        if doing.state is Circuit.DRAINING and rows[id].state is Circuit.OPEN:
            await dispatch.release(session, id, now)
            turn.released = True
    return after


async def _probes(
    session: WriteSession, rows: Iterable[WebhookCircuitRow], now: datetime, time_scale: float
) -> list[int]:
    """The deliveries to probe endpoints with. Whoever has moved the moment of the next probe makes this one."""
    probes = []
    for row in rows:
        if row.state is not Circuit.OPEN or row.next_probe_at is None or row.next_probe_at > now:
            continue
        if (id := await _probe_with(session, row.webhook_id, now)) is not None:
            probes.append(id)
            await circuits.table.save(session, row, row._replace(next_probe_at=next_probe_of(row, now, time_scale)))
    return probes


async def _probe_with(session: WriteSession, webhook_id: int, now: datetime) -> int | None:
    """The oldest delivery; once that was tried in vain, any: what is refused may be one kind of event alone."""
    oldest = await dispatch.oldest(session, webhook_id, now)
    if oldest is None or not await dispatch.was_probe(session, oldest):
        return oldest
    place = random.randint(oldest, max(oldest, await dispatch.newest(session, webhook_id)))
    return await dispatch.oldest(session, webhook_id, now, place) or oldest


async def _take_up(session: WriteSession, due: Sequence[int], probes: Sequence[int], now: datetime) -> list[Attempt]:
    """Takes up what is still due, and probes, whether due or not."""
    found = await dispatch.free(session, {*due, *probes}, now)
    found = [row for row in found if row.id in probes or (row.due_at is not None and row.due_at <= now)]
    if not found:
        return []
    await deliveries.attempts.add_all(session, [_lost(row, now) for row in found if row.lease is not None])
    lease = secrets.token_hex(12)
    until = clock.now() + LEASE  # not from `now`: this transaction may have waited for others
    counted = [row.id for row in found if row.id not in probes]
    await dispatch.take(session, counted, lease, until, counted=True)
    await dispatch.take(session, [row.id for row in found if row.id in probes], lease, until, counted=False)
    payloads = await dispatch.payloads(session, [row.id for row in found])
    return [
        Attempt(row, AttemptTrigger.PROBE, lease, until, payloads.get(row.id))
        if row.id in probes
        else Attempt(row._replace(attempts=row.attempts + 1), row.trigger, lease, until, payloads.get(row.id))
        for row in sorted(found, key=lambda row: (str(row.due_at), row.id))
    ]


def _record(ended: Ended, *, is_erased: bool) -> DeliveryAttemptRow:
    """What is kept of an attempt; not the answer, which may repeat what was sent, if its client is erased by now."""
    outcome = ended.outcome
    return DeliveryAttemptRow(
        id=0,
        delivery_id=ended.attempt.delivery.id,
        trigger=ended.attempt.trigger,
        started_at=outcome.started_at,
        milliseconds=outcome.milliseconds,
        response_status=outcome.status,
        error=outcome.error,
        address=outcome.address,
        answer=None if is_erased else outcome.answer,
    )


def _lost(row: DeliveryRow, now: datetime) -> DeliveryAttemptRow:
    """An attempt whose process ended before an answer was known: its lease has run out."""
    assert row.due_at is not None, "it has a lease"
    started_at = row.due_at - LEASE
    lasted = min(max(now - started_at, timedelta(0)), LEASE)
    return DeliveryAttemptRow(
        id=0,
        delivery_id=row.id,
        trigger=row.trigger,
        started_at=started_at,
        milliseconds=round(lasted.total_seconds() * 1000),
        response_status=None,
        error=PROCESS_ENDED,
        address=None,
        answer=None,
    )
