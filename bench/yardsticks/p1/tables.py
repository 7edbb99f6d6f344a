"""P1's tables, as SQLAlchemy maps them."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Integer
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

_STORED = (
    "%(year)04d-%(month)02d-%(day)02d %(hour)02d:%(minute)02d:%(second)02d.%(microsecond)06d+00:00"  # as the product's
)
Moment = DateTime(timezone=True).with_variant(sqlite.DATETIME(storage_format=_STORED), "sqlite")
Id = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    type_annotation_map: Any = {datetime: Moment, int: BigInteger}  # noqa: RUF012


class ApiKey(Base):
    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    digest: Mapped[str]
    scopes: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Client(Base):
    __tablename__ = "clients"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    first_name: Mapped[str]
    last_name: Mapped[str]
    email: Mapped[str | None]
    email_key: Mapped[str | None] = mapped_column(deferred=True)
    password_hash: Mapped[str | None] = mapped_column(deferred=True)
    company: Mapped[str | None]
    phone: Mapped[str | None]
    address: Mapped[str | None]
    city: Mapped[str | None]
    country: Mapped[str | None]
    status: Mapped[str]
    currency: Mapped[str]
    search_key: Mapped[str] = mapped_column(deferred=True)
    version: Mapped[int] = mapped_column(deferred=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None] = mapped_column(deferred=True)


class Invoice(Base):
    __tablename__ = "invoices"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    number: Mapped[str]
    client_id: Mapped[int] = mapped_column(ForeignKey("clients.id"))
    status: Mapped[str]
    due_date: Mapped[date]
    subtotal: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    balance: Mapped[int]
    currency: Mapped[str]
    paid_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(deferred=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    items: Mapped[list["InvoiceItem"]] = relationship(order_by="InvoiceItem.id", lazy="raise")


class InvoiceItem(Base):
    __tablename__ = "invoice_items"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    client_id: Mapped[int] = mapped_column(deferred=True)
    kind: Mapped[str] = mapped_column(deferred=True)
    description: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    void: Mapped[bool] = mapped_column(deferred=True)


class NumberSeries(Base):
    __tablename__ = "number_series"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str]
    template: Mapped[str]
    last_number: Mapped[int]


class Event(Base):
    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str]
    event: Mapped[str]
    object_type: Mapped[str]
    object_id: Mapped[int]
    object_version: Mapped[int]
    client_id: Mapped[int | None]
    payload: Mapped[str]
    actor: Mapped[str]
    request_id: Mapped[str]
    created_at: Mapped[datetime]


class AuditEntry(Base):
    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    created_at: Mapped[datetime]
    actor: Mapped[str]
    request_id: Mapped[str]
    action: Mapped[str]
    object_type: Mapped[str]
    object_id: Mapped[int]
    changes: Mapped[str]
