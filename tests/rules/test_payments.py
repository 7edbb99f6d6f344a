"""Payments: what was received and what is left always make the total."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from models.enums import InvoiceStatus
from models.invoices import InvoiceRow, PaymentRow
from schema.errors import Code, DomainError
from schema.payments import PaymentOrder, pay
from tests.rows import NOON, a_payment, an_invoice

S = InvoiceStatus


def order(
    amount: int | None = None, transaction: str | None = None, minutes: int = 0, method: str = "offline"
) -> PaymentOrder:
    return PaymentOrder(amount, method, transaction, NOON + timedelta(minutes=minutes))


def refusal(row: InvoiceRow, known: PaymentRow | None, wanted: PaymentOrder) -> DomainError:
    with pytest.raises(DomainError) as refused:
        pay(row, known, wanted, NOON)
    assert refused.value.code is Code.VALIDATION_ERROR
    return refused.value


def test_a_payment_without_an_amount_is_of_the_whole_balance() -> None:
    row, payment = pay(an_invoice(), None, order(), NOON)
    assert (row.status, row.balance, row.paid_at) == (S.PAID, 0, NOON)
    assert payment is not None
    assert (payment.amount, payment.currency, payment.invoice_id, payment.client_id) == (2999, "USD", 1234, 56)


def test_the_rest_of_a_partly_paid_invoice_is_what_is_left() -> None:
    row, _ = pay(an_invoice(), None, order(1000), NOON)
    row, payment = pay(row, None, order(), NOON)
    assert payment is not None
    assert (row.status, payment.amount) == (S.PAID, 1999)


def test_less_than_the_balance_leaves_it_unpaid() -> None:
    row, payment = pay(an_invoice(), None, order(2998), NOON)
    assert (row.status, row.balance, row.paid_at) == (S.UNPAID, 1, None)
    assert payment is not None


def test_more_than_the_balance_is_refused_and_says_the_balance() -> None:
    error = refusal(an_invoice(), None, order(3000))
    assert error.message == "The amount field must not be more than the balance of 29.99 USD."
    assert error.fields == {"amount": error.message}


@pytest.mark.parametrize("amount", [0, -1, -2999])
def test_nothing_and_less_is_no_payment(amount: int) -> None:
    assert refusal(an_invoice(), None, order(amount)).message == "The amount field must be more than zero."


def test_a_payment_in_the_future_is_refused() -> None:
    assert refusal(an_invoice(), None, order(minutes=1)).message == "The paid at field must not be in the future."


def test_a_payment_now_or_before_keeps_its_time() -> None:
    for minutes in (0, -60):
        row, payment = pay(an_invoice(), None, order(minutes=minutes), NOON)
        assert payment is not None
        assert row.paid_at == payment.paid_at == NOON + timedelta(minutes=minutes)
        assert payment.created_at == NOON


def test_paying_a_paid_invoice_without_an_amount_succeeds_and_records_nothing() -> None:
    row = an_invoice(S.PAID)
    assert pay(row, None, order(), NOON) == (row, None)


def test_paying_a_paid_invoice_with_an_amount_is_refused_so_that_no_money_is_dropped_silently() -> None:
    error = refusal(an_invoice(S.PAID), None, order(500))
    assert error.message == "Invoice 1234 is paid already: the payment was not recorded."
    assert error.reason == "INVALID_TRANSITION"


@pytest.mark.parametrize("status", [S.UNPAID, S.PAID])
@pytest.mark.parametrize("amount", [None, 2999])
def test_the_same_transaction_twice_is_one_payment(status: InvoiceStatus, amount: int | None) -> None:
    row = an_invoice(status)
    assert pay(row, a_payment(), order(amount, "tx-1"), NOON) == (row, None)


@pytest.mark.parametrize("status", S)
def test_a_transaction_of_another_invoice_is_refused(status: InvoiceStatus) -> None:
    error = refusal(an_invoice(status), a_payment(invoice_id=99), order(None, "tx-1"))
    assert error.fields == {"transaction_id": "The transaction id field names a payment of another invoice."}


def test_a_transaction_of_another_amount_is_refused() -> None:
    error = refusal(an_invoice(S.PAID), a_payment(), order(1, "tx-1"))
    assert error.fields == {"transaction_id": "The transaction id field names a payment of another amount."}


@pytest.mark.parametrize("status", [S.DRAFT, S.CANCELLED])
def test_an_invoice_that_is_not_owed_cannot_be_paid(status: InvoiceStatus) -> None:
    assert refusal(an_invoice(status), None, order()).message == f"Invoice 1234 is {status} and cannot be paid."


@given(st.integers(1, 10**12), st.lists(st.none() | st.integers(-10, 10**12), max_size=20))
def test_any_sequence_of_payments_leaves_the_total_in_two_parts(total: int, amounts: list[int | None]) -> None:
    row, accepted = an_invoice(total=total), 0
    for amount in amounts:
        try:
            row, payment = pay(row, None, order(amount), NOON)
        except DomainError:
            continue
        accepted += payment.amount if payment else 0
        assert payment is None or payment.amount > 0
    assert row.balance == total - accepted
    assert row.balance >= 0
    assert (row.status is S.PAID) == (row.balance == 0)
    assert row.total == total


class Account(RuleBasedStateMachine):
    """One invoice, paid by whoever, in whatever parts, with transactions sent once or again."""

    @initialize(total=st.integers(1, 5000))
    def issue(self, total: int) -> None:
        self.row = an_invoice(total=total)
        self.recorded: dict[str | None, PaymentRow] = {}
        self.sum = 0

    @rule(amount=st.none() | st.integers(-5, 6000), transaction=st.none() | st.sampled_from("abcd"))
    def pay(self, amount: int | None, transaction: str | None) -> None:
        known = self.recorded.get(transaction)
        before = self.row
        try:
            self.row, payment = pay(before, known, order(amount, transaction), NOON)
        except DomainError:
            return
        if payment is None:
            assert self.row == before
            assert known is not None or before.status is S.PAID
            return
        assert known is None
        assert before.status is S.UNPAID
        self.sum += payment.amount
        if transaction is not None:
            self.recorded[transaction] = payment

    @invariant()
    def what_was_received_and_what_is_left_make_the_total(self) -> None:
        if hasattr(self, "row"):
            assert self.row.balance == self.row.total - self.sum
            assert 0 <= self.row.balance <= self.row.total
            assert (self.row.status is S.PAID) == (self.row.balance == 0)
            assert (self.row.paid_at is not None) == (self.row.status is S.PAID)


TestAccount = Account.TestCase
