"""Erasure: what else is blanked when a client is erased. Rows stay; what is personal in them goes."""

import orjson

from resolvers import idempotency, outbox, services, tickets
from resolvers.clients import PERSONAL
from resolvers.filters import matching
from schema.context import Context

PERSONAL_MEMBERS = frozenset(PERSONAL) | {"domain", "username", "subject", "message", "suspension_note"}


async def erase_traces(context: Context, client_id: int) -> None:
    """Blanks what is personal in the client's services, tickets and events, and drops the answers that tell of it."""
    session = context.writing
    own = matching(client_id=client_id)
    for service in await services.table.all_locked(session, own):
        await services.save(session, service, service._replace(domain=None, username=None, suspension_note=None))
    for ticket in await tickets.table.all_locked(session, own):
        await tickets.save(session, ticket, ticket._replace(subject=""))
    for message in await tickets.messages.all(session, own):
        await tickets.messages.save(session, message, message._replace(body=""))
    blank = {}
    for event in await outbox.of_client(session, client_id):
        payload = orjson.loads(event.payload)
        payload["data"] = without_personal(payload["data"])
        text = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS).decode()
        if text != event.payload:
            blank[event.public_id] = text
    await outbox.rewrite_for_erasure(session, client_id, blank)
    await idempotency.erase(session, client_id)


def without_personal(data: dict[str, object]) -> dict[str, object]:
    """The same members, the personal ones null."""
    blanked: dict[str, object] = {}
    for name, value in data.items():
        if name in PERSONAL_MEMBERS:
            blanked[name] = None
        else:
            blanked[name] = without_personal(value) if isinstance(value, dict) else value
    return blanked
