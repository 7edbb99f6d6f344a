"""The REST reference at /docs: a page that draws /api/v1/openapi.json and asks no other host.

static/docs/VENDORED.md says where its files come from.
"""

import hashlib
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).resolve().parent / "static" / "docs"

PAGE = "index.html"
ASSETS = ("start.js", "standalone.js", "LICENSE")
MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", "": "text/plain"}

# Scalar writes its style sheets into the page and sets style attributes: 'unsafe-inline' is for styles alone.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes() -> list[BaseRoute]:
    """The page with and without a trailing slash, neither by a redirect, and the files that it loads."""
    return [
        Route("/docs", page, name="docs"),
        Route("/docs/", page),
        Route("/docs/{file}", asset, name="docs_asset"),
    ]


async def page(request: Request) -> Response:
    return _answer(request, PAGE)


async def asset(request: Request) -> Response:
    name = request.path_params["file"]
    if name not in ASSETS:
        raise HTTPException(404)
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    path = FOLDER / name
    headers = {
        # Kept by the browser but asked about each time, so that an upgrade is seen at once.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    packed = FOLDER / f"{name}.gz"
    if packed.is_file() and _takes_gzip(request):
        path = packed
    headers["ETag"] = _etag(path)
    if headers["ETag"] in _known_etags(request):
        return Response(status_code=304, headers=headers)
    if path is packed:
        headers["Content-Encoding"] = "gzip"
    return FileResponse(path, headers=headers, media_type=MEDIA_TYPES[Path(name).suffix])


def _takes_gzip(request: Request) -> bool:
    offers = request.headers.get("Accept-Encoding", "").lower().replace(" ", "").split(",")
    return any(offer == "gzip" or (offer.startswith("gzip;q=") and offer[7:].strip("0.")) for offer in offers)


def _known_etags(request: Request) -> set[str]:
    """Proxies mark the tag as weak when they recompress; it still names the same file."""
    return {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}


@cache
def _etag(path: Path) -> str:
    return f'"{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}"'
