"""Prices: each cycle and currency once, none negative, in whole minor units."""

from decimal import Decimal
from typing import Any

import pytest
import strawberry
from hypothesis import given
from hypothesis import strategies as st

from models.enums import BillingCycle
from schema.errors import Code, DomainError
from schema.products import PriceInput, price_rows

CYCLES = list(BillingCycle)


def price(
    cycle: BillingCycle = BillingCycle.MONTHLY, currency: str = "USD", amount: str = "10.00", **more: Any
) -> PriceInput:
    fee = more.get("setup_fee", strawberry.UNSET)
    return PriceInput(billing_cycle=cycle, currency=currency, amount=Decimal(amount), setup_fee=fee)


def refused(*prices: PriceInput) -> dict[str, str]:
    with pytest.raises(DomainError) as caught:
        price_rows(list(prices))
    assert caught.value.code is Code.VALIDATION_ERROR
    return dict(caught.value.fields)


def test_prices_are_kept_in_minor_units_of_their_currency() -> None:
    rows = price_rows(
        [price(), price(currency="JPY", amount="1500"), price(currency="KWD", amount="3.125", setup_fee=Decimal("1"))]
    )
    assert [(row.currency, row.amount, row.setup_fee) for row in rows] == [
        ("USD", 1000, 0),
        ("JPY", 1500, 0),
        ("KWD", 3125, 1000),
    ]


@pytest.mark.parametrize("fee", [None, strawberry.UNSET, Decimal(0)])
def test_without_a_set_up_fee_it_is_zero(fee: object) -> None:
    assert price_rows([price(setup_fee=fee)])[0].setup_fee == 0


@pytest.mark.parametrize("currency", ["usd", "US", "XXX", "DEM", "", "BTC"])
def test_a_price_is_in_a_currency_of_today(currency: str) -> None:
    assert refused(price(), price(currency=currency)) == {
        "prices[1].currency": "The currency field must be an ISO 4217 currency code such as USD."
    }


def test_a_negative_price_is_refused() -> None:
    assert refused(price(amount="-0.01")) == {"prices[0].amount": "The amount field must not be negative."}
    assert refused(price(setup_fee=Decimal("-1"))) == {
        "prices[0].setup_fee": "The setup fee field must not be negative."
    }


def test_a_price_is_never_rounded() -> None:
    assert set(refused(price(amount="9.999"))) == {"prices[0].amount"}
    assert set(refused(price(currency="JPY", amount="9.5"))) == {"prices[0].amount"}


def test_free_is_free() -> None:
    assert refused(price(BillingCycle.FREE, amount="1")) == {
        "prices[0].amount": "The amount field must be zero for the free cycle."
    }
    assert price_rows([price(BillingCycle.FREE, amount="0")])[0].amount == 0


def test_a_cycle_and_currency_has_one_price() -> None:
    assert set(refused(price(), price(currency="EUR"), price(amount="12"))) == {"prices[2].billing_cycle"}


@given(
    st.lists(
        st.tuples(st.sampled_from(CYCLES), st.sampled_from(["USD", "EUR", "JPY", "KWD"]), st.integers(-5, 10**9)),
        min_size=1,
        max_size=30,
    )
)
def test_any_list_of_prices_is_kept_whole_or_refused(wanted: list[tuple[BillingCycle, str, int]]) -> None:
    keys = [(cycle, currency) for cycle, currency, _ in wanted]
    fine = len(set(keys)) == len(keys) and all(
        amount >= 0 and (cycle is not BillingCycle.FREE or amount == 0) for cycle, _, amount in wanted
    )
    prices = [price(cycle, currency, str(amount)) for cycle, currency, amount in wanted]
    if fine:
        assert [(row.billing_cycle, row.currency) for row in price_rows(prices)] == keys
    else:
        assert refused(*prices)
