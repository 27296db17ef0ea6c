"""The ASGI application: the services side by side, and a journal of what they were asked."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import starlette.routing
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._wire import Json, Refusal, json_response
from .protocols import SERVICES
from .service import Call, Library, Options, Route, Service, State

__all__ = ["Record", "create_app"]

_SECRET = frozenset({"authorization", "proxy-authorization", "x-api-key", "cookie"})


@dataclass(slots=True)
class Record:
    """One request that the sandbox has answered.

    `headers` lacks every header that carries a key. `body` is the parsed JSON body, or None.
    `state` is "open" while the answer is being sent, then "complete", or "aborted" when the client
    went away before its end.
    """

    service: str
    method: str
    path: str
    headers: dict[str, str]
    body: Json
    status: int
    state: Literal["open", "complete", "aborted"] = "open"


def create_app(library: Library, options: Options, journal: list[Record]) -> ASGIApp:
    """Build the application that serves `library` and writes `journal`."""
    state = State()
    mounts = [
        starlette.routing.Mount(
            service.base_path, _service_app(service, library, options, state), name=service.name
        )
        for service in SERVICES
    ]
    root = Starlette(
        routes=[starlette.routing.Route("/", _listing), *mounts],
        exception_handlers={HTTPException: _unknown},
    )
    return _Journal(root, journal)


async def _listing(request: Request) -> Response:
    base = str(request.base_url).rstrip("/")
    return json_response({service.name: base + service.base_path for service in SERVICES})


async def _unknown(_: Request, error: Exception) -> Response:
    return json_response({"error": "not one of the sandbox's services; see /"}, _status(error))


def _status(error: Exception) -> int:
    return error.status_code if isinstance(error, HTTPException) else 500


def _service_app(service: Service, library: Library, options: Options, state: State) -> Starlette:
    def endpoint(route: Route) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            raw = await request.body()
            key = service.key_of(request.headers)
            if key != service.keys[route.key_name]:
                return service.unauthorized(key)
            parameters = {**request.query_params, **request.path_params}
            return await route.handler(
                Call(request.headers, raw, parameters, library, options, state)
            )

        return answer

    async def failed(_: Request, error: Exception) -> Response:
        response = service.failed(_status(error))
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    async def refused(_: Request, error: Exception) -> Response:
        return cast("Refusal", error).response

    app = Starlette(
        routes=[
            starlette.routing.Route(route.path, endpoint(route), methods=[route.method])
            for route in service.routes
        ],
        exception_handlers={HTTPException: failed, Refusal: refused},
    )
    # A redirect would repeat a POST elsewhere, which none of the services does.
    app.router.redirect_slashes = False
    return app


class _Journal:
    """Middleware that writes one record per request, before the answer's first byte is sent."""

    def __init__(self, app: ASGIApp, journal: list[Record]) -> None:
        self._app = app
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = bytearray()
        record: Record | None = None

        async def read() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def write(message: Message) -> None:
            nonlocal record
            if message["type"] == "http.response.start":
                record = _record(scope, bytes(body), message["status"])
                self._journal.append(record)
            elif record and not message.get("more_body", False):
                record.state = "complete"
            await send(message)

        try:
            await self._app(scope, read, write)
        finally:
            if record and record.state == "open":
                record.state = "aborted"


def _record(scope: Scope, body: bytes, status: int) -> Record:
    path = scope["path"]
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name.decode("latin-1") not in _SECRET
    }
    return Record(
        _service_name(path, SERVICES), scope["method"], path, headers, _json(body), status
    )


def _service_name(path: str, services: Sequence[Service]) -> str:
    return next((s.name for s in services if path.startswith(f"{s.base_path}/")), "")


def _json(body: bytes) -> Json:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
