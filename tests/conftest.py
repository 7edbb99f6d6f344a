"""What tests stand on: a house with both doors, on a database of its own."""

import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import hypothesis
import pytest

from arcbilling import logs
from arcbilling.app import App
from arcbilling.engine import Engine
from arcbilling.settings import Settings, load
from resolvers import migrations

# How long an example takes says how busy the machine is, not whether it is right.
hypothesis.settings.register_profile("whatever the machine", deadline=None)
hypothesis.settings.load_profile("whatever the machine")

PLENTY = {"rate_limit_authenticated": "off", "rate_limit_anonymous": "off"}


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


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without anything in it, to copy."""
    path: Path = tmp_path_factory.mktemp("template") / "arcbilling.sqlite3"
    anyio.run(migrations.migrate, path)
    return path


def _furnish(settings: Settings, template: Path) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if not settings.sqlite_path.exists():
        shutil.copy(template, settings.sqlite_path)


@asynccontextmanager
async def open_house(folder: Path, template: Path, **changed: str) -> AsyncIterator[House]:
    """A house in a folder: what stands there already stays."""
    settings = load({}, data_dir=str(folder), **{**PLENTY, **changed})
    _furnish(settings, template)
    app = App(settings)
    async with app.running():
        house = House(app, settings)
        house.key = await house.new_key()
        yield house


@pytest.fixture
async def house(tmp_path: Path, empty_database: Path) -> AsyncIterator[House]:
    """A house without rate limits, whose key may do everything."""
    async with open_house(tmp_path, empty_database) as opened:
        yield opened


@pytest.fixture
def statements(house: House) -> Iterator[list[str]]:
    """Every SQL statement from here on."""
    seen: list[str] = []
    house.engine.database.on_statement = seen.append
    yield seen
    house.engine.database.on_statement = None
