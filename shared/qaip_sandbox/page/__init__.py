"""The page at `/`, which shows what the sandbox holds and does, and its files."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qaip_sandbox._wire import json_response
from qaip_sandbox.guard import CONTROL
from qaip_sandbox.protocols import SERVICES

__all__ = ["page_routes"]

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Documents and requests are strangers' text. The page writes them as text only; should it ever
# slip, the browser still runs no script but these files.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes() -> list[Route]:
    """Return the routes of the page and of its files."""
    return [
        Route("/", _root, methods=["GET"]),
        Route(f"{CONTROL}/page/{{name}}", _file, methods=["GET"]),
    ]


async def _root(request: Request) -> Response:
    """Answer a browser with the page, and anybody else with where each service is."""
    if "text/html" in request.headers.get("accept", ""):
        response = _sent("index.html")
    else:
        base = str(request.base_url).rstrip("/")
        response = json_response({s.name: base + s.base_path for s in SERVICES})
    response.headers["Vary"] = "Accept"
    return response


async def _file(request: Request) -> Response:
    return _sent(request.path_params["name"])


def _sent(name: str) -> Response:
    # Only names that a listing of the folder gives are opened: no path can lead elsewhere.
    for path in _STATIC.iterdir():
        if path.name == name and path.suffix in _TYPES:
            return Response(path.read_bytes(), 200, _HEADERS, _TYPES[path.suffix])
    raise HTTPException(404)
