"""Invoices, their items and payments, and the series that number them. Amounts are integer minor units."""

from datetime import date, datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.models import Model

from models.clients import Client
from models.enums import InvoiceStatus, ItemKind
from models.services import Service


class Invoice(Model):
    id = fields.BigIntField(primary_key=True)
    number = fields.CharField(max_length=60, unique=True)
    client: fields.ForeignKeyRelation[Client] = fields.ForeignKeyField(
        "models.Client", on_delete=fields.RESTRICT, related_name=False
    )
    status = fields.CharField(max_length=20)
    due_date = fields.DateField()
    subtotal = fields.BigIntField()
    tax = fields.BigIntField()
    total = fields.BigIntField()
    balance = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    paid_at = fields.DatetimeField(null=True)
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "invoices"
        indexes = (
            Index(fields=("client_id", "id")),
            Index(fields=("status", "id")),
            Index(fields=("status", "due_date", "id")),
            Index(fields=("due_date", "id")),
            Index(fields=("created_at", "id")),
        )


class InvoiceRow(NamedTuple):
    id: int
    number: str
    client_id: int
    status: InvoiceStatus
    due_date: date
    subtotal: int
    tax: int
    total: int
    balance: int
    currency: str
    paid_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class InvoiceItem(Model):
    id = fields.BigIntField(primary_key=True)
    invoice: fields.ForeignKeyRelation[Invoice] = fields.ForeignKeyField(
        "models.Invoice", on_delete=fields.RESTRICT, related_name=False
    )
    client: fields.ForeignKeyRelation[Client] = fields.ForeignKeyField(
        "models.Client", on_delete=fields.RESTRICT, related_name=False
    )
    kind = fields.CharField(max_length=20)
    description = fields.CharField(max_length=1000)
    amount = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    service: fields.ForeignKeyNullableRelation[Service] = fields.ForeignKeyField(
        "models.Service", null=True, on_delete=fields.RESTRICT, related_name=False
    )
    period_start = fields.DateField(null=True)
    period_end = fields.DateField(null=True)
    void = fields.BooleanField(default=False, db_default=False)

    class Meta:
        table = "invoice_items"
        indexes = (Index(fields=("invoice_id", "id")), Index(fields=("client_id",)), Index(fields=("service_id",)))
        constraints = (
            # A service is charged at most once for a period: a double renewal cannot be stored.
            UniqueConstraint(
                fields=("service_id", "kind", "period_start"),
                name="uid_invoice_items_service_period",
                condition="NOT void",
            ),
        )


class InvoiceItemRow(NamedTuple):
    id: int
    invoice_id: int
    client_id: int
    kind: ItemKind
    description: str
    amount: int
    currency: str
    service_id: int | None
    period_start: date | None
    period_end: date | None
    void: bool


class Payment(Model):
    id = fields.BigIntField(primary_key=True)
    invoice: fields.ForeignKeyRelation[Invoice] = fields.ForeignKeyField(
        "models.Invoice", on_delete=fields.RESTRICT, related_name=False
    )
    client: fields.ForeignKeyRelation[Client] = fields.ForeignKeyField(
        "models.Client", on_delete=fields.RESTRICT, related_name=False
    )
    method = fields.CharField(max_length=255)
    transaction_id = fields.CharField(max_length=255, null=True)
    amount = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    paid_at = fields.DatetimeField()
    created_at = fields.DatetimeField()

    class Meta:
        table = "payments"
        indexes = (Index(fields=("invoice_id", "id")), Index(fields=("client_id",)))
        unique_together = (("method", "transaction_id"),)


class PaymentRow(NamedTuple):
    id: int
    invoice_id: int
    client_id: int
    method: str
    transaction_id: str | None
    amount: int
    currency: str
    paid_at: datetime
    created_at: datetime


class NumberSeries(Model):
    """A gapless series: `last_number` is raised under the row's lock, in the transaction that uses the number."""

    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=40, unique=True)
    template = fields.CharField(max_length=60)
    last_number = fields.BigIntField()

    class Meta:
        table = "number_series"


class NumberSeriesRow(NamedTuple):
    id: int
    name: str
    template: str
    last_number: int
