"""Subscriptions: each event of the catalogue as it happens, and what was missed of it before."""

from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

from models.events import EventRow
from resolvers.feed import Wanted, listen
from resolvers.outbox import last_number
from schema import event_log
from schema.actors import Scope
from schema.checks import Text
from schema.context import Context
from schema.event_log import OBJECTS, Event, names_shown, place_of
from schema.events import CATALOGUE
from schema.fields import subscription

After = Annotated[
    str | None,
    Text(event_log.LONGEST_CURSOR),
    strawberry.argument(
        graphql_type=strawberry.ID | None,
        description="The id of the last event that was received: what has happened since comes first.",
    ),
]


@subscription(Event, requires=Scope.EVENTS_READ)
async def events(
    context: Context,
    after: After = None,
    types: Annotated[
        list[str] | None, strawberry.argument(description="Events of these names, such as `invoice.paid`.")
    ] = None,
) -> AsyncIterator[EventRow]:
    """Every event of objects that the caller may see."""
    return await _listening(context, after, types)


def _declare(name: str) -> None:
    """One field for the events of a name."""
    object_type = name.partition(".")[0].capitalize()

    async def one(context: Context, after: After = None) -> AsyncIterator[EventRow]:
        return await _listening(context, after, [name])

    one.__name__ = name.replace(".", "_")
    one.__doc__ = f"`{name}`: {CATALOGUE[name].trigger}. It requires `{OBJECTS[object_type].policy}` too."
    subscription(getattr(event_log, f"{object_type}Event"), requires=Scope.EVENTS_READ)(one)


for _name in CATALOGUE:
    _declare(_name)


async def _listening(context: Context, after: str | None, types: list[str] | None) -> AsyncIterator[EventRow]:
    wanted = Wanted(names_shown(context.actor, types), context.actor.client_id)
    start = await last_number(context.session) if after is None else (await place_of(context, after)).sequence
    assert start is not None
    return listen(context.feed, context.session, start, wanted)
