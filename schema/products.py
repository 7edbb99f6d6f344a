"""Products and their prices: what is sold, for how much, in which currency and cycle."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import orjson
import strawberry

from arcbilling import clock
from models.enums import AutoSetup, BillingCycle, ProductStatus, ProductType
from models.products import PriceRow, ProductRow
from models.servers import ServerGroupRow
from provisioning.registry import NONE
from resolvers import products, servers
from resolvers.filters import Where, matching
from resolvers.reading import Columns
from schema import money
from schema.actors import Policy, Scope
from schema.checks import NEVER_NULL, Reference, Text
from schema.connections import lists
from schema.context import Context
from schema.errors import invalid, not_found
from schema.fields import (
    command,
    given,
    id_argument,
    id_member,
    identifier,
    member,
    members_given,
    money_field,
    plain,
    query,
    relation,
    wanted,
)
from schema.ids import Kind
from schema.moments import Since, Until
from schema.nodes import Node
from schema.servers import ServerGroup, known_module

strawberry.enum(ProductType, description="What kind of thing is sold.")
strawberry.enum(ProductStatus, description="`ACTIVE` is on offer, `HIDDEN` sold by staff alone, `RETIRED` not sold.")
strawberry.enum(AutoSetup, description="When a service is provisioned: at once, when first paid, or by staff.")
strawberry.enum(BillingCycle, description="How often a service is charged.")

ProductId = Annotated[int, *id_argument(Kind.PRODUCT)]
STAFF = Policy(Scope.PRODUCTS_READ, open_to_clients=False)
"""How a product is made is for staff."""


@strawberry.type(description="What a product costs for one billing cycle in one currency.")
class Price:
    billing_cycle: BillingCycle = plain("How often it is charged.")
    currency: str = plain("ISO 4217.")
    amount: Decimal = money_field("For one cycle.")
    setup_fee: Decimal = money_field("Once, with the first invoice.")


class Option(NamedTuple):
    name: str
    value: str


@strawberry.type(description="An option of a product for its module.")
class ModuleOption:
    name: str = plain("Name.")
    value: str = plain("Value.")


@strawberry.type(description="Something that is sold.")
class Product(Node):
    id: strawberry.ID = identifier(Kind.PRODUCT, "`pro_2`.")
    name: str = plain("Name.")
    description: str | None = plain("Description.")
    type: ProductType = plain("What kind of thing it is.")
    status: ProductStatus = plain("Whether it is on offer.")
    auto_setup: AutoSetup = plain("When a service of it is provisioned.", extra=True)
    module: str = plain(
        "What provisions its services: `none` needs nothing, `manual` is staff, else the name of a module.", extra=True
    )
    server_group_id: strawberry.ID | None = identifier(
        Kind.SERVER_GROUP, "The group of servers that its services are placed in.", extra=True
    )
    created_at: datetime = plain("When the product was created.", extra=True)
    updated_at: datetime = plain("When the product was last changed.", extra=True)

    @relation(list[ModuleOption], requires=STAFF, by=None)
    async def module_options(rows: list[ProductRow], _: Context, __: Columns) -> list[list[Option]]:
        """What its module is told with each call."""
        return [[Option(*pair) for pair in options_of(row).items()] for row in rows]

    @relation(list[Price], requires=Scope.PRODUCTS_READ)
    async def pricing(ids: list[int], context: Context, columns: Columns) -> list[list[PriceRow]]:
        """Its prices. A cycle and currency without one is not sold."""
        return await context.below(products.prices, "product_id", ids, columns)

    @relation(ServerGroup | None, requires=Scope.SERVERS_READ, by="server_group_id")
    async def server_group(ids: list[int], context: Context, columns: Columns) -> Sequence[ServerGroupRow | None]:
        """The group of servers that its services are placed in."""
        return await context.each(servers.groups, ids, columns)


@strawberry.enum(description="The order of a list of products.")
class ProductSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"


@strawberry.input(description="Which products.")
class ProductFilter:
    status: ProductStatus | None = member("Products of this status.", optional=True)
    created_from: Since = member("Created then or later: a time, or a date.", optional=True)
    created_to: Until = member("Created then or earlier: a time, or a date, that day included.", optional=True)


@strawberry.input(description="A price.")
class PriceInput:
    billing_cycle: BillingCycle = member("How often it is charged.")
    currency: str = member("ISO 4217.")
    amount: Decimal = member("For one cycle; not negative.")
    setup_fee: Decimal | None = member("Once, with the first invoice; default zero.", optional=True)


@strawberry.input(description="An option for a product's module.")
class ModuleOptionInput:
    name: Annotated[str, Text(60)] = member("Name.")
    value: Annotated[str, Text(1000)] = member("Value.")


@strawberry.input(description="A new product.")
class ProductCreateInput:
    name: str = member("Name.")
    description: Annotated[str | None, Text(1000)] = member("Description.", optional=True)
    type: ProductType | None = member("Default `HOSTING`.", optional=True)
    status: ProductStatus | None = member("Default `ACTIVE`.", optional=True)
    auto_setup: AutoSetup | None = member("Default `ON_ORDER`.", optional=True)
    module: str | None = member(
        "What provisions its services: `none` (default), `manual`, or the name of a module.", optional=True
    )
    module_options: list[ModuleOptionInput] | None = member(
        "What its module is told with each call; the module's page says which options it has. Null for none.",
        optional=True,
    )
    server_group_id: Annotated[int | None, Reference(Kind.SERVER_GROUP)] = id_member(
        "The group of servers that its services are placed in.", optional=True
    )
    prices: list[PriceInput] = member("Its prices, one for each cycle and currency.")


@strawberry.input(
    description="Changes to a product: what is given is changed. Services keep the price they were sold at."
)
class ProductUpdateInput:
    name: Annotated[str | None, NEVER_NULL] = member("Name.", optional=True)
    description: Annotated[str | None, Text(1000)] = member("Description.", optional=True)
    type: Annotated[ProductType | None, NEVER_NULL] = member("What kind of thing it is.", optional=True)
    status: Annotated[ProductStatus | None, NEVER_NULL] = member("Whether it is on offer.", optional=True)
    auto_setup: Annotated[AutoSetup | None, NEVER_NULL] = member("When its services are provisioned.", optional=True)
    module: Annotated[str | None, Text(40), NEVER_NULL] = member("What provisions its services.", optional=True)
    module_options: list[ModuleOptionInput] | None = member(
        "All options of its module, in place of those it has; null for none.", optional=True
    )
    server_group_id: Annotated[int | None, Reference(Kind.SERVER_GROUP)] = id_member(
        "The group of servers that its services are placed in.", optional=True
    )
    prices: Annotated[list[PriceInput] | None, NEVER_NULL] = member(
        "All its prices, in place of those it has.", optional=True
    )


# Rules


def price_rows(prices: list[PriceInput]) -> list[PriceRow]:
    """The prices in minor units; each cycle and currency once, none negative, free ones free."""
    rows: dict[tuple[BillingCycle, str], PriceRow] = {}
    for place, price in enumerate(prices):
        path = f"prices[{place}]"
        if not money.is_currency(price.currency):
            raise invalid(f"{path}.currency", "must be an ISO 4217 currency code such as USD")
        minor = {}
        for name in ("amount", "setup_fee"):
            value = getattr(price, name) or Decimal(0)
            try:
                minor[name] = money.minor(value, price.currency)
            except ValueError as error:
                raise invalid(f"{path}.{name}", str(error)) from None
            if value < 0:
                raise invalid(f"{path}.{name}", "must not be negative")
        if price.billing_cycle is BillingCycle.FREE and minor["amount"]:
            raise invalid(f"{path}.amount", "must be zero for the free cycle")
        key = price.billing_cycle, price.currency
        if key in rows:
            raise invalid(f"{path}.billing_cycle", f"repeats the price for {key[0]} in {key[1]}")
        rows[key] = PriceRow(0, 0, *key, minor["amount"], minor["setup_fee"])
    return list(rows.values())


def options_of(product: ProductRow) -> dict[str, str]:
    """What the product's module is told with each call."""
    found: dict[str, str] = orjson.loads(product.module_options or "{}")
    return found


