"""Webhooks: the endpoints that events are sent to, for which events, and whether they are to get any."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import strawberry

from arcbilling import clock
from models.enums import Circuit, DisabledReason, WebhookStatus
from models.webhooks import WebhookCircuitRow, WebhookRow
from resolvers import deliveries, outbox, webhooks
from resolvers.filters import Where, matching
from resolvers.reading import Columns
from resolvers.recovery import skip_pending
from schema import recovery
from schema.actors import Scope
from schema.addresses import Network
from schema.checks import NEVER_NULL, Reference, Text
from schema.circuits import new_circuit
from schema.connections import DEFAULT_PAGE, After, Before, Connection, First, Last, Slice, below, lists, page_request
from schema.context import Context
from schema.deliveries import Delivery, check_enabled, new_test
from schema.endpoints import check_destination, endpoint_url
from schema.errors import invalid, invalid_fields, not_found, refused, sentence
from schema.events import CATALOGUE, WebhookDisabled, emit
from schema.fields import (
    command,
    derived,
    given,
    id_argument,
    id_member,
    identifier,
    member,
    members_given,
    plain,
    query,
    relation,
    wanted,
)
from schema.ids import Kind
from schema.keys import new_secret
from schema.moments import Since, Until
from schema.nodes import Node

strawberry.enum(WebhookStatus, description="Whether a webhook gets events.")
strawberry.enum(
    DisabledReason,
    description="Why a webhook is disabled: `MANUAL`, staff did it; `GONE`, its endpoint answered 410; `FAILING`, "
    "nothing has succeeded for five days.",
)
strawberry.enum(
    Circuit,
    name="CircuitState",
    description="How an endpoint is doing. `CLOSED`: everything is sent. `OPEN`: it fails, so one delivery at a time "
    "is tried. `DRAINING`: it is back, and gets what had to wait.",
)

WebhookId = Annotated[int, *id_argument(Kind.WEBHOOK)]
SEALED = "secret of a webhook"
"""The purpose that secrets are sealed for."""
EVERY_EVENT = "*"
DEFAULT_EVENTS = tuple(name for name, event in CATALOGUE.items() if event.documented)
MOST_WEBHOOKS = 100
OVERLAP = timedelta(hours=24)
"""How long the secret before a rotation signs too."""


def event_name(value: str) -> str | None:
    """The name of an event that webhooks may ask for, or `*`."""
    text = value.strip()
    if text and text != EVERY_EVENT and text not in CATALOGUE:
        raise ValueError(f"must be {EVERY_EVENT} or one of: {', '.join(CATALOGUE)}")
    return text or None


Events = Annotated[list[str] | None, event_name]
Description = Annotated[str | None, Text(1000)]


@dataclass(frozen=True)
class Told:
    """A webhook in the answer of a command that tells more of it than can be read later."""

    row: WebhookRow
    secret: str | None = None
    queued: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.row, name)


@strawberry.type(description="How the endpoint of a webhook is doing, as its deliveries have shown.")
class WebhookCircuit:
    state: Circuit = plain("Whether everything is sent.")
    failures: int = plain("Attempts that have failed since the last success.")
    failing_since: datetime | None = plain("The first of them; null while there are none.")
    next_probe_at: datetime | None = plain("While it is `OPEN`: when one delivery is tried next.")


@strawberry.type(description="A webhook: a URL that events are sent to.")
class Webhook(Node):
    id: strawberry.ID = identifier(Kind.WEBHOOK, "`whk_4`.")
    url: str = plain("Where events are sent.")

    @derived(list[str])
    def events(row: Any) -> list[str]:
        """The events that it gets, by name; `*` for all."""
        return str(row.events).split()

    description: str | None = plain("What it is for.")
    status: WebhookStatus = plain("Whether it gets events.")
    disabled_reason: DisabledReason | None = plain("Why it is disabled; null while it is active.", extra=True)
    created_at: datetime = plain("When the webhook was created.")
    updated_at: datetime = plain("When the webhook was last changed.", extra=True)

    @derived(str | None)
    def secret(row: Any) -> str | None:
        """What its deliveries are signed with: shown in the answers of create and rotate, and null everywhere else."""
        return row.secret if isinstance(row, Told) else None

    @derived(datetime | None)
    def previous_secret_until(row: Any) -> datetime | None:
        """Until when the secret before the last rotation signs too; null when there is none."""
        until: datetime | None = row.previous_until
        return until if until is not None and until > clock.now() else None

    @derived(int | None)
    def queued(row: Any) -> int | None:
        """How many deliveries were queued: in the answers of recover, and of an update that enables; null elsewhere."""
        return row.queued if isinstance(row, Told) else None

    @relation(WebhookCircuit, requires=Scope.WEBHOOKS_READ)
    async def circuit(ids: list[int], context: Context, _: Columns) -> list[WebhookCircuitRow]:
        """How its endpoint is doing."""
        return await webhooks.circuits_of(context.session, ids)

    @relation(Connection[Delivery], requires=Scope.WEBHOOKS_READ)
    async def deliveries(
        ids: list[int],
        context: Context,
        columns: Columns,
        first: First = DEFAULT_PAGE,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> list[Slice]:
        """Its deliveries, the newest last."""
        request = page_request(deliveries.table, None, first, after, last, before)
        return await below(context, deliveries.table, "webhook_id", ids, columns, request)


class DeletedRow(NamedTuple):
    id: int
    deleted: bool


@strawberry.type(description="The trace of a webhook that was deleted.")
class DeletedWebhook:
    id: strawberry.ID = identifier(Kind.WEBHOOK, "The id that the webhook had.")
    deleted: bool = plain("Always true.")


@strawberry.enum(description="The order of a list of webhooks.")
class WebhookSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"


@strawberry.input(description="Which webhooks.")
class WebhookFilter:
    status: WebhookStatus | None = member("Webhooks of this status.", optional=True)
    created_from: Since = member("Created then or later: a time, or a date.", optional=True)
    created_to: Until = member("Created then or earlier: a time, or a date, that day included.", optional=True)


URL_MEMBER = "Where events are sent: an https URL of a public host."
EVENTS_MEMBER = (
    "Which events it gets, by name; `*` alone stands for all. Default, and by null: the eight of the API reference."
)


@strawberry.input(description="A new webhook.")
class WebhookCreateInput:
    url: Annotated[str, endpoint_url] = member(URL_MEMBER)
    events: Events = member(EVENTS_MEMBER, optional=True)
    description: Description = member("What it is for.", optional=True)


@strawberry.input(
    description="Changes to a webhook: what is given is changed. Members that cannot be changed are accepted with the "
    "value that they have, so that a webhook can be sent back as it was read."
)
class WebhookUpdateInput:
    id: Annotated[int | None, Reference(Kind.WEBHOOK)] = id_member("Cannot be changed.", optional=True)
    url: Annotated[str | None, endpoint_url, NEVER_NULL] = member(URL_MEMBER, optional=True)
    events: Events = member(EVENTS_MEMBER, optional=True)
    description: Description = member("What it is for; null clears it.", optional=True)
    status: Annotated[WebhookStatus | None, NEVER_NULL] = member(
        "Whether it gets events. What comes while it is `DISABLED` is skipped, and queued when it is enabled again.",
        optional=True,
    )
    created_at: datetime | None = member("Accepted and ignored.", optional=True)
    updated_at: datetime | None = member("Accepted and ignored.", optional=True)


# Rules


def wanted_events(names: Any) -> str:
    """The events that are asked for, as they are stored: each once, in the order given."""
    if not given(names) or names is None:
        return " ".join(DEFAULT_EVENTS)
    if EVERY_EVENT in names and len(set(names)) > 1:
        raise invalid("events", f"must be names of events, or {EVERY_EVENT} alone, which stands for all of them")
    return " ".join(dict.fromkeys(names))


def check_room(number: int) -> None:
    if number >= MOST_WEBHOOKS:
        raise refused(
            f"There are {number} webhooks, and there may be {MOST_WEBHOOKS} at most. Delete one that is not used."
        )


def changed(row: WebhookRow, wanted: WebhookUpdateInput, networks: Sequence[Network]) -> WebhookRow:
    """The row after the update; raises when a member that cannot be changed would be."""
    if given(wanted.id) and wanted.id != row.id:
        raise invalid_fields({"id": sentence("id", "cannot be changed")})
    after = row._replace(**members_given(wanted, "url", "description", "status"))
    if after.url != row.url:
        check_destination(after.url, networks)
    if given(wanted.events):
        after = after._replace(events=wanted_events(wanted.events))
    if after.status is not row.status:
        manual = DisabledReason.MANUAL if after.status is WebhookStatus.DISABLED else None
        after = after._replace(disabled_reason=manual)
    return after


def rotated(row: WebhookRow, sealed: bytes, now: datetime) -> WebhookRow:
    """The row with a new secret; the one before it signs too for a day."""
    return row._replace(secret=sealed, previous_secret=row.secret, previous_until=now + OVERLAP)


def deleted(row: WebhookRow, now: datetime) -> WebhookRow:
    """What is left until its deliveries are removed: a row without secrets."""
    return row._replace(deleted_at=now, secret=b"", previous_secret=None, previous_until=None)


# Queries


@query(Webhook | None, requires=Scope.WEBHOOKS_READ)
async def webhook(context: Context, id: WebhookId) -> WebhookRow:
    """One webhook."""
    return await webhooks.by_id(context.session, id) or _missing(id)


@lists(Webhook, webhooks.table, requires=Scope.WEBHOOKS_READ, sort=WebhookSort)
def webhooks_(filter: WebhookFilter) -> Where:
    """The webhooks."""
    return matching(status=wanted(filter.status))


# Commands. Each that decides who gets which events numbers the committed ones too: until its own commit nobody else
# does, so an event is queued either before the change or after it. The webhook is locked before.


@command(Webhook, requires=Scope.WEBHOOKS_WRITE)
async def webhook_create(context: Context, input: WebhookCreateInput) -> Told:
    """Creates a webhook, which gets the events that are committed from then on. Its secret is in this answer alone."""
    check_destination(input.url, context.webhook_networks)
    events = wanted_events(input.events)
    session = context.writing
    active_from = await recovery.number_events(context)
    check_room(await webhooks.table.count(session))
    secret, now = new_secret(), clock.now()
    row = await webhooks.add(
        session,
        WebhookRow(
            id=0,
            url=input.url,
            events=events,
            description=input.description or None,
            status=WebhookStatus.ACTIVE,
            disabled_reason=None,
            secret=context.vault.seal(secret.encode(), SEALED),
            previous_secret=None,
            previous_until=None,
            active_from=active_from,
            deleted_at=None,
            version=1,
            created_at=now,
            updated_at=now,
        ),
    )
    await webhooks.circuits.add(session, new_circuit(row.id))
    return Told(row, secret)


@command(Webhook, requires=Scope.WEBHOOKS_WRITE, emits=(WebhookDisabled,))
async def webhook_update(context: Context, id: WebhookId, input: WebhookUpdateInput) -> WebhookRow | Told:
    """Changes the members given and leaves the others.

    Disabled, it gets nothing, and what comes is kept as skipped. Enabled again, it gets all of that, and what failed
    while its endpoint was failing. With another URL, what waits is sent there at once.
    """
    session = context.writing
    row = await webhooks.locked(session, id) or _missing(id)
    after = changed(row, input, context.webhook_networks)
    if after == row:
        return row
    enabled = after.status is not row.status and after.status is WebhookStatus.ACTIVE
    if (after.events, after.status) != (row.events, row.status) and not enabled:
        await recovery.number_events(context)
    after = await webhooks.save(session, row, after)
    if after.status is not row.status and after.status is WebhookStatus.DISABLED:
        await skip_pending(session, after, clock.now(), under_way=False)
        await emit(context, WebhookDisabled(Webhook, after, None))
        return after
    if enabled:
        return Told(after, queued=await recovery.enable(context, after))
    if after.url != row.url:
        await recovery.start_afresh(context, after)
    return after


@command(DeletedWebhook, requires=Scope.WEBHOOKS_WRITE)
async def webhook_delete(context: Context, id: WebhookId) -> DeletedRow:
    """Deletes a webhook. What still waits for it is not sent; to keep it for later, disable the webhook instead."""
    session = context.writing
    row = await webhooks.locked(session, id) or _missing(id)
    await recovery.number_events(context)
    now = clock.now()
    await skip_pending(session, row, now, under_way=True)
    await webhooks.save(session, row, deleted(row, now))
    return DeletedRow(id, deleted=True)


@command(Webhook, requires=Scope.WEBHOOKS_WRITE)
async def webhook_rotate(context: Context, id: WebhookId) -> Told:
    """Gives a webhook a new secret, which is in this answer alone.

    For 24 hours the header `webhook-signature` is made with the secret before it too. The `signature` in the body has
    room for one and is made with the new secret at once.
    """
    row = await webhooks.locked(context.writing, id) or _missing(id)
    secret = new_secret()
    after = rotated(row, context.vault.seal(secret.encode(), SEALED), clock.now())
    return Told(await webhooks.save(context.writing, row, after), secret)


@command(Delivery, requires=Scope.WEBHOOKS_WRITE)
async def webhook_test(context: Context, id: WebhookId) -> Any:
    """Sends the event `webhook.test` to a webhook, and to no other, whichever events it gets; tells the delivery."""
    row = await webhooks.locked(context.writing, id) or _missing(id)
    check_enabled(row)
    now = clock.now()
    context.after_commit(context.queued)
    return await deliveries.table.add(context.writing, new_test(row, outbox.new_event_id(now), now))


@command(Webhook, requires=Scope.WEBHOOKS_WRITE)
async def webhook_recover(
    context: Context,
    id: WebhookId,
    since: Annotated[
        str,
        Text(60),
        strawberry.argument(description="A time, a date, or the id of an event, `evt_…`; that one is included."),
    ],
) -> Told:
    """Queues again what a webhook has not got since a time or an event: what failed, was skipped or was never queued.

    What it got is not sent again. What waits for its next attempt is tried at once. `queued` tells how many there are.
    """
    row = await webhooks.locked(context.writing, id) or _missing(id)
    check_enabled(row)
    return Told(row, queued=await recovery.recover_since(context, row, since))


# Private


def _missing(id: int) -> Any:
    raise not_found("Webhook", id)
