"""What commands do alike: read the settings, bring the database up to date, and say why they cannot go on."""

import asyncio
import os
import shlex
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer

from arcbilling import APP_DIR
from arcbilling import settings as settings_module
from arcbilling.settings import Settings, SettingsError

T = TypeVar("T")


def read_settings(**flags: str | None) -> Settings:
    """Those of the environment and of the command's flags."""
    for name in settings_module.unknown_names(os.environ):
        say(f"warning: {name} is not a setting of ArcBilling and was ignored.")
    try:
        return settings_module.load(os.environ, **flags)
    except SettingsError as error:
        refuse(str(error))


def migrate(settings: Settings) -> None:
    """Migrates, or refuses to start on a database that is not up to date."""
    from resolvers import migrations
    from resolvers.engines import location

    if settings.auto_migrate:
        for name in apply_migrations(settings):
            say(f"Applied migration {name}.")
        return
    with explained(settings):
        lacking = asyncio.run(migrations.pending(location(settings)))
    if lacking:
        refuse(
            f"The database {settings.database_name} lacks {len(lacking)} migration(s), the first is {lacking[0]}: "
            f"run {command_name()} migrate."
        )


def apply_migrations(settings: Settings) -> list[str]:
    from resolvers import migrations
    from resolvers.engines import location

    with explained(settings):
        return asyncio.run(migrations.migrate(location(settings)))


def run(settings: Settings, work: Callable[[Any], Awaitable[T]]) -> T:
    """Runs work on the database as the system itself; says why it was refused."""
    from arcbilling import logs
    from arcbilling.engine import opened

    logs.configure(settings)
    migrate(settings)

    async def inside() -> T:
        async with opened(settings) as engine:
            await engine.check()
            return await work(engine)

    with explained(settings):
        return asyncio.run(inside())


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """What a user can do something about ends the command with a sentence."""
    from resolvers.database import DatabaseUnavailable
    from resolvers.installation import WrongSecret
    from resolvers.migrations import MigrationError
    from schema.errors import DomainError

    try:
        yield
    except (DomainError, DatabaseUnavailable, MigrationError, WrongSecret) as error:
        refuse(str(error))
    except sqlite3.DatabaseError as error:
        refuse(f"The database {settings.database_name} cannot be used: {error}.")
    except BrokenPipeError:
        raise  # nobody reads what is printed any more, and so nobody is told
    except OSError as error:
        refuse(f"{error.filename or settings.data_dir} cannot be used: {error.strerror}.")


def command_name() -> str:
    """What this command was started as: `./run` says so by a variable of its own."""
    return os.environ.get("_ARCBILLING_RUN") or "arcbilling"


def hint(settings: Settings) -> str:
    """The command as another terminal needs it, with what says which database is meant."""
    words = []
    if not settings.is_sqlite:
        words = [f"{settings_module.env_name('database_url')}=…"]  # it has a password, which belongs on no screen
    elif settings.database_url:
        words = [f"{settings_module.env_name('database_url')}={shlex.quote(settings.database_url)}"]
    elif settings.data_dir != _usual_data_dir():
        words = [f"{settings_module.env_name('data_dir')}={shlex.quote(str(settings.data_dir))}"]
    return " ".join([*words, shlex.quote(command_name())])


def say(text: str) -> None:
    typer.echo(text, err=True)


def refuse(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)


def _usual_data_dir() -> Path | None:
    if "_ARCBILLING_RUN" in os.environ:
        return Path(APP_DIR) / "data"
    try:
        return settings_module.user_data_dir()
    except ValueError:
        return None
