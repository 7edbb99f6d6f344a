"""Support tickets, their messages and the departments that answer them."""

from datetime import datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from models.clients import Client
from models.enums import Author, TicketPriority, TicketStatus


class Department(Model):
    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=255)
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "departments"
        indexes = (Index(fields=("created_at", "id")),)


class DepartmentRow(NamedTuple):
    id: int
    name: str
    version: int
    created_at: datetime
    updated_at: datetime


class Ticket(Model):
    id = fields.BigIntField(primary_key=True)
    client: fields.ForeignKeyRelation[Client] = fields.ForeignKeyField(
        "models.Client", on_delete=fields.RESTRICT, related_name=False
    )
    department: fields.ForeignKeyRelation[Department] = fields.ForeignKeyField(
        "models.Department", on_delete=fields.RESTRICT, related_name=False
    )
    subject = fields.CharField(max_length=255)
    status = fields.CharField(max_length=20)
    priority = fields.CharField(max_length=20)
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "tickets"
        indexes = (
            Index(fields=("client_id", "id")),
            Index(fields=("department_id", "id")),
            Index(fields=("status", "id")),
            Index(fields=("priority", "id")),
            Index(fields=("created_at", "id")),
        )


class TicketRow(NamedTuple):
    id: int
    client_id: int
    department_id: int
    subject: str
    status: TicketStatus
    priority: TicketPriority
    version: int
    created_at: datetime
    updated_at: datetime


class TicketMessage(Model):
    id = fields.BigIntField(primary_key=True)
    ticket: fields.ForeignKeyRelation[Ticket] = fields.ForeignKeyField(
        "models.Ticket", on_delete=fields.RESTRICT, related_name=False
    )
    client: fields.ForeignKeyRelation[Client] = fields.ForeignKeyField(
        "models.Client", on_delete=fields.RESTRICT, related_name=False
    )
    """The client of the ticket, whoever wrote the message: the row's owner."""
    author = fields.CharField(max_length=20)
    body = fields.TextField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "ticket_messages"
        indexes = (Index(fields=("ticket_id", "id")), Index(fields=("client_id",)))


class TicketMessageRow(NamedTuple):
    id: int
    ticket_id: int
    client_id: int
    author: Author
    body: str
    created_at: datetime
