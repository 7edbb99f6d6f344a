"""Queries of the dispatcher: what is due, who has taken it up, and what came of it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from models.enums import AttemptTrigger, DeliveryStatus
from models.webhooks import DeliveryRow
from resolvers.deliveries import table
from resolvers.filters import Where, one_of
from resolvers.tables import Session, WriteSession

AT_ONCE = 500
"""Rows that one statement changes where there may be any number of them."""

_IS_NEXT = """COALESCE((
    SELECT 1 FROM deliveries AS earlier
    WHERE earlier.webhook_id = deliveries.webhook_id AND earlier.object_type = deliveries.object_type
    AND earlier.object_id = deliveries.object_id AND earlier.sequence < deliveries.sequence
    AND earlier.status = 'pending' {} LIMIT 1
), 0) <> 1"""
"""Whether no earlier delivery of the same object to the same endpoint comes first. No EXISTS: that may be turned into a
join of the whole table, and this is looked up in an index for each of a few rows. And no IS NULL: PostgreSQL takes that
for rare, and would rather sort a whole backlog than read its beginning; it takes `<>` for common, which this is."""
_IS_NEXT_STRICTLY = _IS_NEXT.format("")
_IS_NEXT_FOR_NOW = _IS_NEXT.format("AND (earlier.attempts < 3 OR earlier.lease IS NOT NULL)")

_LONGEST_DUE = """SELECT * FROM (
    SELECT id, webhook_id, due_at FROM deliveries
    WHERE webhook_id = ? AND due_at <= ? {} ORDER BY due_at, id LIMIT ?
) AS of_{}"""
_FREE = "status = 'pending' AND (lease IS NULL OR due_at <= ?)"


class Share(NamedTuple):
    """How many deliveries of an endpoint may be taken up."""

    webhook_id: int
    most: int
    in_order: bool = False
    """Whether an object's deliveries come one after the other, however often one has failed."""
    manual: bool = False
    """Whether only those that staff have asked for."""


class Candidate(NamedTuple):
    """A delivery that may be taken up."""

    id: int
    webhook_id: int
    due_at: datetime | str
    """As the engine has it, to be compared."""


async def candidates(session: Session, shares: Sequence[Share], now: datetime) -> list[Candidate]:
    """The longest due of each endpoint, as many as it may have, by one statement; those of an endpoint in order."""
    if not shares:
        return []
    parts = []
    for place, share in enumerate(shares):
        is_next = _IS_NEXT_STRICTLY if share.in_order else _IS_NEXT_FOR_NOW
        chosen = "AND trigger = 'manual'" if share.manual else ""
        parts.append(_LONGEST_DUE.format(f"{chosen} AND {is_next}", place))
    values = [value for share in shares for value in (share.webhook_id, now, share.most)]
    return [Candidate(*row) for row in await session.connection.fetch(" UNION ALL ".join(parts), values)]


async def oldest(session: Session, webhook_id: int, now: datetime, beyond: int = 0) -> int | None:
    """The oldest delivery that is pending, whenever it is due, that nobody is at and that waits for no other: from an
    id on, among the next few."""
    sql = f"""
        SELECT id FROM (
            SELECT * FROM deliveries WHERE webhook_id = ? AND {_FREE} AND id >= ? ORDER BY id LIMIT {AT_ONCE}
        ) AS deliveries WHERE {_IS_NEXT_STRICTLY} ORDER BY id LIMIT 1
    """
    rows = await session.connection.fetch(sql, (webhook_id, now, beyond))
    return rows[0][0] if rows else None


async def newest(session: Session, webhook_id: int) -> int:
    """The id of the last delivery that is pending; 0 if none is."""
    sql = "SELECT id FROM deliveries WHERE webhook_id = ? AND status = 'pending' ORDER BY id DESC LIMIT 1"
    rows = await session.connection.fetch(sql, (webhook_id,))
    return int(rows[0][0]) if rows else 0


async def was_probe(session: Session, id: int) -> bool:
    """Whether the last attempt at a delivery was a probe."""
    sql = "SELECT trigger FROM delivery_attempts WHERE delivery_id = ? ORDER BY id DESC LIMIT 1"
    return await session.connection.fetch(sql, (id,)) == [(AttemptTrigger.PROBE.value,)]


async def free(session: WriteSession, ids: Collection[int], now: datetime) -> list[DeliveryRow]:
    """Those that are pending and that nobody is at, locked; without those that another process is about to take up."""
    if not ids:
        return []
    clause = session.database.lock_clause
    skipping = f"{clause} SKIP LOCKED" if clause else ""
    sql = f"SELECT id FROM deliveries WHERE id IN ({', '.join('?' * len(ids))}) AND {_FREE} ORDER BY id{skipping}"
    locked = [id for (id,) in await session.connection.fetch(sql, (*ids, now))]
    return await table.all(session, one_of("id", locked)) if locked else []


