"""When a delivery is tried again, and how an endpoint's circuit goes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.enums import AttemptTrigger, Circuit, DeliveryStatus, DisabledReason
from models.webhooks import DeliveryRow, WebhookCircuitRow
from schema.circuits import (
    BUSY_WAIT,
    FAILING_FOR,
    FAILURES_TO_OPEN,
    LONGEST_RETRY_AFTER,
    SCHEDULE,
    Outcome,
    after_attempt,
    after_outcome,
    closed,
    has_drained,
    new_circuit,
    next_probe_of,
    reason_to_disable,
    wait_after,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
JITTER = st.floats(0.8, 1.2)
STATUSES = st.sampled_from([None, 301, 400, 404, 410, 429, 500, 502, 503, 504])


def failure(status: int | None = 500, **more: Any) -> Outcome:
    return Outcome(NOW, 12, status, "It failed.", **more)


SUCCESS = Outcome(NOW, 12, 200)


def delivery(attempts: int = 1, **changed: Any) -> DeliveryRow:
    row = DeliveryRow(
        id=7,
        webhook_id=3,
        message_id="evt_1",
        event="invoice.paid",
        event_id=1,
        payload=None,
        object_type="Invoice",
        object_id=5,
        sequence=1,
        client_id=2,
        status=DeliveryStatus.PENDING,
        trigger=AttemptTrigger.AUTO,
        attempts=attempts,
        due_at=NOW,
        lease=None,
        response_status=None,
        queued_at=NOW,
        created_at=NOW,
        finished_at=None,
    )
    return row._replace(**changed)


def ended(attempts: int, outcome: Outcome, trigger: AttemptTrigger = AttemptTrigger.AUTO, scale: float = 1) -> Any:
    return after_attempt(delivery(attempts), trigger, outcome, NOW, 1.0, scale)


def failed(times: int, circuit: WebhookCircuitRow | None = None, every: timedelta = MINUTE) -> WebhookCircuitRow:
    circuit = circuit or new_circuit(3)
    for place in range(times):
        circuit = after_outcome(circuit, failure(), NOW + place * every, 1)
    return circuit


# Deliveries


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    assert [wait.total_seconds() for wait in SCHEDULE] == [0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert sum(SCHEDULE, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


@pytest.mark.parametrize("attempts", range(1, 10))
def test_a_failed_attempt_is_followed_by_another_after_its_wait(attempts: int) -> None:
    after = ended(attempts, failure())
    assert (after.status, after.due_at) == (DeliveryStatus.PENDING, NOW + SCHEDULE[attempts])
    assert after.response_status == 500


def test_after_ten_failed_attempts_a_delivery_has_failed() -> None:
    after = ended(10, failure())
    assert (after.status, after.due_at, after.finished_at) == (DeliveryStatus.FAILED, None, NOW)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_an_answer_from_200_to_299_delivers(status: int) -> None:
    after = ended(3, Outcome(NOW, 5, status))
    assert (after.status, after.due_at, after.finished_at) == (DeliveryStatus.DELIVERED, None, NOW)
    assert after.response_status == status


def test_a_probe_that_fails_leaves_the_delivery_as_it_was() -> None:
    before = delivery(2, due_at=NOW + HOUR)
    after = after_attempt(before, AttemptTrigger.PROBE, failure(), NOW, 1.0, 1)
    assert after == before._replace(response_status=500)


def test_what_staff_asked_for_is_tried_by_schedule_once_it_failed() -> None:
    after = after_attempt(delivery(trigger=AttemptTrigger.MANUAL), AttemptTrigger.MANUAL, failure(), NOW, 1.0, 1)
    assert (after.trigger, after.due_at) == (AttemptTrigger.AUTO, NOW + SCHEDULE[1])


@given(attempts=st.integers(1, 12), status=STATUSES, jitter=JITTER, silent=st.booleans(), asked=st.integers(0, 10**9))
def test_a_wait_is_within_its_bounds(
    attempts: int, status: int | None, jitter: float, silent: bool, asked: int
) -> None:
    retry_after = timedelta(seconds=asked)
    wait = wait_after(attempts, failure(status, silent=silent, retry_after=retry_after), jitter)
    if attempts >= len(SCHEDULE):
        assert wait is None
        return
    assert wait is not None
    assert wait >= SCHEDULE[attempts] * 0.8
    assert wait >= min(retry_after, LONGEST_RETRY_AFTER)
    if silent or status in (429, 502, 503, 504):
        assert wait >= BUSY_WAIT
    assert wait <= max(SCHEDULE[attempts] * 1.2, LONGEST_RETRY_AFTER)


@given(scale=st.floats(1, 100_000), attempts=st.integers(1, 9))
def test_a_rehearsal_runs_faster(scale: float, attempts: int) -> None:
    waited = ended(attempts, failure(), scale=scale).due_at - NOW
    assert abs(waited - SCHEDULE[attempts] / scale) < timedelta(milliseconds=1)


# Circuits


def test_a_circuit_opens_after_five_failures_in_a_row() -> None:
    assert failed(4).state is Circuit.CLOSED
    circuit = failed(5)
    assert (circuit.state, circuit.failures, circuit.failing_since) == (Circuit.OPEN, 5, NOW)
    assert circuit.next_probe_at == NOW + 4 * MINUTE + MINUTE


def test_a_success_between_failures_starts_the_count_again() -> None:
    circuit = after_outcome(failed(4), SUCCESS, NOW, 1)
    assert circuit == new_circuit(3)
    assert failed(4, circuit).state is Circuit.CLOSED


def test_an_address_that_may_not_be_dialled_opens_it_at_once() -> None:
    assert after_outcome(new_circuit(3), failure(None, blocked=True), NOW, 1).state is Circuit.OPEN


def test_the_first_success_lets_everything_through() -> None:
    circuit = after_outcome(failed(7), SUCCESS, NOW + HOUR, 1)
    assert (circuit.state, circuit.failures, circuit.failing_since) == (Circuit.DRAINING, 0, None)
    assert (circuit.draining_since, circuit.next_probe_at) == (NOW + HOUR, None)
    again = after_outcome(circuit, SUCCESS, NOW + HOUR + MINUTE, 1)
    assert again == circuit


def test_it_opens_again_while_it_drains() -> None:
    circuit = failed(5, after_outcome(failed(5), SUCCESS, NOW, 1))
    assert (circuit.state, circuit.draining_since) == (Circuit.OPEN, None)
    assert circuit.next_probe_at is not None


def test_it_has_drained_once_what_was_held_is_through_and_after_two_minutes_anyhow() -> None:
    circuit = after_outcome(failed(5), SUCCESS, NOW, 1)
    assert not has_drained(circuit, True, NOW + MINUTE, 1)
    assert has_drained(circuit, False, NOW + MINUTE, 1)
    assert has_drained(circuit, True, NOW + 2 * MINUTE, 1)
    assert closed(circuit) == new_circuit(3)


def test_probes_come_each_minute_for_two_hours_then_each_five() -> None:
    circuit = failed(5)
    assert next_probe_of(circuit, NOW + HOUR, 1) == NOW + HOUR + MINUTE
    assert next_probe_of(circuit, NOW + 2 * HOUR, 1) == NOW + 2 * HOUR + 5 * MINUTE
    assert next_probe_of(circuit, NOW + MINUTE, 60) == NOW + MINUTE + MINUTE / 60


def test_a_probe_waits_as_long_as_the_endpoint_asks_for() -> None:
    circuit = after_outcome(failed(5), failure(503, retry_after=HOUR), NOW, 1)
    assert circuit.next_probe_at == NOW + HOUR
    circuit = after_outcome(failed(5), failure(503, retry_after=timedelta(days=300)), NOW, 1)
    assert circuit.next_probe_at == NOW + timedelta(hours=24)


@given(st.lists(st.one_of(STATUSES, st.just(200)), max_size=40))
def test_whatever_comes_the_parts_of_a_circuit_agree(statuses: list[int | None]) -> None:
    circuit, in_a_row = new_circuit(3), 0
    for place, status in enumerate(statuses):
        outcome = SUCCESS if status == 200 else failure(status)
        circuit = after_outcome(circuit, outcome, NOW + place * MINUTE, 1)
        in_a_row = 0 if outcome.succeeded else in_a_row + 1
        assert circuit.failures == in_a_row
        assert (circuit.failing_since is not None) == (in_a_row > 0)
        assert (circuit.next_probe_at is not None) == (circuit.state is Circuit.OPEN)
        assert (circuit.draining_since is not None) == (circuit.state is Circuit.DRAINING)
        if in_a_row >= FAILURES_TO_OPEN:
            assert circuit.state is Circuit.OPEN


# Endpoints that are disabled


def test_the_answer_410_disables_at_once() -> None:
    assert reason_to_disable(failed(1), failure(410), NOW, 1) is DisabledReason.GONE


def test_nothing_but_failures_for_five_days_disables() -> None:
    circuit = failed(5)
    assert reason_to_disable(circuit, failure(), NOW + FAILING_FOR - MINUTE, 1) is None
    assert reason_to_disable(circuit, failure(), NOW + FAILING_FOR, 1) is DisabledReason.FAILING
    assert reason_to_disable(circuit, failure(), NOW + FAILING_FOR / 1000, 1000) is DisabledReason.FAILING


def test_one_success_within_them_does_not() -> None:
    circuit = after_outcome(failed(5), SUCCESS, NOW + HOUR, 1)
    assert reason_to_disable(circuit, SUCCESS, NOW + FAILING_FOR, 1) is None
