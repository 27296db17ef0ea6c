"""VMware Private AI Services: a FastAPI gateway's completions, chat completions and models."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
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
from qaip_sandbox.switches import Switches
from qaip_sandbox.text import pieces

from ._answering import noted, sought
from ._messages import prompt_tokens
from ._tasks import Task, task_of, task_of_text

__all__ = ["PAIS", "PAISSwitches"]


class PAISSwitches(Switches):
    """How PAIS behaves."""


_MODEL = "sandbox-extractive"
_REFUSED_MODELS = {
    "unknown-model": (404, "Unknown model endpoint requested."),
    "not-ready-model": (400, "Invalid model endpoint specified or model endpoint not ready."),
}


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _Sampling(BaseModel):
    """The parameters of both calls; FastAPI ignores fields that are not declared."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2)] = 0
    n: Annotated[int, Field(ge=1)] = 1
    stop: Annotated[list[str], Field(min_length=1)] = []
    max_tokens: Annotated[int, Field(ge=1)] = 1_000_000
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()
    seed: int = 0


class _Completion(_Sampling):
    prompt: str


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str


class _Chat(_Sampling):
    messages: Annotated[list[_Message], Field(min_length=1)]


_Model = TypeVar("_Model", bound=_Sampling)


def _detail(status: int, detail: Json) -> Response:
    return json_response({"detail": detail}, status, {"X-Request-ID": request_id()})


def _parse(model: type[_Model], call: Call) -> _Model:
    try:
        request = TypeAdapter(model).validate_python(_body(call), from_attributes=True)
    except ValidationError as error:
        raise Refusal(_detail(422, [_fault(fault) for fault in _faults(error)])) from None
    if request.model in _REFUSED_MODELS:
        raise Refusal(_detail(*_REFUSED_MODELS[request.model]))
    return request


def _faults(error: ValidationError) -> Sequence[Json]:
    return error.errors(include_url=False)


def _fault(fault: Json) -> Json:
    return {
        "type": fault["type"],
        "loc": ["body", *fault["loc"]],
        "msg": fault["msg"],
        "input": fault["input"],
        **({"ctx": fault["ctx"]} if "ctx" in fault else {}),
    }


def _body(call: Call) -> Json:
    if not call.raw:
        fault: Json = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}
        raise Refusal(_detail(422, [fault]))
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return call.raw.decode("utf-8", "replace")
    try:
        return parse_json(call.raw)
    except json.JSONDecodeError as error:
        fault = {
            "type": "json_invalid",
            "loc": ["body", error.pos],
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": error.msg},
        }
        raise Refusal(_detail(422, [fault])) from None
    except UnicodeDecodeError:
        raise Refusal(_detail(400, "There was an error parsing the body")) from None


