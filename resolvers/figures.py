"""Figures that operators watch. All are found by an index, however long the tables are."""

from datetime import datetime
from typing import NamedTuple

from arcbilling import clock
from models.enums import ModuleCallStatus
from resolvers.database import Database

_UNFINISHED = [
    status for status in ModuleCallStatus if status not in (ModuleCallStatus.DONE, ModuleCallStatus.CANCELLED)
]

_DUE = """
    SELECT {} FROM webhooks JOIN deliveries ON deliveries.webhook_id = webhooks.id AND deliveries.due_at <= ?
    WHERE webhooks.status = 'active' AND webhooks.deleted_at IS NULL
"""


class Figures(NamedTuple):
    """What a database holds."""

    numbered: int
    """The number of the last event."""
    unnumbered: int
    """Events that wait for their number."""
    module_calls: dict[str, int]
    """Module calls that are not done, by status."""
    due: int
    """Deliveries to active endpoints that could be made by now."""
    due_since: datetime | None
    """Since when the oldest of them could."""


async def look(database: Database) -> Figures:
    """Looks at the last commit."""
    numbered = "SELECT last_sequence FROM event_head"
    unnumbered = "SELECT count(*) FROM events WHERE sequence IS NULL"
    calls = [f"SELECT count(*) FROM module_calls WHERE status = '{status.value}'" for status in _UNFINISHED]
    looked = (numbered, unnumbered, *calls, _DUE.format("count(*)"), _DUE.format("min(deliveries.due_at)"))
    now = clock.now()
    (row,) = await database.reader.fetch(f"SELECT {', '.join(f'({one})' for one in looked)}", (now, now))
    decode = database.decoder(datetime) or (lambda value: value)
    return Figures(
        numbered=row[0],
        unnumbered=row[1],
        module_calls={status.value: row[2 + place] for place, status in enumerate(_UNFINISHED)},
        due=row[-2],
        due_since=None if row[-1] is None else decode(row[-1]),
    )
