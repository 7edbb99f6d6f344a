"""Calls to modules: what is to be done on servers, queued in the transaction that decided it, made after its commit."""

from datetime import datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from models.enums import ModuleAction, ModuleCallStatus
from models.servers import Server
from models.services import Service


class ModuleCall(Model):
    """Changed under the lock of its service's row alone."""

    id = fields.BigIntField(primary_key=True)
    service: fields.ForeignKeyRelation[Service] = fields.ForeignKeyField(
        "models.Service", on_delete=fields.RESTRICT, related_name=False
    )
    client_id = fields.BigIntField()
    """The service's. No foreign key: inserting a row would lock the client's behind the service's."""
    server: fields.ForeignKeyNullableRelation[Server] = fields.ForeignKeyField(
        "models.Server", null=True, on_delete=fields.RESTRICT, related_name=False
    )
    module = fields.CharField(max_length=40)
    action = fields.CharField(max_length=20)
    status = fields.CharField(max_length=20)
    attempts = fields.BigIntField()
    """How often it was begun. The number of an attempt: an answer to another than the last one changes nothing."""
    most_attempts = fields.BigIntField()
    """At so many attempts it fails; a retry by staff allows more."""
    due_at = fields.DatetimeField(null=True)
    """When it may be begun: next attempt, or, while it runs, the end of its lease; null once it is finished."""
    last_error = fields.CharField(max_length=1000, null=True)
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    finished_at = fields.DatetimeField(null=True)
    key_part = fields.CharField(max_length=40, null=True)
    """Random: ids are given out again in another database and after a restore, the key is not. Null in older rows."""
    told_at = fields.DatetimeField(null=True)
    """When it was first handed to its module; null as long as nothing can have been done."""

    class Meta:
        table = "module_calls"
        indexes = (
            Index(fields=("service_id", "id")),
            Index(fields=("client_id", "id")),
            Index(fields=("server_id", "id")),
            Index(fields=("status", "id")),
            Index(fields=("due_at", "id")),
            Index(fields=("created_at", "id")),
        )


class ModuleCallRow(NamedTuple):
    id: int
    service_id: int
    client_id: int
    server_id: int | None
    module: str
    action: ModuleAction
    status: ModuleCallStatus
    attempts: int
    most_attempts: int
    due_at: datetime | None
    last_error: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    key_part: str | None
    told_at: datetime | None
