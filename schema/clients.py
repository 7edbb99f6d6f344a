"""Clients: who buys. What a client is, what may be done to one, and by whom."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import strawberry
from argon2 import PasswordHasher

from arcbilling import clock
from models.clients import ClientRow
from models.enums import ClientStatus, InvoiceStatus, ServiceStatus
from resolvers import api_keys, clients, invoices, module_calls, services, tickets
from resolvers.filters import Where, matching
from resolvers.reading import Columns
from schema import erasure
from schema.actors import Scope
from schema.checks import NEVER_NULL, Reference, Text, country_code, email_address
from schema.connections import DEFAULT_PAGE, After, Before, Connection, First, Last, Slice, below, lists, page_request
from schema.context import Context
from schema.errors import invalid, invalid_fields, not_found, refused, sentence
from schema.events import ClientCreated, ClientDeleted, ClientUpdated, emit
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
from schema.ids import Kind, write
from schema.moments import Since, Until
from schema.money import is_currency
from schema.nodes import Node

strawberry.enum(ClientStatus, description="Whether a client takes part in automation and may log in.")

ClientId = Annotated[int, *id_argument(Kind.CLIENT)]
PASSWORD = Text(most=1024, least=8, trim=False)


@strawberry.type(description="A client: a person or company that holds services.")
class Client(Node):
    id: strawberry.ID = identifier(Kind.CLIENT, "`cli_56`.")
    first_name: str = plain("First name.")
    last_name: str = plain("Last name.")
    email: str = plain("E-mail address as it was given; unique among clients, case-blind.")
    company: str | None = plain("Company name.")
    phone: str | None = plain("Phone number, as it was given.")
    address: str | None = plain("Street address.")
    city: str | None = plain("City.")
    country: str | None = plain("Country, ISO 3166-1 alpha-2.")
    status: ClientStatus = plain("Whether the client takes part in automation and may log in.")
    currency: str = plain("Currency of the client's invoices, ISO 4217.")
    created_at: datetime = plain("When the client was created.")
    updated_at: datetime = plain("When the client was last changed.")

    @relation(
        Connection[Annotated["Service", strawberry.lazy("schema.services")]],  # type: ignore[name-defined] # noqa: F821
        requires=Scope.SERVICES_READ,
    )
    async def services(
        ids: list[int],
        context: Context,
        columns: Columns,
        first: First = DEFAULT_PAGE,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> list[Slice]:
        """The client's services, the oldest first."""
        request = page_request(services.table, None, first, after, last, before)
        return await below(context, services.table, "client_id", ids, columns, request)

    @relation(
        Connection[Annotated["Invoice", strawberry.lazy("schema.invoices")]],  # type: ignore[name-defined] # noqa: F821
        requires=Scope.INVOICES_READ,
    )
    async def invoices(
        ids: list[int],
        context: Context,
        columns: Columns,
        first: First = DEFAULT_PAGE,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> list[Slice]:
        """The client's invoices, the oldest first."""
        request = page_request(invoices.table, None, first, after, last, before)
        return await below(context, invoices.table, "client_id", ids, columns, request)

    @relation(
        Connection[Annotated["Ticket", strawberry.lazy("schema.tickets")]],  # type: ignore[name-defined] # noqa: F821
        requires=Scope.TICKETS_READ,
    )
    async def tickets(
        ids: list[int],
        context: Context,
        columns: Columns,
        first: First = DEFAULT_PAGE,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> list[Slice]:
        """The client's tickets, the oldest first."""
        request = page_request(tickets.table, None, first, after, last, before)
        return await below(context, tickets.table, "client_id", ids, columns, request)


class DeletedRow(NamedTuple):
    id: int
    deleted: bool


@strawberry.type(description="The trace of a client that was erased.")
class DeletedClient:
    id: strawberry.ID = identifier(Kind.CLIENT, "The id that the client had.")
    deleted: bool = plain("Always true.")


@strawberry.enum(description="The order of a list of clients.")
class ClientSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"


@strawberry.input(description="Which clients.")
class ClientFilter:
    status: ClientStatus | None = member("Clients of this status.", optional=True)
    email: str | None = member("The client with this e-mail address, case-blind.", optional=True)
    q: str | None = member("Clients whose name, e-mail or company starts so, case-blind.", optional=True)
    created_from: Since = member("Created then or later: a time, or a date.", optional=True)
    created_to: Until = member("Created then or earlier: a time, or a date, that day included.", optional=True)


@strawberry.input(description="A new client.")
class ClientCreateInput:
    first_name: str = member("First name.")
    last_name: str = member("Last name.")
    email: Annotated[str, email_address] = member("E-mail address; unique among clients.")
    password: Annotated[str, PASSWORD] = member("Password, 8 to 1,024 characters, taken exactly as it is.")
    company: str | None = member("Company name.", optional=True)
    phone: str | None = member("Phone number.", optional=True)
    address: Annotated[str | None, Text(1000)] = member("Street address.", optional=True)
    city: str | None = member("City.", optional=True)
    country: Annotated[str | None, country_code] = member("Country, ISO 3166-1 alpha-2 or alpha-3.", optional=True)
    currency: str | None = member("Currency of the client's invoices; the default is the setting.", optional=True)


@strawberry.input(
    description="Changes to a client: what is given is changed, null clears. Members that cannot be changed are "
    "accepted with the value that they have, so that a client can be sent back as it was read."
)
class ClientUpdateInput:
    id: Annotated[int | None, Reference(Kind.CLIENT)] = id_member("Cannot be changed.", optional=True)
    first_name: Annotated[str | None, NEVER_NULL] = member("First name.", optional=True)
    last_name: Annotated[str | None, NEVER_NULL] = member("Last name.", optional=True)
    email: Annotated[str | None, email_address, NEVER_NULL] = member(
        "E-mail address; unique among clients.", optional=True
    )
    password: Annotated[str | None, PASSWORD, NEVER_NULL] = member(
        "New password, 8 to 1,024 characters.", optional=True
    )
    company: str | None = member("Company name.", optional=True)
    phone: str | None = member("Phone number.", optional=True)
    address: Annotated[str | None, Text(1000)] = member("Street address.", optional=True)
    city: str | None = member("City.", optional=True)
    country: Annotated[str | None, country_code] = member("Country, ISO 3166-1 alpha-2 or alpha-3.", optional=True)
    status: ClientStatus | None = member("Cannot be changed here.", optional=True)
    currency: str | None = member("Cannot be changed.", optional=True)
    created_at: datetime | None = member("Accepted and ignored.", optional=True)
    updated_at: datetime | None = member("Accepted and ignored.", optional=True)


# Rules

EDITABLE = ("first_name", "last_name", "email", "company", "phone", "address", "city", "country")


def email_key(address: str) -> str:
    """What makes two addresses the same."""
    return address.casefold()


def search_key(row: ClientRow) -> str:
    terms = (f"{row.first_name} {row.last_name}", row.last_name, row.email or "", row.company or "")
    return "".join(f"\n{term.casefold()}" for term in terms if term)


def keyed(row: ClientRow) -> ClientRow:
    """The row with the columns that follow from its others."""
    return row._replace(email_key=email_key(row.email or ""), search_key=search_key(row))


def changed(row: ClientRow, wanted: ClientUpdateInput, password_hash: str | None) -> ClientRow:
    """The row after the update; raises when a member that cannot be changed would be."""
    fixed = members_given(wanted, "id", "status", "currency")
    errors = {name: sentence(name, "cannot be changed") for name, value in fixed.items() if value != getattr(row, name)}
    if errors:
        raise invalid_fields(errors)
    values: dict[str, Any] = {name: getattr(wanted, name) for name in EDITABLE if given(getattr(wanted, name))}
    if password_hash is not None:
        values["password_hash"] = password_hash
    return keyed(row._replace(**values))


def check_deletable(open_services: int, open_invoices: int) -> None:
    if open_services or open_invoices:
        raise refused(
            f"The client cannot be deleted: {_counted(open_services, 'service')} pending, active or suspended and "
            f"{_counted(open_invoices, 'invoice')} unpaid or draft."
        )


def check_finished(unfinished: int, not_removed: list[int]) -> None:
    """An account that is still to be removed is known by the user name that erasure blanks."""
    if unfinished:
        raise refused(f"The client cannot be deleted: {_counted(unfinished, 'module call')} not finished.")
    if not_removed:
        raise refused(
            f"The client cannot be deleted: {_counted(len(not_removed), 'account')} could not be removed. Mend what "
            f"failed and try again by moduleCallRetry, first with {write(Kind.MODULE_CALL, not_removed[0])}."
        )


def erased(row: ClientRow, now: datetime) -> ClientRow:
    """What is left of a client: a row that invoices can point to, without anything personal."""
    blank: dict[str, Any] = dict.fromkeys(clients.PERSONAL) | dict.fromkeys(clients.NEVER_NULL, "")
    return row._replace(**blank, status=ClientStatus.CLOSED, deleted_at=now)


# Passwords

_hasher = PasswordHasher(memory_cost=47104, time_cost=1, parallelism=1)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")


async def hash_password(values: dict[str, Any]) -> None:
    """Replaces the password by its Argon2id hash; it takes long, so it is done before the transaction."""
    wanted = values["input"]
    if given(wanted.password):
        wanted.password = await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, wanted.password)


# Queries


@query(Client | None, requires=Scope.CLIENTS_READ)
async def client(context: Context, id: ClientId) -> ClientRow:
    """One client."""
    return await clients.by_id(context.session, id) or _missing(id)


@lists(Client, clients.table, requires=Scope.CLIENTS_READ, sort=ClientSort)
def clients_(filter: ClientFilter) -> Where:
    """The clients."""
    where = matching(status=wanted(filter.status))
    if filter.email:
        where &= matching(email_key=email_key(filter.email))
    if filter.q:
        where &= clients.search(filter.q)
    return where


# Commands


@command(Client, requires=Scope.CLIENTS_WRITE, emits=(ClientCreated,), prepare=hash_password)
async def client_create(context: Context, input: ClientCreateInput) -> ClientRow:
    """Registers a client."""
    currency = input.currency or context.currency
    if not is_currency(currency):
        raise invalid("currency", "must be an ISO 4217 currency code such as USD")
    now = clock.now()
    row = ClientRow(
        id=0,
        first_name=input.first_name,
        last_name=input.last_name,
        email=input.email,
        email_key=None,
        password_hash=input.password,
        company=input.company or None,
        phone=input.phone or None,
        address=input.address or None,
        city=input.city or None,
        country=input.country or None,
        status=ClientStatus.ACTIVE,
        currency=currency,
        search_key="",
        version=1,
        created_at=now,
        updated_at=now,
        deleted_at=None,
    )
    added = await clients.add_unless_taken(context.writing, keyed(row)) or _taken()
    await emit(context, ClientCreated(Client, added, added.id))
    return added


@command(Client, requires=Scope.CLIENTS_WRITE, emits=(ClientUpdated,), prepare=hash_password)
async def client_update(context: Context, id: ClientId, input: ClientUpdateInput) -> ClientRow:
    """Changes the members given and leaves the others; nothing changed is no event."""
    row = await clients.locked(context.writing, id) or _missing(id)
    after = changed(row, input, input.password if given(input.password) else None)
    if after == row:
        return row
    if after.email_key != row.email_key:
        await _check_email(context, after.email or "", id)
    after = await clients.save(context.writing, row, after)
    await emit(context, ClientUpdated(Client, after, after.id))
    return after


@command(DeletedClient, requires=Scope.CLIENTS_WRITE, emits=(ClientDeleted,))
async def client_delete(context: Context, id: ClientId) -> DeletedRow:
    """Erases a client: personal data is blanked, the e-mail address is free again, invoices are kept.

    Refused while the client has a pending, active or suspended service, or an unpaid or draft invoice, or while a
    module is still to do something for it; also when one has failed to remove an account, until `moduleCallRetry` has
    succeeded.
    """
    session = context.writing
    row = await clients.locked(session, id) or _missing(id)
    live = (ServiceStatus.PENDING, ServiceStatus.ACTIVE, ServiceStatus.SUSPENDED)
    check_deletable(
        await services.count_of_client(session, id, live),
        await invoices.count_of_client(session, id, (InvoiceStatus.UNPAID, InvoiceStatus.DRAFT)),
    )
    await services.table.all_locked(session, matching(client_id=id))  # so that their calls stay as they are
    check_finished(
        await module_calls.unfinished_of_client(session, id), await module_calls.not_removed_of_client(session, id)
    )
    gone = await clients.save(session, row, erased(row, clock.now()))
    await api_keys.revoke_of_client(session, id, clock.now())
    context.after_commit(context.keys_changed)
    await erasure.erase_traces(context, id)
    await emit(context, ClientDeleted(Client, gone, id))
    return DeletedRow(id, deleted=True)


# Private


def _missing(id: int) -> Any:
    raise not_found("Client", id)


async def _check_email(context: Context, address: str, except_id: int) -> None:
    if await clients.email_taken(context.writing, email_key(address), except_id):
        _taken()


def _taken() -> Any:
    raise invalid_fields({"email": "The email has already been taken."})


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
