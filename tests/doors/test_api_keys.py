"""API keys: their form, what they may do, from where, until when; how they end."""

import asyncio
import hashlib
import re
import string
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from arcbilling import clock
from resolvers.engines.postgres_channel import PostgresChannel
from schema import keys
from schema.scalars import write_time
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase

pytestmark = pytest.mark.anyio

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
CREATE = (
    "mutation($i: ApiKeyCreateInput!) { apiKeyCreate(input: $i) { key apiKey { id hint scopes networks clientId } } }"
)


async def status(house: House, key: str, ip: str = "127.0.0.1", path: str = "/api/v1/clients", **headers: str) -> int:
    async with house.http(key, ip) as http:
        return (await http.get(path, headers=headers)).status_code


def refusal(answer: dict[str, Any]) -> tuple[str, str]:
    error = answer["errors"][0]
    return error["extensions"]["code"], error["message"]


def with_checksum(body: str) -> str:
    number, text = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        text = BASE62[digit] + text
    return f"arcb_live_{body}{text}"


# Form and storage


async def test_a_key_is_a_prefix_32_characters_and_a_checksum(house: House) -> None:
    found = re.fullmatch(r"arcb_live_([0-9A-Za-z]{32})([0-9A-Za-z]{6})", house.key)
    assert found is not None
    assert with_checksum(found[1]) == house.key


async def test_only_the_digest_of_a_key_is_stored_and_it_is_shown_once(house: House) -> None:
    key = await house.new_key()
    (row,) = await house.rows("SELECT * FROM api_keys ORDER BY id DESC LIMIT 1")
    assert hashlib.sha256(key.encode()).hexdigest() in row
    for file in house.settings.data_dir.iterdir():
        assert key.encode() not in file.read_bytes()
        assert key[10:42].encode() not in file.read_bytes()
    shown = await house.graphql("{ apiKeys { nodes { id name hint scopes createdBy } } }")
    assert key not in str(shown)
    assert shown["data"]["apiKeys"]["nodes"][1]["hint"] == f"arcb_live_…{key[-4:]}"
    assert await house.rows("SELECT count(*) FROM audit_entries WHERE changes LIKE ?", f"%{row[2]}%") == [(0,)]


async def test_a_malformed_key_never_reaches_the_database(house: House, statements: list[str]) -> None:
    right = keys.new_key()
    wrong = [
        right[:-1],
        right + "0",
        right[:-1] + ("0" if right[-1] != "0" else "1"),
        right.replace("arcb_live_", "arcb_test_"),
        right[:20] + ("A" if right[20] != "A" else "B") + right[21:],
        with_checksum("-" * 32),
        with_checksum("\u00e9" * 32).encode("ascii", "ignore").decode(),
        "x",
        "arcb_live_",
        "' OR 1=1 --",
    ]
    for key in wrong:
        assert await status(house, key) == 401
    assert statements == []
    assert await status(house, right) == 401
    assert any("api_keys" in sql for sql in statements)


async def test_every_key_that_is_not_valid_gets_the_same_answer(house: House) -> None:
    client = await house.a_client()
    gone = await house.new_key(client=client["id"])
    assert await status(house, gone, path="/api/v1/invoices") == 200
    revoked = await house.new_key()
    await house.data("mutation { apiKeyRevoke(id: 3) { id revokedAt } }")
    expired = await house.new_key(expiresAt=write_time(clock.now() + timedelta(hours=1)))
    await house.rest("DELETE", f"/clients/{client['id']}")
    answers = []
    with clock.at(clock.now() + timedelta(hours=2)):
        for token in ("", "x", house.key[:-1], keys.new_key(), expired, revoked, gone):
            headers = {"authorization": f"Bearer {token}", "x-request-id": "same"}
            answers.append(await house.rest("GET", "/invoices", key="", headers=headers))
            answers.append(await house.rest("GET", "/nowhere", key="", headers=headers))
        answers.append(await house.rest("GET", "/invoices", key="", headers={"x-request-id": "same"}))
        basic = {"authorization": f"Basic {house.key}", "x-request-id": "same"}
        answers.append(await house.rest("GET", "/invoices", key="", headers=basic))
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.multi_items())) for answer in answers}) == 1
    assert answers[0].json()["error"]["code"] == "UNAUTHORIZED"


