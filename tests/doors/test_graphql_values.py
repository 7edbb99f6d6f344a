"""Values in and out of GraphQL: ids, enums, money, dates and times, strings; and what their refusals say."""

import json
from typing import Any

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio

CLIENT = "query($id: ID!) { client(id: $id) { id firstName } }"
PAY = "mutation($id: ID!, $amount: Money) { invoicePay(id: $id, amount: $amount) { balance status } }"
INVOICE = "mutation($input: InvoiceCreateInput!) { invoiceCreate(input: $input) { id total items { amount } } }"


async def raw(house: House, body: str) -> dict[str, Any]:
    """A request whose JSON is sent as it is written here."""
    async with house.http() as http:
        answer = await http.post("/graphql", content=body, headers={"content-type": "application/json"})
    return dict(answer.json())


async def error(house: House, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """The one error of a request, which has none but a VALIDATION_ERROR."""
    response = await house.graphql(query, variables)
    (found,) = response["errors"]
    assert found["extensions"]["code"] == "VALIDATION_ERROR", found
    return dict(found)


def new_invoice(client_id: Any, *amounts: Any) -> dict[str, Any]:
    items = [{"description": "Hosting", "amount": amount} for amount in amounts]
    return {"input": {"clientId": client_id, "dueDate": "2030-01-31", "items": items}}


# Ids


async def test_an_id_may_be_typed_a_string_or_an_integer_as_variable_and_as_literal(house: House) -> None:
    client = await house.a_client()
    expected = {"client": {"id": "cli_1", "firstName": "Ada"}}
    for given in ("cli_1", "1", 1, "cli_01"):
        assert await house.data(CLIENT, {"id": given}) == expected
        assert await house.data(f"{{ client(id: {json.dumps(given)}) {{ id firstName }} }}") == expected
    assert client["id"] == 1


async def test_the_prefix_of_another_type_is_refused(house: House) -> None:
    await house.a_client()
    for given in ("inv_1", "svc_1", "evt_1"):
        found = await error(house, CLIENT, {"id": given})
        assert found["extensions"]["fields"] == {"id": found["message"]}
        assert found["path"] == ["client"]


async def test_what_is_no_id_is_refused_and_what_names_nothing_is_not_found(house: House) -> None:
    given: Any
    for given in ("", "cli_", "cli_x", "x", "-1", -1, "1.0", "cli_1_1", "CLI_1", "9" * 20, "\u0661"):
        assert (await error(house, CLIENT, {"id": given}))["path"] == ["client"]
    for given in (1.0, True, [1, 2], {"id": 1}):
        await error(house, CLIENT, {"id": given})
    for given in (0, 2, "cli_999999999999999999", str(2**63 - 1)):
        response = await house.graphql(CLIENT, {"id": given})
        assert response["data"] == {"client": None}
        assert [one["extensions"]["code"] for one in response["errors"]] == ["NOT_FOUND"]


async def test_typed_ids_are_taken_in_inputs_and_filters(house: House) -> None:
    await house.a_client()
    for given in ("cli_1", "1", 1):
        assert await house.data(INVOICE, new_invoice(given, "1.00"))
    query = "query($id: ID) { invoices(filter: {clientId: $id}) { totalCount } }"
    for given in ("cli_1", "1", 1):
        assert await house.data(query, {"id": given}) == {"invoices": {"totalCount": 3}}
    found = await error(house, INVOICE, new_invoice("inv_1", "1.00"))
    assert list(found["extensions"]["fields"]) == ["clientId"]
    found = await error(house, query, {"id": "inv_1"})
    assert list(found["extensions"]["fields"]) == ["clientId"]


async def test_a_filter_on_an_unknown_id_gives_an_empty_list(house: House) -> None:
    await house.an_invoice()
    data = await house.data('{ invoices(filter: {clientId: "cli_99"}) { nodes { id } totalCount } }')
    assert data == {"invoices": {"nodes": [], "totalCount": 0}}


async def test_every_id_that_is_shown_is_typed(house: House) -> None:
    service = await house.a_service()
    await house.a_ticket(service["client_id"])
    await house.rest("POST", f"/invoices/{service['invoice_id']}/pay")
    data = await house.data(
        "{ service(id: 1) { id clientId productId serverId invoiceId client { id } product { id } }"
        " invoice(id: 1) { id clientId items { id serviceId } payments { id } }"
        " ticket(id: 1) { id clientId departmentId messages { id } department { id } }"
        " apiKey(id: 1) { id clientId } }"
    )
    assert data == {
        "service": {
            "id": "svc_1",
            "clientId": "cli_1",
            "productId": "pro_1",
            "serverId": None,
            "invoiceId": "inv_1",
            "client": {"id": "cli_1"},
            "product": {"id": "pro_1"},
        },
        "invoice": {
            "id": "inv_1",
            "clientId": "cli_1",
            "items": [{"id": "item_1", "serviceId": "svc_1"}],
            "payments": [{"id": "pay_1"}],
        },
        "ticket": {
            "id": "tic_1",
            "clientId": "cli_1",
            "departmentId": "dep_1",
            "messages": [{"id": "msg_1"}],
            "department": {"id": "dep_1"},
        },
        "apiKey": {"id": "key_1", "clientId": None},
    }


async def test_an_object_named_in_an_input_that_does_not_exist_is_a_validation_error(house: House) -> None:
    found = await error(house, INVOICE, new_invoice("cli_99", "1.00"))
    assert list(found["extensions"]["fields"]) == ["clientId"]
    assert found["path"] == ["invoiceCreate"]


# Money


@pytest.mark.parametrize("written", ['"29.99"', "29.99", '" 29.99 "', "29.990e0"])
async def test_money_is_read_exactly_from_strings_and_numbers(house: House, written: str) -> None:
    await house.a_client()
    variables = json.dumps(new_invoice("cli_1", "MONEY")).replace('"MONEY"', written)
    response = await raw(house, json.dumps({"query": INVOICE})[:-1] + f', "variables": {variables}}}')
    if "e" in written:
        assert response["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"
    else:
        assert response["data"]["invoiceCreate"]["total"] == "29.99"


@pytest.mark.parametrize("written", ['"29.99"', "29.99"])
async def test_money_is_read_exactly_from_literals(house: House, written: str) -> None:
    await house.a_client()
    item = f'{{description: "Hosting", amount: {written}}}'
    document = (
        f'mutation {{ invoiceCreate(input: {{clientId: 1, dueDate: "2030-01-31", items: [{item}]}}) {{ total }} }}'
    )
    assert await house.data(document) == {"invoiceCreate": {"total": "29.99"}}


async def test_amounts_that_floats_cannot_hold_are_held(house: House) -> None:
    await house.a_client()
    document = 'mutation {{ invoiceCreate(input: {{clientId: 1, dueDate: "2030-01-31", items: [{}]}}) {{ total }} }}'
    for amount in ("0.1", "0.29", "1.15", "9007199254740.93", "123456789012345.67", "33333333333333.33"):
        whole, _, rest = amount.partition(".")
        expected = {"invoiceCreate": {"total": f"{int(whole)}.{rest.ljust(2, '0')}"}}
        literal = f'{{description: "A", amount: {amount}}}'
        assert await house.data(document.format(literal)) == expected
        body = json.dumps({"query": INVOICE, "variables": new_invoice(1, "MONEY")}).replace('"MONEY"', amount)
        assert (await raw(house, body))["data"]["invoiceCreate"]["total"] == expected["invoiceCreate"]["total"]


@pytest.mark.parametrize(("currency", "total"), [("USD", "30.00"), ("JPY", "30"), ("KWD", "30.000")])
async def test_money_is_shown_with_exactly_the_digits_of_its_currency(house: House, currency: str, total: str) -> None:
    await house.a_client(currency=currency)
    data = await house.data(INVOICE, new_invoice(1, 30))
    assert data == {"invoiceCreate": {"id": "inv_1", "total": total, "items": [{"amount": total}]}}


async def test_more_digits_than_the_currency_has_are_refused_at_their_place(house: House) -> None:
    await house.a_client()
    found = await error(house, INVOICE, new_invoice(1, "1.00", "1.001"))
    assert list(found["extensions"]["fields"]) == ["items[1].amount"]
    invoice = await house.an_invoice(1)
    found = await error(house, PAY, {"id": invoice["id"], "amount": "1.001"})
    assert list(found["extensions"]["fields"]) == ["amount"]


@pytest.mark.parametrize(
    "written", ['"1e3"', '"1,000.00"', '"abc"', "true", "[]", "{}", '"\\u0661.00"', '"NaN"', '"1' + "0" * 15 + '"']
)
async def test_what_is_no_amount_is_refused(house: House, written: str) -> None:
    invoice = await house.an_invoice()
    body = json.dumps({"query": PAY, "variables": {"id": invoice["id"], "amount": "MONEY"}})
    response = await raw(house, body.replace('"MONEY"', written))
    assert response["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"
    assert "data" not in response
    await error(house, f"mutation {{ invoicePay(id: 1, amount: {written}) {{ id }} }}")
    assert await house.events() == ["client.created", "invoice.created"]


# Dates, times, enums


async def test_dates_and_times_are_variables_and_literals(house: House) -> None:
    await house.an_invoice()
    document = "mutation($at: DateTime) { invoicePay(id: 1, paidAt: $at) { dueDate paidAt createdAt } }"
    data = await house.data(document, {"at": "2025-01-15T13:00:00+01:00"})
    assert data["invoicePay"]["dueDate"] == "2030-01-31"
    assert data["invoicePay"]["paidAt"] == "2025-01-15T12:00:00Z"
    assert len(data["invoicePay"]["createdAt"]) == len("2025-01-15T12:00:00Z")
    await house.an_invoice(1)
    data = await house.data('mutation { invoicePay(id: 2, paidAt: "2025-01-15T12:00:00Z") { paidAt } }')
    assert data == {"invoicePay": {"paidAt": "2025-01-15T12:00:00Z"}}


@pytest.mark.parametrize("given", ["31.01.2030", "2030-02-30", "2030-1-1", "2030-01-31T00:00:00Z", "", 20300131, True])
async def test_what_is_no_date_is_refused(house: House, given: Any) -> None:
    await house.a_client()
    await error(house, INVOICE, {"input": new_invoice(1, "1.00")["input"] | {"dueDate": given}})


@pytest.mark.parametrize("given", ["2025-01-15", "2025-01-15 12:00", "yesterday", "2025-01-15T25:00:00Z", 1736942400])
async def test_what_is_no_time_is_refused(house: House, given: Any) -> None:
    await house.an_invoice()
    document = "mutation($at: DateTime) { invoicePay(id: 1, paidAt: $at) { id } }"
    await error(house, document, {"at": given})


async def test_an_unknown_enum_value_is_refused_with_the_list_of_the_allowed(house: House) -> None:
    by_literal = await error(house, "{ clients(filter: {status: GONE}) { totalCount } }")
    query = "query($status: ClientStatus) { clients(filter: {status: $status}) { totalCount } }"
    by_variable = await error(house, query, {"status": "GONE"})
    for found in (by_literal, by_variable, await error(house, query, {"status": "active"})):
        assert found["message"].endswith("It must be one of: ACTIVE, INACTIVE, CLOSED.")
    await error(house, query, {"status": 1})
    await error(house, '{ clients(filter: {status: "ACTIVE"}) { totalCount } }')


async def test_enums_are_upper_case_in_and_out(house: House) -> None:
    service = await house.a_service()
    document = (
        "mutation($reason: SuspensionReason) { serviceSuspend(id: 1, reason: $reason) { status suspensionReason } }"
    )
    data = await house.data(document, {"reason": "ABUSE"})
    assert data == {"serviceSuspend": {"status": "SUSPENDED", "suspensionReason": "ABUSE"}}
    assert (await house.rest("GET", f"/services/{service['id']}")).json()["data"]["status"] == "suspended"


# Refusals


async def test_every_member_that_is_wrong_is_named_in_camel_case(house: House) -> None:
    document = "mutation($input: ClientCreateInput!) { clientCreate(input: $input) { id } }"
    given = {"firstName": " ", "lastName": "L" * 256, "email": "x", "password": "1234567", "country": "ZZ"}
    found = await error(house, document, {"input": given})
    assert found["message"] == "The first name field is required."
    assert found["extensions"]["fields"] == {
        "firstName": "The first name field is required.",
        "lastName": "The last name field must be at most 255 characters.",
        "email": "The email field must be a valid email address.",
        "password": "The password field must be at least 8 characters.",
        "country": "The country field must be an ISO 3166-1 country code such as US or USA.",
    }
    assert found["path"] == ["clientCreate"]
    assert await house.events() == []


async def test_members_of_items_are_named_with_their_place(house: House) -> None:
    await house.a_client()
    given = new_invoice(1, "1.00", "2.00")
    given["input"]["items"][1]["description"] = "  "
    found = await error(house, INVOICE, given)
    assert found["extensions"]["fields"] == {"items[1].description": "The description field is required."}


async def test_an_unknown_member_is_refused_by_name_at_every_depth(house: House) -> None:
    await house.a_client()
    given = new_invoice(1, "1.00")
    given["input"]["items"][0]["colour"] = "red"
    assert (await error(house, INVOICE, given))["extensions"]["fields"] == {
        "items[0].colour": "The colour field is not known."
    }
    whole = {"input": new_invoice(1, "1.00")["input"] | {"colour": 1}}
    assert (await error(house, INVOICE, whole))["message"] == "The colour field is not known."
    found = await error(house, "{ clients(filter: {colour: 1}) { totalCount } }")
    assert found["message"] == "The colour field is not known."


async def test_a_required_member_that_is_missing_or_null_is_refused_by_name(house: House) -> None:
    for items in ({}, {"items": None}):
        given = {"clientId": 1, "dueDate": "2030-01-31"} | items
        found = await error(house, INVOICE, {"input": given})
        assert "items" in found["message"]


async def test_strings_are_json_strings_only(house: House) -> None:
    document = "mutation($name: String!) { departmentCreate(input: {name: $name}) { name } }"
    for given in (1, 1.5, True, ["a", "b"], {"a": 1}):
        await error(house, document, {"name": given})
    found = await error(house, document, {"name": 1.5})
    assert found["message"].endswith("String cannot represent a non string value")  # which may be a secret
    assert await house.data(document, {"name": "  Sales "}) == {"departmentCreate": {"name": "Sales"}}


async def test_integers_are_never_fractions_or_booleans(house: House) -> None:
    query = "query($first: Int) { clients(first: $first) { totalCount } }"
    for given in (1.5, True, "ten"):
        await error(house, query, {"first": given})
    body = json.dumps({"query": query, "variables": {"first": "N"}}).replace('"N"', "56.0")
    found = (await raw(house, body))["errors"][0]
    assert "56.0" in found["message"]


async def test_an_illegal_transition_tells_the_status_and_what_is_allowed(house: House) -> None:
    await house.a_service()
    await house.data("mutation { serviceTerminate(id: 1) { status } }")
    found = await error(house, "mutation { serviceUnsuspend(id: 1) { status } }")
    assert "terminated" in found["message"]
    assert found["extensions"] == {"code": "VALIDATION_ERROR", "reason": "INVALID_TRANSITION", "allowedActions": []}
    await house.a_service(1, 1)
    await house.data("mutation { serviceSuspend(id: 2) { status } }")
    found = await error(house, "mutation { serviceProvision(id: 2) { status } }")
    assert found["extensions"]["allowedActions"] == ["UNSUSPEND", "TERMINATE"]
    assert found["extensions"]["reason"] == "INVALID_TRANSITION"


async def test_allowed_actions_are_told_alike_by_objects_and_refusals(house: House) -> None:
    await house.a_service()
    await house.data("mutation { invoiceCancel(id: 1) { status } }")
    data = await house.data("{ service(id: 1) { allowedActions } invoice(id: 1) { allowedActions } }")
    assert data == {"service": {"allowedActions": ["SUSPEND", "TERMINATE"]}, "invoice": {"allowedActions": []}}
    found = await error(house, "mutation { invoicePay(id: 1) { id } }")
    assert found["extensions"]["allowedActions"] == []
    assert "cancelled" in found["message"]


async def test_suggestions_do_not_give_names_away(house: House) -> None:
    found = await error(house, "{ clientz(id: 1) { id } }")
    assert "Did you mean" not in found["message"]
