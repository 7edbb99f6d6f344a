"""Queries of tickets, their messages and departments."""

from models.tickets import Department, DepartmentRow, Ticket, TicketMessage, TicketMessageRow, TicketRow
from resolvers.tables import Table

table = Table(Ticket, TicketRow, owner="client_id", personal=("subject",))
messages = Table(TicketMessage, TicketMessageRow, owner="client_id", personal=("body",))
departments = Table(Department, DepartmentRow)

by_id = table.by_id
locked = table.locked
add = table.add
save = table.save