async def test_the_scheme_is_case_blind(house: House) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        async with house.http("") as http:
            answer = await http.get("/api/v1/clients", headers={"authorization": f"{scheme} {house.key}"})
            assert answer.status_code == 200


# What a key may do


async def test_a_missing_scope_is_forbidden_and_named(house: House) -> None:
    key = await house.new_key("clients:read")
    assert await status(house, key) == 200
    answer = await house.rest("POST", "/clients", {}, key=key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
    assert "clients:write" in answer.json()["error"]["message"]
    assert refusal(await house.graphql("{ invoices { nodes { id } } }", key=key)) == (
        "FORBIDDEN",
        "This key lacks the scope invoices:read.",
    )


async def test_write_includes_read(house: House) -> None:
    assert await status(house, await house.new_key("clients:write")) == 200


async def test_a_key_can_only_make_keys_that_may_do_no_more(house: House) -> None:
    key = await house.new_key("keys:write", "clients:write")
    for scopes in (["clients:read"], ["clients:write", "keys:read"]):
        made = await house.data(CREATE, {"i": {"name": "n", "scopes": scopes}}, key=key)
        assert made["apiKeyCreate"]["apiKey"]["scopes"] == scopes
    for beyond in (None, ["*"], ["invoices:read"], ["clients:read", "invoices:write"]):
        answer = await house.graphql(CREATE, {"i": {"name": "n", "scopes": beyond}}, key=key)
        assert refusal(answer)[0] == "FORBIDDEN", beyond
    assert await house.rows("SELECT count(*) FROM api_keys") == [(4,)]


async def test_a_key_cannot_revoke_a_key_that_may_do_more(house: House) -> None:
    key = await house.new_key("keys:write")
    answer = await house.graphql("mutation { apiKeyRevoke(id: 1) { id } }", key=key)
    assert refusal(answer)[0] == "FORBIDDEN"
    assert await status(house, house.key) == 200


@pytest.mark.parametrize("scope", ["clients", "clients:delete", "CLIENTS:READ", "", "everything:read"])
async def test_an_unknown_scope_is_refused(house: House, scope: str) -> None:
    answer = await house.graphql(CREATE, {"i": {"name": "n", "scopes": [scope]}})
    assert refusal(answer)[0] == "VALIDATION_ERROR"


async def test_a_bound_key_sees_its_client_alone(house: House) -> None:
    mine, other = await house.a_client(), await house.a_client()
    await house.an_invoice(other["id"])
    key = await house.new_key(client=mine["id"])
    answer = await house.rest("GET", "/clients", key=key)
    assert [client["id"] for client in answer.json()["data"]] == [mine["id"]]
    assert (await house.rest("GET", f"/clients/{other['id']}", key=key)).status_code == 404
    assert (await house.rest("GET", "/invoices", key=key)).json()["data"] == []
    assert (await house.rest("GET", "/servers", key=key)).status_code == 403
    assert (await house.rest("POST", "/invoices/1/pay", {}, key=key)).status_code == 403
    assert refusal(await house.graphql(CREATE, {"i": {"name": "n"}}, key=key))[0] == "FORBIDDEN"


async def test_a_key_cannot_be_bound_to_a_client_that_does_not_exist(house: House) -> None:
    answer = await house.graphql(CREATE, {"i": {"name": "n", "clientId": 99}})
    assert refusal(answer) == ("VALIDATION_ERROR", "The client id field names no client: 99.")


# From where


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("192.0.2.0/24", "192.0.2.9", "192.0.3.9"),
        ("192.0.2.0/24", "::ffff:192.0.2.9", "::ffff:192.0.3.9"),
        ("::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
        ("2001:db8::/32", "2001:DB8:0::1", "192.0.2.7"),
        ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
    ],
)
async def test_a_key_is_used_from_its_networks_alone(house: House, network: str, inside: str, outside: str) -> None:
    key = await house.new_key(networks=[network])
    assert await status(house, key, inside) == 200
    assert await status(house, key, outside) == 403


