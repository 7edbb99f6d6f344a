"""Queries of services."""

from models.services import Service, ServiceRow
from resolvers.filters import equal, one_of
from resolvers.tables import Session, Table, WriteSession

table = Table(Service, ServiceRow, owner="client_id", personal=("domain", "username", "suspension_note"))

by_id = table.by_id
locked = table.locked
add = table.add
save = table.save


async def count_of_client(session: Session, client_id: int, statuses: tuple[str, ...]) -> int:
    return await table.count(session, equal("client_id", client_id) & one_of("status", statuses))


async def all_locked(session: WriteSession, ids: list[int]) -> list[ServiceRow]:
    return await table.all_locked(session, one_of("id", ids))


async def locked_unless_busy(session: WriteSession, id: int) -> ServiceRow | None:
    """The row, locked; None while another process has it, where the engine can tell, rather than waiting for it."""
    clause = session.database.lock_clause
    skipping = f"{clause} SKIP LOCKED" if clause else ""
    if not await session.connection.fetch(f"SELECT id FROM services WHERE id = ?{skipping}", (id,)):
        return None
    return await table.locked(session, id)
