"""Many at once: what is asked for a hundred times in parallel happens as often as it should."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from tests.conftest import House, open_house
from tests.databases import EmptyDatabase
from tests.reliability.soundness import check_sound, tell

pytestmark = pytest.mark.anyio

Request = tuple[str, str, Any, dict[str, str]]
"""Method, path, body, headers."""


async def at_once(house: House, requests: Sequence[Request]) -> list[httpx2.Response]:
    """The answers to requests that are sent together."""
    async with house.http() as http:
        return list(
            await asyncio.gather(
                *(http.request(method, path, json=body, headers=headers) for method, path, body, headers in requests)
            )
        )


def told(answers: list[httpx2.Response]) -> str:
    return ", ".join(f"{number} x {status}" for status, number in Counter(a.status_code for a in answers).items())


async def test_a_hundred_uses_of_one_key_make_one_invoice_and_its_event_once(house: House) -> None:
    client = await house.a_client()
    body = {
        "client_id": client["id"],
        "due_date": "2030-01-31",
        "items": [{"description": "Hosting", "amount": "29.99"}],
    }
    answers = await at_once(house, [("POST", "/api/v1/invoices", body, {"Idempotency-Key": "same"})] * 100)
    tell(f"100 uses of one Idempotency-Key: {told(answers)}")
    stored = [answer for answer in answers if answer.status_code != 409]
    assert {(answer.status_code, answer.content) for answer in stored} == {(201, stored[0].content)}
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert sum("idempotency-replayed" not in answer.headers for answer in stored) == 1
    assert {answer.headers["location"] for answer in stored} == {"/api/v1/invoices/1"}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 409)
    assert await house.rows("SELECT count(*) FROM invoices") == [(1,)]
    assert await house.events() == ["client.created", "invoice.created"]
    await check_sound(house.engine.database)


async def test_a_hundred_uses_of_one_key_over_graphql_make_one_client(house: House) -> None:
    query = "mutation($i: ClientCreateInput!) { clientCreate(input: $i) { id email } }"
    given = {"firstName": "Ada", "lastName": "Lovelace", "email": "ada@shop.test", "password": "12345678"}
    body = {"query": query, "variables": {"i": given}}
    answers = await at_once(house, [("POST", "/graphql", body, {"Idempotency-Key": '"same"'})] * 100)
    tell(f"100 uses of one Idempotency-Key over GraphQL: {told(answers)}")
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.text for answer in answers} == {
        '{"data":{"clientCreate":{"id":"cli_1","email":"ada@shop.test"}}}',
    }
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert await house.events() == ["client.created"]


async def test_two_hundred_pays_of_one_invoice_make_one_payment(house: House) -> None:
    invoice = await house.an_invoice()
    answers = await at_once(house, [("POST", f"/api/v1/invoices/{invoice['id']}/pay", {}, {})] * 200)
    tell(f"200 pays of one invoice: {told(answers)}")
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["data"]["status"] for answer in answers} == {"paid"}
    assert await house.rows("SELECT count(*), sum(amount) FROM payments") == [(1, 2999)]
    assert (await house.events()).count("invoice.paid") == 1
    await check_sound(house.engine.database)


async def test_a_hundred_partial_pays_never_take_more_than_the_balance(house: House) -> None:
    invoice = await house.an_invoice(amount="10.00")
    pay: Request = ("POST", f"/api/v1/invoices/{invoice['id']}/pay", {"amount": "0.30"}, {})
    answers = await at_once(house, [pay] * 100)
    assert Counter(answer.status_code for answer in answers) == {200: 33, 400: 67}
    assert await house.rows("SELECT count(*), sum(amount) FROM payments") == [(33, 990)]
    await check_sound(house.engine.database)


async def test_a_hundred_invoices_at_once_are_numbered_without_gap_or_double(house: House) -> None:
    client = await house.a_client()

    def invoice(amount: str) -> Request:
        items = [{"description": "Hosting", "amount": "5.00"}, {"description": "Reduction", "amount": amount}]
        return "POST", "/api/v1/invoices", {"client_id": client["id"], "due_date": "2030-01-31", "items": items}, {}

    answers = await at_once(house, [invoice("-1.00") for _ in range(100)])
    tell(f"100 invoices at once: {told(answers)}")
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["number"] for answer in answers}) == 100
    await check_sound(house.engine.database)

    class FailsHalfWay(RuntimeError): ...

    statements = 0

    def fail_sometimes(sql: str) -> None:
        nonlocal statements
        if sql.startswith("INSERT INTO invoice_items"):
            statements += 1
            if statements % 3 == 0:
                raise FailsHalfWay  # the number is taken by then, and the invoice written

    house.engine.database.on_statement = fail_sometimes
    with capture_logs() as logged:
        answers = await at_once(house, [invoice("-1.00") for _ in range(100)])
    house.engine.database.on_statement = None
    assert [line["event"] for line in logged] == ["internal error"] * 33
    tell(f"100 invoices at once, a third of them failing half-way: {told(answers)}")
    assert Counter(answer.status_code for answer in answers) == {201: 67, 500: 33}
    assert {a.json()["error"]["code"] for a in answers if a.status_code == 500} == {"INTERNAL_ERROR"}
    assert await house.rows("SELECT count(*) FROM invoices") == [(167,)]
    await check_sound(house.engine.database)


async def test_parallel_verbs_leave_a_legal_history_with_one_event_for_each_step(house: House) -> None:
    client, product = await house.a_client(), await house.a_product()
    services = [(await house.a_service(client["id"], product))["id"] for _ in range(5)]
    verbs = ["suspend", "unsuspend"] * 5
    requests: list[Request] = [
        ("POST", f"/api/v1/services/{id}/{verb}", {}, {})
        for some in (verbs, ["terminate"], verbs)
        for id in services
        for verb in some
    ]
    answers = await at_once(house, requests)
    tell(f"105 suspend, unsuspend and terminate of five services: {told(answers)}")
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert await house.rows("SELECT DISTINCT status FROM services") == [("terminated",)]
    await check_sound(house.engine.database)


async def test_the_same_email_at_once_registers_one_client(house: House) -> None:
    body = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}
    answers = await at_once(house, [("POST", "/api/v1/clients", body, {})] * 20)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 400: 19}
    await check_sound(house.engine.database)


async def test_sixty_a_minute_are_exactly_sixty(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    limits = {"rate_limit_authenticated": "60/minute", "rate_limit_anonymous": "10/minute"}
    async with open_house(tmp_path, empty_database, **limits) as house:
        answers = await at_once(house, [("GET", "/api/v1/clients", None, {})] * 200)
        tell(f"200 requests at once at 60 a minute: {told(answers)}")
        assert Counter(answer.status_code for answer in answers) == {200: 60, 429: 140}
        assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"60"}
        for answer in answers:
            if answer.status_code == 429:
                assert answer.json()["error"]["code"] == "RATE_LIMITED"
                assert answer.headers["x-ratelimit-remaining"] == "0"
                assert 1 <= int(answer.headers["retry-after"]) <= 60

        wrong = {"Authorization": "Bearer wrong"}
        answers = await at_once(house, [("GET", "/api/v1/clients", None, wrong)] * 50)
        assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 40}
        other = await house.new_key()
        assert (await house.rest("GET", "/clients", key=other)).status_code == 200
