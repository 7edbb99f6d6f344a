"""The event log: what has happened, in the order of the commits."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from models.events import EventRow
from resolvers import outbox
from resolvers.paging import Sort
from resolvers.tables import EVERYTHING, Where, one_of
from schema import ids
from schema.actors import Scope
from schema.checks import Text
from schema.connections import lists
from schema.context import Context
from schema.errors import invalid, not_found
from schema.events import CATALOGUE
from schema.fields import derived, member, plain, query
from schema.moments import Since, Until

EVENT_KINDS = {
    "Client": ids.Kind.CLIENT,
    "Service": ids.Kind.SERVICE,
    "Invoice": ids.Kind.INVOICE,
    "Ticket": ids.Kind.TICKET,
}


@strawberry.type(description="Something that happened to an object.")
class Event:
    id: strawberry.ID = plain("`evt_` and a ULID, at every door.", of="public_id")
    sequence: int = plain("Its place in the order of commits, without gaps.")
    event: str = plain("Its name in the catalogue, such as `invoice.paid`.")
    timestamp: datetime = plain("When it happened.", of="created_at")

    @derived(strawberry.ID)
    def object_id(row: EventRow) -> str:
        """The object that it happened to."""
        return ids.write(EVENT_KINDS[row.object_type], row.object_id)


@strawberry.enum(description="The order of the event log.")
class EventSort(StrEnum):
    SEQUENCE = "sequence"
    SEQUENCE_DESC = "sequence desc"


@strawberry.input(description="Which events.")
class EventFilter:
    types: list[str] | None = member("Events of these names, such as `invoice.paid`.", optional=True)
    created_from: Since = member("Happened then or later: a time, or a date.", optional=True)
    created_to: Until = member("Happened then or earlier: a time, or a date, that day included.", optional=True)


@query(Event | None, requires=Scope.EVENTS_READ)
async def event(
    context: Context,
    id: Annotated[str, Text(60), strawberry.argument(graphql_type=strawberry.ID, description="`evt_…`.")],
) -> EventRow:
    """One event."""
    return await outbox.by_public_id(context.session, id) or _missing(id)


@lists(Event, outbox.table, requires=Scope.EVENTS_READ, sort=EventSort, unsorted=Sort("sequence"))
def events(filter: EventFilter) -> Where:
    """The events, in the order of commits."""
    for name in filter.types or ():
        if name not in CATALOGUE:
            raise invalid("types", f"must be names of the event catalogue, and {name!r} is none")
    return one_of("event", filter.types) if filter.types else EVERYTHING


def _missing(id: str) -> Any:
    raise not_found("Event", id)
