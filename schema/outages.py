"""Outages: an endpoint that is gone, or that has failed for days, gets nothing more. The job that disables it."""

from arcbilling import clock
from models.enums import DisabledReason, WebhookStatus
from models.webhooks import WebhookRow
from resolvers import recovery, webhooks
from schema.context import Context
from schema.events import WebhookDisabled, emit
from schema.jobs import job
from schema.webhooks import Webhook

DISABLE = "webhookDisable"
"""The job, as the audit trail names it."""


def disabled(webhook: WebhookRow, reason: DisabledReason) -> WebhookRow:
    """The endpoint once it is disabled; as it was if it is already, for whatever reason."""
    if webhook.status is WebhookStatus.DISABLED:
        return webhook
    return webhook._replace(status=WebhookStatus.DISABLED, disabled_reason=reason)


@job(DISABLE, emits=(WebhookDisabled,))
async def disable(context: Context, webhook_id: int, reason: DisabledReason) -> bool:
    """Disables an endpoint, and skips what waits for it; tells whether it was active until now."""
    session = context.writing
    row = await webhooks.locked(session, webhook_id)
    if row is None or (after := disabled(row, reason)) == row:
        return False
    after = await webhooks.save(session, row, after)
    await recovery.skip_pending(session, after, clock.now(), under_way=False)
    await emit(context, WebhookDisabled(Webhook, after, None))
    return True
