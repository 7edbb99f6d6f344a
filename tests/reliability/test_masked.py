"""What goes wrong inside is told to the log. The caller gets INTERNAL_ERROR and the id to ask for."""

from collections.abc import Callable
from typing import Any

import pytest

from resolvers.tables import Table
from schema import money
from tests.conftest import House

pytestmark = pytest.mark.anyio

SECRET = "secret-db-password"
Failing = Callable[..., Any]


def failing(error: type[Exception]) -> Failing:
    async def fail(*_: object, **__: object) -> Any:
        raise error(f"could not connect as admin:{SECRET}")

    return fail


def planted(error: type[Exception]) -> Failing:
    def fail(*_: object, **__: object) -> Any:
        raise error(f"could not connect as admin:{SECRET}")

    return fail


async def masked(house: House, query: str, variables: dict[str, Any] | None = None) -> None:
    async with house.http() as http:
        answer = await http.post("/graphql", json={"query": query, "variables": variables})
    assert SECRET not in answer.text
    (found,) = answer.json()["errors"]
    assert found["message"] == "Something went wrong on our side."
    assert found["extensions"] == {"code": "INTERNAL_ERROR", "requestId": answer.headers["x-request-id"]}


@pytest.mark.parametrize("error", [RuntimeError, ValueError, TypeError, KeyError, OSError])
async def test_what_fails_in_a_resolver_is_masked_wherever_it_stands(
    house: House, monkeypatch: pytest.MonkeyPatch, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    invoice = (await house.an_invoice())["id"]
    monkeypatch.setattr(Table, "grouped", failing(error))
    await masked(house, "{ invoices { nodes { items { id } } } }")
    assert any(SECRET in record.getMessage() for record in caplog.records)  # the log has it all

    monkeypatch.setattr(Table, "_rows", planted(error))
    await masked(house, "{ invoices { nodes { id } } }")
    await masked(house, '{ node(id: "inv_1") { id } }')
    await masked(house, "mutation { invoiceCancel(id: 1) { id } }")
    for method, path in (("GET", "/invoices"), ("GET", f"/invoices/{invoice}"), ("POST", f"/invoices/{invoice}/pay")):
        answer = await house.rest(method, path)
        assert SECRET not in answer.text
        assert (answer.status_code, answer.json()["error"]) == (
            500,
            {
                "code": "INTERNAL_ERROR",
                "message": "Something went wrong on our side.",
                "request_id": answer.headers["x-request-id"],
            },
        )


@pytest.mark.parametrize("error", [RuntimeError, TypeError, KeyError, OSError])
async def test_what_fails_in_a_scalar_is_masked(
    house: House, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    await house.an_invoice()
    scalar: Any = house.engine.schema.type_map["Money"]
    monkeypatch.setattr(scalar, "coerce_input_value", planted(error))
    monkeypatch.setattr(scalar, "coerce_input_literal", planted(error))
    monkeypatch.setattr(money, "exponent", planted(error))
    await masked(house, "{ invoices { nodes { total } } }")
    await masked(house, "mutation($a: Money) { invoicePay(id: 1, amount: $a) { id } }", {"a": "1"})
    await masked(house, 'mutation { invoicePay(id: 1, amount: "1") { id } }')
    answer = await house.rest("POST", "/invoices/1/pay", {"amount": "1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert SECRET not in answer.text


@pytest.mark.parametrize("given", [[SECRET], {"a": SECRET}])
async def test_no_refused_value_is_told(house: House, given: Any) -> None:
    """Neither by a variable nor by a literal: it may have been meant for another member."""
    create = "mutation($i: ClientCreateInput!) { clientCreate(input: $i) { id } }"
    after = "query($a: String) { clients(after: $a) { totalCount } }"
    for query, variables in (
        (create, {"i": {"firstName": given}}),
        (create, {"i": given}),
        (after, {"a": given}),
        (f'{{ clients(after: ["{SECRET}"]) {{ totalCount }} }}', None),
    ):
        answer = await house.graphql(query, variables)
        assert answer["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"
        assert SECRET not in str(answer)


@pytest.mark.parametrize("name", ["status: {}", "{}: 1", 'status: "{}"'])
async def test_a_name_that_is_not_known_is_not_told_at_length(house: House, name: str) -> None:
    answer = await house.graphql(f"{{ clients(filter: {{{name.format('A' * 5_000)}}}) {{ totalCount }} }}")
    assert len(str(answer)) < 1_500
    answer = await house.graphql(
        "query($f: ClientFilter) { clients(filter: $f) { totalCount } }", {"f": {"A" * 5_000: 1, "status": "B" * 5_000}}
    )
    assert len(answer["errors"]) > 0
    assert len(str(answer)) < 1_500 * len(answer["errors"]) * 2


@pytest.mark.parametrize("value", ["9" * 400, '"' + SECRET + '"', f"[{SECRET}]", "1.5", "true", "{a: 1}"])
async def test_no_refused_value_is_told_at_length(house: House, value: str) -> None:
    response = await house.graphql(f"{{ clients(first: {value}) {{ totalCount }} }}")
    assert len(str(response)) < 1_000
