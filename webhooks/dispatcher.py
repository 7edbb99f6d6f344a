"""The dispatcher: sends what is due to the endpoints that want it, several at once, each outside any transaction.

In between two of its turns only the leases stand for the process: if it is killed, they run out, and what it was at is
sent again with the same id.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from arcbilling import clock
from arcbilling.sealing import SealError, Vault
from arcbilling.settings import Settings
from models.enums import DeliveryStatus
from models.webhooks import WebhookRow
from resolvers import webhooks
from resolvers.database import Database, DatabaseUnavailable
from resolvers.filters import one_of
from resolvers.tables import Session
from schema.circuits import BUSY_WAIT, SCHEDULE, Outcome
from schema.context import Context
from schema.outages import disable
from schema.webhooks import SEALED
from webhooks.room import Room
from webhooks.sender import Endpoint, Message, Sender
from webhooks.turns import Attempt, Ended, Turn, take_over, take_turn

log = structlog.get_logger("arcbilling.webhooks")

SECONDS_TO_FINISH = 10.0
SECONDS_TO_CANCEL = 1.0
INTERNAL_ERROR = "It could not be sent for an internal error, which the server's log tells of."
GONE_EVENT = "The event is not kept any more."


class Dispatcher:
    """Takes up what is due, and sends it, as long as it is not closed."""

    def __init__(self, database: Database, vault: Vault, settings: Settings, context: Callable[[str], Context]) -> None:
        self._database = database
        self._vault = vault
        self._scale = settings.time_scale
        self._context = context
        self._sender = Sender(settings.webhook_allow_nets)
        self.on_room: Callable[[], None] = lambda: None
        """Called when an attempt has ended, so that there is room for another."""
        self.on_outcome: Callable[[str], None] = lambda _: None
        """Called for each attempt whose outcome counts: `delivered`, `failed`, or `retried` when it is tried again."""
        self._room = Room()
        self._under_way: set[asyncio.Task[None]] = set()
        self._ended: list[Ended] = []
        """What is not written down yet."""
        self._endpoints: dict[int, tuple[WebhookRow, Endpoint | None]] = {}
        """With their secrets, as long as the rows are those; None where a secret cannot be opened."""
        self._alone = not database.shared
        """Whether what is leased must be the work of a process that has ended: until the first turn."""
        self._closed = False
        self._stepping = asyncio.Lock()

    @property
    def seconds_between_looks(self) -> float:
        """How often to look for deliveries whose time has come."""
        return max(0.05, min(1.0, SCHEDULE[1].total_seconds() / self._scale, BUSY_WAIT.total_seconds() / self._scale))

    async def step(self) -> bool:
        """Writes down what has ended and takes up what is due; tells whether there may be more."""
        async with self._stepping:
            return await self._turn()

    async def aclose(self) -> None:
        """Finishes the attempts that are under way, within a time; the others are left to their leases."""
        self._closed = True
        async with self._stepping:
            pass  # a turn that was under way has taken up its last delivery
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=SECONDS_TO_FINISH)
            for task in late:
                task.cancel()
            if late:
                log.warning("attempts at deliveries are left to be made again", attempts=len(late))
                await asyncio.wait(late, timeout=SECONDS_TO_CANCEL)
        try:
            await self.step()
        except DatabaseUnavailable as error:
            log.warning("outcomes of deliveries are lost; they will be sent again", error=str(error))
        await self._sender.close()

    async def _turn(self) -> bool:
        if self._alone:
            await take_over(self._database)
            self._alone = False
        ended = tuple(self._ended)
        try:
            turn = await take_turn(
                self._database, ended, None if self._closed else self._room, clock.now(), self._scale
            )
        except DatabaseUnavailable:
            raise  # what has ended is written down in the next turn
        except Exception:
            del self._ended[: len(ended)]  # it cannot be; the leases run out
            raise
        del self._ended[: len(ended)]
        self._tell(turn)
        await self._begin(turn.taken)
        for webhook_id, reason in turn.to_disable.items():
            if await disable(self._context(f"whk_{webhook_id}"), webhook_id, reason):
                log.warning("a webhook is disabled", webhook=f"whk_{webhook_id}", reason=reason.value)
        return bool(turn.taken) or turn.released

    def _tell(self, turn: Turn) -> None:
        for _, row in turn.counted:
            self.on_outcome(row.status.value if row.status is not DeliveryStatus.PENDING else "retried")
        for circuit in turn.opened:
            log.warning(
                "a webhook fails; it is tried now and then until it is back",
                webhook=f"whk_{circuit.webhook_id}",
                failures=circuit.failures,
            )

    async def _begin(self, attempts: Sequence[Attempt]) -> None:
        if not attempts:
            return
        endpoints = await self._opened({attempt.delivery.webhook_id for attempt in attempts})
        for attempt in attempts:
            row = attempt.delivery
            self._room.begun(row.id, row.webhook_id)
            sending = self._make(attempt, endpoints.get(row.webhook_id))
            task = asyncio.create_task(sending, name=f"dlv_{row.id}")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _make(self, attempt: Attempt, endpoint: Endpoint | None) -> None:
        row = attempt.delivery
        outcome: Outcome | None = None
        try:
            if attempt.payload is None:
                outcome = Outcome(clock.now(), 0, error=GONE_EVENT, final=True)
            elif endpoint is None:
                outcome = Outcome(clock.now(), 0, error="Its secret cannot be opened: the server's secret is another.")
            else:
                outcome = await self._sender.send(endpoint, Message(row.message_id, attempt.payload))
        except Exception as error:
            # It counts as failed: else it would be made again each time its lease runs out, for ever.
            log.error("an attempt at a delivery failed by itself", delivery=f"dlv_{row.id}", exc_info=error)
            outcome = Outcome(clock.now(), 0, error=INTERNAL_ERROR)
        finally:
            if outcome is not None:
                self._ended.append(Ended(attempt, outcome))
            self._room.ended(row.id, answered=outcome is not None and not outcome.silent)
            self.on_room()

    async def _opened(self, ids: Iterable[int]) -> dict[int, Endpoint | None]:
        """The endpoints with their secrets, which are opened once for each version of the row."""
        reader = Session(self._database, self._database.reader)
        found: dict[int, Endpoint | None] = {}
        for row in await webhooks.table.all(reader, one_of("id", list(ids))):
            known = self._endpoints.get(row.id)
            if known is None or known[0] != row or _is_past(known[1], row):
                known = self._endpoints[row.id] = (row, self._open(row))
            found[row.id] = known[1]
        return found

    def _open(self, row: WebhookRow) -> Endpoint | None:
        sealed = [row.secret]
        if row.previous_secret is not None and not _has_lapsed(row):
            sealed.append(row.previous_secret)
        try:
            return Endpoint(row.url, [self._vault.open(one, SEALED).decode() for one in sealed])
        except SealError:
            return None


def _has_lapsed(row: WebhookRow) -> bool:
    """Whether the secret before the last rotation signs no more."""
    return row.previous_until is None or row.previous_until <= clock.now()


def _is_past(endpoint: Endpoint | None, row: WebhookRow) -> bool:
    return endpoint is not None and len(endpoint.secrets) > 1 and _has_lapsed(row)
