"""That all systems do the same: without it, which is faster says nothing.

What reads must be answered with the same bytes. What writes must be answered with the same values and leave the same
rows; it is asked for first of all, on databases that are still equal, so that ids and numbers are the same too.
"""

import re
import sqlite3
from contextlib import closing
from typing import Any

import asyncpg
import orjson

from bench.load import Answer, ask
from bench.servers import Server
from bench.workloads import Requests, status_of

HEADERS = ("content-type", "cache-control", "x-ratelimit-limit", "location", "link")
"""Those that must be the same; the others' values must only be there."""
PRESENT = ("x-request-id", "x-ratelimit-remaining", "content-length")
READS = (0, 1, 18, 19, 77)
"""Which clients and pages are compared: yen, null members and letters beyond ASCII are among them."""
TABLES = ("clients", "invoices", "invoice_items", "number_series", "events", "audit_entries")
ROWS = 12
OWN = ("password_hash", "public_id", "sequence", "request_id")
"""Columns whose values are each system's own."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


class Different(Exception):
    """Two systems did not do the same."""


async def check(servers: dict[str, Server], requests: Requests) -> int:
    """Raises Different; tells how many answers were compared. To be called before anything else was written."""
    ours = servers["ours"]
    compared = 0
    for workload in ("W1", "W2", "W3"):
        for number in READS:
            answers = await _all(servers, workload, requests.one(workload, "rest", number))
            for system, answer in answers.items():
                _same(f"{workload} {number}, {system}", answer.body, answers["ours"].body)
            through = await ask(ours.port, requests.one(workload, "graphql", number))
            _same(f"{workload} {number}, GraphQL", _as_rest(through.body), _data(answers["ours"].body))
            compared += len(answers) + 1
    for workload in ("W4", "W5"):
        answers = await _all(servers, workload, requests.one(workload, "rest", 1))
        for system, answer in answers.items():
            _same(f"{workload}, {system}", _timeless(answer.body), _timeless(answers["ours"].body))
        compared += len(answers)
    left = {system: await _rows(server) for system, server in servers.items()}
    for system, tables in left.items():
        for table, rows in tables.items():
            for row, our_row in zip(rows, left["ours"][table], strict=True):
                _same(f"a row of {table}, {system}", row, our_row)
    for workload in ("W4", "W5"):  # after the rows: the yardsticks have no such door
        through = await ask(ours.port, requests.one(workload, "graphql", 2))
        rest = await ask(ours.port, requests.one(workload, "rest", 3))
        _same(f"{workload}, members over GraphQL", _members(_as_rest(through.body)), _members(_data(rest.body)))
    return compared


async def _all(servers: dict[str, Server], workload: str, request: bytes) -> dict[str, Answer]:
    answers = {system: await ask(server.port, request) for system, server in servers.items()}
    for system, answer in answers.items():
        if answer.status != status_of(workload, "rest"):
            raise Different(f"{workload}, {system} answered {answer.status}: {answer.body[:1000].decode()}")
        for name in HEADERS:
            _same(
                f"the header {name} of {workload}, {system}",
                answer.headers.get(name),
                answers["ours"].headers.get(name),
            )
        if missing := [name for name in PRESENT if name not in answer.headers]:
            raise Different(f"{workload}, {system}: the header {missing[0]} is missing")
    return answers


def _same(what: str, found: Any, ours: Any) -> None:
    if found != ours:
        raise Different(f"{what}:\n  {found!r}\nand ours:\n  {ours!r}")


def _timeless(body: bytes) -> str:
    return _TIME.sub("T", body.decode())


def _data(body: bytes) -> Any:
    return orjson.loads(body)["data"]


def _as_rest(body: bytes) -> Any:
    """What GraphQL answered, in REST's forms: integer ids, statuses in small letters."""
    answer = orjson.loads(body)
    if "errors" in answer:
        raise Different(f"GraphQL answered {answer['errors']}")
    data = answer["data"]["data"]
    return _converted(data.get("nodes", data))


def _converted(value: Any) -> Any:
    if isinstance(value, list):
        return [_converted(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _converted(inner) for name, inner in value.items()}
    for name in found.keys() & {"id", "client_id"}:
        found[name] = int(found[name].rpartition("_")[2])
    if "status" in found:
        found["status"] = found["status"].lower()
    return found


def _members(value: Any) -> Any:
    """The names of members, in their order, at every depth."""
    if isinstance(value, list):
        return [_members(one) for one in value]
    return [(name, _members(inner)) for name, inner in value.items()] if isinstance(value, dict) else None


async def _rows(server: Server) -> dict[str, list[str]]:
    """The newest rows of every table that the workloads write, without what is each system's own."""
    url = server.databases.url(server.copy)
    found: dict[str, list[str]] = {}
    if server.databases.engine == "postgres":
        connection = await asyncpg.connect(url)
        try:
            for table in TABLES:
                rows = await connection.fetch(f"SELECT * FROM {table} ORDER BY id DESC LIMIT {ROWS}")
                found[table] = [_row(dict(row)) for row in rows]
        finally:
            await connection.close()
    else:
        with closing(sqlite3.connect(url)) as database:
            database.row_factory = sqlite3.Row
            for table in TABLES:
                rows = database.execute(f"SELECT * FROM {table} ORDER BY id DESC LIMIT {ROWS}").fetchall()
                found[table] = [_row(dict(row)) for row in rows]
    return found


def _row(row: dict[str, Any]) -> str:
    return _TIME.sub("T", str({name: str(value) for name, value in row.items() if name not in OWN}))
