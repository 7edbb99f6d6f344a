"""What is queued again for an endpoint: deliveries that failed or were skipped, and events that were never queued."""

from collections.abc import Callable
from datetime import datetime

from models.enums import AttemptTrigger, DeliveryStatus
from models.webhooks import DeliveryRow, WebhookRow
from resolvers import outbox
from resolvers.deliveries import WANTED
from resolvers.filters import equal
from resolvers.tables import Session, WriteSession

LOST = (DeliveryStatus.FAILED.value, DeliveryStatus.SKIPPED.value)

_QUEUED_BEFORE = f"""
    SELECT (SELECT deliveries.id FROM deliveries WHERE webhook_id = webhooks.id AND message_id = events.public_id)
    FROM events JOIN webhooks ON webhooks.id = ? AND {WANTED}
    WHERE events.sequence > ? AND events.sequence <= ?
"""
"""A subquery for each, so that it is looked up in an index, however many deliveries there are."""
_QUEUE_AGAIN = """
    UPDATE deliveries
    SET status = ?, trigger = ?, attempts = 0, due_at = ?, lease = NULL, queued_at = ?, finished_at = NULL
    WHERE id IN ({}) AND (status IN (?, ?) OR status = ? AND lease IS NULL AND due_at > ?)
    RETURNING id
"""
_QUEUE_MISSING = f"""
    INSERT INTO deliveries (
        webhook_id, message_id, event, event_id, object_type, object_id, sequence, client_id,
        status, trigger, attempts, due_at, queued_at, created_at
    )
    SELECT
        webhooks.id, events.public_id, events.event, events.id, events.object_type, events.object_id, events.sequence,
        events.client_id, ?, ?, 0, events.created_at, ?, ?
    FROM events JOIN webhooks ON webhooks.id = ? AND webhooks.active_from < events.sequence AND {WANTED}
    WHERE events.sequence > ? AND events.sequence <= ?
    ORDER BY events.sequence
    ON CONFLICT (webhook_id, message_id) DO NOTHING
    RETURNING id
"""
_FIRST_SINCE = "SELECT min(sequence) FROM events WHERE created_at >= ? AND sequence IS NOT NULL"
_FIRST_LOST = """
    SELECT min(sequence) FROM deliveries
    WHERE webhook_id = ? AND event_id IS NOT NULL AND (status = ? OR status = ? AND finished_at >= ?)
"""
_WAITING = (
    "SELECT id FROM deliveries WHERE webhook_id = ? AND status = ? AND lease IS NULL AND id > ? ORDER BY id LIMIT ?"
)
_SKIP = "UPDATE deliveries SET status = ?, due_at = NULL, lease = NULL, finished_at = ? WHERE status = ?"
_HASTEN = "UPDATE deliveries SET attempts = 0, due_at = ?, queued_at = ? WHERE status = ?"
_UNDER_WAY = " AND lease IS NOT NULL AND webhook_id = ?"
_THESE = " AND lease IS NULL AND id IN ({})"
AT_ONCE = 1_000
"""Deliveries that one statement changes: there may be any number of them, and a statement has its time limit."""


async def recover(session: WriteSession, webhook: WebhookRow, after: int, to: int, now: datetime) -> int:
    """Queues the events of these sequence numbers that the endpoint wants and has not got; tells how many.

    What waits for its next attempt is made due as well. They keep their ids, and so the order of each object's.
    """
    queued = (DeliveryStatus.PENDING.value, AttemptTrigger.AUTO.value)
    found, pending = 0, DeliveryStatus.PENDING.value
    rows = await session.connection.fetch(_QUEUED_BEFORE, (webhook.id, after, to))
    if ids := [id for (id,) in rows if id is not None]:
        again = (*queued, now, now, *ids, *LOST, pending, now)
        found = len(await session.connection.fetch(_QUEUE_AGAIN.format(", ".join("?" * len(ids))), again))
    missing = (*queued, now, now, webhook.id, after, to)
    return found + len(await session.connection.fetch(_QUEUE_MISSING, missing))


async def first_since(session: Session, moment: datetime) -> int | None:
    """The sequence number of the first event that is kept from a moment on."""
    ((first,),) = await session.connection.fetch(_FIRST_SINCE, (moment,))
    return first if first is None else int(first)


async def first_lost(session: Session, webhook: WebhookRow, failing_since: datetime) -> int | None:
    """The sequence number of the first event that was skipped for the endpoint, or has failed since a moment."""
    failed, skipped = LOST
    ((first,),) = await session.connection.fetch(_FIRST_LOST, (webhook.id, skipped, failed, failing_since))
    return first if first is None else int(first)


async def skip_pending(session: WriteSession, webhook: WebhookRow, now: datetime, *, under_way: bool) -> None:
    """Skips what waits for the endpoint; also what is being tried, if told so, whose result then counts no more.

    Of a large backlog only the beginning: nothing is sent to an endpoint that is not active, so tending may skip
    the rest.
    """
    values = (DeliveryStatus.SKIPPED.value, now, DeliveryStatus.PENDING.value)
    if under_way:
        await session.connection.fetch(_SKIP + _UNDER_WAY, (*values, webhook.id))
    if ids := await _waiting(session, webhook, 0):
        await session.connection.fetch(_SKIP + _THESE.format(", ".join("?" * len(ids))), (*values, *ids))


async def hasten(session: WriteSession, webhook: WebhookRow, now: datetime, progress: Callable[[], None]) -> None:
    """Makes what waits for its next attempt due, as if it had just been queued, part by part; calls after each."""
    values = (now, now, DeliveryStatus.PENDING.value)
    last = 0
    while ids := await _waiting(session, webhook, last):
        await session.connection.fetch(_HASTEN + _THESE.format(", ".join("?" * len(ids))), (*values, *ids))
        last = ids[-1]
        progress()


async def event_is_kept(session: Session, delivery: DeliveryRow) -> bool:
    """Whether the payload of a delivery is still there: of a test it always is."""
    return delivery.event_id is None or await outbox.table.exists(session, equal("id", delivery.event_id))


async def _waiting(session: Session, webhook: WebhookRow, after: int) -> list[int]:
    """Some of what waits for the endpoint, and is not being tried, beyond an id."""
    values = (webhook.id, DeliveryStatus.PENDING.value, after, AT_ONCE)
    return [id for (id,) in await session.connection.fetch(_WAITING, values)]
