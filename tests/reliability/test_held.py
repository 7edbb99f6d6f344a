"""What one operation may hold of lists that have no pages: so much, and then it is refused by a sentence."""

from typing import Any

import pytest

from arcbilling import operations
from resolvers.tables import MAX_ROWS, Table
from schema import context, execution, tickets
from schema.checks import MAX_ITEMS
from schema.context import MAX_ROWS_CHOSEN, MAX_TEXT, size_of
from schema.limits import MAX_PAGE
from tests.conftest import House

pytestmark = pytest.mark.anyio

INVOICES = "{ invoices { nodes { items { id } } } }"
TICKETS = "{ tickets { nodes { messages { message } } } }"


def test_a_full_page_of_full_invoices_is_always_answered() -> None:
    assert MAX_ROWS >= MAX_PAGE * MAX_ITEMS


def test_a_full_ticket_is_always_shown_and_its_reply_stored() -> None:
    """Beside its texts, each message takes some members, and the ticket too."""
    assert tickets.MAX_SIZE + tickets.MAX_MESSAGES * 500 < execution.MAX_STORED < MAX_TEXT
    assert tickets.MESSAGE.most * size_of("\x01") < tickets.MAX_SIZE, "any first message has room"


async def refusal(house: House, query: str) -> str:
    response = await house.graphql(query)
    assert {error["extensions"]["code"] for error in response["errors"]} == {"VALIDATION_ERROR"}
    (message,) = {error["message"] for error in response["errors"]}
    return str(message)


async def test_rows_are_counted_over_the_whole_operation(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MAX_ROWS", 4)
    monkeypatch.setattr(operations, "MAX_ROWS_CHOSEN", 4)
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


async def test_no_more_rows_are_read_than_are_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_ROWS_CHOSEN", 10)
    client = (await house.a_client())["id"]
    for _ in range(3):
        await house.an_invoice(client, items=[{"description": "a", "amount": "1"}] * 3)
    limits: list[int] = []
    grouped = Table.grouped

    async def noted(
        self: Table[Any], session: Any, parent: str, ids: Any, most: int = MAX_ROWS, columns: Any = None
    ) -> Any:
        limits.append(most)
        return await grouped(self, session, parent, ids, most, columns)

    monkeypatch.setattr(Table, "grouped", noted)
    late = "client { invoices(first: 2, after: $a) { nodes { items { id } } } }"
    first = (await house.data("{ invoices(first: 1) { pageInfo { endCursor } } }"))["invoices"]["pageInfo"]
    query = f"query($a: String!) {{ invoices(first: 1) {{ nodes {{ items {{ id }} {late} }} }} }}"
    await house.data(query, {"a": first["endCursor"]})
    assert limits == [10, 7]


async def test_fewer_rows_are_told_where_the_caller_chooses_the_fields(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_ROWS_CHOSEN < MAX_ROWS
    monkeypatch.setattr(operations, "MAX_ROWS_CHOSEN", 1)
    await house.an_invoice(items=[{"description": "a", "amount": "1"}] * 2)
    assert await refusal(house, INVOICES) == "This asks for more than 1 invoice items. Ask for fewer at once."
    assert (await house.rest("GET", "/invoices")).status_code == 200


async def test_texts_are_counted_each_time_they_are_shown_and_as_they_are_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MAX_TEXT", 1_000)
    too_much = "This asks for more than 1,000 bytes of text. Ask for fewer at once."
    id = (await house.a_ticket(message="\x01" * 100))["id"]
    once = f"ticket(id: {id}) {{ messages {{ message }} }}"
    assert (await house.data(f"{{ {once} }}"))["ticket"]["messages"] == [{"message": "\x01" * 100}]
    assert await refusal(house, f"{{ {once} again: {once} }}") == too_much


async def test_long_texts_are_counted_before_they_are_read(
    house: House, monkeypatch: pytest.MonkeyPatch, statements: list[str]
) -> None:
    monkeypatch.setattr(context, "MAX_TEXT", 1_000)
    client = (await house.a_client())["id"]
    for _ in range(2):
        await house.a_ticket(client, message="x" * 498)
    assert len((await house.data(TICKETS))["tickets"]["nodes"]) == 2

    third = (await house.a_ticket(client, message="é" * 450))["id"]
    too_much = "This asks for more than 1,000 bytes of text. Ask for fewer at once."
    statements.clear()
    assert await refusal(house, TICKETS) == too_much
    assert not [sql for sql in statements if sql.startswith("SELECT id") and "FROM ticket_messages" in sql]

    one = f"ticket(id: {third}) {{ messages {{ message }} }}"
    assert (await house.data(f"{{ {one} }}"))["ticket"]["messages"] == [{"message": "é" * 450}]
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
        f"Ticket {ticket} is full: it holds 3 messages of 27 bytes. Open another."
    )
    assert await house.events() == events
    assert (await house.rest("POST", f"/tickets/{ticket}/close")).status_code == 200


@pytest.mark.parametrize(("letter", "size"), [("a", 1), ("\x01", 6), ('"', 2), ("é", 2), ("😀", 4)])
async def test_a_ticket_holds_so_much_text(
    house: House, monkeypatch: pytest.MonkeyPatch, letter: str, size: int
) -> None:
    monkeypatch.setattr(tickets, "MAX_SIZE", 100 * size + 4)
    ticket = (await house.a_ticket(message=letter * 60))["id"]
    assert (await house.rest("POST", f"/tickets/{ticket}/reply", {"message": letter * 41})).status_code == 400
    assert (await house.rest("POST", f"/tickets/{ticket}/reply", {"message": letter * 40})).status_code == 200


async def test_an_answer_that_is_too_long_to_be_stored_undoes_its_work(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = (await house.a_ticket())["id"]
    events = await house.events()
    monkeypatch.setattr(execution, "MAX_STORED", 50)
    sentence = "at most 50 are stored for an Idempotency-Key. Nothing was done. Select less of it."
    reply = f'mutation {{ ticketReply(id: {ticket}, message: "More.") {{ id subject status messages {{ message }} }} }}'
    async with house.http() as http:
        keyed = {"Idempotency-Key": "k"}
        for answer in (
            await http.post("/graphql", json={"query": reply}, headers=keyed),
            await http.post(f"/api/v1/tickets/{ticket}/reply", json={"message": "More."}, headers=keyed),
        ):
            assert (answer.status_code, sentence in answer.text) == (400, True)
        assert await house.events() == events
        short = reply.replace("id subject status messages { message }", "id")
        assert (await http.post("/graphql", json={"query": short}, headers=keyed)).json()["data"]
        assert (await http.post("/graphql", json={"query": reply})).json()["data"], "without a key nothing is stored"


async def test_the_reply_to_a_long_ticket_is_stored_and_replayed(house: House) -> None:
    ticket = (await house.a_ticket(message="a" * 65_000))["id"]
    for _ in range(12):
        await house.made(f"/tickets/{ticket}/reply", {"message": "a" * 65_000})
    async with house.http() as http:
        first, second = [
            await http.post(
                f"/api/v1/tickets/{ticket}/reply", json={"message": "More."}, headers={"Idempotency-Key": "k"}
            )
            for _ in range(2)
        ]
    assert (first.status_code, second.content) == (200, first.content)
    assert second.headers["idempotency-replayed"] == "true"
