"""The data that is measured on: the same rows at every run, in the product's own migrated database."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import asyncpg

CLIENTS = [
    "id",
    "first_name",
    "last_name",
    "email",
    "email_key",
    "password_hash",
    "company",
    "phone",
    "address",
    "city",
    "country",
    "status",
    "currency",
    "search_key",
    "version",
    "created_at",
    "updated_at",
    "deleted_at",
]
INVOICES = [
    "id",
    "number",
    "client_id",
    "status",
    "due_date",
    "subtotal",
    "tax",
    "total",
    "balance",
    "currency",
    "paid_at",
    "version",
    "created_at",
    "updated_at",
]
ITEMS = [
    "id",
    "invoice_id",
    "client_id",
    "kind",
    "description",
    "amount",
    "currency",
    "service_id",
    "period_start",
    "period_end",
    "void",
]

ITEMS_EACH = 3
JPY_EVERY = 20
"""Each so-manyth client pays in yen, which have no decimal places."""
AT_ONCE = 20_000
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_FIRST = ("Ada", "Björn", "Chloé", "Dmitri", "Élodie", "Farah", "Günter", "Hana", "Íñigo", "Jane")
_LAST = ("Okafor", "Müller", "Nguyễn", "García", "Smith", "Kowalska", "O'Neill", "Çelik", "Sørensen")
_CITY = (("Berlin", "DE"), ("São Paulo", "BR"), ("Springfield", "US"), ("Lyon", "FR"), ("Osaka", "JP"))


def currency_of(client: int) -> str:
    return "JPY" if client % JPY_EVERY == 0 else "USD"


def client_rows(number: int) -> Iterator[tuple[Any, ...]]:
    for id in range(1, number + 1):
        first, last = _FIRST[id % len(_FIRST)], _LAST[id % len(_LAST)]
        email = f"client{id}@example.com"
        company = f"Company {id} & Sons" if id % 3 else None
        city, country = _CITY[id % len(_CITY)]
        terms = [f"{first} {last}", last, email, *([company] if company else [])]
        at = _BEGIN + timedelta(seconds=id)
        yield (
            id,
            first,
            last,
            email,
            email,
            "$argon2id$v=19$m=8,t=1,p=1$none$none",
            company,
            f"+49 30 {id:07}" if id % 2 else None,
            f"{id} Example Street",
            city,
            country,
            "active",
            currency_of(id),
            "".join(f"\n{term.casefold()}" for term in terms),
            1,
            at,
            at,
            None,
        )


def owner_of(invoice: int, clients: int) -> int:
    return invoice * 7919 % clients + 1


def _amount(invoice: int, place: int) -> int:
    return 500 + (invoice * 37 + place * 1009) % 9500


def invoice_rows(number: int, clients: int) -> Iterator[tuple[Any, ...]]:
    for id in range(1, number + 1):
        client = owner_of(id, clients)
        total = sum(_amount(id, place) for place in range(ITEMS_EACH))
        is_paid = id % 2 == 0
        at = _BEGIN + timedelta(minutes=id)
        yield (
            id,
            f"INV-2026-{id:05}",
            client,
            "paid" if is_paid else "unpaid",
            date(2026, 1, 15) + timedelta(days=id % 300),
            total,
            0,
            total,
            0 if is_paid else total,
            currency_of(client),
            at if is_paid else None,
            1,
            at,
            at,
        )


def item_rows(number: int, clients: int) -> Iterator[tuple[Any, ...]]:
    for invoice in range(1, number + 1):
        client = owner_of(invoice, clients)
        for place in range(ITEMS_EACH):
            id = (invoice - 1) * ITEMS_EACH + place + 1
            words = f"Web hosting, part {place + 1} of order {invoice}"
            amount = _amount(invoice, place)
            yield id, invoice, client, "manual", words, amount, currency_of(client), None, None, None, False


Tables = list[tuple[str, list[str], Callable[[], Iterator[tuple[Any, ...]]]]]


def tables(clients: int, invoices: int) -> Tables:
    return [
        ("clients", CLIENTS, lambda: client_rows(clients)),
        ("invoices", INVOICES, lambda: invoice_rows(invoices, clients)),
        ("invoice_items", ITEMS, lambda: item_rows(invoices, clients)),
    ]


async def fill_postgres(url: str, clients: int, invoices: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for table, columns, rows in tables(clients, invoices):
            await connection.copy_records_to_table(table, records=rows(), columns=columns)
            await connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
        await connection.execute("UPDATE number_series SET last_number = $1 WHERE name = 'invoice'", invoices)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


def fill_sqlite(path: str, clients: int, invoices: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")  # a file that is lost is made again
        for table, columns, rows in tables(clients, invoices):
            sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            source = rows()
            while some := [tuple(map(_stored, row)) for row in islice(source, AT_ONCE)]:
                database.execute("BEGIN")
                database.executemany(sql, some)
                database.execute("COMMIT")
        database.execute("UPDATE number_series SET last_number = ? WHERE name = 'invoice'", (invoices,))
        database.execute("ANALYZE")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _stored(value: Any) -> Any:
    """As the product stores it on SQLite."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="microseconds")
    return value.isoformat() if isinstance(value, date) else value