def options_text(options: list[ModuleOptionInput] | None) -> str | None:
    """The options as they are stored; each name once."""
    stored: dict[str, str] = {}
    for place, option in enumerate(options or ()):
        if option.name in stored:
            raise invalid(f"module_options[{place}].name", f"repeats the option {option.name}")
        stored[option.name] = option.value
    return orjson.dumps(stored).decode() if stored else None


# Queries


@query(Product | None, requires=Scope.PRODUCTS_READ)
async def product(context: Context, id: ProductId) -> ProductRow:
    """One product."""
    return await products.by_id(context.session, id) or _missing(id)


@lists(Product, products.table, requires=Scope.PRODUCTS_READ, sort=ProductSort)
def products_(filter: ProductFilter) -> Where:
    """The products."""
    return matching(status=wanted(filter.status))


# Commands


@command(Product, requires=Scope.PRODUCTS_WRITE)
async def product_create(context: Context, input: ProductCreateInput) -> ProductRow:
    """Adds a product with its prices."""
    prices = price_rows(input.prices)
    await _check_group(context, input.server_group_id)
    now = clock.now()
    row = ProductRow(
        id=0,
        name=input.name,
        description=input.description or None,
        type=input.type or ProductType.HOSTING,
        status=input.status or ProductStatus.ACTIVE,
        auto_setup=input.auto_setup or AutoSetup.ON_ORDER,
        module=known_module(context, input.module) or NONE,
        server_group_id=input.server_group_id or None,
        version=1,
        created_at=now,
        updated_at=now,
        module_options=options_text(input.module_options) if given(input.module_options) else None,
    )
    row = await products.add(context.writing, row)
    await products.replace_prices(context.writing, row.id, prices)
    return row


@command(Product, requires=Scope.PRODUCTS_WRITE)
async def product_update(context: Context, id: ProductId, input: ProductUpdateInput) -> ProductRow:
    """Changes a product. Services that were sold keep their price."""
    row = await products.locked(context.writing, id) or _missing(id)
    await _check_group(context, input.server_group_id)
    known_module(context, input.module)
    names = ("name", "description", "type", "status", "auto_setup", "module", "server_group_id")
    after = row._replace(**members_given(input, *names))
    if given(input.module_options):
        after = after._replace(module_options=options_text(input.module_options))
    repriced = given(input.prices) and await products.replace_prices(
        context.writing, id, price_rows(input.prices or [])
    )
    return await products.save(context.writing, row, after) if repriced or after != row else row


# Private


def _missing(id: int) -> Any:
    raise not_found("Product", id)


async def _check_group(context: Context, id: Any) -> None:
    if given(id) and id is not None and await servers.groups.by_id(context.session, id) is None:
        raise invalid("server_group_id", f"names no server group: {id}")
