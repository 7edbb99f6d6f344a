"""Invoices: what is owed. Issued with a gapless number, paid, or cancelled; amounts never change afterwards."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import strawberry

from arcbilling import clock
from models.clients import ClientRow
from models.enums import InvoiceStatus, ItemKind
from models.invoices import InvoiceItemRow, InvoiceRow, PaymentRow
from resolvers import clients, invoices
from resolvers.filters import Where, matching
from resolvers.reading import Columns
from schema import money
from schema.actors import Scope
from schema.checks import Reference, Text
from schema.clients import Client
from schema.connections import lists
from schema.context import Context
from schema.errors import invalid, invalid_transition, not_found
from schema.events import InvoiceCancelled, InvoiceCreated, InvoicePaid, emit
from schema.fields import (
    command,
    derived,
    id_argument,
    id_member,
    identifier,
    member,
    money_field,
    plain,
    query,
    relation,
    wanted,
)
from schema.ids import Kind
from schema.moments import Since, Until
from schema.nodes import Node

strawberry.enum(InvoiceStatus, description="Where an invoice stands. Overdue is unpaid with a due date in the past.")
strawberry.enum(ItemKind, description="What a line charges for.")

InvoiceId = Annotated[int, *id_argument(Kind.INVOICE)]
MOST = 10**18 - 1
"""The largest total in minor units: it leaves room below what the database can hold."""


@strawberry.enum(description="What may be done with an invoice now.")
class InvoiceAction(StrEnum):
    PAY = "pay"
    CANCEL = "cancel"


@strawberry.type(description="A line of an invoice.")
class InvoiceItem:
    id: strawberry.ID = identifier(Kind.ITEM, "`item_9`.")
    description: str = plain("What is charged for.")
    amount: Decimal = money_field("Net; negative for a reduction.")
    kind: ItemKind = plain("What kind of charge it is.", extra=True)
    service_id: strawberry.ID | None = identifier(Kind.SERVICE, "The service that is charged for.", extra=True)
    period_start: date | None = plain("First day of the period that is charged for.", extra=True)
    period_end: date | None = plain("First day of the period after it.", extra=True)


@strawberry.type(description="Money received for an invoice.")
class Payment:
    id: strawberry.ID = identifier(Kind.PAYMENT, "`pay_4`.")
    method: str = plain("How it was paid, for example `offline`.")
    transaction_id: str | None = plain("The payer's or gateway's reference; unique for each method.")
    amount: Decimal = money_field("What was received.")
    currency: str = plain("ISO 4217.")
    paid_at: datetime = plain("When it was received.")
    created_at: datetime = plain("When it was recorded.")


@strawberry.type(description="An invoice.")
class Invoice(Node):
    id: strawberry.ID = identifier(Kind.INVOICE, "`inv_1234`.")
    number: str = plain("Its number, from a series without gaps.")
    client_id: strawberry.ID = identifier(Kind.CLIENT, "Who owes it.")
    status: InvoiceStatus = plain("Where it stands.")
    due_date: date = plain("When it is due, in the billing timezone.")
    subtotal: Decimal = money_field("Sum of the items, net.")
    tax: Decimal = money_field("Tax.")
    total: Decimal = money_field("What is owed in all.")
    balance: Decimal = money_field("What is still owed.")
    currency: str = plain("ISO 4217; the client's when it was issued.")
    paid_at: datetime | None = plain("When it was paid in full.")
    created_at: datetime = plain("When it was issued.")
    updated_at: datetime = plain("When it was last changed.")

    @derived(bool)
    def overdue(row: InvoiceRow) -> bool:
        """Whether it is unpaid and its due date is past."""
        return row.status is InvoiceStatus.UNPAID and row.due_date < clock.today()

    @derived(list[InvoiceAction])
    def allowed_actions(row: InvoiceRow) -> list[InvoiceAction]:
        """What may be done with it now."""
        return list(allowed(row))

    @relation(list[InvoiceItem], requires=Scope.INVOICES_READ)
    async def items(ids: list[int], context: Context, columns: Columns) -> list[list[InvoiceItemRow]]:
        """Its lines."""
        return await context.below(invoices.items, "invoice_id", ids, columns)

    @relation(list[Payment], requires=Scope.INVOICES_READ)
    async def payments(ids: list[int], context: Context, columns: Columns) -> list[list[PaymentRow]]:
        """What was received for it, the oldest first."""
        return await context.below(invoices.payments, "invoice_id", ids, columns)

    @relation(Client | None, requires=Scope.CLIENTS_READ, by="client_id")
    async def client(ids: list[int], context: Context, columns: Columns) -> Sequence[ClientRow | None]:
        """Who owes it; null once the client was erased."""
        return await context.each(clients.table, ids, columns)


@strawberry.enum(description="The order of a list of invoices.")
class InvoiceSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"
    DUE_DATE = "due_date"
    DUE_DATE_DESC = "due_date desc"


@strawberry.enum(description="Statuses to filter by: those of invoices, and overdue.")
class InvoiceStatusFilter(StrEnum):
    DRAFT = "draft"
    UNPAID = "unpaid"
    PAID = "paid"
    CANCELLED = "cancelled"
    OVERDUE = "overdue"


@strawberry.input(description="Which invoices.")
class InvoiceFilter:
    status: InvoiceStatusFilter | None = member("Invoices of this status.", optional=True)
    client_id: Annotated[int | None, Reference(Kind.CLIENT)] = id_member("Invoices of this client.", optional=True)
    created_from: Since = member("Issued then or later: a time, or a date.", optional=True)
    created_to: Until = member("Issued then or earlier: a time, or a date, that day included.", optional=True)


@strawberry.input(description="A line of a new invoice.")
class InvoiceItemInput:
    description: Annotated[str, Text(1000)] = member("What is charged for.")
    amount: Decimal = member("Net, in the client's currency; negative for a reduction.")


@strawberry.input(description="A new invoice, in the client's currency.")
class InvoiceCreateInput:
    client_id: Annotated[int, Reference(Kind.CLIENT)] = id_member("Who owes it.")
    due_date: date = member("When it is due; may be past.")
    items: list[InvoiceItemInput] = member("Its lines, 1 to 500; their sum must not be negative.")


# Rules

ALLOWED: dict[InvoiceStatus, tuple[InvoiceAction, ...]] = {
    InvoiceStatus.DRAFT: (InvoiceAction.CANCEL,),
    InvoiceStatus.UNPAID: (InvoiceAction.PAY, InvoiceAction.CANCEL),
    InvoiceStatus.PAID: (),
    InvoiceStatus.CANCELLED: (),
}


def allowed(invoice: InvoiceRow) -> tuple[InvoiceAction, ...]:
    """What may be done with it: an invoice that something was paid on cannot be cancelled."""
    actions = ALLOWED[invoice.status]
    if invoice.balance != invoice.total:
        return tuple(action for action in actions if action is not InvoiceAction.CANCEL)
    return actions


def illegal(invoice: InvoiceRow, what: str) -> Exception:
    """The invoice's status forbids it."""
    return invalid_transition(f"Invoice {invoice.id} {what}.", allowed(invoice))


