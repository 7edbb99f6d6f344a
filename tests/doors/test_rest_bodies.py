"""Bodies over REST: what is read, what is refused, and the sentence that says why."""

import json
from typing import Any

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio

CLIENT = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@shop.test", "password": "12345678"}
ITEM = {"description": "Hosting", "amount": "29.99"}
INVOICE: dict[str, Any] = {"client_id": 1, "due_date": "2030-01-31", "items": [ITEM]}
TICKET: dict[str, Any] = {"client_id": 1, "department_id": 1, "subject": "Help", "message": "It is down."}


async def sent(house: House, path: str, content: bytes | str, content_type: str | None = "application/json") -> Any:
    """A POST of a body as it is."""
    headers = {} if content_type is None else {"content-type": content_type}
    return await house.rest("POST", path, content=content, headers=headers)


async def fields(house: House, path: str, body: Any) -> dict[str, str]:
    """What is wrong with a body that must be refused, and that nothing came of it."""
    before = await house.events()
    answer = await house.rest("POST", path, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    if error.get("fields"):
        assert error["message"] == next(iter(error["fields"].values()))
    assert await house.events() == before
    return dict(error.get("fields", {}))


async def test_a_body_without_a_content_type_is_json_and_another_type_is_415(house: House) -> None:
    def text(number: int) -> str:
        return json.dumps(CLIENT | {"email": f"ada{number}@shop.test"})

    good = [None, "application/json", "Application/JSON; charset=utf-8", "application/vnd.shop+json"]
    for number, content_type in enumerate(good):
        assert (await sent(house, "/clients", text(number), content_type)).status_code == 201
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await sent(house, "/clients", text(99), content_type)
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "VALIDATION_ERROR")
    assert len(await house.events()) == len(good)


NO_OBJECTS: list[bytes | str] = [
    "[]",
    "null",
    '"text"',
    "5",
    "true",
    "{",
    '{"email": }',
    '{"a": 1,}',
    "{'a': 1}",
    '{"a": 1} {"b": 2}',
    '{"first_name": "Ada", "first_name": "Bob"}',
    '{"email": "a\\u0000b"}',
    '{"email": "\\ud800"}',
    '{"email": "\\udc00\\ud800"}',
    '{"\\ud800": 1}',
    '{"amount": NaN}',
    '{"amount": Infinity}',
    '{"amount": -Infinity}',
    '{"id": 99999999999999999999999}',
    '{"a":' * 33 + "1" + "}" * 33,
    "[" * 100_000,
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b'{"email": "\xed\xa0\x80"}',
    b'{"email": "\x00"}',
]


async def test_what_is_not_a_json_object_is_refused(house: House) -> None:
    for content in NO_OBJECTS:
        answer = await sent(house, "/clients", content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
        assert answer.json()["error"]["message"].startswith("The request body ")


async def test_a_body_that_is_too_large_is_413_before_anything_else(house: House) -> None:
    for key in (house.key, ""):
        answer = await house.rest("POST", "/clients", key=key, content=b" " * (1024 * 1024 + 1))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "VALIDATION_ERROR")

    async def chunks() -> Any:
        for _ in range(33):
            yield b" " * 32 * 1024

    assert (await house.rest("POST", "/clients", content=chunks())).status_code == 413
    fitting = b" " * (1024 * 1024 - 2) + b"{}"
    assert (await house.rest("POST", "/clients", content=fitting)).status_code == 400


@pytest.mark.parametrize("content", [None, "", " \n", "{}"])
async def test_verbs_take_no_body_or_an_empty_one(house: House, content: str | None) -> None:
    service = await house.a_service()
    ticket = await house.a_ticket(service["client_id"])
    for path in (
        f"/services/{service['id']}/suspend",
        f"/services/{service['id']}/unsuspend",
        f"/services/{service['id']}/terminate",
        f"/invoices/{service['invoice_id']}/pay",
        f"/tickets/{ticket['id']}/close",
    ):
        assert (await house.rest("POST", path, content=content)).status_code == 200


async def test_verbs_refuse_members_that_they_do_not_know(house: House) -> None:
    service = await house.a_service()
    await house.a_ticket(service["client_id"])
    for path in ("/services/1/unsuspend", "/services/1/terminate", "/tickets/1/close"):
        assert await fields(house, path, {"reason": "x"}) == {"reason": "The reason field is not known."}
    answer = await house.rest("DELETE", "/clients/1", {"force": True})
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, ["force"])


