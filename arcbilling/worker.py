"""The worker: what goes on in the background, in a process that answers no request. Any number of them may run."""

import asyncio
import os
import signal
import threading
from contextlib import aclosing

import structlog
import uvloop

from arcbilling import logs
from arcbilling.background import Background
from arcbilling.engine import opened
from arcbilling.loops import running
from arcbilling.metrics import Metrics
from arcbilling.settings import Settings

log = structlog.get_logger("arcbilling.worker")

SECONDS_TO_LEAVE = 3.0
"""What the process takes at most to end once all that is ours is closed: a thread of a module may go on."""


def work(settings: Settings) -> None:
    """Works until it is told to stop: then what is under way is finished, and the process ends with 0."""
    logs.configure(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings))


async def _work(settings: Settings) -> None:
    stopping = asyncio.Event()
    for told in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(told, stopping.set)
    async with opened(settings) as engine:
        await engine.check()
        if engine.link is not None:
            await engine.link.check()
        background = Background(engine, Metrics())
        async with running(background.loops), engine.hints.listening(), aclosing(background):
            log.info("the worker is at work", database=settings.database_name)
            await stopping.wait()
            log.info("the worker finishes what is under way")
    last = threading.Timer(SECONDS_TO_LEAVE, os._exit, (0,))
    last.daemon = True
    last.start()
