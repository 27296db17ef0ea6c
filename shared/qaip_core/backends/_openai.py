"""What the services in the OpenAI tradition share: chunks, usage, turns, and their end rule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backend import Backend, Endpoint, Params
from qaip_core.backends._prompts import as_text, as_turns
from qaip_core.errors import MalformedResponseError, ServerReportedError
from qaip_core.framing import Event
from qaip_core.reading import Notes, Reader, as_mapping, finite, noted, seconds
from qaip_core.report import Rule, stream_error
from qaip_core.template import Template
from qaip_core.types import Choice, Citation, Completion, Increment, Message, Prompt, ToolCall
from qaip_core.usage import Spent

__all__ = [
    "ChunkDecoder",
    "Shape",
    "StreamOptions",
    "WireChunk",
    "chat",
    "completions",
    "decode_whole",
    "to_choice",
]


@with_config(ConfigDict(extra="forbid"))
class StreamOptions(TypedDict, total=False):
    """What a stream carries besides the text.

    Parameters:
        include_usage: whether the token counts come at the end of the stream.
    """

    include_usage: bool | None


class _Function(TypedDict, total=False):
    name: str | None
    arguments: str | None


class _ToolCall(TypedDict, total=False):
    index: int | None
    id: str | None
    function: _Function | None


class _Message(TypedDict, total=False):
    content: str | None
    reasoning_content: str | None
    tool_calls: list[_ToolCall] | None


class WireChoice(TypedDict, total=False):
    """A choice of a whole answer (message, text) or of a chunk (delta, text)."""

    index: int | None
    delta: _Message | None
    message: _Message | None
    text: str | None
    finish_reason: str | None
    logprobs: dict[str, Any] | None


class WireChunk(TypedDict, total=False):
    """A chunk of a stream, or a whole answer: they differ in their choices only.

    A typed mapping, since it is read once for every token: pydantic fills it from JSON in half
    the time that ``json.loads`` takes, and checks it on the way.
    """

    id: str | None
    model: str | None
    created: Any
    choices: list[WireChoice] | None
    usage: dict[str, Any] | None
    error: Any
    detail: Any
    message: Any
    system_fingerprint: str | None
    service_tier: str | None


_SAID = (
    "", ".content", ".tool_calls", ".tool_calls.*", ".tool_calls.*.function",
    ".tool_calls.*.function.name", ".tool_calls.*.function.arguments",
)  # fmt: skip
CARRIES = frozenset(
    {
        "", "choices", "choices.*", "choices.*.text", "choices.*.finish_reason",
        *(f"choices.*.delta{place}" for place in _SAID),
        *(f"choices.*.message{place}" for place in _SAID),
    }
)  # fmt: skip
"""The places that carry an answer; the others accompany it."""

_INDEX = ("choices.*.index",)
"""Tells several answers apart; where there is one, it means nothing."""


def _no_citations(_chunk: Mapping[str, Any], _notes: Notes) -> tuple[Citation, ...]:
    return ()


class Shape:
    """What the chunks of one service look like.

    Parameters:
        chunk: the typed mapping.
        rules: the service's error table.
        kept: the fields that go into the answer's metadata.
        citations: reads the sources from a chunk, and notes what it leaves out.
    """

    def __init__(
        self,
        chunk: type[Any],
        rules: Sequence[Rule],
        kept: Sequence[str] = (),
        citations: Callable[[Mapping[str, Any], Notes], tuple[Citation, ...]] = _no_citations,
    ) -> None:
        self.reader: Reader[Any] = Reader(chunk, CARRIES, self._reported)
        self.rules = rules
        self.kept = frozenset({"system_fingerprint", "service_tier", *kept})
        self.citations = citations

    def _reported(self, body: Any) -> ServerReportedError | None:
        is_error = isinstance(body, Mapping) and _reports_error(body)
        return stream_error(body, self.rules) if is_error else None


def _reports_error(chunk: Mapping[str, Any]) -> bool:
    """Tell an error object that stands in the place of a chunk."""
    return bool(chunk.get("error")) or (
        chunk.get("choices") is None
        and (bool(chunk.get("detail")) or isinstance(chunk.get("message"), str))
    )


def decode_whole(shape: Shape, body: Any) -> Completion:
    """Return a whole answer.

    Raises:
        MalformedResponseError: the body has another shape where it carries the answer.
        ServerReportedError: it reports an error in spite of its status.
    """
    notes: Notes = {}
    chunk = shape.reader.body(body, notes)
    if _reports_error(chunk):
        raise stream_error(body, shape.rules)
    if not chunk.get("choices"):
        raise MalformedResponseError("the body holds no choices", body=body)
    spent = Spent.read(chunk.get("usage"), notes)
    created = seconds(chunk.get("created"), notes, "created")
    citations = shape.citations(chunk, notes)
    choices = [to_choice(choice, choice.get("message")) for choice in chunk["choices"]]
    _number(choices, chunk["choices"])
    for choice in choices:
        if choice.tool_calls:  # they are whole: their order is all that counts
            calls = enumerate(choice.tool_calls)
            choice.tool_calls = tuple(replace(call, index=place) for place, call in calls)
    return Completion(
        choices,
        id=chunk.get("id"),
        model=chunk.get("model"),
        created=created,
        usage=spent.usage,
        citations=citations,
        metadata=noted({**spent.rest, **_facts(chunk, shape.kept)}, notes),
        raw=spent.on(finite(body)),
    )


def _facts(chunk: Mapping[str, Any], kept: Collection[str]) -> dict[str, Any]:
    return {k: v for k, v in chunk.items() if k in kept and v is not None}


def _number(choices: Sequence[Choice], sent: Sequence[WireChoice]) -> None:
    """Give choices without an index that of their place."""
    for place, wire in enumerate(sent):
        if wire.get("index") is None:
            choices[place].index = place


def to_choice(choice: WireChoice, message: _Message | None) -> Choice:
    """Return a choice, whose text is in its message, delta or text."""
    said: _Message = message or {}
    calls = said.get("tool_calls")
    logprobs = choice.get("logprobs")
    return Choice(
        said.get("content") or choice.get("text") or "",
        choice.get("index") or 0,
        said.get("reasoning_content") or "",
        choice.get("finish_reason") or None,
        tuple(_tool_call(place, call) for place, call in enumerate(calls)) if calls else (),
        logprobs and finite(logprobs),
    )


def _tool_call(place: int, call: _ToolCall) -> ToolCall:
    function = call.get("function") or {}
    index = call.get("index")
    return ToolCall(
        function.get("name") or "",
        function.get("arguments") or "",
        call.get("id"),
        place if index is None else index,
    )


class _CallNumbers:
    """Tells the tool calls of one choice apart.

    Engines give every fragment the index of its call; some leave it out, or give every call the
    same, and begin another call with another id. Some repeat name and id in every fragment.
    """

    def __init__(self) -> None:
        # Numbered by us: the latest by the wire's index, and all by index and id.
        self._known: dict[tuple[int, str | None], ToolCall] = {}
        self._count = 0

    def numbered(self, fragment: ToolCall) -> ToolCall:
        """Return a fragment with its call's own number; name and id stand on the first only."""
        latest, own = (fragment.index, None), (fragment.index, fragment.id)
        known = self._known.get(own) or self._known.get(latest)
        other = known is not None and fragment.id and known.id and fragment.id != known.id
        if known is None or (other and fragment.name):
            call = replace(fragment, index=self._count)
            self._count += 1
            self._known[latest] = self._known[own] = call
            return call
        name = "" if known.name else fragment.name
        call_id = None if known.id else fragment.id
        if name or call_id:
            call = replace(known, name=known.name or name, id=known.id or call_id)
            self._known[latest] = self._known[own] = call
        return ToolCall(name, fragment.arguments, call_id, known.index)


