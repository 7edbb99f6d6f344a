"""Orders: how a service is sold. At the product's price, on a server with room, with its first invoice."""

from typing import Annotated

import strawberry

from arcbilling import clock
from models.clients import ClientRow
from models.enums import AutoSetup, BillingCycle, ProductStatus, ProvisionState, ServiceStatus
from models.products import PriceRow, ProductRow
from models.services import ServiceRow
from resolvers import clients, products, services
from schema.actors import Scope
from schema.checks import Reference, host_name
from schema.context import Context
from schema.errors import invalid
from schema.events import InvoiceCreated, ServiceCreated
from schema.fields import command, id_member, member
from schema.ids import Kind
from schema.invoices import issue
from schema.periods import first_lines, recurs
from schema.servers import reserve
from schema.services import Service, set_up, stored


@strawberry.input(description="A service to sell. Its price is the product's, never the caller's.")
class ServiceCreateInput:
    client_id: Annotated[int, Reference(Kind.CLIENT)] = id_member("Who buys it.")
    product_id: Annotated[int, Reference(Kind.PRODUCT)] = id_member("What is bought.")
    billing_cycle: BillingCycle = member("How often it is charged; the product must have a price for it.")
    domain: Annotated[str | None, host_name] = member("Its host name.", optional=True)
    username: str | None = member("Its account name on the server.", optional=True)
    invoice: bool | None = member(
        "Whether to issue the first period's invoice, due today; default true.", optional=True
    )


# Commands


@command(Service, requires=Scope.SERVICES_WRITE, emits=(ServiceCreated, InvoiceCreated))
async def service_create(context: Context, input: ServiceCreateInput) -> ServiceRow:
    """Sells a service at the product's price in the client's currency, and issues the first period's invoice.

    A product that needs nothing to be provisioned gives an active service at once; with a module it becomes active
    once that has made its account.
    """
    session = context.writing
    client = await clients.locked(session, input.client_id)
    if client is None:
        raise invalid("client_id", f"names no client: {input.client_id}")
    product = await products.by_id(session, input.product_id)
    if product is None:
        raise invalid("product_id", f"names no product: {input.product_id}")
    if product.status is ProductStatus.RETIRED:
        raise invalid("product_id", f"names a product that is not sold any more: {product.id}")
    price = await products.price(session, product.id, input.billing_cycle, client.currency)
    if price is None:
        raise invalid(
            "billing_cycle", f"names no price of product {product.id} in {client.currency}: {input.billing_cycle}"
        )
    row = await services.add(session, await _new(context, client, product, price, input))
    first_charge = price.amount + price.setup_fee
    if first_charge and input.invoice is not False:
        await issue(context, client, clock.today(), first_lines(row, product, price))
    if product.auto_setup is AutoSetup.ON_ORDER or (product.auto_setup is AutoSetup.ON_PAYMENT and not first_charge):
        row = await stored(context, row, await set_up(context, row, product), ServiceCreated)
    return row


# Private


async def _new(
    context: Context, client: ClientRow, product: ProductRow, price: PriceRow, input: ServiceCreateInput
) -> ServiceRow:
    now = clock.now()
    row = ServiceRow(
        id=0,
        client_id=client.id,
        product_id=product.id,
        server_id=await reserve(context, product.server_group_id, product.module),
        domain=input.domain or None,
        username=input.username or None,
        billing_cycle=input.billing_cycle,
        status=ServiceStatus.PENDING,
        provision_state=ProvisionState.NONE,
        amount=price.amount,
        currency=price.currency,
        anchor_date=clock.today(),
        next_due_date=None,
        suspension_reason=None,
        suspension_note=None,
        version=1,
        created_at=now,
        updated_at=now,
    )
    return row._replace(next_due_date=row.anchor_date if recurs(row) else None)
