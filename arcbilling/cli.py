"""The command line. Standard output is data, standard error is talk; exit 0, 1 when refused, 2 for wrong usage."""

import asyncio
import io
import os
import sys
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Annotated, Any

import typer

from arcbilling import __version__, terminal
from arcbilling import settings as settings_module
from arcbilling.settings import Settings
from arcbilling.verification import webhooks

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
app.add_typer(webhooks, name="webhooks")


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # data is the same in every locale
    app(prog_name=terminal.command_name())


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
    settings = terminal.read_settings(**flags)
    if settings.workers > 1 and settings.is_sqlite:
        terminal.refuse(
            f"On SQLite one process serves, so --workers and {settings_module.env_name('workers')} must be 1. Several "
            f"need PostgreSQL: set {settings_module.env_name('database_url')} to its address."
        )
    os.environ.update({settings_module.env_name(name): value for name, value in flags.items()})  # workers read it
    terminal.migrate(settings)
    try:
        with terminal.explained(settings):
            asyncio.run(engine.check(settings))
            server.serve(settings, terminal.hint(settings))
    except server.CannotServe as error:
        terminal.refuse(str(error))


@app.command()
def worker() -> None:
    """Send webhooks, number events and call modules, without serving the API; any number of processes."""
    from arcbilling import worker as worker_module

    settings = terminal.read_settings(deliver="on")
    if settings.is_sqlite:
        terminal.refuse(
            "On SQLite the process that serves does this work itself. A worker beside it needs PostgreSQL: set "
            f"{settings_module.env_name('database_url')} to its address."
        )
    terminal.migrate(settings)
    with terminal.explained(settings):
        worker_module.work(settings)


@app.command()
def migrate() -> None:
    """Create the database, or bring it up to date."""
    settings = terminal.read_settings()
    for name in terminal.apply_migrations(settings):
        typer.echo(name)
    terminal.say(f"The database {settings.database_name} is up to date.")


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
    settings = terminal.read_settings()
    if expires is not None:
        made["expiresAt"] = _end_of(expires, settings)
    document = "mutation($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { key apiKey { id scopes } } }"
    created = terminal.run(settings, lambda engine: engine.run(document, {"input": made}))["apiKeyCreate"]
    terminal.say(
        f"{created['apiKey']['id']} {name!r} may: {' '.join(created['apiKey']['scopes'])}. It is shown this once:"
    )
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

    for key in terminal.run(terminal.read_settings(), every):
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
    revoked = terminal.run(terminal.read_settings(), lambda engine: engine.run(document, {"id": id}))["apiKeyRevoke"]
    terminal.say(f"{revoked['id']} {revoked['name']!r} is revoked.")


@app.command()
def demo(
    clients: Annotated[int, typer.Option(help="How many clients.", min=1, max=10_000)] = 40,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 1,
) -> None:
    """Fill an empty database with data that looks real."""
    from arcbilling import demo as demo_module

    told = terminal.run(terminal.read_settings(), lambda engine: demo_module.fill(engine, clients, seed))
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
def listen(
    forward: Annotated[str, typer.Option(help="URL that each event is sent to, such as http://127.0.0.1:3000/hook.")],
    events: Annotated[list[str] | None, typer.Option(help="Names of events, separated by commas; all without.")] = None,
    secret: Annotated[str | None, typer.Option(help="What they are signed with; made for the session without.")] = None,
) -> None:
    """Send each event to a URL as it happens, until Ctrl-C. Prints the secret, then time, event, object and answer."""
    from arcbilling import developing

    settings, url, key = terminal.read_settings(), _own_url(forward), _signing_secret(secret)
    names = [name.strip() for part in events or () for name in part.split(",") if name.strip()]
    with terminal.explained(settings):
        developing.check_known(names)

    async def forwarded(engine: Any) -> None:
        async with aclosing(developing.Forwarding(url, key)) as forwarding, developing.following(engine, names) as rows:
            terminal.say(f"Events are sent to {url}, signed with:")
            typer.echo(key)
            async for row in rows:
                typer.echo("\t".join(await forwarding.event(row)))

    with suppress(KeyboardInterrupt):
        terminal.run(settings, forwarded)


@app.command()
def trigger(
    event: Annotated[str | None, typer.Argument(help="Name of an event, such as invoice.paid.")] = None,
    forward: Annotated[str | None, typer.Option(help="URL to send it to, instead of the webhooks.")] = None,
    secret: Annotated[str | None, typer.Option(help="With --forward: what it is signed with.")] = None,
    names: Annotated[bool, typer.Option("--list", help="List the events instead.")] = False,
) -> None:
    """Send a sample of an event to every webhook that wants it, or to a URL; exit 1 when that does not take it."""
    from arcbilling import developing
    from schema.events import CATALOGUE

    if names:
        for name, one in CATALOGUE.items():
            typer.echo(f"{name}\t{one.trigger}")
        return
    if event is None:
        raise typer.BadParameter("name the event; --list shows them", param_hint="EVENT")
    if secret is not None and forward is None:
        raise typer.BadParameter("goes with --forward: the webhooks have secrets of their own", param_hint="--secret")
    settings = terminal.read_settings()
    with terminal.explained(settings):
        developing.check_known([event])
    if forward is None:
        for told in terminal.run(settings, lambda engine: developing.trigger(engine, event)):
            typer.echo("\t".join(told))
        terminal.say("Queued: the server sends it, as long as it runs. What came of it stands in the delivery.")
        return
    url, key = _own_url(forward), _signing_secret(secret)

    async def sending(engine: Any) -> Any:
        async with aclosing(developing.Forwarding(url, key)) as forwarding:
            return await forwarding.sample(engine, event)

    outcome = terminal.run(settings, sending)
    if secret is None:
        terminal.say(f"It was signed with {key}")
    typer.echo(developing.answer_of(outcome))
    if not outcome.succeeded:
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Check this installation; exit 1 when something is wrong."""
    from arcbilling import checkup

    settings = terminal.read_settings()
    with terminal.explained(settings):
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


def _signing_secret(given: str | None) -> str:
    """The secret that was given, or a new one."""
    from schema.keys import new_secret
    from webhooks.signing import NotSigned, check_secret

    try:
        check_secret(given := given or new_secret())
    except NotSigned as error:
        raise typer.BadParameter(str(error), param_hint="--secret") from None
    return given


def _own_url(given: str) -> str:
    """A URL by form; where it leads is the business of whoever gives it."""
    from schema.endpoints import endpoint_url

    try:
        return endpoint_url(given) or ""
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--forward") from None


def _status(key: dict[str, Any]) -> str:
    if key["revokedAt"]:
        return "revoked"
    from arcbilling import clock
    from schema.scalars import write_time

    return "expired" if key["expiresAt"] and key["expiresAt"] <= write_time(clock.now()) else "active"


def _on_one_line(text: str) -> str:
    """A column of a line: whatever would end either of them, or speak to the terminal, is a blank."""
    return "".join(char if char.isprintable() else " " for char in text)
