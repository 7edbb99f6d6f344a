"""P0 on PostgreSQL: asyncpg, prepared statements, one transaction for a command."""

from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg

from bench.yardsticks.contract import money
from bench.yardsticks.p0 import rows
from bench.yardsticks.p0.reading import Page, refused
from bench.yardsticks.p0.rows import Call, insert

CLIENT = f"SELECT {', '.join(rows.SHOWN_OF_CLIENT)} FROM clients WHERE deleted_at IS NULL AND id "
INVOICES = f"SELECT {', '.join(rows.SHOWN_OF_INVOICE)} FROM invoices WHERE id > $1 ORDER BY id LIMIT $2"
ITEMS = "SELECT invoice_id, id, description, amount FROM invoice_items WHERE invoice_id = ANY($1) ORDER BY id"
KEY = (
    "SELECT id, scopes FROM api_keys WHERE digest = $1 AND revoked_at IS NULL "
    "AND (expires_at IS NULL OR expires_at > now())"
)
ADD_CLIENT = insert("clients", rows.STORED_OF_CLIENT) + " RETURNING id"
ADD_INVOICE = insert("invoices", rows.STORED_OF_INVOICE) + " RETURNING id"
ADD_ITEMS = (
    "INSERT INTO invoice_items (invoice_id, client_id, kind, description, amount, currency, void) "
    "SELECT $1, $2, 'manual', description, amount, $3, false "
    "FROM unnest($4::text[], $5::bigint[]) AS lines (description, amount) RETURNING id"
)
ADD_EVENT = insert("events", rows.STORED_OF_EVENT)
ADD_AUDIT = insert("audit_entries", rows.STORED_OF_AUDIT)
NUMBER = "UPDATE number_series SET last_number = last_number + 1 WHERE name = 'invoice' RETURNING template, last_number"


async def _keep(_: Any) -> None:
    """No RESET when a connection is given back: nothing here sets anything, and it would be a round trip each."""


class Postgres:
    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: Any = None

    async def connect(self) -> None:
        settings = {"timezone": "UTC", "application_name": "bench"}
        self._pool = await asyncpg.create_pool(
            self._url, min_size=1, max_size=10, reset=_keep, server_settings=settings
        )

    async def close(self) -> None:
        await self._pool.close()

    async def key(self, digest: str) -> tuple[int, str] | None:
        row = await self._pool.fetchrow(KEY, digest)
        return None if row is None else (row["id"], row["scopes"])

    async def client(self, id: int) -> dict[str, Any] | None:
        row = await self._pool.fetchrow(CLIENT + "= $1", id)
        return None if row is None else dict(row)

    async def clients(self, page: Page) -> list[dict[str, Any]]:
        found = await self._pool.fetch(CLIENT + "> $1 ORDER BY id LIMIT $2", page.after, page.per_page + 1)
        return [dict(row) for row in found]

    async def invoices(self, page: Page) -> list[dict[str, Any]]:
        async with self._pool.acquire() as connection:
            found = await connection.fetch(INVOICES, page.after, page.per_page + 1)
            kept = found[: page.per_page]
            items = await connection.fetch(ITEMS, [row["id"] for row in kept])
        below: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in found}
        currencies = {row["id"]: row["currency"] for row in kept}
        for invoice_id, id, description, amount in items:
            shown_amount = money(amount, currencies[invoice_id])
            below[invoice_id].append({"id": id, "description": description, "amount": shown_amount})
        return [_shown(row, below[row["id"]]) for row in found]

    async def create_client(self, call: Call, client: dict[str, Any]) -> dict[str, Any]:
        row = rows.new_client(client, call.now)
        async with self._pool.acquire() as connection, connection.transaction():
            try:
                id = await connection.fetchval(ADD_CLIENT, *row.values())
            except asyncpg.UniqueViolationError:
                raise refused({"email": "The email has already been taken."}) from None
            data = rows.shown_client(id, row)
            await connection.execute(ADD_EVENT, *rows.event(call, "client.created", "Client", id, data))
            await connection.execute(ADD_AUDIT, *rows.audit(call, "clientCreate", "clients", id, row))
        return data

    async def create_invoice(
        self, call: Call, client_id: int, due_date: date, lines: list[tuple[str, Decimal]]
    ) -> dict[str, Any]:
        async with self._pool.acquire() as connection, connection.transaction():
            currency = await connection.fetchval(
                "SELECT currency FROM clients WHERE id = $1 AND deleted_at IS NULL FOR UPDATE", client_id
            )
            if currency is None:
                raise refused({"client_id": f"The client id field names no client: {client_id}."})
            each = rows.amounts(lines, currency)
            template, last = await connection.fetchrow(NUMBER)
            number = template.format(YYYY=call.now.year, n=last)
            row = rows.new_invoice(number, client_id, currency, due_date, sum(each), call.now)
            id = await connection.fetchval(ADD_INVOICE, *row.values())
            words = [description for description, _ in lines]
            ids = sorted(item for (item,) in await connection.fetch(ADD_ITEMS, id, client_id, currency, words, each))
            data = rows.shown_invoice(id, row)
            await connection.execute(ADD_EVENT, *rows.event(call, "invoice.created", "Invoice", client_id, data))
            entries = [rows.audit(call, "invoiceCreate", "invoices", id, row)]
            for item, text, amount in zip(ids, words, each, strict=True):
                new = rows.new_item(id, client_id, text, amount, currency)
                entries.append(rows.audit(call, "invoiceCreate", "invoice_items", item, new))
            await connection.executemany(ADD_AUDIT, entries)
        items = [
            {"id": item, "description": text, "amount": money(amount, currency)}
            for item, text, amount in zip(ids, words, each, strict=True)
        ]
        return rows.with_items(data, items)


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
