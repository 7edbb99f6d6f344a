"""The systems that are compared, each a process of its own that serves."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryFile

from bench import figures
from bench.databases import ROOT, Databases

SYSTEMS = ("p0", "p1", "ours")
SECONDS_TO_START = 60.0
SECONDS_TO_STOP = 20.0


@dataclass
class Server:
    """One that serves: its process and those below it."""

    system: str
    port: int
    process: asyncio.subprocess.Process
    databases: Databases
    copy: str
    seconds_to_start: float = 0.0
    cpu_to_start: float = 0.0
    megabytes_idle: float = 0.0
    pids: list[int] = field(default_factory=list)

    def cpu(self) -> float:
        return figures.cpu(self.pids)

    def megabytes(self) -> float:
        return figures.megabytes(self.pids)

    async def backends(self) -> list[int]:
        return await self.databases.backends(self.copy)


@asynccontextmanager
async def serving(system: str, databases: Databases, workers: int = 1, copy: str = "") -> AsyncIterator[Server]:
    """A system on its own copy of the database, from its first answer until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryFile() as told:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", *words(system, port, workers)),
            cwd=ROOT,
            env=databases.environment(copy or system) | {"PYTHONPATH": str(ROOT)},
            stdout=told,
            stderr=told,
        )
        server = Server(system, port, process, databases, copy or system)
        try:
            await _until_ready(server)
            server.seconds_to_start = time.perf_counter() - began
            server.pids = figures.family(process.pid)
            server.cpu_to_start = server.cpu()
            server.megabytes_idle = server.megabytes()
            yield server
        finally:
            if process.returncode is not None:
                told.seek(0)
                sys.stderr.write(f"{system} has ended by itself:\n{told.read()[-4000:].decode(errors='replace')}")
            await _stop(process)


def words(system: str, port: int, workers: int) -> tuple[str, ...]:
    if system != "ours":
        return "bench.yardsticks.serve", system, str(port), str(workers)
    return "bench.ours", "serve", "--port", str(port), *(("--workers", str(workers)) if workers > 1 else ())


async def _until_ready(server: Server) -> None:
    async with asyncio.timeout(SECONDS_TO_START):
        while True:
            if server.process.returncode is not None:
                raise RuntimeError(f"{server.system} did not start")
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                if (await reader.readline()).split(b" ")[1:2] == [b"200"]:
                    return
            except OSError:
                pass
            finally:
                writer.close()
            await asyncio.sleep(0.01)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(SECONDS_TO_STOP):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
