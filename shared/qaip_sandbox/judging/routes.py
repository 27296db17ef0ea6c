"""The judge for applications in other processes: outcomes come in, the verdict goes out."""

import asyncio
import json
import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qaip_sandbox._wire import json_response
from qaip_sandbox.guard import CONTROL
from qaip_sandbox.switches import reason
from qaip_sandbox.world import World

from .case import Deed
from .judge import pending, verdict
from .limits import Limits

__all__ = ["Outcome", "verdict_routes"]

_MOST = 10_000
_LOOK = 0.01


class Outcome(BaseModel):
    """What came of one call of an application.

    Args:
        since: The number of the last request before the call; `requests` of GET /_sandbox.
        outcome: Whether the call returned or raised an error.
        text: What it returned; None where that is not known.
        part: Whether the text is meant to be a part of the answer only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Annotated[int, Field(ge=0)]
    outcome: Literal["ok", "error", "left"]
    text: str | None = None
    part: bool = False


class _Deeds(list[Deed]):
    """The calls that were told of."""


def verdict_routes(world: World) -> list[Route]:
    """Return the routes of the judge."""

    async def tell(request: Request) -> Response:
        """Note the outcome of a call that has just ended."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415)
        try:
            told = Outcome.model_validate(json.loads(await request.body()))
        except ValueError as error:
            return _refused(error)
        deeds = _deeds(world)
        ended = (world.journal.count, time.monotonic())
        deeds.append(Deed(told.since, *ended, told.outcome, told.text, told.part))
        del deeds[:-_MOST]
        return json_response({"since": told.since, "requests": world.journal.count}, 201)

    async def decide(request: Request) -> Response:
        """Answer with the verdict on the requests after `since`."""
        given = dict(request.query_params)
        given.pop("token", None)
        since = given.pop("since", "0")
        try:
            limits = Limits.checked(given)
            numbers = range(int(since) + 1, world.journal.count + 1)
        except ValueError as error:
            return _refused(error)
        ended = time.monotonic()
        deeds = [deed for deed in _deeds(world) if deed.first + 1 >= numbers.start]
        while pending(world.journal, numbers, ended, limits):  # noqa: ASYNC110 - rarely, and briefly
            await asyncio.sleep(_LOOK)
        keys = world.keys.values()
        found = verdict(world.journal, numbers, deeds, limits=limits, keys=keys, ended=ended)
        return json_response(found.as_dict())

    return [
        Route(f"{CONTROL}/outcomes", tell, methods=["POST"]),
        Route(f"{CONTROL}/verdict", decide, methods=["GET"]),
    ]


def _deeds(world: World) -> _Deeds:
    found: _Deeds = world.memory.setdefault(_Deeds, _Deeds())
    return found


def _refused(error: ValueError) -> Response:
    why = reason(error) if isinstance(error, ValidationError) else str(error)
    return json_response({"error": why}, 400)
