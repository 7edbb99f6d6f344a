"""Moving windows: what a process counts by itself and what Redis counts for all are held to the same plain rule."""

import secrets
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from redis import Redis

from arcbilling import limiter
from arcbilling.limiter import Budget, Limiter, OwnWindow, Taken

ACTS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["key:1", "key:2", "ip:192.0.2.1"]), st.integers(0, 6)), max_size=40
)
BUDGETS = st.builds(Budget, st.integers(1, 5), st.integers(1, 6))


class PlainWindow:
    """The rule as it is said: whatever was taken counts until its period is over."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, str]] = []

    def used(self, caller: str, budget: Budget, now: int) -> int:
        return sum(1 for at, who in self.taken if who == caller and now < at + budget.seconds)

    def take(self, caller: str, budget: Budget, cost: int, now: int) -> Taken:
        used = self.used(caller, budget, now)
        if used + cost <= budget.amount:
            self.taken += [(now, caller)] * cost
            return Taken(used + cost, None)
        wait = 0
        while used and self.used(caller, budget, now + wait) + min(cost, budget.amount) > budget.amount:
            wait += 1
        return Taken(used, wait)


@hypothesis.given(BUDGETS, ACTS)
def test_a_process_counts_by_the_rule(budget: Budget, acts: list[tuple[int, str, int]]) -> None:
    now = 0
    own, plain = OwnWindow(lambda: now), PlainWindow()
    for later, caller, cost in acts:
        now += later
        assert own.take(caller, budget, cost) == plain.take(caller, budget, cost, now)
    assert len(own) <= len({caller for _, caller, _ in acts})


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(BUDGETS, ACTS)
def test_redis_counts_by_the_rule(redis_url: str, budget: Budget, acts: list[tuple[int, str, int]]) -> None:
    clock = "redis.call('TIME')"
    assert limiter._TAKE.count(clock) == 1
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        # The same script with a clock that the test sets.
        script = redis.register_script(limiter._TAKE.replace(clock, "{ARGV[#ARGV], 0}"))
        now, plain, test = 1_800_000_000, PlainWindow(), secrets.token_hex(8)
        for later, caller, cost in acts:
            now += later
            answer: Any = script([f"arcbilling:{test}:{caller}"], [*budget, cost, now])
            ((used, wait),) = answer
            found = Taken(used, None if wait < 0 else wait / 1_000_000)
            assert found == plain.take(caller, budget, cost, now)


def test_times_of_a_clock_that_was_put_back_are_forgotten(redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        script = redis.register_script(limiter._TAKE.replace("redis.call('TIME')", "{ARGV[#ARGV], 0}"))
        key = f"arcbilling:{secrets.token_hex(8)}:key:1"
        assert script([key], [2, 60, 2, 1_800_003_600]) == [[2, -1]]
        assert script([key], [2, 60, 1, 1_800_003_601]) == [[2, 59_000_000]]
        assert script([key], [2, 60, 1, 1_800_000_000]) == [[1, -1]]


def test_a_stranger_with_many_addresses_does_not_fill_the_memory() -> None:
    now = 0.0
    window = OwnWindow(lambda: now, most_callers=100)
    budget = Budget(10, 60)
    for number in range(1000):
        assert window.take(f"ip:{number}", budget, 1) == Taken(1, None)
        assert len(window) <= 100
    assert window.take("ip:999", budget, 1) == Taken(2, None)
    assert window.take("ip:0", budget, 1) == Taken(1, None)  # forgotten: others took after it


def test_callers_that_have_nothing_in_use_are_dropped_by_and_by() -> None:
    now = 0.0
    window = OwnWindow(lambda: now)
    for number in range(1000):
        window.take(f"ip:{number}", Budget(10, 60), 1)
    now = 60.0
    for number in range(1000):
        window.take("key:1", Budget(10, 60), 0)
        window.take(f"key:{number % 5}", Budget(1000, 60), 1)
    assert len(window) == 5


@pytest.mark.anyio
async def test_a_cost_is_taken_as_a_whole_or_not_at_all() -> None:
    limits = Limiter("10/minute")
    for cost, left, passes in ((4, 6, True), (7, 6, False), (11, 6, False), (6, 0, True), (1, 0, False)):
        verdict = await limits.take("key:1", cost)
        assert verdict is not None
        assert (verdict.remaining, verdict.retry_after is None) == (left, passes)
    seen = await limits.peek("key:1")
    assert seen is not None
    assert (seen.limit, seen.remaining, seen.retry_after) == (10, 0, None)


@pytest.mark.anyio
async def test_what_costs_more_than_the_budget_is_told_to_wait_a_second_at_least() -> None:
    verdict = await Limiter("10/minute").take("key:1", 11)
    assert verdict is not None
    assert (verdict.remaining, verdict.retry_after) == (10, 1)
