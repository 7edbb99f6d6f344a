"""Attempts: how a module call that is due is taken up, and what follows from its answer. The jobs of provisioning."""

import random
from dataclasses import dataclass
from datetime import timedelta

from arcbilling import clock
from arcbilling.sealing import SealError
from models.enums import ModuleAction, ModuleCallStatus, ServiceStatus
from models.module_calls import ModuleCallRow
from models.products import ProductRow
from models.servers import ServerRow
from models.services import ServiceRow
from provisioning.protocol import Account, Call, ModuleError, Server
from resolvers import module_calls, products, servers, services
from schema.context import Context
from schema.events import ServiceCreated
from schema.jobs import job
from schema.module_calls import begun, ended, is_overtaken, key_of, made_by, show, with_state
from schema.products import options_of
from schema.servers import SEALED
from schema.services import provisioned, stored


@dataclass(frozen=True)
class Attempt:
    """One attempt at a module call, as it was taken up."""

    call_id: int
    service_id: int
    server_id: int | None
    number: int
    module: str
    action: ModuleAction
    call: Call | ModuleError
    """What the module is told; an error if there is nothing that it could be told."""


Answer = Account | ModuleError | None


BEGIN, END = "moduleCallBegin", "moduleCallEnd"
"""The jobs, as the audit trail names them."""


# Rules


def told(
    call: ModuleCallRow, making: ModuleCallRow, service: ServiceRow, product: ProductRow, server: Server | None
) -> Call:
    """What the module is told of a call for the account that another, or the same, makes."""
    return Call(
        key=key_of(call),
        account_key=key_of(making),
        service_id=service.id,
        account=Account(service.username, service.domain),
        server=server,
        options=options_of(product),
    )


def check_server(call: ModuleCallRow, server: ServerRow) -> None:
    if server.module != call.module:
        raise ModuleError(
            f"Server {server.id} is set to the module {server.module}, and this call is for {call.module}.", retry=False
        )


def is_past(call: ModuleCallRow, calls: list[ModuleCallRow], service: ServiceRow) -> bool:
    """Whether a call is not wanted any more: it was overtaken, or staff have set up what it was to make."""
    by_hand = call.action is ModuleAction.CREATE and service.status is not ServiceStatus.PENDING
    return by_hand or is_overtaken(call, calls)


def provisioned_as(service: ServiceRow, answer: Account | None) -> ServiceRow:
    """The service once its account was made, under the name that the server gave it: active, unless it ended before."""
    if answer is not None and answer.username is not None:
        service = service._replace(username=answer.username)
    return provisioned(service) if service.status is ServiceStatus.PENDING else service


# Jobs


@job(BEGIN)
async def begin(context: Context, service_id: int, lease: timedelta) -> Attempt | None:
    """Takes up the call of a service that is due; None when there is none, or another process is at it."""
    session = context.writing
    service = await services.locked_unless_busy(session, service_id)
    if service is None:
        return None
    now = clock.now()
    calls = await module_calls.of_service(session, service_id)
    first = next((call for call in calls if call.due_at is not None), None)
    if first is None or first.due_at is None or first.due_at > now:
        return None
    call = begun(first, is_past(first, calls, service), now, lease)
    briefed = await _briefed(context, call, calls, service)
    if call.status is ModuleCallStatus.RUNNING and isinstance(briefed, Call):
        call = call._replace(told_at=call.told_at or now)
    call = await module_calls.save(session, first, call)
    await show(context, service)
    if call.status is not ModuleCallStatus.RUNNING:
        return None
    return Attempt(call.id, service.id, call.server_id, call.attempts, call.module, call.action, briefed)


@job(END, emits=(ServiceCreated,))
async def end(context: Context, attempt: Attempt, answer: Answer, time_scale: float) -> None:
    """Writes down how an attempt ended, and what follows: a service whose account was made becomes active.

    An answer to another attempt than the last one changes nothing: it came too late.
    """
    session = context.writing
    service = await services.locked(session, attempt.service_id)
    assert service is not None, "services are never deleted"
    calls = await module_calls.of_service(session, service.id)
    call = next(one for one in calls if one.id == attempt.call_id)
    if call.status is not ModuleCallStatus.RUNNING or call.attempts != attempt.number:
        return
    error = answer if isinstance(answer, ModuleError) else None
    outcome = ended(call, is_past(call, calls, service), error, clock.now(), random.random(), time_scale)
    await module_calls.save(session, call, outcome)
    after = service
    if call.action is ModuleAction.CREATE and not isinstance(answer, ModuleError):
        after = provisioned_as(service, answer)
    await stored(context, service, await with_state(context, after), ServiceCreated)


# Private


async def _briefed(
    context: Context, call: ModuleCallRow, calls: list[ModuleCallRow], service: ServiceRow
) -> Call | ModuleError:
    """What the module is told; why it cannot be told anything, if it cannot."""
    if context.modules.get(call.module) is None:
        return ModuleError(f"The module {call.module} is not installed.")
    product = await products.by_id(context.session, service.product_id)
    assert product is not None, "a foreign key holds it"
    try:
        making = call if call.action is ModuleAction.CREATE else made_by(calls, ModuleAction.TERMINATE)
        assert making is not None, "else nothing would be asked for"
        return told(call, making, service, product, await _server(context, call))
    except ModuleError as error:
        return error


async def _server(context: Context, call: ModuleCallRow) -> Server | None:
    if call.server_id is None:
        return None
    row = await servers.by_id(context.session, call.server_id)
    assert row is not None, "a foreign key holds it"
    check_server(call, row)
    try:
        opened = None if row.credentials is None else context.vault.open(row.credentials, SEALED).decode()
    except SealError as error:
        raise ModuleError(str(error), retry=False) from None
    return Server(row.hostname, opened)
