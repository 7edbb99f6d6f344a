"""Deliveries: one event for one webhook, and every attempt at it. The dispatcher makes them; staff may ask for more."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import orjson
import strawberry

from arcbilling import clock
from models.enums import AttemptTrigger, DeliveryStatus, WebhookStatus
from models.events import EventRow
from models.webhooks import DeliveryAttemptRow, DeliveryRow, WebhookRow
from resolvers import deliveries, outbox, recovery, webhooks
from resolvers.filters import Where, matching
from resolvers.reading import Columns
from schema.actors import Policy, Scope
from schema.checks import Reference
from schema.connections import lists
from schema.context import Context
from schema.errors import invalid_transition, not_found, refused
from schema.events import CATALOGUE, canonical
from schema.fields import command, derived, id_argument, id_member, identifier, member, plain, query, relation, wanted
from schema.ids import Kind
from schema.moments import Since, Until
from schema.nodes import Node
from schema.scalars import JSON, write_time

strawberry.enum(
    DeliveryStatus,
    description="Where a delivery stands. A `PENDING` one waits for its next attempt or is being made; a `FAILED` one "
    "has had all of them; a `SKIPPED` one came while its webhook was disabled.",
)
strawberry.enum(
    AttemptTrigger,
    description="Why an attempt was made: `AUTO`, its time had come; `PROBE`, to see whether the endpoint is back; "
    "`MANUAL`, staff asked for it.",
)

DeliveryId = Annotated[int, *id_argument(Kind.DELIVERY)]
TEST = "webhook.test"
"""The event of a test, which is in no catalogue: nobody can ask for it but by a test."""
SENT_EVENTS = (*CATALOGUE, TEST)
ATTEMPTS_SHOWN = 50


def sent_event(value: str) -> str | None:
    """The name of an event that is sent to webhooks."""
    text = value.strip()
    if text and text not in SENT_EVENTS:
        raise ValueError(f"must be one of: {', '.join(SENT_EVENTS)}")
    return text or None


@strawberry.type(description="One request to the URL of a webhook.")
class DeliveryAttempt:
    trigger: AttemptTrigger = plain("Why it was made.")
    started_at: datetime = plain("When it was begun.")
    milliseconds: int = plain("How long it took.")
    response_status: int | None = plain("The HTTP status of the answer; null when there was none.")
    error: str | None = plain("Why it failed, in words; null when it succeeded.")
    address: str | None = plain("The address that was dialled.")
    answer: str | None = plain("The beginning of the answer's body.")


@strawberry.type(description="A delivery: one event for one webhook, until it has arrived.")
class Delivery(Node):
    id: strawberry.ID = identifier(Kind.DELIVERY, "`dlv_9`.")
    webhook_id: strawberry.ID = identifier(Kind.WEBHOOK, "The webhook that it is for.")
    event_id: strawberry.ID = plain("`evt_…`: what every attempt sends as `webhook-id`.", of="message_id")
    event: str = plain("The name of the event, such as `invoice.paid`.")
    status: DeliveryStatus = plain("Where it stands.")
    attempts: int = plain(
        "How many of its ten attempts were begun, since it was last queued; those to see whether the endpoint is back "
        "do not count."
    )
    response_status: int | None = plain("The HTTP status of the last answer.")
    created_at: datetime = plain("When it was queued.")
    finished_at: datetime | None = plain("When it was delivered, had failed or was skipped.")

    @derived(datetime | None)
    def next_attempt_at(row: DeliveryRow) -> datetime | None:
        """When it is tried next; null while it is being tried and once it is finished."""
        return row.due_at if row.lease is None else None

    @relation(list[DeliveryAttempt], requires=Scope.WEBHOOKS_READ)
    async def attempt_log(ids: list[int], context: Context, columns: Columns) -> list[list[DeliveryAttemptRow]]:
        """Its attempts, the newest last; the last 50, if there are more."""
        return await context.below(
            deliveries.attempts, "delivery_id", ids, columns, text="answer", latest=ATTEMPTS_SHOWN
        )

    @relation(
        Annotated["Webhook", strawberry.lazy("schema.webhooks")] | None,  # noqa: F821
        requires=Scope.WEBHOOKS_READ,
        by="webhook_id",
    )
    async def webhook(ids: list[int], context: Context, columns: Columns) -> Sequence[WebhookRow | None]:
        """The webhook that it is for; null once that is deleted."""
        return await context.each(webhooks.table, ids, columns)

    @relation(JSON | None, requires=Policy(Scope.EVENTS_READ, open_to_clients=False), by=None)
    async def payload(rows: list[DeliveryRow], context: Context, _: Columns) -> list[Any]:
        """What is sent, without its signature; null once the event is no longer kept.

        It is shown to whoever may read the object that it tells of.
        """
        events = await outbox.table.by_ids(context.session, {row.event_id for row in rows if row.event_id is not None})
        return [context.actor.lacks(Policy.of(read_scope(row.object_type))) or _payload(row, events) for row in rows]


@strawberry.enum(description="The order of a list of deliveries: by id, which is that of their creation.")
class DeliverySort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"


@strawberry.input(description="Which deliveries.")
class DeliveryFilter:
    webhook_id: Annotated[int | None, Reference(Kind.WEBHOOK)] = id_member(
        "Deliveries for this webhook.", optional=True
    )
    status: DeliveryStatus | None = member("Deliveries of this status.", optional=True)
    event: Annotated[str | None, sent_event] = member(
        "Deliveries of events of this name, such as `invoice.paid`.", optional=True
    )
    created_from: Since = member("Queued then or later: a time, or a date.", optional=True)
    created_to: Until = member("Queued then or earlier: a time, or a date, that day included.", optional=True)


# Rules


def read_scope(object_type: str) -> Scope:
    """What it takes to read the object that an event tells of."""
    return Scope(f"{object_type.lower()}s:read")


def new_test(webhook: WebhookRow, message_id: str, now: datetime) -> DeliveryRow:
    """A delivery by which staff try whether an endpoint takes them."""
    return DeliveryRow(
        id=0,
        webhook_id=webhook.id,
        message_id=message_id,
        event=TEST,
        event_id=None,
        payload=canonical({"data": {"id": webhook.id}, "event": TEST, "timestamp": write_time(now)}),
        object_type="Webhook",
        object_id=webhook.id,
        sequence=0,
        client_id=None,
        status=DeliveryStatus.PENDING,
        trigger=AttemptTrigger.MANUAL,
        attempts=0,
        due_at=now,
        lease=None,
        response_status=None,
        queued_at=now,
        created_at=now,
        finished_at=None,
    )


def redelivered(delivery: DeliveryRow, now: datetime) -> DeliveryRow:
    """The delivery as staff have it made again: at once, and as often as a new one; as it is, while it is being made.

    One that still waits keeps its count of attempts, so that asking often does not make it endless.
    """
    if delivery.status is not DeliveryStatus.PENDING:
        delivery = delivery._replace(attempts=0, queued_at=now, finished_at=None, status=DeliveryStatus.PENDING)
    elif delivery.lease is not None:
        return delivery
    return delivery._replace(due_at=now, trigger=AttemptTrigger.MANUAL)


def check_enabled(webhook: WebhookRow) -> None:
    if webhook.status is WebhookStatus.DISABLED:
        raise invalid_transition(
            f"Webhook {webhook.id} is disabled and gets nothing. Enable it first, by the status active: what it has "
            "missed is queued then.",
            ("webhookUpdate",),
        )


# Queries


@query(Delivery | None, requires=Scope.WEBHOOKS_READ)
async def delivery(context: Context, id: DeliveryId) -> DeliveryRow:
    """One delivery."""
    return await deliveries.by_id(context.session, id) or _missing(id)


@lists(Delivery, deliveries.table, requires=Scope.WEBHOOKS_READ, sort=DeliverySort)
def deliveries_(filter: DeliveryFilter) -> Where:
    """The deliveries, as long as they are kept."""
    return matching(webhook_id=wanted(filter.webhook_id), status=wanted(filter.status), event=wanted(filter.event))


# Commands


@command(Delivery, requires=Scope.WEBHOOKS_WRITE)
async def delivery_redeliver(context: Context, id: DeliveryId) -> DeliveryRow:
    """Makes a delivery again, at once, whatever came of it: the same event under the same `webhook-id`.

    One that waits for its next attempt is made now; one that is being made already is left as it is.
    """
    session = context.writing
    found = await deliveries.by_id(session, id) or _missing(id)
    webhook = await webhooks.locked(session, found.webhook_id)
    row = await deliveries.table.locked(session, id) or _missing(id)
    if webhook is None:
        raise refused(f"The webhook of delivery {id} is deleted, so it cannot be delivered again.")
    check_enabled(webhook)
    if not await recovery.event_is_kept(session, row):
        raise refused(f"The event of delivery {id}, {row.message_id}, is no longer kept, so it cannot be sent again.")
    context.after_commit(context.queued)
    return await deliveries.table.save(session, row, redelivered(row, clock.now()))


# Private


def _missing(id: int) -> Any:
    raise not_found("Delivery", id)


def _payload(row: DeliveryRow, events: Mapping[int, EventRow]) -> Any:
    if row.event_id is None:
        return None if row.payload is None else orjson.loads(row.payload)
    return orjson.loads(events[row.event_id].payload) if row.event_id in events else None
