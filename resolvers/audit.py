"""The audit trail: one entry for each row that a command changed."""

from collections import defaultdict
from typing import Any

import orjson

from arcbilling import clock
from models.records import AuditEntry, AuditRow
from resolvers.tables import Table, WriteSession

table = Table(AuditEntry, AuditRow, unaudited=True)


async def record(session: WriteSession, actor: str, request_id: str, action: str) -> None:
    merged: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for change in session.changes:
        columns = merged[change.table, change.id]
        for name, pair in change.columns.items():
            before = columns.get(name)
            columns[name] = pair if pair is None or before is None else (before[0], pair[1])
    now = clock.now()
    entries = [
        AuditRow(0, now, actor, request_id, action, name, id, orjson.dumps(columns, option=orjson.OPT_UTC_Z).decode())
        for (name, id), columns in merged.items()
    ]
    await table.add_all(session, entries)
