"""The databases of a run: one that is migrated and filled, and a copy of it for each system."""

import asyncio
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import asyncpg

from bench.filling import fill_postgres, fill_sqlite

Engine = Literal["sqlite", "postgres"]

ROOT = Path(__file__).parents[1]
POSTGRES_URL = os.environ.get("ARCBILLING_TEST_POSTGRES_URL") or "postgresql://127.0.0.1:5432/postgres"
"""A server on which databases may be made and dropped: that of the tests."""
RATE = "100000/second"
"""The budget of the key, in all systems: counted and told for each request, and never used up. The window is a second
long so that what it holds stays small at any speed."""
SECRET = "bench" * 8


class Databases:
    """Databases of one engine with the same data."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.key = ""
        self._prefix = f"arcbilling_bench_{secrets.token_hex(4)}"
        self._copies: list[str] = []

    async def make(self, clients: int, invoices: int) -> None:
        """Migrates and fills the first, and makes a key by the product's own command."""
        original = self.url("original")
        if self.engine == "postgres":
            await _on_server(f"CREATE DATABASE {self._name('original')}")
        self._copies.append("original")
        self.key = (await command(self.environment("original"), "keys", "create", "bench")).split()[-1]
        if self.engine == "postgres":
            await fill_postgres(original, clients, invoices)
        else:
            await asyncio.to_thread(fill_sqlite, original, clients, invoices)

    async def copy(self, name: str) -> None:
        if self.engine == "postgres":
            await _on_server(f"CREATE DATABASE {self._name(name)} TEMPLATE {self._name('original')}")
        else:
            Path(self.url(name)).parent.mkdir()
            await asyncio.to_thread(shutil.copy, self.url("original"), self.url(name))
        self._copies.append(name)

    def url(self, name: str) -> str:
        """The URL of a PostgreSQL database, or the path of an SQLite file."""
        if self.engine == "postgres":
            base, _, options = POSTGRES_URL.partition("?")
            return f"{base.rpartition('/')[0]}/{self._name(name)}{'?' if options else ''}{options}"
        return str(self.folder / name / "arcbilling.sqlite3")

    def environment(self, name: str) -> dict[str, str]:
        """What tells a process where its database is and how it counts, the product or a yardstick."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ARCBILLING_")}
        ours = {
            "DATA_DIR": str(self.folder / name),
            "SECRET_KEY": SECRET,
            "RATE_LIMIT_AUTHENTICATED": RATE,
            "SHUTDOWN_DELAY": "0",
            "ACCESS_LOG": "off",
        }
        if self.engine == "postgres":
            ours["DATABASE_URL"] = self.url(name)
        yardsticks = {"BENCH_DATABASE": self.url(name), "BENCH_RATE": RATE}
        return clean | {f"ARCBILLING_{key}": value for key, value in ours.items()} | yardsticks

    async def backends(self, name: str) -> list[int]:
        """The processes of PostgreSQL that serve a database."""
        if self.engine == "sqlite":
            return []
        sql = "SELECT pid FROM pg_stat_activity WHERE datname = $1"
        return [pid for (pid,) in await _on_server(sql, self._name(name))]

    async def drop(self) -> None:
        if self.engine == "postgres":
            for name in self._copies:
                await _on_server(f"DROP DATABASE IF EXISTS {self._name(name)} WITH (FORCE)")

    def _name(self, name: str) -> str:
        return f"{self._prefix}_{name}"


@asynccontextmanager
async def filled(engine: Engine, folder: Path, clients: int, invoices: int) -> AsyncIterator[Databases]:
    databases = Databases(engine, folder / engine)
    try:
        await databases.make(clients, invoices)
        yield databases
    finally:
        await databases.drop()


async def command(environment: dict[str, str], *words: str) -> str:
    """What a command of the product prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "arcbilling", *words),
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"arcbilling {' '.join(words)} failed: {err.decode()}")
    return out.decode()


async def _on_server(sql: str, *values: object) -> list[Any]:
    connection = await asyncpg.connect(POSTGRES_URL)
    try:
        found: list[Any] = await connection.fetch(sql, *values)
        return found
    finally:
        await connection.close()