async def test_unknown_members_are_refused_by_name_at_every_depth(house: House) -> None:
    await house.a_client()
    assert await fields(house, "/clients", CLIENT | {"colour": 1, "firstName": "x"}) == {
        "colour": "The colour field is not known.",
        "firstName": "The firstName field is not known.",
    }
    body = INVOICE | {"items": [ITEM, ITEM | {"tax_rate": 20}], "number": "1"}
    assert await fields(house, "/invoices", body) == {
        "items[1].tax_rate": "The tax rate field is not known.",
        "number": "The number field is not known.",
    }
    for name in ("id", "status", "created_at"):
        assert name in await fields(house, "/clients", CLIENT | {name: None})
    for name in ("amount", "price", "status", "currency"):
        body = {"client_id": 1, "product_id": 1, "billing_cycle": "monthly", name: "0.01"}
        assert name in await fields(house, "/services", body)


async def test_every_wrong_member_is_told_and_the_first_of_the_reference_is_the_message(house: House) -> None:
    await house.a_client()
    wrong = {"colour": 1, "password": "short", "email": "x", "first_name": None, "last_name": 5}
    assert list(await fields(house, "/clients", wrong)) == ["first_name", "last_name", "email", "password", "colour"]
    items = [{"amount": "x"}, "text", None, {"description": "", "amount": "1.00"}]
    assert await fields(house, "/invoices", {"items": items, "due_date": "soon"}) == {
        "client_id": "The client id field is required.",
        "due_date": "The due date field must be a date (Y-m-d) such as 2026-01-31.",
        "items[0].description": "The description field is required.",
        "items[0].amount": 'The amount field must be an amount in plain decimal notation, such as "29.99".',
        "items[1]": "The items[1] field must be an object.",
        "items[2]": "The items[2] field is required.",
        "items[3].description": "The description field is required.",
    }


async def test_an_empty_string_is_null_where_optional_and_missing_where_required(house: House) -> None:
    optional = dict.fromkeys(("company", "phone", "address", "city", "country", "currency"), "")
    client = await house.made("/clients", CLIENT | optional)
    assert [client[name] for name in ("company", "phone", "address", "city", "country")] == [None] * 5
    assert client["currency"] == "USD"
    for blank in ("", "  ", "\t\n"):
        for name in ("first_name", "last_name", "email"):
            body = CLIENT | {"email": "b@shop.test", name: blank}
            assert await fields(house, "/clients", body) == {name: f"The {name.replace('_', ' ')} field is required."}
    assert "password" in await fields(house, "/clients", CLIENT | {"password": ""})
    assert (await house.made("/tickets", TICKET | {"priority": ""}))["priority"] == "medium"
    required: list[tuple[str, dict[str, Any], str]] = [
        ("/tickets", TICKET, "message"),
        ("/tickets", TICKET, "client_id"),
        ("/invoices", INVOICE, "due_date"),
        ("/services", {"client_id": 1, "product_id": 1}, "billing_cycle"),
    ]
    for path, body, name in required:
        found = await fields(house, path, {**body, name: ""})
        assert found == {name: f"The {name.replace('_', ' ')} field is required."}


async def test_strings_are_trimmed_but_for_passwords_and_messages(house: House) -> None:
    client = await house.made("/clients", CLIENT | {"first_name": "  Ada ", "email": " ada@shop.test\n", "city": "\tX"})
    assert (client["first_name"], client["email"], client["city"]) == ("Ada", "ada@shop.test", "X")
    assert (await house.rest("POST", "/clients", CLIENT | {"email": "b@shop.test", "password": "  1234  "})).is_success
    ticket = await house.made(
        "/tickets", TICKET | {"message": "  code:\n\tx ", "subject": " Help ", "priority": " high"}
    )
    assert (ticket["messages"][0]["message"], ticket["subject"]) == ("  code:\n\tx ", "Help")
    assert ticket["priority"] == "high"


async def test_strings_are_json_strings_only(house: House) -> None:
    await house.a_client()
    values: list[Any] = [5, 5.5, True, [], {}, ["x"]]
    for value in values:
        found = await fields(house, "/clients", CLIENT | {"company": value})
        assert found == {"company": "The company field must be a string."}
        assert "message" in await fields(house, "/tickets", TICKET | {"message": value})


