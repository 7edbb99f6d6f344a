"""The audit trail: one entry for each row that a command changed."""

from typing import Any

import orjson

from arcbilling import clock
from models.records import AuditEntry, AuditRow
from resolvers.tables import Table, WriteSession
from resolvers.unwritten import add_unwritten

table = Table(AuditEntry, AuditRow, unaudited=True)


async def record(session: WriteSession, actor: str, request_id: str, action: str) -> None:
    """Adds the entries, and with them the events and whatever else was left for the end."""
    merged: dict[tuple[str, int], dict[str, Any]] = {}
    for change in session.changes:
        columns = merged.setdefault((change.table, change.id), change.columns)
        if columns is not change.columns:
            for name, pair in change.columns.items():
                before = columns.get(name)
                columns[name] = pair if pair is None or before is None else (before[0], pair[1])
    now = clock.now()
    for (name, id), columns in merged.items():
        text = orjson.dumps(columns, option=orjson.OPT_UTC_Z).decode()
        session.unwritten.append((table, AuditRow(0, now, actor, request_id, action, name, id, text)))
    await add_unwritten(session)
