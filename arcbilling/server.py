"""Serving: one process, one lock on the SQLite file, and what a newcomer is told at the start."""

import fcntl
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import uvicorn

from arcbilling import __version__, logs
from arcbilling.app import App
from arcbilling.settings import Settings, env_name

SECONDS_TO_DRAIN = 10


class CannotServe(Exception):
    """The server cannot start; the sentence says why."""


def serve(settings: Settings, command: str) -> None:
    """Serves until it is told to stop: then what is under way is finished, and the process ends with 0."""
    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, _stop)  # uvicorn takes over while it serves, and raises the signal again once it is done
    logs.configure(settings)
    with _only_server(settings), _listening(settings) as listener:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        _greet(settings, url, command)
        config = uvicorn.Config(
            App(settings),
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the gate reads them, from trusted proxies alone
            server_header=False,
            lifespan="on",
            loop="uvloop",
            http="httptools",
            ws="none",
            timeout_graceful_shutdown=SECONDS_TO_DRAIN,
        )
        server = uvicorn.Server(config)
        server.run(sockets=[listener])
        if not server.started:
            raise CannotServe("The server could not start; the log says why.")


def _stop(_: int, __: FrameType | None) -> NoReturn:
    sys.exit(0)


def _greet(settings: Settings, url: str, command: str) -> None:
    lines = (
        f"ArcBilling {__version__} serves {settings.sqlite_path}",
        f"  REST reference   {url}/docs",
        f"  REST             {url}/api/v1",
        f"  GraphQL          {url}/graphql",
        f"Make a first API key in another terminal:  {command} keys create 'My first key'",
        f"Fill an empty database to look around:     {command} demo",
    )
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


@contextmanager
def _only_server(settings: Settings) -> Iterator[None]:
    """Holds the lock of the file: its limits and its events are counted in one process."""
    path = f"{settings.sqlite_path}.lock"
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotServe(
                f"Another process serves {settings.sqlite_path} already. On SQLite one process serves; several need a "
                f"database server: set {env_name('database_url')}, in a version that takes one."
            ) from None
        yield


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no host name"
            raise CannotServe(
                f"Cannot listen on {settings.host} port {settings.port}: {why}. Choose another with --host and "
                f"--port, or {env_name('host')} and {env_name('port')}."
            ) from None
        listener.listen(2048)
        listener.setblocking(False)
        yield listener
