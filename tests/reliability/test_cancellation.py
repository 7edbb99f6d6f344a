"""Callers that go away: a request that is cancelled at any moment leaves nothing half-written and nothing locked."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from resolvers import unit_of_work
from tests.conftest import House
from tests.reliability.soundness import check_sound, tell

pytestmark = pytest.mark.anyio

CANCELLED = 1500
TOGETHER = 25

CREATE = "mutation($i: InvoiceCreateInput!) { invoiceCreate(input: $i) { id number items { id } } }"
READ = "{ clients(first: 5) { nodes { id invoices(first: 5) { nodes { number items { amount } } } } } }"


def a_request(dice: random.Random, clients: list[int], invoices: list[int]) -> tuple[str, str, Any, dict[str, str]]:
    """Method, path, body and headers of something to do."""
    items = [{"description": "Hosting", "amount": "5.00"}, {"description": "Reduction", "amount": "-1.00"}]
    client, invoice = dice.choice(clients), dice.choice(invoices)
    headers = {"Idempotency-Key": f"key-{dice.randrange(10**9)}"} if dice.random() < 0.3 else {}
    match dice.randrange(7):
        case 0 | 1:
            body = {"client_id": client, "due_date": "2030-01-31", "items": items}
            return "POST", "/api/v1/invoices", body, headers
        case 2:
            given = {"clientId": client, "dueDate": "2030-01-31", "items": items}
            return "POST", "/graphql", {"query": CREATE, "variables": {"i": given}}, headers
        case 3:
            return "POST", f"/api/v1/invoices/{invoice}/pay", {}, headers
        case 4:
            body = {"client_id": client, "department_id": 1, "subject": "Help", "message": "It is down."}
            return "POST", "/api/v1/tickets", body, headers
        case 5:
            return "GET", f"/api/v1/invoices?client_id={client}&total=true", None, {}
        case _:
            return "POST", "/graphql", {"query": READ}, {}


async def cut_short(http: httpx2.AsyncClient, request: tuple[str, str, Any, dict[str, str]], steps: int) -> str:
    """Sends the request and cancels it after so many turns of the event loop; tells what came of it."""
    method, path, body, headers = request
    task = asyncio.create_task(http.request(method, path, json=body, headers=headers))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        answer = await task
        assert answer.status_code < 400, answer.text
        return "answered"
    return "cancelled"


# graphql-core leaves the coroutines of a cancelled read unawaited; they hold nothing.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_cancelled_requests_leave_nothing_half_written_and_nothing_locked(house: House) -> None:
    dice = random.Random(20260101)
    clients = [(await house.a_client())["id"] for _ in range(3)]
    invoices = [(await house.an_invoice(client))["id"] for client in clients for _ in range(10)]
    outcomes: Counter[str] = Counter()
    async with house.http() as http:
        while outcomes["cancelled"] < CANCELLED:
            batch = [(a_request(dice, clients, invoices), dice.randrange(400)) for _ in range(TOGETHER)]
            async with asyncio.timeout(60):
                outcomes.update(await asyncio.gather(*(cut_short(http, request, steps) for request, steps in batch)))
    async with asyncio.timeout(60):
        await unit_of_work.finish_all(60)
        made = await house.an_invoice(clients[0])
        assert (await house.rest("GET", f"/invoices/{made['id']}")).status_code == 200
    counts = {
        table: (await house.rows(f"SELECT count(*) FROM {table}"))[0][0]
        for table in ("invoices", "payments", "tickets", "events", "audit_entries", "idempotency_records")
    }
    tell(f"{dict(outcomes)}; then {counts}")
    await check_sound(house.engine.database)


async def test_a_caller_that_goes_away_does_not_undo_what_it_asked_for(house: House) -> None:
    """Once it has begun, the work is finished; its answer waits under its Idempotency-Key."""
    client = await house.a_client()
    body = {"client_id": client["id"], "due_date": "2030-01-31", "items": [{"description": "x", "amount": "1"}]}
    begun = asyncio.Event()
    house.engine.database.on_statement = lambda sql: begun.set() if "INSERT INTO invoices" in sql else None
    task = asyncio.create_task(house.rest("POST", "/invoices", body, headers={"Idempotency-Key": "a"}))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    house.engine.database.on_statement = None
    again = await house.rest("POST", "/invoices", body, headers={"Idempotency-Key": "a"})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert await house.rows("SELECT count(*) FROM invoices") == [(1,)]
    await check_sound(house.engine.database)
