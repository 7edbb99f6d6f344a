"""The event log: what has happened, in the order of the commits."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import orjson
import strawberry

from models.clients import ClientRow
from models.events import EventRow
from models.invoices import InvoiceRow
from models.services import ServiceRow
from models.tickets import TicketRow
from models.webhooks import WebhookRow
from resolvers import clients, invoices, outbox, services, tickets, webhooks
from resolvers.filters import EVERYTHING, Where, created, one_of
from resolvers.paging import Cursor, Sort
from resolvers.reading import Columns
from schema import connections, ids
from schema.actors import Actor, Policy, Scope
from schema.checks import Text
from schema.clients import Client
from schema.connections import DEFAULT_PAGE, LISTS, Before, Connection, First, Last, Offset, Slice
from schema.context import Context
from schema.erasure import PERSONAL_MEMBERS
from schema.errors import cursor_expired, invalid, not_found
from schema.events import CATALOGUE, TicketReplied
from schema.fields import derived, member, plain, query, relation, wanted
from schema.invoices import Invoice
from schema.moments import Since, Until
from schema.scalars import JSON
from schema.services import Service
from schema.snapshots import added_member, snapshot_field, snapshot_type
from schema.tickets import Ticket, TicketMessage
from schema.webhooks import Webhook

PREFIX = "evt_"
LONGEST_CURSOR = 255

After = Annotated[
    str | None,
    Text(LONGEST_CURSOR),
    strawberry.argument(description="Only what follows this cursor, or the event of this id (`evt_…`)."),
]


class Object(NamedTuple):
    """What events tell of: the kind of its ids, and what it takes to see it."""

    kind: ids.Kind
    policy: Policy


OBJECTS = {
    "Client": Object(ids.Kind.CLIENT, Policy.reading(Scope.CLIENTS_READ)),
    "Service": Object(ids.Kind.SERVICE, Policy.reading(Scope.SERVICES_READ)),
    "Invoice": Object(ids.Kind.INVOICE, Policy.reading(Scope.INVOICES_READ)),
    "Ticket": Object(ids.Kind.TICKET, Policy.reading(Scope.TICKETS_READ)),
    "Webhook": Object(ids.Kind.WEBHOOK, Policy.reading(Scope.WEBHOOKS_READ)),
}


@strawberry.interface(
    description="Something that happened to an object. An event is shown to who may see objects of its type."
)
class Event:
    id: strawberry.ID = plain("`evt_` and a ULID, at every door.", of="public_id")
    sequence: int = plain("Its place in the order of commits, without gaps.")
    event: str = plain("Its name in the catalogue, such as `invoice.paid`.")
    timestamp: datetime = plain("When it happened.", of="created_at")

    @derived(strawberry.ID)
    def object_id(row: EventRow) -> str:
        """The object that it happened to."""
        return ids.write(OBJECTS[row.object_type].kind, row.object_id)

    @derived(JSON, counted=True)
    def payload(row: EventRow) -> Any:
        """What webhooks are sent as `data`: the object as REST lists show it, frozen when this happened."""
        return data_of(row)


def data_of(row: EventRow) -> Any:
    """The snapshot that an event carries."""
    return orjson.loads(row.payload)["data"]


@strawberry.type(description="Something that happened to a client.")
class ClientEvent(Event):
    data = snapshot_field(snapshot_type(Client, PERSONAL_MEMBERS), data_of)

    @relation(Client | None, requires=Scope.CLIENTS_READ, by="object_id")
    async def client(ids: list[int], context: Context, columns: Columns) -> Sequence[ClientRow | None]:
        """The client as it is now; null once it was erased."""
        return await context.each(clients.table, ids, columns)


@strawberry.type(description="Something that happened to a service.")
class ServiceEvent(Event):
    data = snapshot_field(snapshot_type(Service, PERSONAL_MEMBERS), data_of)

    @relation(Service | None, requires=Scope.SERVICES_READ, by="object_id")
    async def service(ids: list[int], context: Context, columns: Columns) -> Sequence[ServiceRow | None]:
        """The service as it is now."""
        return await context.each(services.table, ids, columns)


@strawberry.type(description="Something that happened to an invoice.")
class InvoiceEvent(Event):
    data = snapshot_field(snapshot_type(Invoice, PERSONAL_MEMBERS), data_of)

    @relation(Invoice | None, requires=Scope.INVOICES_READ, by="object_id")
    async def invoice(ids: list[int], context: Context, columns: Columns) -> Sequence[InvoiceRow | None]:
        """The invoice as it is now."""
        return await context.each(invoices.table, ids, columns)


@strawberry.type(description="Something that happened to a ticket.")
class TicketEvent(Event):
    data = snapshot_field(
        snapshot_type(Ticket, PERSONAL_MEMBERS, added_member(TicketReplied, "reply", TicketMessage, PERSONAL_MEMBERS)),
        data_of,
    )

    @relation(Ticket | None, requires=Scope.TICKETS_READ, by="object_id")
    async def ticket(ids: list[int], context: Context, columns: Columns) -> Sequence[TicketRow | None]:
        """The ticket as it is now."""
        return await context.each(tickets.table, ids, columns)


@strawberry.type(description="Something that happened to a webhook endpoint.")
class WebhookEvent(Event):
    data = snapshot_field(snapshot_type(Webhook, PERSONAL_MEMBERS), data_of)

    @relation(Webhook | None, requires=Scope.WEBHOOKS_READ, by="object_id")
    async def webhook(ids: list[int], context: Context, columns: Columns) -> Sequence[WebhookRow | None]:
        """The endpoint as it is now; null once it was deleted."""
        return await context.each(webhooks.table, ids, columns)


@strawberry.enum(description="The order of the event log.")
class EventSort(StrEnum):
    SEQUENCE = "sequence"
    SEQUENCE_DESC = "sequence desc"


@strawberry.input(description="Which events.")
class EventFilter:
    types: list[str] | None = member("Events of these names, such as `invoice.paid`.", optional=True)
    created_from: Since = member("Happened then or later: a time, or a date.", optional=True)
    created_to: Until = member("Happened then or earlier: a time, or a date, that day included.", optional=True)


# Rules


def policy_of(name: str) -> Policy:
    """What it takes to see the events of a name: the object that they tell of."""
    return OBJECTS[name.partition(".")[0].capitalize()].policy


def names_shown(actor: Actor, types: Collection[str] | None) -> frozenset[str] | None:
    """The names of the events that an actor is shown; None for every one.

    Without `types` those that it may see; what is named must be seen by it, or is refused.
    """
    for name in types or ():
        if name not in CATALOGUE:
            raise invalid("types", f"must be names of the event catalogue, and {name!r} is none")
        if (error := actor.lacks(policy_of(name))) is not None:
            raise error
    if types:
        return frozenset(types)
    shown = frozenset(name for name in CATALOGUE if actor.lacks(policy_of(name)) is None)
    return None if len(shown) == len(CATALOGUE) else shown


# Queries


@query(Event | None, requires=Scope.EVENTS_READ)
async def event(
    context: Context,
    id: Annotated[str, Text(60), strawberry.argument(graphql_type=strawberry.ID, description="`evt_…`.")],
) -> EventRow:
    """One event. It requires the read scope of the object that it tells of too."""
    row = await outbox.by_public_id(context.session, id)
    if row is None:
        raise not_found("Event", id)
    if (error := context.actor.lacks(OBJECTS[row.object_type].policy)) is not None:
        raise error
    return row


@query(Connection[Event], requires=Scope.EVENTS_READ)
async def events(
    context: Context,
    first: First = DEFAULT_PAGE,
    after: After = None,
    last: Last = None,
    before: Before = None,
    offset: Offset = 0,
    filter: EventFilter | None = None,
    sort: EventSort | None = None,
) -> Slice:
    """The events of objects that the caller may see, in the order of commits."""
    names = names_shown(context.actor, None if filter is None else wanted(filter.types))
    where: Where = EVERYTHING if names is None else one_of("event", sorted(names))
    if filter is not None:
        where &= created(wanted(filter.created_from), wanted(filter.created_to))
    named = after if after is not None and after.startswith(PREFIX) else None
    by = sort or Sort("sequence")
    request = connections.page_request(outbox.table, by, first, None if named else after, last, before, offset)
    if named is not None:
        row = await place_of(context, named)
        assert row.sequence is not None
        request = replace(request, after=Cursor(row.sequence, row.id))

    async def count() -> int:
        return await outbox.table.count(context.session, where)

    return connections.connection(
        await outbox.table.page(context.session, request, where), outbox.table, request, count
    )


LISTS["events"] = outbox.table


async def place_of(context: Context, id: str) -> EventRow:
    """The event of an id to go on from; refused where it is kept no more, for then nobody knows what was missed."""
    row = await outbox.by_public_id(context.session, id)
    if row is not None:
        return row
    oldest = await outbox.oldest(context.session)
    kept = "No event is kept." if oldest is None else f"The oldest that is kept is {oldest.public_id}."
    raise cursor_expired(f"The after field must be the id of an event that is kept, and {id!r} is none. {kept}")
