"""Perplexity's agent call, the successor of its chat completions."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.responses import Response

from qaip_sandbox._wire import Json, Stream, json_response
from qaip_sandbox.protocols.perplexity.errors import failed, limits
from qaip_sandbox.protocols.perplexity.profiles import in_order
from qaip_sandbox.protocols.perplexity.switches import PerplexitySwitches
from qaip_sandbox.service import Call

from .events import KEEP_ALIVE, events
from .items import turns_of
from .request import Request, parse
from .run import Run
from .store import Runs
from .words import invalid, unusable
from .work import working

__all__ = ["cancel", "create", "retrieve"]

_CURSOR = re.compile(r"-?[0-9]{1,18}")
_ID = re.compile(r"resp_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def create(call: Call) -> Response:
    """Run the agent: at once, as a stream, or in the background."""
    request, runs = parse(call), call.remembered(Runs)
    switches = call.switched(PerplexitySwitches)
    turns = _turns(request, runs)
    work = await working(call, request, turns)
    run = Run.of(request, turns, work, switches)
    runs[run.id] = run
    if request.stream:
        return _streamed(call, run)
    if request.background:
        return _answered(run.response("queued"), run)
    await call.pace.wait(work.output_tokens)
    return _answered(run.response(), run)


async def retrieve(call: Call) -> Response:
    """Tell how far a run is, or go on with its stream."""
    run = _run(call)
    if run is None:
        return failed(404, call.switches, None)
    if call.parameters.get("stream") == "true":
        return _streamed(call, run)
    if run.live:
        run.polls -= 1
        return _answered(run.response("in_progress"), run)
    return _answered(run.response(), run)


async def cancel(call: Call) -> Response:
    """Stop a background run."""
    run = _run(call)
    if run is None or not run.live:
        raise unusable("the run is already terminal and cannot be cancelled")
    run.cancel()
    return json_response({"response_id": run.id, "status": "cancelling"})


def _turns(request: Request, runs: Runs) -> list[Json]:
    before: list[Json] = []
    if request.previous_response_id is not None:
        continued = runs.continued(request.previous_response_id)
        if continued is None:
            raise unusable()
        before = continued
    turns = [*before, *turns_of(request.input)]
    called: set[Json] = set()
    for turn in turns:
        called |= {turn.get("call_id")}
        if turn.get("answers", turn.get("call_id")) not in called:
            raise invalid(f"no function call with the call_id {turn['answers']!r} comes before")
    orders = {"role": "system", "content": request.instructions, "instructs": True}
    return [orders, *turns] if request.instructions else turns


def _run(call: Call) -> Run | None:
    run_id = call.parameters["response_id"]
    if not _ID.fullmatch(run_id):
        raise unusable("invalid response id")
    return call.remembered(Runs).stored(run_id)


def _answered(body: Json, run: Run) -> Response:
    return json_response(body, 200, _headers(run), in_order)


def _streamed(call: Call, run: Run) -> Response:
    switches = call.switched(PerplexitySwitches)
    after = call.parameters.get("starting_after", "-1")
    if not _CURSOR.fullmatch(after):
        raise unusable("invalid starting_after")
    if switches.cursor_expired and after != "-1":
        raise unusable("the cursor has expired")
    frames = call.pace.walk(events(run, switches, int(after)), KEEP_ALIVE)
    return Stream(_watched(run, frames), headers=_headers(run), ping=KEEP_ALIVE)


async def _watched(run: Run, frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(frames):
        async for frame in frames:
            yield frame
    run.polls = 0  # who has seen the end has not to poll for it


def _headers(run: Run) -> Mapping[str, str]:
    return {"x-request-id": run.id.removeprefix("resp_"), **limits(1)}
