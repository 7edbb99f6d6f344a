"""No request of at most 64 KiB costs more than 50 ms of CPU, whatever it asks for and however it is written."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import graphql
import pytest

from schema.limits import MAX_BYTES
from tests.conftest import House
from tests.reliability import attack_bodies, attacks
from tests.reliability.soundness import tell

pytestmark = pytest.mark.anyio

MOST = 50.0
"""Milliseconds of CPU, on a machine that is free."""
BUSY = 1.5
"""What others do with the machine makes the same work so much longer: their data drives ours out of its caches."""
TRIES = 9
"""A try that takes too long may have been disturbed: as many more are made before it counts."""


@pytest.fixture
def engine() -> str:
    """What a request costs before anything is read is the same on both."""
    return "sqlite"


@dataclass
class Cost:
    milliseconds: float
    status: int
    answer: bytes

    @property
    def said(self) -> str:
        """What the answer says, in a few words."""
        answer = json.loads(self.answer)
        errors = answer.get("errors") or ([answer["error"]] if answer.get("error") else [])
        return " ".join(errors[0]["message"].split())[:70] if errors else "data"


async def asked(house: House, path: str, body: bytes, method: str = "POST", query: bytes = b"") -> Cost:
    """The whole request, from its bytes to the bytes of its answer, without a server around it."""
    assert len(body) <= MAX_BYTES
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {
        "authorization": f"Bearer {house.key}",
        "content-type": "application/json",
        "accept": "application/graphql-response+json" if path == "/graphql" else "application/json",
    }
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    started = time.process_time()
    await house.app(scope, receive, send)
    took = time.process_time() - started
    return Cost(took * 1000, sent[0]["status"], b"".join(message.get("body", b"") for message in sent))


async def cheapest(house: House, attack: attack_bodies.Attack) -> Cost:
    """The best of three, or of more if that is too much; each time it is a document that was never seen."""
    best: Cost | None = None
    for number in range(TRIES):
        cost = await asked(house, "/graphql", attacks.body(attack, number))
        best = cost if best is None or cost.milliseconds < best.milliseconds else best
        if number >= 2 and best.milliseconds <= MOST:
            break
    assert best is not None
    return best


def table(costs: dict[str, Cost]) -> str:
    rows = sorted(costs.items(), key=lambda row: -row[1].milliseconds)
    return "\n".join(
        f"{cost.milliseconds:6.1f} ms  {cost.status}  {len(cost.answer):7,} bytes  {name:52} {cost.said}"
        for name, cost in rows
    )


async def test_no_shape_of_a_document_or_of_its_variables_costs_more_than_50_ms(house: House) -> None:
    await house.a_client()
    costs = {name: await cheapest(house, attack) for name, attack in attacks.QUERIES.items()}
    tell(table(costs))
    assert {name: cost.milliseconds for name, cost in costs.items() if cost.milliseconds > MOST * BUSY} == {}
    assert {name: cost.said for name, cost in costs.items() if cost.status not in (200, 400)} == {}
    told = {name: len(cost.answer) for name, cost in costs.items() if cost.status == 400}
    assert {name: size for name, size in told.items() if size > 40_000} == {}


@pytest.mark.parametrize("path", ["/graphql", "/api/v1/clients", "/api/v1/invoices"])
async def test_no_body_costs_more_than_50_ms(house: House, path: str) -> None:
    costs: dict[str, Cost] = {}
    for name, body in attack_bodies.bodies().items():
        tries = [await asked(house, path, body) for _ in range(TRIES)]
        costs[name] = min(tries, key=lambda cost: cost.milliseconds)
    tell(table(costs))
    assert {name: cost.milliseconds for name, cost in costs.items() if cost.milliseconds > MOST * BUSY} == {}
    assert {cost.status for cost in costs.values()} == {400}


async def test_no_write_that_is_refused_costs_more_than_50_ms(house: House) -> None:
    await house.a_client()
    costs: dict[str, Cost] = {}
    for name, (path, body) in attack_bodies.writes().items():
        tries = [await asked(house, path, body) for _ in range(TRIES)]
        costs[name] = min(tries, key=lambda cost: cost.milliseconds)
    tell(table(costs))
    assert {name: cost.milliseconds for name, cost in costs.items() if cost.milliseconds > MOST * BUSY} == {}
    assert {cost.status for cost in costs.values()} == {400}


async def test_the_dearest_query_that_is_allowed_costs_no_more(house: House) -> None:
    """Five thousand points, spent on rows that are there."""
    client = (await house.a_client())["id"]
    for _ in range(100):
        await house.an_invoice(client)
    fields = "id number status dueDate subtotal tax total balance currency createdAt updatedAt"
    costs = {
        "100 invoices of 44 fields": await cheapest(
            house, (f"{{invoices(first:100){{nodes{{{fields} {fields}}}}}}}", None)
        ),
        "100 invoices with items and clients": await cheapest(
            house,
            (
                f"{{invoices(first:100){{nodes{{{fields} items{{id description amount}}"
                "client{id firstName lastName email city country status} payments{id amount}}}}",
                None,
            ),
        ),
        "16 clients of 100 invoices": await cheapest(
            house,
            (
                "{clients(first:16){nodes{invoices(first:100){nodes{id total}}}}}",
                None,
            ),
        ),
    }
    tell(table(costs))
    assert {name: cost.milliseconds for name, cost in costs.items() if cost.milliseconds > MOST * BUSY} == {}
    assert all(cost.status == 200 and cost.said == "data" for cost in costs.values())


async def test_what_was_refused_once_is_refused_again_for_less(house: House) -> None:
    attack = attacks.QUERIES["enums: 1,900 unknown in a list"]
    body = attacks.body(attack, 0)
    first, *again = [await asked(house, "/graphql", body) for _ in range(4)]
    assert min(cost.milliseconds for cost in again) < first.milliseconds / 2
    assert {cost.answer for cost in again} == {first.answer}


async def test_no_work_is_done_for_a_document_that_is_refused(house: House, statements: list[str]) -> None:
    refused = [name for name in attacks.QUERIES if name.startswith(("F1", "__typename", "aliases: 600", "directives"))]
    await asked(house, "/graphql", b"{}")  # reads the key
    statements.clear()
    for name in refused:
        assert (await asked(house, "/graphql", attacks.body(attacks.QUERIES[name], 0))).status == 400, name
    assert statements == []


@pytest.mark.parametrize("depth", [7, 9, 14])
async def test_the_standard_introspection_query_always_passes(house: House, depth: int) -> None:
    for key in (house.key, await house.new_key("tickets:read"), await house.new_key("clients:read", client=None)):
        answer = await house.graphql(graphql.get_introspection_query(type_depth=depth), key=key)
        assert "errors" not in answer
        assert graphql.build_client_schema(answer["data"])
