"""Billing cycles and the due dates that follow from them, always counted from the anchor date."""

from calendar import monthrange
from datetime import MAXYEAR, MINYEAR, date
from typing import Final

from models.enums import BillingCycle

__all__ = ["BillingCycle", "due", "months"]

_MONTHS: Final[dict[BillingCycle, int | None]] = {
    BillingCycle.MONTHLY: 1,
    BillingCycle.QUARTERLY: 3,
    BillingCycle.SEMIANNUALLY: 6,
    BillingCycle.ANNUALLY: 12,
    BillingCycle.BIENNIALLY: 24,
    BillingCycle.TRIENNIALLY: 36,
    BillingCycle.ONE_TIME: None,
    BillingCycle.FREE: None,
}


def months(cycle: BillingCycle) -> int | None:
    """The length of the cycle in months; none for one-time and free."""
    return _MONTHS[cycle]


def due(anchor: date, cycle: BillingCycle, n: int) -> date | None:
    """The n-th due date: n cycles after the anchor, on the anchor's day or the last day of a shorter month.

    It is none for one-time and free. A year that the calendar cannot hold raises a ValueError.
    """
    length = months(cycle)
    if length is None:
        return None
    years, month_index = divmod(anchor.month - 1 + n * length, 12)
    year, month = anchor.year + years, month_index + 1
    if not MINYEAR <= year <= MAXYEAR:
        raise ValueError(f"Due date {n} of a service billed {cycle} from {anchor} is outside the years 1 to 9999.")
    return date(year, month, min(anchor.day, monthrange(year, month)[1]))
