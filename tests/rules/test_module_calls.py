"""What becomes of a module call: when it is tried, when it ends, and that the account ends as its service did."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from models.enums import ModuleAction, ModuleCallStatus, ProvisionState, ServiceStatus
from models.module_calls import ModuleCallRow
from models.servers import ServerRow
from provisioning.protocol import Account, ModuleError
from schema.attempts import check_server, is_past, provisioned_as, told
from schema.errors import DomainError
from schema.module_calls import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MOST_ATTEMPTS,
    WAITING,
    begun,
    ended,
    finished,
    follow_up,
    following,
    is_overtaken,
    key_of,
    made_by,
    new_call,
    retried,
    state_of,
    wait_after,
)
from tests.rows import NOON, a_call, a_product, a_server, a_service

S, A = ModuleCallStatus, ModuleAction
MINUTE = timedelta(minutes=1)
BROKEN, HOPELESS = ModuleError("It is down."), ModuleError("The login is wrong.", retry=False)
statuses = st.lists(st.sampled_from(S), max_size=5)


def calls_of(*wanted: ModuleCallStatus) -> list[ModuleCallRow]:
    return [a_call(id, status) for id, status in enumerate(wanted, start=1)]


# Waiting


def test_the_waits_of_a_call_that_always_fails_are_from_half_a_minute_to_six_hours() -> None:
    waits = [wait_after(attempts, 0.5) for attempts in range(1, MOST_ATTEMPTS)]
    assert waits == [timedelta(seconds=s) for s in (30, 90, 270, 810, 2430, 7290, 21600)]
    assert (waits[0], waits[-1]) == (FIRST_WAIT, LONGEST_WAIT)


@given(st.integers(1, MOST_ATTEMPTS), st.floats(0, 1))
def test_the_dice_move_a_wait_by_a_tenth_at_most(attempts: int, dice: float) -> None:
    middle = wait_after(attempts, 0.5)
    assert middle * 0.899 <= wait_after(attempts, dice) <= middle * 1.101


@given(st.floats(0.1, 1000))
def test_the_time_scale_divides_the_wait_and_nothing_else(scale: float) -> None:
    call = a_call(status=S.RUNNING)
    real, scaled = (ended(call, False, BROKEN, NOON, 0.5, each) for each in (1.0, scale))
    assert real.due_at is not None
    assert scaled.due_at is not None
    assert abs((scaled.due_at - NOON) * scale - (real.due_at - NOON)) < MINUTE / 1000
    assert scaled._replace(due_at=None) == real._replace(due_at=None)


# One call


def test_a_call_that_is_begun_is_leased_and_numbered() -> None:
    call = begun(a_call(), False, NOON, MINUTE)
    assert (call.status, call.attempts, call.due_at) == (S.RUNNING, 1, NOON + MINUTE)
    assert begun(a_call(status=S.RETRYING, attempts=3), False, NOON, MINUTE).attempts == 4


def test_a_call_whose_process_ended_is_made_again_unless_it_was_overtaken_or_had_all_its_attempts() -> None:
    lost = a_call(status=S.RUNNING, attempts=3)
    again = begun(lost, False, NOON, MINUTE)
    assert (again.status, again.attempts) == (S.RUNNING, 4)
    assert again.last_error == "The process that made the call ended before there was an answer."
    assert begun(lost, True, NOON, MINUTE).status is S.CANCELLED
    last = begun(lost._replace(attempts=MOST_ATTEMPTS), False, NOON, MINUTE)
    assert (last.status, last.attempts, last.due_at) == (S.FAILED, MOST_ATTEMPTS, None)


@pytest.mark.parametrize(
    ("error", "attempts", "overtaken", "status"),
    [
        (None, 1, False, S.DONE),
        (None, 8, True, S.DONE),
        (BROKEN, 1, False, S.RETRYING),
        (BROKEN, 7, False, S.RETRYING),
        (BROKEN, 8, False, S.FAILED),
        (BROKEN, 1, True, S.CANCELLED),
        (HOPELESS, 1, False, S.FAILED),
        (HOPELESS, 1, True, S.CANCELLED),
    ],
)
def test_an_attempt_ends_as_the_table_says(
    error: ModuleError | None, attempts: int, overtaken: bool, status: ModuleCallStatus
) -> None:
    call = ended(a_call(status=S.RUNNING, attempts=attempts), overtaken, error, NOON, 0.5, 1.0)
    assert call.status is status
    assert call.last_error == (error.message if error else None)
    assert (call.due_at is None) == (call.finished_at is not None) == (status not in WAITING)


def test_what_a_module_said_is_cut_to_what_is_kept() -> None:
    call = ended(a_call(status=S.RUNNING), False, ModuleError("x" * 5000), NOON, 0.5, 1.0)
    assert call.last_error == "x" * 1000


@pytest.mark.parametrize("status", S)
@pytest.mark.parametrize("overtaken", [False, True])
def test_staff_retry_what_failed_or_waits_and_was_not_overtaken(status: ModuleCallStatus, overtaken: bool) -> None:
    call = a_call(status=status, attempts=MOST_ATTEMPTS)
    if status in (S.QUEUED, S.RUNNING):
        assert retried(call, overtaken, NOON) is call
    elif status in (S.FAILED, S.RETRYING) and not overtaken:
        again = retried(call, overtaken, NOON + MINUTE)
        assert (again.id, again.status, again.due_at, again.finished_at) == (call.id, S.QUEUED, NOON + MINUTE, None)
        assert (again.attempts, again.most_attempts) == (MOST_ATTEMPTS, 2 * MOST_ATTEMPTS)
        first = ended(begun(again, False, NOON, MINUTE), False, BROKEN, NOON, 0.5, 1.0)
        assert first.due_at == NOON + FIRST_WAIT
    else:
        with pytest.raises(DomainError) as refused:
            retried(call, overtaken, NOON)
        assert refused.value.reason == "INVALID_TRANSITION"


# All calls of a service


@given(statuses)
def test_the_state_of_a_service_is_that_of_its_last_call_but_what_runs_comes_first(
    wanted: list[ModuleCallStatus],
) -> None:
    state = state_of(calls_of(*wanted))
    counted = [status for status in wanted if status is not S.CANCELLED]
    assert (state is ProvisionState.NONE) == (not counted)
    assert (state is ProvisionState.RUNNING) == (S.RUNNING in counted)
    if counted and S.RUNNING not in counted:
        expected = {S.DONE: "ok", S.FAILED: "failed", S.QUEUED: "queued", S.RETRYING: "queued"}
        assert state == expected[counted[-1]]


def test_a_later_call_overtakes_unless_it_was_cancelled_itself() -> None:
    first, second = calls_of(S.RUNNING, S.QUEUED)
    assert is_overtaken(first, [first, second])
    assert not is_overtaken(first, [first, second._replace(status=S.CANCELLED)])
    assert not is_overtaken(second, [first, second])


def test_an_account_is_suspended_where_it_was_made_and_removed_where_it_may_have_been() -> None:
    for status in S:
        (call,) = calls_of(status)
        assert made_by([call], A.SUSPEND) == (call if status in (S.DONE, S.RUNNING) else None)
        assert made_by([call], A.TERMINATE) == (call if call.told_at else None)


def test_an_account_that_no_module_was_told_to_make_is_not_removed() -> None:
    untold = a_call(status=S.FAILED, attempts=8, told_at=None)
    assert following([untold], a_service(), A.TERMINATE, NOON) == ([untold], None)


def test_what_comes_later_overtakes_what_waits_for_its_time_or_for_staff() -> None:
    made = a_call(1, S.DONE)
    for status in S:
        later = a_call(2, status, action=A.SUSPEND)
        overtaken, call = following([made, later], a_service(), A.UNSUSPEND, NOON)
        assert overtaken == ([later] if status in (S.QUEUED, S.RETRYING, S.FAILED) else [])
        assert call is not None
        assert call.action is A.UNSUSPEND


def test_a_call_that_is_to_make_an_account_is_past_once_staff_have_set_one_up() -> None:
    create, suspend = a_call(1, S.RUNNING), a_call(1, S.RUNNING, action=A.SUSPEND)
    assert not is_past(create, [create], a_service(ServiceStatus.PENDING))
    assert is_past(create, [create], a_service(ServiceStatus.ACTIVE))
    assert not is_past(suspend, [suspend], a_service(ServiceStatus.SUSPENDED))


def test_the_key_of_a_call_is_its_own_in_every_database() -> None:
    first, again = (new_call(a_service(), "mock", None, A.CREATE, NOON)._replace(id=1) for _ in range(2))
    assert key_of(first) != key_of(again)
    assert key_of(first).startswith("mcl_1-")
    assert key_of(first._replace(key_part=None)) == "mcl_1"


def test_only_a_change_of_status_asks_something_of_the_account() -> None:
    s = ServiceStatus
    assert follow_up(s.ACTIVE, s.SUSPENDED) is A.SUSPEND
    assert follow_up(s.SUSPENDED, s.ACTIVE) is A.UNSUSPEND
    assert follow_up(s.PENDING, s.ACTIVE) is None
    for before in (s.PENDING, s.ACTIVE, s.SUSPENDED):
        assert follow_up(before, s.TERMINATED) is A.TERMINATE
    assert follow_up(s.PENDING, s.CANCELLED) is A.TERMINATE


# What a module is told, and what its answer does


def test_a_module_is_told_the_key_of_the_call_the_account_and_the_options() -> None:
    service = a_service(ServiceStatus.PENDING, username="ada")
    call = told(a_call(), a_call(3), service, a_product(module_options='{"plan":"s"}'), None)
    assert (call.key, call.account_key) == ("mcl_5-0000000000000005", "mcl_3-0000000000000003")
    assert (call.service_id, call.options) == (7, {"plan": "s"})
    assert call.account == Account("ada", "shop.example.com")


def test_a_server_of_another_module_is_not_called() -> None:
    server: ServerRow = a_server(3, module="manual")
    with pytest.raises(ModuleError, match="Server 3 is set to the module manual, and this call is for mock") as refused:
        check_server(a_call(), server)
    assert not refused.value.retry


@pytest.mark.parametrize("status", ServiceStatus)
def test_an_account_that_was_made_gives_its_name_and_makes_only_a_pending_service_active(
    status: ServiceStatus,
) -> None:
    before = a_service(status, username="wanted")
    after = provisioned_as(before, Account("given"))
    assert after.username == "given"
    assert after.status is (ServiceStatus.ACTIVE if status is ServiceStatus.PENDING else status)
    assert provisioned_as(before, None).username == "wanted"


class Provisioning(RuleBasedStateMachine):
    """A service, its calls, a module that fails and forgets to answer, a process that is killed, staff, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.service = a_service(ServiceStatus.PENDING)
        self.now: datetime = NOON
        self.calls = [new_call(self.service, "mock", None, A.CREATE, NOON)._replace(id=1)]
        self.made: dict[int, str] = {}
        """The panel: the key of a call that makes an account → the account's status."""
        self.done: set[int] = set()
        self.begun: list[int] = []

    # What happens

    def put(self, call: ModuleCallRow) -> None:
        self.calls[call.id - 1] = call

    def move(self, status: ServiceStatus) -> None:
        action = follow_up(self.service.status, status)
        self.service = self.service._replace(status=status)
        if action is not None:
            overtaken, call = following(self.calls, self.service, action, self.now)
            for one in overtaken:
                self.put(finished(one, S.CANCELLED, self.now))
            if call is not None:
                self.calls.append(call._replace(id=len(self.calls) + 1))

    def first(self) -> ModuleCallRow | None:
        return next((call for call in self.calls if call.due_at is not None), None)

    def act(self, call: ModuleCallRow) -> None:
        """What the panel does, once for each key."""
        if call.id in self.done:
            return
        self.done.add(call.id)
        if call.action is A.CREATE:
            self.made[call.id] = "active"
            return
        status = {A.SUSPEND: "suspended", A.UNSUSPEND: "active", A.TERMINATE: "terminated"}[call.action]
        self.made = dict.fromkeys(self.made, status)

    def end(self, call: ModuleCallRow, error: ModuleError | None) -> None:
        self.put(ended(call, is_past(call, self.calls, self.service), error, self.now, 0.5, 1.0))
        if call.action is A.CREATE and error is None:
            self.service = provisioned_as(self.service, Account("ada"))

    @rule(minutes=st.integers(0, 400))
    def time_passes(self, minutes: int) -> None:
        self.now += MINUTE * minutes

    @rule()
    def a_process_takes_up_what_is_due(self) -> None:
        call = self.first()
        if call is not None and call.due_at is not None and call.due_at <= self.now:
            taken = begun(call, is_past(call, self.calls, self.service), self.now, MINUTE)
            self.put(taken._replace(told_at=self.now))
            if taken.status is S.RUNNING:
                self.begun.append(taken.id)

    @precondition(lambda self: any(call.status is S.RUNNING for call in self.calls))
    @rule(acts=st.booleans(), error=st.sampled_from([None, BROKEN, HOPELESS]), answers=st.booleans())
    def the_module_answers_or_does_not(self, acts: bool, error: ModuleError | None, answers: bool) -> None:
        (call,) = (call for call in self.calls if call.status is S.RUNNING)
        if acts or error is None:
            self.act(call)
        if answers:
            self.end(call, error)

    @rule(status=st.sampled_from(ServiceStatus))
    def somebody_changes_the_service(self, status: ServiceStatus) -> None:
        allowed = {
            ServiceStatus.PENDING: (ServiceStatus.CANCELLED, ServiceStatus.TERMINATED),
            ServiceStatus.ACTIVE: (ServiceStatus.SUSPENDED, ServiceStatus.TERMINATED),
            ServiceStatus.SUSPENDED: (ServiceStatus.ACTIVE, ServiceStatus.TERMINATED),
        }
        if status in allowed.get(self.service.status, ()):
            self.move(status)

    @rule()
    def staff_retry_what_failed(self) -> None:
        last = self.calls[-1]
        if last.status is S.FAILED:
            self.put(retried(last, False, self.now))

    # What holds

    @invariant()
    def one_call_runs_at_most(self) -> None:
        assert [call.status for call in self.calls].count(S.RUNNING) <= 1

    @invariant()
    def calls_are_begun_in_their_order(self) -> None:
        assert self.begun == sorted(self.begun)

    @invariant()
    def no_call_has_more_attempts_than_it_may(self) -> None:
        assert all(call.attempts <= call.most_attempts for call in self.calls)

    @invariant()
    def what_is_not_finished_is_due_some_day(self) -> None:
        for call in self.calls:
            assert (call.due_at is None) == (call.finished_at is not None)

    @invariant()
    def there_is_one_account_at_most(self) -> None:
        assert len(self.made) <= 1

    def teardown(self) -> None:
        """Once the module is well and staff have retried what failed, the account is what its service is."""
        for _ in range(4 * len(self.calls)):
            self.staff_retry_what_failed()
            self.now += timedelta(days=1)
            self.a_process_takes_up_what_is_due()
            for call in self.calls:
                if call.status is S.RUNNING:
                    self.act(call)
                    self.end(call, None)
        assert all(call.due_at is None for call in self.calls)
        account = next(iter(self.made.values()), None)
        match self.service.status:
            case ServiceStatus.ACTIVE:
                assert account == "active"
            case ServiceStatus.SUSPENDED:
                assert account == "suspended"
            case _:
                assert account in (None, "terminated")
        assert state_of(self.calls) in (ProvisionState.OK, ProvisionState.NONE)


TestProvisioning = Provisioning.TestCase
