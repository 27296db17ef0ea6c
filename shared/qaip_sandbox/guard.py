"""Who may speak to the sandbox: this machine, or whoever has the token."""

import re
from collections.abc import Mapping
from hmac import compare_digest

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._wire import json_response
from .addresses import is_address
from .world import World

__all__ = ["CONTROL", "Guard"]

CONTROL = "/_sandbox"
"""Where the sandbox itself is spoken to, beside its services."""

_COOKIE = "qaip_sandbox_token"
_HOST = re.compile(r"(?:\[(?P<address>[\da-fA-F:.]+)\]|(?P<name>[\w.-]+))(?::\d{1,5})?")


class Guard:
    """Middleware that refuses other sites' pages, strange host names and callers without the token.

    A page of another site can make a browser send requests here, under a name of its own (DNS
    rebinding) or with its origin in the headers; both are refused, whatever the key.
    """

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            return
        response = self._refusal(Request(scope))
        await (response or self._app)(scope, self._bounded(receive), send)

    def _bounded(self, receive: Receive) -> Receive:
        size = 0

        async def read() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._world.largest:
                raise HTTPException(413)
            return message

        return read

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        if not self._known(host):
            return _told(421, f"the sandbox is not called {host!r}; use its address, or localhost")
        if origin is not None and origin.partition("://")[2] != host:
            return _told(403, f"pages of {origin} may not use the sandbox")
        if self._from_elsewhere(request):
            return _told(403, "pages of other sites may not use the sandbox")
        return self._without_token(request)

    def _known(self, host: str) -> bool:
        # Nothing but a name and a port: what a URL would take for a path or a query is no host.
        found = _HOST.fullmatch(host)
        if not found:
            return False
        name = (found["address"] or found["name"]).lower()
        return name == "localhost" or name in self._world.hosts or is_address(name)

    def _from_elsewhere(self, request: Request) -> bool:
        """Say whether another site's page has caused this, other than by a link to the page."""
        site = request.headers.get("sec-fetch-site", "none")
        link = request.headers.get("sec-fetch-mode") == "navigate" and request.scope["path"] == "/"
        return site not in ("none", "same-origin") and not link

    def _without_token(self, request: Request) -> Response | None:
        # Not `request.url.path`, which is made from the Host header too.
        token, path = self._world.token, request.scope["path"]
        # The services have keys of their own, which are the token then.
        if token is None or not (path == "/" or path.startswith(CONTROL)):
            return None
        given = request.query_params.get("token")
        if path == "/" and given is not None and _same(given, token):
            page = RedirectResponse("/", 303)
            page.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
            return page
        if any(_same(known, token) for known in _tokens(request.headers, request.cookies)):
            return None
        return _told(401, "this sandbox wants its token: /?token=..., or Authorization: Bearer ...")


def _tokens(headers: Mapping[str, str], cookies: Mapping[str, str]) -> list[str]:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return [token.strip() if scheme.lower() == "bearer" else "", cookies.get(_COOKIE, "")]


def _same(one: str, other: str) -> bool:
    return compare_digest(one.encode("utf-8", "replace"), other.encode())


def _told(status: int, message: str) -> Response:
    return json_response({"error": message}, status)
