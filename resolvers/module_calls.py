"""Queries of calls to modules. A service's calls are changed under the lock of the service's row alone."""

from collections.abc import Collection
from datetime import datetime

from models.enums import ModuleAction, ModuleCallStatus
from models.module_calls import ModuleCall, ModuleCallRow
from resolvers.filters import Where, equal, one_of
from resolvers.tables import Session, Table, WriteSession

table = Table(ModuleCall, ModuleCallRow, owner="client_id", personal=("last_error",))

by_id = table.by_id
add = table.add
save = table.save

UNFINISHED = (ModuleCallStatus.QUEUED, ModuleCallStatus.RUNNING, ModuleCallStatus.RETRYING)

_DUE = """due_at <= ? AND NOT EXISTS (
    SELECT 1 FROM module_calls AS earlier
    WHERE earlier.service_id = module_calls.service_id AND earlier.id < module_calls.id AND earlier.due_at IS NOT NULL
)"""


async def of_service(session: Session, service_id: int) -> list[ModuleCallRow]:
    """The calls for a service, the oldest first."""
    return await table.all(session, equal("service_id", service_id))


async def due(
    session: Session,
    now: datetime,
    limit: int,
    busy: Collection[int | None] = (),
    at_work: Collection[int] = (),
) -> list[ModuleCallRow]:
    """Calls that may be begun, the longest due first: of each service the first that is not finished.

    Those for busy servers are left out, None being no server, and those for services at work.
    """
    where = Where(_DUE, (now,))
    if busy:
        numbers = tuple(server or 0 for server in busy)
        where &= Where(f"COALESCE(server_id, 0) NOT IN ({', '.join('?' * len(numbers))})", numbers)
    if at_work:
        where &= Where(f"service_id NOT IN ({', '.join('?' * len(at_work))})", tuple(at_work))
    return await table.all(session, where, order="due_at, id", limit=limit)


async def unfinished_of_client(session: Session, client_id: int) -> int:
    return await table.count(session, equal("client_id", client_id) & one_of("status", UNFINISHED))


async def not_removed_of_client(session: Session, client_id: int) -> list[int]:
    """The calls that failed to remove an account of the client."""
    failed = equal("status", ModuleCallStatus.FAILED) & equal("action", ModuleAction.TERMINATE)
    return [call.id for call in await table.all(session, equal("client_id", client_id) & failed)]


async def erase(session: WriteSession, client_id: int) -> None:
    """Drops what modules said about the client's accounts."""
    await table.blank(session, equal("client_id", client_id), last_error=None)