def settled(invoice: InvoiceRow, received: int, at: datetime) -> InvoiceRow:
    """The invoice with its balance lowered: paid when nothing is left."""
    balance = invoice.balance - received
    if balance:
        return invoice._replace(balance=balance)
    return invoice._replace(balance=0, status=InvoiceStatus.PAID, paid_at=at)


def cancel(invoice: InvoiceRow) -> InvoiceRow:
    match invoice.status:
        case InvoiceStatus.CANCELLED:
            return invoice
        case InvoiceStatus.UNPAID | InvoiceStatus.DRAFT if invoice.balance == invoice.total:
            return invoice._replace(status=InvoiceStatus.CANCELLED)
        case InvoiceStatus.UNPAID:
            raise illegal(invoice, "is unpaid and partly paid, and cannot be cancelled")
        case _:
            raise illegal(invoice, f"is {invoice.status} and cannot be cancelled")


def total_of(amounts: list[int]) -> int:
    total = sum(amounts)
    if total < 0:
        raise invalid("items", "must not have a negative total")
    if total > MOST or any(abs(amount) > MOST for amount in amounts):
        raise invalid("items", "must not have such a large total")
    return total


# Queries


@query(Invoice | None, requires=Scope.INVOICES_READ)
async def invoice(context: Context, id: InvoiceId) -> InvoiceRow:
    """One invoice."""
    return await invoices.by_id(context.session, id) or _missing(id)


