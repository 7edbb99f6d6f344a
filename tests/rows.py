"""Rows to try rules on, without a database: whole and plausible, but for what a test changes."""

from datetime import UTC, date, datetime
from typing import Any

from models.enums import (
    AutoSetup,
    BillingCycle,
    InvoiceStatus,
    ItemKind,
    ModuleAction,
    ModuleCallStatus,
    ProductStatus,
    ProductType,
    ProvisionState,
    ServerStatus,
    ServiceStatus,
    SuspensionReason,
    TicketPriority,
    TicketStatus,
)
from models.invoices import InvoiceItemRow, InvoiceRow, PaymentRow
from models.module_calls import ModuleCallRow
from models.products import ProductRow
from models.servers import ServerRow
from models.services import ServiceRow
from models.tickets import TicketRow

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def a_service(status: ServiceStatus = ServiceStatus.ACTIVE, **changed: Any) -> ServiceRow:
    """A monthly service; a suspended one is so by hand."""
    row = ServiceRow(
        id=7,
        client_id=56,
        product_id=2,
        server_id=None,
        domain="shop.example.com",
        username=None,
        billing_cycle=BillingCycle.MONTHLY,
        status=status,
        provision_state=ProvisionState.NONE,
        amount=1000,
        currency="USD",
        anchor_date=date(2026, 1, 31),
        next_due_date=date(2026, 1, 31),
        suspension_reason=SuspensionReason.MANUAL if status is ServiceStatus.SUSPENDED else None,
        suspension_note=None,
        version=1,
        created_at=NOON,
        updated_at=NOON,
    )
    return row._replace(**changed)


def a_product(**changed: Any) -> ProductRow:
    row = ProductRow(
        id=2,
        name="Web S",
        description=None,
        type=ProductType.HOSTING,
        status=ProductStatus.ACTIVE,
        auto_setup=AutoSetup.ON_ORDER,
        module="none",
        server_group_id=None,
        version=1,
        created_at=NOON,
        updated_at=NOON,
        module_options=None,
    )
    return row._replace(**changed)


def an_invoice(status: InvoiceStatus = InvoiceStatus.UNPAID, total: int = 2999, **changed: Any) -> InvoiceRow:
    """An invoice on which nothing was paid, or, when it is paid, all."""
    paid = status is InvoiceStatus.PAID
    row = InvoiceRow(
        id=1234,
        number="INV-2026-00001",
        client_id=56,
        status=status,
        due_date=date(2026, 2, 14),
        subtotal=total,
        tax=0,
        total=total,
        balance=0 if paid else total,
        currency="USD",
        paid_at=NOON if paid else None,
        version=1,
        created_at=NOON,
        updated_at=NOON,
    )
    return row._replace(**changed)


def a_payment(**changed: Any) -> PaymentRow:
    row = PaymentRow(
        id=4,
        invoice_id=1234,
        client_id=56,
        method="offline",
        transaction_id="tx-1",
        amount=2999,
        currency="USD",
        paid_at=NOON,
        created_at=NOON,
    )
    return row._replace(**changed)


def a_line(service: ServiceRow, start: date | None, end: date | None) -> InvoiceItemRow:
    """A line that charges for a period of a service."""
    return InvoiceItemRow(
        id=9,
        invoice_id=1234,
        client_id=service.client_id,
        kind=ItemKind.RECURRING,
        description="Web S",
        amount=service.amount,
        currency=service.currency,
        service_id=service.id,
        period_start=start,
        period_end=end,
        void=False,
    )


def a_ticket(status: TicketStatus = TicketStatus.OPEN, **changed: Any) -> TicketRow:
    row = TicketRow(
        id=8,
        client_id=56,
        department_id=1,
        subject="Help",
        status=status,
        priority=TicketPriority.MEDIUM,
        version=1,
        created_at=NOON,
        updated_at=NOON,
    )
    return row._replace(**changed)


def a_server(id: int, accounts: int = 0, most: int | None = None, **changed: Any) -> ServerRow:
    row = ServerRow(
        id=id,
        server_group_id=1,
        name=f"web{id}",
        hostname=f"web{id}.example.com",
        module="none",
        status=ServerStatus.ACTIVE,
        max_accounts=most,
        accounts=accounts,
        version=1,
        created_at=NOON,
        updated_at=NOON,
        credentials=None,
    )
    return row._replace(**changed)


def a_call(id: int = 5, status: ModuleCallStatus = ModuleCallStatus.QUEUED, **changed: Any) -> ModuleCallRow:
    """A call that makes an account; one that is finished has no time at which it is due."""
    waits = status in (ModuleCallStatus.QUEUED, ModuleCallStatus.RUNNING, ModuleCallStatus.RETRYING)
    row = ModuleCallRow(
        id=id,
        service_id=7,
        client_id=56,
        server_id=None,
        module="mock",
        action=ModuleAction.CREATE,
        status=status,
        attempts=0 if status is ModuleCallStatus.QUEUED else 1,
        most_attempts=8,
        due_at=NOON if waits else None,
        last_error=None,
        version=1,
        created_at=NOON,
        updated_at=NOON,
        finished_at=None if waits else NOON,
        key_part=f"{id:016x}",
        told_at=None if status is ModuleCallStatus.QUEUED else NOON,
    )
    return row._replace(**changed)
