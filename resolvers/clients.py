"""Queries of clients."""

from collections.abc import Collection

from models.clients import Client, ClientRow
from resolvers.filters import Where, equal
from resolvers.tables import Session, Table, WriteSession

PERSONAL = (
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
    "search_key",
)

NEVER_NULL = ("first_name", "last_name", "search_key")

table = Table(Client, ClientRow, owner="id", live="deleted_at IS NULL", personal=PERSONAL)

by_id = table.by_id
locked = table.locked
save = table.save


def search(text: str) -> Where:
    """Clients one of whose names, e-mail or company starts with the text, case-blind."""
    escaped = text.casefold().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return Where("search_key LIKE ? ESCAPE '\\'", (f"%\n{escaped}%",))


async def add_unless_taken(session: WriteSession, row: ClientRow) -> ClientRow | None:
    """Adds the client, unless another has its e-mail address."""
    return await table.add_unless_taken(session, row, ("email_key",))


async def email_taken(session: WriteSession, email_key: str, except_id: int = 0) -> bool:
    return await table.exists(session, equal("email_key", email_key) & Where("id <> ?", (except_id,)))


async def erased(session: Session, ids: Collection[int]) -> set[int]:
    """Those of the clients that were erased."""
    if not ids:
        return set()
    which = f"id IN ({', '.join('?' * len(ids))}) AND deleted_at IS NOT NULL"
    return {id for (id,) in await session.connection.fetch(f"SELECT id FROM clients WHERE {which}", tuple(ids))}
