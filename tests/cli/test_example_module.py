"""The example of a module: built and installed as a package of its own, found by its entry point, and called."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web

from tests.rehearsal import options
from tests.reliability.served import ROOT, Installation
from tests.reliability.test_provisioning_killed import ORDER, asked, services

pytestmark = pytest.mark.anyio

PACKAGE = ROOT / "docs" / "example-module"
TOKEN = "panel-token"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package is installed into, without any registry."""
    source = tmp_path_factory.mktemp("source") / "package"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path_factory.mktemp("installed")
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Panel:
    """A panel that speaks the example's protocol, and loses its first answer to each call."""

    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}
        self.seen: list[tuple[str, str, str]] = []
        self.done: dict[str, dict[str, Any]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        key, name = request.headers["Idempotency-Key"], request.match_info["name"]
        self.seen.append((key, request.method, request.path))
        if key in self.done:
            return web.json_response(self.done[key])
        self.done[key] = self.act(request.method, name, request.path.rpartition("/")[2])
        return web.json_response({"error": "lost"}, status=503)

    def act(self, method: str, name: str, verb: str) -> dict[str, Any]:
        if method == "PUT":
            assert name not in self.accounts, "a second account"
            self.accounts[name] = "active"
            return {"username": "panel7"}
        self.accounts[name] = "gone" if method == "DELETE" else {"suspend": "locked", "unsuspend": "active"}[verb]
        return {}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/api/accounts/{name}", self.answer)
        app.router.add_route("*", "/api/accounts/{name}/{verb}", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/api"
        finally:
            await runner.cleanup()


async def a_shop(http: httpx2.AsyncClient) -> None:
    ada = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}
    assert (await http.post("/api/v1/clients", json=ada)).status_code == 201
    await asked(http, 'mutation { serverGroupCreate(input: {name: "panels"}) { id } }')
    server = {
        "name": "p1",
        "hostname": "p1.example.com",
        "module": "my_panel",
        "serverGroupId": 1,
        "credentials": TOKEN,
    }
    await asked(http, "mutation($input: ServerCreateInput!) { serverCreate(input: $input) { id } }", input=server)
    prices = [{"billingCycle": "MONTHLY", "currency": "USD", "amount": "10.00"}]
    product = {"name": "Web S", "module": "my_panel", "serverGroupId": 1, "prices": prices}
    product["moduleOptions"] = options(plan="small")
    await asked(http, "mutation($input: ProductCreateInput!) { productCreate(input: $input) { id } }", input=product)


@asynccontextmanager
async def serving_at(place: Installation, target: Path, folder: Path, url: str) -> AsyncIterator[None]:
    """A server whose Python has the package, and takes the panel to be here instead of at its host name."""
    here = f"import my_panel\nmy_panel.MyPanel.url = lambda self, server: {url!r}\n"
    (folder / "sitecustomize.py").write_text(here)
    place.environment["PYTHONPATH"] = f"{folder}:{target}:{ROOT}"
    async with place.serving():
        yield


async def test_the_example_is_installed_offered_and_called_once_for_each_key(
    place: Installation, target: Path, tmp_path: Path
) -> None:
    place.environment["ARCBILLING_TIME_SCALE"] = "1000"
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    panel = Panel()
    async with (
        panel.serving() as url,
        serving_at(place, target, tmp_path, url),
        httpx2.AsyncClient(base_url=place.url, headers=headers) as http,
    ):
        await a_shop(http)
        assert (await http.post("/api/v1/services", json=ORDER)).json()["data"]["status"] == "pending"
        for verb, account in (("", "active"), ("suspend", "locked"), ("unsuspend", "active"), ("terminate", "gone")):
            if verb:
                assert (await http.post(f"/api/v1/services/1/{verb}")).status_code == 200
            async with asyncio.timeout(20):
                (found,) = await services(http, lambda service: service["provisionState"] == "OK")
            assert [call["attempts"] for call in found["moduleCalls"]["nodes"]][-1] == 2
            assert list(panel.accounts.values()) == [account]
        assert (await http.get("/api/v1/services/1")).json()["data"]["username"] == "panel7"
        assert (await http.get("/api/v1/servers/1")).json()["data"]["module"] == "my_panel"
    (name,) = panel.accounts
    assert name.startswith("arcbilling-mcl_1-")
    account = f"/api/accounts/{name}"
    calls = [("PUT", account), ("POST", f"{account}/suspend"), ("POST", f"{account}/unsuspend"), ("DELETE", account)]
    assert [call for _, *call in panel.seen] == [list(call) for call in calls for _ in range(2)]
    keys = [key for key, *_ in panel.seen]
    assert [key.partition("-")[0] for key in keys[::2]] == ["mcl_1", "mcl_2", "mcl_3", "mcl_4"]
    assert keys[::2] == keys[1::2]


async def test_without_the_package_its_module_is_not_known(place: Installation) -> None:
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    async with place.serving(), httpx2.AsyncClient(base_url=place.url, headers=headers) as http:
        server = 'input: {name: "p", hostname: "p.example.com", module: "my_panel"}'
        answer = (await http.post("/graphql", json={"query": f"mutation {{ serverCreate({server}) {{ id }} }}"})).json()
    assert answer["errors"][0]["message"] == "The module field must be one of: none, manual, mock."
