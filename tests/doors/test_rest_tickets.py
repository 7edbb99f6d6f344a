"""Tickets over REST: who asks, who answers, and whose turn it is."""

import json
from typing import Any

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio


async def refused(house: House, path: str, body: Any) -> dict[str, str]:
    """The fields of a POST that must be refused, without an event."""
    before = await house.events()
    answer = await house.rest("POST", path, body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"
    assert await house.events() == before
    return dict(answer.json()["error"]["fields"])


async def reply(house: House, ticket: Any, message: str = "Hello.", **more: Any) -> Any:
    return await house.made(f"/tickets/{ticket['id']}/reply", {"message": message, **more})


def written(ticket: Any) -> list[tuple[str, str]]:
    return [(one["author"], one["message"]) for one in ticket["messages"]]


async def test_a_ticket_opens_with_the_clients_message(house: House) -> None:
    ticket = await house.a_ticket(priority="high")
    assert (ticket["status"], ticket["priority"], ticket["department_id"]) == ("open", "high", 1)
    assert written(ticket) == [("client", "It is down.")]
    assert await house.events() == ["client.created", "ticket.opened"]


async def test_the_priority_is_medium_unless_it_is_said(house: House) -> None:
    client = (await house.a_client())["id"]
    for given in ({}, {"priority": None}, {"priority": ""}):
        assert (await house.a_ticket(client, **given))["priority"] == "medium"


async def test_a_ticket_names_a_client_and_a_department_that_exist(house: House) -> None:
    client = (await house.a_client())["id"]
    body = {"client_id": client, "department_id": 1, "subject": "Help", "message": "It is down."}
    assert list(await refused(house, "/tickets", body | {"client_id": 999})) == ["client_id"]
    assert list(await refused(house, "/tickets", body | {"department_id": 999})) == ["department_id"]
    assert await refused(house, "/tickets", body | {"priority": "HIGH"}) == {
        "priority": "The priority field must be one of: low, medium, high."
    }


async def test_staff_answers_and_the_client_replies(house: House) -> None:
    ticket = await house.a_ticket()
    client = ticket["client_id"]
    for author, more, status in (
        ("staff", {}, "answered"),
        ("client", {"client_id": client}, "customer_reply"),
        ("client", {"client_id": str(client)}, "customer_reply"),
        ("staff", {"client_id": None}, "answered"),
    ):
        answered = await reply(house, ticket, "Hello.", **more)
        assert (answered["status"], written(answered)[-1]) == (status, (author, "Hello."))
    assert len(answered["messages"]) == 5
    assert await house.events() == ["client.created", "ticket.opened", *["ticket.replied"] * 4]


async def test_a_reply_is_the_tickets_clients_or_staffs(house: House) -> None:
    ticket, other = await house.a_ticket(), await house.a_client()
    path = f"/tickets/{ticket['id']}/reply"
    for wrong in (other["id"], 999, 0, "x"):
        assert list(await refused(house, path, {"message": "x", "client_id": wrong})) == ["client_id"]
    for body in ({}, {"message": None}, {"message": ""}, None):
        assert await refused(house, path, body) == {"message": "The message field is required."}
    assert written((await house.rest("GET", "/tickets/1")).json()["data"]) == [("client", "It is down.")]


async def test_a_reply_to_a_closed_ticket_opens_it_again(house: House) -> None:
    ticket = await house.a_ticket()
    for more, status in (({}, "answered"), ({"client_id": ticket["client_id"]}, "customer_reply")):
        assert (await house.made(f"/tickets/{ticket['id']}/close"))["status"] == "closed"
        assert (await reply(house, ticket, **more))["status"] == status
    assert (await house.events())[2:] == ["ticket.closed", "ticket.replied"] * 2


async def test_a_ticket_is_closed_from_every_status_and_once(house: House) -> None:
    ticket = await house.a_ticket()
    path = f"/tickets/{ticket['id']}/close"
    hold = "mutation { ticketUpdate(id: 1, input: {status: ON_HOLD}) { status } }"
    closed = await house.made(path)
    assert (await house.made(path), closed["status"]) == (closed, "closed")
    assert (await house.events())[2:] == ["ticket.closed"]
    await reply(house, ticket)
    assert (await house.made(path))["status"] == "closed"
    await reply(house, ticket, client_id=ticket["client_id"])
    assert (await house.data(hold))["ticketUpdate"]["status"] == "ON_HOLD"
    assert (await house.made(path))["status"] == "closed"


async def test_messages_are_kept_as_they_were_written_and_in_their_order(house: House) -> None:
    ticket = await house.a_ticket(message="  first\r\n\t")
    for text in ("second\n", " \u200bthird", "<script>alert(1)</script>"):
        ticket = await reply(house, ticket, text)
    messages = [one["message"] for one in ticket["messages"]]
    assert messages == ["  first\r\n\t", "second\n", " \u200bthird", "<script>alert(1)</script>"]
    ids = [one["id"] for one in ticket["messages"]]
    assert ids == sorted(ids)


async def test_events_of_tickets_show_them_as_lists_do_and_a_reply_with_its_message(house: House) -> None:
    ticket = await house.a_ticket()
    replied = await reply(house, ticket, "On it.")
    (listed,) = (await house.rest("GET", "/tickets")).json()["data"]
    told = [
        json.loads(payload)["data"]
        for (payload,) in await house.rows("SELECT payload FROM events WHERE event LIKE 'ticket.%' ORDER BY id")
    ]
    assert set(told[0]) == set(listed)
    last = replied["messages"][-1]
    message = {"id": last["id"], "author": "staff", "message": "On it."}
    assert told[1] == listed | {"reply": message}


async def test_a_key_of_a_client_opens_and_answers_its_own_tickets_as_the_client(house: House) -> None:
    mine, other = await house.a_client(), await house.a_client()
    foreign = await house.a_ticket(other["id"])
    key = await house.new_key(client=mine["id"])
    body = {"client_id": mine["id"], "department_id": 1, "subject": "Help", "message": "It is down."}
    opened = await house.made("/tickets", body, key=key)
    answered = await house.made(f"/tickets/{opened['id']}/reply", {"message": "Still."}, key=key)
    assert (answered["status"], written(answered)[-1]) == ("customer_reply", ("client", "Still."))
    refused = await house.rest("POST", "/tickets", body | {"client_id": other["id"]}, key=key)
    assert (refused.status_code, list(refused.json()["error"]["fields"])) == (400, ["client_id"])
    missing = await house.rest("POST", f"/tickets/{foreign['id']}/reply", {"message": "x"}, key=key)
    assert missing.status_code == 404
    assert (await house.rest("POST", f"/tickets/{opened['id']}/close", key=key)).status_code == 403
    assert [one["id"] for one in (await house.rest("GET", "/tickets", key=key)).json()["data"]] == [opened["id"]]


@pytest.mark.parametrize(("verb", "body"), [("reply", {"message": "x"}), ("close", None)])
async def test_a_ticket_that_does_not_exist_is_not_found(house: House, verb: str, body: Any) -> None:
    answer = await house.rest("POST", f"/tickets/999/{verb}", body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Ticket 999 does not exist.")


@pytest.mark.parametrize("named", [True, False])
async def test_a_ticket_of_an_erased_client_takes_no_reply(house: House, named: bool) -> None:
    client = await house.a_client()
    ticket = await house.a_ticket(client["id"])
    assert (await house.rest("DELETE", f"/clients/{client['id']}")).status_code == 200
    body = {"message": "I am Ada"} | ({"client_id": client["id"]} if named else {})
    answer = await house.rest("POST", f"/tickets/{ticket['id']}/reply", body)
    assert answer.status_code == 400
    assert "erased" in answer.json()["error"]["message"]
