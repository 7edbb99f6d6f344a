"""A call at either HTTP door: who calls, with which request, and what was found out before the door was reached."""

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from resolvers.idempotency import IdempotencyRequest
from schema.actors import Actor
from schema.context import Context
from schema.errors import Code, DomainError

MAX_KEY_LENGTH = 255

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
"""Takes the parts of an answer."""


class Headers:
    """The headers of a request, looked through once; names are in lower case."""

    __slots__ = ("_first", "_given")

    def __init__(self, given: Sequence[tuple[bytes, bytes]]) -> None:
        self._given = given
        self._first = dict(reversed(given))

    def get(self, name: bytes) -> str | None:
        """The value of a header; of several of the same name, the first."""
        value = self._first.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def has_repeats(self) -> bool:
        """Whether any name comes more than once."""
        return len(self._first) < len(self._given)

    def all(self, name: bytes) -> list[str]:
        """The values of each header of the name."""
        if name not in self._first:
            return []
        return [value.decode("latin-1") for one, value in self._given if one == name]

    @property
    def size(self) -> int:
        """The bytes of all names and values together."""
        return sum(map(len, chain.from_iterable(self._given)))


class Disconnected(Exception):
    """The caller hung up before its request was read."""


class Engine(Protocol):
    """What the process offers to its doors."""

    def context(self, actor: Actor, request_id: str) -> Context: ...

    def fingerprint(self, *parts: bytes) -> str: ...

    def idempotency(self, actor: Actor, key: str, fingerprint: str) -> IdempotencyRequest: ...


@dataclass(slots=True)
class Call:
    """One HTTP request to a door."""

    engine: Engine
    headers: Headers
    request_id: str
    actor: Actor | None
    refusal: DomainError | None
    """Why the call goes no further: too large, over its limit, without a valid key."""
    body: Callable[[], Awaitable[bytes]]
    """Reads the request's body, within the door's bounds of size and time."""
    charge: Callable[[int], Awaitable[DomainError | None]]
    """Takes more of the caller's budget; tells the refusal when there is not so much left."""
    stream: Callable[[Send, AsyncGenerator[bytes], bytes], Awaitable[None]]
    """Answers with an event stream, through what sends the answer: its chunks as they come, and its last word."""

    def admitted(self) -> Actor:
        """The actor; raises the refusal."""
        if self.refusal is not None:
            raise self.refusal
        assert self.actor is not None
        return self.actor

    def idempotency(self, header: str | None, *parts: bytes) -> IdempotencyRequest | None:
        """The Idempotency-Key of a request that consists of these parts, if it has one."""
        if header is None:
            return None
        key = header[1:-1] if len(header) >= 2 and header[0] == header[-1] == '"' else header
        if not 1 <= len(key) <= MAX_KEY_LENGTH or not all("!" <= char <= "~" for char in key):
            raise DomainError(
                Code.VALIDATION_ERROR,
                f"The Idempotency-Key header must be 1 to {MAX_KEY_LENGTH} visible ASCII characters.",
            )
        actor = self.admitted()
        return self.engine.idempotency(actor, key, self.engine.fingerprint(*parts))
