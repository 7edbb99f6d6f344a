"""What an invoice may do, and what its lines come to."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.enums import InvoiceStatus
from schema.errors import Code, DomainError
from schema.invoices import ALLOWED, MOST, InvoiceAction, cancel, settled, total_of
from schema.payments import PaymentOrder, pay
from tests.rows import NOON, an_invoice

S, A = InvoiceStatus, InvoiceAction

TABLE = {
    (S.DRAFT, A.CANCEL): S.CANCELLED,
    (S.UNPAID, A.CANCEL): S.CANCELLED,
    (S.UNPAID, A.PAY): S.PAID,
}
SAME = {(S.CANCELLED, A.CANCEL), (S.PAID, A.PAY)}


@pytest.mark.parametrize(("status", "action"), list(product(S, A)))
def test_every_action_in_every_status_follows_the_table(status: InvoiceStatus, action: InvoiceAction) -> None:
    row = an_invoice(status)

    def act() -> InvoiceStatus:
        if action is A.CANCEL:
            return cancel(row).status
        return pay(row, None, PaymentOrder(None, "offline", None, NOON), NOON)[0].status

    if (status, action) in TABLE:
        assert act() is TABLE[status, action]
    elif (status, action) in SAME:
        assert act() is status
    else:
        participle = "cancelled" if action is A.CANCEL else "paid"
        with pytest.raises(DomainError) as refused:
            act()
        assert refused.value.message == f"Invoice 1234 is {status} and cannot be {participle}."
        assert (refused.value.code, refused.value.reason) == (Code.VALIDATION_ERROR, "INVALID_TRANSITION")
        assert refused.value.allowed_actions == tuple(ALLOWED[status])


@pytest.mark.parametrize("status", S)
def test_the_allowed_actions_are_those_that_change_something(status: InvoiceStatus) -> None:
    assert set(ALLOWED[status]) == {action for (of, action) in TABLE if of is status}


@given(st.integers(2, 10**12), st.data())
def test_an_invoice_that_is_partly_paid_cannot_be_cancelled(total: int, data: st.DataObject) -> None:
    paid = data.draw(st.integers(1, total - 1))
    with pytest.raises(DomainError, match="is unpaid and partly paid, and cannot be cancelled"):
        cancel(settled(an_invoice(total=total), paid, NOON))


@given(st.integers(0, 10**12))
def test_cancelling_changes_no_amount(total: int) -> None:
    row = an_invoice(total=total)
    assert cancel(row) == row._replace(status=S.CANCELLED)
    assert cancel(cancel(row)) == cancel(row)


@given(st.integers(0, 10**12), st.data())
def test_settling_lowers_the_balance_and_pays_when_nothing_is_left(total: int, data: st.DataObject) -> None:
    received = data.draw(st.integers(0, total))
    row = settled(an_invoice(total=total), received, NOON)
    assert row.balance == total - received
    assert (row.status is S.PAID) == (row.balance == 0)
    assert (row.paid_at is not None) == (row.balance == 0)
    assert (row.total, row.subtotal, row.tax) == (total, total, 0)


# Totals


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=500))
def test_a_total_is_the_sum_or_refused_below_zero(amounts: list[int]) -> None:
    if sum(amounts) < 0:
        with pytest.raises(DomainError) as refused:
            total_of(amounts)
        assert refused.value.fields == {"items": "The items field must not have a negative total."}
    else:
        assert total_of(amounts) == sum(amounts)


@pytest.mark.parametrize("amounts", [[0], [5, -5], [-1, 1, 0]])
def test_a_total_may_be_zero(amounts: list[int]) -> None:
    assert total_of(amounts) == 0


@pytest.mark.parametrize("amounts", [[MOST], [MOST - 1, 1], [MOST, -MOST]])
def test_the_largest_total_fits(amounts: list[int]) -> None:
    assert total_of(amounts) == sum(amounts)


@pytest.mark.parametrize("amounts", [[MOST, 1], [MOST + 1], [MOST + 1, -1], [MOST, -MOST - 1, 1]])
def test_what_the_database_cannot_hold_is_refused(amounts: list[int]) -> None:
    with pytest.raises(DomainError, match="must not have such a large total"):
        total_of(amounts)
