"""API keys. Only the SHA-256 of a key is stored."""

from datetime import datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from models.clients import Client


class ApiKey(Model):
    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=255)
    digest = fields.CharField(max_length=64, unique=True)
    hint = fields.CharField(max_length=40)
    """Prefix and last four characters, for people to tell keys apart."""
    scopes = fields.TextField()
    """Separated by blanks."""
    client: fields.ForeignKeyNullableRelation[Client] = fields.ForeignKeyField(
        "models.Client", null=True, on_delete=fields.RESTRICT, related_name=False
    )
    networks = fields.TextField()
    """CIDRs separated by blanks; empty for any address."""
    expires_at = fields.DatetimeField(null=True)
    created_by = fields.CharField(max_length=60)
    last_used_at = fields.DatetimeField(null=True)
    last_used_ip = fields.CharField(max_length=60, null=True)
    revoked_at = fields.DatetimeField(null=True)
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "api_keys"
        indexes = (Index(fields=("client_id", "id")), Index(fields=("created_at", "id")))


class ApiKeyRow(NamedTuple):
    id: int
    name: str
    digest: str
    hint: str
    scopes: str
    client_id: int | None
    networks: str
    expires_at: datetime | None
    created_by: str
    last_used_at: datetime | None
    last_used_ip: str | None
    revoked_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
