"""The ASGI application: the services side by side, a page, and a journal of what they are asked."""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import cast

import starlette.routing
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._wire import Json, Refusal, Stream, json_response, parse_json
from .control import routes
from .faults import Fault, fault_of
from .faulty import Silence, Words, hampered, instead
from .guard import CONTROL, Guard
from .journal import RECORD, Journal, Record, record_of
from .protocols import SERVICES
from .service import Call, Route, Service
from .switches import Switches
from .world import World
from .writer import WriterError

__all__ = ["FAULT_HEADER", "SWITCHES_HEADER", "create_app"]

FAULT_HEADER = "x-sandbox-fault"
"""The request header that asks for a fault, as `faults.fault_of` reads it."""

_LOG = logging.getLogger("qaip_sandbox")

SWITCHES_HEADER = "x-sandbox-switches"
"""The request header that sets switches for one request, as a JSON object."""


def create_app(world: World) -> ASGIApp:
    """Build the application that serves `world`."""
    mounts = [
        starlette.routing.Mount(prefix, _Desk(service, world).app(prefix), name=service.name)
        for service in SERVICES
        for prefix in service.prefixes
    ]
    root = Starlette(
        routes=[*routes(world), *mounts],
        exception_handlers={HTTPException: _unknown},
    )
    return Guard(_Recorder(root, world), world)


async def _unknown(_: Request, error: Exception) -> Response:
    told = error.detail if isinstance(error, HTTPException) else ""
    if _status(error) == 404:
        told = "not one of the sandbox's services; see /"
    return json_response({"error": told}, _status(error))


def _status(error: Exception) -> int:
    return error.status_code if isinstance(error, HTTPException) else 500


class _Desk:
    """Where the requests of one service arrive."""

    def __init__(self, service: Service, world: World) -> None:
        self._service = service
        self._world = world

    def app(self, prefix: str) -> Starlette:
        """Return the part of the service below `prefix` as an application."""
        app = Starlette(
            routes=[
                starlette.routing.Route(r.path, self._endpoint(r), methods=[r.method])
                for r in self._service.routes
                if (r.base or self._service.base_path) == prefix
            ],
            exception_handlers={HTTPException: self._failed, Refusal: _refused},
        )
        # A redirect would repeat a POST elsewhere, which none of the services does.
        app.router.redirect_slashes = False
        return app

    def _endpoint(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            raw = await request.body()
            switches = self._switches(request)
            fault = self._fault(request)
            record: Record = request.scope[RECORD]
            words = self._words(request, switches)
            if fault:
                record.fault = fault.kind
                response = instead(fault, words)
                if response:
                    return response
            parameters = {**request.query_params, **request.path_params}
            pace = self._world.pace(record.number)
            call = Call(request.headers, raw, parameters, self._world, switches, pace, record)
            response = self._service.authorize(call, route.key_name)
            try:
                response = response or await route.handler(call)
            except Refusal as refusal:
                response = refusal.response
            except WriterError as error:
                response = words.failed(502, str(error))
            except Exception:  # noqa: BLE001 - the client gets the service's words for it
                _LOG.exception("the sandbox failed to answer %s %s", route.method, route.path)
                response = words.failed(500, None)
            return await _heard(request, hampered(response, fault, words) if fault else response)

        return answer

    def _switches(self, request: Request) -> Switches:
        now = self._world.switches[self._service.name]
        wanted = request.headers.get(SWITCHES_HEADER)
        if wanted is None:
            return now
        try:
            return self._service.switches.chosen(parse_json(wanted.encode()), now)
        except ValueError as error:
            raise _misused(SWITCHES_HEADER, error) from None

    def _fault(self, request: Request) -> Fault | None:
        wanted = request.headers.get(FAULT_HEADER)
        faults, seed = self._world.faults, self._world.physics.seed
        if wanted is None:
            return faults.take(self._service.name, request.scope["path"], seed)
        try:
            fault = fault_of(parse_json(wanted.encode()) if wanted.startswith("{") else wanted)
        except ValueError as error:
            raise _misused(FAULT_HEADER, error) from None
        return fault if faults.drawn(fault, seed) else None

    def _words(self, request: Request, switches: Switches) -> Words:
        service = self._service
        return Words(
            failed=lambda status, message: service.failed(status, switches, message),
            error_event=lambda message: service.error_event(switches, message),
            ping=service.ping(switches),
            hang_up=lambda: self._world.hang_up(request.scope["client"]),
        )

    async def _failed(self, _: Request, error: Exception) -> Response:
        switches = self._world.switches[self._service.name]
        response = self._service.failed(_status(error), switches, None)
        response.headers.update(getattr(error, "headers", None) or {})
        return response


async def _heard(request: Request, response: Response) -> Response:
    """Return an answer, or silence where the client has not waited for a whole one."""
    # A stream notices by itself that its client has gone.
    if isinstance(response, Stream) or not await request.is_disconnected():
        return response
    return Silence(lambda: None)


async def _refused(_: Request, error: Exception) -> Response:
    return cast("Refusal", error).response


def _misused(header: str, error: ValueError) -> Refusal:
    return Refusal(json_response({"error": f"{header}: {error}"}, 400))


class _Recorder:
    """Middleware that writes one record per request, before the answer's first byte is sent."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world
        self._journal = world.journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what becomes of it."""
        if scope["path"] == "/" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        record = _record(scope, self._world)
        scope[RECORD] = record
        body = bytearray()

        async def read() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def write(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.body = _json(bytes(body))
                _begun(record, message)
                self._journal.begin(record)
            else:
                _went_on(record, message)
            await send(message)

        try:
            await self._app(scope, read, write)
        finally:
            _ended(record, self._journal, bytes(body))


def _record(scope: Scope, world: World) -> Record:
    path = scope["path"]
    service = next((s.name for s in SERVICES for p in s.prefixes if path.startswith(f"{p}/")), "")
    return record_of(scope, world.journal.next_number(), service, world.keys.values())


def _begun(record: Record, message: Message) -> None:
    headers = dict(message["headers"])
    record.status = message["status"]
    record.first_byte = time.monotonic()
    record.retry_after = headers.get(b"retry-after", b"").decode("latin-1")
    record.streamed = b"content-length" not in headers


def _went_on(record: Record, message: Message) -> None:
    body = message.get("body", b"")
    record.frames += bool(body)
    record.sent += len(body)
    if not message.get("more_body", False):
        record.state = "complete"
        record.ended = time.monotonic()


def _ended(record: Record, journal: Journal, body: bytes) -> None:
    record.ended = record.ended or time.monotonic()
    if record.state == "open":
        record.state = "aborted"
    if not record.first_byte:
        record.body = _json(body)
        journal.begin(record)
    else:
        journal.end(record)


def _json(body: bytes) -> Json:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
