"""What must hold of every database at every moment, whatever happened to the requests that filled it."""

import json
import sys
from collections import Counter

from resolvers.database import Database, Location
from tests.databases import at

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
        SELECT i.id FROM invoices i WHERE (CASE i.status WHEN 'paid' THEN 1 ELSE 0 END) <>
            (SELECT count(*) FROM events e
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
    "a service whose state is not what its calls say": """
        SELECT s.id FROM services s JOIN module_calls c ON c.service_id = s.id
        WHERE c.id = (SELECT max(id) FROM module_calls l WHERE l.service_id = s.id AND l.status <> 'cancelled')
        AND s.provision_state <> CASE
            WHEN EXISTS (SELECT 1 FROM module_calls r WHERE r.service_id = s.id AND r.status = 'running') THEN 'running'
            WHEN c.status IN ('queued', 'retrying') THEN 'queued' WHEN c.status = 'done' THEN 'ok' ELSE c.status END
    """,
    "a module call that is finished and due, or neither": """
        SELECT id FROM module_calls WHERE (due_at IS NULL) = (finished_at IS NULL)
    """,
    "a stored answer that was never given": "SELECT id FROM idempotency_records WHERE answer IS NULL",
}
"""What no database may hold: its name → the query that would find it."""

COLUMN = {"invoice_items": "kind"}
"""What a new row of a table has in its audit entry, and no later change has."""

AUDITED = ("clients", "invoices", "invoice_items", "payments", "services", "module_calls", "tickets", "ticket_messages")


async def check_sound(database: Database) -> None:
    """Fails with the name of what is half-written."""
    for what, query in NOTHING.items():
        assert await rows(database, query) == [], what
    await check_audit(database)
    await check_numbers(database)
    await check_sequence(database)
    await check_services(database)


async def check_sound_at(location: Location) -> None:
    """The same of a database that nobody has open, and that its engine finds nothing wrong with it."""
    assert [finding for finding in await location.examine() if not finding.fine] == []
    async with at(location) as database:
        await check_sound(database)


async def rows(database: Database, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await database.reader.fetch(sql)]


async def check_audit(database: Database) -> None:
    """Every row has one audit entry of its making."""
    made: Counter[object] = Counter()
    for table, id, changes in await rows(database, "SELECT object_type, object_id, changes FROM audit_entries"):
        told = json.loads(str(changes)).get(COLUMN.get(str(table), "created_at"))
        made[table, id] += told is not None and told[0] is None
    for table in AUDITED:
        for (id,) in await rows(database, f"SELECT id FROM {table}"):
            assert made[table, id] == 1, f"row {id} of {table} has {made[table, id]} audit entries of its making"


async def check_numbers(database: Database) -> None:
    """Invoice numbers: each once, without a gap, as many as the series has given out."""
    numbers = sorted(int(str(n).rpartition("-")[2]) for (n,) in await rows(database, "SELECT number FROM invoices"))
    ((last,),) = await rows(database, "SELECT last_number FROM number_series WHERE name = 'invoice'")
    assert numbers == list(range(1, int(str(last)) + 1))


async def check_sequence(database: Database) -> None:
    """Sequence numbers: from one, without a gap, in the order of each object's versions."""
    found = await rows(
        database,
        "SELECT sequence, object_type, object_id, object_version FROM events"
        " WHERE sequence IS NOT NULL ORDER BY sequence",
    )
    assert [sequence for sequence, *_ in found] == list(range(1, len(found) + 1))
    head = "SELECT last_sequence, (SELECT count(*) FROM events WHERE sequence IS NOT NULL) FROM event_head"
    ((last, numbered),) = await rows(database, head)
    assert last == numbered
    seen: dict[tuple[object, object], int] = {}
    for _, kind, id, version in found:
        assert seen.get((kind, id), 0) < int(str(version))
        seen[kind, id] = int(str(version))


async def check_services(database: Database) -> None:
    """The history of each service is a legal path, and ends where the service is."""
    history: dict[object, list[str]] = {}
    for id, event in await rows(
        database, "SELECT object_id, event FROM events WHERE object_type = 'Service' ORDER BY object_id, object_version"
    ):
        history.setdefault(id, []).append(str(event))
    for id, status in await rows(database, "SELECT id, status FROM services"):
        before: str | None = None
        for event in history.get(id, []):
            assert before in NEXT[event], f"{event} after {before}"
            before = event
        assert before is None or LAST[before] == status


def tell(figures: str) -> None:
    """For people who run the tests with `-s`."""
    sys.stdout.write(f"\n{figures}\n")
