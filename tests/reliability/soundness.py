"""What must hold of every database at every moment, whatever happened to the requests that filled it."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

NEXT: dict[str, set[str | None]] = {
    "service.created": {None},
    "service.suspended": {"service.created", "service.unsuspended"},
    "service.unsuspended": {"service.suspended"},
    "service.terminated": {"service.created", "service.suspended", "service.unsuspended"},
}
"""Which events of a service may come before each."""

LAST = {
    "service.created": "active",
    "service.suspended": "suspended",
    "service.unsuspended": "active",
    "service.terminated": "terminated",
}

NOTHING = {
    "an invoice without items": "SELECT id FROM invoices WHERE id NOT IN (SELECT invoice_id FROM invoice_items)",
    "an invoice whose items do not come to its total": """
        SELECT i.id FROM invoices i WHERE i.total <> (SELECT sum(amount) FROM invoice_items x WHERE x.invoice_id = i.id)
    """,
    "an invoice whose payments do not come to what was paid": """
        SELECT i.id FROM invoices i
        WHERE i.total - i.balance <> (SELECT coalesce(sum(amount), 0) FROM payments p WHERE p.invoice_id = i.id)
    """,
    "an invoice that is paid and owes, or owes nothing and is not paid": """
        SELECT id FROM invoices WHERE (status = 'paid') <> (balance = 0)
    """,
    "an invoice without exactly one invoice.created": """
        SELECT i.id FROM invoices i WHERE 1 <> (SELECT count(*) FROM events e
            WHERE e.object_type = 'Invoice' AND e.object_id = i.id AND e.event = 'invoice.created')
    """,
    "an invoice with another number of invoice.paid than its status says": """
        SELECT i.id FROM invoices i WHERE (i.status = 'paid') <> (SELECT count(*) FROM events e
            WHERE e.object_type = 'Invoice' AND e.object_id = i.id AND e.event = 'invoice.paid')
    """,
    "a client without exactly one client.created": """
        SELECT c.id FROM clients c WHERE 1 <> (SELECT count(*) FROM events e
            WHERE e.object_type = 'Client' AND e.object_id = c.id AND e.event = 'client.created')
    """,
    "a ticket without exactly one ticket.opened": """
        SELECT t.id FROM tickets t WHERE 1 <> (SELECT count(*) FROM events e
            WHERE e.object_type = 'Ticket' AND e.object_id = t.id AND e.event = 'ticket.opened')
    """,
    "a ticket without as many messages as events": """
        SELECT t.id FROM tickets t WHERE (SELECT count(*) FROM ticket_messages m WHERE m.ticket_id = t.id) <>
            (SELECT count(*) FROM events e WHERE e.object_type = 'Ticket' AND e.object_id = t.id
                AND e.event IN ('ticket.opened', 'ticket.replied'))
    """,
    "an event of a version that its object never had": """
        SELECT e.id FROM events e JOIN (
            SELECT 'Invoice' AS type, id, version FROM invoices UNION ALL SELECT 'Client', id, version FROM clients
            UNION ALL SELECT 'Ticket', id, version FROM tickets UNION ALL SELECT 'Service', id, version FROM services
        ) o ON o.type = e.object_type AND o.id = e.object_id WHERE e.object_version > o.version
    """,
    "an event of nothing": """
        SELECT id FROM events e WHERE
            (object_type = 'Invoice' AND object_id NOT IN (SELECT id FROM invoices)) OR
            (object_type = 'Client' AND object_id NOT IN (SELECT id FROM clients)) OR
            (object_type = 'Ticket' AND object_id NOT IN (SELECT id FROM tickets)) OR
            (object_type = 'Service' AND object_id NOT IN (SELECT id FROM services))
    """,
    "a stored answer that was never given": "SELECT id FROM idempotency_records WHERE answer IS NULL",
}
"""What no database may hold: its name → the query that would find it."""

COLUMN = {"invoice_items": "kind"}
"""What a new row of a table has in its audit entry, and no later change has."""

AUDITED = ("clients", "invoices", "invoice_items", "payments", "services", "tickets", "ticket_messages")


def check_sound(path: Path) -> None:
    """Fails with the name of what is half-written."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        for what, query in NOTHING.items():
            assert database.execute(query).fetchall() == [], what
        for table in AUDITED:
            unaudited = (
                f"SELECT id FROM {table} WHERE 1 <> (SELECT count(*) FROM audit_entries a WHERE a.object_type = "
                f"'{table}' AND a.object_id = {table}.id AND json_extract(a.changes, '$.created_at[0]') IS NULL "
                f"AND json_type(a.changes, '$.{COLUMN.get(table, 'created_at')}') IS NOT NULL)"
            )
            assert database.execute(unaudited).fetchall() == [], f"a row of {table} without an audit entry"
        check_numbers(database)
        check_sequence(database)
        check_services(database)


def check_numbers(database: sqlite3.Connection) -> None:
    """Invoice numbers: each once, without a gap, as many as the series has given out."""
    numbers = sorted(int(number.rpartition("-")[2]) for (number,) in database.execute("SELECT number FROM invoices"))
    (last,) = database.execute("SELECT last_number FROM number_series WHERE name = 'invoice'").fetchone()
    assert numbers == list(range(1, last + 1))


def check_sequence(database: sqlite3.Connection) -> None:
    """Sequence numbers: from one, without a gap, in the order of each object's versions."""
    rows = database.execute(
        "SELECT sequence, object_type, object_id, object_version FROM events"
        " WHERE sequence IS NOT NULL ORDER BY sequence"
    ).fetchall()
    assert [sequence for sequence, *_ in rows] == list(range(1, len(rows) + 1))
    (last,) = database.execute("SELECT last_sequence FROM event_head").fetchone()
    assert last == len(rows)
    seen: dict[tuple[str, int], int] = {}
    for _, kind, id, version in rows:
        assert seen.get((kind, id), 0) < version
        seen[kind, id] = version


def check_services(database: sqlite3.Connection) -> None:
    """The history of each service is a legal path, and ends where the service is."""
    for id, status in database.execute("SELECT id, status FROM services").fetchall():
        before: str | None = None
        for (event,) in database.execute(
            "SELECT event FROM events WHERE object_type = 'Service' AND object_id = ? ORDER BY object_version", (id,)
        ):
            assert before in NEXT[event], f"{event} after {before}"
            before = event
        assert before is None or LAST[before] == status


def tell(figures: str) -> None:
    """For people who run the tests with `-s`."""
    sys.stdout.write(f"\n{figures}\n")
