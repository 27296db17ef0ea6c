"""A run of the agent as the events of a stream."""

import re
from collections.abc import Iterator
from itertools import cycle

from qaip_sandbox._wire import Json, event
from qaip_sandbox.protocols.perplexity.profiles import in_order
from qaip_sandbox.protocols.perplexity.switches import PerplexitySwitches

from .run import Run

__all__ = ["KEEP_ALIVE", "events"]

KEEP_ALIVE = b"\n"
"""A blank line, which is all that keeps such a stream alive."""

_STEPS = (1, 1, 2, 1, 3)  # sequence numbers rise with gaps
_PARTS = re.compile(r"\s*\[|\d+|\]")
_MARKER = re.compile(r"\s*\[\d+\]")
_Told = tuple[str, Json]


def events(run: Run, switches: PerplexitySwitches, after: int = -1) -> Iterator[bytes]:
    """Yield the events whose sequence numbers are above `after`, in the order of the service."""
    number = 0
    for (kind, fields), gap in zip(_told(run, switches), cycle(_STEPS), strict=False):
        if number > after:
            told = {"type": f"response.{kind}", "sequence_number": number, **fields}
            yield event(told, "\n", in_order)
        number += gap


def _told(run: Run, switches: PerplexitySwitches) -> Iterator[_Told]:
    yield "created", {"response": run.response("in_progress")}
    yield "in_progress", {"response": run.response("in_progress")}
    if run.status == "failed":
        yield "failed", {"error": run.error}
        return
    for skill in run.request.skills or []:
        yield "skill.loaded", {"name": str(skill.get("name", ""))}
    yield from _worked(run)
    if run.status != "cancelled":
        yield from _answered(run, switches)
    if switches.terminal != "none":
        # Whatever waits for the client is complete as far as the stream goes.
        kind = run.status if run.status in ("incomplete", "cancelled") else "completed"
        yield kind, {"response": run.response()}


def _worked(run: Run) -> Iterator[_Told]:
    thinks = run.request.reasoning is not None
    if thinks:
        yield "reasoning.started", {}
    for index, step in enumerate(run.work.steps):
        yield "output_item.added", {"output_index": index, "item": step.called}
        for kind, fields in step.told:
            yield f"reasoning.{kind}", fields
        yield "output_item.done", {"output_index": index, "item": step.item}
    if thinks:
        yield "reasoning.stopped", {}


def _answered(run: Run, switches: PerplexitySwitches) -> Iterator[_Told]:
    index = len(run.work.steps)
    for place, item in enumerate(run.work.calls, index):
        yield "output_item.added", {"output_index": place, "item": item}
        yield "output_item.done", {"output_index": place, "item": item}
    text = run.work.answer.text
    if not text:
        return
    yield "output_item.added", {"output_index": index, "item": run.message(None)}
    where = {"item_id": run.message_id, "output_index": index, "content_index": 0}
    if switches.deltas:
        for delta in _deltas(run.work.answer.pieces):
            yield "output_text.delta", {**where, "delta": delta}
    yield "output_text.done", {**where, "text": text}
    yield "output_item.done", {"output_index": index, "item": run.message(text)}


def _deltas(pieces: tuple[str, ...]) -> Iterator[str]:
    """Yield the pieces of a text, its markers in three."""
    for piece in pieces:
        yield from _PARTS.findall(piece) if _MARKER.fullmatch(piece) else (piece,)
