"""The application: both doors behind the gate, the pages beside them, and what runs as long as it does."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from arcbilling import __version__, reference_page
from arcbilling.background import Background
from arcbilling.draining import Drain
from arcbilling.engine import SECONDS_TO_FINISH, Engine, opened
from arcbilling.gate import Gate, door_of
from arcbilling.graphql_door import GraphQLDoor
from arcbilling.graphql_socket import GraphQLSocket
from arcbilling.loops import Loop, running
from arcbilling.metrics import Metrics
from arcbilling.operations import Operations
from arcbilling.probes import Probes
from arcbilling.settings import Settings, env_name
from arcbilling.streams import SECONDS_BETWEEN_LOOKS, Streams
from arcbilling.visits import Visits
from resolvers import unit_of_work
from rest_compat.app import RestApp

log = structlog.get_logger("arcbilling")

NO_REDIS = (
    f"{env_name('redis_url')} is not set: if several processes serve this database, each counts rate limits for itself"
)


class App:
    """The ASGI application of one process; its engine lives from start-up to shutdown."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._entrance: ASGIApp | None = None
        self.engine: Engine | None = None
        self.loops: list[Loop] = []
        self.metrics = Metrics()
        self.drain = Drain()
        self._probes: Probes | None = None
        # A trailing slash is the same route, never a redirect.
        self._pages = Starlette(routes=[*self._routes(), *reference_page.routes()], lifespan=lambda _: self.running())

        self._pages.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._entrance or self._pages)(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start-up, and at the end shutdown: the lifespan of the application."""
        async with opened(self._settings) as engine:
            self.engine = engine
            operations = Operations(engine.schema)
            streams = Streams(engine.database, self.drain, self.metrics)
            doors: dict[str, ASGIApp] = {
                "/api/v1": RestApp(engine.schema, __version__),
                "/graphql": GraphQLDoor(operations),
            }
            socket = GraphQLSocket(operations, streams)

            async def inside(scope: Scope, receive: Receive, send: Send) -> None:
                door = door_of(scope["path"])
                to = socket if scope["type"] == "websocket" else doors[door] if door else self._pages
                await to(scope, receive, send)

            if engine.link is not None:
                await engine.link.check()
            elif not self._settings.is_sqlite:
                log.warning(NO_REDIS)
            background = Background(engine, self.metrics)
            self.loops = [*background.loops, *self._live_loops(engine, streams)]
            for loop in self.loops:
                loop.on_step = self.metrics.step
            self._probes = Probes(engine.database, self.loops, self.drain)
            async with running(self.loops), engine.hints.listening(), streams.running(), aclosing(background):
                gate = Gate(inside, self._settings, engine, engine.keyring, streams, engine.window)
                self._entrance = Visits(gate, self._settings, self.metrics, self.drain)
                try:
                    yield
                finally:
                    await gate.finish()
                    self._entrance = None
                    await unit_of_work.finish_all(SECONDS_TO_FINISH)

    def _live_loops(self, engine: Engine, streams: Streams) -> list[Loop]:
        """What goes on for those who listen; hints wake it, and it looks by itself where none comes."""
        reading = Loop("feed", engine.feed.step, every=0.5)
        engine.feed.wake = reading.wake
        engine.hints.on("events", reading.wake)
        revoking = Loop("revoked keys", streams.look, every=SECONDS_BETWEEN_LOOKS)
        engine.hints.on("keys", revoking.wake)
        return [reading, revoking]

    def _routes(self) -> list[Route]:
        asked = {"/livez": _alive, "/readyz": self._ready, "/metrics": self._figures}
        return [Route("/", _home), *(Route(path + slash, to) for path, to in asked.items() for slash in ("", "/"))]

    async def _ready(self, _: Request) -> Response:
        """Whether requests should be sent here."""
        assert self._probes is not None
        if failed := await self._probes.failed_checks():
            return JSONResponse({"status": "unavailable", "failed": failed}, 503, {"retry-after": "2"})
        return JSONResponse({"status": "ready"})

    async def _figures(self, request: Request) -> Response:
        """Metrics, for Prometheus."""
        assert self._probes is not None
        text, media_type = self.metrics.text(await self._probes.figures(), request.headers.get("accept", ""))
        return Response(text, headers={"content-type": media_type})


async def _home(_: Request) -> Response:
    return RedirectResponse("/docs")


async def _alive(_: Request) -> Response:
    return JSONResponse({"status": "alive"})
