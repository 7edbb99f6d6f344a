"""What GraphQL itself refuses, in the contract's words."""

from typing import Any

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio

CREATE = "mutation($i: ClientCreateInput!) { clientCreate(input: $i) { id } }"
SECRET = "supersecret123"
WHOLE = {"firstName": "A", "lastName": "B", "email": "x@y.test", "password": SECRET}


async def error_of(house: House, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = await house.graphql(query, variables)
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "VALIDATION_ERROR"
    return dict(error)


@pytest.mark.parametrize(
    ("changed", "member", "text"),
    [
        ({"colour": 1}, "colour", "The colour field is not known."),
        ({"email": None}, "email", "The email field is required."),
        ({"lastName": None}, "lastName", "The last name field is required."),
        ({"createdAt": SECRET}, "createdAt", "The created at field is not known."),
    ],
)
async def test_a_member_that_does_not_fit_is_named(
    house: House, changed: dict[str, Any], member: str, text: str
) -> None:
    error = await error_of(house, CREATE, {"i": WHOLE | changed})
    assert error["message"] == text
    assert error["extensions"]["fields"] == {member: text}


async def test_a_missing_member_is_named(house: House) -> None:
    error = await error_of(house, CREATE, {"i": {key: WHOLE[key] for key in WHOLE if key != "email"}})
    assert error["extensions"]["fields"] == {"email": "The email field is required."}


@pytest.mark.parametrize(
    "given", [WHOLE | {"colour": 1}, {"password": SECRET}, WHOLE | {"email": None}, WHOLE | {"firstName": 5}]
)
async def test_no_refusal_shows_a_password_again(house: House, given: dict[str, Any]) -> None:
    assert SECRET not in str(await house.graphql(CREATE, {"i": given}))
    literal = ", ".join(f"{name}: {value!r}".replace("'", chr(34)) for name, value in given.items() if value)
    assert SECRET not in str(await house.graphql(f"mutation {{ clientCreate(input: {{{literal}}}) {{ id }} }}"))
    assert await house.rows("SELECT id FROM clients") == []


async def test_a_password_of_another_type_is_not_shown_again(house: House) -> None:
    assert "98765432" not in str(await house.graphql(CREATE, {"i": WHOLE | {"password": 98765432}}))


async def test_a_date_that_is_none_is_named_with_its_reason(house: House) -> None:
    query = "mutation($i: InvoiceCreateInput!) { invoiceCreate(input: $i) { id } }"
    items = [{"description": "Hosting", "amount": "1.00"}]
    error = await error_of(house, query, {"i": {"clientId": 1, "dueDate": "2030-13-01", "items": items}})
    assert list(error["extensions"]["fields"]) == ["dueDate"]
    assert error["message"].startswith("The due date field must be a date")


async def test_a_value_is_not_taken_for_the_words_of_a_refusal(house: House) -> None:
    given = WHOLE | {"password": "required field 'secret'", "colour": 1}
    answer = await house.graphql(CREATE, {"i": given})
    assert answer["errors"][0]["extensions"]["fields"] == {"colour": "The colour field is not known."}