class ChunkDecoder:
    """Decodes a stream of chunks.

    The answer is complete when every choice seen has its finish_reason. ``[DONE]`` alone
    proves nothing: real engines send it on answers that they cut.

    Parameters:
        params: the checked parameters of the call.
        shape: what the service's chunks look like.
    """

    def __init__(self, params: Mapping[str, Any], shape: Shape) -> None:
        self.ended = False
        self._wanted = params.get("n") or 1
        self._single = self._wanted == 1  # then an index means nothing
        self._carries = () if self._single else _INDEX
        self._shape = shape
        self._read = shape.reader.event
        self._kept = shape.kept
        self._notes: Notes = {}
        self._fresh = True
        self._calls: dict[int, _CallNumbers] = {}
        self._finished: dict[int, str | None] = {}
        self._usage: dict[str, Any] | None = None
        self._metadata: dict[str, Any] = {}
        self._closing = b""
        self._alike = Template(self._text_of)

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds to the answer."""
        data = event.data
        text = self._alike.text(data)
        if text is not None and event.name != "error":
            return text
        if data[:6] == b"[DONE]":
            self.ended = True
            return None
        if event.name == "error":
            raise stream_error(as_mapping(data), self._shape.rules)
        chunk = self._read(data, self._notes, self._carries)
        if chunk is None:
            return None
        if _reports_error(chunk):
            raise stream_error(as_mapping(data), self._shape.rules)
        self._note(chunk)
        wire = chunk.get("choices")
        if not wire:
            return None
        choices = [self._delta(choice) for choice in wire]
        if not self._single:
            _number(choices, wire)
        for choice in choices:
            self._track(choice, data)
        if self._fresh:
            self._fresh = False
            created = seconds(chunk.get("created"), self._notes, "created")
            return Completion(choices, chunk.get("id"), chunk.get("model"), created)
        if self._single and len(choices) == 1 and _is_text(choice := choices[0], wire[0]):
            self._alike.learn(data, choice.text)
            return choice.text
        return Completion(choices)

    def _text_of(self, data: bytes) -> str | None:
        chunk = self._read(data, {}, self._carries)
        choices = chunk and chunk.get("choices")
        return to_choice(choices[0], choices[0].get("delta")).text if choices else None

    def _track(self, choice: Choice, data: bytes) -> None:
        """Keep the reason why a choice ended for the closing increment."""
        if self._single:
            choice.index = 0
        if choice.tool_calls:
            numbers = self._calls.setdefault(choice.index, _CallNumbers())
            choice.tool_calls = tuple(map(numbers.numbered, choice.tool_calls))
        if choice.finish_reason:
            self._closing = data
            self._finished[choice.index], choice.finish_reason = choice.finish_reason, None
        elif choice.index not in self._finished:
            self._finished[choice.index] = None

    def _delta(self, choice: WireChoice) -> Choice:
        return to_choice(choice, choice.get("delta"))

    def _note(self, chunk: WireChunk) -> None:
        """Keep what a chunk says besides its text."""
        usage = chunk.get("usage")
        if usage:
            self._usage = usage
        if not self._kept.isdisjoint(chunk):
            self._metadata.update(_facts(chunk, self._kept))

    def _citations(self) -> tuple[Citation, ...]:
        return ()

    def finish(self, *, cut: bool) -> Completion | None:
        """Return the closing increment; None if a choice has no finish_reason."""
        if not self._finished or None in self._finished.values():
            return None
        if cut and len(self._finished) < self._wanted:  # a choice may not have begun; but some
            return None  # engines know of no n, and end in good order after one
        closing = self.rest()
        closing.raw = Spent.read(self._usage, {}).on(finite(as_mapping(self._closing)))
        return closing

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        notes = dict(self._notes)
        spent = Spent.read(self._usage, notes)
        metadata = noted({**spent.rest, **self._metadata}, notes)
        ended = [Choice(index=n, finish_reason=why) for n, why in self._finished.items() if why]
        return Completion(ended, usage=spent.usage, citations=self._citations(), metadata=metadata)


def _is_text(choice: Choice, wire: WireChoice) -> bool:
    """Tell whether there is text and nothing else."""
    return bool(choice.text) and not (
        choice.reasoning
        or choice.tool_calls
        or choice.logprobs is not None
        or wire.get("finish_reason")
    )


def without_stream_options(error: Exception, body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the body without ``stream_options`` if that is what a server refused."""
    refused = getattr(error, "status", None) in (400, 422) and "stream_options" in str(error)
    if refused and "stream_options" in body:
        return {k: v for k, v in body.items() if k != "stream_options"}
    return None


