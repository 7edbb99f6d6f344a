"""Servers that host services, and the groups they are chosen from."""

from datetime import datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from models.enums import ServerFill, ServerStatus


class ServerGroup(Model):
    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=255)
    fill = fields.CharField(max_length=20)
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "server_groups"
        indexes = (Index(fields=("created_at", "id")),)


class ServerGroupRow(NamedTuple):
    id: int
    name: str
    fill: ServerFill
    version: int
    created_at: datetime
    updated_at: datetime


class Server(Model):
    id = fields.BigIntField(primary_key=True)
    server_group: fields.ForeignKeyNullableRelation[ServerGroup] = fields.ForeignKeyField(
        "models.ServerGroup", null=True, on_delete=fields.RESTRICT, related_name=False
    )
    name = fields.CharField(max_length=255)
    hostname = fields.CharField(max_length=255)
    module = fields.CharField(max_length=40)
    status = fields.CharField(max_length=20)
    max_accounts = fields.BigIntField(null=True)
    accounts = fields.BigIntField()
    """Services that hold a place on the server, pending ones included; changed under the row's lock."""
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    credentials = fields.BinaryField(null=True)
    """What the module logs in with, sealed; never shown."""

    class Meta:
        table = "servers"
        indexes = (
            Index(fields=("server_group_id", "id")),
            Index(fields=("created_at", "id")),
            Index(fields=("status", "id")),
        )


class ServerRow(NamedTuple):
    id: int
    server_group_id: int | None
    name: str
    hostname: str
    module: str
    status: ServerStatus
    max_accounts: int | None
    accounts: int
    version: int
    created_at: datetime
    updated_at: datetime
    credentials: bytes | None
