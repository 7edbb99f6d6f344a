"""Services: what clients hold."""

from datetime import date, datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from models.clients import Client
from models.enums import BillingCycle, ProvisionState, ServiceStatus, SuspensionReason
from models.products import Product
from models.servers import Server


class Service(Model):
    id = fields.BigIntField(primary_key=True)
    client: fields.ForeignKeyRelation[Client] = fields.ForeignKeyField(
        "models.Client", on_delete=fields.RESTRICT, related_name=False
    )
    product: fields.ForeignKeyRelation[Product] = fields.ForeignKeyField(
        "models.Product", on_delete=fields.RESTRICT, related_name=False
    )
    server: fields.ForeignKeyNullableRelation[Server] = fields.ForeignKeyField(
        "models.Server", null=True, on_delete=fields.RESTRICT, related_name=False
    )
    domain = fields.CharField(max_length=255, null=True)
    username = fields.CharField(max_length=255, null=True)
    billing_cycle = fields.CharField(max_length=20)
    status = fields.CharField(max_length=20)
    provision_state = fields.CharField(max_length=20)
    amount = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    anchor_date = fields.DateField()
    """The date that every due date is counted from."""
    next_due_date = fields.DateField(null=True)
    suspension_reason = fields.CharField(max_length=20, null=True)
    suspension_note = fields.CharField(max_length=1000, null=True)
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "services"
        indexes = (
            Index(fields=("client_id", "id")),
            Index(fields=("product_id", "id")),
            Index(fields=("server_id", "id")),
            Index(fields=("status", "id")),
            Index(fields=("created_at", "id")),
        )


class ServiceRow(NamedTuple):
    id: int
    client_id: int
    product_id: int
    server_id: int | None
    domain: str | None
    username: str | None
    billing_cycle: BillingCycle
    status: ServiceStatus
    provision_state: ProvisionState
    amount: int
    currency: str
    anchor_date: date
    next_due_date: date | None
    suspension_reason: SuspensionReason | None
    suspension_note: str | None
    version: int
    created_at: datetime
    updated_at: datetime
