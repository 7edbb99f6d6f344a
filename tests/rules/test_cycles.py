"""Due dates are always counted from the anchor."""

from calendar import monthrange
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.cycles import BillingCycle, due, months

RECURRING = [cycle for cycle in BillingCycle if months(cycle)]
anchors = st.dates(date(1990, 1, 1), date(2100, 12, 31))
cycles = st.sampled_from(RECURRING)
counts = st.integers(0, 200)


def dues(anchor: str, cycle: BillingCycle, count: int) -> list[str]:
    return [str(due(date.fromisoformat(anchor), cycle, n)) for n in range(1, count + 1)]


def test_cycles_have_their_lengths_in_months() -> None:
    lengths = {str(cycle): months(cycle) for cycle in BillingCycle}
    assert lengths == {
        "monthly": 1,
        "quarterly": 3,
        "semiannually": 6,
        "annually": 12,
        "biennially": 24,
        "triennially": 36,
        "one_time": None,
        "free": None,
    }
    assert all(cycle.name == cycle.value.upper() for cycle in BillingCycle)


@pytest.mark.parametrize(
    ("anchor", "cycle", "expected"),
    [
        ("2026-01-31", "monthly", "2026-02-28 2026-03-31 2026-04-30 2026-05-31 2026-06-30 2026-07-31"),
        ("2024-01-30", "monthly", "2024-02-29 2024-03-30 2024-04-30"),
        ("2025-11-30", "quarterly", "2026-02-28 2026-05-30 2026-08-30 2026-11-30"),
        ("2025-08-31", "semiannually", "2026-02-28 2026-08-31 2027-02-28"),
        ("2024-02-29", "annually", "2025-02-28 2026-02-28 2027-02-28 2028-02-29"),
        ("2024-02-29", "biennially", "2026-02-28 2028-02-29"),
        ("2024-02-29", "triennially", "2027-02-28 2030-02-28 2033-02-28 2036-02-29"),
        ("2025-12-01", "monthly", "2026-01-01"),
    ],
)
def test_due_dates_agree_with_the_vectors(anchor: str, cycle: str, expected: str) -> None:
    assert dues(anchor, BillingCycle(cycle), len(expected.split())) == expected.split()


@pytest.mark.parametrize("cycle", [BillingCycle.ONE_TIME, BillingCycle.FREE])
@given(anchors, counts)
def test_one_time_and_free_have_no_due_date(cycle: BillingCycle, anchor: date, n: int) -> None:
    assert due(anchor, cycle, n) is None


@pytest.mark.parametrize("cycle", RECURRING)
def test_a_due_date_after_the_year_9999_is_refused(cycle: BillingCycle) -> None:
    with pytest.raises(ValueError, match=f"billed {cycle} from 9999-12-31 is outside the years 1 to 9999"):
        due(date(9999, 12, 31), cycle, 1)


def test_the_last_month_of_the_calendar_is_reached() -> None:
    assert due(date(9999, 11, 30), BillingCycle.MONTHLY, 1) == date(9999, 12, 30)


@given(anchors, cycles)
def test_the_anchor_is_the_due_date_before_the_first(anchor: date, cycle: BillingCycle) -> None:
    assert due(anchor, cycle, 0) == anchor


@given(anchors, cycles)
def test_due_dates_only_go_forward(anchor: date, cycle: BillingCycle) -> None:
    dates = [at(anchor, cycle, n) for n in range(60)]
    assert all(earlier < later for earlier, later in pairwise(dates))


@given(anchors, cycles, counts)
def test_a_due_date_never_drifts_from_the_day_of_the_anchor(anchor: date, cycle: BillingCycle, n: int) -> None:
    day = at(anchor, cycle, n)
    assert day.day == min(anchor.day, monthrange(day.year, day.month)[1])


@given(anchors, cycles, counts)
def test_each_cycle_is_exactly_its_months_long(anchor: date, cycle: BillingCycle, n: int) -> None:
    day = at(anchor, cycle, n)
    assert (day.year - anchor.year) * 12 + day.month - anchor.month == n * (months(cycle) or 0)


@given(anchors, counts)
def test_longer_cycles_fall_on_the_days_of_the_monthly_one(anchor: date, n: int) -> None:
    for cycle in RECURRING:
        assert due(anchor, cycle, n) == due(anchor, BillingCycle.MONTHLY, n * (months(cycle) or 0))


def at(anchor: date, cycle: BillingCycle, n: int) -> date:
    day = due(anchor, cycle, n)
    assert day
    return day
