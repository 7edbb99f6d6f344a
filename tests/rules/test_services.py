"""What a service may do: every status with every action, and periods that never drift."""

from datetime import date
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.enums import BillingCycle, ProvisionState, ServiceStatus, SuspensionReason
from models.products import PriceRow
from models.services import ServiceRow
from schema import cycles
from schema.errors import Code, DomainError
from schema.periods import first_lines, paid_until, recurs
from schema.services import ALLOWED, ServiceAction, lifted, moved, provision, provisioned, suspend, unsuspend
from tests.rows import a_line, a_product, a_service

S, A = ServiceStatus, ServiceAction

TABLE = {
    (S.PENDING, A.PROVISION): S.ACTIVE,
    (S.PENDING, A.CANCEL): S.CANCELLED,
    (S.PENDING, A.TERMINATE): S.TERMINATED,
    (S.ACTIVE, A.SUSPEND): S.SUSPENDED,
    (S.ACTIVE, A.TERMINATE): S.TERMINATED,
    (S.SUSPENDED, A.UNSUSPEND): S.ACTIVE,
    (S.SUSPENDED, A.TERMINATE): S.TERMINATED,
}
"""The moves of the domain; every other one is refused, but for a verb whose status is there already."""

SAME = {
    (S.ACTIVE, A.PROVISION),
    (S.ACTIVE, A.UNSUSPEND),
    (S.SUSPENDED, A.SUSPEND),
    (S.TERMINATED, A.TERMINATE),
    (S.CANCELLED, A.CANCEL),
}

PARTICIPLES = {
    A.PROVISION: "provisioned",
    A.SUSPEND: "suspended",
    A.UNSUSPEND: "unsuspended",
    A.TERMINATE: "terminated",
    A.CANCEL: "cancelled",
}

RECURRING = [cycle for cycle in BillingCycle if cycles.months(cycle)]
anchors = st.dates(date(2000, 1, 1), date(2060, 12, 31))


@pytest.mark.parametrize(("status", "action"), list(product(S, A)))
def test_every_action_in_every_status_follows_the_table(status: ServiceStatus, action: ServiceAction) -> None:
    row = a_service(status)
    if (status, action) in TABLE:
        assert moved(row, action) == row._replace(status=TABLE[status, action])
    elif (status, action) in SAME:
        assert moved(row, action) is row
    else:
        with pytest.raises(DomainError) as refused:
            moved(row, action)
        error = refused.value
        assert error.message == f"Service 7 is {status} and cannot be {PARTICIPLES[action]}."
        assert (error.code, error.reason) == (Code.VALIDATION_ERROR, "INVALID_TRANSITION")
        assert error.allowed_actions == tuple(ALLOWED[status])


@pytest.mark.parametrize("status", S)
def test_the_allowed_actions_are_those_that_change_something(status: ServiceStatus) -> None:
    assert set(ALLOWED[status]) == {action for (of, action) in TABLE if of is status}


@pytest.mark.parametrize("reason", SuspensionReason)
def test_a_suspension_keeps_its_reason_and_note(reason: SuspensionReason) -> None:
    row = suspend(a_service(), reason, "Spam since Monday")
    assert (row.status, row.suspension_reason, row.suspension_note) == (S.SUSPENDED, reason, "Spam since Monday")


def test_suspending_a_suspended_service_keeps_the_first_reason() -> None:
    row = suspend(a_service(), SuspensionReason.ABUSE, "Spam")
    assert suspend(row, SuspensionReason.OVERDUE, None) is row


@pytest.mark.parametrize("reason", SuspensionReason)
def test_unsuspending_takes_reason_and_note_away(reason: SuspensionReason) -> None:
    assert unsuspend(suspend(a_service(), reason, "Note")) == a_service()


@pytest.mark.parametrize(("status", "reason"), list(product(S, [None, *SuspensionReason])))
def test_a_payment_lifts_a_suspension_for_being_overdue_and_nothing_else(
    status: ServiceStatus, reason: SuspensionReason | None
) -> None:
    row = a_service(status, suspension_reason=reason)
    if (status, reason) == (S.SUSPENDED, SuspensionReason.OVERDUE):
        assert lifted(row) == a_service(S.ACTIVE)
    else:
        assert lifted(row) == row


@pytest.mark.parametrize("status", S)
def test_provisioning_begins_for_a_pending_service_alone(status: ServiceStatus) -> None:
    row = a_service(status)
    at_once, queued = provision(row, a_product()), provision(row, a_product(module="manual"))
    if status is S.PENDING:
        assert at_once == row._replace(status=S.ACTIVE)
        assert queued == row._replace(provision_state=ProvisionState.QUEUED)
    else:
        assert at_once == queued == row


def test_a_service_that_waited_for_its_module_is_done_when_it_is_active() -> None:
    queued = provision(a_service(S.PENDING), a_product(module="manual"))
    assert provisioned(queued) == a_service(S.ACTIVE, provision_state=ProvisionState.OK)


# Periods


