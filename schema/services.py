"""Services: what clients hold. Sold at a frozen price, provisioned, suspended and lifted, ended."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from models.clients import ClientRow
from models.enums import (
    BillingCycle,
    InvoiceStatus,
    ProvisionState,
    ServiceStatus,
    SuspensionReason,
)
from models.invoices import InvoiceRow
from models.products import ProductRow
from models.servers import ServerRow
from models.services import ServiceRow
from provisioning.registry import NONE, is_automatic
from resolvers import clients, invoices, module_calls, products, servers, services
from resolvers.filters import Where, matching
from resolvers.reading import Columns
from schema.actors import Policy, Scope
from schema.checks import Reference, Text
from schema.clients import Client
from schema.connections import DEFAULT_PAGE, After, Before, Connection, First, Last, Slice, below, lists, page_request
from schema.context import Context
from schema.errors import invalid_transition, not_found, refused
from schema.events import (
    InvoiceCancelled,
    ServiceCancelled,
    ServiceCreated,
    ServiceSuspended,
    ServiceTerminated,
    ServiceUnsuspended,
    emit,
)
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
from schema.ids import Kind, write
from schema.invoices import cancel_invoice
from schema.module_calls import STAFF, ModuleCall, follow_status, set_up_account, set_up_by_hand, with_state
from schema.moments import Since, Until
from schema.nodes import Node
from schema.products import Product
from schema.servers import Server, release

strawberry.enum(ServiceStatus, description="Where a service stands: the truth for billing.")
strawberry.enum(
    ProvisionState,
    description="What is done on the server: nothing to do, waiting, under way, done, or failed and waiting for staff.",
)
strawberry.enum(SuspensionReason, description="Why a service is suspended. A payment lifts `OVERDUE` alone.")

ServiceId = Annotated[int, *id_argument(Kind.SERVICE)]


@strawberry.enum(description="What may be done with a service now.")
class ServiceAction(StrEnum):
    PROVISION = "provision"
    SUSPEND = "suspend"
    UNSUSPEND = "unsuspend"
    TERMINATE = "terminate"
    CANCEL = "cancel"


@strawberry.type(description="A service that a client holds.")
class Service(Node):
    id: strawberry.ID = identifier(Kind.SERVICE, "`svc_7`.")
    client_id: strawberry.ID = identifier(Kind.CLIENT, "Who holds it.")
    product_id: strawberry.ID = identifier(Kind.PRODUCT, "What it is.")
    server_id: strawberry.ID | None = identifier(Kind.SERVER, "Where it is hosted.")
    domain: str | None = plain("Its host name.")
    username: str | None = plain("Its account name on the server.")
    billing_cycle: BillingCycle = plain("How often it is charged.")
    status: ServiceStatus = plain("Where it stands: the truth for billing.")
    amount: Decimal = money_field("Its price for one cycle, frozen when it was sold.")
    currency: str = plain("ISO 4217; the client's when it was sold.")
    next_due_date: date | None = plain("First day of the first period that is not paid for; null when nothing recurs.")
    suspension_reason: SuspensionReason | None = plain("Why it is suspended.")
    suspension_note: str | None = plain(
        "What staff noted about the suspension.",
        extra=True,
        requires=Policy(Scope.SERVICES_READ, open_to_clients=False),
    )
    provision_state: ProvisionState = plain(
        "What is done on the server: the state of the last module call.", extra=True
    )
    created_at: datetime = plain("When it was sold.")
    updated_at: datetime = plain("When it was last changed.")

    @derived(list[ServiceAction])
    def allowed_actions(row: ServiceRow) -> list[ServiceAction]:
        """What may be done with it now."""
        return list(ALLOWED[row.status])

    @relation(Client | None, requires=Scope.CLIENTS_READ, by="client_id")
    async def client(ids: list[int], context: Context, columns: Columns) -> Sequence[ClientRow | None]:
        """Who holds it; null once the client was erased."""
        return await context.each(clients.table, ids, columns)

    @relation(Product | None, requires=Scope.PRODUCTS_READ, by="product_id")
    async def product(ids: list[int], context: Context, columns: Columns) -> Sequence[ProductRow | None]:
        """What it is."""
        return await context.each(products.table, ids, columns)

    @relation(Server | None, requires=Scope.SERVERS_READ, by="server_id")
    async def server(ids: list[int], context: Context, columns: Columns) -> Sequence[ServerRow | None]:
        """Where it is hosted."""
        return await context.each(servers.table, ids, columns)

    @relation(Connection[ModuleCall], requires=STAFF)
    async def module_calls(
        ids: list[int],
        context: Context,
        columns: Columns,
        first: First = DEFAULT_PAGE,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> list[Slice]:
        """What its module was asked to do, the newest last."""
        request = page_request(module_calls.table, None, first, after, last, before)
        return await below(context, module_calls.table, "service_id", ids, columns, request)

    @relation(strawberry.ID | None, requires=Scope.SERVICES_READ)
    async def invoice_id(ids: list[int], context: Context, _: Columns) -> list[str | None]:
        """The invoice of its first period, if one was issued."""
        found = await invoices.first_of_services(context.session, ids)
        return [None if (invoice := found.get(id)) is None else write(Kind.INVOICE, invoice) for id in ids]


@strawberry.enum(description="The order of a list of services.")
class ServiceSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"


@strawberry.input(description="Which services.")
class ServiceFilter:
    status: ServiceStatus | None = member("Services of this status.", optional=True)
    client_id: Annotated[int | None, Reference(Kind.CLIENT)] = id_member("Services of this client.", optional=True)
    product_id: Annotated[int | None, Reference(Kind.PRODUCT)] = id_member("Services of this product.", optional=True)
    created_from: Since = member("Sold then or later: a time, or a date.", optional=True)
    created_to: Until = member("Sold then or earlier: a time, or a date, that day included.", optional=True)


# Rules

ALLOWED: dict[ServiceStatus, tuple[ServiceAction, ...]] = {
    ServiceStatus.PENDING: (ServiceAction.PROVISION, ServiceAction.CANCEL, ServiceAction.TERMINATE),
    ServiceStatus.ACTIVE: (ServiceAction.SUSPEND, ServiceAction.TERMINATE),
    ServiceStatus.SUSPENDED: (ServiceAction.UNSUSPEND, ServiceAction.TERMINATE),
    ServiceStatus.TERMINATED: (),
    ServiceStatus.CANCELLED: (),
}

TARGET = {
    ServiceAction.PROVISION: ServiceStatus.ACTIVE,
    ServiceAction.SUSPEND: ServiceStatus.SUSPENDED,
    ServiceAction.UNSUSPEND: ServiceStatus.ACTIVE,
    ServiceAction.TERMINATE: ServiceStatus.TERMINATED,
    ServiceAction.CANCEL: ServiceStatus.CANCELLED,
}


def moved(row: ServiceRow, action: ServiceAction) -> ServiceRow:
    """The row after the action; itself when it is there already; raises when its status forbids it."""
    if row.status is TARGET[action]:
        return row
    if action not in ALLOWED[row.status]:
        raise invalid_transition(
            f"Service {row.id} is {row.status} and cannot be {PARTICIPLE[action]}.", tuple(ALLOWED[row.status])
        )
    return row._replace(status=TARGET[action])


PARTICIPLE = {
    ServiceAction.PROVISION: "provisioned",
    ServiceAction.SUSPEND: "suspended",
    ServiceAction.UNSUSPEND: "unsuspended",
    ServiceAction.TERMINATE: "terminated",
    ServiceAction.CANCEL: "cancelled",
}


def suspend(row: ServiceRow, reason: SuspensionReason, note: str | None) -> ServiceRow:
    after = moved(row, ServiceAction.SUSPEND)
    return row if after == row else after._replace(suspension_reason=reason, suspension_note=note)


def unsuspend(row: ServiceRow) -> ServiceRow:
    return moved(row, ServiceAction.UNSUSPEND)._replace(suspension_reason=None, suspension_note=None)


def lifted(row: ServiceRow) -> ServiceRow:
    """The row once nothing of it is overdue: a suspension for that is lifted, no other is."""
    is_overdue = row.status is ServiceStatus.SUSPENDED and row.suspension_reason is SuspensionReason.OVERDUE
    return unsuspend(row) if is_overdue else row


def provision(row: ServiceRow, product: ProductRow) -> ServiceRow:
    """The row once it is time to provision it: active at once, unless a module or staff must act first."""
    if row.status is not ServiceStatus.PENDING or row.provision_state is not ProvisionState.NONE:
        return row
    if product.module != NONE:
        return row._replace(provision_state=ProvisionState.QUEUED)
    return provisioned(row)


def provisioned(row: ServiceRow) -> ServiceRow:
    """The row once the server has done its part."""
    after = moved(row, ServiceAction.PROVISION)
    state = ProvisionState.OK if row.provision_state is ProvisionState.QUEUED else row.provision_state
    return row if after == row else after._replace(provision_state=state)


def check_nothing_received(row: ServiceRow, billed: list[InvoiceRow]) -> None:
    """Money that was taken cannot be given back with a cancellation."""
    for invoice in billed:
        if invoice.balance != invoice.total:
            paid = "paid" if invoice.status is InvoiceStatus.PAID else "partly paid"
            problem = f"Service {row.id} is {row.status} and cannot be cancelled: its invoice is {paid}."
            raise refused(f"{problem} It can be terminated.")


# Queries


@query(Service | None, requires=Scope.SERVICES_READ)
async def service(context: Context, id: ServiceId) -> ServiceRow:
    """One service."""
    return await services.by_id(context.session, id) or _missing(id)


@lists(Service, services.table, requires=Scope.SERVICES_READ, sort=ServiceSort)
def services_(filter: ServiceFilter) -> Where:
    """The services."""
    return matching(
        status=wanted(filter.status), client_id=wanted(filter.client_id), product_id=wanted(filter.product_id)
    )


# Commands


@command(Service, requires=Scope.SERVICES_WRITE, emits=(ServiceCreated,))
async def service_provision(context: Context, id: ServiceId) -> ServiceRow:
    """Accepts a pending service. Staff use it where they set up by hand: it becomes active.

    Where a module does that, it is asked to, or to try again if it has failed; one that is at it is left alone. Where
    the product has no module any more, what was asked of one is cancelled.
    """
    row = await services.locked(context.writing, id) or _missing(id)
    product = await products.by_id(context.session, row.product_id)
    assert product is not None, "a foreign key holds it"
    if row.status is ServiceStatus.PENDING and is_automatic(product.module):
        after = await set_up_account(context, row, product.module)
    else:
        after = provisioned(row)
        if after != row:
            await set_up_by_hand(context, row)
        after = await with_state(context, after)
    return await stored(context, row, after, ServiceCreated)


@command(Service, requires=Scope.SERVICES_WRITE, emits=(ServiceSuspended,))
async def service_suspend(
    context: Context,
    id: ServiceId,
    reason: Annotated[
        SuspensionReason | None,
        strawberry.argument(description="Why; default `MANUAL`. A payment lifts `OVERDUE` alone."),
    ] = None,
    note: Annotated[str | None, Text(1000), strawberry.argument(description="For staff.")] = None,
) -> ServiceRow:
    """Suspends an active service."""
    row = await services.locked(context.writing, id) or _missing(id)
    return await stored(context, row, suspend(row, reason or SuspensionReason.MANUAL, note or None), ServiceSuspended)


@command(Service, requires=Scope.SERVICES_WRITE, emits=(ServiceUnsuspended,))
async def service_unsuspend(context: Context, id: ServiceId) -> ServiceRow:
    """Lifts a suspension, whatever its reason."""
    row = await services.locked(context.writing, id) or _missing(id)
    return await stored(context, row, unsuspend(row), ServiceUnsuspended)


@command(Service, requires=Scope.SERVICES_WRITE, emits=(ServiceTerminated,))
async def service_terminate(context: Context, id: ServiceId) -> ServiceRow:
    """Ends a service for good."""
    row = await services.locked(context.writing, id) or _missing(id)
    after = moved(row, ServiceAction.TERMINATE)
    if after != row:
        await release(context, row.server_id)
    return await stored(context, row, after, ServiceTerminated)


@command(Service, requires=Scope.SERVICES_WRITE, emits=(ServiceCancelled, InvoiceCancelled))
async def service_cancel(context: Context, id: ServiceId) -> ServiceRow:
    """Cancels a service that is still pending, and its unpaid invoice with it.

    Refused once anything was paid for it: such a service can be terminated.
    """
    billed = await invoices.locked_of_service(context.writing, id)  # before the service, as a payment does
    row = await services.locked(context.writing, id) or _missing(id)
    after = moved(row, ServiceAction.CANCEL)
    if after != row:
        check_nothing_received(row, billed)
        for invoice in billed:
            if invoice.status is InvoiceStatus.UNPAID:
                await cancel_invoice(context, invoice)
        await release(context, row.server_id)
    return await stored(context, row, after, ServiceCancelled)


# What other commands and the jobs do with services


async def set_up(context: Context, row: ServiceRow, product: ProductRow) -> ServiceRow:
    """The row once it is time to provision it, not stored yet; its module is asked to, if that is what does it."""
    after = provision(row, product)
    if after != row and is_automatic(product.module):
        return await set_up_account(context, after, product.module)
    return after


async def stored(context: Context, before: ServiceRow, after: ServiceRow, happened: Any) -> ServiceRow:
    """Saves the row if it changed; if its status did, tells the event and has the module follow."""
    if after == before:
        return before
    if after.status is not before.status:
        after = await follow_status(context, before, after)
    after = await services.save(context.writing, before, after)
    if after.status is not before.status:
        await emit(context, happened(Service, after, after.client_id))
    return after


# Private


def _missing(id: int) -> Any:
    raise not_found("Service", id)
