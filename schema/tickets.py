"""Support tickets: what clients ask and staff answer."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from arcbilling import clock
from models.clients import ClientRow
from models.enums import Author, TicketPriority, TicketStatus
from models.tickets import DepartmentRow, TicketMessageRow, TicketRow
from resolvers import clients, tickets
from resolvers.filters import Where, matching
from resolvers.reading import Columns
from schema.actors import Scope
from schema.checks import NEVER_NULL, Reference, Text
from schema.clients import Client
from schema.connections import lists
from schema.context import Context, size_of
from schema.departments import Department
from schema.errors import invalid, not_found, refused
from schema.events import TicketClosed, TicketOpened, TicketReplied, emit
from schema.fields import (
    command,
    derived,
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
from schema.moments import Since, Until
from schema.nodes import Node

strawberry.enum(TicketStatus, description="Whose turn it is: `OPEN` and `CUSTOMER_REPLY` wait for staff.")
strawberry.enum(TicketPriority, description="How urgent a ticket is.")
strawberry.enum(Author, name="TicketAuthor", description="Who wrote a message.")

TicketId = Annotated[int, *id_argument(Kind.TICKET)]
MESSAGE = Text(65_535, trim=False)
MAX_MESSAGES = 1_000
"""Of one ticket: all are shown at once, and each reply is answered with all."""
MAX_SIZE = 1024 * 1024
"""Of all messages of one ticket, in bytes as they are answered: with an Idempotency-Key, each answer is stored."""


@strawberry.enum(description="What may be done with a ticket now.")
class TicketAction(StrEnum):
    REPLY = "reply"
    CLOSE = "close"
    UPDATE = "update"


@strawberry.type(description="A message of a ticket.")
class TicketMessage:
    id: strawberry.ID = identifier(Kind.MESSAGE, "`msg_12`.")
    author: Author = plain("Who wrote it.")
    message: str = plain("What was written, as it was written.", of="body")
    created_at: datetime = plain("When it was written.")


@strawberry.type(description="A support ticket.")
class Ticket(Node):
    id: strawberry.ID = identifier(Kind.TICKET, "`tic_8`.")
    client_id: strawberry.ID = identifier(Kind.CLIENT, "Who asks.")
    department_id: strawberry.ID = identifier(Kind.DEPARTMENT, "Who answers.")
    subject: str = plain("What it is about.")
    status: TicketStatus = plain("Whose turn it is.")
    priority: TicketPriority = plain("How urgent it is.")
    created_at: datetime = plain("When it was opened.")
    updated_at: datetime = plain("When it was last changed or answered.")

    @derived(list[TicketAction])
    def allowed_actions(row: TicketRow) -> list[TicketAction]:
        """What may be done with it now."""
        return list(ALLOWED[row.status])

    @relation(list[TicketMessage], requires=Scope.TICKETS_READ)
    async def messages(ids: list[int], context: Context, columns: Columns) -> list[list[TicketMessageRow]]:
        """Its messages, the oldest first."""
        return await context.below(tickets.messages, "ticket_id", ids, columns, text="body")

    @relation(Client | None, requires=Scope.CLIENTS_READ, by="client_id")
    async def client(ids: list[int], context: Context, columns: Columns) -> Sequence[ClientRow | None]:
        """Who asks; null once the client was erased."""
        return await context.each(clients.table, ids, columns)

    @relation(Department | None, requires=Scope.DEPARTMENTS_READ, by="department_id")
    async def department(ids: list[int], context: Context, columns: Columns) -> Sequence[DepartmentRow | None]:
        """Who answers."""
        return await context.each(tickets.departments, ids, columns)


@strawberry.enum(description="The order of a list of tickets.")
class TicketSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"


@strawberry.input(description="Which tickets.")
class TicketFilter:
    status: TicketStatus | None = member("Tickets of this status.", optional=True)
    client_id: Annotated[int | None, Reference(Kind.CLIENT)] = id_member("Tickets of this client.", optional=True)
    department_id: Annotated[int | None, Reference(Kind.DEPARTMENT)] = id_member(
        "Tickets to this department.", optional=True
    )
    priority: TicketPriority | None = member("Tickets of this priority.", optional=True)
    created_from: Since = member("Opened then or later: a time, or a date.", optional=True)
    created_to: Until = member("Opened then or earlier: a time, or a date, that day included.", optional=True)


@strawberry.input(description="A new ticket. Its first message is the client's.")
class TicketCreateInput:
    client_id: Annotated[int, Reference(Kind.CLIENT)] = id_member("Who asks.")
    department_id: Annotated[int, Reference(Kind.DEPARTMENT)] = id_member("Who answers.")
    subject: str = member("What it is about.")
    message: Annotated[str, MESSAGE] = member("The first message, taken exactly as it is.")
    priority: TicketPriority | None = member("Default `MEDIUM`.", optional=True)


class TicketState(StrEnum):
    """Statuses that staff set by hand; the others follow from replies, and from closing."""

    OPEN = "open"
    ON_HOLD = "on_hold"


strawberry.enum(TicketState, description="Statuses that staff set by hand.")


@strawberry.input(description="Changes to a ticket: what is given is changed.")
class TicketUpdateInput:
    department_id: Annotated[int | None, Reference(Kind.DEPARTMENT), NEVER_NULL] = id_member(
        "Who answers.", optional=True
    )
    priority: Annotated[TicketPriority | None, NEVER_NULL] = member("How urgent it is.", optional=True)
    subject: Annotated[str | None, NEVER_NULL] = member("What it is about.", optional=True)
    status: Annotated[TicketState | None, NEVER_NULL] = member("Put on hold, or open again.", optional=True)


# Rules

ALLOWED: dict[TicketStatus, tuple[TicketAction, ...]] = {
    status: (TicketAction.REPLY, TicketAction.UPDATE)
    if status is TicketStatus.CLOSED
    else (TicketAction.REPLY, TicketAction.CLOSE, TicketAction.UPDATE)
    for status in TicketStatus
}


def answered_by(row: TicketRow, author: Author) -> TicketRow:
    """The ticket after a reply, which reopens a closed one."""
    status = TicketStatus.CUSTOMER_REPLY if author is Author.CLIENT else TicketStatus.ANSWERED
    return row._replace(status=status)


def check_room(id: int, messages: list[str], message: str) -> None:
    """Refuses a reply to a ticket that holds so many messages, or so long ones, as can be shown at once."""
    size = sum(map(size_of, messages))
    if len(messages) >= MAX_MESSAGES or size + size_of(message) > MAX_SIZE:
        raise refused(f"Ticket {id} is full: it holds {len(messages):,} messages of {size:,} bytes. Open another.")


# Queries


@query(Ticket | None, requires=Scope.TICKETS_READ)
async def ticket(context: Context, id: TicketId) -> TicketRow:
    """One ticket."""
    return await tickets.by_id(context.session, id) or _missing(id)


@lists(Ticket, tickets.table, requires=Scope.TICKETS_READ, sort=TicketSort)
def tickets_(filter: TicketFilter) -> Where:
    """The tickets."""
    return matching(
        status=wanted(filter.status),
        client_id=wanted(filter.client_id),
        department_id=wanted(filter.department_id),
        priority=wanted(filter.priority),
    )


# Commands


@command(Ticket, requires=Scope.TICKETS_WRITE, emits=(TicketOpened,), open_to_clients=True)
async def ticket_create(context: Context, input: TicketCreateInput) -> TicketRow:
    """Opens a ticket with the client's first message."""
    session = context.writing
    if await clients.locked(session, input.client_id) is None:
        raise invalid("client_id", f"names no client: {input.client_id}")
    await _check_department(context, input.department_id)
    now = clock.now()
    row = TicketRow(
        id=0,
        client_id=input.client_id,
        department_id=input.department_id,
        subject=input.subject,
        status=TicketStatus.OPEN,
        priority=input.priority or TicketPriority.MEDIUM,
        version=1,
        created_at=now,
        updated_at=now,
    )
    row = await tickets.add(session, row)
    await tickets.messages.add(session, TicketMessageRow(0, row.id, row.client_id, Author.CLIENT, input.message, now))
    await emit(context, TicketOpened(Ticket, row, row.client_id))
    return row


