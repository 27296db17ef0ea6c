"""The sandbox's own paths: what it holds, what it was asked, and how it shall behave."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ._wire import Json, Stream, compact, json_response, parse_json
from .faults import fault_of
from .guard import CONTROL
from .judging.routes import verdict_routes
from .page import page_routes
from .page.examples import calls, question
from .page.fields import fault_forms, fields, summary_of
from .page.records import describe, detail, summary
from .physics import Physics
from .protocols import SERVICES
from .service import Service
from .switches import reason
from .world import World

__all__ = ["environment", "routes"]

_Handler = Callable[[Request], Awaitable[Response]]

_LOOK = 0.1
"""How often, in seconds, the events look for what has changed beside the requests."""


def routes(world: World) -> list[Route]:
    """Return the routes of the page and of the control paths."""
    desk = _Control(world)
    table: dict[tuple[str, str], _Handler] = {
        ("GET", ""): desk.status,
        ("GET", "/documents"): desk.documents,
        ("GET", "/documents/{id}"): desk.document,
        ("GET", "/refused"): desk.refused,
        ("GET", "/requests"): desk.requests,
        ("DELETE", "/requests"): desk.forget,
        ("GET", "/requests/{number:int}"): desk.request,
        ("GET", "/events"): desk.events,
        ("GET", "/examples"): desk.examples,
        ("GET", "/faults"): desk.faults,
        ("POST", "/faults"): desk.add_faults,
        ("DELETE", "/faults"): desk.clear_faults,
        ("PATCH", "/switches"): desk.switch,
        ("PATCH", "/physics"): desk.pace,
    }
    return [
        *page_routes(),
        *verdict_routes(world),
        *(Route(CONTROL + path, run, methods=[method]) for (method, path), run in table.items()),
    ]


def environment(world: World, base: str) -> dict[str, str]:
    """Return the variables that point every client at the sandbox whose address is `base`."""
    lines: dict[str, str] = {}
    for service in SERVICES:
        lines[service.base_url_name] = base + service.base_path
        lines |= {name: world.keys[name] for name in service.keys}
    return lines


class _Control:
    """The handlers of the control paths."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def status(self, request: Request) -> Response:
        """Answer with what the sandbox holds, how it behaves, and what can be set of it."""
        base = str(request.base_url).rstrip("/")
        return json_response(
            {
                **self._state(),
                "requests": self._world.journal.count,
                "environment": environment(self._world, base),
                "services": {service.name: self._service(service) for service in SERVICES},
                "physics_fields": fields(Physics),
                "fault_kinds": fault_forms(),
            }
        )

    def _state(self) -> dict[str, Json]:
        """Return what may change without any request."""
        world = self._world
        return {
            "documents": len(world.library.documents),
            "chunks": len(world.library.index),
            "refused": sum(refused.count for refused in world.collection.refused),
            "physics": world.physics.model_dump(),
            "switches": {name: chosen.model_dump() for name, chosen in world.switches.items()},
            "faults": [fault.model_dump() for fault in world.faults.waiting],
        }

    def _service(self, service: Service) -> Json:
        world = self._world
        return {
            "base_path": service.base_path,
            "keys": {name: world.keys[name] for name in service.keys},
            "paths": [f"{r.method} {r.base or service.base_path}{r.path}" for r in service.routes],
            "switches": world.switches[service.name].model_dump(),
            "schema": service.switches.model_json_schema(),
            "fields": fields(service.switches),
            "help": summary_of(service.switches),
        }

    async def documents(self, _: Request) -> Response:
        """Answer with the list of the documents."""
        return json_response([describe(found) for found in self._world.library.documents])

    async def document(self, request: Request) -> Response:
        """Answer with the text of one document and the places of its chunks."""
        wanted = request.path_params["id"]
        for document in self._world.library.documents:
            if document.id == wanted:
                chunks = [
                    {"id": c.id, "heading": c.heading, "start": c.start, "end": c.end,
                     "page_number": c.page_number, "url": c.url}
                    for c in document.chunks()
                ]  # fmt: skip
                return json_response(describe(document) | {"text": document.text, "parts": chunks})
        raise HTTPException(404)

    async def refused(self, _: Request) -> Response:
        """Answer with the files that were not read, and why."""
        return json_response([asdict(refused) for refused in self._world.collection.refused])

    async def requests(self, request: Request) -> Response:
        """Answer with a line for each record from the one after `after` on, the last `limit`."""
        after = _number(request, "after", 0)
        records = [r for r in list(self._world.journal.records) if r.number > after]
        return json_response([summary(r) for r in records[-_number(request, "limit", 10_000) :]])

    async def request(self, request: Request) -> Response:
        """Answer with all about one record."""
        wanted = request.path_params["number"]
        for record in reversed(self._world.journal.records):
            if record.number == wanted:
                return json_response(detail(record, self._world.library))
        raise HTTPException(404)

    async def forget(self, _: Request) -> Response:
        """Drop all records."""
        self._world.journal.clear()
        return Response(status_code=204)

    async def events(self, _: Request) -> Response:
        """Answer with lines for records as they come and go, as Server-Sent Events.

        An event `state` tells what has changed beside them.
        """
        return Stream(self._lines())

    async def _lines(self) -> AsyncGenerator[bytes, None]:
        records = self._world.journal.follow()
        coming = asyncio.ensure_future(anext(records))
        told = self._state()
        try:
            await asyncio.sleep(0)  # until `records` listens: nothing is missed from here on
            yield b"retry: 500\n\n" + _event(told, "state")
            while True:
                await asyncio.wait({coming}, timeout=_LOOK)
                if coming.done():
                    yield _event(summary(coming.result()))
                    coming = asyncio.ensure_future(anext(records))
                now = self._state()
                if now != told:
                    told = now
                    yield _event(now, "state")
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await records.aclose()

    async def examples(self, _: Request) -> Response:
        """Answer with a question for these documents, and with calls to try."""
        return json_response({"question": question(self._world), "calls": calls(self._world)})

    async def faults(self, _: Request) -> Response:
        """Answer with the faults that wait."""
        return json_response([fault.model_dump() for fault in self._world.faults.waiting])

    async def add_faults(self, request: Request) -> Response:
        """Queue a fault, or a list of faults."""
        given = await _body(request)
        try:
            wanted = [fault_of(one) for one in (given if isinstance(given, list) else [given])]
        except ValueError as error:
            return _told(error)
        self._world.faults.add(*wanted)
        return await self.faults(request)

    async def clear_faults(self, _: Request) -> Response:
        """Drop the faults that wait."""
        self._world.faults.clear()
        return Response(status_code=204)

    async def switch(self, request: Request) -> Response:
        """Set switches: an object of services, each with an object of switches."""
        try:
            self._world.switch(_object(await _body(request)))
        except ValueError as error:
            return _told(error)
        return json_response({n: s.model_dump() for n, s in self._world.switches.items()})

    async def pace(self, request: Request) -> Response:
        """Set how fast answers are."""
        given = await _body(request)
        try:
            now = self._world.physics.model_dump()
            self._world.physics = Physics.model_validate(now | _object(given))
        except ValueError as error:
            return _told(error)
        return json_response(self._world.physics.model_dump())


async def _body(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "send JSON, with the header content-type: application/json")
    try:
        return parse_json(await request.body())
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None


def _object(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ValueError("the body must be a JSON object")
    return given


def _told(error: Exception) -> Response:
    why = reason(error) if isinstance(error, ValidationError) else str(error)
    return json_response({"error": why}, 400)


def _event(value: Json, name: str = "") -> bytes:
    kind = f"event: {name}\n" if name else ""
    return kind.encode() + b"data: " + compact(value) + b"\n\n"


def _number(request: Request, name: str, otherwise: int) -> int:
    given = request.query_params.get(name, "")
    return int(given) if given.isdecimal() and len(given) < 10 else otherwise
