"""Each request as seen from outside: counted, timed, logged by a line, and its connection closed when the end is near.

It is pure ASGI and wraps everything else, so that what it says holds for every path.
"""

import time

from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from arcbilling import logs
from arcbilling.draining import Drain
from arcbilling.gate import client_ip, door_of
from arcbilling.metrics import Metrics
from arcbilling.settings import Settings

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
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._drain.announced:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, sending)
        finally:
            self._metrics.in_flight.dec()
            self._tell(scope, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        state = scope.get("state", {})
        door = _DOORS.get(door_of(scope["path"]) or "", "pages")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.request(door, method, route_of(scope), status, seconds)
        if self._log is None:
            return
        tell = self._log.debug if scope["path"].rstrip("/") in PROBES else self._log.info
        call = state.get("call")
        tell(
            "access",
            method=method,
            path=(scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0][:LONGEST_PATH],
            status=status or None,  # None: the caller went away before the answer
            ms=round(seconds * 1000, 1),
            actor=call.actor.name if call is not None and call.actor is not None else None,
            ip=state["ip"] if "ip" in state else client_ip(scope, Headers(scope=scope), self._settings),
        )


def route_of(scope: Scope) -> str:
    """The template that the path fits, as the REST door or Starlette has noted it: one of a known few."""
    if scope["path"].rstrip("/") == "/graphql":
        return "/graphql"
    page = scope.get("route")
    if isinstance(page, Route):
        return page.path.rstrip("/") or "/"
    return str(scope.get("state", {}).get("route", UNKNOWN))
