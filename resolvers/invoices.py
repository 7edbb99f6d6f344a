"""Queries of invoices, their items and payments, and the numbers they get."""

from datetime import date

from models.enums import InvoiceStatus
from models.invoices import (
    Invoice,
    InvoiceItem,
    InvoiceItemRow,
    InvoiceRow,
    Payment,
    PaymentRow,
)
from resolvers.filters import Where, equal, one_of
from resolvers.tables import Session, Table, WriteSession

table = Table(Invoice, InvoiceRow, owner="client_id")
items = Table(InvoiceItem, InvoiceItemRow, owner="client_id", personal=("description",))
payments = Table(Payment, PaymentRow, owner="client_id")
_NEXT_NUMBER = "UPDATE number_series SET last_number = last_number + 1 WHERE name = ? RETURNING template, last_number"

by_id = table.by_id
locked = table.locked
add = table.add
save = table.save


def overdue(today: date) -> Where:
    return equal("status", InvoiceStatus.UNPAID) & Where("due_date < ?", (today,))


async def payment_by_transaction(session: Session, method: str, transaction_id: str) -> PaymentRow | None:
    return await payments.first(session, equal("method", method) & equal("transaction_id", transaction_id))


async def next_number(session: WriteSession, series: str, today: date) -> str:
    """Takes the next number of a series: its row stays locked until the transaction ends, so there is no gap."""
    ((template, number),) = await session.connection.fetch(_NEXT_NUMBER, (series,))
    return str(template.format(YYYY=today.year, n=number))


async def unpaid_of_service(session: Session, service_id: int) -> list[InvoiceRow]:
    """Unpaid invoices with a line for the service, the oldest first."""
    charging = one_of("id", await _charging(session, service_id))
    return await table.all(session, charging & equal("status", InvoiceStatus.UNPAID))


async def locked_of_service(session: WriteSession, service_id: int) -> list[InvoiceRow]:
    """Invoices with a line for the service that stands, the oldest first, locked until the transaction ends."""
    return await table.all_locked(session, one_of("id", await _charging(session, service_id)))


async def _charging(session: Session, service_id: int) -> list[int]:
    lines = await items.all(session, equal("service_id", service_id))
    return sorted({line.invoice_id for line in lines if not line.void})


async def count_of_client(session: Session, client_id: int, statuses: tuple[str, ...]) -> int:
    return await table.count(session, equal("client_id", client_id) & one_of("status", statuses))


async def first_of_services(session: Session, service_ids: list[int]) -> dict[int, int]:
    """Service id → id of the invoice that charged it first."""
    found: dict[int, int] = {}
    for item in await items.all(session, one_of("service_id", service_ids)):
        if item.service_id is not None:
            found.setdefault(item.service_id, item.invoice_id)
    return found
