"""Webhooks: where events are sent, what is to be sent there, and each attempt at it."""

from datetime import datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index, PartialIndex
from tortoise.models import Model

from models.enums import AttemptTrigger, Circuit, DeliveryStatus, DisabledReason, WebhookStatus


class Webhook(Model):
    """An endpoint, as staff have set it up. How it is doing stands in its circuit."""

    id = fields.BigIntField(primary_key=True)
    url = fields.CharField(max_length=2048)
    events = fields.TextField()
    """Names of events, separated by blanks; `*` for all."""
    description = fields.CharField(max_length=1000, null=True)
    status = fields.CharField(max_length=20)
    disabled_reason = fields.CharField(max_length=20, null=True)
    secret = fields.BinaryField()
    """Sealed."""
    previous_secret = fields.BinaryField(null=True)
    """Sealed: the secret before the last rotation, which signs too until `previous_until`."""
    previous_until = fields.DatetimeField(null=True)
    active_from = fields.BigIntField()
    """The last sequence number of its creation: it gets the events after that."""
    deleted_at = fields.DatetimeField(null=True)
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "webhooks"
        indexes = (Index(fields=("created_at", "id")), Index(fields=("status", "id")))


class WebhookRow(NamedTuple):
    id: int
    url: str
    events: str
    description: str | None
    status: WebhookStatus
    disabled_reason: DisabledReason | None
    secret: bytes
    previous_secret: bytes | None
    previous_until: datetime | None
    active_from: int
    deleted_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class WebhookCircuit(Model):
    """How an endpoint is doing: one row for each, which the dispatcher writes."""

    id = fields.BigIntField(primary_key=True)
    webhook_id = fields.BigIntField(unique=True)
    state = fields.CharField(max_length=20)
    failures = fields.BigIntField()
    """Failed attempts since the last success."""
    failing_since = fields.DatetimeField(null=True)
    """The first failed attempt since the last success."""
    next_probe_at = fields.DatetimeField(null=True)
    """While it is open: when one delivery is tried next."""
    draining_since = fields.DatetimeField(null=True)
    """While it drains: when what had been held was released."""

    class Meta:
        table = "webhook_circuits"


class WebhookCircuitRow(NamedTuple):
    id: int
    webhook_id: int
    state: Circuit
    failures: int
    failing_since: datetime | None
    next_probe_at: datetime | None
    draining_since: datetime | None


class Delivery(Model):
    """One event for one endpoint."""

    id = fields.BigIntField(primary_key=True)
    webhook_id = fields.BigIntField()
    """No foreign keys here: rows come and go by the thousand, and a deleted endpoint's are removed part by part."""
    message_id = fields.CharField(max_length=40)
    """`evt_…`: the event's, or, of a test, its own."""
    event = fields.CharField(max_length=60)
    event_id = fields.BigIntField(null=True)
    """The row of the event, which holds the payload; null for a test."""
    payload = fields.TextField(null=True)
    """The payload of a test; null for an event."""
    object_type = fields.CharField(max_length=40)
    object_id = fields.BigIntField()
    sequence = fields.BigIntField()
    """The event's place; 0 for a test. An object's deliveries to an endpoint are made in this order."""
    client_id = fields.BigIntField(null=True)
    """The client that the event concerns: answers that may tell of it are dropped when it is erased."""
    status = fields.CharField(max_length=20)
    trigger = fields.CharField(max_length=20)
    """Manual when staff have asked for its next attempt."""
    attempts = fields.BigIntField()
    """How many of its ten attempts were begun; probes do not count."""
    due_at = fields.DatetimeField(null=True)
    """When it may be tried next, or, while it is tried, the end of its lease; null once it is finished."""
    lease = fields.CharField(max_length=40, null=True)
    """Random, new for each attempt: a result that comes with another changes nothing."""
    response_status = fields.BigIntField(null=True)
    """The HTTP status of the last answer."""
    queued_at = fields.DatetimeField()
    """When it was queued, for the first time or again."""
    created_at = fields.DatetimeField()
    finished_at = fields.DatetimeField(null=True)

    class Meta:
        table = "deliveries"
        unique_together = (("webhook_id", "message_id"),)
        indexes = (
            Index(fields=("webhook_id", "due_at", "id")),
            PartialIndex(
                fields=("webhook_id", "object_type", "object_id", "sequence"), condition={"status": "pending"}
            ),
            PartialIndex(fields=("webhook_id", "due_at"), condition={"trigger": "manual"}),
            Index(fields=("webhook_id", "status", "id")),
            Index(fields=("webhook_id", "id")),
            Index(fields=("client_id", "id")),
        )


class DeliveryRow(NamedTuple):
    id: int
    webhook_id: int
    message_id: str
    event: str
    event_id: int | None
    payload: str | None
    object_type: str
    object_id: int
    sequence: int
    client_id: int | None
    status: DeliveryStatus
    trigger: AttemptTrigger
    attempts: int
    due_at: datetime | None
    lease: str | None
    response_status: int | None
    queued_at: datetime
    created_at: datetime
    finished_at: datetime | None


class DeliveryAttempt(Model):
    """One request to an endpoint, written once it has ended, with what came of it."""

    id = fields.BigIntField(primary_key=True)
    delivery_id = fields.BigIntField()
    trigger = fields.CharField(max_length=20)
    started_at = fields.DatetimeField()
    milliseconds = fields.BigIntField()
    response_status = fields.BigIntField(null=True)
    """Null when there was no answer."""
    error = fields.CharField(max_length=255, null=True)
    """Why it failed, in words; null when it succeeded."""
    address = fields.CharField(max_length=60, null=True)
    """The address that was dialled."""
    answer = fields.TextField(null=True)
    """The first 16 KiB of the answer's body."""

    class Meta:
        table = "delivery_attempts"
        indexes = (Index(fields=("delivery_id", "id")), Index(fields=("started_at", "id")))


class DeliveryAttemptRow(NamedTuple):
    id: int
    delivery_id: int
    trigger: AttemptTrigger
    started_at: datetime
    milliseconds: int
    response_status: int | None
    error: str | None
    address: str | None
    answer: str | None
