"""The rate limit of both yardsticks: a moving window for each key, in the process."""

import time
from collections import deque


class MovingWindow:
    """So many requests in any so many seconds, such as `100000/second`."""

    def __init__(self, rate: str) -> None:
        amount, _, period = rate.partition("/")
        self.amount = int(amount)
        self._seconds = {"second": 1.0, "minute": 60.0}[period]
        self._taken: dict[str, deque[float]] = {}

    def take(self, caller: str) -> int:
        """What is left of the caller's budget, or less than zero when it was used up."""
        now = time.monotonic()
        taken = self._taken.get(caller)
        if taken is None:
            taken = self._taken[caller] = deque()
        over = now - self._seconds
        while taken and taken[0] <= over:
            taken.popleft()
        left = self.amount - len(taken) - 1
        if left >= 0:
            taken.append(now)
        return left
