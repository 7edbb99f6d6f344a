"""The command line. Standard output is data, standard error is talk; exit 0, 1 when refused, 2 for wrong usage."""

import asyncio
import io
import os
import shlex
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from arcbilling import APP_DIR, __version__
from arcbilling import settings as settings_module
from arcbilling.settings import Settings, SettingsError

T = TypeVar("T")

app = typer.Typer(
    name="arcbilling",
    help="Billing and support core for hosting companies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="API keys.", no_args_is_help=True)
schema = typer.Typer(help="The GraphQL schema.", no_args_is_help=True)
openapi = typer.Typer(help="The OpenAPI document.", no_args_is_help=True)
app.add_typer(keys, name="keys")
app.add_typer(schema, name="schema")
app.add_typer(openapi, name="openapi")


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # data is the same in every locale
    app(prog_name=_command_name())


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=0, max=65535)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve; PostgreSQL only.", min=1)] = None,
) -> None:
    """Serve the API."""
    from arcbilling import engine, server

    given = {"host": host, "port": port, "workers": workers}
    flags = {name: str(value) for name, value in given.items() if value is not None}
    settings = _settings(**flags)
    if settings.workers > 1 and settings.is_sqlite:
        _refuse(
            f"On SQLite one process serves, so --workers and {settings_module.env_name('workers')} must be 1. Several "
            f"need PostgreSQL: set {settings_module.env_name('database_url')} to its address."
        )
    os.environ.update({settings_module.env_name(name): value for name, value in flags.items()})  # workers read it
    _migrate(settings)
    try:
        with _explained(settings):
            asyncio.run(engine.check(settings))
            server.serve(settings, _hint(settings))
    except server.CannotServe as error:
        _refuse(str(error))


