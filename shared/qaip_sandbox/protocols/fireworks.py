"""Fireworks: completions, chat completions and models, strict about unknown fields."""

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from qaip_sandbox._wire import (
    Json,
    Refusal,
    Stream,
    event,
    interleave,
    json_response,
    parse_json,
    request_id,
)
from qaip_sandbox.answers import Generation, generate
from qaip_sandbox.service import Call, Route, Service, bearer
from qaip_sandbox.text import pieces

from ._messages import last_user_text, prompt_tokens

__all__ = ["FIREWORKS"]

_MODEL = "accounts/sandbox/models/extractive"
_UNKNOWN_MODEL = "unknown-model"
_LOGPROB = -0.1

_Item = TypeVar("_Item")
_Some = Annotated[list[_Item], Field(min_length=1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)] | None
_Share = Annotated[float, Field(ge=0, le=1)] | None


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _StreamOptions(_Strict):
    include_usage: bool = False


class _Sampling(_Strict):
    """The fields of both calls. Those that only steer a real model are checked, then ignored."""

    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=0)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: _Share = None
    top_k: Annotated[int, Field(ge=0, le=128)] | None = None
    min_p: _Share = None
    typical_p: _Share = None
    frequency_penalty: _Penalty = None
    presence_penalty: _Penalty = None
    repetition_penalty: Annotated[float, Field(ge=0, le=2)] | None = None
    mirostat_target: float | None = None
    mirostat_lr: float | None = None
    seed: int | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | Annotated[int, Field(ge=0, le=5)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    echo_last: int | None = None
    ignore_eos: bool | None = None
    context_length_exceeded_behavior: Literal["truncate", "error"] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | int | bool | None = None
    thinking: dict[str, Any] | None = None
    reasoning_history: Literal["disabled", "interleaved", "preserved"] | None = None
    raw_output: bool | None = None
    perf_metrics_in_response: bool | None = None
    return_token_ids: bool | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    speculation: str | list[int] | None = None
    prediction: str | dict[str, Any] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_isolation_key: str | None = None


class _Completion(_Sampling):
    prompt: str | _Some[str] | _Some[int] | _Some[list[int]]
    images: list[str] | list[list[str]] | None = None


class _Message(_Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class _Chat(_Sampling):
    messages: Annotated[list[_Message], Field(min_length=1)]
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    prompt_truncate_len: int | None = None
    safe_tokenization: bool | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None


_Model = TypeVar("_Model", bound=_Sampling)


def _invalid(message: str) -> Refusal:
    error = {"object": "error", "type": "invalid_request_error", "message": message}
    return Refusal(json_response({"error": error}, 400, {"x-request-id": request_id()}))


def _error(status: int, message: str, code: str, param: str | None = None) -> Response:
    error = {"message": message, **({"param": param} if param else {}), "code": code}
    body = {"error": {**error, "type": "error"}}
    return json_response(body, status, {"x-request-id": request_id()})


def _parse(model: type[_Model], call: Call) -> _Model:
    try:
        request = model.model_validate(parse_json(call.raw))
    except ValidationError as error:
        first, *others = error.errors()
        # Each type of a union reports a fault of its own; the last one is the most telling.
        fault = [first, *(f for f in others if f["loc"][0] == first["loc"][0])][-1]
        field = ".".join(str(part) for part in fault["loc"] if not _is_type(part))
        message = f"{fault['msg']}, field: {field!r}, value: {fault['input']!r}"
        raise _invalid(message) from None
    except ValueError:
        raise _invalid("The request body is not valid JSON") from None
    _check(request)
    return request


def _is_type(part: int | str) -> bool:
    return isinstance(part, str) and (part in {"bool", "int", "str"} or not part.isidentifier())


def _check(request: _Sampling) -> None:
    if request.model.rpartition("/")[2] == _UNKNOWN_MODEL:
        message = "Model not found, inaccessible, and/or not deployed"
        raise Refusal(_error(404, message, "NOT_FOUND", "model"))
    faults = (
        (
            request.max_tokens is not None and request.max_completion_tokens is not None,
            "Only one of max_tokens and max_completion_tokens may be set",
        ),
        (
            (_limit(request) or 0) > 4096 and not request.stream,
            "Requests with max_tokens > 4096 must have stream=true",
        ),
        (
            request.thinking is not None and request.reasoning_effort is not None,
            "Only one of thinking and reasoning_effort may be set",
        ),
        (
            (request.response_format or {}).get("type", "text") != "text",
            "JSON Schema not supported: the sandbox quotes text and offers no other format",
        ),
    )
    for fault, message in faults:
        if fault:
            raise _invalid(message)


def _limit(request: _Sampling) -> int | None:
    return request.max_completion_tokens if request.max_tokens is None else request.max_tokens


class _Reply:
    """One answer in the text or the chat shape."""

    def __init__(
        self,
        request: _Sampling,
        prompt: int,
        generations: Sequence[Generation],
        echoes: Sequence[Sequence[str]],
    ) -> None:
        self._chat = isinstance(request, _Chat)
        self._model = request.model
        self._logprobs = request.logprobs
        self._prompt = prompt
        self._generations = generations
        self._echoes = echoes
        random = request_id()
        self.id = f"chatcmpl-{random.replace('-', '')}" if self._chat else random
        self._created = int(time.time())

    def whole(self) -> Json:
        """Return the answer as one object."""
        choices = [
            self._choice(index, self._parts(index), generation.finish_reason)
            for index, generation in enumerate(self._generations)
        ]
        kind = "chat.completion" if self._chat else "text_completion"
        count = sum(len(generation.pieces) for generation in self._generations)
        return {**self._envelope(choices, kind), "usage": self._usage(count)}

    def events(self) -> Iterator[bytes]:
        """Yield the answer as the events of a stream.

        Each finish reason comes with what all choices have used up to then.
        """
        used = 0
        for choice in interleave(self._column(n) for n in range(len(self._generations))):
            if choice["finish_reason"]:
                used += len(self._generations[choice["index"]].pieces)
            yield self._event(choice, self._usage(used) if choice["finish_reason"] else None)
        yield b"data: [DONE]\n\n"

    def _column(self, index: int) -> Iterator[Json]:
        generation = self._generations[index]
        if self._chat:
            yield {"index": index, "delta": {"role": "assistant"}, "finish_reason": None}
        offset = 0
        for piece in self._parts(index):
            yield self._part(index, piece, offset)
            offset += len(piece)
        if self._chat:
            yield {"index": index, "delta": {}, "finish_reason": generation.finish_reason}
        else:
            yield self._text(index, "", generation.finish_reason, None)

    def _parts(self, index: int) -> list[str]:
        return [*self._echoes[index], *self._generations[index].pieces]

    def _part(self, index: int, piece: str, offset: int) -> Json:
        if self._chat:
            return {"index": index, "delta": {"content": piece}, "finish_reason": None}
        return self._text(index, piece, None, _logprobs(self._logprobs, [piece], offset))

    def _choice(self, index: int, parts: list[str], reason: str) -> Json:
        if not self._chat:
            return self._text(index, "".join(parts), reason, _logprobs(self._logprobs, parts, 0))
        message = {"role": "assistant", "content": "".join(parts)}
        return {"index": index, "message": message, "finish_reason": reason}

    def _text(self, index: int, text: str, reason: str | None, logprobs: Json) -> Json:
        return {"text": text, "index": index, "finish_reason": reason, "logprobs": logprobs}

    def _event(self, choice: Json, usage: Json) -> bytes:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        return event({**self._envelope([choice], kind), "usage": usage})

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


def _logprobs(wanted: bool | int | None, parts: list[str], offset: int) -> Json:
    """Return log-probabilities: the legacy object for a number, the new one for true."""
    if wanted is None or wanted is False:
        return None
    offsets = [offset + len("".join(parts[:count])) for count in range(len(parts))]
    if wanted is True:
        pairs = zip(parts, offsets, strict=True)
        return {"content": [_new_logprob(token, start) for token, start in pairs]}
    return {
        "tokens": parts,
        "token_logprobs": [_LOGPROB] * len(parts),
        "top_logprobs": [{token: _LOGPROB} for token in parts] if wanted else None,
        "text_offset": offsets,
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


def _respond(
    call: Call, request: _Sampling, questions: Sequence[str], prompt: int, default_limit: int
) -> Response:
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    wanted = _limit(request)
    limit = default_limit if wanted is None else wanted
    echo = request.echo and isinstance(request, _Completion)
    generations: list[Generation] = []
    echoes: list[list[str]] = []
    for question in questions:
        answer = call.library.answer(question)
        for index in range(request.n or 1):
            text = answer.text(markers=False, variant=index)
            generations.append(generate(text, stop, limit))
            echoes.append(pieces(question) if echo else [])
    reply = _Reply(request, prompt, generations, echoes)
    headers = {"x-request-id": reply.id, "fireworks-prompt-tokens": str(prompt)}
    if request.stream:
        headers["fireworks-server-time-to-first-token"] = "0.001"
        return Stream(call.pace.walk(reply.events(), b""), headers=headers)
    headers["fireworks-server-processing-time"] = "0.001"
    return json_response(reply.whole(), headers=headers)


async def _complete(call: Call) -> Response:
    request = _parse(_Completion, call)
    questions = _questions(request.prompt)
    return _respond(call, request, questions, sum(len(pieces(q)) for q in questions), 16)


def _questions(prompt: str | list[str] | list[int] | list[list[int]]) -> list[str]:
    if isinstance(prompt, str):
        return [prompt]
    # The sandbox has no vocabulary, so a prompt of token ids is a question without words.
    texts = [item if isinstance(item, str) else "" for item in prompt]
    return texts[:1] if all(isinstance(item, int) for item in prompt) else texts


async def _chat(call: Call) -> Response:
    request = _parse(_Chat, call)
    messages = [message.model_dump() for message in request.messages]
    question = last_user_text(messages)
    return _respond(call, request, [question], prompt_tokens(messages), 2048)


async def _models(call: Call) -> Response:
    model = {
        "id": _MODEL,
        "object": "model",
        "owned_by": "sandbox",
        "created": max((document.modified for document in call.library.documents), default=0),
        "kind": "CUSTOM_MODEL",
        "supports_chat": True,
        "supports_image_input": False,
        "supports_tools": False,
        "context_length": 131072,
    }
    return json_response({"object": "list", "data": [model]})


def _unauthorized(_: str | None) -> Response:
    return _error(401, "The API key you provided is invalid.", "UNAUTHORIZED")


def _failed(status: int) -> Response:
    if status == 405:
        return _error(405, "Method not allowed", "METHOD_NOT_ALLOWED")
    return _error(status, "Path not found", "NOT_FOUND")


FIREWORKS = Service(
    name="fireworks",
    base_path="/fireworks/inference/v1",
    base_url_name="FIREWORKS_API_BASE",
    keys={"FIREWORKS_API_KEY": "sandbox-fireworks-key"},
    routes=(
        Route("POST", "/completions", _complete, "FIREWORKS_API_KEY"),
        Route("POST", "/chat/completions", _chat, "FIREWORKS_API_KEY"),
        Route("GET", "/models", _models, "FIREWORKS_API_KEY"),
    ),
    key_of=bearer,
    unauthorized=_unauthorized,
    failed=_failed,
)