def completions(
    backend: Backend,
    shape: Shape,
    params: type[Params],
    *,
    path: str = "/completions",
    counted: bool = True,
    **more: Any,
) -> Endpoint:
    """Return the endpoint of a service's text completions.

    Parameters:
        counted: whether streams are asked for their usage.
        more: further fields of the endpoint.
    """

    def encode(prompt: Prompt, given: dict[str, Any], stream: bool) -> dict[str, Any]:
        said = {"prompt": as_text(prompt, backend.title)}
        return {**_streamed(given, stream=stream, counted=counted), **said}

    return _endpoint(backend, shape, params, path=path, encode=encode, chat=False, **more)


def chat(
    backend: Backend,
    shape: Shape,
    params: type[Params],
    as_turn: Callable[[Message], dict[str, Any]],
    *,
    path: str = "/chat/completions",
    counted: bool = True,
    **more: Any,
) -> Endpoint:
    """Return the endpoint of a service's chat.

    Parameters:
        as_turn: writes one message.
        counted: whether streams are asked for their usage.
        more: further fields of the endpoint.
    """

    def encode(prompt: Prompt, given: dict[str, Any], stream: bool) -> dict[str, Any]:
        said = {"messages": [as_turn(m) for m in as_turns(prompt)]}
        return {**_streamed(given, stream=stream, counted=counted), **said}

    return _endpoint(backend, shape, params, path=path, encode=encode, thinks=True, **more)


def _endpoint(backend: Backend, shape: Shape, params: type[Params], **more: Any) -> Endpoint:
    common: dict[str, Any] = {
        "decode": partial(decode_whole, shape),
        "decoder": partial(ChunkDecoder, shape=shape),
        "required": ("model",),
        "repair": without_stream_options,
    }
    return Endpoint(backend=backend, params=params, **{**common, **more})


def _streamed(params: dict[str, Any], *, stream: bool, counted: bool) -> dict[str, Any]:
    """Return the parameters with what makes an answer a stream, that ends with its usage."""
    if stream:
        usage = {"stream_options": {"include_usage": True}} if counted else {}
        return {**usage, **params, "stream": True}
    return {k: v for k, v in params.items() if k != "stream_options"}
