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
from arcbilling.draining import Drain
from arcbilling.engine import SECONDS_TO_FINISH, Engine, opened
from arcbilling.gate import Gate, door_of
from arcbilling.graphql_door import GraphQLDoor
from arcbilling.loops import Loop, running
from arcbilling.metrics import Metrics
from arcbilling.probes import Probes
from arcbilling.provisioner import Provisioner
from arcbilling.settings import Settings, env_name
from arcbilling.visits import Visits
from resolvers import idempotency, outbox, unit_of_work
from rest_compat.app import RestApp
from schema.api_keys import CACHE_SECONDS

log = structlog.get_logger("arcbilling")

NO_REDIS = (
    f"{env_name('redis_url')} is not set: if several processes serve this database, each counts rate limits for "
    f"itself, and a key that is revoked in one may be taken by another for up to {CACHE_SECONDS} seconds"
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
            doors: dict[str, ASGIApp] = {
                "/api/v1": RestApp(engine.schema, __version__),
                "/graphql": GraphQLDoor(engine.schema),
            }

            async def inside(scope: Scope, receive: Receive, send: Send) -> None:
                door = door_of(scope["path"]) if scope["type"] == "http" else None
                await (doors[door] if door else self._pages)(scope, receive, send)

            if engine.link is not None:
                await engine.link.check()
            elif not self._settings.is_sqlite:
                log.warning(NO_REDIS)
            provisioner = Provisioner(engine)
            self.loops = self._loops(engine, provisioner)
            self._probes = Probes(engine.database, self.loops, self.drain)
            async with running(self.loops), engine.hints.listening(), aclosing(provisioner):
                gate = Gate(inside, self._settings, engine, engine.keyring, engine.window)
                self._entrance = Visits(gate, self._settings, self.metrics, self.drain)
                try:
                    yield
                finally:
                    await gate.finish()
                    self._entrance = None
                    await unit_of_work.finish_all(SECONDS_TO_FINISH)

    def _loops(self, engine: Engine, provisioner: Provisioner) -> list[Loop]:
        """What goes on in the background: a woken loop is woken by each commit."""

        async def number() -> bool:
            numbered = await outbox.sequence_committed(engine.database) > 0
            if numbered:
                engine.hints.tell("events")
            return numbered

        async def purge() -> bool:
            return await engine.database.lead() and await idempotency.purge(engine.database) > 0

        sequencer = Loop("sequencer", number, every=1.0)
        calling = Loop("provisioner", provisioner.step, every=provisioner.seconds_between_looks)
        provisioner.on_room = calling.wake

        def wake() -> None:
            sequencer.wake()
            calling.wake()

        engine.wake = self.metrics.counting_commits(wake)
        loops = [sequencer, calling, Loop("purge of stored answers", purge, every=3600.0)]
        for loop in loops:
            loop.on_step = self.metrics.step
        return loops

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