@command(Ticket, requires=Scope.TICKETS_WRITE, emits=(TicketReplied,), open_to_clients=True)
async def ticket_reply(
    context: Context,
    id: TicketId,
    message: Annotated[str, MESSAGE, strawberry.argument(description="What to write, taken exactly as it is.")],
    client_id: Annotated[
        int | None,
        Reference(Kind.CLIENT),
        strawberry.argument(
            graphql_type=strawberry.ID | None,
            description="The ticket's client, to write as the client; without it the author is staff.",
        ),
    ] = None,
) -> TicketRow:
    """Answers a ticket; a closed one is open again. A key that is bound to a client writes as the client."""
    session = context.writing
    row = await _locked(context, id)
    if client_id is not None and client_id != row.client_id:
        raise invalid("client_id", f"must be the ticket's client, {row.client_id}")
    as_client = client_id is not None or context.actor.client_id is not None
    author = Author.CLIENT if as_client else Author.STAFF
    (messages,) = await tickets.messages.grouped(session, "ticket_id", [id])
    check_room(id, [one.body for one in messages], message)
    after = await tickets.save(session, row, answered_by(row, author))
    reply = TicketMessageRow(0, id, row.client_id, author, message, clock.now())
    reply = await tickets.messages.add(session, reply)
    told = {"reply": {"id": reply.id, "author": author.value, "message": message}}
    await emit(context, TicketReplied(Ticket, after, after.client_id, told))
    return after


@command(Ticket, requires=Scope.TICKETS_WRITE, emits=(TicketClosed,))
async def ticket_close(context: Context, id: TicketId) -> TicketRow:
    """Closes a ticket; a reply opens it again."""
    row = await tickets.locked(context.writing, id) or _missing(id)
    if row.status is TicketStatus.CLOSED:
        return row
    row = await tickets.save(context.writing, row, row._replace(status=TicketStatus.CLOSED))
    await emit(context, TicketClosed(Ticket, row, row.client_id))
    return row


@command(Ticket, requires=Scope.TICKETS_WRITE)
async def ticket_update(context: Context, id: TicketId, input: TicketUpdateInput) -> TicketRow:
    """Changes a ticket's subject, department or priority, puts it on hold or opens it again."""
    row = await _locked(context, id)
    values = members_given(input, "department_id", "priority", "subject", "status")
    if "department_id" in values:
        await _check_department(context, values["department_id"])
    if "status" in values:
        values["status"] = TicketStatus(values["status"])
    after = row._replace(**values)
    return row if after == row else await tickets.save(context.writing, row, after)


# Private


def _missing(id: int) -> Any:
    raise not_found("Ticket", id)


async def _locked(context: Context, id: int) -> TicketRow:
    """The ticket, to be written on: not one of a client that was erased, and is not while this goes on."""
    row = await tickets.by_id(context.session, id) or _missing(id)
    if await clients.locked(context.writing, row.client_id) is None:
        raise refused(f"Ticket {id} is of a client that was erased, and takes no more words.")
    return await tickets.locked(context.writing, id) or _missing(id)


async def _check_department(context: Context, id: int) -> None:
    if await tickets.departments.by_id(context.session, id) is None:
        raise invalid("department_id", f"names no department: {id}")
