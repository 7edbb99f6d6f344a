"""Rows that are left for the end of a transaction, when they are added together."""

from collections import defaultdict
from typing import Any

from resolvers.tables import ROWS_AT_ONCE, Statement, Table, WriteSession


async def add_unwritten(session: WriteSession) -> None:
    """Adds what was left for the end: rows of several tables by one statement, where the engine can."""
    rows: defaultdict[Table[Any], list[Any]] = defaultdict(list)
    for table, row in session.unwritten:
        rows[table].append(row)
    session.unwritten.clear()
    inserts = [
        table.insertion(some[start : start + ROWS_AT_ONCE])
        for table, some in rows.items()
        for start in range(0, len(some), ROWS_AT_ONCE)
    ]
    if session.database.inserts_together and 1 < len(inserts) == len(rows):
        inserts = [_together(inserts)]
    for sql, values in inserts:
        await session.connection.fetch(sql, values)


def _together(inserts: list[Statement]) -> Statement:
    *others, last = inserts
    named = ", ".join(f"of_{place} AS ({sql})" for place, (sql, _) in enumerate(others))
    return Statement(f"WITH {named} {last.sql}", [value for one in inserts for value in one.values])
