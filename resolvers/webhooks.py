"""Queries of webhook endpoints and of how they are doing."""

from models.webhooks import Webhook, WebhookCircuit, WebhookCircuitRow, WebhookRow
from resolvers.filters import equal, one_of
from resolvers.tables import Session, Table, WriteSession

table = Table(Webhook, WebhookRow, live="deleted_at IS NULL", personal=("secret", "previous_secret"))
circuits = Table(WebhookCircuit, WebhookCircuitRow, unaudited=True)

by_id = table.by_id
locked = table.locked
add = table.add
save = table.save


async def circuits_of(session: Session, webhook_ids: list[int]) -> list[WebhookCircuitRow]:
    """How each of the endpoints is doing, in their order: every one has a circuit as long as it lives."""
    found = {row.webhook_id: row for row in await circuits.all(session, one_of("webhook_id", webhook_ids))}
    return [found[id] for id in webhook_ids]


async def circuit_locked(session: WriteSession, webhook_id: int) -> WebhookCircuitRow:
    """How an endpoint is doing, locked."""
    (circuit,) = await circuits.all_locked(session, equal("webhook_id", webhook_id))
    return circuit
