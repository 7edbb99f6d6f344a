"""What tests stand on: a house with both doors, on a database of its own."""

import logging
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import httpx2
import hypothesis
import pytest
import structlog
from redis import Redis
from redis.exceptions import RedisError

from arcbilling import logs
from arcbilling.app import App
from arcbilling.engine import Engine
from arcbilling.settings import Settings, load, without_password
from resolvers.engines import location
from resolvers.tables import written
from schema import parts
from tests import databases
from tests.reliability.own_redis import OwnRedis
from tests.reliability.served import Installation

# How long an example takes says how busy the machine is, not whether it is right.
hypothesis.settings.register_profile("whatever the machine", deadline=None)
hypothesis.settings.load_profile("whatever the machine")

NO_RECEIVER = "http://127.0.0.1:9/webhooks"
PLENTY = {"rate_limit_authenticated": "off", "rate_limit_anonymous": "off"}

COMPILED = {"compiled": os.environ.get("ARCBILLING_TEST_COMPILED") or "on"}
"""`off` lets graphql-core execute everything: every test must pass either way."""

LOOPBACK = {"webhook_allow_nets": "127.0.0.0/8"}
"""So that webhooks may be sent to receivers of tests."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


class House:
    """An application that is running, and what tests do with it."""

    def __init__(self, app: App, settings: Settings) -> None:
        assert app.engine is not None
        self.app = app
        self.settings = settings
        self.engine: Engine = app.engine
        self.key = ""
        self.location = location(settings)

    async def new_key(self, *scopes: str, client: int | None = None, **more: Any) -> str:
        """A key with these scopes; every scope without."""
        given = {"name": "test", "scopes": list(scopes) or None, "clientId": client, **more}
        document = "mutation($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { key } }"
        return str((await self.engine.run(document, {"input": given}))["apiKeyCreate"]["key"])

    def http(self, key: str | None = None, ip: str = "127.0.0.1") -> httpx2.AsyncClient:
        """An HTTP client with a key (default: the house's, that may do everything; "" for none)."""
        token = self.key if key is None else key
        headers = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx2.ASGITransport(app=self.app, client=(ip, 1234))  # type: ignore[arg-type]
        return httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers)

    async def rest(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **more: Any
    ) -> httpx2.Response:
        """One REST request below /api/v1."""
        async with self.http(key) as http:
            if body is not None:
                more["json"] = body
            return await http.request(method, f"/api/v1{path}", **more)

    async def made(self, path: str, body: Any = None, **more: Any) -> Any:
        """The data of a POST that must succeed."""
        answer = await self.rest("POST", path, body, **more)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()["data"]

    async def graphql(
        self, query: str, variables: dict[str, Any] | None = None, *, key: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """One GraphQL request: the whole response."""
        async with self.http(key) as http:
            answer = await http.post("/graphql", json={"query": query, "variables": variables}, **more)
            return dict(answer.json())

    async def data(self, query: str, variables: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
        """The data of a GraphQL request that must succeed."""
        response = await self.graphql(query, variables, key=key)
        assert "errors" not in response, response
        return response["data"]

    async def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database holds, to count."""
        return [tuple(row) for row in await self.engine.database.reader.fetch(sql, values)]

    async def write(self, sql: str, *values: Any) -> None:
        """Changes the database behind the application's back."""
        async with written(self.engine.database) as session:
            await session.connection.fetch(sql, values)

    async def events(self) -> list[str]:
        """Names of the events so far, in the order they were written."""
        return [name for (name,) in await self.rows("SELECT event FROM events ORDER BY id")]

    # Things to work with

    async def a_client(self, **changed: Any) -> Any:
        number = (await self.rows("SELECT count(*) FROM clients"))[0][0] + 1
        body = {"first_name": "Ada", "last_name": "Lovelace", "email": f"ada{number}@shop.test", "password": "12345678"}
        return await self.made("/clients", body | changed)

    async def a_product(self, **changed: Any) -> int:
        """A product without a module, 10.00 a month, 27.00 a quarter, 100.00 a year in USD; its integer id."""
        prices = [
            {"billingCycle": cycle, "currency": "USD", "amount": amount}
            for cycle, amount in (("MONTHLY", "10.00"), ("QUARTERLY", "27.00"), ("ANNUALLY", "100.00"))
        ]
        given = {"name": "Web S", "prices": prices} | changed
        document = "mutation($input: ProductCreateInput!) { productCreate(input: $input) { id } }"
        created = await self.engine.run(document, {"input": given})
        return int(created["productCreate"]["id"].removeprefix("pro_"))

    async def a_service(self, client_id: int | None = None, product_id: int | None = None, **changed: Any) -> Any:
        client_id = client_id or (await self.a_client())["id"]
        product_id = product_id or await self.a_product()
        body = {"client_id": client_id, "product_id": product_id, "billing_cycle": "monthly"}
        return await self.made("/services", body | changed)

    async def an_invoice(self, client_id: int | None = None, amount: str = "29.99", **changed: Any) -> Any:
        client_id = client_id or (await self.a_client())["id"]
        items = [{"description": "Hosting", "amount": amount}]
        return await self.made(
            "/invoices", {"client_id": client_id, "due_date": "2030-01-31", "items": items} | changed
        )

    async def a_ticket(self, client_id: int | None = None, **changed: Any) -> Any:
        client_id = client_id or (await self.a_client())["id"]
        body = {"client_id": client_id, "department_id": 1, "subject": "Help", "message": "It is down."}
        return await self.made("/tickets", body | changed)

    async def a_webhook(self, **changed: Any) -> Any:
        """A webhook for a receiver that is not there; its data with its secret."""
        return await self.made("/webhooks", {"url": NO_RECEIVER} | changed)

    async def a_server(self, **changed: Any) -> int:
        given = {"name": "web1", "hostname": "web1.example.com"} | changed
        document = "mutation($input: ServerCreateInput!) { serverCreate(input: $input) { id } }"
        created = await self.engine.run(document, {"input": given})
        return int(created["serverCreate"]["id"].removeprefix("srv_"))


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    """Lines as a server writes them, rather than tracebacks drawn for a terminal."""
    logs.configure(load({}, log_format="json"))
    logging.getLogger("httpx2").setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def _compiled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what a test asks once is compiled too."""
    monkeypatch.setattr(parts, "USES_BEFORE", 0)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that a test runs on: each in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def _empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> databases.EmptySqlite:
    empty = databases.EmptySqlite(tmp_path_factory.mktemp("template") / "arcbilling.sqlite3")
    anyio.run(empty.migrate)
    return empty


@pytest.fixture(scope="session")
def _empty_postgres() -> Iterator[databases.EmptyPostgres]:
    try:
        anyio.run(databases.reach, databases.POSTGRES_URL)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        databases.absent(f"PostgreSQL at {without_password(databases.POSTGRES_URL)}", error)
    empty = databases.EmptyPostgres(databases.POSTGRES_URL, f"arcbilling_test_{os.getpid()}_{secrets.token_hex(4)}")
    anyio.run(empty.migrate)
    yield empty
    anyio.run(empty.drop)


@pytest.fixture
def empty_database(engine: str, request: pytest.FixtureRequest) -> Iterator[databases.EmptyDatabase]:
    """A migrated database of the engine without anything in it, to copy."""
    empty: databases.EmptyDatabase = request.getfixturevalue(f"_empty_{engine}")
    yield empty
    anyio.run(empty.drop_copies)


@asynccontextmanager
async def open_house(folder: Path, empty: databases.EmptyDatabase, **changed: str) -> AsyncIterator[House]:
    """A house in a folder: what stands there already stays."""
    settings = load(
        {}, data_dir=str(folder), **{**PLENTY, **COMPILED, **LOOPBACK, **await empty.furnish(folder), **changed}
    )
    app = App(settings)
    async with app.running():
        house = House(app, settings)
        house.key = await house.new_key()
        yield house


@pytest.fixture
async def house(tmp_path: Path, empty_database: databases.EmptyDatabase) -> AsyncIterator[House]:
    """A house without rate limits, whose key may do everything."""
    async with open_house(tmp_path, empty_database) as opened:
        yield opened


@pytest.fixture
async def place(tmp_path: Path, empty_database: databases.EmptyDatabase) -> Installation:
    """A folder and a database, for commands and servers in processes of their own."""
    settings = await empty_database.furnish(tmp_path)
    return Installation(tmp_path, **{name.upper(): value for name, value in settings.items()})


@pytest.fixture
def redis_url() -> str:
    """A Redis that tests share: each keeps to names of its own."""
    url = os.environ.get("ARCBILLING_TEST_REDIS_URL") or "redis://127.0.0.1:6379/0"
    with Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as redis:
        try:
            redis.ping()
        except RedisError as error:
            databases.absent("Redis", error)
    return url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis of the test's own, which it may kill."""
    own = OwnRedis(tmp_path)
    own.start()
    yield own
    own.kill()


@pytest.fixture
def statements(house: House) -> Iterator[list[str]]:
    """Every SQL statement from here on, but for those of the loops: they look for what is due whatever is asked."""
    seen: list[str] = []

    def note(sql: str) -> None:
        if "loop" not in structlog.contextvars.get_contextvars():
            seen.append(sql)

    house.engine.database.on_statement = note
    yield seen
    house.engine.database.on_statement = None
