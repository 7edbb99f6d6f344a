"""Queries of products and their prices."""

from models.enums import BillingCycle
from models.products import Price, PriceRow, Product, ProductRow
from resolvers.tables import Session, Table, WriteSession, equal, one_of

table = Table(Product, ProductRow)
prices = Table(Price, PriceRow)

by_id = table.by_id
locked = table.locked
add = table.add
save = table.save


async def prices_of(session: Session, product_ids: list[int]) -> dict[int, list[PriceRow]]:
    found: dict[int, list[PriceRow]] = {id: [] for id in product_ids}
    for price in await prices.all(session, one_of("product_id", product_ids)):
        found[price.product_id].append(price)
    return found


async def price(session: Session, product_id: int, cycle: BillingCycle, currency: str) -> PriceRow | None:
    return await prices.first(
        session, equal("product_id", product_id) & equal("billing_cycle", cycle) & equal("currency", currency)
    )


async def replace_prices(session: WriteSession, product_id: int, wanted: list[PriceRow]) -> bool:
    """Makes the product's prices those wanted, where a price that stays keeps its id; tells whether any changed."""
    present = {(p.billing_cycle, p.currency): p for p in (await prices_of(session, [product_id]))[product_id]}
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
