"""The event log in REST: its pages, its stream's manners, and what is refused."""

import json
from typing import Any

import pytest

from resolvers import outbox
from tests.conftest import House
from tests.databases import on_sqlite

pytestmark = pytest.mark.anyio


async def made(house: House, number: int) -> list[str]:
    """The ids of all events, after that many clients were made."""
    for _ in range(number):
        await house.a_client()
    while await outbox.sequence_committed(house.engine.database):
        pass
    return [id for (id,) in await house.rows("SELECT public_id FROM events ORDER BY sequence")]


async def page(house: House, query: str = "", **more: Any) -> Any:
    answer = await house.rest("GET", f"/events{query}", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_pages_go_through_the_log_from_its_beginning(house: House) -> None:
    ids = await made(house, 5)
    first = await page(house, "?per_page=2")
    assert list(first) == ["status", "data", "meta"]
    assert [one["id"] for one in first["data"]] == ids[:2]
    assert first["meta"] == {"has_more": True, "next_after": ids[1]}
    assert list(first["data"][0]) == ["id", "sequence", "event", "timestamp", "data"]
    stored = json.loads((await house.rows("SELECT payload FROM events WHERE sequence = 1"))[0][0])
    shown = first["data"][0]
    assert {name: shown[name] for name in ("data", "event", "timestamp")} == stored
    assert (shown["sequence"], shown["data"]["id"]) == (1, 1)
    second = await page(house, f"?per_page=3&after={ids[1]}")
    assert [one["id"] for one in second["data"]] == ids[2:]
    assert second["meta"] == {"has_more": False, "next_after": ids[4]}
    beyond = await page(house, f"?after={ids[4]}")
    assert (beyond["data"], beyond["meta"]) == ([], {"has_more": False, "next_after": ids[4]})


async def test_a_page_links_to_the_next(house: House) -> None:
    ids = await made(house, 3)
    answer = await house.rest("GET", "/events?per_page=2&types=client.created,client.updated")
    link = answer.headers["link"]
    assert link.endswith('>; rel="next"')
    async with house.http() as http:
        following = (await http.get(link[1:].partition(">")[0])).json()
    assert [one["id"] for one in following["data"]] == ids[2:]
    assert "link" not in (await house.rest("GET", "/events")).headers


async def test_an_empty_log_has_an_empty_page(house: House) -> None:
    assert await page(house) == {"status": "success", "data": [], "meta": {"has_more": False, "next_after": None}}


async def test_types_choose(house: House) -> None:
    await house.an_invoice()
    await made(house, 1)
    shown = await page(house, "?types=invoice.created, client.updated")
    assert [one["event"] for one in shown["data"]] == ["invoice.created"]


@pytest.mark.parametrize("path", ["/events", "/events/stream"])
@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("typs=invoice.paid", {"typs": "The typs field is not known."}),
        ("cursor=x", {"cursor": "The cursor field is not known."}),
        ("types=invoice.lost", {"types": "names of the event catalogue"}),
        ("types=", {"types": "The types field must not be empty."}),
        ("after=", {"after": "The after field must not be empty."}),
        ("after=evt_1", {"after": "must be the id of an event that is kept"}),
        ("after=a&after=b", {"after": "The after field must not be given twice."}),
        ("after=77", {"after": "must be the id of an event that is kept"}),
    ],
)
@on_sqlite
async def test_what_is_wrong_is_refused_by_name(house: House, path: str, query: str, fields: dict[str, str]) -> None:
    answer = await house.rest("GET", f"{path}?{query}")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert list(error["fields"]) == list(fields)
    for name, sentence in fields.items():
        assert sentence in error["fields"][name]


@on_sqlite
async def test_pages_have_so_many_events(house: House) -> None:
    for value in ("0", "101", "x"):
        answer = await house.rest("GET", f"/events?per_page={value}")
        assert answer.json()["error"]["fields"] == {
            "per_page": "The per page field must be a whole number from 1 to 100."
        }
    assert (await house.rest("GET", "/events/stream?per_page=5")).status_code == 400


@on_sqlite
async def test_an_expired_cursor_is_refused_with_the_oldest_event(house: House) -> None:
    ids = await made(house, 2)
    await house.write("DELETE FROM events WHERE sequence = 1")
    for path in ("/events", "/events/stream"):
        error = (await house.rest("GET", f"{path}?after={ids[0]}")).json()["error"]
        assert error["reason"] == "CURSOR_EXPIRED"
        assert ids[1] in error["message"]
        assert error["message"] == error["fields"]["after"]


@on_sqlite
async def test_nothing_but_the_id_of_an_event_is_a_place_in_the_log(house: House) -> None:
    await made(house, 2)
    cursor = (await house.data("{ events(first: 1) { pageInfo { endCursor } } }"))["events"]["pageInfo"]["endCursor"]
    for path in ("/events", "/events/stream"):
        error = (await house.rest("GET", f"{path}?after={cursor}")).json()["error"]
        assert error["reason"] == "CURSOR_EXPIRED"


@on_sqlite
async def test_both_have_the_manners_of_every_route(house: House) -> None:
    await made(house, 1)
    for path in ("/events", "/events/", "/events/stream", "/events/stream/"):
        assert (await house.rest("OPTIONS", path)).headers["allow"] == "GET, HEAD, OPTIONS"
        refused = await house.rest("POST", path, {})
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        head = await house.rest("HEAD", path)
        assert (head.status_code, head.content) == (200, b"")
        nobody = await house.rest("GET", path, key="")
        assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
        lacking = await house.rest("GET", path, key=await house.new_key("clients:read"))
        assert (lacking.status_code, "events:read" in lacking.text) == (403, True)
        named = await house.rest("GET", f"{path}?types=ticket.opened", key=await house.new_key("events:read"))
        assert (named.status_code, "tickets:read" in named.text) == (403, True)
    head = await house.rest("HEAD", "/events/stream")
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (await house.rest("GET", "/events/other")).status_code == 404
    assert (await house.rest("GET", "/events/1")).status_code == 404
