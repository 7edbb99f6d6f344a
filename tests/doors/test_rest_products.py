"""Products over REST: what is sold, and for how much."""

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio


async def test_a_product_shows_a_price_for_each_cycle_and_currency(house: House) -> None:
    prices = [
        {"billingCycle": "MONTHLY", "currency": "USD", "amount": "10.00", "setupFee": "1.50"},
        {"billingCycle": "MONTHLY", "currency": "JPY", "amount": "1500"},
        {"billingCycle": "ONE_TIME", "currency": "KWD", "amount": "1.250"},
    ]
    id = await house.a_product(name="Web L", description="Large.", type="VPS", status="HIDDEN", prices=prices)
    product = (await house.rest("GET", f"/products/{id}")).json()["data"]
    assert sorted(product.pop("pricing"), key=lambda price: str(price["currency"])) == [
        {"billing_cycle": "monthly", "currency": "JPY", "amount": "1500", "setup_fee": "0"},
        {"billing_cycle": "one_time", "currency": "KWD", "amount": "1.250", "setup_fee": "0.000"},
        {"billing_cycle": "monthly", "currency": "USD", "amount": "10.00", "setup_fee": "1.50"},
    ]
    assert product == {"id": id, "name": "Web L", "description": "Large.", "type": "vps", "status": "hidden"}
