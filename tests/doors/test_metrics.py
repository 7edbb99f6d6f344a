"""What machines ask about a process: `/livez`, `/readyz` and `/metrics`. Nobody needs a key for that."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from arcbilling import probes
from arcbilling.loops import Loop, running
from arcbilling.visits import route_of
from resolvers.database import DatabaseUnavailable
from rest_compat.routes import ROUTES
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase, on_sqlite
from tests.reliability.soundness import tell

pytestmark = pytest.mark.anyio

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def samples(house: House) -> Samples:
    async with house.http("") as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def requests(found: Samples, **labels: str) -> float:
    return of(found, "arcbilling_http_requests_total", **labels)


def labels_of(found: Samples, label: str) -> set[str]:
    return {value for _, pairs in found for name, value in pairs if name == label}


async def test_requests_are_counted_by_door_method_route_and_status(house: House) -> None:
    client = await house.a_client()
    for _ in range(3):
        await house.rest("GET", f"/clients/{client['id']}")
    await house.rest("GET", "/clients/77?x=1")
    await house.rest("GET", "/clients/77")
    await house.rest("POST", "/clients/", {})
    await house.data("{ clients { nodes { id } } }")
    found = await samples(house)
    rest = {"door": "rest", "method": "GET", "route": "/clients/{id}"}
    assert requests(found, **rest, status="200") == 3
    assert requests(found, **rest, status="404") == 1
    assert requests(found, **rest, status="400") == 1
    assert requests(found, door="rest", method="POST", route="/clients", status="201") == 1
    assert requests(found, door="rest", method="POST", route="/clients", status="400") == 1
    assert requests(found, door="graphql", method="POST", route="/graphql", status="200") == 1
    assert of(found, "arcbilling_http_request_seconds_count", **rest) == 5
    assert of(found, "arcbilling_http_request_seconds_sum", **rest) > 0
    assert of(found, "arcbilling_http_requests_in_flight") == 1  # the one that asks


async def test_no_label_is_what_a_stranger_writes(house: House) -> None:
    async with house.http("") as http:
        for path in ("/secret-path", "/api/v1/secret-path/5", "/graphql/secret", "/docs/secret", "/%E2%82%AC"):
            await http.get(path)
            await http.request("BREW", path)
        await http.get("/docs/start.js")
        await http.post("/graphql", json={"query": "query Secret { clients { totalCount } }"})
        await http.get("/livez/")
    found = await samples(house)
    routes = {"/", "/docs", "/docs/{file}", "/livez", "/readyz", "/metrics", "/graphql", "/openapi.json", "unknown"}
    assert labels_of(found, "route") <= routes | {route.path for route in ROUTES}
    assert labels_of(found, "method") <= {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"}
    assert labels_of(found, "door") == {"rest", "graphql", "pages"}
    assert requests(found, door="pages", method="GET", route="/livez", status="200") == 1
    assert requests(found, door="pages", method="other", route="unknown", status="404") == 2
    async with house.http("") as http:
        assert "ecret" not in (await http.get("/metrics")).text


async def test_what_the_rate_limit_refuses_is_counted(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    async with open_house(tmp_path, empty_database, rate_limit_anonymous="2/minute") as house:
        answers = [await house.rest("GET", "/clients", key="") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 429, 429, 429]
        for _ in range(20):
            found = await samples(house)  # is not limited
        assert requests(found, door="rest", method="GET", route="unknown", status="429") == 3


async def test_events_commits_and_loops_are_shown(house: House) -> None:
    before = await samples(house)
    for _ in range(3):
        await house.a_client()
    for _ in range(200):
        found = await samples(house)
        if of(found, "arcbilling_events_numbered_total") == 3:
            break
        await asyncio.sleep(0.02)
    assert of(found, "arcbilling_events_numbered_total") == 3
    assert of(found, "arcbilling_events_unnumbered") == 0
    waiting = {"queued", "running", "retrying", "failed"}
    assert {of(found, "arcbilling_module_calls", status=status) for status in waiting} == {0}
    assert of(found, "arcbilling_commits_total") - of(before, "arcbilling_commits_total") == 3
    assert of(found, "arcbilling_loop_steps_total", loop="sequencer", outcome="succeeded") > 0
    last = of(found, "arcbilling_loop_last_success_timestamp_seconds", loop="sequencer")
    assert abs(last - time.time()) < 10
    assert {loop.name for loop in house.app.loops} == labels_of(found, "loop")
    (pid,) = labels_of(found, "pid")
    assert of(found, "process_resident_memory_bytes", pid=pid) > 10_000_000
    assert of(found, "process_open_fds", pid=pid) > 3
    assert of(found, "arcbilling_info", version="0.1.0") == 1


@on_sqlite
async def test_the_documentation_names_every_metric_and_no_other(house: House) -> None:
    await house.rest("GET", "/clients")
    async with house.http("") as http:
        text = (await http.get("/metrics")).text
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE arcbilling_")}
    page = (Path(__file__).parents[2] / "docs" / "production.md").read_text()
    found = re.findall(r"arcbilling_[a-z_]+_[a-z_]+|arcbilling_(?:info|streams)", page)
    named = {name.removesuffix("_bucket") for name in found}
    assert named == shown


@on_sqlite
async def test_metrics_are_shown_while_the_database_is_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(house.engine.database.reader, "fetch", away)
    found = await samples(house)
    assert ("arcbilling_events_unnumbered", ()) not in found
    assert of(found, "arcbilling_http_requests_in_flight") == 1


@on_sqlite
async def test_counting_a_request_takes_microseconds(house: House) -> None:
    metrics = house.app.metrics
    began = time.perf_counter()
    for _ in range(2000):
        metrics.in_flight.inc()
        metrics.request("rest", "GET", "/clients/{id}", 200, 0.004)
        metrics.in_flight.dec()
    each = (time.perf_counter() - began) / 2000 * 1e6
    tell(f"counting a request takes {each:.1f} µs")
    assert each < 200


def test_a_path_that_leads_nowhere_has_no_route() -> None:
    assert route_of({"type": "http", "path": "/nothing"}) == "unknown"
    assert route_of({"type": "http", "path": "/graphql/"}) == "/graphql"


# Probes


async def readiness(house: House) -> tuple[int, Any]:
    async with house.http("") as http:
        answer = await http.get("/readyz")
    return answer.status_code, answer.json()


async def test_a_process_that_serves_is_alive_and_ready(house: House) -> None:
    assert await readiness(house) == (200, {"status": "ready"})
    async with house.http("") as http:
        assert (await http.get("/livez")).json() == {"status": "alive"}
        assert (await http.head("/readyz/")).status_code == 200


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_without_its_database_a_process_is_alive_but_not_ready(
    house: House, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async def away(*_: object) -> None:
        if how == "hangs":
            await asyncio.sleep(3)  # the loops wait for it too, and their end for them
        raise DatabaseUnavailable("postgresql://billing:hunter2@db is away")

    monkeypatch.setattr(probes, "SECONDS_FOR_THE_DATABASE", 0.2)
    monkeypatch.setattr(house.engine.database.reader, "fetch", away)
    status, body = await readiness(house)
    assert (status, body["failed"]) == (503, {"database": "The database does not answer."})
    async with house.http("") as http:
        assert (await http.get("/livez")).status_code == 200


@on_sqlite
async def test_a_loop_that_does_nothing_any_more_is_no_readiness(house: House) -> None:
    sequencer, *others = house.app.loops
    for loop in others:
        loop.last_ok = time.monotonic() - 59
    assert (await readiness(house))[0] == 200
    sequencer.stop()
    await asyncio.sleep(0.1)
    sequencer.last_ok = time.monotonic() - 61
    status, body = await readiness(house)
    assert (status, body["failed"]) == (503, {"loops": "No step has succeeded for too long: sequencer."})


async def test_a_loop_that_always_finds_more_to_do_is_not_stuck() -> None:
    steps = 0

    async def work() -> bool:
        nonlocal steps
        steps += 1
        await asyncio.sleep(0)
        return steps < 50 or loop.last_ok is None

    loop = Loop("busy", work, every=1.0)
    async with running([loop]):
        pass
    assert steps == 50
    loop.last_ok = time.monotonic() - 61
    assert loop.is_stuck()


@on_sqlite
async def test_many_who_ask_at_once_are_answered_by_one_look(house: House, statements: list[str]) -> None:
    del statements[:]
    async with house.http("") as http:
        answers = await asyncio.gather(*(http.get("/readyz") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(statements) < 10


@on_sqlite
async def test_a_loop_that_is_seldom_due_is_not_stuck(house: House) -> None:
    (seldom,) = [loop for loop in house.app.loops if loop.name == "purge"]
    seldom.last_ok = time.monotonic() - 3000
    assert (await readiness(house))[0] == 200


@on_sqlite
async def test_a_process_that_is_about_to_end_is_not_ready_and_closes_connections(house: House) -> None:
    house.app.drain.announced = True
    status, body = await readiness(house)
    assert (status, body["failed"]) == (503, {"draining": "The process is about to end."})
    for answer in (await house.rest("GET", "/clients"), await house.rest("GET", "/nothing")):
        assert answer.headers["connection"] == "close"
