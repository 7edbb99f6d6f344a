"""Erasure: what else is blanked when a client is erased. Rows stay; what is personal in them goes."""

import orjson

from resolvers import deliveries, idempotency, module_calls, outbox, services, tickets
from resolvers.clients import PERSONAL
from resolvers.filters import matching
from schema.context import Context

PERSONAL_MEMBERS = frozenset(PERSONAL) | {"domain", "username", "subject", "message", "suspension_note"}


async def erase_traces(context: Context, client_id: int) -> None:
    """Blanks what is personal in the client's services, tickets and events, and drops the answers that tell of it."""
    unit, session = context.unit, context.writing
    assert unit is not None, "only a command erases"
    own = matching(client_id=client_id)
    await services.table.blank(session, own, domain=None, username=None, suspension_note=None)
    await module_calls.erase(session, client_id)
    await deliveries.erase(session, client_id)
    await tickets.table.blank(session, own, subject="")
    await tickets.messages.blank(session, own, body="")
    # Last: whoever was changing one of those rows has ended by now, and its event is there to be seen.
    await outbox.rewrite_for_erasure(session, client_id, payload_without_personal, unit.progress)
    await idempotency.erase(session, client_id)
    unit.names_nobody = True


def payload_without_personal(payload: str) -> str:
    """The payload of an event, its personal members null."""
    body = orjson.loads(payload)
    body["data"] = without_personal(body["data"])
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()


def without_personal(data: dict[str, object]) -> dict[str, object]:
    """The same members, the personal ones null."""
    blanked: dict[str, object] = {}
    for name, value in data.items():
        if name in PERSONAL_MEMBERS:
            blanked[name] = None
        else:
            blanked[name] = without_personal(value) if isinstance(value, dict) else value
    return blanked
