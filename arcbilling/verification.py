"""`webhooks verify`: whether a delivery that was saved is ours and whole, for whoever writes a receiver."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from arcbilling import clock
from webhooks.signing import NotSigned, check_secret, verify_body, verify_header

webhooks = typer.Typer(help="Webhooks.", no_args_is_help=True)
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


@webhooks.callback()
def _group() -> None:
    """Webhooks."""


@webhooks.command("verify")
def verify(
    body_file: Annotated[
        Path, typer.Argument(help="The body as it was received, byte for byte; - for standard input.")
    ],
    header: Annotated[
        list[str] | None, typer.Option(help="A header that came with it, 'webhook-id: evt_…'; repeatable.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="WEBHOOK_SECRET", show_envvar=True, help="The secret, whsec_…; other users may see it here."
        ),
    ] = None,
    secret_file: Annotated[Path | None, typer.Option(help="A file with the secret.")] = None,
) -> None:
    """Check a saved delivery: the signature in its body and, if given, its headers; exit 1 when one is wrong."""
    key = _secret(secret, secret_file)
    body = _body(body_file)
    received = _received(header or [])
    fine = _told("signature", lambda: verify_body(body, key))
    if received:
        fine = _told("webhook-signature", lambda: _verify_received(body, received, key)) and fine
    if not fine:
        raise typer.Exit(1)


def _told(what: str, check: Callable[[], object]) -> bool:
    try:
        check()
    except NotSigned as error:
        typer.echo(f"wrong\t{what}\t{error}")
        return False
    typer.echo(f"right\t{what}")
    return True


def _verify_received(body: bytes, received: dict[str, str], key: str) -> None:
    """The age of what was saved is no fault, so the check is made as of its own time; a receiver would look at it."""
    if lacking := [name for name in HEADERS if name not in received]:
        raise NotSigned(f"The header {lacking[0]} is missing: give all of {', '.join(HEADERS)}.")
    message_id, timestamp, signature = (received[name] for name in HEADERS)
    sent = int(timestamp) if timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12 else 0
    verify_header(body, message_id, timestamp, signature, key, sent)
    age = int(clock.now().timestamp()) - sent
    typer.echo(f"It was sent at {datetime.fromtimestamp(sent, UTC):%Y-%m-%dT%H:%M:%SZ}, {age:,} seconds ago.", err=True)


def _secret(given: str | None, file: Path | None) -> str:
    if file is not None:
        given = _read(file).decode("utf-8", "replace")
    if not given:
        reason = "say which secret to check with: by --secret-file, by the variable WEBHOOK_SECRET, or by --secret"
        raise typer.BadParameter(reason, param_hint="--secret-file")
    try:
        check_secret(given.strip())
    except NotSigned as error:
        _refuse(str(error))
    return given.strip()


def _body(file: Path) -> bytes:
    """The body, without a line break that an editor may have put at its end: none is ever sent."""
    body = sys.stdin.buffer.read() if str(file) == "-" else _read(file)
    return body.rstrip(b"\r\n")


def _received(lines: list[str]) -> dict[str, str]:
    received: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise typer.BadParameter(f"{line!r} is no header; write it as 'webhook-id: evt_…'", param_hint="--header")
        received[name.strip().lower()] = value.strip()
    ours = {name: received[name] for name in HEADERS if name in received}
    if received and not ours:  # a name that is written wrong must not look like a check that was passed
        raise typer.BadParameter(f"give those that are signed: {', '.join(HEADERS)}", param_hint="--header")
    return ours


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        _refuse(f"{file} cannot be read: {error.strerror}.")


def _refuse(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