@given(anchors, st.sampled_from(RECURRING), st.integers(1, 60))
def test_paying_period_after_period_never_drifts_from_the_anchor(anchor: date, cycle: BillingCycle, count: int) -> None:
    row = a_service(billing_cycle=cycle, anchor_date=anchor, next_due_date=anchor)
    for n in range(count):
        row = paid_until(row, a_line(row, cycles.due(anchor, cycle, n), cycles.due(anchor, cycle, n + 1)))
    assert row.next_due_date == cycles.due(anchor, cycle, count)
    assert row.anchor_date == anchor


@given(anchors, st.sampled_from(RECURRING), st.integers(0, 20), st.integers(0, 20))
def test_a_line_advances_the_period_that_it_names_and_no_other(
    anchor: date, cycle: BillingCycle, due: int, named: int
) -> None:
    row = a_service(billing_cycle=cycle, anchor_date=anchor, next_due_date=cycles.due(anchor, cycle, due))
    line = a_line(row, cycles.due(anchor, cycle, named), cycles.due(anchor, cycle, named + 1))
    after = paid_until(row, line)
    assert after.next_due_date == cycles.due(anchor, cycle, due + (due == named))
    assert paid_until(after, line) == after, "the same line twice is one period"


@pytest.mark.parametrize("status", [S.TERMINATED, S.CANCELLED])
def test_a_service_that_has_ended_is_frozen(status: ServiceStatus) -> None:
    row = a_service(status)
    assert paid_until(row, a_line(row, date(2026, 1, 31), date(2026, 2, 28))) == row


@pytest.mark.parametrize("cycle", [BillingCycle.ONE_TIME, BillingCycle.FREE])
def test_one_time_and_free_services_have_no_due_date(cycle: BillingCycle) -> None:
    row = a_service(billing_cycle=cycle, next_due_date=None)
    assert not recurs(row)
    assert paid_until(row, a_line(row, row.anchor_date, None)) == row


def test_a_service_that_costs_nothing_does_not_recur() -> None:
    assert not recurs(a_service(amount=0))


@given(anchors, st.sampled_from(list(BillingCycle)), st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_first_invoice_charges_the_first_period_and_the_set_up(
    anchor: date, cycle: BillingCycle, amount: int, setup_fee: int
) -> None:
    row = a_service(S.PENDING, billing_cycle=cycle, anchor_date=anchor, next_due_date=anchor, amount=amount)
    lines = first_lines(row, a_product(), PriceRow(1, 2, cycle, "USD", amount, setup_fee))
    assert sum(line.amount for line in lines) == amount + setup_fee
    assert len(lines) == (2 if setup_fee else 1)
    assert (lines[0].period_start, lines[0].period_end) == (anchor, cycles.due(anchor, cycle, 1))
    assert all(line.service_id == row.id for line in lines)


@given(st.text(max_size=255), st.text(max_size=255))
def test_a_line_has_room_for_the_longest_names(name: str, domain: str) -> None:
    lines = first_lines(
        a_service(domain=domain), a_product(name=name), PriceRow(1, 2, BillingCycle.MONTHLY, "USD", 1, 1)
    )
    assert all(len(line.description) <= 1000 for line in lines)


class Life(RuleBasedStateMachine):
    """Whatever is asked of it in whatever order, a service walks along the table."""

    def __init__(self) -> None:
        super().__init__()
        self.row = a_service(S.PENDING)
        self.history = [S.PENDING]

    def attempt(self, action: ServiceAction, after: "ServiceRow | None") -> None:
        before = self.row.status
        if (before, action) not in TABLE and (before, action) not in SAME:
            assert after is None
        else:
            assert after is not None
            assert after.status is TABLE.get((before, action), before)
            self.row = after
            self.history.append(after.status)

    @rule(action=st.sampled_from([A.PROVISION, A.TERMINATE, A.CANCEL]))
    def act(self, action: ServiceAction) -> None:
        self.attempt(action, self.tried(lambda: moved(self.row, action)))

    @rule(reason=st.sampled_from(SuspensionReason), note=st.none() | st.just("note"))
    def suspend(self, reason: SuspensionReason, note: str | None) -> None:
        self.attempt(A.SUSPEND, self.tried(lambda: suspend(self.row, reason, note)))

    @rule()
    def unsuspend(self) -> None:
        self.attempt(A.UNSUSPEND, self.tried(lambda: unsuspend(self.row)))

    @rule()
    def pay(self) -> None:
        before = self.row
        self.row = lifted(self.row)
        assert (self.row != before) == (
            before.suspension_reason is SuspensionReason.OVERDUE and before.status is S.SUSPENDED
        )

    @invariant()
    def an_end_is_an_end(self) -> None:
        for ended in (S.TERMINATED, S.CANCELLED):
            if ended in self.history:
                assert self.row.status is ended

    @invariant()
    def only_what_is_or_was_suspended_has_a_reason(self) -> None:
        if self.row.status in (S.PENDING, S.ACTIVE, S.CANCELLED):
            assert self.row.suspension_reason is None
            assert self.row.suspension_note is None
        if self.row.status is S.SUSPENDED:
            assert self.row.suspension_reason is not None

    @staticmethod
    def tried(act: "object") -> "ServiceRow | None":
        assert callable(act)
        try:
            row = act()
        except DomainError:
            return None
        assert isinstance(row, ServiceRow)
        return row


TestLife = Life.TestCase
