"""Periods: what a service is charged for, and how far it is paid."""

from models.enums import ItemKind, ServiceStatus
from models.invoices import InvoiceItemRow
from models.products import PriceRow, ProductRow
from models.services import ServiceRow
from schema import cycles
from schema.invoices import Line


def recurs(row: ServiceRow) -> bool:
    return row.amount > 0 and cycles.months(row.billing_cycle) is not None


def paid_until(row: ServiceRow, line: InvoiceItemRow) -> ServiceRow:
    """The row once the line is paid: it advances exactly the period that the line names."""
    if not recurs(row) or row.status in (ServiceStatus.TERMINATED, ServiceStatus.CANCELLED):
        return row
    return row._replace(next_due_date=line.period_end) if line.period_start == row.next_due_date else row


def first_lines(row: ServiceRow, product: ProductRow, price: PriceRow) -> list[Line]:
    """What the first invoice charges: the first period, and the set-up fee."""
    end = cycles.due(row.anchor_date, row.billing_cycle, 1)
    name = f"{product.name} ({row.domain})" if row.domain else product.name
    period = f" {row.anchor_date} to {end}" if end else ""
    lines = [Line(ItemKind.RECURRING, f"{name}{period}"[:1000], price.amount, row.id, row.anchor_date, end)]
    if price.setup_fee:
        lines.append(Line(ItemKind.SETUP, f"{name}: set-up"[:1000], price.setup_fee, row.id, row.anchor_date, None))
    return lines
