"""The provisioner: makes the module calls that are due, several at once, each outside any transaction.

A call is taken up in one transaction and its answer written down in another. In between, only the lease stands for the
process: if it is killed, the lease runs out, and the call is made again with the same idempotency key.
"""

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import structlog

from arcbilling import clock
from arcbilling.engine import Engine
from provisioning.protocol import Account, Call, ModuleError
from resolvers import module_calls
from resolvers.tables import Session
from schema import attempts
from schema.actors import SYSTEM
from schema.attempts import Answer, Attempt
from schema.module_calls import FIRST_WAIT

log = structlog.get_logger("arcbilling.provisioner")

AT_ONCE = 16
AT_ONCE_PER_SERVER = 4
"""So that a server that hangs does not hold up the calls for all others."""
LEASE_MARGIN_SECONDS = 5.0
"""How much longer than the call its lease is, so that the answer can be written down."""
SECONDS_TO_FINISH = 10.0
LONGEST_USERNAME = 255


class Provisioner:
    """Takes up what is due, and makes it, as long as it is not closed."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        self._engine = engine
        self._timeout = settings.provisioning_timeout
        self._scale = settings.time_scale
        self.on_room: Callable[[], None] = lambda: None
        """Called when a call has ended, so that there is room for another."""
        self._under_way: dict[asyncio.Task[None], int | None] = {}
        """The server of each call that is being made."""
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
            await asyncio.gather(*late, return_exceptions=True)

    async def _take_up(self) -> bool:
        room = AT_ONCE - len(self._under_way)
        if room <= 0:
            return False
        database = self._engine.database
        calls_of = Counter(server for server in self._under_way.values() if server is not None)
        busy = [server for server, number in calls_of.items() if number >= AT_ONCE_PER_SERVER]
        due = await module_calls.due(Session(database, database.reader), clock.now(), room, busy)
        lease = timedelta(seconds=self._timeout + LEASE_MARGIN_SECONDS)
        begun = False
        for call in due:
            if self._closed:
                break
            if call.server_id is not None and calls_of[call.server_id] >= AT_ONCE_PER_SERVER:
                continue
            context = self._engine.context(SYSTEM, f"mcl_{call.id}")
            attempt = await attempts.begin(context, call.service_id, lease)
            if attempt is not None:
                begun = True
                task = asyncio.create_task(self._make(attempt), name=context.request_id)
                self._under_way[task] = attempt.server_id
                if attempt.server_id is not None:
                    calls_of[attempt.server_id] += 1
                task.add_done_callback(self._finished)
        return begun

    def _finished(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an answer is lost; the call will be made again", call=task.get_name(), exc_info=error)
        self.on_room()

    async def _make(self, attempt: Attempt) -> None:
        call = attempt.call
        answer = await self._answer(attempt, call) if isinstance(call, Call) else call
        context = self._engine.context(SYSTEM, f"mcl_{attempt.call_id}")
        await attempts.end(context, attempt, answer, self._scale)

    async def _answer(self, attempt: Attempt, call: Call) -> Answer:
        """What the module answers; what it raises is an answer too."""
        module = self._engine.modules.get(attempt.module)
        if module is None:
            return ModuleError(f"The module {attempt.module} is not installed.")
        try:
            async with asyncio.timeout(self._timeout):
                return checked(await getattr(module, attempt.action.value)(call))
        except ModuleError as error:
            return ModuleError(without_secrets(error.message, call), retry=error.retry)
        except TimeoutError:
            return ModuleError(f"The module did not answer within {self._timeout:g} seconds.")
        except Exception as error:
            # Where it failed, without its text, which may hold what the module logs in with.
            at = "".join(traceback.format_tb(error.__traceback__))
            log.error("a module failed", module=attempt.module, call=call.key, error=type(error).__name__, at=at)
            return ModuleError(f"The module failed with {type(error).__name__}; the log says where.")


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
    """The message of a module without what it logs in with."""
    credentials = call.server.credentials if call.server is not None else None
    if credentials:
        message = message.replace(credentials, "[secret]")
    return message.replace("\0", "")
