"""Products and their prices: what is sold."""

from datetime import datetime
from typing import NamedTuple

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from models.enums import AutoSetup, BillingCycle, ProductStatus, ProductType


class Product(Model):
    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=255)
    description = fields.CharField(max_length=1000, null=True)
    type = fields.CharField(max_length=20)
    status = fields.CharField(max_length=20)
    auto_setup = fields.CharField(max_length=20)
    module = fields.CharField(max_length=40)
    server_group: fields.ForeignKeyNullableRelation[Model] = fields.ForeignKeyField(
        "models.ServerGroup", null=True, on_delete=fields.RESTRICT, related_name=False
    )
    version = fields.BigIntField()
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()
    module_options = fields.TextField(null=True)
    """JSON object: option of the module → its value, a string; null for none."""

    class Meta:
        table = "products"
        indexes = (
            Index(fields=("created_at", "id")),
            Index(fields=("status", "id")),
            Index(fields=("server_group_id",)),
        )


class ProductRow(NamedTuple):
    id: int
    name: str
    description: str | None
    type: ProductType
    status: ProductStatus
    auto_setup: AutoSetup
    module: str
    server_group_id: int | None
    version: int
    created_at: datetime
    updated_at: datetime
    module_options: str | None


class Price(Model):
    """The price of a product for one billing cycle in one currency. No row means that it is not sold so."""

    id = fields.BigIntField(primary_key=True)
    product: fields.ForeignKeyRelation[Product] = fields.ForeignKeyField(
        "models.Product", on_delete=fields.RESTRICT, related_name=False
    )
    billing_cycle = fields.CharField(max_length=20)
    currency = fields.CharField(max_length=3)
    amount = fields.BigIntField()
    setup_fee = fields.BigIntField()

    class Meta:
        table = "product_prices"
        unique_together = (("product_id", "billing_cycle", "currency"),)


class PriceRow(NamedTuple):
    id: int
    product_id: int
    billing_cycle: BillingCycle
    currency: str
    amount: int
    setup_fee: int
