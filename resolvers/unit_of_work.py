"""The unit of work: one transaction for the stored answer, the changed rows, the audit trail and the events.

It runs in a task of its own, which no caller can cancel: a client that hangs up, a time-out or a shutdown can end the
waiting, never leave a transaction open. Inside, nothing but the database is waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import NoneType
from typing import Generic, Protocol, TypeVar

import structlog

from resolvers import audit, idempotency
from resolvers.database import Conflict, ConnectionLost, Database, UniqueViolation
from resolvers.idempotency import Answer, AnswerErased, IdempotencyRequest, KeyInUse, KeyReused, Replay
from resolvers.tables import WriteSession

T = TypeVar("T")
log = structlog.get_logger("arcbilling.unit_of_work")

TIME_LIMIT_SECONDS = 10
_running: set[asyncio.Task[object]] = set()


class Actor(Protocol):
    """Whoever is calling, as the records name them."""

    @property
    def name(self) -> str: ...

    @property
    def client_id(self) -> int | None: ...


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What the work came to: its value, whether it stands, and the answer to store for its Idempotency-Key."""

    value: T
    keep: bool
    answer: Answer | None = None


class Unit:
    """A unit of work that has not begun until something asks for its session."""

    def __init__(self, database: Database, actor: Actor, request_id: str, asked: IdempotencyRequest | None) -> None:
        self.database = database
        self.actor = actor
        self.request_id = request_id
        self.asked = asked
        self.session: WriteSession | None = None
        self.action = ""
        self.client_id: int | None = None
        """The client that the work concerns, for the records."""
        self.names_nobody = False
        """Whether the answer tells nothing of that client but its id, and so is given again when it is erased."""
        self.stopped: Replay | KeyReused | KeyInUse | AnswerErased | None = None
        """Why the work was not done: its Idempotency-Key was used before."""
        self.committing = False
        """Once it is, a connection that breaks leaves open whether the work was done."""
        self.deadline = asyncio.timeout(None)
        self._after_commit: list[Callable[[], None]] = []

    async def begin(self, action: str) -> WriteSession:
        """Opens the transaction and claims the Idempotency-Key; raises Replay when the key was used before."""
        assert self.session is None, "a unit of work begins once"
        self.action = action
        self.session = WriteSession(self.database, await self.database.begin(), self.actor.client_id)
        self.progress()
        if self.asked is not None:
            try:
                await idempotency.claim(self.session, self.asked)
            except (Replay, KeyReused, KeyInUse, AnswerErased) as stopped:
                self.stopped = stopped
                raise
        return self.session

    def progress(self) -> None:
        """Begins the time limit anew, for work that has no bound and is done part by part: it is no hang."""
        self.deadline.reschedule(asyncio.get_running_loop().time() + TIME_LIMIT_SECONDS)

    def after_commit(self, call: Callable[[], None]) -> None:
        self._after_commit.append(call)

    async def commit(self, answer: Answer | None) -> None:
        if self.session is None:
            return
        await audit.record(self.session, self.actor.name, self.request_id, self.action)
        if self.asked is not None and answer is not None:
            told = next(iter(self.session.clients), None) if self.client_id is None else self.client_id
            await idempotency.store(self.session, self.asked, answer, None if self.names_nobody else told)
        self.committing = True
        await self.session.transaction.commit()
        for call in self._after_commit:
            call()

    async def rollback(self) -> None:
        if self.session is not None:
            await self.session.transaction.rollback()


UNDONE = (Conflict, ConnectionLost, UniqueViolation)
"""What undoes a unit through no fault of its own.

Another may have added the same unique value at the same moment; done again, the work sees it and says what it means.
"""
TRIES = 3


async def run(new: Callable[[], Unit], work: Callable[[Unit], Awaitable[Outcome[T]]]) -> T:
    """Does the work within a new unit: commits if it stands, else rolls back; cancelling the caller does neither.

    What was undone is done again in another unit, unless its commit had begun: then it may stand.
    """
    for last in [*[False] * (TRIES - 1), True]:
        unit = new()
        task = asyncio.create_task(_run(unit, work), name="unit-of-work")
        _running.add(task)
        task.add_done_callback(_finished)
        try:
            return await asyncio.shield(task)
        except UNDONE as error:
            if last or unit.committing:
                raise
            log.info("a unit of work is done again", error=str(error), action=unit.action, request_id=unit.request_id)
    raise AssertionError("the last try returns or raises")


async def _run(unit: Unit, work: Callable[[Unit], Awaitable[Outcome[T]]]) -> T:
    try:
        async with unit.deadline:
            outcome = await work(unit)
        if outcome.keep:
            await unit.commit(outcome.answer)
        else:
            await unit.rollback()
        return outcome.value
    except BaseException:
        await unit.rollback()
        raise


_EXPECTED = (Replay, KeyReused, KeyInUse, AnswerErased, NoneType)


def _finished(task: "asyncio.Task[object]") -> None:
    _running.discard(task)
    # Retrieved here too, since the caller may have gone away.
    if not task.cancelled() and not isinstance(error := task.exception(), _EXPECTED):
        log.debug("unit of work failed", error=type(error).__name__)


async def finish_all(seconds: float) -> None:
    """Waits for the units that are under way, at shutdown."""
    if _running:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*_running, return_exceptions=True)
