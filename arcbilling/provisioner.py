"""The provisioner: makes the module calls that are due, several at once, each outside any transaction.

A call is taken up in one transaction and its answer written down in another. In between, only the lease stands for the
process: if it is killed, the lease runs out, and the call is made again with the same idempotency key.
"""

import asyncio
import json
import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import structlog

from arcbilling import clock
from arcbilling.engine import Engine
from provisioning.protocol import Account, Call, Module, ModuleError
from resolvers import module_calls
from resolvers.tables import Session
from schema import attempts
from schema.actors import SYSTEM
from schema.attempts import Answer, Attempt
from schema.module_calls import FIRST_WAIT

log = structlog.get_logger("arcbilling.provisioner")

AT_ONCE = 16
AT_ONCE_PER_SERVER = 4
"""So that a server that hangs does not hold up the calls for all others. Those without a server count as of one."""
LEASE_MARGIN_SECONDS = 5.0
"""How much longer than the call its lease is, so that the answer can be written down."""
SECONDS_TO_FINISH = 10.0
SECONDS_TO_CANCEL = 1.0
LONGEST_USERNAME = 255
SHORTEST_SECRET = 4
"""A shorter part of what a module logs in with is left in its messages: it stands in too many words."""


class Provisioner:
    """Takes up what is due, and makes it, as long as it is not closed."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        self._engine = engine
        self._timeout = settings.provisioning_timeout
        self._scale = settings.time_scale
        self.on_room: Callable[[], None] = lambda: None
        """Called when a call has ended, so that there is room for another."""
        self._under_way: dict[asyncio.Task[None], Attempt] = {}
        self._at_modules: dict[asyncio.Task[Answer], Attempt] = {}
        """What modules are at: with the calls that are under way, those that were given up and go on all the same."""
        self._closed = False
        self._stepping = asyncio.Lock()

    @property
    def seconds_between_looks(self) -> float:
        """How often to look for calls whose time has come."""
        return max(0.05, min(1.0, FIRST_WAIT.total_seconds() / self._scale))

    async def step(self) -> bool:
        """Takes up calls that are due, as many as there is room for; tells whether there may be more."""
        async with self._stepping:
            return await self._take_up()

    async def aclose(self) -> None:
        """Finishes the calls that are under way, within a time; the others are left to their leases."""
        self._closed = True
        async with self._stepping:
            pass  # a step that was under way has taken up its last call
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=SECONDS_TO_FINISH)
            for task in late:
                log.warning("a module call is left to be made again", call=task.get_name())
                task.cancel()
        left: list[asyncio.Task[Any]] = [*self._under_way, *self._at_modules]
        if left:
            _, stuck = await asyncio.wait(left, timeout=SECONDS_TO_CANCEL)
            for task in stuck:
                log.warning("a call does not end though it was cancelled", call=task.get_name())

    async def _take_up(self) -> bool:
        room = AT_ONCE - len(self._under_way)
        if room <= 0:
            return False
        database = self._engine.database
        here = {(one.call_id, one.server_id): one.service_id for one in self._here()}
        calls_of = Counter(server for _, server in here)
        busy = [server for server, number in calls_of.items() if number >= AT_ONCE_PER_SERVER]
        due = await module_calls.due(Session(database, database.reader), clock.now(), room, busy, set(here.values()))
        lease = timedelta(seconds=self._timeout + LEASE_MARGIN_SECONDS)
        begun = False
        for call in due:
            if self._closed:
                break
            if calls_of[call.server_id] >= AT_ONCE_PER_SERVER:
                continue
            context = self._engine.context(SYSTEM, f"mcl_{call.id}")
            attempt = await attempts.begin(context, call.service_id, lease)
            if attempt is not None:
                begun = True
                task = asyncio.create_task(self._make(attempt), name=context.request_id)
                self._under_way[task] = attempt
                calls_of[attempt.server_id] += 1
                task.add_done_callback(self._finished)
        return begun

    def _here(self) -> Iterator[Attempt]:
        """What this process is at. None of it is taken up again here, though its lease has run out."""
        yield from self._under_way.values()
        yield from self._at_modules.values()

    def _finished(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an answer is lost; the call will be made again", call=task.get_name(), **place_of(error))
        self.on_room()

    async def _make(self, attempt: Attempt) -> None:
        call = attempt.call
        answer = await self._answer(attempt, call) if isinstance(call, Call) else call
        context = self._engine.context(SYSTEM, f"mcl_{attempt.call_id}")
        await attempts.end(context, attempt, answer, self._scale)

    async def _answer(self, attempt: Attempt, call: Call) -> Answer:
        """What the module answers in time. The rest is not waited for: a module may not end when it is cancelled."""
        module = self._engine.modules.get(attempt.module)
        assert module is not None, "else there is nothing that it could be told"
        task = asyncio.create_task(_told(module, attempt, call), name=f"mcl_{attempt.call_id} at its module")
        self._at_modules[task] = attempt
        task.add_done_callback(self._left)
        try:
            await asyncio.wait((task,), timeout=self._timeout)
            if task.done():
                return task.result()
        finally:
            task.cancel()
        return ModuleError(f"The module did not answer within {self._timeout:g} seconds.")

    def _left(self, task: "asyncio.Task[Answer]") -> None:
        del self._at_modules[task]
        self.on_room()


async def _told(module: Module, attempt: Attempt, call: Call) -> Answer:
    """What the module answers; what it raises is an answer too, even what would end the process."""
    try:
        try:
            return checked(await getattr(module, attempt.action.value)(call))
        except ModuleError as error:
            return ModuleError(without_secrets(message_of(error), call), retry=bool(getattr(error, "retry", True)))
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, GeneratorExit):
            raise
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from None  # whatever it made of that: nobody waits for it any more
        kind = type(error).__name__
        log.error("a module failed", module=attempt.module, call=call.key, **place_of(error))
        return ModuleError(f"The module failed with {kind}; the log says where.")


def place_of(error: BaseException) -> dict[str, str]:
    """Where it failed, without its text, which may hold what the module logs in with."""
    return {"error": type(error).__name__, "at": "".join(traceback.format_tb(error.__traceback__))}


def message_of(error: ModuleError) -> str:
    """What a module said, though it may have made its error in its own way."""
    message = getattr(error, "message", None)
    return message if isinstance(message, str) else str(error)


def checked(answer: object) -> Account | None:
    """The answer of a module, if it can be used."""
    if answer is None or (isinstance(answer, Account) and answer.username is None):
        return None
    if isinstance(answer, Account) and isinstance(answer.username, str):
        name = answer.username
        if name.strip() == name and 0 < len(name) <= LONGEST_USERNAME and name.isprintable():
            return answer
    raise ModuleError("The module did its work, and answered with an account that cannot be used.", retry=False)


def without_secrets(message: str, call: Call) -> str:
    """The message of a module without what it logs in with, nor its parts, nor what no database keeps."""
    credentials = call.server.credentials if call.server is not None else None
    message = message.encode(errors="ignore").decode().replace("\0", "")
    for secret in sorted(secrets_of(credentials or ""), key=len, reverse=True):
        message = message.replace(secret, "[secret]")
    return message


def secrets_of(credentials: str) -> set[str]:
    """The credentials and their parts: the values of a JSON text, or what stands between blanks and punctuation."""
    try:
        parts = _leaves(json.loads(credentials))
    except (ValueError, RecursionError):
        parts = re.split(r"[\s:;,=|]+", credentials)
    return {part for part in parts if len(part) >= SHORTEST_SECRET} | ({credentials} - {""})


def _leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for one in value for leaf in _leaves(one)]
    return [str(value)]
