"""The application: both doors behind the gate, the pages beside them, and what runs as long as it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from arcbilling import __version__, reference_page
from arcbilling.engine import SECONDS_TO_FINISH, Engine, opened
from arcbilling.gate import Gate, door_of
from arcbilling.graphql_door import GraphQLDoor
from arcbilling.sequencer import Sequencer
from arcbilling.settings import Settings
from resolvers import integrity, unit_of_work
from rest_compat.app import RestApp

log = structlog.get_logger("arcbilling")


class App:
    """The ASGI application of one process; its engine lives from start-up to shutdown."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gate: Gate | None = None
        self.engine: Engine | None = None
        # A trailing slash is the same route, never a redirect.
        self._pages = Starlette(routes=[*self._routes(), *reference_page.routes()], lifespan=lambda _: self.running())

        self._pages.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._gate is None:
            await self._pages(scope, receive, send)
        else:
            await self._gate(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start-up, and at the end shutdown: the lifespan of the application."""
        async with opened(self._settings) as engine:
            self.engine = engine
            doors: dict[str, ASGIApp] = {
                "/api/v1": RestApp(engine.schema, __version__),
                "/graphql": GraphQLDoor(engine.schema),
            }

            async def inside(scope: Scope, receive: Receive, send: Send) -> None:
                door = door_of(scope["path"]) if scope["type"] == "http" else None
                await (doors[door] if door else self._pages)(scope, receive, send)

            sequencer = Sequencer(engine.database)
            engine.wake = sequencer.wake
            numbering = asyncio.create_task(sequencer.run(), name="sequencer")
            self._gate = Gate(inside, self._settings, engine, engine.keyring)
            try:
                yield
            finally:
                await self._gate.finish()
                self._gate = None
                await unit_of_work.finish_all(SECONDS_TO_FINISH)
                sequencer.stop()
                await numbering

    def _routes(self) -> list[Route]:
        probes = {"/livez": _alive, "/readyz": self._ready}
        return [Route("/", _home), *(Route(path + slash, to) for path, to in probes.items() for slash in ("", "/"))]

    async def _ready(self, _: Request) -> Response:
        """Whether the database answers."""
        assert self.engine is not None
        try:
            await integrity.ping(self.engine.database)
        except Exception as error:
            log.warning("not ready", error=str(error))
            return JSONResponse({"status": "unavailable"}, 503, {"retry-after": "2"})
        return JSONResponse({"status": "ready"})


async def _home(_: Request) -> Response:
    return RedirectResponse("/docs")


async def _alive(_: Request) -> Response:
    return JSONResponse({"status": "alive"})
