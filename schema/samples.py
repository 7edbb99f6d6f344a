"""Samples: an event that did not happen, sent to the webhooks that would get it, for whoever builds a receiver."""

from arcbilling import clock
from models.enums import WebhookStatus
from models.webhooks import DeliveryRow, WebhookRow
from resolvers import deliveries, outbox, webhooks
from resolvers.filters import equal
from schema.context import Context
from schema.deliveries import new_test
from schema.errors import refused
from schema.jobs import job
from schema.webhooks import EVERY_EVENT

SEND = "sampleSend"
"""The job, as the audit trail names it."""


def wants(webhook: WebhookRow, event: str) -> bool:
    """Whether a webhook gets events of this name."""
    return not {EVERY_EVENT, event}.isdisjoint(webhook.events.split())


@job(SEND)
async def send(context: Context, event: str, payload: str) -> list[tuple[WebhookRow, DeliveryRow]]:
    """Queues a sample for each active webhook that wants such events, in the way of a test."""
    now = clock.now()
    active = await webhooks.table.all_locked(context.writing, equal("status", WebhookStatus.ACTIVE))
    if not (wanting := [webhook for webhook in active if wants(webhook, event)]):
        raise refused(
            f"None of the {len(active)} active webhooks wants {event}. Create one that does, or send it to a URL."
        )
    queued = []
    for webhook in wanting:
        row = new_test(webhook, outbox.new_event_id(now), now)._replace(event=event, payload=payload)
        queued.append((webhook, await deliveries.table.add(context.writing, row)))
    return queued
