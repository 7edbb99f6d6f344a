"""The outbox: events are rows of the transaction that made them true, and are numbered once it has committed."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from arcbilling import clock
from models.events import Event, EventHead, EventHeadRow, EventRow
from resolvers import deliveries
from resolvers.database import Database
from resolvers.filters import EVERYTHING, Where, equal
from resolvers.tables import Session, Table, WriteSession, written

table = Table(Event, EventRow, owner="client_id", live="sequence IS NOT NULL", unaudited=True)
_unseen = Table(Event, EventRow, unaudited=True)
_head = Table(EventHead, EventHeadRow, unaudited=True)

BATCH = 500
PORTION = 500
PORTION_LENGTH = 512 * 1024
"""So many events are read at once at most, and so many characters of them at about that."""
REWRITTEN_AT_ONCE = 200
_NUMBER = """
    UPDATE events SET sequence = numbered.place
    FROM (
        SELECT id, row_number() OVER (ORDER BY id) + ? AS place
        FROM events WHERE sequence IS NULL ORDER BY id LIMIT ?
    ) AS numbered
    WHERE events.id = numbered.id
    RETURNING events.id
"""
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


@dataclass(frozen=True)
class Occurrence:
    """An event as a command reports it."""

    event: str
    object_type: str
    object_id: int
    object_version: int
    client_id: int | None
    payload: str
    at: datetime


def new_event_id(at: datetime) -> str:
    """`evt_` and a ULID: 48 bits of milliseconds and 80 random ones, in Crockford's base 32."""
    number = int(at.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "evt_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -10, -10)])


def add(session: WriteSession, occurrence: Occurrence, actor: str, request_id: str) -> None:
    row = EventRow(
        id=0,
        public_id=new_event_id(occurrence.at),
        sequence=None,
        event=occurrence.event,
        object_type=occurrence.object_type,
        object_id=occurrence.object_id,
        object_version=occurrence.object_version,
        client_id=occurrence.client_id,
        payload=occurrence.payload,
        actor=actor,
        request_id=request_id,
        created_at=occurrence.at,
    )
    session.unwritten.append((_unseen, row))


async def by_public_id(session: Session, public_id: str) -> EventRow | None:
    return await table.first(session, equal("public_id", public_id))


async def oldest(session: Session, where: Where = EVERYTHING) -> EventRow | None:
    """The first event that is kept."""
    rows = await table.all(session, where, order="sequence", limit=1)
    return rows[0] if rows else None


async def last_number(session: Session) -> int:
    """The last number that was given out."""
    (head,) = await _head.all(session)
    return head.last_sequence


class Portion(NamedTuple):
    """Some of the events beyond a number, and how far they reach: none up to there is missing."""

    rows: list[EventRow]
    reached: int


async def following(session: Session, after: int, to: int | None = None, where: Where = EVERYTHING) -> Portion:
    """The events beyond a number, in order: so many as are good to hold at once."""
    beyond = Where("sequence > ?", (after,)) & where
    if to is not None:
        beyond &= Where("sequence <= ?", (to,))
    sizes = await table.sizes(session, beyond, "sequence", "payload", PORTION)
    if not sizes:
        return Portion([], after if to is None else to)
    fitting = _fitting([size for _, size in sizes])
    last = sizes[fitting - 1][0]
    rows = await table.all(session, beyond & Where("sequence <= ?", (last,)), order="sequence", limit=PORTION)
    is_all = fitting == len(sizes) < PORTION
    return Portion(rows, to if is_all and to is not None else last)


def _fitting(sizes: list[int]) -> int:
    """How many of the first are good to hold at once: at least one."""
    room = PORTION_LENGTH
    for place, size in enumerate(sizes, 1):
        room -= size
        if room <= 0:
            return place
    return len(sizes)


async def sequence_committed(database: Database) -> int:
    """Numbers committed events without a gap, oldest first; tells how many. One transaction for each batch.

    An id is given before the commit, so ids become visible out of order; a sequence number is given after it. What is
    numbered is queued for the endpoints that want it, in the same transaction.
    """
    if not await database.reader.fetch("SELECT 1 FROM events WHERE sequence IS NULL LIMIT 1"):
        return 0
    async with written(database) as session:
        return await _number(session)


async def number_all(session: WriteSession) -> int:
    """Numbers every event that was committed until now; tells the last number. Nobody else does until the commit."""
    while await _number(session):
        pass
    (head,) = await _head.all(session)
    return head.last_sequence


async def _number(session: WriteSession) -> int:
    (head,) = await _head.all_locked(session, EVERYTHING)
    numbered = len(await session.connection.fetch(_NUMBER, (head.last_sequence, BATCH)))
    last = head.last_sequence + numbered
    await _head.save(session, head, head._replace(last_sequence=last))
    if numbered:
        await deliveries.fan_out(session, head.last_sequence, last, clock.now())
    return numbered


async def rewrite_for_erasure(
    session: WriteSession, client_id: int, rewrite: Callable[[str], str], progress: Callable[[], None]
) -> None:
    """Rewrites the payloads of a client's events: the one permitted change of what has happened.

    There may be any number of them, so they are read and written part by part, with a call after each.
    """
    last = {"sequence": 0, "id": 0}
    # What is numbered meanwhile is neither below the first numbers nor without one: so those come once more.
    for column, which in (("sequence", "TRUE"), ("id", "sequence IS NULL"), ("sequence", "TRUE")):
        sql = (
            f"SELECT {column}, id, payload FROM events WHERE client_id = ? AND {column} > ? AND {which} "
            f"ORDER BY {column} LIMIT {REWRITTEN_AT_ONCE}"
        )
        while events := await session.connection.fetch(sql, (client_id, last[column])):
            last[column] = events[-1][0]
            await _store_payloads(session, [(id, text) for _, id, old in events if (text := rewrite(old)) != old])
            progress()


async def _store_payloads(session: WriteSession, changed: list[tuple[int, str]]) -> None:
    if changed:
        sql = (
            "UPDATE events SET payload = rewritten.column2 FROM (VALUES "
            f"{', '.join(['(CAST(? AS BIGINT), ?)'] * len(changed))}) AS rewritten WHERE events.id = rewritten.column1"
        )
        await session.connection.fetch(sql, [value for pair in changed for value in pair])
