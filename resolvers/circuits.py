"""Queries of circuits: which endpoints there is something to do for, and how they are doing."""

from collections.abc import Collection
from datetime import datetime

from models.enums import Circuit
from models.webhooks import WebhookCircuitRow
from resolvers.filters import Where, equal, one_of
from resolvers.tables import Session, WriteSession
from resolvers.webhooks import circuits

table = circuits

_ACTIVE = """EXISTS (
    SELECT 1 FROM webhooks
    WHERE webhooks.id = webhook_circuits.webhook_id AND webhooks.status = 'active' AND webhooks.deleted_at IS NULL
)"""
_HAS_DUE = "SELECT 1 FROM deliveries WHERE deliveries.webhook_id = webhook_circuits.webhook_id AND due_at <= ?"
_HAS_PENDING = """
    SELECT 1 FROM deliveries
    WHERE deliveries.webhook_id = webhook_circuits.webhook_id AND status = 'pending' AND (lease IS NULL OR due_at <= ?)
"""
_READY = Where(f"""{_ACTIVE} AND CASE state
    WHEN 'open' THEN next_probe_at <= ? AND EXISTS ({_HAS_PENDING}) OR EXISTS ({_HAS_DUE} AND trigger = 'manual')
    ELSE EXISTS ({_HAS_DUE}) END
""")


async def ready(session: Session, now: datetime) -> list[WebhookCircuitRow]:
    """The circuits of the active endpoints for which something is due, or that are to be probed."""
    return await table.all(session, _READY._replace(values=(now,) * 4))


async def locked(session: WriteSession, ids: Collection[int], succeeded: Collection[int]) -> list[WebhookCircuitRow]:
    """The circuits of these endpoints, locked; of those that something has succeeded at, the ones that it changes."""
    unwell = one_of("webhook_id", succeeded) & Where("(state <> 'closed' OR failures > 0)")
    asked = one_of("webhook_id", ids)
    if not ids and not succeeded:
        return []
    return await table.all_locked(session, Where(f"({asked.sql} OR {unwell.sql})", asked.values + unwell.values))


async def in_state(session: Session, state: Circuit) -> list[WebhookCircuitRow]:
    """The circuits in a state, of endpoints that are active."""
    return await table.all(session, equal("state", state) & Where(_ACTIVE))


async def with_needless(session: Session, now: datetime) -> list[int]:
    """Endpoints that nothing is sent to any more, with something pending that nobody is at."""
    sql = """
        SELECT id FROM webhooks WHERE (status <> 'active' OR deleted_at IS NOT NULL) AND EXISTS (
            SELECT 1 FROM deliveries
            WHERE webhook_id = webhooks.id AND deliveries.status = 'pending' AND (lease IS NULL OR due_at <= ?)
        )
    """
    return [id for (id,) in await session.connection.fetch(sql, (now,))]
