"""The link to Redis: what several processes share that may be lost.

Nobody waits for a Redis that is away. The first question without an answer ends the link for the whole process; from
then on one attempt a second finds out whether Redis is back, and every question is refused at once until it is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError

T = TypeVar("T")
log = structlog.get_logger("arcbilling.redis")

SECONDS_TO_ANSWER = 0.25
LOOKS = 5
"""How often a question looks for its answer in that time. A process that is itself too busy to read an answer that has
come takes as long over its looks, and does not take its own slowness for Redis's."""
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_OF_SILENCE = 5.0
"""After how long without a message a listener asks whether Redis is still there."""
SECONDS_UNTIL_ASKED_AGAIN = 60.0
"""After how long a listener that Redis did not let in asks again."""

_FAILURES = (RedisError, OSError, TimeoutError)


class RedisLink:
    """One process's link to Redis; its namespace keeps the keys and channels of installations apart."""

    def __init__(self, url: str, namespace: str) -> None:
        self.client: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_connect_timeout=SECONDS_BETWEEN_TRIES,
            retry=Retry(NoBackoff(), 0),
        )
        self.trial: Callable[[], Awaitable[object]] = partial(self.client.execute_command, "PING")
        """What Redis must be able to do to be of use; who needs more says so."""
        self._namespace = namespace
        self._may_use_channels = True
        self._here = asyncio.Event()
        self._here.set()  # as long as nothing says otherwise
        self._returning: asyncio.Task[None] | None = None

    def name(self, *parts: str) -> str:
        """The name of a key or a channel of this installation."""
        return ":".join(("arcbilling", self._namespace, *parts))

    def channel(self, *parts: str) -> "RedisChannel":
        """A channel of this installation."""
        return RedisChannel(self, self.name(*parts))

    async def check(self) -> None:
        """Finds out at start-up whether Redis is there; if it is not, the log says so."""
        await self.ask(self.trial)

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """Asks Redis something. None when it is away: at once while that is known, and soon when it does not answer."""
        if not self._here.is_set():
            return None
        try:
            return await _patiently(question())
        except _FAILURES as error:
            self._lost(error)
            return None

    async def publish(self, channel: str, message: str) -> None:
        """Tells whoever listens; without a word where Redis is away."""

        async def publishing() -> None:
            try:
                await self.client.publish(channel, message)
            except NoPermissionError as error:
                self._without_channels(error)

        await self.ask(publishing)

    async def heard(self, channel: str) -> AsyncIterator[str | None]:
        """What is published on a channel, without end; None when listening begins anew: some may be missed."""
        while True:
            await self._here.wait()
            try:
                async with self.client.pubsub() as listener:
                    await _patiently(listener.subscribe(channel))
                    silent = False
                    while True:
                        message: Any = await listener.get_message(timeout=SECONDS_OF_SILENCE)
                        if message is None:
                            if silent:
                                raise TimeoutError("it did not answer a listener")
                            await _patiently(listener.ping())
                        elif message["type"] in ("subscribe", "message"):
                            self._may_use_channels = True
                            yield message["data"] if message["type"] == "message" else None
                        silent = message is None
            except NoPermissionError as error:
                self._without_channels(error)
                await asyncio.sleep(SECONDS_UNTIL_ASKED_AGAIN)
            except _FAILURES as error:
                self._lost(error)

    async def close(self) -> None:
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.wait([self._returning])
        with suppress(*_FAILURES):
            await _patiently(self.client.aclose())

    def _lost(self, error: Exception) -> None:
        if self._here.is_set():
            self._here.clear()
            log.warning(
                "Redis is away: until it is back this process counts rate limits for itself, and learns of what "
                "others change by looking",
                error=str(error) or type(error).__name__,
            )
            self._returning = asyncio.create_task(self._return(), name="redis-return", context=Context())

    def _without_channels(self, error: Exception) -> None:
        """Says once that hints do not reach others; rate limits do not need them."""
        if self._may_use_channels:
            self._may_use_channels = False
            log.warning(
                "Redis does not let its user publish and subscribe: this process learns of what others change by "
                "looking",
                error=str(error),
            )

    async def _return(self) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)
            with suppress(*_FAILURES):
                await _patiently(self.trial())
                break
        self._here.set()
        log.info("Redis is back")


@dataclass(frozen=True)
class RedisChannel:
    """A channel by its name."""

    link: RedisLink
    name: str

    async def publish(self, message: str) -> None:
        await self.link.publish(self.name, message)

    def heard(self) -> AsyncIterator[str | None]:
        return self.link.heard(self.name)


async def _patiently(question: Awaitable[T]) -> T:
    """The answer, if it comes in time."""
    asking = asyncio.ensure_future(question)
    try:
        for _ in range(LOOKS):
            if asking in (await asyncio.wait([asking], timeout=SECONDS_TO_ANSWER / LOOKS))[0]:
                return asking.result()
        raise TimeoutError(f"no answer within {SECONDS_TO_ANSWER:g} seconds")
    finally:
        if not asking.done():
            asking.cancel()
            await asyncio.wait([asking])
