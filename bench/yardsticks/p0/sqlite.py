"""P0 on SQLite: the sqlite3 module in the loop's own thread. A statement by an index takes less than a thread hop."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from bench.yardsticks.contract import money
from bench.yardsticks.p0 import rows
from bench.yardsticks.p0.reading import Page, refused
from bench.yardsticks.p0.rows import Call


def _time(column: str) -> str:
    """A stored time as it is shown."""
    return f"substr({column}, 1, 10) || 'T' || substr({column}, 12, 8) || 'Z'"


def _columns(names: list[str]) -> str:
    return ", ".join(_time(name) if name.endswith("_at") else name for name in names)


def _insert(table: str, columns: list[str]) -> str:
    return rows.insert(table, columns, ", ".join("?" * len(columns)))


CLIENT = f"SELECT {_columns(rows.SHOWN_OF_CLIENT)} FROM clients WHERE deleted_at IS NULL AND id "
INVOICES = f"SELECT {_columns(rows.SHOWN_OF_INVOICE)} FROM invoices WHERE id > ? ORDER BY id LIMIT ?"
ITEMS = "SELECT invoice_id, id, description, amount FROM invoice_items WHERE invoice_id IN ({}) ORDER BY id"
KEY = (
    "SELECT id, scopes FROM api_keys WHERE digest = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
)
ADD_CLIENT = _insert("clients", rows.STORED_OF_CLIENT)
ADD_INVOICE = _insert("invoices", rows.STORED_OF_INVOICE)
ADD_ITEM = _insert("invoice_items", rows.STORED_OF_ITEM)
ADD_EVENT = _insert("events", rows.STORED_OF_EVENT)
ADD_AUDIT = _insert("audit_entries", rows.STORED_OF_AUDIT)
NUMBER = "UPDATE number_series SET last_number = last_number + 1 WHERE name = 'invoice' RETURNING template, last_number"


class Sqlite:
    def __init__(self, path: str) -> None:
        self._path = path
        self._database: sqlite3.Connection = None  # type: ignore[assignment]

    async def connect(self) -> None:
        self._database = sqlite3.connect(self._path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", "busy_timeout=5000"):
            self._database.execute(f"PRAGMA {pragma}")

    async def close(self) -> None:
        self._database.close()

    async def key(self, digest: str) -> tuple[int, str] | None:
        now = _stored((datetime.now().astimezone(),))[0]
        row: tuple[int, str] | None = self._database.execute(KEY, (digest, now)).fetchone()
        return row

    async def client(self, id: int) -> dict[str, Any] | None:
        row = self._database.execute(CLIENT + "= ?", (id,)).fetchone()
        return None if row is None else dict(zip(rows.SHOWN_OF_CLIENT, row, strict=True))

    async def clients(self, page: Page) -> list[dict[str, Any]]:
        found = self._database.execute(CLIENT + "> ? ORDER BY id LIMIT ?", (page.after, page.per_page + 1))
        return [dict(zip(rows.SHOWN_OF_CLIENT, row, strict=True)) for row in found]

    async def invoices(self, page: Page) -> list[dict[str, Any]]:
        found = self._database.execute(INVOICES, (page.after, page.per_page + 1)).fetchall()
        currencies = {row[0]: row[9] for row in found[: page.per_page]}
        below: dict[int, list[dict[str, Any]]] = {row[0]: [] for row in found}
        items = self._database.execute(ITEMS.format(", ".join("?" * len(currencies))), tuple(currencies))
        for invoice_id, id, description, amount in items:
            shown = money(amount, currencies[invoice_id])
            below[invoice_id].append({"id": id, "description": description, "amount": shown})
        return [_shown(row, below[row[0]]) for row in found]

    async def create_client(self, call: Call, client: dict[str, Any]) -> dict[str, Any]:
        row = rows.new_client(client, call.now)
        with self._writing() as database:
            try:
                id = database.execute(ADD_CLIENT, _stored(row.values())).lastrowid
            except sqlite3.IntegrityError:
                raise refused({"email": "The email has already been taken."}) from None
            assert id is not None
            data = rows.shown_client(id, row)
            database.execute(ADD_EVENT, _stored(rows.event(call, "client.created", "Client", id, data)))
            database.execute(ADD_AUDIT, _stored(rows.audit(call, "clientCreate", "clients", id, row)))
        return data

    async def create_invoice(
        self, call: Call, client_id: int, due_date: date, lines: list[tuple[str, Decimal]]
    ) -> dict[str, Any]:
        with self._writing() as database:
            found = database.execute(
                "SELECT currency FROM clients WHERE id = ? AND deleted_at IS NULL", (client_id,)
            ).fetchone()
            if found is None:
                raise refused({"client_id": f"The client id field names no client: {client_id}."})
            (currency,) = found
            each = rows.amounts(lines, currency)
            ((template, last),) = database.execute(NUMBER).fetchall()
            number = template.format(YYYY=call.now.year, n=last)
            row = rows.new_invoice(number, client_id, currency, due_date, sum(each), call.now)
            id = database.execute(ADD_INVOICE, _stored(row.values())).lastrowid
            assert id is not None
            items, entries = [], [rows.audit(call, "invoiceCreate", "invoices", id, row)]
            for (text, _), amount in zip(lines, each, strict=True):
                new = rows.new_item(id, client_id, text, amount, currency)
                item = database.execute(ADD_ITEM, tuple(new.values())).lastrowid
                assert item is not None
                items.append({"id": item, "description": text, "amount": money(amount, currency)})
                entries.append(rows.audit(call, "invoiceCreate", "invoice_items", item, new))
            data = rows.shown_invoice(id, row)
            database.execute(ADD_EVENT, _stored(rows.event(call, "invoice.created", "Invoice", client_id, data)))
            database.executemany(ADD_AUDIT, [_stored(entry) for entry in entries])
        return rows.with_items(data, items)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction. Nothing is awaited within it, so no other request of this process can come between."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise


def _stored(values: Any) -> list[Any]:
    return [
        value.isoformat(sep=" ", timespec="microseconds")
        if isinstance(value, datetime)
        else value.isoformat()
        if isinstance(value, date)
        else value
        for value in values
    ]


def _shown(row: Any, items: list[dict[str, Any]]) -> dict[str, Any]:
    id, number, client_id, status, due_date, subtotal, tax, total, balance, currency, paid, created, updated = row
    return {
        "id": id,
        "number": number,
        "client_id": client_id,
        "status": status,
        "due_date": due_date,
        "subtotal": money(subtotal, currency),
        "tax": money(tax, currency),
        "total": money(total, currency),
        "balance": money(balance, currency),
        "currency": currency,
        "items": items,
        "paid_at": paid,
        "created_at": created,
        "updated_at": updated,
    }
