"""What the services in the OpenAI tradition share: chunks, usage, turns, and their end rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from qaip_core.backend import Wire
from qaip_core.errors import InvalidParameterError, MalformedResponseError
from qaip_core.framing import Event
from qaip_core.report import Rule, read_report, stream_error
from qaip_core.types import Choice, Citation, Completion, Message, Prompt, ToolCall, Usage

__all__ = [
    "ChunkDecoder",
    "StreamOptions",
    "WireChunk",
    "as_text",
    "as_turns",
    "decode_whole",
    "parse_event",
    "text_of",
    "to_choice",
    "to_usage",
    "turn",
    "without_stream_options",
]


class StreamOptions(BaseModel):
    """What a stream carries besides the text.

    Parameters:
        include_usage: whether the token counts come at the end of the stream.
    """

    include_usage: bool | None = None


class _Function(Wire):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Wire):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(Wire):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class WireChoice(Wire):
    """A choice of a whole answer (message, text) or of a chunk (delta, text)."""

    index: int | None = 0
    delta: _Message | None = None
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class WireChunk(Wire):
    """A chunk of a stream, or a whole answer: they differ in their choices only."""

    kept: ClassVar[tuple[str, ...]] = ("system_fingerprint", "service_tier")
    """The fields that go into the answer's metadata as they are."""

    id: str | None = None
    model: str | None = None
    created: Any = None
    choices: list[WireChoice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    detail: Any = None
    message: Any = None
    system_fingerprint: Any = None
    service_tier: Any = None

    def citations(self) -> tuple[Citation, ...]:
        """Return the sources; most services in this tradition have none."""
        return ()

    @property
    def reports_error(self) -> bool:
        """Whether this is an error object in the place of a chunk."""
        return bool(self.error) or (
            self.choices is None and (bool(self.detail) or isinstance(self.message, str))
        )


def parse_event(model: type[Wire], data: bytes) -> Any:
    """Return the event as the model; None for an event that says nothing.

    Raises:
        MalformedResponseError: it is not JSON of that shape.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        if data.strip() in (b"", b"null", b"[DONE]"):
            return None
        try:  # bytes that are no UTF-8 become U+FFFD, as event streams demand
            return model.model_validate_json(data.decode("utf-8", "replace"))
        except ValidationError:
            raise MalformedResponseError(
                f"an event of another shape than documented: {read_report(data).message}"
            ) from error


def decode_whole(model: type[WireChunk], body: Any, rules: Sequence[Rule] = ()) -> Completion:
    """Return a whole answer.

    Raises:
        MalformedResponseError: the body has another shape.
        ServerReportedError: it reports an error in spite of its status.
    """
    try:
        chunk = model.model_validate(body)
    except ValidationError as error:
        raise MalformedResponseError(
            "a body of another shape than documented", body=body
        ) from error
    if chunk.reports_error:
        raise stream_error(body, rules)
    if not chunk.choices:
        raise MalformedResponseError("the body holds no choices", body=body)
    usage, metadata = to_usage(chunk.usage)
    metadata.update(_kept(chunk))
    return Completion(
        [to_choice(choice, choice.message) for choice in chunk.choices],
        id=chunk.id,
        model=chunk.model,
        created=_as_int(chunk.created),
        usage=usage,
        citations=chunk.citations(),
        metadata=metadata,
        raw=body,
    )


def to_choice(choice: WireChoice, message: _Message | None) -> Choice:
    """Return a choice, whose text is in its message, delta or text."""
    if message is None:
        return Choice(
            choice.text or "", choice.index or 0, "", choice.finish_reason, (), choice.logprobs
        )
    return Choice(
        message.content or choice.text or "",
        choice.index or 0,
        message.reasoning_content or "",
        choice.finish_reason,
        tuple(map(_tool_call, range(99), message.tool_calls)) if message.tool_calls else (),
        choice.logprobs,
    )


def _tool_call(place: int, call: _ToolCall) -> ToolCall:
    function = call.function or _Function()
    index = place if call.index is None else call.index
    return ToolCall(function.name or "", function.arguments or "", call.id, index)


def to_usage(usage: Mapping[str, Any] | None) -> tuple[Usage | None, dict[str, Any]]:
    """Return the token counts, and what else a service reports beside them (cost, ...)."""
    if not usage:
        return None, {}
    counts = {k: v for k, v in usage.items() if type(v) is int}
    rest = {k: v for k, v in usage.items() if v is not None and type(v) is not int}
    inputs = counts.pop("prompt_tokens", 0)
    outputs = counts.pop("completion_tokens", 0)
    cached = (rest.pop("prompt_tokens_details", None) or {}).get("cached_tokens")
    details = rest.pop("completion_tokens_details", None) or {}
    return Usage(
        inputs,
        outputs,
        counts.pop("total_tokens", inputs + outputs),
        cached,
        counts.pop("reasoning_tokens", None) or details.get("reasoning_tokens"),
        counts,
    ), rest


def _kept(chunk: WireChunk) -> dict[str, Any]:
    return {name: v for name in chunk.kept if (v := getattr(chunk, name)) is not None}


def _as_int(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


class ChunkDecoder:
    """Decodes a stream of chunks.

    The answer is complete when every choice seen has its finish_reason. ``[DONE]`` alone
    proves nothing: real engines send it on answers that they cut.

    Parameters:
        params: the checked parameters of the call.
        model: the service's chunk.
        rules: the service's error table.
    """

    def __init__(
        self, params: Mapping[str, Any], model: type[WireChunk], rules: Sequence[Rule]
    ) -> None:
        self.ended = False
        self._single = params.get("n") in (None, 1)  # then an index means nothing
        self._model = model
        self._rules = rules
        self._fresh = True
        self._finished: dict[int, str | None] = {}
        self._usage: dict[str, Any] | None = None
        self._metadata: dict[str, Any] = {}
        self._closing = b""

    def feed(self, event: Event) -> Completion | None:
        """Return what an event adds to the answer."""
        data = event.data
        if data[:6] == b"[DONE]":
            self.ended = True
            return None
        chunk = parse_event(self._model, data)
        if chunk is None:
            return None
        if event.name == "error" or chunk.reports_error:
            raise stream_error(_as_mapping(data), self._rules)
        if chunk.usage:
            self._usage = chunk.usage
        self._note(chunk)
        if not chunk.choices:
            return None
        choices = [self._delta(choice) for choice in chunk.choices]
        for choice in choices:
            if self._single:
                choice.index = 0
            if choice.finish_reason:
                self._closing = data
                self._finished[choice.index], choice.finish_reason = choice.finish_reason, None
            elif choice.index not in self._finished:
                self._finished[choice.index] = None
        if self._fresh:
            self._fresh = False
            created = _as_int(chunk.created)
            return Completion(choices, chunk.id, chunk.model, created)
        return Completion(choices)

    def _delta(self, choice: WireChoice) -> Choice:
        return to_choice(choice, choice.delta)

    def _note(self, chunk: WireChunk) -> None:
        """Keep what a chunk says besides its text."""
        for name in chunk.kept:
            value = getattr(chunk, name)
            if value is not None:
                self._metadata[name] = value

    def _citations(self) -> tuple[Citation, ...]:
        return ()

    def finish(self, *, cut: bool) -> Completion | None:
        """Return the closing increment; None if a choice has no finish_reason."""
        if not self._finished or None in self._finished.values():
            return None
        closing = self.rest()
        closing.choices = [
            Choice(index=index, finish_reason=reason) for index, reason in self._finished.items()
        ]
        closing.raw = _as_mapping(self._closing)
        if self._usage:
            closing.raw["usage"] = self._usage
        return closing

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        usage, metadata = to_usage(self._usage)
        metadata.update(self._metadata)
        return Completion([], usage=usage, citations=self._citations(), metadata=metadata)


def _as_mapping(data: bytes) -> dict[str, Any]:
    value = from_json(data.decode("utf-8", "replace"))
    return value if isinstance(value, dict) else {"error": value}


def text_of(message: Message, service: str) -> str:
    """Return the text of a message for a service that takes nothing else.

    Raises:
        InvalidParameterError: it holds something else.
    """
    if isinstance(message.content, str):
        return message.content
    kinds = [str(part.get("type")) for part in message.content]
    other = next((kind for kind in kinds if kind != "text"), None)
    if other is not None:
        raise InvalidParameterError(f"{service} takes text only, not {other!r} content")
    return "".join(str(part.get("text", "")) for part in message.content)


def as_turns(prompt: Prompt) -> Sequence[Message]:
    """Return a prompt as turns; a text is one user turn."""
    return [Message("user", prompt)] if isinstance(prompt, str) else prompt


def as_text(prompt: Prompt, service: str) -> str:
    """Return a prompt as one text; turns are written one below the other."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1:
        return text_of(prompt[0], service)
    lines = [f"{m.role.capitalize()}: {text_of(m, service)}" for m in prompt]
    return "\n".join([*lines, "Assistant:"])


def turn(message: Message, service: str) -> dict[str, Any]:
    """Return a turn of a chat whose service takes roles and text only.

    Raises:
        InvalidParameterError: it holds tool calls, a tool's result, or media.
    """
    if message.role == "tool" or message.tool_calls:
        raise InvalidParameterError(f"{service} takes no tool calls or tool results")
    return {"role": message.role, "content": text_of(message, service)}


def without_stream_options(error: Exception, body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the body without ``stream_options`` if that is what a server refused."""
    if getattr(error, "status", None) in (400, 422) and "stream_options" in str(error):
        return {k: v for k, v in body.items() if k != "stream_options"}
    return None
