"""The shapes of a choice, whole and in parts: of a text completion, and of a chat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from qaip_sandbox._wire import Json

from .choice import Choice, ToolCall
from .probabilities import Logprobs, offsets, token_id
from .switches import FireworksSwitches

__all__ = ["ChatShape", "Extras", "Shape", "TextShape"]


@dataclass(frozen=True, slots=True)
class Extras:
    """What a request wants besides the text of each choice, and how the service sends it."""

    switches: FireworksSwitches
    logprobs: Logprobs
    raw_output: bool
    token_ids: bool

    def ids(self, name: str, tokens: Sequence[str]) -> Json:
        """Return the ids of tokens under a name, or nothing if they are not wanted."""
        return {name: [token_id(token) for token in tokens]} if self.token_ids else {}

    def raw(self, choice: Choice) -> Json:
        """Return the raw output of a choice, or nothing if it is not wanted."""
        if not self.raw_output:
            return {}
        found: Json = {
            "prompt_fragments": ["".join(choice.prompt)],
            "prompt_token_ids": [token_id(token) for token in choice.prompt],
            "completion": choice.raw,
        }
        pieces = choice.generation.pieces
        if self.switches.facts.details:
            found["completion_token_ids"] = [token_id(token) for token in pieces]
        if self.logprobs.wanted:
            found["completion_logprobs"] = self.logprobs.new(pieces, 0)
        return {"raw_output": found}


class Shape(Protocol):
    """How choices look. `whole_kind` and `part_kind` are the names of the objects around them."""

    whole_kind: str
    part_kind: str

    def whole(self, index: int, choice: Choice) -> Json:
        """Return a choice as one object."""
        ...

    def parts(self, index: int, choice: Choice) -> Iterator[Json]:
        """Yield a choice as the objects of a stream; the last has the finish reason."""
        ...


class TextShape:
    """Choices of a text completion."""

    whole_kind = part_kind = "text_completion"

    def __init__(self, extras: Extras) -> None:
        self._extras = extras

    def whole(self, index: int, choice: Choice) -> Json:
        """Return a choice as one object."""
        extras = self._extras
        return {
            **self._part(index, choice.parts, 0, choice.generation.finish_reason),
            **extras.raw(choice),
            **extras.ids("prompt_token_ids", choice.prompt),
            **extras.ids("token_ids", choice.generation.pieces),
        }

    def parts(self, index: int, choice: Choice) -> Iterator[Json]:
        """Yield a choice as the objects of a stream."""
        pieces = list(offsets(choice.parts))
        last = pieces.pop() if pieces and self._extras.switches.finish_text else None
        first = self._extras.ids("prompt_token_ids", choice.prompt)
        for piece, offset in pieces:
            part = self._part(index, [piece], offset, None)
            yield {**part, **first, **self._extras.ids("token_ids", [piece])}
            first = {}
        text, offset = last or ("", 0)
        tokens = [text] if text else []
        end = self._part(index, tokens, offset, choice.generation.finish_reason)
        ids = self._extras.ids("token_ids", tokens) if tokens else {}
        yield {**end, **first, **ids, **self._extras.raw(choice)}

    def _part(self, index: int, tokens: Sequence[str], offset: int, reason: str | None) -> Json:
        logprobs = self._extras.logprobs.of(tokens, offset) if tokens else None
        return {
            "text": "".join(tokens),
            "index": index,
            "finish_reason": reason,
            "logprobs": logprobs,
        }


class ChatShape:
    """Choices of a chat."""

    whole_kind = "chat.completion"
    part_kind = "chat.completion.chunk"

    def __init__(self, extras: Extras) -> None:
        self._extras = extras
        self._at_once = extras.switches.facts.calls_at_once

    def whole(self, index: int, choice: Choice) -> Json:
        """Return a choice as one object."""
        return {
            "index": index,
            "message": self._message(choice),
            "finish_reason": choice.generation.finish_reason,
            **self._logprobs(choice.parts, 0),
            **self._extras.raw(choice),
            **self._extras.ids("token_ids", choice.generation.pieces),
        }

    def parts(self, index: int, choice: Choice) -> Iterator[Json]:
        """Yield a choice as the objects of a stream."""
        yield _delta(index, {"role": "assistant"})
        for piece in choice.reasoning:
            yield _delta(index, {"reasoning_content": piece})
        for number, call in enumerate(choice.calls):
            for part in [self._called(number, call)] if self._at_once else _fragments(number, call):
                yield _delta(index, {"tool_calls": [part]})
        contents = list(self._contents(index, choice))
        joined = contents.pop() if contents and self._extras.switches.finish_text else {}
        yield from contents
        end = _delta(index, {}, choice.generation.finish_reason)
        yield {**end, **joined, "finish_reason": end["finish_reason"], **self._extras.raw(choice)}

    def _contents(self, index: int, choice: Choice) -> Iterator[Json]:
        if self._extras.switches.content == "missing":
            return
        for piece, offset in offsets(choice.parts):
            part = {**_delta(index, {"content": piece}), **self._logprobs([piece], offset)}
            yield {**part, **self._extras.ids("token_ids", [piece])}

    def _message(self, choice: Choice) -> Json:
        message: Json = {"role": "assistant"}
        if choice.reasoning:
            message["reasoning_content"] = "".join(choice.reasoning)
        if self._extras.switches.content == "sent" and (not choice.calls or self._at_once):
            message["content"] = None if choice.calls else "".join(choice.parts)
        if choice.calls:
            message["tool_calls"] = [self._called(n, call) for n, call in enumerate(choice.calls)]
        return message

    def _called(self, number: int, call: ToolCall) -> Json:
        function = {"name": call.name, "arguments": call.json}
        named = {"name": None} if self._extras.switches.facts.details else {}
        return {"index": number, "id": call.id, "type": "function", "function": function, **named}

    def _logprobs(self, parts: Sequence[str], offset: int) -> Json:
        found = self._extras.logprobs.of(parts, offset)
        return {} if found is None else {"logprobs": found}


def _delta(index: int, delta: Json, reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "finish_reason": reason}


def _fragments(number: int, call: ToolCall) -> Iterator[Json]:
    kind = {"type": "function"}
    yield {"index": number, "id": call.id, **kind, "function": {"name": call.name}}
    for piece in call.arguments:
        yield {"index": number, "id": None, **kind, "function": {"arguments": piece}}
