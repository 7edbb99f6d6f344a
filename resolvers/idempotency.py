"""Idempotency-Key: the answer is stored in the transaction of the work, so that a key's work is done exactly once.

A second use of the key waits for the first transaction to end. If that committed, its answer is replayed; if it rolled
back, the key is free. A crash is a rollback: there is nothing to expire or to clean up.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from weakref import WeakValueDictionary

import orjson

from arcbilling import clock
from arcbilling.sealing import Vault
from models.records import IdempotencyRecord, IdempotencyRow
from resolvers import clients
from resolvers.database import Database, LockTimeout
from resolvers.filters import Where, equal
from resolvers.tables import Session, Table, WriteSession, written

table = Table(IdempotencyRecord, IdempotencyRow, unaudited=True)
KEPT_FOR = timedelta(hours=24)
PURGED_AT_ONCE = 500
SECONDS_TO_WAIT = 3.0
"""How long a second request with the same key waits for the first."""
_PURPOSE = "stored answer"
_turns: "WeakValueDictionary[tuple[str, str], asyncio.Lock]" = WeakValueDictionary()


@dataclass(frozen=True)
class Answer:
    """A finished answer of either door."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class IdempotencyRequest:
    """A key as its principal sent it, the fingerprint of what it was sent with, and the vault that seals the answer."""

    principal: str
    key: str
    fingerprint: str
    vault: Vault


class Replay(Exception):
    """The key was used before, for the same request: this is what was answered."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("replayed")
        self.answer = answer


class KeyInUse(Exception):
    """The request that came first with the key is still being done."""


class KeyReused(Exception):
    """The key was used before, for another request."""


class AnswerErased(Exception):
    """The key was used before, and its answer was erased with the client that it told of."""


@asynccontextmanager
async def turn(asked: IdempotencyRequest) -> AsyncIterator[None]:
    """Lets the requests of a process with the same key in one after the other; raises KeyInUse after a while.

    What makes the work happen once is `claim`; this saves doing it to no purpose, and says 409 for what takes long.
    """
    lock = _turns.setdefault((asked.principal, asked.key), asyncio.Lock())
    try:
        async with asyncio.timeout(SECONDS_TO_WAIT):
            await lock.acquire()
    except TimeoutError:
        raise KeyInUse from None
    try:
        yield
    finally:
        lock.release()


async def peek(session: Session, asked: IdempotencyRequest) -> None:
    """Raises Replay, KeyReused or AnswerErased if a committed answer of the key stands."""
    where = Where("principal = ? AND key = ?", (asked.principal, asked.key))
    record = await table.first(session, where)
    if record is None or record.expires_at <= clock.now():
        return
    if record.fingerprint != asked.fingerprint:
        raise KeyReused
    if record.answer is None or await _is_erased(session, record.client_id):
        raise AnswerErased
    raise Replay(_unseal(asked.vault, record.answer))


async def claim(session: WriteSession, asked: IdempotencyRequest) -> None:
    """Takes the key for this transaction, or raises as `peek`.

    Where several transactions write at once, the second to take a key waits here until the first has ended.
    """
    await peek(session, asked)
    now = clock.now()
    mine = Where("principal = ? AND key = ?", (asked.principal, asked.key))
    row = IdempotencyRow(0, asked.principal, asked.key, asked.fingerprint, None, None, now, now + KEPT_FOR)
    try:
        await table.remove(session, mine & Where("expires_at <= ?", (now,)))
        claimed = await table.add_unless_taken(session, row, ("principal", "key"))
    except LockTimeout:
        raise KeyInUse from None
    if claimed is None:
        await peek(session, asked)
        raise KeyInUse


async def store(session: WriteSession, asked: IdempotencyRequest, answer: Answer, client_id: int | None) -> None:
    """Stores the answer that the key's work came to."""
    where = Where("principal = ? AND key = ?", (asked.principal, asked.key))
    record = await table.first(session, where)
    assert record is not None, "the key was claimed in this transaction"
    sealed = _seal(asked.vault, answer)
    await table.save(session, record, record._replace(answer=sealed, client_id=client_id))


async def erase(session: WriteSession, client_id: int) -> None:
    """Forgets the stored answers that tell of a client."""
    await table.blank(session, equal("client_id", client_id), answer=None)


async def purge(database: Database) -> int:
    """Removes expired records, some at a time so that no writer waits for long; tells how many."""
    expired = Where("expires_at <= ?", (clock.now(),))
    if not await table.exists(Session(database, database.reader), expired):
        return 0
    some = Where(f"id IN (SELECT id FROM {table.name} WHERE {expired.sql} LIMIT {PURGED_AT_ONCE})", expired.values)
    async with written(database) as session:
        return len(await table.remove(session, some))


async def _is_erased(session: Session, client_id: int | None) -> bool:
    """Whether the client that an answer tells of is gone. Erasure does not see an answer that is just being stored."""
    return client_id is not None and await clients.by_id(session, client_id) is None


def _seal(vault: Vault, answer: Answer) -> bytes:
    plain = orjson.dumps([answer.status, base64.b64encode(answer.body).decode(), answer.headers])
    return vault.seal(plain, _PURPOSE)


def _unseal(vault: Vault, sealed: bytes) -> Answer:
    status, body, headers = orjson.loads(vault.open(sealed, _PURPOSE))
    return Answer(status, base64.b64decode(body), headers)
