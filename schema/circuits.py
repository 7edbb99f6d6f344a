"""Circuits: when a delivery is tried again, and when an endpoint that fails is left in peace until it is back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from models.enums import AttemptTrigger, Circuit, DeliveryStatus, DisabledReason
from models.webhooks import DeliveryRow, WebhookCircuitRow

SCHEDULE = tuple(timedelta(seconds=seconds) for seconds in (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
"""How long each attempt waits for the one before it: that of Standard Webhooks. There are as many attempts."""
LEAST_JITTER, MOST_JITTER = 0.8, 1.2
BUSY_WAIT = timedelta(seconds=60)
"""The least wait for an endpoint that is overloaded or silent."""
BUSY = frozenset((429, 502, 503, 504))
LONGEST_RETRY_AFTER = timedelta(hours=24)
GONE = 410
FAILURES_TO_OPEN = 5
PROBE_WAIT, LATER_PROBE_WAIT = timedelta(seconds=60), timedelta(minutes=5)
PROBED_OFTEN_FOR = timedelta(hours=2)
HELD_FOR = timedelta(hours=76)
"""How long a delivery waits for an endpoint that is down: as long as all its attempts would have taken."""
LONGEST_DRAIN = timedelta(minutes=2)
FAILING_FOR = timedelta(hours=120)
"""An endpoint that has only failed for so long is disabled."""
LEASE = timedelta(seconds=20)
"""How long a delivery is left to whoever tries it: longer than an attempt may take."""
PROCESS_ENDED = "The process that sent it ended before an answer was known."


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt."""

    started_at: datetime
    milliseconds: int
    status: int | None = None
    """The HTTP status; None when there was no answer."""
    error: str | None = None
    """Why it failed, in words; None when it succeeded."""
    address: str | None = None
    answer: str | None = None
    blocked: bool = False
    """Whether the endpoint leads to an address that may not be dialled."""
    silent: bool = False
    """Whether there was no answer in time."""
    final: bool = False
    """Whether nothing was sent, and nothing ever can be: the endpoint has no part in it."""
    retry_after: timedelta | None = None
    """How long the endpoint asks to be left alone."""

    @property
    def succeeded(self) -> bool:
        return self.error is None


def new_circuit(webhook_id: int) -> WebhookCircuitRow:
    """That of an endpoint that was never sent to."""
    return WebhookCircuitRow(
        id=0,
        webhook_id=webhook_id,
        state=Circuit.CLOSED,
        failures=0,
        failing_since=None,
        next_probe_at=None,
        draining_since=None,
    )


def is_success(status: int) -> bool:
    return 200 <= status < 300


def wait_after(attempts: int, outcome: Outcome, jitter: float) -> timedelta | None:
    """How long after so many failed attempts the next is made; None when that was the last.

    An endpoint may ask for a longer wait, within a day, never for a shorter one. `jitter` is from 0.8 to 1.2.
    """
    if attempts >= len(SCHEDULE):
        return None
    wait = SCHEDULE[max(attempts, 1)] * jitter
    if outcome.silent or outcome.status in BUSY:
        wait = max(wait, BUSY_WAIT)
    return max(wait, _asked_for(outcome))


def after_attempt(
    delivery: DeliveryRow, trigger: AttemptTrigger, outcome: Outcome, now: datetime, jitter: float, time_scale: float
) -> DeliveryRow:
    """The delivery once an attempt has ended; `delivery` is as the attempt has found it, with its number of attempts.

    A probe that fails leaves it as it was.
    """
    ended = delivery._replace(trigger=AttemptTrigger.AUTO, lease=None, response_status=outcome.status)
    if outcome.succeeded:
        return ended._replace(status=DeliveryStatus.DELIVERED, due_at=None, finished_at=now)
    if trigger is AttemptTrigger.PROBE and not outcome.final:
        return ended
    wait = None if outcome.final else wait_after(delivery.attempts, outcome, jitter)
    if wait is None:
        return ended._replace(status=DeliveryStatus.FAILED, due_at=None, finished_at=now)
    return ended._replace(due_at=now + wait / time_scale)


def after_outcome(circuit: WebhookCircuitRow, outcome: Outcome, now: datetime, time_scale: float) -> WebhookCircuitRow:
    """The circuit once an attempt has ended: what fails opens it, a success lets everything through again."""
    if outcome.succeeded:
        well = circuit._replace(failures=0, failing_since=None, next_probe_at=None)
        return well._replace(state=Circuit.DRAINING, draining_since=now) if circuit.state is Circuit.OPEN else well
    failing = circuit._replace(failures=circuit.failures + 1, failing_since=circuit.failing_since or now)
    if circuit.state is not Circuit.OPEN and not outcome.blocked and failing.failures < FAILURES_TO_OPEN:
        return failing
    if circuit.state is not Circuit.OPEN:
        failing = failing._replace(state=Circuit.OPEN, draining_since=None, next_probe_at=None)
    asked = now + _asked_for(outcome) / time_scale
    next_probe = failing.next_probe_at or next_probe_of(failing, now, time_scale)
    return failing._replace(next_probe_at=max(next_probe, asked))


def next_probe_of(circuit: WebhookCircuitRow, now: datetime, time_scale: float) -> datetime:
    """When an endpoint that fails is tried after now."""
    failing_for = now - (circuit.failing_since or now)
    often = failing_for < PROBED_OFTEN_FOR / time_scale
    return now + (PROBE_WAIT if often else LATER_PROBE_WAIT) / time_scale


def reason_to_disable(
    circuit: WebhookCircuitRow, outcome: Outcome, now: datetime, time_scale: float
) -> DisabledReason | None:
    """Why an endpoint is disabled after an attempt, if it is; `circuit` is as the attempt has left it."""
    if outcome.status == GONE:
        return DisabledReason.GONE
    if circuit.failing_since is not None and now - circuit.failing_since >= FAILING_FOR / time_scale:
        return DisabledReason.FAILING
    return None


def has_drained(circuit: WebhookCircuitRow, anything_held: bool, now: datetime, time_scale: float) -> bool:
    """Whether an endpoint that is back is as any other again: what was held is through, or it takes too long."""
    assert circuit.draining_since is not None, "it drains"
    return not anything_held or now - circuit.draining_since >= LONGEST_DRAIN / time_scale


def closed(circuit: WebhookCircuitRow) -> WebhookCircuitRow:
    """The circuit of an endpoint that has drained."""
    return circuit._replace(state=Circuit.CLOSED, draining_since=None)


def _asked_for(outcome: Outcome) -> timedelta:
    return min(outcome.retry_after or timedelta(0), LONGEST_RETRY_AFTER)
