"""The event catalogue: what is told to the world when something has happened.

An event is one class. Its `data` is the object as REST lists show it, frozen at that moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from arcbilling import clock
from resolvers import outbox
from schema.context import Context
from schema.fields import COMMANDS
from schema.jobs import JOBS
from schema.scalars import write_time
from schema.snapshots import snapshot


@dataclass(frozen=True)
class Event:
    """Something that happened to one object. Subclasses are the catalogue."""

    name: ClassVar[str]
    trigger: ClassVar[str]
    documented: ClassVar[bool]
    """Whether the API reference lists it; the others are additions."""
    adds: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {}
    """What `data` holds beside the object: a member, and of which type it shows which members."""

    object_type: Any
    row: Any
    client_id: int | None
    extra: dict[str, Any] = field(default_factory=dict)


CATALOGUE: dict[str, type[Event]] = {}


def event(name: str, trigger: str, *, documented: bool = True) -> Any:
    """Enters a class into the catalogue."""

    def declare(cls: type[Event]) -> type[Event]:
        cls.name, cls.trigger, cls.documented = name, trigger, documented
        assert name not in CATALOGUE, f"{name} is declared twice"
        CATALOGUE[name] = cls
        return cls

    return declare


@event("client.created", "New client registered")
class ClientCreated(Event): ...


@event("client.updated", "Client details changed", documented=False)
class ClientUpdated(Event): ...


@event("client.deleted", "Client erased", documented=False)
class ClientDeleted(Event): ...


@event("service.created", "New service provisioned")
class ServiceCreated(Event): ...


@event("service.suspended", "Service suspended")
class ServiceSuspended(Event): ...


@event("service.unsuspended", "Service unsuspended", documented=False)
class ServiceUnsuspended(Event): ...


@event("service.terminated", "Service terminated")
class ServiceTerminated(Event): ...


@event("service.cancelled", "Service cancelled before it was provisioned", documented=False)
class ServiceCancelled(Event): ...


@event("invoice.created", "New invoice generated")
class InvoiceCreated(Event): ...


@event("invoice.paid", "Invoice marked as paid")
class InvoicePaid(Event): ...


@event("invoice.cancelled", "Invoice cancelled", documented=False)
class InvoiceCancelled(Event): ...


@event("ticket.opened", "New support ticket")
class TicketOpened(Event): ...


@event("ticket.replied", "New reply on a ticket")
class TicketReplied(Event):
    adds = {"reply": ("TicketMessage", ("id", "author", "message"))}  # noqa: RUF012


@event("ticket.closed", "Ticket closed", documented=False)
class TicketClosed(Event): ...


@event("webhook.disabled", "Webhook endpoint disabled", documented=False)
class WebhookDisabled(Event): ...


async def emit(context: Context, happened: Event) -> None:
    """Writes the event's row in the transaction of the command that is running."""
    assert context.unit is not None
    action = context.unit.action
    declared = COMMANDS[action].emits if action in COMMANDS else JOBS[action].emits
    assert type(happened) in declared, f"{action} does not declare that it emits {happened.name}"
    now = clock.now()
    body = {
        "data": {**snapshot(happened.object_type, happened.row), **happened.extra},
        "event": happened.name,
        "timestamp": write_time(now),
    }
    context.unit.client_id = context.unit.client_id or happened.client_id
    outbox.add(
        context.writing,
        outbox.Occurrence(
            event=happened.name,
            object_type=happened.object_type.__name__,
            object_id=happened.row.id,
            object_version=happened.row.version,
            client_id=happened.client_id,
            payload=canonical(body),
            at=now,
        ),
        context.actor.name,
        context.request_id,
    )


def canonical(value: Any) -> str:
    """RFC 8785 for what payloads hold: ASCII member names, strings, integers, null, true and false."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
