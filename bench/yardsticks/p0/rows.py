"""The rows that P0's commands add, with the event and the audit entries of each."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from bench.yardsticks.contract import added, event_id, minor, money, payload, search_key, shown
from bench.yardsticks.p0.reading import Page, refused

SHOWN_OF_CLIENT = [
    "id",
    "first_name",
    "last_name",
    "email",
    "company",
    "phone",
    "address",
    "city",
    "country",
    "status",
    "currency",
    "created_at",
    "updated_at",
]
STORED_OF_CLIENT = [
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
]
SHOWN_OF_INVOICE = [
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
    "created_at",
    "updated_at",
]
STORED_OF_INVOICE = [
    "number",
    "client_id",
    "status",
    "due_date",
    "subtotal",
    "tax",
    "total",
    "balance",
    "currency",
    "version",
    "created_at",
    "updated_at",
]
STORED_OF_EVENT = [
    "public_id",
    "event",
    "object_type",
    "object_id",
    "object_version",
    "client_id",
    "payload",
    "actor",
    "request_id",
    "created_at",
]
STORED_OF_AUDIT = ["created_at", "actor", "request_id", "action", "object_type", "object_id", "changes"]
STORED_OF_ITEM = ["invoice_id", "client_id", "kind", "description", "amount", "currency", "void"]


@dataclass(frozen=True)
class Call:
    """Who asks, for the records."""

    actor: str
    request_id: str
    now: datetime


class Store(Protocol):
    """The database of one engine."""

    async def connect(self) -> None: ...
    async def close(self) -> None: ...
    async def key(self, digest: str) -> tuple[int, str] | None:
        """Id and scopes of a key that may be used."""
        ...

    async def client(self, id: int) -> dict[str, Any] | None: ...
    async def clients(self, page: Page) -> list[dict[str, Any]]: ...
    async def invoices(self, page: Page) -> list[dict[str, Any]]: ...
    async def create_client(self, call: Call, client: dict[str, Any]) -> dict[str, Any]: ...
    async def create_invoice(
        self, call: Call, client_id: int, due_date: date, lines: list[tuple[str, Decimal]]
    ) -> dict[str, Any]: ...


def insert(table: str, columns: list[str], places: str = "") -> str:
    values = places or ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"


def new_client(given: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The columns of a new client, in the order in which they are stored."""
    email = given["email"]
    return {
        "first_name": given["first_name"],
        "last_name": given["last_name"],
        "email": email,
        "email_key": email.casefold(),
        "password_hash": given["password_hash"],
        "company": given["company"],
        "phone": given["phone"],
        "address": given["address"],
        "city": given["city"],
        "country": given["country"],
        "status": "active",
        "currency": given["currency"],
        "search_key": search_key(given["first_name"], given["last_name"], email, given["company"]),
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def shown_client(id: int, row: dict[str, Any]) -> dict[str, Any]:
    at = shown(row["created_at"])
    return {"id": id, **{name: row[name] for name in SHOWN_OF_CLIENT[1:-2]}, "created_at": at, "updated_at": at}


def new_invoice(
    number: str, client_id: int, currency: str, due_date: date, total: int, now: datetime
) -> dict[str, Any]:
    return {
        "number": number,
        "client_id": client_id,
        "status": "unpaid",
        "due_date": due_date,
        "subtotal": total,
        "tax": 0,
        "total": total,
        "balance": total,
        "currency": currency,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


def shown_invoice(id: int, row: dict[str, Any]) -> dict[str, Any]:
    """As its event shows it: without its items."""
    currency, at = row["currency"], shown(row["created_at"])
    total, zero = money(row["total"], currency), money(0, currency)
    return {
        "id": id,
        "number": row["number"],
        "client_id": row["client_id"],
        "status": "unpaid",
        "due_date": row["due_date"].isoformat(),
        "subtotal": total,
        "tax": zero,
        "total": total,
        "balance": total,
        "currency": currency,
        "paid_at": None,
        "created_at": at,
        "updated_at": at,
    }


def with_items(invoice: dict[str, Any], items: list[dict[str, Any]]) -> dict[str, Any]:
    """As it is answered: the items stand before the times."""
    *head, paid_at, created_at, updated_at = invoice.items()
    return dict([*head, ("items", items), paid_at, created_at, updated_at])


def amounts(lines: list[tuple[str, Decimal]], currency: str) -> list[int]:
    found = []
    for place, (_, amount) in enumerate(lines):
        try:
            found.append(minor(amount, currency))
        except ValueError as error:
            raise refused({f"items[{place}].amount": f"The amount field {error}."}) from None
    if sum(found) <= 0:  # nobody here asks for an invoice of zero, which is paid at once
        raise refused({"items": "The items field must not have a negative total."})
    return found


def new_item(invoice_id: int, client_id: int, description: str, amount: int, currency: str) -> dict[str, Any]:
    return {
        "invoice_id": invoice_id,
        "client_id": client_id,
        "kind": "manual",
        "description": description,
        "amount": amount,
        "currency": currency,
        "void": False,
    }


def event(call: Call, name: str, kind: str, client_id: int, data: dict[str, Any]) -> tuple[Any, ...]:
    text = payload(name, data, call.now)
    return event_id(call.now), name, kind, data["id"], 1, client_id, text, call.actor, call.request_id, call.now


def audit(call: Call, action: str, table: str, id: int, row: dict[str, Any]) -> tuple[Any, ...]:
    return call.now, call.actor, call.request_id, action, table, id, added(row)
