"""What one operation may hold of lists that have no pages: so much, and then it is refused by a sentence."""

import pytest

from resolvers.tables import MAX_ROWS
from schema import context, tickets
from schema.checks import MAX_ITEMS
from schema.limits import MAX_PAGE
from tests.conftest import House

pytestmark = pytest.mark.anyio

INVOICES = "{ invoices { nodes { items { id } } } }"
TICKETS = "{ tickets { nodes { messages { message } } } }"


def test_a_full_page_of_full_invoices_is_always_answered() -> None:
    assert MAX_ROWS >= MAX_PAGE * MAX_ITEMS


async def refusal(house: House, query: str) -> str:
    response = await house.graphql(query)
    assert {error["extensions"]["code"] for error in response["errors"]} == {"VALIDATION_ERROR"}
    (message,) = {error["message"] for error in response["errors"]}
    return str(message)


async def test_rows_are_counted_over_the_whole_operation(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MAX_ROWS", 4)
    client = (await house.a_client())["id"]
    for _ in range(2):
        await house.an_invoice(client, items=[{"description": "a", "amount": "1"}] * 2)
    assert len((await house.data(INVOICES))["invoices"]["nodes"]) == 2
    assert len((await house.rest("GET", "/invoices")).json()["data"]) == 2

    too_many = "This asks for more than 4 invoice items. Ask for fewer at once."
    again = "client(id: 1) { invoices { nodes { items { id } } } }"  # shown again, though not read again
    assert await refusal(house, f"{{ invoices {{ nodes {{ items {{ id }} }} }} {again} }}") == too_many
    await house.an_invoice(client)
    assert await refusal(house, INVOICES) == too_many
    assert (await house.rest("GET", "/invoices")).json()["error"]["message"] == too_many
    assert len((await house.data("{ invoices(first: 2) { nodes { items { id } } } }"))["invoices"]["nodes"]) == 2


async def test_long_texts_are_counted_before_they_are_read(
    house: House, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    monkeypatch.setattr(context, "MAX_TEXT", 1_000)
    client = (await house.a_client())["id"]
    for _ in range(2):
        await house.a_ticket(client, message="x" * 500)
    assert len((await house.data(TICKETS))["tickets"]["nodes"]) == 2

    third = (await house.a_ticket(client, message="é" * 900))["id"]
    too_much = "This asks for more than 1,000 characters of text. Ask for fewer at once."
    statements.clear()
    assert await refusal(house, TICKETS) == too_much
    assert not [sql for sql in statements if sql.startswith("SELECT id") and "FROM ticket_messages" in sql]

    one = f"ticket(id: {third}) {{ messages {{ message }} }}"
    assert (await house.data(f"{{ {one} }}"))["ticket"]["messages"] == [{"message": "é" * 900}]
    assert (await house.rest("GET", f"/tickets/{third}")).status_code == 200
    later = "client(id: 1) { tickets { nodes { messages { message } } } }"
    assert await refusal(house, f"{{ {one} {later} }}") == too_much


async def test_a_full_ticket_takes_no_more_replies(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "MAX_MESSAGES", 3)
    ticket = (await house.a_ticket())["id"]
    for _ in range(2):
        await house.made(f"/tickets/{ticket}/reply", {"message": "More."})
    events = await house.events()
    refused = await house.rest("POST", f"/tickets/{ticket}/reply", {"message": "And more."})
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == (
        f"Ticket {ticket} is full: it holds 3 messages of 21 characters. Please open another."
    )
    assert await house.events() == events
    assert (await house.rest("POST", f"/tickets/{ticket}/close")).status_code == 200


async def test_a_ticket_holds_so_many_characters(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "MAX_CHARACTERS", 100)
    ticket = (await house.a_ticket(message="a" * 60))["id"]
    assert (await house.rest("POST", f"/tickets/{ticket}/reply", {"message": "a" * 41})).status_code == 400
    assert (await house.rest("POST", f"/tickets/{ticket}/reply", {"message": "a" * 40})).status_code == 200