async def take(session: WriteSession, ids: Sequence[int], lease: str, until: datetime, *, counted: bool) -> None:
    """Takes up deliveries that are locked: as one of their attempts, unless it does not count."""
    if ids:
        counting = ", attempts = attempts + 1" if counted else ""
        sql = f"UPDATE deliveries SET lease = ?, due_at = ?{counting} WHERE id IN ({', '.join('?' * len(ids))})"
        await session.connection.fetch(sql, (lease, until, *ids))


_LEFT = Where("webhook_id IN (SELECT id FROM webhooks) AND status = 'pending' AND lease IS NOT NULL")


async def left(session: Session) -> list[DeliveryRow]:
    """What somebody is at, or was when it ended."""
    return await table.all(session, _LEFT)


async def free_now(session: WriteSession, ids: Sequence[int], now: datetime) -> None:
    """Ends the leases of deliveries, which are due from then on."""
    sql = f"UPDATE deliveries SET lease = NULL, due_at = ? WHERE id IN ({', '.join('?' * len(ids))})"
    await session.connection.fetch(sql, (now, *ids))


async def payloads(session: Session, ids: Sequence[int]) -> dict[int, str | None]:
    """What is to be sent for each delivery; None when the event is not kept any more."""
    sql = f"""
        SELECT deliveries.id, COALESCE(deliveries.payload, events.payload)
        FROM deliveries LEFT JOIN events ON events.id = deliveries.event_id
        WHERE deliveries.id IN ({", ".join("?" * len(ids))})
    """
    rows = await session.connection.fetch(sql, ids) if ids else ()
    return {int(id): payload for id, payload in rows}


async def end(session: WriteSession, ended: Iterable[tuple[str, DeliveryRow]]) -> set[int]:
    """Writes down how attempts ended, each under the lease that it was made with; tells of which it counts.

    Not of those that were taken up again since, by whoever: what came of this attempt is not theirs.
    """
    counting: set[int] = set()
    alike: dict[tuple[object, ...], list[tuple[str, int]]] = {}
    for lease, row in ended:
        result: tuple[object, ...] = (row.status, row.trigger, row.due_at, row.response_status, row.finished_at)
        alike.setdefault(result, []).append((lease, row.id))
    for result, some in alike.items():
        # No delivery is twice in `ended`, so that none can match the lease of another.
        sql = f"""
            UPDATE deliveries
            SET status = ?, trigger = ?, due_at = ?, response_status = ?, finished_at = ?, lease = NULL
            WHERE id IN ({", ".join("?" * len(some))}) AND lease IN ({", ".join("?" * len(some))})
            RETURNING id
        """
        values = (*result, *(id for _, id in some), *(lease for lease, _ in some))
        counting |= {id for (id,) in await session.connection.fetch(sql, values)}
    return counting


async def release(session: WriteSession, webhook_id: int, now: datetime) -> None:
    """Makes everything that is pending for an endpoint due at once."""
    waiting = "webhook_id = ? AND status = 'pending' AND lease IS NULL AND due_at > ?"
    sql = f"UPDATE deliveries SET due_at = ? WHERE {waiting}"
    await session.connection.fetch(sql, (now, webhook_id, now))


async def is_held(session: Session, webhook_id: int, since: datetime) -> bool:
    """Whether anything is pending that was queued by a moment."""
    sql = "SELECT 1 FROM deliveries WHERE webhook_id = ? AND status = 'pending' AND queued_at <= ? LIMIT 1"
    return bool(await session.connection.fetch(sql, (webhook_id, since)))


async def expired(session: Session, webhook_id: int, queued_until: datetime, now: datetime) -> list[int]:
    """Of the oldest that are pending and that nobody is at, those that were queued by a moment."""
    sql = f"""
        SELECT id FROM (
            SELECT id, queued_at FROM deliveries WHERE webhook_id = ? AND {_FREE} ORDER BY id LIMIT {AT_ONCE}
        ) AS oldest WHERE queued_at <= ?
    """
    return [id for (id,) in await session.connection.fetch(sql, (webhook_id, now, queued_until))]


async def finish(session: WriteSession, ids: Sequence[int], status: DeliveryStatus, now: datetime) -> None:
    """Ends deliveries without another attempt, unless somebody is at them by now."""
    sql = f"""
        UPDATE deliveries SET status = ?, due_at = NULL, lease = NULL, finished_at = ?
        WHERE id IN ({", ".join("?" * len(ids))}) AND {_FREE}
    """
    await session.connection.fetch(sql, (status, now, *ids, now))


async def needless(session: Session, webhook_id: int, now: datetime) -> list[int]:
    """Some of what is pending and that nobody is at."""
    sql = f"SELECT id FROM deliveries WHERE webhook_id = ? AND {_FREE} ORDER BY id LIMIT {AT_ONCE}"
    return [id for (id,) in await session.connection.fetch(sql, (webhook_id, now))]
