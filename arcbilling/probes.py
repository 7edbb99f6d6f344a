"""What machines ask about a process: whether to send it requests, and its figures. Nobody needs a key for that."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from arcbilling.draining import Drain
from arcbilling.loops import Loop
from resolvers import figures
from resolvers.database import Database
from resolvers.figures import Figures

T = TypeVar("T")
log = structlog.get_logger("arcbilling.probes")

SECONDS_FOR_THE_DATABASE = 2.0


class Probes:
    """The checks of one process."""

    def __init__(self, database: Database, loops: Sequence[Loop], drain: Drain) -> None:
        self._loops = loops
        self._drain = drain
        self._ping = _Question(database.ping)
        self._look = _Question(lambda: figures.look(database))

    async def failed_checks(self) -> dict[str, str]:
        """Why no requests should be sent here: a sentence for each check that failed."""
        if self._drain.announced:
            return {"draining": "The process is about to end."}
        failed = {}
        try:
            await self._ping.answer()
        except Exception as error:
            log.warning("the database does not answer", error=str(error) or type(error).__name__)
            failed["database"] = "The database does not answer."
        if stuck := [loop.name for loop in self._loops if loop.is_stuck()]:
            failed["loops"] = f"No step has succeeded for too long: {', '.join(stuck)}."
        return failed

    async def figures(self) -> Figures | None:
        """What the database knows of itself; None when it does not answer."""
        try:
            return await self._look.answer()
        except Exception as error:
            log.warning("the database has no figures", error=str(error) or type(error).__name__)
            return None


class _Question(Generic[T]):
    """A question to the database, asked once at a time, however many want the answer.

    Who has waited for long enough goes away without it. The question itself is not cancelled: a driver whose server is
    silent takes seconds over that too.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking: asyncio.Future[T] | None = None

    async def answer(self) -> T:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(_retrieve)
        await asyncio.wait([self._asking], timeout=SECONDS_FOR_THE_DATABASE)
        if not self._asking.done():
            raise TimeoutError
        return self._asking.result()


def _retrieve(asked: "asyncio.Future[T]") -> None:
    """There may be nobody left who waits for it."""
    if not asked.cancelled():
        asked.exception()