@pytest.mark.parametrize("network", ["192.0.2.1/24", "300.0.0.1", "", "example.com", "10.0.0.0/33"])
async def test_a_network_that_is_none_is_refused(house: House, network: str) -> None:
    answer = await house.graphql(CREATE, {"i": {"name": "n", "networks": [network]}})
    assert refusal(answer)[0] == "VALIDATION_ERROR"


async def test_a_proxy_is_believed_only_if_it_is_trusted(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database, trusted_proxies="10.0.0.0/8,2001:db8::/32") as house:
        key = await house.new_key(networks=["192.0.2.0/24"])
        for peer, forwarded, expected in (
            ("10.0.0.1", "192.0.2.7", 200),
            ("::ffff:10.0.0.1", "192.0.2.7", 200),
            ("2001:db8::5", "192.0.2.7", 200),
            ("10.0.0.1", "1.2.3.4, 192.0.2.7", 200),
            ("10.0.0.1", "192.0.2.7, 10.9.9.9", 200),
            ("10.0.0.1", "192.0.2.7:5555", 200),
            ("10.0.0.1", "192.0.2.7:5555, [2001:db8::7]:443, [2001:db8::8]", 200),
            ("10.0.0.1", "[192.0.2.7:5555", 403),
            ("10.0.0.1", "192.0.2.7, 1.2.3.4", 403),
            ("10.0.0.1", "192.0.2.7, nonsense", 403),
            ("10.0.0.1", "", 403),
            ("9.9.9.9", "192.0.2.7", 403),
            ("192.0.2.7", "1.2.3.4", 200),
        ):
            headers = {"X-Forwarded-For": forwarded} if forwarded else {}
            assert await status(house, key, peer, **headers) == expected, (peer, forwarded)


# Rate limits by address


