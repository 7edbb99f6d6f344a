"""For whoever builds a receiver: events as they come, and samples of each, sent to a URL of their own."""

import ipaddress
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime

import orjson

from arcbilling import __version__, clock
from arcbilling.engine import Engine
from arcbilling.loops import Loop, running
from models.events import EventRow
from resolvers import outbox
from resolvers.feed import Wanted, listen
from resolvers.tables import Session
from rest_compat.app import RestApp
from schema import ids, samples
from schema.actors import SYSTEM
from schema.circuits import Outcome
from schema.errors import refused
from schema.event_log import OBJECTS
from schema.events import CATALOGUE, canonical
from schema.scalars import write_time
from webhooks.sender import Endpoint, Message, Sender

SECONDS_BETWEEN_LOOKS = 0.5
ANYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def check_known(names: Collection[str]) -> None:
    """Refuses what is no event of the catalogue."""
    for name in names:
        if name not in CATALOGUE:
            raise refused(f"{name!r} is no event. These are: {', '.join(CATALOGUE)}.")


def sample(engine: Engine, event: str, now: datetime) -> str:
    """What an endpoint would be sent, without the signature: the example of the API's description, at this moment."""
    document = orjson.loads(RestApp(engine.schema, __version__).openapi)
    content = document["webhooks"][event]["post"]["requestBody"]["content"]["application/json"]["example"]
    return canonical({"data": content["data"], "event": event, "timestamp": write_time(now)})


async def trigger(engine: Engine, event: str) -> list[tuple[str, ...]]:
    """Queues a sample for each webhook that wants it; tells of each the delivery, the webhook and the URL."""
    content = sample(engine, event, clock.now())
    queued = await samples.send(engine.context(SYSTEM, "command-line"), event, content)
    engine.hints.tell("events")
    return [
        (ids.write(ids.Kind.DELIVERY, delivery.id), ids.write(ids.Kind.WEBHOOK, webhook.id), webhook.url)
        for webhook, delivery in queued
    ]


@asynccontextmanager
async def following(engine: Engine, names: Collection[str]) -> AsyncIterator[AsyncIterator[EventRow]]:
    """The events of these names, or all of them, in their order, without end: from the moment it is entered."""
    reading = Loop("feed", engine.feed.step, every=SECONDS_BETWEEN_LOOKS)
    engine.feed.wake = reading.wake
    engine.hints.on("events", reading.wake)
    session = Session(engine.database, engine.database.reader)
    after = await outbox.last_number(session)
    async with running([reading]), engine.hints.listening():
        yield listen(engine.feed, session, after, Wanted(frozenset(names) or None, None))


class Forwarding:
    """Sends signed deliveries to a URL that a developer has named: any may be dialled."""

    def __init__(self, url: str, secret: str) -> None:
        self._endpoint = Endpoint(url, (secret,))
        self._sender = Sender(ANYWHERE)

    async def event(self, row: EventRow) -> tuple[str, ...]:
        """Forwards an event; tells its time, name and object, and how it was answered."""
        outcome = await self._sender.send(self._endpoint, Message(row.public_id, row.payload))
        id = ids.write(OBJECTS[row.object_type].kind, row.object_id)
        return write_time(row.created_at), row.event, id, answer_of(outcome)

    async def sample(self, engine: Engine, event: str) -> Outcome:
        """Sends a sample once."""
        now = clock.now()
        return await self._sender.send(self._endpoint, Message(outbox.new_event_id(now), sample(engine, event, now)))

    async def aclose(self) -> None:
        await self._sender.close()


def answer_of(outcome: Outcome) -> str:
    """The status of an answer, or why there was none."""
    return str(outcome.error if outcome.status is None else outcome.status)
