"""Clients: who buys."""

from datetime import datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from models.enums import ClientStatus


class Client(Model):
    id = fields.BigIntField(primary_key=True)
    first_name = fields.CharField(max_length=255)
    last_name = fields.CharField(max_length=255)
    email = fields.CharField(max_length=255, null=True)
    email_key = fields.CharField(max_length=255, null=True, unique=True)
    """The e-mail address case-folded; null once erased, so that the address is free again."""
    password_hash = fields.CharField(max_length=255, null=True)
    company = fields.CharField(max_length=255, null=True)
    phone = fields.CharField(max_length=255, null=True)
    address = fields.CharField(max_length=1000, null=True)
    city = fields.CharField(max_length=255, null=True)
    country = fields.CharField(max_length=2, null=True)
    status = fields.CharField(max_length=20)
    currency = fields.CharField(max_length=3)
    search_key = fields.TextField()
    """What `q` looks in: full name, last name, e-mail and company, case-folded, each behind a line feed."""
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        table = "clients"
        indexes = (Index(fields=("created_at", "id")), Index(fields=("status", "id")))


class ClientRow(NamedTuple):
    id: int
    first_name: str
    last_name: str
    email: str | None
    email_key: str | None
    password_hash: str | None
    company: str | None
    phone: str | None
    address: str | None
    city: str | None
    country: str | None
    status: ClientStatus
    currency: str
    search_key: str
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
