"""Callers who change things at every server, each request until it is answered, and keep account."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import httpx2

from tests.torture.journal import Journal

SECONDS_BETWEEN_TRIES = 0.1
LONGEST_PAUSE = 1.0
SOME_TEXT = "The site answers with 500 since this morning; what has changed?"


class Refused(Exception):
    """An answer that no caller of these should get."""


class Callers:
    """Several callers with one journal, who take turns so that they come to a rate."""

    def __init__(self, servers: Sequence[httpx2.AsyncClient], journal: Journal, product: int) -> None:
        self.servers = servers
        self.journal = journal
        self.product = product
        self.stopping = False

    async def write(self, name: str, dice: Random, pause: float) -> None:
        """Does one story after the other until it is told to stop."""
        caller = _Caller(self, name, dice, pause)
        stories: list[Callable[[], Awaitable[None]]] = [caller.client, caller.invoice, caller.service, caller.ticket]
        await asyncio.sleep(dice.uniform(0, pause))
        while not self.stopping:
            await dice.choices(stories, weights=(1, 5, 2, 2))[0]()


class _Caller:
    """One caller, who has a client and changes what belongs to it."""

    def __init__(self, all: Callers, name: str, dice: Random, pause: float) -> None:
        self._all = all
        self._journal = all.journal
        self._name = name
        self._dice = dice
        self._pause = pause
        self._asked = 0
        self._client_id: int | None = None

    async def client(self) -> None:
        body = {
            "first_name": "Ada",
            "last_name": "Lovelace",
            "email": f"{self._name}.{self._asked}@shop.test",
            "password": "12345678",
        }
        made = await self._post("/clients", body)
        self._journal.happened("client.created", made["id"])
        self._client_id = made["id"]
        changed = await self._ask("PUT", f"/clients/{made['id']}", {"city": "London"})
        self._journal.happened("client.updated", made["id"])
        self._journal.saw("/clients", changed)

    async def invoice(self) -> None:
        amount = self._dice.choice(("5.00", "29.99", "0.00"))
        items = [{"description": "Hosting", "amount": amount}, {"description": "More", "amount": "0.00"}]
        body = {"client_id": await self._client(), "due_date": "2030-01-31", "items": items}
        made = await self._post("/invoices", body)
        self._journal.happened("invoice.created", made["id"])
        path = f"/invoices/{made['id']}"
        if made["status"] == "paid":
            self._journal.happened("invoice.paid", made["id"])
        elif (what := self._dice.random()) < 0.7:
            # Two at once, of which one pays and the other finds it paid.
            tries = [self._ask("POST", f"{path}/pay", {}) for _ in range(self._dice.choice((1, 2)))]
            made = (await asyncio.gather(*tries))[0]
            self._journal.happened("invoice.paid", made["id"])
        elif what < 0.8:
            document = "mutation($id: ID!) { invoiceCancel(id: $id) { id status } }"
            await self._graphql(document, {"id": made["id"]})
            self._journal.happened("invoice.cancelled", made["id"])
            made = {"id": made["id"], "status": "cancelled"}
        self._journal.saw("/invoices", made)

    async def service(self) -> None:
        with_invoice = self._dice.random() < 0.5
        body = {"client_id": await self._client(), "product_id": self._all.product, "billing_cycle": "monthly"}
        made = await self._post("/services", body | {"invoice": with_invoice})
        self._journal.happened("service.created", made["id"])
        if with_invoice:
            self._journal.happened("invoice.created", made["invoice_id"])
        for verb, event in (("suspend", "suspended"), ("unsuspend", "unsuspended"), ("terminate", "terminated")):
            if self._dice.random() < 0.3:
                break
            made = await self._post(f"/services/{made['id']}/{verb}", {})
            self._journal.happened(f"service.{event}", made["id"])
        self._journal.saw("/services", made)

    async def ticket(self) -> None:
        client = await self._client()
        body = {"client_id": client, "department_id": 1, "subject": "Help", "message": SOME_TEXT}
        made = await self._post("/tickets", body)
        self._journal.happened("ticket.opened", made["id"])
        path = f"/tickets/{made['id']}"
        for author in self._dice.choices(({}, {"client_id": client}), k=self._dice.randrange(3)):
            made = await self._post(f"{path}/reply", {"message": SOME_TEXT} | author)
            self._journal.happened("ticket.replied", made["id"])
        if self._dice.random() < 0.5:
            made = await self._post(f"{path}/close", {})
            self._journal.happened("ticket.closed", made["id"])
        self._journal.saw("/tickets", made)

    async def _client(self) -> int:
        if self._client_id is None:
            await self.client()
        assert self._client_id is not None
        return self._client_id

    async def _post(self, path: str, body: Any) -> Any:
        return await self._ask("POST", path, body)

    async def _ask(self, method: str, path: str, body: Any) -> Any:
        return (await self._insist(method, f"/api/v1{path}", body))["data"]

    async def _graphql(self, document: str, variables: Any) -> Any:
        answer = await self._insist("POST", "/graphql", {"query": document, "variables": variables})
        if "errors" in answer:
            raise Refused(f"{document} {variables}: {answer['errors']}")
        return answer["data"]

    async def _insist(self, method: str, path: str, body: Any) -> Any:
        """Asks, at any server, until it is answered; each time with the same key."""
        self._asked += 1
        key = f"{self._name}-{self._asked}"
        await asyncio.sleep(self._dice.uniform(0.5, 1.5) * self._pause)
        while True:
            server = self._dice.choice(self._all.servers)
            try:
                answer = await server.request(method, path, json=body, headers={"Idempotency-Key": key})
            except httpx2.TransportError:
                self._journal.unanswered += 1
                await asyncio.sleep(SECONDS_BETWEEN_TRIES)
                continue
            if answer.status_code in (409, 503):
                self._journal.put_off += 1
                await asyncio.sleep(min(float(answer.headers["retry-after"]), LONGEST_PAUSE))
                continue
            if answer.status_code not in (200, 201):
                raise Refused(f"{method} {path} {body} ({key}): {answer.status_code} {answer.text}")
            self._journal.acknowledged += 1
            self._journal.replayed += "idempotency-replayed" in answer.headers
            return answer.json()