@lists(Invoice, invoices.table, requires=Scope.INVOICES_READ, sort=InvoiceSort)
def invoices_(filter: InvoiceFilter) -> Where:
    """The invoices."""
    where = matching(client_id=wanted(filter.client_id))
    if filter.status is InvoiceStatusFilter.OVERDUE:
        where &= invoices.overdue(clock.today())
    elif filter.status:
        where &= matching(status=InvoiceStatus(filter.status))
    return where


# Commands


@command(Invoice, requires=Scope.INVOICES_WRITE, emits=(InvoiceCreated, InvoicePaid))
async def invoice_create(context: Context, input: InvoiceCreateInput) -> InvoiceRow:
    """Issues an invoice. A total of zero is paid at once."""
    client = await clients.locked(context.writing, input.client_id)
    if client is None:
        raise invalid("client_id", f"names no client: {input.client_id}")
    lines = []
    for place, item in enumerate(input.items):
        try:
            minor = money.minor(item.amount, client.currency)
        except ValueError as error:
            raise invalid(f"items[{place}].amount", str(error)) from None
        lines.append(Line(ItemKind.MANUAL, item.description, minor))
    return await issue(context, client, input.due_date, lines)


@command(Invoice, requires=Scope.INVOICES_WRITE, emits=(InvoiceCancelled,))
async def invoice_cancel(context: Context, id: InvoiceId) -> InvoiceRow:
    """Cancels an invoice that nothing was paid on. Its number stays taken."""
    return await cancel_invoice(context, await invoices.locked(context.writing, id) or _missing(id))


# What other commands do with invoices


class Line(NamedTuple):
    """A line of an invoice that is issued: amount in minor units, and the service and period it charges for."""

    kind: ItemKind
    description: str
    amount: int
    service_id: int | None = None
    period_start: date | None = None
    period_end: date | None = None


async def issue(context: Context, client: ClientRow, due_date: date, lines: list[Line]) -> InvoiceRow:
    """Issues an invoice to a client, whose row is locked; one with a total of zero is paid at once."""
    session = context.writing
    total = total_of([line.amount for line in lines])
    now = clock.now()
    row = InvoiceRow(
        id=0,
        number=await invoices.next_number(session, "invoice", clock.today()),
        client_id=client.id,
        status=InvoiceStatus.UNPAID,
        due_date=due_date,
        subtotal=total,
        tax=0,
        total=total,
        balance=total,
        currency=client.currency,
        paid_at=None,
        version=1,
        created_at=now,
        updated_at=now,
    )
    row = await invoices.add(session, row)
    items = [
        InvoiceItemRow(
            0,
            row.id,
            client.id,
            line.kind,
            line.description,
            line.amount,
            client.currency,
            line.service_id,
            line.period_start,
            line.period_end,
            void=False,
        )
        for line in lines
    ]
    context.know(invoices.items, row.id, await invoices.items.add_all(session, items))
    await emit(context, InvoiceCreated(Invoice, row, client.id))
    if total == 0:
        row = await invoices.save(session, row, settled(row, 0, now))
        await emit(context, InvoicePaid(Invoice, row, client.id))
    return row


async def cancel_invoice(context: Context, row: InvoiceRow) -> InvoiceRow:
    """Cancels an invoice, whose row is locked, and frees the periods that its lines charged for."""
    after = cancel(row)
    if after == row:
        return row
    for item in await invoices.items.all(context.session, matching(invoice_id=row.id)):
        await invoices.items.save(context.writing, item, item._replace(void=True))
    after = await invoices.save(context.writing, row, after)
    await emit(context, InvoiceCancelled(Invoice, after, after.client_id))
    return after


# Private


def _missing(id: int) -> Any:
    raise not_found("Invoice", id)
