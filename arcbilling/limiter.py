"""Rate limits: a moving window for each caller.

A unit that was taken counts until its period is over, so that no period of that length ever has more than its budget.
With Redis all processes count in one window, by Redis's clock. Without it, and while it is away, each process counts in
a window of its own.
"""

import asyncio
import math
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import limits

if TYPE_CHECKING:
    from arcbilling.redis_link import RedisLink

MOST_CALLERS = 100_000
"""How many callers a process counts in its own window: beyond, it forgets those that have taken nothing for longest."""


class Verdict(NamedTuple):
    """Whether a request is within its caller's limit, and what the headers say of it."""

    limit: int
    remaining: int
    retry_after: int | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"x-ratelimit-limit", b"%d" % self.limit), (b"x-ratelimit-remaining", b"%d" % self.remaining)]


class Budget(NamedTuple):
    """How many units a caller has in any so many seconds."""

    amount: int
    seconds: int


class Taken(NamedTuple):
    """What came of taking: how much is in use, and in how many seconds as much can be had, if it was refused."""

    used: int
    wait: float | None


class Limiter:
    """One budget for each caller, such as `60/minute`; `off` lets everything pass."""

    def __init__(self, rate: str, shared: "SharedWindow | None" = None) -> None:
        item = None if rate == "off" else limits.parse(rate)
        self._budget = None if item is None else Budget(item.amount, item.get_expiry())
        self._shared = shared
        self._own = OwnWindow()

    async def take(self, caller: str, cost: int = 1) -> Verdict | None:
        """Takes from the caller's budget, all or nothing; None when there are no limits."""
        if self._budget is None:
            return None
        taken = None if self._shared is None else await self._shared.take(caller, self._budget, cost)
        if taken is None:
            taken = self._own.take(caller, self._budget, cost)
        wait = None if taken.wait is None else max(1, math.ceil(taken.wait))
        return Verdict(self._budget.amount, self._budget.amount - taken.used, wait)

    async def peek(self, caller: str) -> Verdict | None:
        """What is left, without taking any."""
        return await self.take(caller, 0)


class OwnWindow:
    """Counts in this process. All that take from it have the same budget."""

    def __init__(self, now: Callable[[], float] = time.monotonic, most_callers: int = MOST_CALLERS) -> None:
        self._now = now
        self._most_callers = most_callers
        self._times: OrderedDict[str, array[float]] = OrderedDict()
        """When each caller took its units, oldest first; the callers in the order in which they last did."""

    def __len__(self) -> int:
        return len(self._times)

    def take(self, caller: str, budget: Budget, cost: int) -> Taken:
        now = self._now()
        over = now - budget.seconds
        times = self._times.get(caller) or array("d")
        past = bisect_right(times, over)
        used = len(times) - past
        if used + cost > budget.amount:
            # What costs more than the whole budget never passes; it is told when the budget is whole again.
            freed = past + used + min(cost, budget.amount) - budget.amount - 1
            return Taken(used, times[freed] - over if used else 0.0)
        if cost:
            del times[:past]
            times.extend([now] * cost)
            self._times[caller] = times
            self._times.move_to_end(caller)
            self._forget(over)
        return Taken(used + cost, None)

    def _forget(self, over: float) -> None:
        """Drops up to two callers that have nothing in use: more than come by one at a time."""
        for _ in range(2):
            oldest = next(iter(self._times))
            if self._times[oldest][-1] <= over or len(self._times) > self._most_callers:
                del self._times[oldest]


class SharedWindow:
    """Counts in Redis, for all processes. What is asked while an answer is awaited goes together in the next trip."""

    def __init__(self, link: "RedisLink") -> None:
        self._link = link
        self._script = link.client.register_script(_TAKE)
        link.trial = self._try
        self._asked: list[tuple[str, Budget, int, asyncio.Future[Taken | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def take(self, caller: str, budget: Budget, cost: int) -> Taken | None:
        """Takes as the process's own window does; None while Redis is away."""
        answer: asyncio.Future[Taken | None] = asyncio.get_running_loop().create_future()
        self._asked.append((caller, budget, cost, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="limits", context=Context())
        return await answer

    async def _try(self) -> None:
        """Takes as everyone does: a Redis that only reads, is full or does not let us is of no use."""
        await self._script([self._link.name("trial")], [1_000_000, 1, 1])

    async def _ask(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            taken: list[Taken | None] = [None] * len(asked)
            try:
                keys = [self._link.name("limit", f"{budget.amount}/{budget.seconds}", who) for who, budget, *_ in asked]
                numbers = [number for _, budget, cost, _ in asked for number in (*budget, cost)]
                found: Any = await self._link.ask(partial(self._script, keys, numbers))
                if found is not None:
                    taken = [Taken(used, None if wait < 0 else wait / 1_000_000) for used, wait in found]
            finally:
                for (*_, answer), one in zip(asked, taken, strict=True):
                    if not answer.done():
                        answer.set_result(one)


_TAKE = """
local function oldest(key)
    local found = redis.pcall('LINDEX', key, 0)
    if type(found) == 'table' then -- no list: somebody else has put something there
        redis.call('DEL', key)
        return nil
    end
    return tonumber(found)
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}
for place, key in ipairs(KEYS) do
    local amount = tonumber(ARGV[place * 3 - 2])
    local period = tonumber(ARGV[place * 3 - 1]) * 1000000
    local cost = tonumber(ARGV[place * 3])
    local first = oldest(key)
    while first and (first <= now - period or first > now) do -- over, or of a clock that was put back since
        redis.call('LPOP', key)
        first = oldest(key)
    end
    local used = redis.call('LLEN', key)
    if used + cost <= amount then
        for _ = 1, cost do
            redis.call('RPUSH', key, now)
        end
        if cost > 0 then
            redis.call('PEXPIRE', key, period / 1000)
        end
        answers[place] = {used + cost, -1}
    elseif used == 0 then
        answers[place] = {0, 0}
    else
        local freed = used + math.min(cost, amount) - amount - 1
        answers[place] = {used, redis.call('LINDEX', key, freed) + period - now}
    end
end
return answers
"""
"""Takes for each key, all or nothing. Its numbers are, for each, amount, seconds and cost; its answers, for each, how
much is in use, and in how many microseconds as much can be had, or -1 where it was had."""
