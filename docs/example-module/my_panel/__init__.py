"""The module `my_panel`: accounts on servers that run My Panel, over its HTTP API."""

import json
from typing import Any

import aiohttp

from arcbilling.modules import Account, Call, Module, ModuleError, Server


class MyPanel(Module):
    async def create(self, call: Call) -> Account:
        body = {"username": call.account.username, "domain": call.account.domain, "plan": call.options.get("plan")}
        made = await self._ask(call, "PUT", "", body)
        return Account(made.get("username"), call.account.domain)

    async def suspend(self, call: Call) -> None:
        await self._ask(call, "POST", "/suspend")

    async def unsuspend(self, call: Call) -> None:
        await self._ask(call, "POST", "/unsuspend")

    async def terminate(self, call: Call) -> None:
        await self._ask(call, "DELETE", "", missing_is_fine=True)

    def url(self, server: Server) -> str:
        """Where the API is: on the server itself. An option of a product must not say where the credentials go."""
        return f"https://{server.hostname}/api"

    async def _ask(
        self, call: Call, method: str, path: str, body: Any = None, *, missing_is_fine: bool = False
    ) -> dict[str, Any]:
        if call.server is None or call.server.credentials is None:
            raise ModuleError("My Panel needs a server with credentials: its API token.", retry=False)
        url = f"{self.url(call.server)}/accounts/arcbilling-{call.account_key}{path}"
        headers = {"Authorization": f"Bearer {call.server.credentials}", "Idempotency-Key": call.key}
        try:
            async with (
                aiohttp.ClientSession(headers=headers) as http,
                http.request(method, url, json=body, allow_redirects=False) as answer,
            ):
                if answer.status == 404 and missing_is_fine:
                    return {}
                if not 200 <= answer.status < 300:
                    busy = answer.status >= 500 or answer.status in (408, 409, 429)
                    raise ModuleError(f"My Panel answered {method} with the status {answer.status}.", retry=busy)
                found = json.loads(await answer.read() or b"{}")
        except aiohttp.ClientError as error:
            raise ModuleError(f"My Panel could not be reached ({type(error).__name__}).") from error
        except ValueError as error:
            raise ModuleError(f"My Panel answered {method} with something that is no JSON.") from error
        return found if isinstance(found, dict) else {}
