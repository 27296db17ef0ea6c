"""The answers of Fireworks, whole and streamed, in the text and in the chat shape."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qaip_sandbox._wire import Json, event, interleave, request_id
from qaip_sandbox.answers import Generation

from .request import Chat, Sampling

__all__ = ["Choice", "Reply", "ToolCall"]

_LOGPROB = -0.1


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, with its arguments as JSON in pieces."""

    id: str
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an answer: a text, or calls of tools.

    `generation` is the text, and tells why the choice ended; `echo` is what comes before it in the
    text shape, `reasoning` what comes before it in the chat shape.
    """

    generation: Generation
    echo: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()

    @property
    def count(self) -> int:
        """The tokens of the choice."""
        arguments = sum(len(call.arguments) for call in self.calls)
        return len(self.reasoning) + len(self.generation.pieces) + arguments

    @property
    def parts(self) -> list[str]:
        """The pieces of the text, the echo's first."""
        return [*self.echo, *self.generation.pieces]


class Reply:
    """One answer. `metrics` go into the body, if the request wants them there."""

    def __init__(
        self,
        request: Sampling,
        prompt: int,
        choices: Sequence[Choice],
        metrics: Mapping[str, Json],
    ) -> None:
        self._chat = isinstance(request, Chat)
        self._model = request.model
        self._logprobs = request.logprobs
        self._prompt = prompt
        self._choices = choices
        self._metrics = {"perf_metrics": metrics} if request.perf_metrics_in_response else {}
        random = request_id()
        self.id = f"chatcmpl-{random.replace('-', '')}" if self._chat else random
        self._created = int(time.time())

    def whole(self) -> Json:
        """Return the answer as one object."""
        form = self._message if self._chat else self._whole_text
        choices = [form(index, choice) for index, choice in enumerate(self._choices)]
        kind = "chat.completion" if self._chat else "text_completion"
        usage = self._usage(sum(choice.count for choice in self._choices))
        return {**self._envelope(choices, kind), "usage": usage, **self._metrics}

    def events(self) -> Iterator[bytes]:
        """Yield the answer as the events of a stream.

        Each finish reason comes with what all choices have used up to then.
        """
        used = 0
        form = self._deltas if self._chat else self._texts
        for choice in interleave(form(n, choice) for n, choice in enumerate(self._choices)):
            if choice["finish_reason"]:
                used += self._choices[choice["index"]].count
            yield self._event(choice, self._usage(used) if choice["finish_reason"] else None)
        yield b"data: [DONE]\n\n"

    def _whole_text(self, index: int, choice: Choice) -> Json:
        logprobs = _logprobs(self._logprobs, choice.parts, 0)
        return _text(index, "".join(choice.parts), choice.generation.finish_reason, logprobs)

    def _texts(self, index: int, choice: Choice) -> Iterator[Json]:
        for piece, offset in _offsets(choice.parts):
            yield _text(index, piece, None, _logprobs(self._logprobs, [piece], offset))
        yield _text(index, "", choice.generation.finish_reason, None)

    def _message(self, index: int, choice: Choice) -> Json:
        message: Json = {"role": "assistant"}
        if choice.reasoning:
            message["reasoning_content"] = "".join(choice.reasoning)
        if choice.calls:
            message["tool_calls"] = [_called(n, call) for n, call in enumerate(choice.calls)]
        else:
            message["content"] = choice.generation.text
        found = {
            "index": index,
            "message": message,
            "finish_reason": choice.generation.finish_reason,
        }
        return {**found, **self._chat_logprobs(choice.parts, 0)}

    def _deltas(self, index: int, choice: Choice) -> Iterator[Json]:
        yield _delta(index, {"role": "assistant"})
        for piece in choice.reasoning:
            yield _delta(index, {"reasoning_content": piece})
        for piece, offset in _offsets(choice.parts):
            yield {**_delta(index, {"content": piece}), **self._chat_logprobs([piece], offset)}
        for number, call in enumerate(choice.calls):
            for part in _fragments(number, call):
                yield _delta(index, {"tool_calls": [part]})
        yield _delta(index, {}, choice.generation.finish_reason)

    def _chat_logprobs(self, parts: list[str], offset: int) -> Json:
        found = _logprobs(self._logprobs, parts, offset)
        return {} if found is None else {"logprobs": found}

    def _event(self, choice: Json, usage: Json) -> bytes:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        metrics = self._metrics if usage else {}
        return event({**self._envelope([choice], kind), "usage": usage, **metrics})

    def _envelope(self, choices: list[Json], kind: str) -> Json:
        return {
            "id": self.id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }

    def _usage(self, count: int) -> Json:
        return {
            "prompt_tokens": self._prompt,
            "total_tokens": self._prompt + count,
            "completion_tokens": count,
            "prompt_tokens_details": {"cached_tokens": 0},
        }


def _text(index: int, text: str, reason: str | None, logprobs: Json) -> Json:
    return {"text": text, "index": index, "finish_reason": reason, "logprobs": logprobs}


def _delta(index: int, delta: Json, reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "finish_reason": reason}


def _called(number: int, call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": "".join(call.arguments)}
    named = {"index": number, "id": call.id, "type": "function", "function": function}
    return {**named, "name": None}


def _fragments(number: int, call: ToolCall) -> Iterator[Json]:
    kind = {"type": "function"}
    yield {"index": number, "id": call.id, **kind, "function": {"name": call.name}}
    for piece in call.arguments:
        yield {"index": number, "id": None, **kind, "function": {"arguments": piece}}


def _offsets(parts: Sequence[str]) -> Iterator[tuple[str, int]]:
    offset = 0
    for part in parts:
        yield part, offset
        offset += len(part)


def _logprobs(wanted: bool | int | None, parts: list[str], offset: int) -> Json:
    """Return log-probabilities: the legacy object for a number, the new one for true."""
    if wanted is None or wanted is False:
        return None
    pairs = [(part, offset + start) for part, start in _offsets(parts)]
    if wanted is True:
        return {"content": [_new_logprob(token, start) for token, start in pairs]}
    return {
        "tokens": parts,
        "token_logprobs": [_LOGPROB] * len(parts),
        "top_logprobs": [{token: _LOGPROB} for token in parts] if wanted else None,
        "text_offset": [start for _, start in pairs],
    }


def _new_logprob(token: str, offset: int) -> Json:
    shared = {"token": token, "logprob": _LOGPROB, "bytes": list(token.encode("utf-8", "replace"))}
    return {
        **shared,
        "sampling_logprob": _LOGPROB,
        "top_logprobs": [{**shared, "token_id": 0}],
        "token_id": 0,
        "text_offset": offset,
    }
