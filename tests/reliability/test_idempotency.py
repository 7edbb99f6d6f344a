"""Idempotency-Key: whose it is, how long it counts, what is stored under it and how."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from arcbilling import clock
from resolvers import idempotency
from tests.conftest import House

pytestmark = pytest.mark.anyio

ADA = {"first_name": "Plantedname", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}


async def post(house: House, used: str, body: Any = None, path: str = "/clients", **more: Any) -> httpx2.Response:
    return await house.rest("POST", path, body or ADA, headers={"Idempotency-Key": used}, **more)


async def test_the_same_key_and_body_give_the_stored_answer(house: House) -> None:
    first, second = await post(house, "abc"), await post(house, "abc")
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert (second.status_code, second.content) == (first.status_code, first.content) == (201, first.content)
    assert second.headers["location"] == first.headers["location"]
    assert second.headers["content-type"] == first.headers["content-type"]
    assert await house.events() == ["client.created"]


async def test_the_order_of_members_and_blanks_do_not_make_another_body(house: House) -> None:
    await post(house, "abc")
    async with house.http() as http:
        text = '{ "password":"12345678", "email" :"ada@shop.test","last_name":"Lovelace","first_name":"Plantedname"}'
        headers = {"Idempotency-Key": "abc", "Content-Type": "application/json"}
        again = await http.post("/api/v1/clients", content=text, headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")


async def test_the_key_may_be_bare_or_quoted(house: House) -> None:
    await post(house, '"abc"')
    assert (await post(house, "abc")).headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", ["", '""', "a" * 256, "a b", '"' + "a" * 256 + '"', "a\tb"])
async def test_a_key_that_is_not_one_is_refused_and_nothing_done(house: House, key: str) -> None:
    answer = await post(house, key)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        "The Idempotency-Key header must be 1 to 255 visible ASCII characters."
    )
    assert await house.events() == []


@pytest.mark.parametrize("key", ["a", "a" * 255, '"' + "a" * 255 + '"', "!~%&{}[]"])
async def test_keys_of_one_to_255_characters_are_taken(house: House, key: str) -> None:
    assert (await post(house, key)).status_code == 201
    assert (await post(house, key)).headers["idempotency-replayed"] == "true"


async def test_the_same_key_with_another_request_is_refused(house: House) -> None:
    await post(house, "abc")
    for answer in (
        await post(house, "abc", ADA | {"email": "b@shop.test"}),
        await post(house, "abc", path="/invoices"),
        await house.rest("PUT", "/clients/1", {"city": "London"}, headers={"Idempotency-Key": "abc"}),
    ):
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["error"]["code"] == "VALIDATION_ERROR"
    assert (await post(house, "abc", ADA | {"email": "b@shop.test"})).status_code == 422
    assert await house.events() == ["client.created"]


async def test_a_key_belongs_to_the_api_key_that_used_it(house: House) -> None:
    await post(house, "abc")
    other = await house.new_key()
    answer = await post(house, "abc", ADA | {"email": "b@shop.test"}, key=other)
    assert (answer.status_code, answer.json()["data"]["id"]) == (201, 2)


async def test_a_refusal_frees_the_key(house: House) -> None:
    assert (await post(house, "abc", ADA | {"email": "none"})).status_code == 400
    taken = await house.a_client(email="taken@shop.test")
    assert (await post(house, "abc", ADA | {"email": taken["email"]})).status_code == 400
    answer = await post(house, "abc")
    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers


async def test_put_and_delete_take_a_key_too(house: House) -> None:
    await house.a_client()
    for method, path, body in (("PUT", "/clients/1", {"city": "London"}), ("DELETE", "/clients/1", None)):
        for replayed in (None, "true"):
            answer = await house.rest(method, path, body, headers={"Idempotency-Key": method})
            assert answer.status_code == 200, answer.text
            assert answer.headers.get("idempotency-replayed") == replayed
    assert await house.events() == ["client.created", "client.updated", "client.deleted"]


async def test_graphql_takes_a_key_for_one_mutation_field(house: House) -> None:
    given = {"firstName": "Ada", "lastName": "L", "email": "a@shop.test", "password": "12345678"}
    create = "mutation($i: ClientCreateInput!) { clientCreate(input: $i) { id } }"
    headers = {"Idempotency-Key": "abc"}
    async with house.http() as http:
        first = await http.post("/graphql", json={"query": create, "variables": {"i": given}}, headers=headers)
        blanks = create.replace("{ id", "{  id")
        second = await http.post("/graphql", json={"query": blanks, "variables": {"i": given}}, headers=headers)
        other = {"query": create, "variables": {"i": given | {"firstName": "Eve"}}}
        third = await http.post("/graphql", json=other, headers=headers)
        twice = "mutation { a: ticketClose(id: 1) { id } b: ticketClose(id: 2) { id } }"
        fourth = await http.post("/graphql", json={"query": twice}, headers={"Idempotency-Key": "d"})
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    assert third.status_code == 422
    assert third.json()["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"
    assert fourth.json()["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"


async def test_a_key_counts_for_24_hours(house: House) -> None:
    await post(house, "abc")
    start = clock.now()
    with clock.at(start + timedelta(hours=23, minutes=59)):
        assert (await post(house, "abc")).headers["idempotency-replayed"] == "true"
    with clock.at(start + timedelta(hours=24, minutes=1)):
        answer = await post(house, "abc", ADA | {"email": "b@shop.test"})
        assert (answer.status_code, answer.json()["data"]["id"]) == (201, 2)


async def test_expired_answers_are_removed_and_others_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PURGED_AT_ONCE", 2)
    invoice = await house.an_invoice()
    with clock.at(clock.now() - timedelta(hours=25)):
        for number in range(5):
            await post(house, f"old-{number}", {"amount": "0.01"}, f"/invoices/{invoice['id']}/pay")
    await post(house, "new")
    batches = []
    while removed := await idempotency.purge(house.engine.database):
        batches.append(removed)
    assert all(removed <= 2 for removed in batches)
    assert await house.rows("SELECT key FROM idempotency_records") == [("new",)]


async def test_a_second_request_is_told_to_wait_while_the_first_takes_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "SECONDS_TO_WAIT", 0.05)
    (key_id,) = (await house.rows("SELECT max(id) FROM api_keys"))[0]
    async with running(house, f"key:{key_id}", "abc"):
        answer = await post(house, "abc")
        assert (answer.status_code, answer.headers["retry-after"]) == (409, "2")
        assert answer.json()["error"]["code"] == "VALIDATION_ERROR"
    assert (await post(house, "abc")).status_code == 201


@asynccontextmanager
async def running(house: House, principal: str, key: str) -> AsyncIterator[None]:
    """As while a request with the key is being done."""
    async with idempotency.turn(idempotency.IdempotencyRequest(principal, key, "", house.engine.vault)):
        yield


async def test_stored_answers_are_sealed(house: House) -> None:
    create = 'mutation { apiKeyCreate(input: { name: "n" }) { key apiKey { id } } }'
    async with house.http() as http:
        answers = [
            await http.post("/graphql", json={"query": create}, headers={"Idempotency-Key": "k"}) for _ in range(2)
        ]
    key = answers[0].json()["data"]["apiKeyCreate"]["key"]
    assert answers[1].json()["data"]["apiKeyCreate"]["key"] == key
    assert await house.rows("SELECT count(*) FROM api_keys") == [(2,)]
    assert (await house.rest("GET", "/clients", key=key)).status_code == 200
    await post(house, "abc", ADA | {"first_name": "Plantedname"})
    await house.rest("DELETE", "/clients/1")
    for text in (key, house.key, key.removeprefix("arcb_live_")[:32], ADA["password"]):
        assert text.encode() not in await stored(house)
    (sealed,) = [answer for (answer,) in await house.rows("SELECT answer FROM idempotency_records WHERE key = 'k'")]
    assert key.encode() not in sealed
    assert b"apiKeyCreate" not in sealed


async def stored(house: House) -> bytes:
    """All that stands in the database: in its files, where they can be read."""
    if house.settings.is_sqlite:
        path = house.settings.sqlite_path
        return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    tables = await house.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert len(tables) > 10
    return repr([await house.rows(f"SELECT * FROM {table}") for (table,) in tables]).encode()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/clients", ADA | {"email": "eve@shop.test"}),
        ("PUT", "/clients/1", {}),  # nothing changed, no event
        ("PUT", "/clients/1", {"city": "London"}),
        ("POST", "/tickets", {"client_id": 1, "department_id": 1, "subject": "s", "message": "m"}),
    ],
)
async def test_the_answers_that_tell_of_an_erased_client_are_gone(
    house: House, method: str, path: str, body: Any
) -> None:
    if body != ADA | {"email": "eve@shop.test"}:
        await house.a_client()
    headers = {"Idempotency-Key": "abc"}
    assert (await house.rest(method, path, body, headers=headers)).status_code in (200, 201)
    assert (await house.rest("DELETE", "/clients/1")).status_code == 200
    assert await house.rows("SELECT answer FROM idempotency_records") == [(None,)]
    again = await house.rest(method, path, body, headers=headers)
    assert again.status_code == 422, again.text
    assert "erased" in again.json()["error"]["message"]
    assert "ada" not in again.text.replace(again.headers["x-request-id"], "").lower()  # its digits spell anything


async def test_the_answer_that_made_an_erased_clients_key_is_gone(house: House) -> None:
    await house.a_client(first_name="Plantedname")
    create = 'mutation { apiKeyCreate(input: { name: "n", clientId: 1 }) { key apiKey { client { firstName } } } }'
    async with house.http() as http:
        made = await http.post("/graphql", json={"query": create}, headers={"Idempotency-Key": "k"})
        assert "Plantedname" in made.text
        await house.rest("DELETE", "/clients/1")
        again = await http.post("/graphql", json={"query": create}, headers={"Idempotency-Key": "k"})
    assert again.status_code == 422
    assert "Plantedname" not in again.text
