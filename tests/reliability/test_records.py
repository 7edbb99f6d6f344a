"""What is recorded: numbered events with canonical payloads, and an audit trail and logs without anything secret."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from arcbilling import logs
from arcbilling.settings import load
from resolvers import outbox
from resolvers.tables import written
from schema.erasure import PERSONAL_MEMBERS
from schema.events import canonical
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase, at
from tests.reliability.soundness import check_sound_at

pytestmark = pytest.mark.anyio

ODD = "a\u0000\u0001\u001f \"\\/\b\t\n\f\r\u007f\u0080é\u2028\u2029\ufeff\ufffd😀<>&'"


# Sequence


async def sequenced(house: House) -> list[tuple[Any, ...]]:
    async with asyncio.timeout(10):
        while await outbox.sequence_committed(house.engine.database):
            pass
    return await house.rows("SELECT sequence, event FROM events ORDER BY sequence")


async def test_events_are_numbered_without_a_gap_while_many_write_and_after_a_restart(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    for round_ in range(2):
        async with open_house(tmp_path, empty_database) as house:
            clients = await asyncio.gather(*(house.a_client(email=f"{round_}-{n}@shop.test") for n in range(5)))
            numberers = [asyncio.create_task(outbox.sequence_committed(house.engine.database)) for _ in range(10)]
            await asyncio.gather(*(house.an_invoice(client["id"]) for client in clients for _ in range(10)))
            await asyncio.gather(*numberers)
            rows = await sequenced(house)
            assert [sequence for sequence, _ in rows] == list(range(1, 55 * (round_ + 1) + 1))
        await check_sound_at(house.location)


async def test_what_fails_takes_no_sequence_number(house: House) -> None:
    await house.a_client()
    for _ in range(3):
        assert (await house.rest("POST", "/clients", {"first_name": "Eve"})).status_code == 400
        bad = {"client_id": 1, "due_date": "2030-01-31", "items": [{"description": "x", "amount": "-1"}]}
        assert (await house.rest("POST", "/invoices", bad)).status_code == 400
    await house.an_invoice(1)
    assert await sequenced(house) == [(1, "client.created"), (2, "invoice.created")]


async def test_more_events_than_a_batch_are_all_numbered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "BATCH", 3)
    client = await house.a_client()
    for _ in range(10):
        await house.an_invoice(client["id"])
    assert [sequence for sequence, _ in await sequenced(house)] == list(range(1, 12))


async def test_events_that_a_command_left_are_numbered_when_the_server_starts(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    async with open_house(tmp_path, empty_database) as house:
        await house.a_client()
        await sequenced(house)
    async with at(house.location) as database, written(database) as session:
        await session.connection.fetch("UPDATE events SET sequence = NULL")
        await session.connection.fetch("UPDATE event_head SET last_sequence = 0")
    async with open_house(tmp_path, empty_database) as house:
        assert await sequenced(house) == [(1, "client.created")]
    await check_sound_at(house.location)


# Payloads


def jcs(value: Any) -> str:
    """RFC 8785, written from the document: sorted by UTF-16 code units, with ECMAScript's escapes."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{jcs(name)}:{jcs(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(jcs(item) for item in value) + "]"
    if isinstance(value, str):
        short = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
        return '"' + "".join(short.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


LEAVES = st.none() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_payloads_are_canonical_json(value: Any) -> None:
    assert canonical(value) == jcs(value)


def test_odd_characters_are_written_as_rfc_8785_says() -> None:
    assert canonical({"b": ODD, "a": None}) == jcs({"b": ODD, "a": None})


async def test_an_event_is_frozen_in_canonical_json(house: House) -> None:
    odd = ODD.replace("\u0000", "").strip()
    await house.a_client(company=odd, address="line one\nline two\ttab")
    await house.a_ticket(1, subject="😀 \u2028 \u007f", message=odd)
    rows = await house.rows("SELECT payload FROM events ORDER BY id")
    for (payload,) in rows:
        assert payload == jcs(json.loads(payload))
        assert sorted(json.loads(payload)) == ["data", "event", "timestamp"]
    assert json.loads(rows[0][0])["data"]["company"] == odd
    await house.rest("PUT", "/clients/1", {"company": "Other"})
    assert await house.rows("SELECT payload FROM events ORDER BY id LIMIT 1") == rows[:1]


# Erasure


async def test_erasing_a_client_blanks_its_events_and_keeps_their_numbers(house: House) -> None:
    client = await house.a_client(first_name="Plantedfirst", company="Plantedcompany", phone="Plantedphone")
    await house.rest("PUT", "/clients/1", {"city": "Plantedcity"})
    other = await house.a_client(first_name="Keptname")
    await house.a_ticket(client["id"], subject="Plantedsubject", message="Plantedmessage")
    await house.rest("POST", "/tickets/1/reply", {"message": "Plantedreply"})
    await house.a_service(client["id"], domain="Plantedhost.example.com", username="Planteduser", invoice=False)
    await house.rest("POST", "/services/1/suspend", {"note": "Plantednote"})
    await house.rest("POST", "/services/1/terminate")
    before = await sequenced(house)
    assert (await house.rest("DELETE", f"/clients/{client['id']}")).status_code == 200
    assert (await sequenced(house))[: len(before)] == before
    payloads = await house.rows("SELECT client_id, payload FROM events ORDER BY id")
    assert any("Keptname" in payload for client_id, payload in payloads if client_id == other["id"])
    for client_id, payload in payloads:
        assert "planted" not in payload.lower()
        assert payload == jcs(json.loads(payload))
        if client_id == client["id"]:
            personal = {name for name in json.loads(payload)["data"] if name in PERSONAL_MEMBERS}
            assert not any(json.loads(payload)["data"][name] for name in personal)
    for table in (
        "clients",
        "services",
        "tickets",
        "ticket_messages",
        "audit_entries",
        "events",
        "idempotency_records",
    ):
        assert "planted" not in str(await house.rows(f"SELECT * FROM {table}")).lower(), table
    assert (await house.rest("GET", "/tickets/1")).json()["data"]["status"] == "answered"
    assert (await house.rest("GET", "/services/1")).json()["data"]["status"] == "terminated"


# Audit trail and logs

PLANTED = {
    "first_name": "Plantedfirst",
    "last_name": "Plantedlast",
    "email": "planted@shop.test",
    "password": "Plantedpassword",
    "company": "Plantedcompany",
    "phone": "Plantedphone",
    "address": "Plantedstreet",
    "city": "Plantedcity",
}


async def do_everything(house: House) -> str:
    """Uses both doors, well and badly, with things that are nobody's business; tells a key that was made."""
    await house.made("/clients", PLANTED)
    await house.rest("PUT", "/clients/1", {"phone": "Plantedphone2", "password": "Plantedpassword2"})
    await house.rest("POST", "/clients", PLANTED)
    await house.rest("POST", "/clients", PLANTED | {"password": "Planted"})
    product = await house.a_product()
    await house.a_service(1, product, domain="planted.example.com", username="planteduser")
    await house.rest("POST", "/services/1/suspend", {"reason": "abuse", "note": "Plantednote"})
    await house.an_invoice(1, items=[{"description": "Planteditem", "amount": "1"}])
    await house.rest("POST", "/invoices/1/pay", {})
    await house.a_ticket(1, subject="Plantedsubject", message="Plantedmessage")
    await house.rest("POST", "/tickets/1/reply", {"message": "Plantedreply"})
    key = await house.new_key(client=1)
    await house.rest("GET", "/clients", key=key)
    await house.rest("GET", "/clients", key=key[:-1] + "0")
    await house.rest("GET", f"/nowhere?key={key}")
    given = {"firstName": "Plantedfirst", "lastName": "L", "email": "p@shop.test", "password": "Plantedpassword3"}
    query = "mutation($i: ClientCreateInput!) { clientCreate(input: $i) { id nothing } }"
    await house.graphql(query, {"i": given})

    def fail(sql: str) -> None:
        if "INSERT INTO events" in sql:
            raise RuntimeError(f"arcb_live_ in a message: {key}")

    house.engine.database.on_statement = fail
    answer = await house.rest("POST", "/clients", PLANTED | {"email": "planted2@shop.test"})
    house.engine.database.on_statement = None
    assert answer.status_code == 500
    assert "Planted" not in answer.text
    assert key not in answer.text
    return key


async def test_the_audit_trail_tells_who_changed_what_without_personal_values(house: House) -> None:
    key = await do_everything(house)
    entries = str(await house.rows("SELECT * FROM audit_entries"))
    assert "planted" not in entries.lower()
    assert key not in entries
    assert "argon2" not in entries
    ((actor, action, changes),) = await house.rows(
        "SELECT actor, action, changes FROM audit_entries WHERE object_type = 'clients' AND action = 'clientUpdate'"
    )
    assert (actor, action) == ("key:1", "clientUpdate")
    assert json.loads(changes) == {"phone": None, "password_hash": None}
    ((changes,),) = await house.rows(
        "SELECT changes FROM audit_entries WHERE object_type = 'invoices' AND action = 'invoicePay'"
    )
    assert json.loads(changes)["status"] == ["unpaid", "paid"]


async def test_a_row_that_changes_twice_is_audited_from_its_first_value(house: House) -> None:
    await house.an_invoice(amount="0.00")
    ((changes,),) = await house.rows("SELECT changes FROM audit_entries WHERE object_type = 'invoices'")
    assert json.loads(changes)["status"] == [None, "paid"]


@contextmanager
def logged(**settings: str) -> Iterator[io.StringIO]:
    """What the server would write to standard error, as the settings say."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(load({}, data_dir="/nowhere", **settings))
    written = io.StringIO()
    for handler in root.handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(written)
    try:
        yield written
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**before)


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_logs_hold_nothing_secret_and_nothing_personal(
    tmp_path: Path, empty_database: EmptyDatabase, log_format: str
) -> None:
    with logged(log_level="debug", log_format=log_format) as written:
        async with open_house(tmp_path, empty_database) as house:
            key = await do_everything(house)
    text = written.getvalue()
    assert "internal error" in text
    assert "RuntimeError" in text
    for secret in (key, house.key, key[10:], "planted"):
        assert secret.lower() not in text.lower(), [
            line for line in text.splitlines() if secret.lower() in line.lower()
        ]
