"""Errors over REST: six codes, the status that fits, and never more than the caller may know."""

from typing import Any

import pytest

from rest_compat.routes import ROUTES
from tests.conftest import House

pytestmark = pytest.mark.anyio


def error_of(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The error of an answer that must be one, in the envelope."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (set(body), body["status"]) == ({"status", "error"}, "error")
    assert {"code", "message", "request_id"} <= set(body["error"]) <= {"code", "message", "request_id", "fields"}
    assert body["error"]["code"] == code
    assert body["error"]["message"].endswith((".", "?"))
    return dict(body["error"])


def filled(path: str, id: str = "1") -> str:
    return path.replace("{id}", id)


async def test_without_a_valid_key_every_route_is_401_and_says_how_to_send_one(house: House) -> None:
    for route in ROUTES:
        answer = await house.rest(route.method, filled(route.path), key="")
        error_of(answer, 401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_wrong_key_is_answered_like_a_missing_one(house: House) -> None:
    good = house.key
    messages = set()
    for header in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        f"Bearer {good}x",
        f"Bearer {good[:-1]}",
        f"Bearer {good.upper()}",
        f"Basic {good}",
        good,
        f"Token {good}",
        f"Bearer {good} {good}",
        "Bearer " + "x" * 10_000,
    ):
        headers = {} if header is None else {"authorization": header}
        answer = await house.rest("GET", "/clients", key="", headers=headers)
        messages.add(error_of(answer, 401, "UNAUTHORIZED")["message"])
    assert len(messages) == 1


async def test_only_the_bearer_header_is_read(house: House) -> None:
    answer = await house.rest("GET", f"/clients?api_key={house.key}", key="")
    error_of(answer, 401, "UNAUTHORIZED")
    answer = await house.rest("GET", "/clients", key="", headers={"x-api-key": house.key, "cookie": f"key={house.key}"})
    error_of(answer, 401, "UNAUTHORIZED")


async def test_a_revoked_and_an_expired_key_are_dead(house: House) -> None:
    key = await house.new_key()
    assert (await house.rest("GET", "/clients", key=key)).status_code == 200
    ids = [id for (id,) in await house.rows("SELECT id FROM api_keys ORDER BY id DESC LIMIT 1")]
    await house.data("mutation($id: ID!) { apiKeyRevoke(id: $id) { id } }", {"id": ids[0]})
    error_of(await house.rest("GET", "/clients", key=key), 401, "UNAUTHORIZED")


SCOPES = {
    "clients": ("clients:read", "clients:write"),
    "services": ("services:read", "services:write"),
    "invoices": ("invoices:read", "invoices:write"),
    "tickets": ("tickets:read", "tickets:write"),
    "products": ("products:read", ""),
    "servers": ("servers:read", ""),
    "departments": ("departments:read", ""),
    "webhooks": ("webhooks:read", "webhooks:write"),
    "deliveries": ("webhooks:read", "webhooks:write"),
    "events": ("events:read", ""),
}


async def test_a_missing_scope_is_named_and_write_includes_read(house: House) -> None:
    every = {scope for pair in SCOPES.values() for scope in pair if scope}
    for route in ROUTES:
        read, write = SCOPES[route.noun]
        needed = read if route.method == "GET" else write
        without = await house.new_key(*sorted(every - {needed} - ({write} if needed == read else set())))
        answer = await house.rest(route.method, filled(route.path, "999"), key=without)
        assert needed in error_of(answer, 403, "FORBIDDEN")["message"], route
        with_it = await house.new_key(write or read)
        method = "HEAD" if route.is_stream else route.method  # which has no end
        answer = await house.rest(method, filled(route.path, "999"), key=with_it)
        assert answer.status_code in (200, 400, 404), route


async def test_what_does_not_exist_is_404_in_the_envelope(house: House) -> None:
    for path in (
        "",
        "/",
        "/nowhere",
        "/client",
        "/Clients",
        "/clients/x",
        "/clients/cli_1",
        "/clients/-1",
        "/clients/1.0",
        "/clients/+1",
        "/clients/%20",
        "/clients/%00",
        "/clients/%C2%B2",
        "/clients/%D9%A1",
        f"/clients/{2**63}",
        "/clients/" + "9" * 5000,
        "/clients/1/suspend",
        "/clients/1/2",
        "/services/suspend",
        "/services/x/suspend",
        "/services/1/suspend/now",
        "/invoices/1/cancel",
        "//clients",
        "/clients//1",
    ):
        for method in ("GET", "POST", "DELETE"):
            error_of(await house.rest(method, path), 404, "NOT_FOUND")
    for route in ROUTES:
        if "{id}" in route.path:
            bodies = {"reply": {"message": "x"}, "recover": {"since": "2026-01-01"}}
            body = bodies.get(route.path.rpartition("/")[2])
            for id in ("0", "999", str(2**63 - 1)):
                error = error_of(await house.rest(route.method, filled(route.path, id), body), 404, "NOT_FOUND")
                assert error["message"].endswith(f" {id} does not exist.")
    assert await house.events() == []


async def test_another_method_is_405_and_told_which_are_allowed(house: House) -> None:
    allowed: dict[str, list[str]] = {}
    for route in ROUTES:
        allowed.setdefault(route.path, []).append(route.method)
    for path, methods in allowed.items():
        known = {*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - known:
            answer = await house.rest(method, filled(path))
            assert set(answer.headers["allow"].split(", ")) == known
            if method != "HEAD":
                error_of(answer, 405, "VALIDATION_ERROR")


async def test_the_description_of_the_api_is_only_got(house: House) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = await house.rest(method, "/openapi.json", key="")
        error_of(answer, 405, "VALIDATION_ERROR")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    answer = await house.rest("OPTIONS", "/openapi.json", key="")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_an_object_of_another_owner_is_not_found_and_never_forbidden(house: House) -> None:
    other = await house.a_service()
    await house.a_ticket(other["client_id"])
    key = await house.new_key(client=(await house.a_client())["id"])
    for noun in ("clients", "services", "invoices", "tickets"):
        there = await house.rest("GET", f"/{noun}/1", key=key)
        absent = await house.rest("GET", f"/{noun}/999", key=key)
        message = error_of(absent, 404, "NOT_FOUND")["message"]
        assert error_of(there, 404, "NOT_FOUND")["message"] == message.replace("999", "1")


async def test_an_internal_error_tells_nothing_and_changes_nothing(house: House) -> None:
    client = await house.a_client()
    transaction = await house.engine.database.begin()
    await transaction.fetch("ALTER TABLE audit_entries RENAME TO hidden")
    await transaction.commit()
    answer = await house.rest("PUT", f"/clients/{client['id']}", {"city": "London"})
    error = error_of(answer, 500, "INTERNAL_ERROR")
    assert error["message"] == "Something went wrong on our side."
    assert (await house.rest("GET", f"/clients/{client['id']}")).json()["data"] == client
    assert await house.events() == ["client.created"]
