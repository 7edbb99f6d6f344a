"""What is kept of the past: attempts, deliveries and events are removed once they are old, a batch at a time."""

from collections.abc import Sequence
from datetime import datetime

from resolvers.database import Database
from resolvers.tables import WriteSession, written

BATCH = 500

_OLD_ATTEMPTS = "SELECT id FROM delivery_attempts WHERE started_at < ? ORDER BY started_at, id LIMIT ?"
_OLD_DELIVERIES = """
    SELECT id FROM (SELECT id, created_at, finished_at FROM deliveries ORDER BY id LIMIT ?) AS oldest
    WHERE created_at < ? AND finished_at IS NOT NULL
"""
_OF_DELETED = """
    SELECT deliveries.id FROM webhooks JOIN deliveries ON deliveries.webhook_id = webhooks.id
    WHERE webhooks.deleted_at IS NOT NULL LIMIT ?
"""
_WITHOUT_WEBHOOK = """
    SELECT webhook_circuits.id FROM webhooks JOIN webhook_circuits ON webhook_circuits.webhook_id = webhooks.id
    WHERE webhooks.deleted_at IS NOT NULL LIMIT ?
"""
_OLDEST_EVENTS = """
    SELECT sequence, CASE WHEN created_at < ? THEN 1 ELSE 0 END FROM events
    WHERE sequence IS NOT NULL ORDER BY sequence LIMIT ?
"""
_NEEDED = """
    SELECT min(deliveries.sequence) FROM webhooks JOIN deliveries ON deliveries.webhook_id = webhooks.id
    WHERE deliveries.status = 'pending' AND deliveries.event_id IS NOT NULL
"""


async def purge(database: Database, attempts_before: datetime, events_before: datetime) -> bool:
    """Removes a batch of everything that is old; tells whether there may be more."""
    reader = database.reader
    attempts = [id for (id,) in await reader.fetch(_OLD_ATTEMPTS, (attempts_before, BATCH))]
    deliveries = {id for (id,) in await reader.fetch(_OLD_DELIVERIES, (BATCH, events_before))}
    deliveries |= {id for (id,) in await reader.fetch(_OF_DELETED, (BATCH,))}
    circuits = [id for (id,) in await reader.fetch(_WITHOUT_WEBHOOK, (BATCH,))]
    last = await _last_old_event(database, events_before)
    if not attempts and not deliveries and not circuits and last is None:
        return False
    async with written(database) as session:
        await _remove(session, "delivery_attempts", "id", attempts)
        await _remove(session, "delivery_attempts", "delivery_id", sorted(deliveries))
        await _remove(session, "deliveries", "id", sorted(deliveries))
        await _remove(session, "webhook_circuits", "id", circuits)
        if last is not None:
            await session.connection.fetch("DELETE FROM events WHERE sequence <= ?", (last,))
    return True


async def _last_old_event(database: Database, before: datetime) -> int | None:
    """The last of the events that may go now: those before it may too, so that what is kept has no gap.

    What a delivery still needs is kept, and the newest event always is.
    """
    oldest = await database.reader.fetch(_OLDEST_EVENTS, (before, BATCH))
    if not oldest or not oldest[0][1]:
        return None
    ((head,),) = await database.reader.fetch("SELECT last_sequence FROM event_head")
    ((needed,),) = await database.reader.fetch(_NEEDED)
    last = None
    for sequence, is_old in oldest:
        if not is_old or sequence >= head or (needed is not None and sequence >= needed):
            break
        last = int(sequence)
    return last


async def _remove(session: WriteSession, table: str, column: str, values: Sequence[int]) -> None:
    if values:
        sql = f"DELETE FROM {table} WHERE {column} IN ({', '.join('?' * len(values))})"
        await session.connection.fetch(sql, values)
