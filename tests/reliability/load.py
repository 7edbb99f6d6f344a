"""Callers who write and read at every server of an installation, and keep account of what became of it."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

SLOW_SECONDS = 0.25
PAUSE_SECONDS = 0.02
"""Between the requests of a caller: what is slow is to be Redis's doing, not that of a machine at its limit."""


@dataclass
class Phase:
    """What the requests of a while came to."""

    name: str
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def slow(self) -> int:
        return sum(seconds > SLOW_SECONDS for seconds in self.seconds)

    def __str__(self) -> str:
        return (
            f"  {self.name:<22}{len(self.seconds):>6} requests {len(self.failed):>4} failed {self.slow:>4} slow, "
            f"slowest {max(self.seconds) * 1000:.0f} ms"
        )


class Load:
    """Callers who write and read at every server, and keep account."""

    def __init__(self, clients: list[httpx2.AsyncClient]) -> None:
        self._clients = clients
        self.phase = Phase("")
        self.phases: list[Phase] = []
        self.acknowledged: list[int] = []

    def enter(self, name: str) -> Phase:
        self.phase = Phase(name)
        self.phases.append(self.phase)
        return self.phase

    async def ask(self, http: httpx2.AsyncClient, method: str, path: str, body: Any = None) -> Any:
        phase, began = self.phase, time.monotonic()
        try:
            answer = await http.request(method, f"/api/v1{path}", json=body)
        except httpx2.TransportError as error:
            phase.failed.append(repr(error))
            return None
        finally:
            phase.seconds.append(time.monotonic() - began)
        if answer.status_code not in (200, 201):
            phase.failed.append(f"{answer.status_code} {answer.text}")
            return None
        return answer.json()["data"]

    async def work(self, client_id: int) -> None:
        body = {"client_id": client_id, "due_date": "2030-01-31"}
        items = [{"description": "Hosting", "amount": "5.00"}]
        while True:
            for http in self._clients:
                made = await self.ask(http, "POST", "/invoices", body | {"items": items})
                if made is not None:
                    self.acknowledged.append(made["id"])
                    await self.ask(http, "GET", f"/invoices/{made['id']}")
                await asyncio.sleep(PAUSE_SECONDS)
