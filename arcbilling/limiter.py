"""Rate limits: a moving window for each caller."""

import math
import time
from dataclasses import dataclass

import limits
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter


@dataclass(frozen=True)
class Verdict:
    """Whether a request is within its caller's limit, and what the headers say of it."""

    limit: int
    remaining: int
    retry_after: int | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-ratelimit-limit", str(self.limit).encode()),
            (b"x-ratelimit-remaining", str(self.remaining).encode()),
        ]


class Limiter:
    """One budget for each caller, such as `60/minute`; `off` lets everything pass."""

    def __init__(self, rate: str) -> None:
        self._item = None if rate == "off" else limits.parse(rate)
        self._window = MovingWindowRateLimiter(MemoryStorage())

    async def take(self, caller: str, cost: int = 1) -> Verdict | None:
        """Takes from the caller's budget; None when there are no limits."""
        if self._item is None:
            return None
        allowed = cost <= self._item.amount and await self._window.hit(self._item, caller, cost=cost)
        return await self._verdict(caller, allowed)

    async def peek(self, caller: str) -> Verdict | None:
        """What is left, without taking any."""
        return None if self._item is None else await self._verdict(caller, True)

    async def _verdict(self, caller: str, allowed: bool) -> Verdict:
        assert self._item is not None
        stats = await self._window.get_window_stats(self._item, caller)
        wait = None if allowed else max(1, math.ceil(stats.reset_time - time.time()))
        return Verdict(self._item.amount, max(0, stats.remaining), wait)
