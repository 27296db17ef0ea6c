"""Answers of Qaip as streams: lines of several kinds, raw text, and AG-UI events."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from qaip_sandbox._wire import Json, compact, event, interleave, request_id

from .answered import Answered

__all__ = ["events", "lines"]

_ABSENT = object()
_FINISH: Mapping[str, tuple[object, object]] = {
    "last": (_ABSENT, "stop"),
    "never": (_ABSENT, _ABSENT),
    "null_then_stop": (None, "stop"),
    "empty": ("", "stop"),
}
"""The finish reason before the last line with text, and on it."""

_STEPS: Mapping[str, Callable[[Sequence[str]], Iterable[str]]] = {
    "cumulative": accumulate,
    "recap": lambda pieces: [*pieces, "".join(pieces)],
}
"""The texts of the lines, by the kind of stream; by default the pieces."""

_CITED: Mapping[str, Callable[[int], range]] = {
    "last": lambda last: range(last, last + 1),
    "first": lambda _: range(1),
    "every": lambda last: range(last + 1),
    "own": lambda last: range(last + 1, last + 2),
    "none": lambda _: range(0),
}
"""Which lines have the citations, given the number of the last one with text, from 0."""

_BOM = b"\xef\xbb\xbf"


def lines(answered: Answered) -> Iterator[bytes]:
    """Yield an answer as the lines of a plain stream, or as raw text."""
    switches = answered.switches
    if switches.stream == "text":
        written = [piece.encode() for text in answered.texts[:1] for piece in text]
    else:
        newline = switches.newline.encode()
        columns = (_column(answered, index, text) for index, text in enumerate(answered.texts))
        written = [compact(line) + newline for line in interleave(columns)]
        if switches.blank_lines:
            written = [newline + line for line in written]
        if written and not switches.final_newline:
            written[-1] = written[-1].removesuffix(newline)
    yield from _marked(answered, written)


def _marked(answered: Answered, frames: Iterable[bytes]) -> Iterator[bytes]:
    mark = _BOM if answered.switches.byte_order_mark else b""
    for frame in frames:
        yield mark + frame
        mark = b""


def _column(answered: Answered, index: int, pieces: Sequence[str]) -> Iterator[Json]:
    switches = answered.switches
    steps = list(_STEPS.get(switches.stream, list)(pieces)) or [""]
    last = len(steps) - 1
    citations = answered.citations
    cited = range(0) if citations is None else _CITED[switches.citations](last)
    before, end = _FINISH[switches.finish_reason]
    for number in range(max(last + 1, cited.stop)):
        text = steps[number] if number <= last else ""
        finish = end if number == last else before
        choice = {
            "index": index,
            **_said(switches.stream, text, first=number == 0),
            **({} if finish is _ABSENT else {"finish_reason": finish}),
            **({"citations": citations} if number in cited else {}),
        }
        yield {"created": answered.created, "choices": [choice]}


def _said(kind: str, text: str, *, first: bool) -> Json:
    role = {"role": "assistant"}
    if kind == "delta":
        return {"delta": {**(role if first else {}), "content": text}}
    return {"message": {**role, "content": text}}


def events(answered: Answered) -> Iterator[bytes]:
    """Yield an answer as AG-UI events."""
    newline = answered.switches.newline
    frames = [event(found, newline) for found in _events(answered)]
    if answered.switches.keep_alive:
        frames.insert(0, b": keepalive" + 2 * newline.encode())
    yield from _marked(answered, frames)


def _events(answered: Answered) -> Iterator[Json]:
    ids = answered.turn.ids()
    run = {"threadId": ids["conversation_id"], "runId": request_id()}
    message = {"messageId": ids["assistant_message_id"] or request_id()}
    whole = answered.whole()
    between = answered.switches.message_events
    yield {"type": "RUN_STARTED", **run}
    if between:
        yield {"type": "TEXT_MESSAGE_START", **message, "role": "assistant"}
    for piece in answered.texts[0] if answered.texts else ():
        yield {"type": "TEXT_MESSAGE_CONTENT", **message, "delta": piece}
    if between:
        yield {"type": "TEXT_MESSAGE_END", **message}
    if answered.grounding:
        yield {"type": "CUSTOM", "name": "grounding", "value": answered.grounding}
    for name, value in (("citations", answered.citations), ("retrieved", answered.retrieved)):
        for part in _parts(value or [], answered.switches.event_bytes) if value is not None else ():
            yield {"type": "CUSTOM", "name": name, "value": part}
    yield {"type": "RUN_FINISHED", **run, "result": whole}


def _parts(items: Sequence[Json], most: int) -> Iterator[list[Json]]:
    """Yield `items` in lists that are no larger than `most` bytes, or of one item."""
    part: list[Json] = []
    size = 0
    for item in items:
        length = len(compact(item)) + 1
        if part and size + length > most:
            yield part
            part, size = [], 0
        part.append(item)
        size += length
    yield part
