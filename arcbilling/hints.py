"""Hints: a word to everyone, in this process and in the others, that something has changed.

A hint carries nothing but its name. Who hears it looks in the database, which it would have done by itself a little
later: a hint that is lost costs time, never data. Hints are told after a commit, are not waited for, and never fail.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Literal, get_args

from resolvers.database import Channel

Hint = Literal["events", "keys"]
"""`events`: events were numbered, or deliveries queued. `keys`: API keys were changed or revoked."""


class Hints:
    """Tells hints and hears them, by Redis or PostgreSQL in the other processes too; without a channel in this one."""

    def __init__(self, channel: Channel | None = None) -> None:
        self._channel = channel
        self._me = secrets.token_hex(8)
        self._calls: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)
        self._untold: set[Hint] = set()
        self._telling: asyncio.Task[None] | None = None

    def on(self, hint: Hint, call: Callable[[], None]) -> None:
        """Calls it at each such hint, and when some may have been missed."""
        self._calls[hint].append(call)

    def tell(self, hint: Hint) -> None:
        """Tells everyone: who is in this process at once, the others as soon as the channel takes it."""
        self._call(hint)
        if self._channel is not None:
            self._untold.add(hint)
            if self._telling is None or self._telling.done():
                self._telling = asyncio.create_task(self._publish(self._channel), name="hints", context=Context())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hears the other processes for as long as the block."""
        channel = self._channel
        hearing = None if channel is None else asyncio.create_task(self._hear(channel), name="hearing hints")
        try:
            yield
        finally:
            if hearing is not None:
                hearing.cancel()
                await asyncio.wait([hearing])

    async def finish(self) -> None:
        """Waits for what was told to be on its way, at the end of a process."""
        if self._telling is not None:
            await asyncio.wait([self._telling])

    async def _publish(self, channel: Channel) -> None:
        while self._untold:
            # Where the channel does not take it, the others find out by looking.
            await channel.publish(f"{self._me} {self._untold.pop()}")

    async def _hear(self, channel: Channel) -> None:
        async for message in channel.heard():
            if message is None:
                for hint in get_args(Hint):
                    self._call(hint)
            else:
                teller, _, hint = message.partition(" ")
                if teller != self._me:
                    self._call(hint)

    def _call(self, hint: str) -> None:
        for call in self._calls.get(hint, ()):
            call()
