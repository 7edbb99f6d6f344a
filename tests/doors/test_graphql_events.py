"""The event log in GraphQL: snapshots, live objects, who is shown what, and where to go on."""

from typing import Any

import pytest

from resolvers import outbox
from tests.conftest import House
from tests.databases import on_sqlite

pytestmark = pytest.mark.anyio

EACH = "{ events(first: 100) { nodes { id sequence event timestamp objectId payload __typename %s } } }"


async def numbered(house: House, document: str = EACH % "", **more: Any) -> Any:
    """The events, once all that have happened have their numbers."""
    while await outbox.sequence_committed(house.engine.database):
        pass
    return (await house.data(document, **more))["events"]["nodes"]


async def test_each_event_shows_its_object_as_it_was_and_as_it_is(house: House) -> None:
    client = await house.a_client()
    invoice = await house.an_invoice(client["id"], "29.99")
    await house.rest("POST", f"/invoices/{invoice['id']}/pay")
    service = await house.a_service(client["id"], invoice=False)
    ticket = await house.a_ticket(client["id"])
    await house.made(f"/tickets/{ticket['id']}/reply", {"message": "Is it up again?"})
    shown = await numbered(
        house,
        EACH
        % """
        ... on ClientEvent { of: data { id firstName email status createdAt } client { id email } }
        ... on InvoiceEvent { i: data { id clientId status total currency dueDate paidAt } invoice { status total } }
        ... on ServiceEvent { s: data { id productId serverId billingCycle amount nextDueDate } service { id } }
        ... on TicketEvent { t: data { id subject status reply { id author message } } ticket { status } }
        """,
    )
    assert [one["event"] for one in shown] == [
        "client.created",
        "invoice.created",
        "invoice.paid",
        "service.created",
        "ticket.opened",
        "ticket.replied",
    ]
    assert [one["sequence"] for one in shown] == [1, 2, 3, 4, 5, 6]
    made, issued, paid, sold, opened, replied = shown
    assert made["__typename"] == "ClientEvent"
    assert made["objectId"] == made["of"]["id"] == made["client"]["id"] == "cli_1"
    assert (made["of"]["firstName"], made["of"]["status"], made["of"]["createdAt"]) == (
        "Ada",
        "ACTIVE",
        client["created_at"],
    )
    assert issued["i"] == {
        "id": "inv_1",
        "clientId": "cli_1",
        "status": "UNPAID",
        "total": "29.99",
        "currency": "USD",
        "dueDate": "2030-01-31",
        "paidAt": None,
    }
    assert issued["invoice"] == paid["invoice"] == {"status": "PAID", "total": "29.99"}
    assert (paid["i"]["status"], paid["i"]["paidAt"]) == ("PAID", paid["timestamp"])
    assert sold["s"] == {
        "id": "svc_1",
        "productId": "pro_1",
        "serverId": None,
        "billingCycle": "MONTHLY",
        "amount": "10.00",
        "nextDueDate": service["next_due_date"],
    }
    assert (opened["t"]["status"], opened["t"]["reply"], opened["ticket"]["status"]) == ("OPEN", None, "ANSWERED")
    assert replied["t"]["reply"] == {"id": "msg_2", "author": "STAFF", "message": "Is it up again?"}
    # The payload is what webhooks are sent, in REST's forms.
    assert (issued["payload"]["id"], issued["payload"]["client_id"], issued["payload"]["total"]) == (1, 1, "29.99")
    assert replied["payload"]["reply"] == {"id": 2, "author": "staff", "message": "Is it up again?"}


async def test_the_events_of_an_erased_client_are_readable(house: House) -> None:
    client = await house.a_client(city="London")
    await house.a_ticket(client["id"])
    await house.made("/tickets/1/reply", {"message": "Secret"})
    assert (await house.rest("DELETE", f"/clients/{client['id']}")).status_code == 200
    shown = await numbered(
        house,
        EACH
        % """
        ... on ClientEvent { of: data { id firstName lastName email city status } client { id } }
        ... on TicketEvent { t: data { id subject status reply { id author message } } }
        """,
    )
    assert [one["event"] for one in shown] == ["client.created", "ticket.opened", "ticket.replied", "client.deleted"]
    assert shown[0]["of"] == {
        "id": "cli_1",
        "firstName": None,
        "lastName": None,
        "email": None,
        "city": None,
        "status": "ACTIVE",
    }
    assert (shown[3]["of"]["email"], shown[3]["of"]["city"]) == (None, None)
    assert shown[0]["client"] is shown[3]["client"] is None
    assert (shown[1]["t"]["subject"], shown[1]["t"]["status"]) == (None, "OPEN")
    assert shown[2]["t"]["reply"] == {"id": "msg_2", "author": "STAFF", "message": None}
    assert "Secret" not in str(shown)
    assert "Ada" not in str(shown)


