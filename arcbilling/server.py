"""Serving: one process or several workers, and what a newcomer is told at the start."""

import asyncio
import fcntl
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing import parent_process
from types import FrameType
from typing import NoReturn

import uvicorn

from arcbilling import __version__, logs, sockets
from arcbilling import settings as settings_module
from arcbilling.app import App
from arcbilling.protocol import Protocol
from arcbilling.settings import Settings, env_name
from arcbilling.sockets import Socket
from arcbilling.workers import Workers, shared_metrics

SECONDS_TO_DRAIN = 10
SECONDS_TO_LEAVE = 3.0
"""What a process takes at most to end once all that is ours is closed."""
SECONDS_TO_SHOW_LIFE = 15
"""How long a worker may take to start at a hangup, or to answer its parent before that replaces it."""
SECONDS_IDLE = 75
"""How long an idle connection is kept: longer than proxies do, so that none sends a request into one that we close."""


class CannotServe(Exception):
    """The server cannot start; the sentence says why."""


class _Server(uvicorn.Server):
    """Ends though something of a module goes on: a thread, or a task that does not heed its cancellation.

    Python waits for both without limit, and neither can be ended from outside.
    """

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            last = threading.Timer(SECONDS_TO_LEAVE, os._exit, (0 if self.started else 1,))
            last.daemon = True
            last.start()


def serve(settings: Settings, command: str) -> None:
    """Serves until it is told to stop: then what is under way is finished, and the process ends with 0."""
    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, _stop)  # uvicorn takes over while it serves, and raises the signal again once it is done
    logs.configure(settings)
    with _only_server(settings), _listening(settings) as listener:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        _greet(settings, url, command)
        if settings.workers > 1:
            with shared_metrics():
                config = configuration("arcbilling.server:worker", settings.workers)
                started = Workers(config, [listener], settings.shutdown_delay + SECONDS_TO_DRAIN).serve()
        else:
            started = _serve_here(configuration(lambda: _application(settings)), listener)
        if not started:
            raise CannotServe("The server could not start; the log says why.")


def worker() -> App:
    """The application of a worker, whose parent has checked the settings."""
    settings = settings_module.load(os.environ)
    logs.configure(settings)
    return _application(settings)


class _Served(App):
    """The application whose start-up is never garbage: looking through it would stop everything for 0.1 s at times."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with super().running():
            gc.collect()
            gc.freeze()
            yield


def _application(settings: Settings) -> App:
    """Made by uvicorn in the process that serves, once its own handlers of signals stand."""
    app = _Served(settings)
    _heed_signals(app, settings.shutdown_delay)
    return app


def _heed_signals(app: App, delay: float) -> None:
    """Announces the end before uvicorn begins it.

    SIGTERM leaves time for a load balancer to turn elsewhere; a person at the keyboard, a second signal and the end of
    a worker's parent do not.
    """
    loop = asyncio.get_running_loop()
    end: Callable[[int, FrameType | None], None] = signal.getsignal(signal.SIGTERM)  # type: ignore[assignment]

    def stop(told: int) -> None:
        app.drain.stopping.set()
        end(told, None)

    def heed(told: int, _: FrameType | None) -> None:
        wait = delay if told == signal.SIGTERM and app.engine is not None and not app.drain.announced else 0
        app.drain.announced = True
        loop.call_soon_threadsafe(loop.call_later, wait, stop, told)

    for told in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told, heed)
    if (parent := parent_process()) is not None:

        def orphaned() -> None:
            loop.remove_reader(parent.sentinel)
            stop(signal.SIGTERM)

        loop.add_reader(parent.sentinel, orphaned)


def configuration(application: str | Callable[[], App], workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        factory=True,
        workers=workers,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the gate reads them, from trusted proxies alone
        server_header=False,
        lifespan="on",
        loop="uvloop",
        http=Protocol,
        ws=Socket,
        ws_max_size=sockets.MAX_MESSAGE,
        ws_ping_interval=sockets.SECONDS_BETWEEN_PINGS,
        ws_ping_timeout=sockets.SECONDS_TO_ANSWER,
        ws_per_message_deflate=False,  # it takes more memory than all else of a socket
        timeout_keep_alive=SECONDS_IDLE,
        timeout_graceful_shutdown=SECONDS_TO_DRAIN,
        timeout_worker_healthcheck=SECONDS_TO_SHOW_LIFE,
    )


def _serve_here(config: uvicorn.Config, listener: socket.socket) -> bool:
    server = _Server(config)
    try:
        server.run(sockets=[listener])
    except SystemExit:
        if server.started:
            raise
    return server.started


def _stop(_: int, __: FrameType | None) -> NoReturn:
    sys.exit(0)


def _greet(settings: Settings, url: str, command: str) -> None:
    processes = f", with {settings.workers} workers" if settings.workers > 1 else ""
    lines = (
        f"ArcBilling {__version__} serves {settings.database_name}{processes}",
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
    """Holds the lock of an SQLite file: its limits and its events are counted in one process."""
    if not settings.is_sqlite:
        yield
        return
    with open(f"{settings.sqlite_path}.lock", "w", opener=_private) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotServe(
                f"Another process serves {settings.sqlite_path} already. On SQLite one process serves; several need "
                f"PostgreSQL: set {env_name('database_url')} to its address."
            ) from None
        yield


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


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
