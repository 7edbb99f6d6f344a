"""Recovery: what a webhook has missed is queued again, by whoever asks for it and when the webhook is enabled again."""

from datetime import datetime

from arcbilling import clock
from models.enums import Circuit
from models.webhooks import WebhookCircuitRow, WebhookRow
from resolvers import outbox, recovery, webhooks
from schema import moments
from schema.circuits import new_circuit
from schema.context import Context
from schema.errors import invalid
from schema.scalars import read_moment

AT_ONCE = 1_000
"""Events that are looked through by one statement."""

# Rules


def probed(circuit: WebhookCircuitRow, now: datetime) -> WebhookCircuitRow:
    """The circuit, whose endpoint is tried at once if it was failing."""
    return circuit._replace(next_probe_at=now) if circuit.state is Circuit.OPEN else circuit


# What commands do with it


async def number_events(context: Context) -> int:
    """Numbers every event that was committed until now; tells the last number. Nobody else does until the commit."""
    context.after_commit(context.queued)
    return await outbox.number_all(context.writing)


async def recover_since(context: Context, webhook: WebhookRow, since: str) -> int:
    """Queues what the active webhook has missed since a time or an event; tells how many.

    What is numbered meanwhile is queued for it by whoever numbers it.
    """
    session = context.writing
    last = await outbox.last_number(session)
    queued = await _recover(context, webhook, await _first_since(context, since), last)
    circuit = await webhooks.circuit_locked(session, webhook.id)
    await webhooks.circuits.save(session, circuit, probed(circuit, clock.now()))
    return queued


async def enable(context: Context, webhook: WebhookRow) -> int:
    """Queues what was skipped while the webhook was disabled, and what failed while it was failing; tells how many.

    What is numbered before the commit is skipped too. To number nothing meanwhile would hold up all other webhooks for
    as long as this takes; so that is done for the last few alone.
    """
    session = context.writing
    ((circuit,), last) = (await webhooks.circuits_of(session, [webhook.id]), await outbox.last_number(session))
    first = await recovery.first_lost(session, webhook, circuit.failing_since or clock.now())
    await _hasten(context, webhook)
    queued = await _recover(context, webhook, first, last)
    queued += await _recover(context, webhook, last + 1, await number_events(context))
    await _forget(context, webhook)
    return queued


async def start_afresh(context: Context, webhook: WebhookRow) -> None:
    """Forgets how the endpoint was doing, and has all that waits sent at once: it is another one, or was mended."""
    await _hasten(context, webhook)
    await _forget(context, webhook)


# Private


async def _hasten(context: Context, webhook: WebhookRow) -> None:
    assert context.unit is not None, "only a command does"
    context.after_commit(context.queued)
    await recovery.hasten(context.writing, webhook, clock.now(), context.unit.progress)


async def _forget(context: Context, webhook: WebhookRow) -> None:
    """A new circuit. It is locked last: the dispatcher, which writes there how attempts end, would have to wait."""
    session = context.writing
    circuit = await webhooks.circuit_locked(session, webhook.id)
    await webhooks.circuits.save(session, circuit, new_circuit(webhook.id)._replace(id=circuit.id))


async def _first_since(context: Context, since: str) -> int | None:
    """The sequence number of the first event that is meant; None when there is none."""
    if since.startswith("evt_"):
        event = await outbox.by_public_id(context.session, since)
        if event is None:
            raise invalid("since", f"names no event that is kept: {since}")
        return event.sequence
    try:
        moment = moments.since(read_moment(since))
    except ValueError:
        reason = "must be a time such as 2026-01-31T12:00:00Z, a date, or the id of an event such as evt_01JHN5Z8Q0"
        raise invalid("since", f"{reason}…, and {since!r} is none of them") from None
    return await recovery.first_since(context.session, moment)


async def _recover(context: Context, webhook: WebhookRow, first: int | None, last: int) -> int:
    """Part by part, since there may be any number of events; the unit of work has its time for each."""
    assert context.unit is not None, "only a command recovers"
    context.after_commit(context.queued)
    queued = 0
    for after in range(last if first is None else first - 1, last, AT_ONCE):
        queued += await recovery.recover(context.writing, webhook, after, min(after + AT_ONCE, last), clock.now())
        context.unit.progress()
    return queued
