"""Module calls: what is to be done on servers. Queued by the command that decided it; made after its commit."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from arcbilling import clock
from models.enums import ModuleAction, ModuleCallStatus, ProvisionState, ServiceStatus
from models.module_calls import ModuleCallRow
from models.servers import ServerRow
from models.services import ServiceRow
from provisioning.protocol import ModuleError
from resolvers import clients, module_calls, servers, services
from resolvers.filters import Where, matching
from resolvers.reading import Columns
from schema import ids
from schema.actors import Policy, Scope
from schema.checks import Reference
from schema.connections import lists
from schema.context import Context
from schema.errors import invalid_transition, not_found, refused
from schema.fields import command, derived, id_argument, id_member, identifier, member, plain, query, relation, wanted
from schema.ids import Kind
from schema.moments import Since, Until
from schema.nodes import Node
from schema.servers import Server

strawberry.enum(ModuleAction, description="What a module is asked to do with an account.")
strawberry.enum(
    ModuleCallStatus,
    description="Where a module call stands. `RETRYING` waits for its next attempt; a `FAILED` one waits for staff; "
    "a `CANCELLED` one was overtaken by a later call, or is not needed any more.",
)

ModuleCallId = Annotated[int, *id_argument(Kind.MODULE_CALL)]
STAFF = Policy(Scope.SERVICES_READ, open_to_clients=False)
"""What modules say is for staff."""


@strawberry.type(description="A call to a module: something that is to be done for a service on a server.")
class ModuleCall(Node):
    id: strawberry.ID = identifier(
        Kind.MODULE_CALL, "`mcl_5`. The idempotency key that the module gets begins with it: `mcl_5-2f1b90c4d7e8a653`."
    )
    service_id: strawberry.ID = identifier(Kind.SERVICE, "The service that it is for.")
    server_id: strawberry.ID | None = identifier(Kind.SERVER, "The server that it concerns; null for none.")
    module: str = plain("The module that is called.")
    action: ModuleAction = plain("What it is asked to do.")
    status: ModuleCallStatus = plain("Where it stands.")
    attempts: int = plain("How often it was begun.")
    last_error: str | None = plain("What went wrong at the last attempt that failed.")
    created_at: datetime = plain("When it was queued.")
    updated_at: datetime = plain("When it was last changed.")
    finished_at: datetime | None = plain("When it was done, failed or was cancelled.")

    @derived(datetime | None)
    def next_attempt_at(row: ModuleCallRow) -> datetime | None:
        """When it is tried next; null while it runs and once it is finished."""
        return row.due_at if row.status in WAITING else None

    @relation(
        Annotated["Service", strawberry.lazy("schema.services")] | None,  # noqa: F821
        requires=Scope.SERVICES_READ,
        by="service_id",
    )
    async def service(ids: list[int], context: Context, columns: Columns) -> Sequence[ServiceRow | None]:
        """The service that it is for."""
        return await context.each(services.table, ids, columns)

    @relation(Server | None, requires=Scope.SERVERS_READ, by="server_id")
    async def server(ids: list[int], context: Context, columns: Columns) -> Sequence[ServerRow | None]:
        """The server that it concerns."""
        return await context.each(servers.table, ids, columns)


@strawberry.enum(description="The order of a list of module calls.")
class ModuleCallSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"


@strawberry.input(description="Which module calls.")
class ModuleCallFilter:
    status: ModuleCallStatus | None = member("Calls of this status.", optional=True)
    service_id: Annotated[int | None, Reference(Kind.SERVICE)] = id_member("Calls for this service.", optional=True)
    server_id: Annotated[int | None, Reference(Kind.SERVER)] = id_member(
        "Calls that concern this server.", optional=True
    )
    created_from: Since = member("Queued then or later: a time, or a date.", optional=True)
    created_to: Until = member("Queued then or earlier: a time, or a date, that day included.", optional=True)


# Rules

S = ModuleCallStatus
WAITING = (S.QUEUED, S.RETRYING)
MOST_ATTEMPTS = 8
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=6)
JITTER = 0.1

STATES = {
    S.QUEUED: ProvisionState.QUEUED,
    S.RETRYING: ProvisionState.QUEUED,
    S.RUNNING: ProvisionState.RUNNING,
    S.DONE: ProvisionState.OK,
    S.FAILED: ProvisionState.FAILED,
}


def state_of(calls: list[ModuleCallRow]) -> ProvisionState:
    """What the server does for a service: what the last of its calls says, but that one that runs comes first."""
    statuses = [call.status for call in calls if call.status is not S.CANCELLED]
    if not statuses:
        return ProvisionState.NONE
    return ProvisionState.RUNNING if S.RUNNING in statuses else STATES[statuses[-1]]


def wait_after(attempts: int, dice: float) -> timedelta:
    """How long to wait after so many attempts: 30 s, then three times as long each time, up to 6 h.

    The dice, from 0 to 1, make it a tenth shorter to a tenth longer: what failed together is not tried together.
    """
    wait: timedelta = min(FIRST_WAIT * 3 ** (attempts - 1), LONGEST_WAIT)
    return wait * (1 - JITTER + 2 * JITTER * dice)


def new_call(
    service: ServiceRow, module: str, server_id: int | None, action: ModuleAction, now: datetime
) -> ModuleCallRow:
    return ModuleCallRow(
        id=0,
        service_id=service.id,
        client_id=service.client_id,
        server_id=server_id,
        module=module,
        action=action,
        status=S.QUEUED,
        attempts=0,
        most_attempts=MOST_ATTEMPTS,
        due_at=now,
        last_error=None,
        version=1,
        created_at=now,
        updated_at=now,
        finished_at=None,
        key_part=secrets.token_hex(8),
        told_at=None,
    )


def key_of(call: ModuleCallRow) -> str:
    """The idempotency key that the module gets: the same at every attempt, and at no other call anywhere."""
    id = ids.write(Kind.MODULE_CALL, call.id)
    return id if call.key_part is None else f"{id}-{call.key_part}"


def finished(call: ModuleCallRow, status: ModuleCallStatus, now: datetime) -> ModuleCallRow:
    return call._replace(status=status, due_at=None, finished_at=now)


def begun(call: ModuleCallRow, overtaken: bool, now: datetime, lease: timedelta) -> ModuleCallRow:
    """A call that is due, as it is taken up. One whose lease ran out lost the process that made it.

    A call that was overtaken, or has had all its attempts, is not made again.
    """
    if call.status is S.RUNNING:
        call = call._replace(last_error="The process that made the call ended before there was an answer.")
        if overtaken or call.attempts >= call.most_attempts:
            return finished(call, S.CANCELLED if overtaken else S.FAILED, now)
    return call._replace(status=S.RUNNING, attempts=call.attempts + 1, due_at=now + lease)


def ended(
    call: ModuleCallRow, overtaken: bool, error: ModuleError | None, now: datetime, dice: float, time_scale: float
) -> ModuleCallRow:
    """A call that was running, as an attempt ended: done, to be tried again, or at its end.

    The time scale divides the wait: where it is 60, a minute takes a second.
    """
    if error is None:
        return finished(call, S.DONE, now)._replace(last_error=None)
    call = call._replace(last_error=error.message[:1000])
    if overtaken:
        return finished(call, S.CANCELLED, now)
    if not error.retry or call.attempts >= call.most_attempts:
        return finished(call, S.FAILED, now)
    tried = call.attempts - (call.most_attempts - MOST_ATTEMPTS)
    return call._replace(status=S.RETRYING, due_at=now + wait_after(tried, dice) / time_scale)


def retried(call: ModuleCallRow, overtaken: bool, now: datetime) -> ModuleCallRow:
    """The call as staff have it tried again, at once and as often as a new one; under its own key all the same."""
    match call.status:
        case S.QUEUED | S.RUNNING:
            return call
        case S.FAILED | S.RETRYING if not overtaken:
            return call._replace(
                status=S.QUEUED, due_at=now, most_attempts=call.attempts + MOST_ATTEMPTS, finished_at=None
            )
        case S.FAILED | S.RETRYING:
            raise invalid_transition(f"Module call {call.id} was overtaken by a later one and cannot be retried.", ())
        case _:
            raise invalid_transition(f"Module call {call.id} is {call.status} and cannot be retried.", ())


def is_overtaken(call: ModuleCallRow, calls: list[ModuleCallRow]) -> bool:
    """Whether a later call for the same service has come to stand for what is wanted."""
    return any(other.id > call.id and other.status is not S.CANCELLED for other in calls)


def follow_up(before: ServiceStatus, after: ServiceStatus) -> ModuleAction | None:
    """What is to be done with the account when the status of its service changes."""
    match after:
        case ServiceStatus.SUSPENDED:
            return ModuleAction.SUSPEND
        case ServiceStatus.TERMINATED | ServiceStatus.CANCELLED:
            return ModuleAction.TERMINATE
        case ServiceStatus.ACTIVE if before is ServiceStatus.SUSPENDED:
            return ModuleAction.UNSUSPEND
        case _:
            return None


def made_by(calls: list[ModuleCallRow], action: ModuleAction) -> ModuleCallRow | None:
    """The call that made the account that the action is for, or is at it.

    What may have made one is enough to remove it: a call that its module was told, however it ended.
    """
    creations = [call for call in calls if call.action is ModuleAction.CREATE and call.told_at]
    if action is not ModuleAction.TERMINATE:
        creations = [call for call in creations if call.status in (S.DONE, S.RUNNING)]
    return creations[-1] if creations else None


def open_calls(calls: list[ModuleCallRow]) -> list[ModuleCallRow]:
    """Those that wait, for their time or for staff: what comes later overtakes them."""
    return [call for call in calls if call.status in (*WAITING, S.FAILED)]


def following(
    calls: list[ModuleCallRow], service: ServiceRow, action: ModuleAction, now: datetime
) -> tuple[list[ModuleCallRow], ModuleCallRow | None]:
    """What an action does to the calls of a service: those that it overtakes, and its own call."""
    overtaken = open_calls(calls)
    made = made_by(calls, action)
    return overtaken, made and new_call(service, made.module, made.server_id, action, now)


# Queries


@query(ModuleCall | None, requires=STAFF)
async def module_call(context: Context, id: ModuleCallId) -> ModuleCallRow:
    """One module call."""
    return await module_calls.by_id(context.session, id) or _missing(id)


@lists(ModuleCall, module_calls.table, requires=STAFF, sort=ModuleCallSort)
def module_calls_(filter: ModuleCallFilter) -> Where:
    """The module calls."""
    return matching(
        status=wanted(filter.status), service_id=wanted(filter.service_id), server_id=wanted(filter.server_id)
    )


# Commands


@command(ModuleCall, requires=Scope.SERVICES_WRITE)
async def module_call_retry(context: Context, id: ModuleCallId) -> ModuleCallRow:
    """Tries a failed call again, at once: whoever has mended the server need not wait for the next attempt.

    It keeps its id, and so its idempotency key. One that is queued or running already is left as it is.
    """
    call = await module_calls.by_id(context.session, id) or _missing(id)
    client = await clients.locked(context.writing, call.client_id)
    service = await services.locked(context.writing, call.service_id)
    assert service is not None, "a foreign key holds it"
    calls = await module_calls.of_service(context.writing, service.id)
    call = next(one for one in calls if one.id == id)
    again = retried(call, is_overtaken(call, calls), clock.now())
    if again == call:
        return call
    if client is None:
        raise refused(f"Module call {id} is for a client that was erased and cannot be retried.")
    again = await module_calls.save(context.writing, call, again)
    await show(context, service)
    return again


# What other commands and the jobs do with calls


async def set_up_account(context: Context, service: ServiceRow, module: str) -> ServiceRow:
    """Has the module make the account of a pending service, or try again if that has failed; the row with its state."""
    session = context.writing
    calls = [call for call in await module_calls.of_service(session, service.id) if call.status is not S.CANCELLED]
    if not calls:
        now = clock.now()
        await module_calls.add(session, new_call(service, module, service.server_id, ModuleAction.CREATE, now))
    elif (again := retried(calls[-1], overtaken=False, now=clock.now())) != calls[-1]:
        await module_calls.save(session, calls[-1], again)
    return await with_state(context, service)


async def follow_status(context: Context, before: ServiceRow, after: ServiceRow) -> ServiceRow:
    """Has the module that made the account do what the service's new status asks for; the row with its state."""
    action = follow_up(before.status, after.status)
    calls = await module_calls.of_service(context.writing, after.id) if action else []
    if action is None or not calls:
        waits = after.provision_state is ProvisionState.QUEUED and action is ModuleAction.TERMINATE
        return after._replace(provision_state=ProvisionState.NONE) if waits else after
    now = clock.now()
    overtaken, call = following(calls, after, action, now)
    await _cancel(context, overtaken, now)
    if call is not None:
        await module_calls.add(context.writing, call)
    return await with_state(context, after)


async def set_up_by_hand(context: Context, service: ServiceRow) -> None:
    """Cancels what a module was to do for a service that staff have set up: it would make a second account."""
    calls = await module_calls.of_service(context.writing, service.id)
    await _cancel(context, open_calls(calls), clock.now())


async def with_state(context: Context, service: ServiceRow) -> ServiceRow:
    """The row with the state that its calls give it, if it has any; not stored yet."""
    calls = await module_calls.of_service(context.writing, service.id)
    return service._replace(provision_state=state_of(calls)) if calls else service


async def show(context: Context, service: ServiceRow) -> None:
    """Stores the state that the calls of a service give it; its row is locked."""
    after = await with_state(context, service)
    if after != service:
        await services.save(context.writing, service, after)


# Private


async def _cancel(context: Context, calls: list[ModuleCallRow], now: datetime) -> None:
    for call in calls:
        await module_calls.save(context.writing, call, finished(call, S.CANCELLED, now))


def _missing(id: int) -> Any:
    raise not_found("Module call", id)
