"""Background loops: work that is done when something wakes it, and at least every so many seconds.

The lifespan of the application owns them. A step that fails is logged and tried again, later each time; a loop that is
told to stop finishes the step that it is at.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from resolvers.database import DatabaseUnavailable

log = structlog.get_logger("arcbilling.loops")

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 15.0
SECONDS_UNTIL_STUCK = 60.0
"""A loop that has work more often than this, and has done none for so long, does none at all."""


class Loop:
    """One loop. `work` does a step and tells whether there may be more to do at once.

    Woken while it has a `rest`, it first has the rest: then one step does what has come meanwhile.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[bool]], *, every: float, rest: float = 0.0) -> None:
        self.name = name
        self.last_ok: float | None = None
        """When a step last succeeded, on the monotonic clock; None before the first."""
        self.on_step: Callable[[str, bool], None] = lambda _, __: None
        """Called after each step with the loop's name and whether it succeeded."""
        self._work = work
        self._every = every
        self._rest = rest
        self._woken = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._began = time.monotonic()

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()

    def is_stuck(self) -> bool:
        idle = time.monotonic() - (self.last_ok or self._began)
        return self._every < SECONDS_UNTIL_STUCK < idle

    def _failed(self) -> float:
        """Counts a step that failed; tells how long to wait before the next."""
        wait = min(FIRST_RETRY_SECONDS * 2.0**self._failures, LAST_RETRY_SECONDS, max(self._every, FIRST_RETRY_SECONDS))
        self._failures = min(self._failures + 1, 10)
        self.on_step(self.name, False)
        return wait

    async def run(self) -> None:
        structlog.contextvars.bind_contextvars(loop=self.name)  # every line of its steps carries it
        while True:
            self._woken.clear()
            wait = self._every
            try:
                more = True
                while more:
                    more = await self._work()
                    self.last_ok = time.monotonic()
                    self._failures = 0
                    self.on_step(self.name, True)
            except DatabaseUnavailable as error:
                wait = self._failed()
                log.warning("a loop waits for the database", seconds=wait, error=str(error))
            except Exception as error:
                wait = self._failed()
                log.error("a loop failed; it is tried again", seconds=wait, exc_info=error)
            if self._stopping:
                return  # what was there before it was told to is done
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            if self.last_ok is not None and (left := self.last_ok + self._rest - time.monotonic()) > 0:
                await asyncio.sleep(left)


@asynccontextmanager
async def running(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Runs loops as long as the block; at its end each finishes its step."""
    tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in loops]
    try:
        yield
    finally:
        for loop in loops:
            loop.stop()
        await asyncio.gather(*tasks)
