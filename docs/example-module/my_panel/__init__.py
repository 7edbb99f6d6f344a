"""The module `my_panel`: accounts on servers that run My Panel, over its HTTP API."""

from typing import Any

import aiohttp

from arcbilling.modules import Account, Call, Module, ModuleError


class MyPanel(Module):
    async def create(self, call: Call) -> Account:
        body = {"username": call.account.username, "domain": call.account.domain, "plan": call.options.get("plan")}
        made = await self._ask(call, "PUT", "", body)
        return Account(made["username"], call.account.domain)

    async def suspend(self, call: Call) -> None:
        await self._ask(call, "POST", "/suspend")

    async def unsuspend(self, call: Call) -> None:
        await self._ask(call, "POST", "/unsuspend")

    async def terminate(self, call: Call) -> None:
        await self._ask(call, "DELETE", "", missing_is_fine=True)

    async def _ask(
        self, call: Call, method: str, path: str, body: Any = None, *, missing_is_fine: bool = False
    ) -> dict[str, Any]:
        if call.server is None or call.server.credentials is None:
            raise ModuleError("My Panel needs a server with credentials: its API token.", retry=False)
        api = call.options.get("url") or f"https://{call.server.hostname}/api"
        url = f"{api}/accounts/arcbilling-{call.service_id}{path}"
        headers = {"Authorization": f"Bearer {call.server.credentials}", "Idempotency-Key": call.key}
        try:
            async with (
                aiohttp.ClientSession(headers=headers) as http,
                http.request(method, url, json=body, allow_redirects=False) as answer,
            ):
                if answer.status == 404 and missing_is_fine:
                    return {}
                if answer.status != 200:
                    busy = answer.status >= 500 or answer.status in (408, 409, 429)
                    raise ModuleError(f"My Panel answered {method} with the status {answer.status}.", retry=busy)
                found: dict[str, Any] = await answer.json()
                return found
        except aiohttp.ClientError as error:
            raise ModuleError(f"My Panel could not be reached ({type(error).__name__}).") from error
