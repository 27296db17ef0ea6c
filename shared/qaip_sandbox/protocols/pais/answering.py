"""Completions and chat completions of PAIS, whole and streamed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from starlette.responses import Response

from qaip_sandbox._wire import Json, Stream, request_id
from qaip_sandbox.answers import Answer, Generation, generate
from qaip_sandbox.index import Filter
from qaip_sandbox.protocols._answering import noted, sought
from qaip_sandbox.protocols._messages import prompt_tokens
from qaip_sandbox.protocols._tasks import task_of, task_of_text
from qaip_sandbox.service import Call
from qaip_sandbox.text import pieces

from .engines import ENGINES, Engine
from .errors import engine_error, ping
from .hurdles import check_model, check_ready, is_empty, is_too_long
from .reply import Choice, Reply
from .request import Chat, Completion, Sampling, parse
from .switches import PAISSwitches

__all__ = ["Spoken", "chat", "complete", "send", "speak"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What an engine says: its choices, the answer behind them, and the tokens of the prompt."""

    engine: Engine
    choices: Sequence[Choice]
    answer: Answer
    prompt: int
    chat: bool


async def complete(call: Call) -> Response:
    """Answer a text completion."""
    request = parse(Completion, call)
    check_model(call, request.model)
    spoken = await speak(call, request, _engine(call), request.prompt)
    return await send(call, request, spoken, request.model)


async def chat(call: Call) -> Response:
    """Answer a chat completion."""
    request = parse(Chat, call)
    check_model(call, request.model)
    messages = [message.model_dump() for message in request.messages]
    spoken = await speak(call, request, _engine(call), messages)
    return await send(call, request, spoken, request.model)


def _engine(call: Call) -> Engine:
    return ENGINES[call.switched(PAISSwitches).engine]


async def speak(
    call: Call,
    request: Sampling,
    engine: Engine,
    told: str | Sequence[Json],
    allowed: Filter = lambda _: True,
) -> Spoken:
    """Return what `engine` says to a prompt or to messages, from the sources that are allowed."""
    check_ready(call)
    chat = not isinstance(told, str)
    task = task_of(told) if not isinstance(told, str) else task_of_text(told)
    prompt = prompt_tokens(told) if not isinstance(told, str) else len(pieces(told))
    _check_engine(call, request, engine)
    if is_too_long(call, prompt, stream=request.stream):
        return Spoken(engine, [Choice(Generation((), "length"))], Answer((), ()), prompt, chat)
    schema = request.response_format.schema_of_answer
    task = replace(task, schema=schema) if schema else task
    if is_empty(call):
        return Spoken(engine, [Choice(Generation((), "stop"))], Answer((), ()), prompt, chat)
    answer = await sought(call, task, allowed)
    limit = request.limit or (engine.chat if chat else engine.text).limit
    room = call.switched(PAISSwitches).context - prompt
    count = min(request.n, engine.choices or request.n)
    texts = [task.spoken(answer, markers=False, variant=variant) for variant in range(count)]
    choices = [_choice(text, request.stop, min(limit or room, room)) for text in texts]
    for choice in choices:
        noted(call, task, answer, choice.generation.text)
    return Spoken(engine, choices, answer, prompt, chat)


def _choice(text: str, stop: Sequence[str], limit: int) -> Choice:
    generation = generate(text, stop, limit)
    met = [word for word in stop if word and word in text]
    if generation.finish_reason != "stop":
        met = []
    return Choice(generation, min(met, key=text.find, default=None))


def _check_engine(call: Call, request: Sampling, engine: Engine) -> None:
    if engine.most and request.n > engine.most:
        raise engine_error(call, 400, f"n must be at most {engine.most}, not {request.n}")
    if (
        engine.strict_options
        and not request.stream
        and "stream_options" in request.model_fields_set
    ):
        facts = {"vllm": {"param": "stream_options"}}
        raise engine_error(call, 400, "stream_options needs stream=true", facts)


async def send(
    call: Call,
    request: Sampling,
    spoken: Spoken,
    model: str,
    more: Mapping[str, Json] | None = None,
) -> Response:
    """Send what was said, as a whole or as a stream; `more` are keys that an agent adds."""
    switches = call.switched(PAISSwitches)
    engine = spoken.engine
    reply = Reply(
        engine,
        switches,
        spoken.choices,
        chat=spoken.chat,
        model=model,
        prompt=spoken.prompt,
        asked=request.stream_options.include_usage,
        more=more,
    )
    headers = {"X-Request-ID": request_id()}
    if not request.stream:
        await call.pace.wait(reply.tokens)
        headers["Content-Type"] = engine.whole_type
        return Response(reply.whole(), headers=headers)
    rewritten = switches.framing == "gateway"
    call.record.unfinished = switches.ending != "complete"
    kind = ENGINES["gateway"].stream_type if rewritten else engine.stream_type
    headers |= {"Content-Type": kind, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(call.pace.walk(reply.events(), ping(switches)), headers=headers)