async def test_a_key_is_shown_events_of_objects_that_it_may_see(house: House) -> None:
    await house.a_ticket((await house.an_invoice())["client_id"])
    whole = await numbered(house)
    nouns = {"clients": "client", "invoices": "invoice", "tickets": "ticket", "services": "service"}
    for scope, noun in nouns.items():
        key = await house.new_key("events:read", f"{scope}:read")
        shown = await numbered(house, key=key)
        assert [one["id"] for one in shown] == [one["id"] for one in whole if one["event"].startswith(noun)]
        counted = await house.data("{ events { totalCount } }", key=key)
        assert counted["events"]["totalCount"] == len(shown)
        for one in whole:
            response = await house.graphql(f'{{ event(id: "{one["id"]}") {{ id }} }}', key=key)
            if one in shown:
                assert response["data"]["event"]["id"] == one["id"]
            else:
                (error,) = response["errors"]
                other = one["event"].partition(".")[0]
                assert error["extensions"]["code"] == "FORBIDDEN"
                assert error["message"] == f"This key lacks the scope {other}s:read."
    response = await house.graphql('{ events(filter: {types: ["ticket.opened"]}) { totalCount } }', key=key)
    assert response["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "tickets:read" in response["errors"][0]["message"]
    assert await numbered(house, key=await house.new_key("events:read")) == []


async def test_a_key_of_a_client_is_shown_its_own_events_and_none_of_webhooks(house: House) -> None:
    for _ in range(2):
        await house.an_invoice()
    whole = await numbered(house)
    for client in (1, 2):
        key = await house.new_key(client=client)
        shown = await numbered(house, key=key)
        assert shown == [one for one in whole if one["payload"].get("client_id", one["payload"]["id"]) == client]
        theirs = next(one for one in whole if one not in shown)
        response = await house.graphql(f'{{ events(after: "{theirs["id"]}") {{ nodes {{ id }} }} }}', key=key)
        assert response["errors"][0]["extensions"]["reason"] == "CURSOR_EXPIRED"
        assert shown[0]["id"] in response["errors"][0]["message"]
    response = await house.graphql('{ events(filter: {types: ["webhook.disabled"]}) { totalCount } }', key=key)
    assert response["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "webhooks:read" in response["errors"][0]["message"]


async def test_the_log_goes_on_after_an_event_as_after_a_cursor(house: House) -> None:
    for _ in range(3):
        await house.a_client()
    ids = [one["id"] for one in await numbered(house)]
    for place, id in enumerate(ids):
        found = await house.data(f'{{ events(after: "{id}") {{ nodes {{ id }} }} }}')
        assert [one["id"] for one in found["events"]["nodes"]] == ids[place + 1 :]
        found = await house.data(f'{{ events(after: "{id}", sort: SEQUENCE_DESC) {{ nodes {{ id }} }} }}')
        assert [one["id"] for one in found["events"]["nodes"]] == ids[:place][::-1]
    cursor = (await house.data("{ events(first: 1) { pageInfo { endCursor } } }"))["events"]["pageInfo"]["endCursor"]
    found = await house.data(f'{{ events(after: "{cursor}") {{ nodes {{ id }} }} }}')
    assert [one["id"] for one in found["events"]["nodes"]] == ids[1:]


async def test_what_is_kept_no_more_is_refused_with_what_is(house: House) -> None:
    for _ in range(2):
        await house.a_client()
    ids = [one["id"] for one in await numbered(house)]
    await house.write("DELETE FROM events WHERE sequence = 1")
    for after, oldest in ((ids[0], ids[1]), ("evt_unknown", ids[1])):
        response = await house.graphql(f'{{ events(after: "{after}") {{ nodes {{ id }} }} }}')
        (error,) = response["errors"]
        assert error["extensions"]["reason"] == "CURSOR_EXPIRED"
        assert error["extensions"]["code"] == "VALIDATION_ERROR"
        assert error["message"] == (
            f"The after field must be the id of an event that is kept, and {after!r} is none. "
            f"The oldest that is kept is {oldest}."
        )
    await house.write("DELETE FROM events")
    response = await house.graphql(f'{{ events(after: "{ids[1]}") {{ nodes {{ id }} }} }}')
    assert response["errors"][0]["message"].endswith("No event is kept.")


async def test_types_are_those_of_the_catalogue(house: House) -> None:
    await house.an_invoice()
    await numbered(house)
    found = await house.data('{ events(filter: {types: ["invoice.created", "ticket.opened"]}) { nodes { event } } }')
    assert found["events"]["nodes"] == [{"event": "invoice.created"}]
    response = await house.graphql('{ events(filter: {types: ["invoice.lost"]}) { totalCount } }')
    assert "'invoice.lost' is none" in response["errors"][0]["message"]


LIVE = """{ events(first: 100) { nodes {
    payload
    ... on ClientEvent { of: data { email } client { email } }
    ... on InvoiceEvent { i: data { total } invoice { number client { email } } }
    ... on TicketEvent { t: data { subject } ticket { subject client { email } } }
    ... on ServiceEvent { s: data { domain } service { domain client { email } } }
} } }"""


@on_sqlite
async def test_live_objects_are_one_statement_for_each_type(house: House, statements: list[str]) -> None:
    counts = []
    for _ in range(2):
        for _ in range(5):
            client = (await house.a_client())["id"]
            await house.an_invoice(client)
            await house.a_ticket(client)
            await house.a_service(client, invoice=False)
        await numbered(house)
        statements.clear()
        shown = (await house.data(LIVE))["events"]["nodes"]
        assert all(one["payload"] for one in shown)
        tables = (" FROM events", " FROM clients", " FROM invoices", " FROM tickets", " FROM services")
        counts.append([sum(table in sql and "SELECT" in sql for sql in statements) for table in tables])
    assert counts[0] == counts[1]
    assert counts[0][2:] == [1, 1, 1]


@on_sqlite
async def test_an_operation_holds_so_much_of_long_snapshots(house: House) -> None:
    ticket = await house.a_ticket()
    for _ in range(3):
        await house.made(f"/tickets/{ticket['id']}/reply", {"message": "é" * 65_000})
    await numbered(house)
    aliases = " ".join(f"a{place}: payload" for place in range(29))
    response = await house.graphql(f"{{ events(first: 100) {{ nodes {{ {aliases} }} }} }}")
    assert "8,388,608 bytes of text" in response["errors"][0]["message"]
    assert len(await numbered(house)) == 5
