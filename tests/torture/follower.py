"""A follower of the event stream, who comes back after every interruption with the last id that it was given."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import httpx2

SECONDS_BETWEEN_TRIES = 0.2


class Follower:
    """Follows `/events/stream` of one server, and remembers what came."""

    def __init__(self, http: httpx2.AsyncClient, after: str) -> None:
        self.seen: list[int] = []
        """Sequence numbers, as they came."""
        self.interruptions = 0
        self.wrong: list[str] = []
        self._http = http
        self._last = after

    async def follow(self) -> None:
        """Follows until it is cancelled."""
        while True:
            with suppress(httpx2.TransportError):
                await self._listen()
            self.interruptions += 1
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)

    async def _listen(self) -> None:
        headers = {"Last-Event-ID": self._last, "accept": "text/event-stream"}
        async with self._http.stream("GET", "/api/v1/events/stream", headers=headers) as answer:
            if answer.status_code != 200:
                await answer.aread()
                if answer.status_code != 503:
                    self.wrong.append(f"{answer.status_code} {answer.text}")
                return
            told: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(":")
                    told[name] = value.removeprefix(" ")
                    continue
                if "data" in told:
                    self._take(told["id"], told["event"], json.loads(told["data"]))
                told = {}

    def _take(self, id: str, name: str, event: dict[str, Any]) -> None:
        if (id, name) != (event["id"], event["event"]):
            self.wrong.append(f"the frame says {id} {name}, its data {event['id']} {event['event']}")
        self.seen.append(event["sequence"])
        self._last = id