@app.command()
def migrate() -> None:
    """Create the database, or bring it up to date."""
    settings = _settings()
    for name in _apply_migrations(settings):
        typer.echo(name)
    _say(f"The database {settings.database_name} is up to date.")


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str] | None, typer.Option(help="What it may do, such as invoices:read; repeatable.")] = None,
    client: Annotated[str | None, typer.Option(help="Bind it to this client.")] = None,
    expires: Annotated[str | None, typer.Option(help="Last day or moment, such as 2027-01-31.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="Network it may be used from; repeatable.")] = None,
) -> None:
    """Make an API key. The key is the last line of standard output, and shown this once."""
    made: dict[str, Any] = {"name": name, "scopes": scope or None, "clientId": client, "networks": network or None}
    settings = _settings()
    if expires is not None:
        made["expiresAt"] = _end_of(expires, settings)
    document = "mutation($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { key apiKey { id scopes } } }"
    created = _run(settings, lambda engine: engine.run(document, {"input": made}))["apiKeyCreate"]
    _say(f"{created['apiKey']['id']} {name!r} may: {' '.join(created['apiKey']['scopes'])}. It is shown this once:")
    typer.echo(created["key"])


@keys.command("list")
def keys_list() -> None:
    """List API keys: id, status, name, hint, scopes, client, expiry and last use, separated by tabs."""
    document = """query($after: String) { apiKeys(first: 100, after: $after) {
        nodes { id name hint scopes clientId expiresAt lastUsedAt revokedAt } pageInfo { hasNextPage endCursor } } }"""

    async def every(engine: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = (await engine.run(document, {"after": after}))["apiKeys"]
            found += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]

    for key in _run(_settings(), every):
        columns = (
            key["id"],
            _status(key),
            key["name"],
            key["hint"],
            " ".join(key["scopes"]),
            key["clientId"] or "-",
            key["expiresAt"] or "-",
            key["lastUsedAt"] or "-",
        )
        typer.echo("\t".join(_on_one_line(column) for column in columns))


@keys.command("revoke")
def keys_revoke(id: Annotated[str, typer.Argument(help="The key's id, such as key_3 or 3.")]) -> None:
    """Revoke an API key for good. A server that is running refuses it within five seconds."""
    document = "mutation($id: ID!) { apiKeyRevoke(id: $id) { id name } }"
    revoked = _run(_settings(), lambda engine: engine.run(document, {"id": id}))["apiKeyRevoke"]
    _say(f"{revoked['id']} {revoked['name']!r} is revoked.")


@app.command()
def demo(
    clients: Annotated[int, typer.Option(help="How many clients.", min=1, max=10_000)] = 40,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 1,
) -> None:
    """Fill an empty database with data that looks real."""
    from arcbilling import demo as demo_module

    told = _run(_settings(), lambda engine: demo_module.fill(engine, clients, seed))
    for noun, count in told.items():
        typer.echo(f"{noun}\t{count}")


@schema.command("print")
def schema_print() -> None:
    """Print the GraphQL schema."""
    from schema.root import sdl

    typer.echo(sdl(), nl=False)


@openapi.command("print")
def openapi_print() -> None:
    """Print the OpenAPI document."""
    from rest_compat.app import RestApp
    from schema.root import build

    typer.echo(RestApp(build(), __version__).openapi, nl=False)


@app.command()
def doctor() -> None:
    """Check this installation; exit 1 when something is wrong."""
    from arcbilling import checkup

    settings = _settings()
    with _explained(settings):
        findings = asyncio.run(checkup.examine(settings))
    for finding in findings:
        typer.echo(f"{'ok' if finding.fine else 'problem'}\t{finding.what}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


# Private


def _settings(**flags: str | None) -> Settings:
    for name in settings_module.unknown_names(os.environ):
        _say(f"warning: {name} is not a setting of ArcBilling and was ignored.")
    try:
        return settings_module.load(os.environ, **flags)
    except SettingsError as error:
        _refuse(str(error))


def _migrate(settings: Settings) -> None:
    """Migrates, or refuses to start on a database that is not up to date."""
    from resolvers import migrations
    from resolvers.engines import location

    if settings.auto_migrate:
        for name in _apply_migrations(settings):
            _say(f"Applied migration {name}.")
        return
    with _explained(settings):
        lacking = asyncio.run(migrations.pending(location(settings)))
    if lacking:
        _refuse(
            f"The database {settings.database_name} lacks {len(lacking)} migration(s), the first is {lacking[0]}: "
            f"run {_command_name()} migrate."
        )


def _apply_migrations(settings: Settings) -> list[str]:
    from resolvers import migrations
    from resolvers.engines import location

    with _explained(settings):
        return asyncio.run(migrations.migrate(location(settings)))


def _run(settings: Settings, work: Callable[[Any], Awaitable[T]]) -> T:
    """Runs work on the database as the system itself; says why it was refused."""
    from arcbilling import logs
    from arcbilling.engine import opened

    logs.configure(settings)
    _migrate(settings)

    async def inside() -> T:
        async with opened(settings) as engine:
            await engine.check()
            return await work(engine)

    with _explained(settings):
        return asyncio.run(inside())


@contextmanager
def _explained(settings: Settings) -> Iterator[None]:
    """What a user can do something about ends the command with a sentence."""
    from resolvers.database import DatabaseUnavailable
    from resolvers.installation import WrongSecret
    from resolvers.migrations import MigrationError
    from schema.errors import DomainError

    try:
        yield
    except (DomainError, DatabaseUnavailable, MigrationError, WrongSecret) as error:
        _refuse(str(error))
    except sqlite3.DatabaseError as error:
        _refuse(f"The database {settings.database_name} cannot be used: {error}.")
    except OSError as error:
        _refuse(f"{error.filename or settings.data_dir} cannot be used: {error.strerror}.")


def _end_of(expires: str, settings: Settings) -> str:
    """A date stands for its last moment."""
    from arcbilling import clock
    from schema.moments import until
    from schema.scalars import read_moment, write_time

    try:
        moment = read_moment(expires)
    except ValueError:
        reason = "must be a date such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z"
        raise typer.BadParameter(reason, param_hint="--expires") from None
    clock.use_zone(settings.timezone)
    return write_time(moment if isinstance(moment, datetime) else until(moment))


def _status(key: dict[str, Any]) -> str:
    if key["revokedAt"]:
        return "revoked"
    from arcbilling import clock
    from schema.scalars import write_time

    return "expired" if key["expiresAt"] and key["expiresAt"] <= write_time(clock.now()) else "active"


def _on_one_line(text: str) -> str:
    """A column of a line: whatever would end either of them, or speak to the terminal, is a blank."""
    return "".join(char if char.isprintable() else " " for char in text)


def _command_name() -> str:
    """What this command was started as: `./run` says so by a variable of its own."""
    return os.environ.get("_ARCBILLING_RUN") or "arcbilling"


def _hint(settings: Settings) -> str:
    """The command as another terminal needs it, with what says which database is meant."""
    words = []
    if not settings.is_sqlite:
        words = [f"{settings_module.env_name('database_url')}=…"]  # it has a password, which belongs on no screen
    elif settings.database_url:
        words = [f"{settings_module.env_name('database_url')}={shlex.quote(settings.database_url)}"]
    elif settings.data_dir != _usual_data_dir():
        words = [f"{settings_module.env_name('data_dir')}={shlex.quote(str(settings.data_dir))}"]
    return " ".join([*words, shlex.quote(_command_name())])


def _usual_data_dir() -> Path | None:
    if "_ARCBILLING_RUN" in os.environ:
        return Path(APP_DIR) / "data"
    try:
        return settings_module.user_data_dir()
    except ValueError:
        return None


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _refuse(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
