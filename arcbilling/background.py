"""What a process does by itself, beside requests or without any: numbers events, sends them, calls modules, purges."""

import asyncio
from datetime import timedelta

from arcbilling import clock
from arcbilling.engine import Engine
from arcbilling.loops import Loop
from arcbilling.metrics import Metrics
from arcbilling.provisioner import Provisioner
from resolvers import idempotency, outbox, retention
from schema.actors import SYSTEM
from webhooks.dispatcher import Dispatcher
from webhooks.tending import tend

SECONDS_OF_REST = 0.05
"""Under load so many commits come one after the other that a look for each would cost as much as they do."""


class Background:
    """The loops of one process; a woken loop is woken by each commit."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine = engine
        self._provisioner = Provisioner(engine)
        self._dispatcher = Dispatcher(
            engine.database, engine.vault, engine.settings, lambda request_id: engine.context(SYSTEM, request_id)
        )
        self._dispatcher.on_outcome = metrics.delivery
        sequencer = Loop("sequencer", self._number, every=1.0, rest=SECONDS_OF_REST)
        look = self._provisioner.seconds_between_looks
        calling = Loop("provisioner", self._provisioner.step, every=look, rest=SECONDS_OF_REST)
        self._provisioner.on_room = calling.wake

        def wake() -> None:
            sequencer.wake()
            calling.wake()

        engine.wake = metrics.counting_commits(wake)
        self.loops = [
            sequencer,
            calling,
            Loop("purge", self._purge, every=3600.0),
            *(self._delivering() if engine.settings.deliver else ()),
        ]

    async def aclose(self) -> None:
        """Finishes what is under way, within a time."""
        await asyncio.gather(self._dispatcher.aclose(), self._provisioner.aclose())

    def _delivering(self) -> list[Loop]:
        dispatching = Loop("dispatcher", self._dispatcher.step, every=self._dispatcher.seconds_between_looks)
        self._dispatcher.on_room = dispatching.wake
        self._engine.hints.on("events", dispatching.wake)
        return [dispatching, Loop("circuits", self._tend, every=self._dispatcher.seconds_between_looks)]

    async def _number(self) -> bool:
        numbered = await outbox.sequence_committed(self._engine.database)
        if numbered:
            self._engine.hints.tell("events")
        return numbered == outbox.BATCH

    async def _tend(self) -> bool:
        return await tend(self._engine.database, self._engine.settings.time_scale)

    async def _purge(self) -> bool:
        """Removes a batch of what is old, in one process of all."""
        database, settings, now = self._engine.database, self._engine.settings, clock.now()
        if not await database.lead():
            return False
        answers = await idempotency.purge(database)
        attempts_before = now - timedelta(days=settings.attempts_kept_days)
        events_before = now - timedelta(days=settings.events_kept_days)
        return await retention.purge(database, attempts_before, events_before) or answers > 0
