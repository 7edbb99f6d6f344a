"""Events: what happened, written in the transaction that made it so and numbered after its commit."""

from datetime import datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model


class Event(Model):
    id = fields.BigIntField(primary_key=True)
    public_id = fields.CharField(max_length=40, unique=True)
    sequence = fields.BigIntField(null=True, unique=True)
    """Gapless, in commit order; null until the sequencer has seen the commit."""
    event = fields.CharField(max_length=60)
    object_type = fields.CharField(max_length=40)
    object_id = fields.BigIntField()
    object_version = fields.BigIntField()
    client_id = fields.BigIntField(null=True)
    """The client that may see the event; no foreign key, since events outlive what they tell of."""
    payload = fields.TextField()
    """Canonical JSON (RFC 8785) of `data`, `event` and `timestamp`, frozen when it happened."""
    actor = fields.CharField(max_length=60)
    request_id = fields.CharField(max_length=128)
    created_at = fields.DatetimeField()

    class Meta:
        table = "events"
        unique_together = (("object_type", "object_id", "object_version"),)
        indexes = (Index(fields=("client_id", "sequence")), Index(fields=("created_at", "id")))


class EventRow(NamedTuple):
    id: int
    public_id: str
    sequence: int | None
    event: str
    object_type: str
    object_id: int
    object_version: int
    client_id: int | None
    payload: str
    actor: str
    request_id: str
    created_at: datetime


class EventHead(Model):
    """One row: the last sequence number given out."""

    id = fields.BigIntField(primary_key=True)
    last_sequence = fields.BigIntField()

    class Meta:
        table = "event_head"


class EventHeadRow(NamedTuple):
    id: int
    last_sequence: int
