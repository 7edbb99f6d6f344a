"""HTTP manners of the REST door: HEAD, OPTIONS, CORS, request ids, slashes, and headers that are always there."""

import re
from pathlib import Path

import pytest

from rest_compat.routes import ROUTES
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase

pytestmark = pytest.mark.anyio

EXPOSED = {
    "Location",
    "Link",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-Request-Id",
    "Idempotency-Replayed",
}
ORIGIN = {"origin": "https://shop.test"}
PREFLIGHT = ORIGIN | {"access-control-request-method": "PUT", "access-control-request-headers": "authorization, x-shop"}


def listed(header: str) -> set[str]:
    return {name.strip() for name in header.split(",")}


async def test_head_is_get_without_the_body(house: House) -> None:
    await house.a_client()
    for path in ("/clients", "/clients/1", "/clients/999", "/clients?colour=red", "/nowhere"):
        got, head = await house.rest("GET", path), await house.rest("HEAD", path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
        if got.status_code == 200:
            assert head.headers["content-length"] == str(len(got.content))


async def test_options_is_204_with_the_allowed_methods(house: House) -> None:
    allowed: dict[str, set[str]] = {}
    for route in ROUTES:
        allowed.setdefault(route.path, {"OPTIONS"}).add(route.method)
    for path, methods in allowed.items():
        answer = await house.rest("OPTIONS", path.replace("{id}", "999"))
        assert (answer.status_code, answer.content) == (204, b"")
        assert listed(answer.headers["allow"]) == methods | ({"HEAD"} if "GET" in methods else set())
    assert (await house.rest("OPTIONS", "/nowhere")).status_code == 404


async def test_a_trailing_slash_is_the_same_route_and_never_a_redirect(house: House) -> None:
    client = await house.a_client()
    invoice = await house.an_invoice(client["id"])
    assert (await house.rest("GET", "/clients/")).json()["data"] == [client]
    assert (await house.rest("GET", "/clients/?per_page=1")).json()["data"] == [client]
    assert (await house.rest("GET", "/clients/1/")).json()["data"] == client
    assert (await house.rest("PUT", "/clients/1/", {"city": "London"})).json()["data"]["city"] == "London"
    assert (await house.rest("POST", f"/invoices/{invoice['id']}/pay/")).json()["data"]["status"] == "paid"
    body = {"client_id": 1, "department_id": 1, "subject": "Help", "message": "It is down."}
    answer = await house.rest("POST", "/tickets/", body)
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/tickets/1")
    assert (await house.rest("GET", "/openapi.json/", key="")).status_code == 200


async def test_the_scheme_of_the_key_is_case_blind(house: House) -> None:
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        answer = await house.rest("GET", "/clients", key="", headers={"authorization": f"{scheme}  {house.key} "})
        assert answer.status_code == 200


async def test_nothing_is_stored_on_the_way(house: House) -> None:
    for key, path in ((house.key, "/clients"), (house.key, "/nowhere"), ("", "/clients")):
        assert (await house.rest("GET", path, key=key)).headers["cache-control"] == "no-store"


async def test_every_answer_has_a_request_id_and_a_sane_one_of_the_caller_is_kept(house: House) -> None:
    made = {(await house.rest("GET", "/clients")).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    for sane in ("abc-123", "01JHN5Z8Q0000000000000000A", "a.b_c:d/e+f=", "x" * 128):
        answer = await house.rest("GET", "/clients/999", headers={"x-request-id": sane})
        assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"] == sane
    for strange in ("", "x" * 129, "a b", "<script>", "a,b", 'a"b'):
        answer = await house.rest("GET", "/nowhere", key="", headers={"x-request-id": strange})
        own = answer.headers["x-request-id"]
        assert own != strange
        assert re.fullmatch(r"[0-9a-f]{32}", own)
        assert answer.json()["error"]["request_id"] == own


async def test_a_preflight_is_204_without_a_key(house: House) -> None:
    for path in ("/clients", "/clients/1", "/nowhere", "/openapi.json"):
        answer = await house.rest("OPTIONS", path, key="", headers=PREFLIGHT)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert {"GET", "POST", "PUT", "DELETE"} <= listed(answer.headers["access-control-allow-methods"])
        assert {"authorization", "x-shop"} <= listed(answer.headers["access-control-allow-headers"])
        assert "access-control-allow-credentials" not in answer.headers


async def test_answers_to_another_origin_show_their_headers_errors_too(house: House) -> None:
    for key, path in ((house.key, "/clients"), (house.key, "/nowhere"), ("", "/clients")):
        answer = await house.rest("GET", path, key=key, headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert listed(answer.headers["access-control-expose-headers"]) == EXPOSED
        assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in (await house.rest("GET", "/clients")).headers


async def test_only_the_origins_of_the_setting_are_let_in(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database, cors_origins="https://shop.test,https://b.test") as house:
        answer = await house.rest("GET", "/clients", headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == "https://shop.test"
        assert "Origin" in listed(answer.headers["vary"])
        answer = await house.rest("OPTIONS", "/clients", key="", headers=PREFLIGHT)
        assert answer.headers["access-control-allow-origin"] == "https://shop.test"
        for origin in ("https://evil.test", "null", "https://shop.test.evil.test", "http://shop.test"):
            answer = await house.rest("GET", "/clients", headers={"origin": origin})
            assert answer.status_code == 200
            assert "access-control-allow-origin" not in answer.headers
            answer = await house.rest("OPTIONS", "/clients", key="", headers=PREFLIGHT | {"origin": origin})
            assert "access-control-allow-origin" not in answer.headers


async def test_an_answer_has_its_length_and_its_type(house: House) -> None:
    for path in ("/clients", "/nowhere", "/openapi.json"):
        answer = await house.rest("GET", path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-length"] == str(len(answer.content))


async def test_no_member_of_an_answer_is_ever_left_out_for_being_null(house: House) -> None:
    client = await house.a_client()
    for name in ("company", "phone", "address", "city", "country"):
        assert client[name] is None
