"""Clients over REST: what makes one, what changes one, and what is left of one that was erased."""

import json
from typing import Any

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio

FULL = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "Ada@Shop.test",
    "password": "12345678",
    "company": "Analytical Engines",
    "phone": "+44 20 7946 0000",
    "address": "1 St James's Square",
    "city": "London",
    "country": "gbr",
}
PERSONAL = ("first_name", "last_name", "email", "company", "phone", "address", "city", "country")


async def refused(house: House, method: str, path: str, body: Any = None) -> dict[str, str]:
    """The fields of a request that must be refused, without an event."""
    before = await house.events()
    answer = await house.rest(method, path, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert await house.events() == before
    return dict(error.get("fields") or {"": error["message"]})


async def put(house: House, id: int, body: Any) -> Any:
    answer = await house.rest("PUT", f"/clients/{id}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def got(house: House, id: int) -> Any:
    return (await house.rest("GET", f"/clients/{id}")).json()["data"]


async def test_a_client_is_active_in_the_currency_of_the_house_and_known_by_one_event(house: House) -> None:
    client = await house.made("/clients", FULL)
    assert (client["status"], client["currency"], client["email"]) == ("active", "USD", "Ada@Shop.test")
    assert await house.events() == ["client.created"]


async def test_a_country_has_two_or_three_letters_in_any_case_and_is_shown_in_two(house: House) -> None:
    for written, shown in (("GB", "GB"), ("gb", "GB"), ("GBR", "GB"), ("deu", "DE"), ("Us", "US"), (" usa ", "US")):
        assert (await house.a_client(country=written))["country"] == shown
    for unknown in ("UK", "XX", "England", "G", "USAA", "🇬🇧"):
        body = FULL | {"country": unknown}
        assert await refused(house, "POST", "/clients", body) == {
            "country": "The country field must be an ISO 3166-1 country code such as US or USA."
        }


async def test_an_email_is_checked_by_form_only(house: House) -> None:
    for email in ("a@shop.test", "a.b+c@shop.example", "o'neil@xn--mnchen-3ya.test", "josé@shop.test", "a@shop.local"):
        assert (await house.a_client(email=email))["email"] == email
    for email in ("a", "a@", "@shop.test", "a b@shop.test", "a@@shop.test", "a@shop..test", "Ada <a@shop.test>"):
        assert await refused(house, "POST", "/clients", FULL | {"email": email}) == {
            "email": "The email field must be a valid email address."
        }, email


async def test_an_email_is_unique_whatever_its_case(house: House) -> None:
    await house.made("/clients", FULL)
    other = await house.a_client(email="bob@shop.test")
    taken = {"email": "The email has already been taken."}
    for email in ("ada@shop.test", "ADA@SHOP.TEST", " Ada@Shop.test "):
        assert await refused(house, "POST", "/clients", FULL | {"email": email}) == taken
        assert await refused(house, "PUT", f"/clients/{other['id']}", {"email": email}) == taken
    assert (await put(house, other["id"], {"email": "BOB@shop.test"}))["email"] == "BOB@shop.test"


async def test_a_password_has_8_to_1024_characters_of_any_kind(house: House) -> None:
    for password in ("12345678", " " * 8, "é🦆" * 4, "x" * 1024):
        await house.a_client(password=password)
    for password in ("1234567", "🦆" * 7, "x" * 1025):
        assert "password" in await refused(house, "POST", "/clients", FULL | {"password": password})


async def test_a_currency_may_be_named_at_creation_and_stays(house: House) -> None:
    client = await house.a_client(currency="JPY")
    assert client["currency"] == "JPY"
    assert "currency" in await refused(house, "POST", "/clients", FULL | {"currency": "DOLLARS"})
    assert await refused(house, "PUT", f"/clients/{client['id']}", {"currency": "USD"}) == {
        "currency": "The currency field cannot be changed."
    }


async def test_put_changes_the_members_given_and_leaves_the_others(house: House) -> None:
    before = await house.made("/clients", FULL)
    after = await put(house, before["id"], {"city": "Paris", "country": "FRA"})
    changed = {"city": "Paris", "country": "FR", "updated_at": after["updated_at"]}
    assert after == before | changed == await got(house, before["id"])
    assert await house.events() == ["client.created", "client.updated"]
    ((payload,),) = await house.rows("SELECT payload FROM events WHERE event = 'client.updated'")
    assert json.loads(payload)["data"] == after


async def test_put_takes_the_fields_of_create(house: House) -> None:
    client = await house.a_client()
    after = await put(house, client["id"], FULL)
    assert {name: after[name] for name in PERSONAL} == {name: FULL[name] for name in PERSONAL} | {"country": "GB"}
    assert await house.events() == ["client.created", "client.updated"]


async def test_put_takes_the_object_as_get_shows_it_and_that_changes_nothing(house: House) -> None:
    before = await house.made("/clients", FULL)
    assert await put(house, before["id"], await got(house, before["id"])) == before
    assert await put(house, before["id"], before | {"id": str(before["id"]), "country": "gbr"}) == before
    assert await put(house, before["id"], {}) == before
    assert (await house.rest("PUT", f"/clients/{before['id']}")).json()["data"] == before
    assert await house.events() == ["client.created"]


async def test_put_with_an_object_that_was_changed_in_one_member_changes_that_one(house: House) -> None:
    before = await house.made("/clients", FULL)
    await put(house, before["id"], {"city": "Paris"})
    stale = before | {"phone": None}
    after = await put(house, before["id"], stale)
    assert (after["phone"], after["city"]) == (None, "London")
    assert await house.events() == ["client.created", "client.updated", "client.updated"]


@pytest.mark.parametrize(("name", "value"), [("id", 2), ("status", "closed"), ("currency", "EUR")])
async def test_put_refuses_a_read_only_member_that_was_changed(house: House, name: str, value: Any) -> None:
    client = await house.a_client()
    found = await refused(house, "PUT", f"/clients/{client['id']}", client | {name: value, "city": "Paris"})
    assert found == {name: f"The {name} field cannot be changed."}
    assert await got(house, client["id"]) == client


async def test_put_always_takes_the_times(house: House) -> None:
    client = await house.a_client()
    times = {"created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z"}
    assert await put(house, client["id"], client | times) == client
    assert await house.events() == ["client.created"]


async def test_null_clears_an_optional_member_and_is_refused_for_a_required_one(house: House) -> None:
    client = await house.made("/clients", FULL)
    for value in (None, ""):
        await put(house, client["id"], FULL)
        cleared = dict.fromkeys(("company", "phone", "address", "city", "country"), value)
        after = await put(house, client["id"], cleared)
        assert [after[name] for name in cleared] == [None] * 5
        for name in ("first_name", "last_name", "email", "password"):
            found = await refused(house, "PUT", f"/clients/{client['id']}", {name: value})
            assert found == {name: f"The {name.replace('_', ' ')} field is required."}


async def test_put_checks_members_as_create_does(house: House) -> None:
    await house.a_client()
    wrong = {"email": "x", "password": "short", "country": "XX", "colour": 1}
    assert list(await refused(house, "PUT", "/clients/1", wrong)) == ["email", "password", "country", "colour"]


async def test_what_was_changed_is_found_by_its_new_name(house: House) -> None:
    await house.a_client()
    await put(house, 1, {"first_name": "Grace", "last_name": "Hopper", "email": "grace@shop.test"})
    for query, found in (("q=grace", 1), ("q=ada", 0), ("email=GRACE@shop.test", 1), ("email=ada1@shop.test", 0)):
        assert len((await house.rest("GET", f"/clients?{query}")).json()["data"]) == found


async def test_a_client_is_not_deleted_while_it_holds_services_or_owes(house: House) -> None:
    service = await house.a_service()
    id = service["client_id"]
    await house.an_invoice(id)
    sentence = "The client cannot be deleted: 1 service pending, active or suspended and 2 invoices unpaid or draft."
    assert await refused(house, "DELETE", f"/clients/{id}") == {"": sentence}
    await house.made(f"/services/{service['id']}/suspend")
    await house.made("/invoices/1/pay")
    (sentence,) = (await refused(house, "DELETE", f"/clients/{id}")).values()
    assert "1 service " in sentence
    assert "1 invoice " in sentence
    await house.made(f"/services/{service['id']}/terminate")
    await house.made("/invoices/2/pay")
    answer = await house.rest("DELETE", f"/clients/{id}")
    assert answer.json() == {"status": "success", "data": {"id": id, "deleted": True}}


async def test_an_erased_client_is_gone_and_its_email_is_free_again(house: House) -> None:
    id = (await house.made("/clients", FULL))["id"]
    assert (await house.rest("DELETE", f"/clients/{id}")).status_code == 200
    for method, body in (("GET", None), ("PUT", {"city": "Paris"}), ("DELETE", None)):
        answer = await house.rest(method, f"/clients/{id}", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    body = (await house.rest("GET", "/clients?total=true")).json()
    assert (body["data"], body["meta"]["total"]) == ([], 0)
    invoice = {"client_id": id, "due_date": "2030-01-31", "items": [{"description": "x", "amount": 1}]}
    assert list(await refused(house, "POST", "/invoices", invoice)) == ["client_id"]
    again = await house.made("/clients", FULL)
    assert again["id"] != id
    assert await house.events() == ["client.created", "client.deleted", "client.created"]


async def test_nothing_personal_is_left_of_an_erased_client_and_its_invoices_are_kept(house: House) -> None:
    id = (await house.made("/clients", FULL))["id"]
    invoice = await house.an_invoice(id)
    await house.made(f"/invoices/{invoice['id']}/pay")
    await put(house, id, {"company": "Difference Engines"})
    assert (await house.rest("DELETE", f"/clients/{id}")).status_code == 200
    columns = "first_name, last_name, email, email_key, password_hash, company, phone, address, city, country"
    ((*kept, search),) = await house.rows(f"SELECT {columns}, search_key FROM clients WHERE id = ?", id)
    assert not any(kept)
    assert not search
    assert (await house.rest("GET", f"/invoices/{invoice['id']}")).json()["data"]["status"] == "paid"
    told = [json.loads(payload)["data"] for (payload,) in await house.rows("SELECT payload FROM events ORDER BY id")]
    assert len(told) == 5
    for data in told:
        assert not any(data.get(name) for name in PERSONAL)
    assert told[1]["total"] == "29.99"
    everything = [row for table in ("audit", "idempotency") for row in await all_rows(house, table)]
    assert not any(word in repr(everything) for word in ("Analytical", "Difference", "Lovelace", "shop.test"))


async def all_rows(house: House, table: str) -> list[Any]:
    name = {"audit": "audit_entries", "idempotency": "idempotency_records"}[table]
    return list(await house.rows(f"SELECT * FROM {name}"))


async def test_another_owners_client_does_not_exist_for_a_bound_key(house: House) -> None:
    mine, other = (await house.a_client())["id"], (await house.a_client())["id"]
    key = await house.new_key("clients:read", client=mine)
    assert (await house.rest("GET", f"/clients/{mine}", key=key)).status_code == 200
    assert (await house.rest("GET", f"/clients/{other}", key=key)).status_code == 404
    assert [one["id"] for one in (await house.rest("GET", "/clients", key=key)).json()["data"]] == [mine]
    assert (await house.rest("PUT", f"/clients/{mine}", {}, key=key)).status_code == 403
