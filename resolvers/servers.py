"""Queries of servers and server groups."""

from models.servers import Server, ServerGroup, ServerGroupRow, ServerRow
from resolvers.filters import equal
from resolvers.tables import Table, WriteSession

table = Table(Server, ServerRow, personal=("credentials",))
groups = Table(ServerGroup, ServerGroupRow)

by_id = table.by_id
locked = table.locked
add = table.add
save = table.save


async def locked_of_group(session: WriteSession, group_id: int) -> list[ServerRow]:
    """The servers of a group, locked: who takes a place waits for who took one before."""
    return await table.all_locked(session, equal("server_group_id", group_id))
