"""Servers that host services, and the groups that they are chosen from."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from arcbilling import clock
from models.enums import ServerFill, ServerStatus
from models.servers import ServerGroupRow, ServerRow
from provisioning.registry import NONE, is_automatic
from resolvers import servers
from resolvers.filters import EVERYTHING, Where, matching
from resolvers.reading import Columns
from schema.actors import Scope
from schema.checks import NEVER_NULL, Between, Reference, Text, host_name
from schema.connections import DEFAULT_PAGE, After, Before, Connection, First, Last, Slice, below, lists, page_request
from schema.context import Context
from schema.errors import invalid, not_found
from schema.fields import (
    command,
    given,
    id_argument,
    id_member,
    identifier,
    member,
    members_given,
    plain,
    query,
    relation,
    wanted,
)
from schema.ids import Kind
from schema.moments import Since, Until
from schema.nodes import Node

strawberry.enum(ServerStatus, description="Whether a server takes new services.")
strawberry.enum(ServerFill, description="Which server of a group takes the next service.")

ServerId = Annotated[int, *id_argument(Kind.SERVER)]
GroupId = Annotated[int, *id_argument(Kind.SERVER_GROUP)]
MOST_ACCOUNTS = 1_000_000
SEALED = "credentials of a server"
"""The purpose that credentials are sealed for."""
CREDENTIALS = Text(65_535, trim=False)


@strawberry.type(description="A group of servers: a product names the group that its services are placed in.")
class ServerGroup(Node):
    id: strawberry.ID = identifier(Kind.SERVER_GROUP, "`grp_1`.")
    name: str = plain("Name.")
    fill: ServerFill = plain("Which of its servers takes the next service.")
    created_at: datetime = plain("When the group was created.")
    updated_at: datetime = plain("When the group was last changed.")

    @relation(Connection[Annotated["Server", strawberry.lazy("schema.servers")]], requires=Scope.SERVERS_READ)
    async def servers(
        ids: list[int],
        context: Context,
        columns: Columns,
        first: First = DEFAULT_PAGE,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> list[Slice]:
        """The servers of the group, the oldest first."""
        request = page_request(servers.table, None, first, after, last, before)
        return await below(context, servers.table, "server_group_id", ids, columns, request)


@strawberry.type(description="A server. Its credentials can be written and never be read.")
class Server(Node):
    id: strawberry.ID = identifier(Kind.SERVER, "`srv_3`.")
    name: str = plain("Name.")
    hostname: str = plain("Host name.")
    module: str = plain("What provisions services on it: `none`, `manual`, or the name of a module.")
    status: ServerStatus = plain("Whether it takes new services.")
    max_accounts: int | None = plain("How many services it takes; null for any number.")
    accounts: int = plain("How many services hold a place on it, pending ones included.")
    server_group_id: strawberry.ID | None = identifier(Kind.SERVER_GROUP, "The group that it is in.", extra=True)
    created_at: datetime = plain("When the server was created.", extra=True)
    updated_at: datetime = plain("When the server was last changed.", extra=True)

    @relation(ServerGroup | None, requires=Scope.SERVERS_READ, by="server_group_id")
    async def server_group(ids: list[int], context: Context, columns: Columns) -> Sequence[ServerGroupRow | None]:
        """The group that it is in."""
        return await context.each(servers.groups, ids, columns)


@strawberry.enum(description="The order of a list of servers.")
class ServerSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"


@strawberry.enum(description="The order of a list of server groups.")
class ServerGroupSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"


@strawberry.input(description="Which servers.")
class ServerFilter:
    status: ServerStatus | None = member("Servers of this status.", optional=True)
    created_from: Since = member("Created then or later: a time, or a date.", optional=True)
    created_to: Until = member("Created then or earlier: a time, or a date, that day included.", optional=True)


@strawberry.input(description="Which server groups.")
class ServerGroupFilter:
    created_from: Since = member("Created then or later: a time, or a date.", optional=True)
    created_to: Until = member("Created then or earlier: a time, or a date, that day included.", optional=True)


@strawberry.input(description="A new server.")
class ServerCreateInput:
    name: str = member("Name.")
    hostname: Annotated[str, host_name] = member("Host name.")
    module: str | None = member(
        "What provisions services on it: `none` (default), `manual`, or the name of a module.", optional=True
    )
    credentials: Annotated[str | None, CREDENTIALS] = member(
        "What the module logs in with, in the form that it asks for. Kept sealed, and never shown.", optional=True
    )
    status: ServerStatus | None = member("Default `ACTIVE`.", optional=True)
    max_accounts: Annotated[int | None, Between(1, MOST_ACCOUNTS)] = member("Null for any number.", optional=True)
    server_group_id: Annotated[int | None, Reference(Kind.SERVER_GROUP)] = id_member("Its group.", optional=True)


@strawberry.input(description="Changes to a server: what is given is changed.")
class ServerUpdateInput:
    name: Annotated[str | None, NEVER_NULL] = member("Name.", optional=True)
    hostname: Annotated[str | None, host_name, NEVER_NULL] = member("Host name.", optional=True)
    module: Annotated[str | None, Text(40), NEVER_NULL] = member("What provisions services on it.", optional=True)
    credentials: Annotated[str | None, CREDENTIALS] = member(
        "What the module logs in with. Kept sealed, and never shown; null removes it. To be given again with another "
        "host name or module.",
        optional=True,
    )
    status: Annotated[ServerStatus | None, NEVER_NULL] = member("Whether it takes new services.", optional=True)
    max_accounts: Annotated[int | None, Between(1, MOST_ACCOUNTS)] = member("Null for any number.", optional=True)
    server_group_id: Annotated[int | None, Reference(Kind.SERVER_GROUP)] = id_member("Its group.", optional=True)


@strawberry.input(description="A new server group.")
class ServerGroupCreateInput:
    name: str = member("Name.")
    fill: ServerFill | None = member("Which server takes the next service; default `LEAST_FULL`.", optional=True)


@strawberry.input(description="Changes to a server group: what is given is changed.")
class ServerGroupUpdateInput:
    name: Annotated[str | None, NEVER_NULL] = member("Name.", optional=True)
    fill: Annotated[ServerFill | None, NEVER_NULL] = member("Which server takes the next service.", optional=True)


# Rules


def choose(group: list[ServerRow], fill: ServerFill, module: str = NONE) -> ServerRow:
    """The server that takes the next service; raises when none has room. A module is given its own servers alone."""
    fitting = [server for server in group if server.module == module] if is_automatic(module) else group
    if group and not fitting:
        raise invalid("product_id", f"names a product whose server group has no server of its module {module}")
    free = [
        server
        for server in fitting
        if server.status is ServerStatus.ACTIVE
        and (server.max_accounts is None or server.accounts < server.max_accounts)
    ]
    if fitting and all(server.status is ServerStatus.DISABLED for server in fitting):
        raise invalid("product_id", "names a product whose servers are all disabled")
    if not free:
        raise invalid("product_id", "names a product whose servers are all full")
    if fill is ServerFill.IN_ORDER:
        return free[0]
    return min(free, key=lambda server: (server.accounts, server.id))


def check_credentials(before: ServerRow, after: ServerRow, renewed: bool) -> None:
    """Credentials are never told to another host or module than they were entered for."""
    moved = (after.hostname, after.module) != (before.hostname, before.module)
    if moved and not renewed and before.credentials is not None:
        raise invalid("credentials", "must be given again, or null, with another host name or module")


# Queries


@query(Server | None, requires=Scope.SERVERS_READ)
async def server(context: Context, id: ServerId) -> ServerRow:
    """One server."""
    return await servers.by_id(context.session, id) or _missing("Server", id)


@lists(Server, servers.table, requires=Scope.SERVERS_READ, sort=ServerSort)
def servers_(filter: ServerFilter) -> Where:
    """The servers."""
    return matching(status=wanted(filter.status))


@query(ServerGroup | None, requires=Scope.SERVERS_READ)
async def server_group(context: Context, id: GroupId) -> ServerGroupRow:
    """One server group."""
    return await servers.groups.by_id(context.session, id) or _missing("Server group", id)


@lists(ServerGroup, servers.groups, requires=Scope.SERVERS_READ, sort=ServerGroupSort)
def server_groups(filter: ServerGroupFilter) -> Where:
    """The server groups."""
    return EVERYTHING


# Commands


@command(Server, requires=Scope.SERVERS_WRITE)
async def server_create(context: Context, input: ServerCreateInput) -> ServerRow:
    """Adds a server."""
    now = clock.now()
    row = ServerRow(
        id=0,
        server_group_id=await _existing_group(context, input.server_group_id),
        name=input.name,
        hostname=input.hostname,
        module=known_module(context, input.module) or NONE,
        status=input.status or ServerStatus.ACTIVE,
        max_accounts=input.max_accounts or None,
        accounts=0,
        version=1,
        created_at=now,
        updated_at=now,
        credentials=_sealed(context, input.credentials),
    )
    return await servers.add(context.writing, row)


@command(Server, requires=Scope.SERVERS_WRITE)
async def server_update(context: Context, id: ServerId, input: ServerUpdateInput) -> ServerRow:
    """Changes a server. Services that it hosts are not moved."""
    row = await servers.locked(context.writing, id) or _missing("Server", id)
    await _existing_group(context, input.server_group_id)
    known_module(context, input.module)
    names = ("name", "hostname", "module", "status", "max_accounts", "server_group_id")
    after = row._replace(**members_given(input, *names))
    check_credentials(row, after, given(input.credentials))
    if given(input.credentials):
        after = after._replace(credentials=_sealed(context, input.credentials))
    return row if after == row else await servers.save(context.writing, row, after)


@command(ServerGroup, requires=Scope.SERVERS_WRITE)
async def server_group_create(context: Context, input: ServerGroupCreateInput) -> ServerGroupRow:
    """Adds a server group."""
    now = clock.now()
    row = ServerGroupRow(0, input.name, input.fill or ServerFill.LEAST_FULL, 1, now, now)
    return await servers.groups.add(context.writing, row)


@command(ServerGroup, requires=Scope.SERVERS_WRITE)
async def server_group_update(context: Context, id: GroupId, input: ServerGroupUpdateInput) -> ServerGroupRow:
    """Changes a server group."""
    row = await servers.groups.locked(context.writing, id) or _missing("Server group", id)
    after = row._replace(**members_given(input, "name", "fill"))
    return row if after == row else await servers.groups.save(context.writing, row, after)


# What other commands do with servers


def known_module(context: Context, name: Any) -> str | None:
    """The module that an input names, if it names one; refused when there is none of the name."""
    if not given(name) or name is None:
        return None
    if name not in context.modules.names:
        raise invalid("module", f"must be one of: {', '.join(context.modules.names)}")
    return str(name)


async def reserve(context: Context, group_id: int | None, module: str) -> int | None:
    """Takes a place on a server of the group, of the module's if the module is called; tells which."""
    if group_id is None:
        return None
    group = await servers.groups.by_id(context.session, group_id)
    assert group is not None, "a foreign key holds it"
    chosen = choose(await servers.locked_of_group(context.writing, group.id), group.fill, module)
    await servers.save(context.writing, chosen, chosen._replace(accounts=chosen.accounts + 1))
    return chosen.id


async def release(context: Context, server_id: int | None) -> None:
    """Gives the place on the server back."""
    if server_id is not None:
        server = await servers.locked(context.writing, server_id)
        assert server is not None, "a foreign key holds it"
        await servers.save(context.writing, server, server._replace(accounts=server.accounts - 1))


# Private


def _missing(noun: str, id: int) -> Any:
    raise not_found(noun, id)


def _sealed(context: Context, credentials: Any) -> bytes | None:
    return context.vault.seal(credentials.encode(), SEALED) if given(credentials) and credentials else None


async def _existing_group(context: Context, id: Any) -> int | None:
    if not given(id) or id is None:
        return None
    if await servers.groups.by_id(context.session, id) is None:
        raise invalid("server_group_id", f"names no server group: {id}")
    return int(id)
