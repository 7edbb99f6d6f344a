"""Queries of tickets, their messages and departments."""

from models.tickets import Department, DepartmentRow, Ticket, TicketMessage, TicketMessageRow, TicketRow
from resolvers.tables import Session, Table, one_of

table = Table(Ticket, TicketRow, owner="client_id", personal=("subject",))
messages = Table(TicketMessage, TicketMessageRow, owner="client_id", personal=("body",))
departments = Table(Department, DepartmentRow)

by_id = table.by_id
locked = table.locked
add = table.add
save = table.save


async def messages_of(session: Session, ticket_ids: list[int]) -> dict[int, list[TicketMessageRow]]:
    found: dict[int, list[TicketMessageRow]] = {id: [] for id in ticket_ids}
    for message in await messages.all(session, one_of("ticket_id", ticket_ids)):
        found[message.ticket_id].append(message)
    return found
