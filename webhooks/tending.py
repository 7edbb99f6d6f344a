"""Tending: what happens by itself to endpoints that are down, back, or not to be sent to any more."""

from arcbilling import clock
from models.enums import Circuit, DeliveryStatus
from resolvers import circuits, dispatch
from resolvers.database import Database
from resolvers.tables import Session, written
from schema.circuits import HELD_FOR, closed, has_drained


async def tend(database: Database, time_scale: float) -> bool:
    """Ends what has been held for too long or is not wanted any more, and closes the circuits of those that are well.

    Any process may do it at any time; nothing is written where there is nothing to do. Tells whether there may be more.
    """
    some = await _close(database, time_scale)
    reader, now = Session(database, database.reader), clock.now()
    for row in await circuits.in_state(reader, Circuit.OPEN):
        ids = await dispatch.expired(reader, row.webhook_id, now - HELD_FOR / time_scale, now)
        some |= await _finish(database, ids, DeliveryStatus.FAILED)
    for webhook_id in await circuits.with_needless(reader, now):
        some |= await _finish(database, await dispatch.needless(reader, webhook_id, now), DeliveryStatus.SKIPPED)
    return some


async def _close(database: Database, time_scale: float) -> bool:
    reader = Session(database, database.reader)
    drained = []
    for row in await circuits.in_state(reader, Circuit.DRAINING):
        assert row.draining_since is not None, "it drains"
        held = await dispatch.is_held(reader, row.webhook_id, row.draining_since)
        if has_drained(row, held, clock.now(), time_scale):
            drained.append(row)
    if drained:
        async with written(database) as session:
            for row in await circuits.locked(session, [row.webhook_id for row in drained], ()):
                if row in drained:  # as it was looked at
                    await circuits.table.save(session, row, closed(row))
    return bool(drained)


async def _finish(database: Database, ids: list[int], status: DeliveryStatus) -> bool:
    if ids:
        async with written(database) as session:
            await dispatch.finish(session, ids, status, clock.now())
    return bool(ids)