async def test_strings_have_their_greatest_lengths(house: House) -> None:
    def named(number: int, **changed: str) -> dict[str, Any]:
        return CLIENT | {"email": f"ada{number}@shop.test"} | changed

    for number, (name, most) in enumerate((("first_name", 255), ("company", 255), ("address", 1000), ("city", 255))):
        assert (await house.made("/clients", named(number, **{name: "é" * most})))[name] == "é" * most
        found = await fields(house, "/clients", named(99, **{name: "é" * (most + 1)}))
        assert found == {name: f"The {name.replace('_', ' ')} field must be at most {most:,} characters."}
    await house.made("/clients", named(10, password="é" * 1024))
    assert "password" in await fields(house, "/clients", named(99, password="x" * 1025))
    await house.made("/tickets", TICKET | {"message": "x" * 65_535})
    assert "message" in await fields(house, "/tickets", TICKET | {"message": "x" * 65_536})
    await house.made("/invoices", INVOICE | {"items": [ITEM | {"description": "x" * 1000}]})
    long_item = ITEM | {"description": "x" * 1001}
    assert list(await fields(house, "/invoices", INVOICE | {"items": [long_item]})) == ["items[0].description"]


async def test_every_character_but_nul_and_half_surrogates_is_kept(house: House) -> None:
    name = 'O\'Neil "Ø" 🦆 \\u0041 <b> \u202e'
    client = await house.made("/clients", CLIENT | {"company": name})
    assert client["company"] == name
    answer = await sent(house, "/tickets", json.dumps(TICKET | {"message": "🦆"}))
    assert answer.json()["data"]["messages"][0]["message"] == "🦆"


async def test_integers_are_numbers_or_digit_strings(house: House) -> None:
    await house.a_client()
    for value in (1, "1", " 1 ", "0001"):
        assert (await house.made("/tickets", TICKET | {"client_id": value}))["client_id"] == 1
    for text in ("1.0", "1e0", "true", "[1]", '"1.0"', '"one"', '"-1"', '"+1"', '"cli_1"', '"\u0661"', "-1", '"0x1"'):
        content = json.dumps(TICKET).replace('"client_id": 1', f'"client_id": {text}')
        answer = await sent(house, "/tickets", content)
        assert (answer.status_code, answer.json()["error"].get("fields")) == (
            400,
            {"client_id": "The client id field must be an integer."},
        ), text


async def test_items_are_an_array_of_one_to_five_hundred(house: House) -> None:
    await house.a_client()
    assert (await house.made("/invoices", INVOICE | {"items": [ITEM] * 500}))["total"] == "14995.00"
    for items in ([], [ITEM] * 501):
        found = await fields(house, "/invoices", INVOICE | {"items": items})
        assert found == {"items": "The items field must have from 1 to 500 items."}
    for wrong in (ITEM, "x", 5, True):
        assert await fields(house, "/invoices", INVOICE | {"items": wrong}) == {
            "items": "The items field must be an array."
        }
    for missing in (None, ""):
        assert list(await fields(house, "/invoices", INVOICE | {"items": missing})) == ["items"]


async def test_a_domain_is_a_host_name_by_form(house: House) -> None:
    product, client = await house.a_product(), (await house.a_client())["id"]
    order = {"client_id": client, "product_id": product, "billing_cycle": "monthly"}
    for domain in ("example.com", "A.b-c.example", "münchen.example", "例え.テスト", "xn--mnchen-3ya.example"):
        assert (await house.made("/services", order | {"domain": domain}))["domain"] == domain
    bad = ("example", "-a.com", "a..com", "http://a.com", "a.com/x", "a b.com", "1.2.3.4", "a_b.com", "x" * 64 + ".com")
    for domain in bad:
        assert list(await fields(house, "/services", order | {"domain": domain})) == ["domain"], domain


async def test_the_order_of_checks_is_route_then_scope_then_body_then_object(house: House) -> None:
    reader = await house.new_key("clients:read")
    for key, method, path, body, status in (
        ("", "POST", "/nowhere", "[", 401),
        (reader, "POST", "/nowhere", "[", 404),
        (reader, "POST", "/clients/x", "[", 404),
        (reader, "PATCH", "/clients/1", "[", 405),
        (reader, "PUT", "/clients/999", "[", 403),
        (house.key, "PUT", "/clients/999", "[", 400),
        (house.key, "PUT", "/clients/999", '{"colour": 1}', 400),
        (house.key, "PUT", "/clients/999", '{"city": "London"}', 404),
        (house.key, "POST", "/tickets/999/reply", "{}", 400),
        (house.key, "POST", "/tickets/999/reply", '{"message": "x", "client_id": 5}', 404),
    ):
        answer = await house.rest(method, path, key=key, content=body)
        assert answer.status_code == status, (method, path, body)
