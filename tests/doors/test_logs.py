"""Logs: a line for each request, its id in each of its lines, and no secret in any."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from arcbilling import logs
from arcbilling.settings import load
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase, on_postgres, on_sqlite
from tests.reliability.served import Installation

pytestmark = pytest.mark.anyio

PASSWORD = "plantedpassword1"
SERVER_KEY = "plantedserversecret0123456789abcdef"


class Written:
    """What was logged."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def close(self) -> None:
        self._stream.close()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def access(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == "access"]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    stream = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(logs, "sys", SimpleNamespace(stderr=stream))
        logs.configure(load({}, log_format="json"))
        yield Written(stream)
    logs.configure(load({}, log_format="json"))


@on_sqlite
async def test_each_request_has_a_line(written: Written, house: House) -> None:
    answer = await house.rest("GET", "/clients?q=planted", headers={"x-request-id": "mine-1"})
    assert answer.status_code == 200
    (line,) = [line for line in written.access() if line["path"] == "/api/v1/clients"]
    assert line["ms"] > 0
    del line["ms"], line["timestamp"]
    assert line == {
        "event": "access",
        "logger": "arcbilling.visits",
        "level": "info",
        "request_id": "mine-1",
        "method": "GET",
        "path": "/api/v1/clients",
        "status": 200,
        "actor": "key:1",
        "ip": "127.0.0.1",
    }
    assert "planted" not in written.text


@on_sqlite
async def test_the_line_tells_who_was_refused_and_from_where(written: Written, house: House) -> None:
    async with house.http("", ip="203.0.113.9") as http:
        await http.get("/graphql?query={planted}")
        await http.get("/docs")
    graphql, docs = written.access()
    assert (graphql["path"], graphql["status"], graphql["actor"], graphql["ip"]) == (
        "/graphql",
        401,
        None,
        "203.0.113.9",
    )
    assert (docs["path"], docs["status"], docs["ip"]) == ("/docs", 200, "203.0.113.9")
    assert "planted" not in written.text


@on_sqlite
async def test_probes_have_no_line_unless_everything_is_logged(
    written: Written, tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    for level, expected in (("info", 0), ("debug", 3)):
        async with open_house(tmp_path, empty_database, log_level=level, log_format="json") as house:
            before = len(written.access())
            async with house.http("") as http:
                for path in ("/livez", "/readyz", "/metrics"):
                    await http.get(path)
            assert len(written.access()) - before == expected


@on_sqlite
async def test_the_lines_can_be_switched_off(written: Written, tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database, access_log="off") as house:
        await house.rest("GET", "/clients")
    assert written.access() == []


@on_sqlite
async def test_every_line_of_a_request_carries_its_id(
    written: Written, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"insert of ('{PASSWORD}') failed for {house.key}")

    monkeypatch.setattr("resolvers.audit.record", broken)
    body = {"first_name": "A", "last_name": "B", "email": "a@b.test", "password": PASSWORD}
    answer = await house.rest("POST", "/clients", body, headers={"x-request-id": "mine-2"})
    assert answer.status_code == 500
    assert answer.json()["error"]["request_id"] == "mine-2"
    about = [line for line in written.lines if line.get("request_id") == "mine-2"]
    assert {line["level"] for line in about} >= {"error", "info"}
    assert any("Traceback" in line.get("exception", "") for line in about)
    assert house.key not in written.text


@on_sqlite
async def test_a_log_that_cannot_be_written_fails_no_request(written: Written, house: House) -> None:
    written.close()
    assert (await house.rest("GET", "/clients")).status_code == 200


@on_sqlite
async def test_a_path_cannot_write_lines_of_its_own(written: Written, house: House) -> None:
    async with house.http("") as http:
        await http.get("/a%0a%7B%22event%22:%22forged%22%7D" + "x" * 1000)
    (line,) = written.access()
    assert line["path"].startswith("/a%0a")
    assert len(line["path"]) == 200


@on_postgres
async def test_no_secret_is_in_anything_that_a_server_says(place: Installation, redis_url: str) -> None:
    """Planted everywhere, with every line logged: in settings, headers, bodies, queries and paths."""
    scheme, _, rest = place.environment["ARCBILLING_DATABASE_URL"].partition("://")
    place.environment |= {
        "ARCBILLING_DATABASE_URL": f"{scheme}://root:{PASSWORD}2@{rest.rpartition('@')[2]}",
        "ARCBILLING_REDIS_URL": "redis://:plantedredis@127.0.0.1:1/0",  # nobody is there
        "ARCBILLING_SECRET_KEY": SERVER_KEY,
        "ARCBILLING_LOG_LEVEL": "debug",
    }
    key = await place.new_key()
    planted = [key, PASSWORD, "plantedredis", SERVER_KEY, "plantedcookie", "plantedbasic", "plantedquery", "plantedotp"]
    async with place.serving(), httpx2.AsyncClient(base_url=place.url) as http:
        bearer = {"authorization": f"Bearer {key}", "cookie": "session=plantedcookie"}
        ada = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": PASSWORD}
        assert (await http.post("/api/v1/clients", json=ada, headers=bearer)).status_code == 201
        create = "mutation($i: ClientCreateInput!) { clientCreate(input: $i) { id } }"
        for variables in ({"i": {"password": PASSWORD}}, {"i": PASSWORD}, {"plantedotp": 1}):
            await http.post("/graphql", json={"query": create, "variables": variables}, headers=bearer)
        await http.post("/graphql", content=b'{"query": "{ plantedquery ', headers=bearer)
        await http.get("/graphql", params={"query": "{ plantedquery }"}, headers=bearer)
        await http.get(f"/api/v1/clients?q=plantedquery&key={key}", headers=bearer)
        await http.get(f"/api/v1/{key}", headers=bearer)
        await http.get("/api/v1/clients", headers={"authorization": "Basic plantedbasic"})
        await http.get("/api/v1/clients", headers={"authorization": f"Bearer {key}x"})
        await http.post("/api/v1/clients", content=b"\xff" + PASSWORD.encode(), headers=bearer)
        for path in ("/readyz", "/metrics", "/nothing?plantedquery"):
            assert not [one for one in planted if one in (await http.get(path)).text]
    said = b"".join(place.told).decode()
    assert said.count('"event": "access"') > 10
    assert [one for one in planted if one in said] == []
