"""Queries of deliveries: one event for one endpoint, each until it has arrived."""

from datetime import datetime

from models.enums import AttemptTrigger, DeliveryStatus, WebhookStatus
from models.webhooks import Delivery, DeliveryAttempt, DeliveryAttemptRow, DeliveryRow
from resolvers.tables import Table, WriteSession

table = Table(Delivery, DeliveryRow, unaudited=True)
attempts = Table(DeliveryAttempt, DeliveryAttemptRow, unaudited=True)

by_id = table.by_id

WANTED = "(webhooks.events = '*' OR ' ' || webhooks.events || ' ' LIKE '% ' || events.event || ' %')"
"""Whether an endpoint wants an event."""

_FAN_OUT = f"""
    INSERT INTO deliveries (
        webhook_id, message_id, event, event_id, object_type, object_id, sequence, client_id,
        status, trigger, attempts, due_at, queued_at, created_at, finished_at
    )
    SELECT
        webhooks.id, events.public_id, events.event, events.id, events.object_type, events.object_id, events.sequence,
        events.client_id,
        CASE WHEN webhooks.status = ? THEN ? ELSE ? END, ?, 0,
        CASE WHEN webhooks.status = ? THEN events.created_at END, ?, ?,
        CASE WHEN webhooks.status = ? THEN NULL ELSE events.created_at END
    FROM events JOIN webhooks
        ON webhooks.deleted_at IS NULL AND webhooks.active_from < events.sequence
        AND {WANTED}
    WHERE events.sequence > ? AND events.sequence <= ?
    ORDER BY events.sequence
    ON CONFLICT (webhook_id, message_id) DO NOTHING
"""


async def fan_out(session: WriteSession, after: int, to: int, at: datetime) -> None:
    """Queues the events of these sequence numbers for the endpoints that want them.

    Those for an endpoint that is disabled are kept as skipped, so that they can be recovered.
    """
    active = WebhookStatus.ACTIVE.value
    values = (
        active,
        DeliveryStatus.PENDING.value,
        DeliveryStatus.SKIPPED.value,
        AttemptTrigger.AUTO.value,
        active,
        at,
        at,
        active,
        after,
        to,
    )
    await session.connection.fetch(_FAN_OUT, values)


async def erase(session: WriteSession, client_id: int) -> None:
    """Drops what endpoints answered to deliveries that concern the client."""
    await session.connection.fetch(
        "UPDATE delivery_attempts SET answer = NULL "
        "WHERE delivery_id IN (SELECT id FROM deliveries WHERE client_id = ?) AND answer IS NOT NULL",
        (client_id,),
    )