class _Reply:
    """One answer in the text or the chat shape; keys in the order of the vendor's samples."""

    def __init__(self, request: _Sampling, prompt: int, generations: Sequence[Generation]) -> None:
        self._chat = isinstance(request, _Chat)
        self._model = request.model
        self._generations = generations
        self._with_usage = request.stream_options.include_usage
        self._id = ("chatcmpl-" if self._chat else "cmpl-") + request_id().replace("-", "")
        self._created = int(time.time())
        completion = sum(len(generation.pieces) for generation in generations)
        self._usage = {
            "completion_tokens": completion,
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion,
        }

    def whole(self) -> Json:
        """Return the answer as one object."""
        choices = [
            self._choice(index, generation.text, generation.finish_reason)
            for index, generation in enumerate(self._generations)
        ]
        kind = "chat.completion" if self._chat else "text_completion"
        return {**self._envelope(choices, kind), "usage": self._usage}

    def events(self) -> Iterator[bytes]:
        """Yield the answer as the events of a stream."""
        yield from interleave(map(self._column, range(len(self._generations)), self._generations))
        if self._with_usage:
            yield event({**self._chunk([]), "usage": self._usage}, "\r\n")
        yield b"data: [DONE]\r\n\r\n"

    def _column(self, index: int, generation: Generation) -> Iterator[bytes]:
        if self._chat:
            delta = {"content": "", "role": "assistant"}
            choice = {"delta": delta, "finish_reason": None, "index": index}
            yield event(self._chunk([choice]), "\r\n")
        *parts, last = generation.pieces or ("",)
        for part in parts:
            yield event(self._chunk([self._choice(index, part, None, "delta")]), "\r\n")
        choice = self._choice(index, last, generation.finish_reason, "delta")
        yield event(self._chunk([choice]), "\r\n")

    def _choice(self, index: int, text: str, reason: str | None, key: str = "message") -> Json:
        if not self._chat:
            return {"finish_reason": reason, "index": index, "text": text}
        content = {"content": text}
        if key == "message":
            return {
                "finish_reason": reason,
                "index": index,
                "message": {**content, "role": "assistant"},
            }
        return {"delta": content, "finish_reason": reason, "index": index}

    def _chunk(self, choices: list[Json]) -> Json:
        return self._envelope(choices, "chat.completion.chunk" if self._chat else "text_completion")

    def _envelope(self, choices: list[Json], kind: str) -> Json:
        return {
            "choices": choices,
            "created": self._created,
            "id": self._id,
            "model": self._model,
            "object": kind,
        }


async def _respond(call: Call, request: _Sampling, task: Task, prompt: int) -> Response:
    answer = await sought(call, task)
    generations = [
        generate(
            noted(call, task, answer, task.spoken(answer, markers=False, variant=index)),
            request.stop,
            request.max_tokens,
        )
        for index in range(request.n)
    ]
    reply = _Reply(request, prompt, generations)
    headers = {"X-Request-ID": request_id()}
    if not request.stream:
        await call.pace.wait(sum(len(generation.pieces) for generation in generations))
        return json_response(reply.whole(), headers=headers)
    headers |= {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(call.pace.walk(reply.events(), _ping()), headers=headers)


async def _complete(call: Call) -> Response:
    request = _parse(_Completion, call)
    return await _respond(call, request, task_of_text(request.prompt), len(pieces(request.prompt)))


async def _chat(call: Call) -> Response:
    request = _parse(_Chat, call)
    messages = [message.model_dump() for message in request.messages]
    return await _respond(call, request, task_of(messages), prompt_tokens(messages))


async def _models(call: Call) -> Response:
    model = {
        "id": _MODEL,
        "object": "model",
        "created": max((document.modified for document in call.library.documents), default=0),
        "owned_by": "",
        "model_type": "COMPLETIONS",
        "model_engine": "VLLM",
    }
    return json_response({"object": "list", "data": [model]})


def _authorize(call: Call, key_name: str) -> Response | None:
    key = bearer(call.headers)
    if key == call.key(key_name):
        return None
    response = _detail(401, "Invalid access token" if key else "Not authenticated")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _failed(status: int, _: Switches, message: str | None) -> Response:
    return _detail(status, message or HTTPStatus(status).phrase)


def _error_event(_: Switches, message: str | None) -> bytes:
    fault = {"message": message or "The engine has failed.", "type": "InternalServerError"}
    return event({"error": {**fault, "param": None, "code": 500}}, "\r\n")


def _ping(_: Switches | None = None) -> bytes:
    return f": ping - {datetime.now(UTC)}\r\n\r\n".encode()


PAIS = Service(
    name="pais",
    base_path="/pais/api/v1/compatibility/openai/v1",
    base_url_name="PAIS_BASE_URL",
    keys={"PAIS_API_KEY": "sandbox-pais-token"},
    routes=(
        Route("POST", "/completions", _complete, "PAIS_API_KEY"),
        Route("POST", "/chat/completions", _chat, "PAIS_API_KEY"),
        Route("GET", "/models", _models, "PAIS_API_KEY"),
    ),
    authorize=_authorize,
    failed=_failed,
    error_event=_error_event,
    ping=_ping,
    switches=PAISSwitches,
)
