"""The sandbox's own paths: what it holds, what it was asked, and how it shall behave."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ._wire import Json, Stream, compact, json_response
from .documents import Document
from .faults import fault_of
from .guard import CONTROL
from .journal import Record
from .physics import Physics
from .protocols import SERVICES
from .switches import reason
from .world import World

__all__ = ["routes"]

_Handler = Callable[[Request], Awaitable[Response]]


def routes(world: World) -> list[Route]:
    """Return the routes of the page and of the control paths."""
    desk = _Control(world)
    table: dict[tuple[str, str], _Handler] = {
        ("GET", ""): desk.status,
        ("GET", "/documents"): desk.documents,
        ("GET", "/documents/{id}"): desk.document,
        ("GET", "/requests"): desk.requests,
        ("DELETE", "/requests"): desk.forget,
        ("GET", "/events"): desk.events,
        ("GET", "/faults"): desk.faults,
        ("POST", "/faults"): desk.add_faults,
        ("DELETE", "/faults"): desk.clear_faults,
        ("PATCH", "/switches"): desk.switch,
        ("PATCH", "/physics"): desk.pace,
    }
    return [
        Route("/", desk.root, methods=["GET"]),
        *(Route(CONTROL + path, run, methods=[method]) for (method, path), run in table.items()),
    ]


class _Control:
    """The handlers of the control paths."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def root(self, request: Request) -> Response:
        """Answer with where each service is."""
        base = str(request.base_url).rstrip("/")
        return json_response({service.name: base + service.base_path for service in SERVICES})

    async def status(self, _: Request) -> Response:
        """Answer with what the sandbox holds and how it behaves."""
        world = self._world
        services = {
            service.name: {
                "base_path": service.base_path,
                "keys": {name: world.keys[name] for name in service.keys},
                "paths": [f"{route.method} {route.path}" for route in service.routes],
                "switches": world.switches[service.name].model_dump(),
                "schema": service.switches.model_json_schema(),
            }
            for service in SERVICES
        }
        documents = world.library.documents
        return json_response(
            {
                "documents": len(documents),
                "chunks": len(world.library.index),
                "requests": world.journal.count,
                "physics": world.physics.model_dump(),
                "services": services,
            }
        )

    async def documents(self, _: Request) -> Response:
        """Answer with the list of the documents."""
        return json_response([_document(found) for found in self._world.library.documents])

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
                return json_response(_document(document) | {"text": document.text, "parts": chunks})
        raise HTTPException(404)

    async def requests(self, request: Request) -> Response:
        """Answer with the records, from the one after `after` on."""
        after = request.query_params.get("after", "0")
        last = int(after) if after.isdecimal() else 0
        records = [asdict(r) for r in self._world.journal.records if r.number > last]
        return json_response(records)

    async def forget(self, _: Request) -> Response:
        """Drop all records."""
        self._world.journal.records.clear()
        return Response(status_code=204)

    async def events(self, _: Request) -> Response:
        """Answer with records as they come, as Server-Sent Events."""
        return Stream(self._lines())

    async def _lines(self) -> AsyncGenerator[bytes, None]:
        yield b": follow\n\n"
        async for record in self._world.journal.follow():
            yield _line(record)

    async def faults(self, _: Request) -> Response:
        """Answer with the faults that wait."""
        return json_response([fault.model_dump() for fault in self._world.faults.waiting])

    async def add_faults(self, request: Request) -> Response:
        """Queue a fault, or a list of faults."""
        given = await _body(request)
        try:
            wanted = [fault_of(one) for one in (given if isinstance(given, list) else [given])]
        except ValueError as error:
            return _refused(error)
        self._world.faults.add(*wanted)
        return await self.faults(request)

    async def clear_faults(self, _: Request) -> Response:
        """Drop the faults that wait."""
        self._world.faults.clear()
        return Response(status_code=204)

    async def switch(self, request: Request) -> Response:
        """Set switches: an object of services, each with an object of switches."""
        try:
            self._world.switch(await _body(request))
        except ValueError as error:
            return _refused(error)
        return json_response({n: s.model_dump() for n, s in self._world.switches.items()})

    async def pace(self, request: Request) -> Response:
        """Set how fast answers are."""
        given = await _body(request)
        try:
            now = self._world.physics.model_dump()
            self._world.physics = Physics.model_validate(now | dict(given))
        except (ValueError, TypeError) as error:
            return _refused(error)
        return json_response(self._world.physics.model_dump())


async def _body(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415)
    try:
        return json.loads(await request.body())
    except ValueError:
        raise HTTPException(400) from None


def _refused(error: Exception) -> Response:
    why = reason(error) if isinstance(error, ValidationError) else str(error)
    return json_response({"error": why}, 400)


def _line(record: Record) -> bytes:
    return b"data: " + compact(asdict(record)) + b"\n\n"


def _document(document: Document) -> Json:
    return {
        "id": document.id,
        "path": document.path,
        "title": document.title,
        "file_type": document.file_type,
        "modified": document.modified,
        "url": document.url,
        "characters": len(document.text),
    }
