"""The sequencer's loop: numbers committed events, as soon as it is woken and at least once a second.

Once an hour it removes stored answers that have expired, too.
"""

import asyncio
import time
from contextlib import suppress

import structlog

from resolvers import idempotency, outbox
from resolvers.database import Database

log = structlog.get_logger("arcbilling.sequencer")

POLL_SECONDS = 1.0
RETRY_SECONDS = 1.0
SECONDS_BETWEEN_PURGES = 3600.0


class Sequencer:
    """Owned by the lifespan of the application. It ends when it is told to, never in the middle of a batch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._woken = asyncio.Event()
        self._stopping = False
        self._purge_at = 0.0

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        while True:
            self._woken.clear()
            try:
                while await outbox.sequence_committed(self._database):
                    pass
                await self.tidy()
            except Exception as error:
                log.error("sequencer failed; trying again", exc_info=error)
                await asyncio.sleep(RETRY_SECONDS)
            if self._stopping:
                return  # what was committed before it was told to is numbered
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()

    async def tidy(self) -> None:
        """Removes expired answers, a batch each time until none is left; then rests for an hour."""
        if not self._stopping and time.monotonic() >= self._purge_at and not await idempotency.purge(self._database):
            self._purge_at = time.monotonic() + SECONDS_BETWEEN_PURGES
