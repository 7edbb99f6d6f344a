"""Payments: money received for invoices, and what it sets in motion for the services that were paid for."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import strawberry

from arcbilling import clock
from models.enums import AutoSetup, InvoiceStatus, ItemKind, ServiceStatus
from models.invoices import InvoiceRow, PaymentRow
from resolvers import invoices, products, services
from schema import money
from schema.actors import Scope
from schema.checks import moment
from schema.context import Context
from schema.errors import invalid, not_found
from schema.events import InvoicePaid, ServiceCreated, ServiceUnsuspended, emit
from schema.fields import command
from schema.invoices import Invoice, InvoiceId, illegal, settled
from schema.periods import paid_until
from schema.services import lifted, set_up, stored

# Rules


class PaymentOrder(NamedTuple):
    """How an invoice is to be paid: an amount (None: the whole balance), and what is known of the payment."""

    amount: int | None
    method: str
    transaction_id: str | None
    paid_at: datetime


def pay(
    invoice: InvoiceRow, known: PaymentRow | None, order: PaymentOrder, now: datetime
) -> tuple[InvoiceRow, PaymentRow | None]:
    """The invoice after the payment, and the payment to record; none if it is recorded already.

    `known` is the recorded payment with the same method and transaction id, of whichever invoice.
    """
    if known is not None:
        check_same_payment(invoice, known, order)
        return invoice, None
    match invoice.status:
        case InvoiceStatus.PAID if order.amount is None:
            return invoice, None
        case InvoiceStatus.PAID:
            raise illegal(invoice, "is paid already: the payment was not recorded")
        case InvoiceStatus.UNPAID:
            pass
        case _:
            raise illegal(invoice, f"is {invoice.status} and cannot be paid")
    received = invoice.balance if order.amount is None else order.amount
    if received <= 0:
        raise invalid("amount", "must be more than zero")
    if received > invoice.balance:
        raise invalid(
            "amount",
            f"must not be more than the balance of {money.text(invoice.balance, invoice.currency)} {invoice.currency}",
        )
    if order.paid_at > now:
        raise invalid("paid_at", "must not be in the future")
    payment = PaymentRow(
        0,
        invoice.id,
        invoice.client_id,
        order.method,
        order.transaction_id,
        received,
        invoice.currency,
        order.paid_at,
        now,
    )
    return settled(invoice, received, order.paid_at), payment


def check_same_payment(invoice: InvoiceRow, known: PaymentRow, order: PaymentOrder) -> None:
    if known.invoice_id != invoice.id:
        raise invalid("transaction_id", "names a payment of another invoice")
    if order.amount is not None and order.amount != known.amount:
        raise invalid("transaction_id", "names a payment of another amount")


# Commands


@command(Invoice, requires=Scope.INVOICES_WRITE, emits=(InvoicePaid, ServiceCreated, ServiceUnsuspended))
async def invoice_pay(
    context: Context,
    id: InvoiceId,
    amount: Annotated[
        Decimal | None, strawberry.argument(description="What was received; default the whole balance.")
    ] = None,
    method: Annotated[str | None, strawberry.argument(description="How it was paid; default `offline`.")] = None,
    transaction_id: Annotated[
        str | None, strawberry.argument(description="The payment's reference; the same one twice is one payment.")
    ] = None,
    paid_at: Annotated[
        datetime | None, moment, strawberry.argument(description="When it was received; default now.")
    ] = None,
) -> InvoiceRow:
    """Records a payment. Less than the balance leaves the invoice unpaid; more is refused.

    An invoice that is paid stays as it is: success without an amount, or with a transaction id that is recorded.
    """
    session = context.writing
    row = await invoices.locked(session, id) or _missing(id)
    order = PaymentOrder(
        None if amount is None else _minor(amount, row.currency),
        method or "offline",
        transaction_id,
        paid_at or clock.now(),
    )
    known = None
    if transaction_id is not None:
        known = await invoices.payment_by_transaction(session, order.method, transaction_id)
    paid, payment = pay(row, known, order, clock.now())
    if payment is None:
        return row
    await invoices.payments.add(session, payment)
    paid = await invoices.save(session, row, paid)
    if paid.status is InvoiceStatus.PAID:
        await emit(context, InvoicePaid(Invoice, paid, paid.client_id))
        await _after_payment(context, paid)
    return paid


# Private


async def _after_payment(context: Context, invoice: InvoiceRow) -> None:
    """Moves the due dates of the services that were paid for, provisions those that waited, lifts suspensions."""
    session = context.writing
    (lines,) = await invoices.items.grouped(session, "invoice_id", [invoice.id])
    periods = {line.service_id: line for line in lines if line.service_id and line.kind is ItemKind.RECURRING}
    for row in await services.all_locked(session, [id for id in periods if id is not None]):
        after = paid_until(row, periods[row.id])
        product = await products.by_id(session, row.product_id)
        if product is not None and product.auto_setup is AutoSetup.ON_PAYMENT:
            after = await set_up(context, after, product)
        unpaid = await invoices.unpaid_of_service(session, row.id)
        if not any(other.due_date < clock.today() for other in unpaid):
            after = lifted(after)
        await stored(
            context, row, after, ServiceUnsuspended if row.status is ServiceStatus.SUSPENDED else ServiceCreated
        )


def _missing(id: int) -> Any:
    raise not_found("Invoice", id)


def _minor(amount: Decimal, currency: str) -> int:
    try:
        return money.minor(amount, currency)
    except ValueError as error:
        raise invalid("amount", str(error)) from None