async def test_the_budget_of_an_address_is_that_of_its_network_in_ipv6(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    async with open_house(tmp_path, empty_database, rate_limit_anonymous="3/minute") as house:
        for ip in ("2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3"):
            assert await status(house, "", ip) == 401
        assert await status(house, "", "2001:db8:0:1::4") == 429
        assert await status(house, "", "2001:db8:0:2::1") == 401
        for ip in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"):
            assert await status(house, "", ip) == 401
        assert await status(house, "", "192.0.2.1") == 429
        assert await status(house, "", "::ffff:192.0.2.1") == 429
        assert await status(house, "", "192.0.2.2") == 401
        assert await status(house, house.key, "192.0.2.1") == 200


async def test_forwarded_addresses_cannot_buy_a_new_budget(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database, rate_limit_anonymous="3/minute") as house:
        found = [await status(house, "", **{"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(4)]
        assert found == [401, 401, 401, 429]


# Last use


async def test_the_last_use_is_noted_at_most_once_a_minute(house: House, statements: list[str]) -> None:
    key = await house.new_key()
    start = clock.now()
    for seconds, noted in ((0, 1), (20, 1), (59, 1), (61, 2), (90, 2), (200, 3)):
        with clock.at(start + timedelta(seconds=seconds)):
            assert await status(house, key, "192.0.2.9") == 200
            await asyncio.gather(*(t for t in asyncio.all_tasks() if t.get_name() == "note-key-use"))
        assert sum("last_used_at = ?" in sql for sql in statements) == noted, seconds
    ((used_ip, version),) = await house.rows("SELECT last_used_ip, version FROM api_keys WHERE id = 2")
    assert (used_ip, version) == ("192.0.2.9", 1)
    shown = await house.data("{ apiKey(id: 2) { lastUsedAt lastUsedIp } }")
    assert shown["apiKey"]["lastUsedIp"] == "192.0.2.9"
    assert shown["apiKey"]["lastUsedAt"] == write_time(start + timedelta(seconds=200))


async def test_a_use_that_cannot_be_noted_does_not_fail_the_request(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resolvers import api_keys
    from resolvers.database import DatabaseUnavailable

    async def fails(*_: object) -> None:
        raise DatabaseUnavailable("busy")

    monkeypatch.setattr(api_keys, "note_use", fails)
    assert await status(house, await house.new_key()) == 200


# Its end


async def test_a_revoked_key_is_dead_at_once(house: House) -> None:
    key = await house.new_key()
    assert await status(house, key) == 200
    done = await house.data("mutation { apiKeyRevoke(id: 2) { id revokedAt } }")
    assert done["apiKeyRevoke"]["revokedAt"] is not None
    assert await status(house, key) == 401
    again = await house.data("mutation { apiKeyRevoke(id: 2) { id revokedAt } }")
    assert again == done


async def test_a_key_that_was_looked_up_while_it_was_revoked_is_not_remembered(house: House) -> None:
    key = await house.new_key()
    task = asyncio.create_task(house.engine.keyring.authenticate(key))
    await asyncio.sleep(0)  # its look-up is on the way to the database
    house.engine.keyring.forget()
    await task
    await house.engine.database.reader.fetch("SELECT 1")
    assert keys.digest(key) not in house.engine.keyring._known


async def test_a_key_revoked_by_another_process_is_dead_within_five_seconds(
    house: House, empty_database: EmptyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object) -> None:
        """No hint comes."""

    monkeypatch.setattr(PostgresChannel, "publish", lost)
    key = await house.new_key()
    now = 1000.0
    house.engine.keyring.monotonic = lambda: now
    assert await status(house, key) == 200
    async with open_house(house.settings.data_dir, empty_database) as other:  # another engine on the same file
        await other.engine.run("mutation { apiKeyRevoke(id: 2) { id } }", {})
    now += 4.9
    assert await status(house, key) == 200
    now += 0.1
    assert await status(house, key) == 401


async def test_a_key_made_by_another_process_works_at_once(house: House, empty_database: EmptyDatabase) -> None:
    async with open_house(house.settings.data_dir, empty_database) as other:
        assert await status(house, await other.new_key()) == 200


async def test_a_key_ends_when_it_says(house: House) -> None:
    start = clock.now()
    key = await house.new_key(expiresAt=write_time(start + timedelta(seconds=100)))
    for seconds, expected in ((0, 200), (98, 200), (101, 401)):
        with clock.at(start + timedelta(seconds=seconds)):
            assert await status(house, key) == expected
    answer = await house.graphql(CREATE, {"i": {"name": "n", "expiresAt": write_time(start - timedelta(seconds=1))}})
    assert refusal(answer)[0] == "VALIDATION_ERROR"


async def test_the_key_of_an_erased_client_is_dead(house: House) -> None:
    client = await house.a_client()
    key = await house.new_key(client=client["id"])
    assert await status(house, key) == 200
    assert (await house.rest("DELETE", f"/clients/{client['id']}")).status_code == 200
    assert await status(house, key) == 401


async def test_a_key_works_through_both_doors_and_not_in_the_address(house: House) -> None:
    answer: httpx2.Response = await house.rest("GET", f"/clients?api_key={house.key}", key="")
    assert answer.status_code == 401
    assert await status(house, house.key, path="/graphql?query={clients{nodes{id}}}") == 200


@pytest.mark.parametrize(
    ("bounds", "asked", "member"),
    [
        ({"expiresAt": "2099-01-01T00:00:00Z"}, {}, "expiresAt"),
        ({"expiresAt": "2099-01-01T00:00:00Z"}, {"expiresAt": "2099-01-02T00:00:00Z"}, "expiresAt"),
        ({"networks": ["127.0.0.0/8"]}, {}, "networks"),
        ({"networks": ["127.0.0.0/8"]}, {"networks": ["127.0.0.1/32", "10.0.0.0/8"]}, "networks"),
    ],
)
async def test_a_key_cannot_make_one_that_outlives_it_or_reaches_further(
    house: House, bounds: dict[str, Any], asked: dict[str, Any], member: str
) -> None:
    key = await house.new_key("keys:write", **bounds)
    document = "mutation($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { key } }"
    given = {"name": "wide", "scopes": ["keys:write"], **asked}
    answer = await house.graphql(document, {"input": given}, key=key)
    assert list(answer["errors"][0]["extensions"]["fields"]) == [member]
    narrow = {"name": "narrow", "scopes": ["keys:write"], **bounds}
    assert "errors" not in await house.graphql(document, {"input": narrow}, key=key)
