"""Each request as seen from outside: counted, timed, logged by a line, and its connection closed when the end is near.

It is pure ASGI and wraps everything else, so that what it says holds for every path.
"""

import time

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from arcbilling import logs
from arcbilling.draining import Drain
from arcbilling.gate import client_ip, door_of
from arcbilling.metrics import Metrics
from arcbilling.settings import Settings
from schema.calls import Headers

PROBES = frozenset(("/livez", "/readyz", "/metrics"))
"""Machines ask for these all the time: they are logged at the level debug."""
UNKNOWN = "unknown"
"""The route of a path that leads nowhere: what strangers write is no label."""
LONGEST_PATH = 200

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))
_DOORS = {"/api/v1": "rest", "/graphql": "graphql"}


class Visits:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, drain: Drain) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._drain = drain
        self._log = logs.visits(settings) if settings.access_log else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = 0
        closed: int | None = None
        opened: float | None = None
        """When an answer began that has no end of its own: how long it takes from there is nobody's wait."""

        def open_now() -> None:
            nonlocal opened
            opened = time.perf_counter()
            self._metrics.in_flight.dec()

        async def sending(message: Message) -> None:
            nonlocal status, closed
            match message["type"]:
                case "http.response.start":
                    status = message["status"]
                    if self._drain.announced:
                        message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
                    if _is_stream(message):
                        open_now()
                case "websocket.accept":
                    status = 101
                    open_now()
                case "websocket.http.response.start":
                    status = message["status"]
                case "websocket.close":
                    closed = message["code"]
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, sending)
        finally:
            now = time.perf_counter()
            if opened is None:
                self._metrics.in_flight.dec()
            self._count(scope, status, (opened or now) - began)
            self._tell(scope, status, now - began, closed)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        door = _DOORS.get(door_of(scope["path"]) or "", "pages")
        self._metrics.request(door, _method(scope), route_of(scope), status, seconds)

    def _tell(self, scope: Scope, status: int, seconds: float, closed: int | None) -> None:
        state = scope.get("state", {})
        if self._log is None:
            return
        tell = self._log.debug if scope["path"].rstrip("/") in PROBES else self._log.info
        call = state.get("call")
        tell(
            "access",
            method=_method(scope),
            path=(scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0][:LONGEST_PATH],
            status=status or None,  # None: the caller went away before the answer
            ms=round(seconds * 1000, 1),
            actor=call.actor.name if call is not None and call.actor is not None else None,
            ip=state["ip"] if "ip" in state else client_ip(scope, Headers(scope["headers"]), self._settings),
            **({} if closed is None else {"closed": closed}),
        )


def _method(scope: Scope) -> str:
    """The method, where it is one of the known few; what opens a WebSocket is a GET."""
    method = scope.get("method", "GET")
    return method if method in _METHODS else "other"


def _is_stream(start: Message) -> bool:
    """Whether an answer is an event stream."""
    return any(
        name == b"content-type" and value.startswith(b"text/event-stream") for name, value in start.get("headers", ())
    )


def route_of(scope: Scope) -> str:
    """The template that the path fits, as the REST door or Starlette has noted it: one of a known few."""
    if scope["path"].rstrip("/") == "/graphql":
        return "/graphql"
    page = scope.get("route")
    if isinstance(page, Route):
        return page.path.rstrip("/") or "/"
    return str(scope.get("state", {}).get("route", UNKNOWN))
