"""A real process that serves: started by the public command, spoken to over HTTP, killed when a test says so."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

import arcbilling
from arcbilling.settings import load
from resolvers.engines import location
from tests.databases import at

ROOT = Path(arcbilling.__file__).parents[1]


class Installation:
    """A data folder, and the commands that work on it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ARCBILLING_")}
        mine = {"DATA_DIR": str(folder), "RATE_LIMIT_AUTHENTICATED": "off", "RATE_LIMIT_ANONYMOUS": "off"}
        mine = mine | {"SHUTDOWN_DELAY": "0"} | settings
        self.environment = clean | {f"ARCBILLING_{name}": value for name, value in mine.items()}

        self.told: list[bytes] = []
        """What the server has said since it was started."""
        self.settings = load(self.environment)
        self.location = location(self.settings)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the database holds, to count, while nobody serves it."""
        async with at(self.location) as database:
            return [tuple(row) for row in await database.reader.fetch(sql)]

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "arcbilling",
            *arguments,
            cwd=ROOT,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command."""
        process = await self.start(*arguments)
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def new_key(self) -> str:
        code, out, err = await self.command("keys", "create", "test")
        assert code == 0, err
        return out.splitlines()[-1]

    @asynccontextmanager
    async def serving(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """The server, ready; at the end it is told to stop, unless it is gone already."""
        process = await self.start("serve", "--port", str(self.port), *arguments)
        told = self.told = []
        reading = [asyncio.create_task(_drain(stream, told)) for stream in (process.stdout, process.stderr)]
        try:
            await self._until_ready(process, told)
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await asyncio.gather(*reading)

    async def _until_ready(self, process: asyncio.subprocess.Process, told: list[bytes]) -> None:
        async with httpx2.AsyncClient() as http, asyncio.timeout(60):
            while True:
                assert process.returncode is None, b"".join(told).decode()
                try:
                    if (await http.get(f"{self.url}/readyz")).status_code == 200:
                        return
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(0.05)


@asynccontextmanager
async def two_servers(folder: Path, **settings: str) -> AsyncIterator[tuple[Installation, list[httpx2.AsyncClient]]]:
    """Two servers on one database; an HTTP client with a key for each, that opens as many connections as it needs."""
    places = [Installation(folder, **settings) for _ in range(2)]
    headers = {"authorization": f"Bearer {await places[0].new_key()}"}
    limits = httpx2.Limits(max_connections=None)
    async with AsyncExitStack() as stack:
        clients = []
        for place in places:
            await stack.enter_async_context(place.serving())
            http = httpx2.AsyncClient(base_url=place.url, headers=headers, timeout=60, limits=limits)
            clients.append(await stack.enter_async_context(http))
        yield places[0], clients


async def _drain(stream: asyncio.StreamReader | None, told: list[bytes]) -> None:
    assert stream is not None
    while line := await stream.readline():
        told.append(line)
