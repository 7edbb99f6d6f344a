"""Figures that operators watch. All are found by an index, however long the tables are."""

from typing import NamedTuple

from models.enums import ModuleCallStatus
from resolvers.database import Database

_UNFINISHED = [
    status for status in ModuleCallStatus if status not in (ModuleCallStatus.DONE, ModuleCallStatus.CANCELLED)
]


class Figures(NamedTuple):
    """What a database holds."""

    numbered: int
    """The number of the last event."""
    unnumbered: int
    """Events that wait for their number."""
    module_calls: dict[str, int]
    """Module calls that are not done, by status."""


async def look(database: Database) -> Figures:
    """Looks at the last commit."""
    numbered = "SELECT last_sequence FROM event_head"
    unnumbered = "SELECT count(*) FROM events WHERE sequence IS NULL"
    calls = [f"SELECT count(*) FROM module_calls WHERE status = '{status.value}'" for status in _UNFINISHED]
    (row,) = await database.reader.fetch(f"SELECT {', '.join(f'({one})' for one in (numbered, unnumbered, *calls))}")
    return Figures(row[0], row[1], {status.value: row[2 + place] for place, status in enumerate(_UNFINISHED)})
