"""Migrations: brings a database to the models, safely, whoever else starts at the same time.

What an engine needs for that (a lock, a copy made first, a check afterwards) is said by its `Location`.
"""

from pathlib import Path
from typing import Any

from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.transactions import in_transaction

import models
from resolvers.database import DatabaseUnavailable, Location
from resolvers.engines.sqlite import SqliteLocation

FOLDER = Path(models.__file__).parent / "migrations"


class MigrationError(Exception):
    """The database could not be migrated; the sentence says why and where its backup is."""


def config(location: Location) -> dict[str, Any]:
    """Tortoise's configuration for migrating a database."""
    return {
        "connections": {"default": location.tortoise()},
        "apps": {
            "models": {
                "models": list(models.MODULES),
                "default_connection": "default",
                "migrations": "models.migrations",
            }
        },
        "use_tz": True,
    }


TORTOISE_ORM = config(SqliteLocation(Path("data") / "arcbilling.sqlite3"))
"""For Tortoise's own tool: `tortoise makemigrations`."""


async def pending(location: Location) -> list[str]:
    """Migrations that the database lacks, in order."""
    applied = await location.applied()
    return [name for name in known() if name not in applied]


def known() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("[0-9]*.py"))


async def migrate(location: Location, target: str = "__latest__") -> list[str]:
    """Applies what is pending, one process at a time; tells which migrations were applied."""
    if target == "__latest__" and not await pending(location):
        return []
    async with location.alone():
        names = await pending(location)
        if not names and target == "__latest__":
            return []
        backup = await location.back_up()
        try:
            async with TortoiseContext() as context:
                await context.init(config=config(location))
                # Tortoise records a migration after its own transaction: whatever came between would leave one that
                # can never be applied again. So all of it is one transaction around it.
                async with in_transaction("default") as connection:
                    executor = MigrationExecutor(connection, config(location)["apps"])
                    # Tortoise looks for its table before it makes it, and goes on when that fails; PostgreSQL does not.
                    await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))
                    await executor.migrate([MigrationTarget("models", target)])
            if broken := await location.dangling():
                raise MigrationError(f"rows of {broken[0]} refer to rows that do not exist")
        except DatabaseUnavailable:
            raise
        except Exception as error:
            where = f"; the database as it was before is {backup}" if backup else ""
            raise MigrationError(f"The migration of {location.name} failed ({error}){where}.") from error
        return names
