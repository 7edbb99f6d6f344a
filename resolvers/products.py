"""Queries of products and their prices."""

from models.enums import BillingCycle
from models.products import Price, PriceRow, Product, ProductRow
from resolvers.filters import equal, one_of
from resolvers.tables import Session, Table, WriteSession

table = Table(Product, ProductRow)
prices = Table(Price, PriceRow)

by_id = table.by_id
locked = table.locked
add = table.add
save = table.save


async def price(session: Session, product_id: int, cycle: BillingCycle, currency: str) -> PriceRow | None:
    return await prices.first(
        session, equal("product_id", product_id) & equal("billing_cycle", cycle) & equal("currency", currency)
    )


async def replace_prices(session: WriteSession, product_id: int, wanted: list[PriceRow]) -> bool:
    """Makes the product's prices those wanted, where a price that stays keeps its id; tells whether any changed."""
    (found,) = await prices.grouped(session, "product_id", [product_id])
    present = {(price.billing_cycle, price.currency): price for price in found}
    changed = False
    for new in wanted:
        old = present.pop((new.billing_cycle, new.currency), None)
        if old is None:
            await prices.add(session, new._replace(product_id=product_id))
        elif (old.amount, old.setup_fee) != (new.amount, new.setup_fee):
            await prices.save(session, old, old._replace(amount=new.amount, setup_fee=new.setup_fee))
        else:
            continue
        changed = True
    if present:
        await prices.remove(session, one_of("id", [price.id for price in present.values()]))
    return changed or bool(present)
