"""Migrations: brings a database to the models, safely, whoever else starts at the same time.

Tortoise rebuilds an SQLite table to alter it, which with foreign keys on would delete every row that refers to it. So
SQLite is migrated with foreign keys off, from a backup that is made first, and checked afterwards.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

import models
from arcbilling import clock

FOLDER = Path(models.__file__).parent / "migrations"


class MigrationError(Exception):
    """The database could not be migrated; the sentence says why and where its backup is."""


def config(path: Path) -> dict[str, Any]:
    """Tortoise's configuration for migrating the file."""
    return {
        "connections": {"default": f"sqlite://{path}?foreign_keys=OFF"},
        "apps": {
            "models": {
                "models": list(models.MODULES),
                "default_connection": "default",
                "migrations": "models.migrations",
            }
        },
        "use_tz": True,
    }


TORTOISE_ORM = config(Path("data") / "arcbilling.sqlite3")
"""For Tortoise's own tool: `tortoise makemigrations`."""


def pending(path: Path) -> list[str]:
    """Migrations that the file lacks, in order."""
    applied: set[str] = set()
    if path.exists():
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tortoise_migrations'").fetchone():
                applied = {name for (name,) in connection.execute("SELECT name FROM tortoise_migrations")}
    return [name for name in known() if name not in applied]


def known() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("[0-9]*.py"))


async def migrate(path: Path, target: str = "__latest__") -> list[str]:
    """Applies what is pending, one process at a time; tells which migrations were applied."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path):
        _private(path)
        names = pending(path)
        if not names and target == "__latest__":
            return []
        backup = _back_up(path)
        try:
            async with TortoiseContext() as context:
                await context.init(config=config(path))
                connection = context.connections.get("default")
                executor = MigrationExecutor(connection, config(path)["apps"])
                await executor.migrate([MigrationTarget("models", target)])
                _, broken = await connection.execute_query("PRAGMA foreign_key_check")
                if broken:
                    raise MigrationError(f"rows of {broken[0][0]} refer to rows that do not exist")
        except Exception as error:
            where = f"; the database as it was before is {backup}" if backup else ""
            raise MigrationError(f"The migration of {path} failed ({error}){where}.") from error
        return names


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds a lock beside the file, so that commands that start together migrate once."""
    with open(f"{path}.migrating", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _private(path: Path) -> None:
    """Makes the file, if it is not there, for its owner alone; SQLite gives what it writes beside it the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _back_up(path: Path) -> Path | None:
    """Copies a database that has anything in it, by SQLite's own means."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    backup = path.with_name(f"{path.name}.backup-{clock.now():%Y%m%d-%H%M%S}")
    _private(backup)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    return backup
