"""Records of requests: stored answers for Idempotency-Key, and the audit trail."""

from datetime import datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model


class IdempotencyRecord(Model):
    id = fields.BigIntField(primary_key=True)
    principal = fields.CharField(max_length=60)
    key = fields.CharField(max_length=255)
    fingerprint = fields.CharField(max_length=64)
    answer = fields.BinaryField(null=True)
    """Sealed status, headers and body of the answer; null after the client it tells of was erased."""
    client_id = fields.BigIntField(null=True)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "idempotency_records"
        unique_together = (("principal", "key"),)
        indexes = (Index(fields=("expires_at",)), Index(fields=("client_id",)))


class IdempotencyRow(NamedTuple):
    id: int
    principal: str
    key: str
    fingerprint: str
    answer: bytes | None
    client_id: int | None
    created_at: datetime
    expires_at: datetime


class AuditEntry(Model):
    """Who changed what. Append-only. Values of personal columns are not kept, only that they changed."""

    id = fields.BigIntField(primary_key=True)
    created_at = fields.DatetimeField()
    actor = fields.CharField(max_length=60)
    request_id = fields.CharField(max_length=128)
    action = fields.CharField(max_length=60)
    object_type = fields.CharField(max_length=40)
    object_id = fields.BigIntField()
    changes = fields.TextField()
    """JSON object: column → [old, new], or null for a column whose values are not kept."""

    class Meta:
        table = "audit_entries"
        indexes = (Index(fields=("object_type", "object_id", "id")), Index(fields=("created_at", "id")))


class AuditRow(NamedTuple):
    id: int
    created_at: datetime
    actor: str
    request_id: str
    action: str
    object_type: str
    object_id: int
    changes: str
