"""From a request to a completion: its choices, and the answer that is made of them."""

from collections.abc import Sequence

from starlette.responses import Response

from qaip_sandbox._wire import Json, Stream, json_response
from qaip_sandbox.answers import Answer, Generation
from qaip_sandbox.protocols._answering import noted, sought
from qaip_sandbox.protocols._messages import text_of
from qaip_sandbox.protocols._returned import returned
from qaip_sandbox.protocols._tasks import Task, task_of, task_of_text
from qaip_sandbox.protocols._thinking import thought_about
from qaip_sandbox.service import Call, Library
from qaip_sandbox.text import pieces, sentences

from .chat import Chat, Function
from .choice import Budget, Choice, ToolCall, as_text, thought
from .errors import invalid
from .figures import headers, metrics
from .formats import formed
from .parsing import parse
from .reply import Reply
from .sampling import Completion, Sampling
from .switches import FireworksSwitches
from .tools import chosen, new_id, written

__all__ = ["chat", "complete"]

_TEXT_TOKENS = 16
_SENTENCES = 4


async def complete(call: Call) -> Response:
    """Complete the prompts of a request."""
    request, switches = parse(Completion, call), call.switched(FireworksSwitches)
    choices: list[Choice] = []
    for question in request.questions:
        prompt = tuple(pieces(question))
        limit = _room(request, switches, len(prompt), _TEXT_TOKENS)
        task = task_of_text(question)
        answer = await sought(call, task)
        for variant in range(request.n or 1):
            text = formed(request.response_format, task, _text(task, answer, variant))
            budget = Budget(limit, keeps_stop_word=switches.keeps_stop_word)
            generation = budget.spend(text, request.stops)
            noted(call, task, answer, generation.text)
            choices.append(Choice(generation, prompt, _echo(request, prompt)))
    count = sum(len(pieces(question)) for question in request.questions)
    return await _respond(call, request, choices, count, _TEXT_TOKENS)


async def chat(call: Call) -> Response:
    """Answer a chat, with words or with calls of tools."""
    request, switches = parse(Chat, call), call.switched(FireworksSwitches)
    default = switches.facts.chat_tokens
    messages = [message.model_dump() for message in request.messages]
    prompt = _prompt(messages)
    limit = _room(request, switches, len(prompt), default)
    task = task_of(messages)
    tools = chosen(request, task.question)
    arguments = written(tools, task.question)
    told = _told(call.library, task.question, returned(messages))
    answer = Answer((), ()) if tools or told else await sought(call, task)
    if tools:
        # What an application makes of a call is its own affair: no text is right or wrong.
        noted(call, task, answer, "")

    def choice(variant: int) -> Choice:
        budget = Budget(limit, keeps_stop_word=switches.keeps_stop_word)
        apart = switches.reasoning == "field"
        thoughts = thought_about(task.question) if request.reasons else ""
        # A model that thinks in its content says its first words there.
        spoken = "" if apart or not thoughts else thought(thoughts)
        reasoning = budget.spend(thoughts).pieces if apart and thoughts else ()
        if tools and switches.calls == "field":
            calls = _calls(budget, tools, arguments)
            end = Generation((), "length" if budget.spent else "tool_calls")
            return Choice(end, prompt, reasoning=reasoning, calls=calls)
        if tools:
            text = as_text(_calls(Budget(limit, keeps_stop_word=False), tools, arguments))
        else:
            text = formed(request.response_format, task, told or _text(task, answer, variant))
            text = f"The tool says: {text}" if text == told else text
        generation = budget.spend(spoken + text, request.stops)
        if not tools:
            noted(call, task, answer, generation.text.removeprefix(spoken))
        return Choice(generation, prompt, _echo(request, prompt), reasoning)

    choices = [choice(variant) for variant in range(request.n or 1)]
    return await _respond(call, request, choices, len(prompt), default)


def _prompt(messages: Sequence[Json]) -> tuple[str, ...]:
    texts = (text_of(message["content"]) for message in messages)
    return tuple(piece for text in texts for piece in pieces(text))


def _room(request: Sampling, switches: FireworksSwitches, prompt: int, default: int) -> int:
    """Return how many tokens an answer may have.

    Raises:
        Flaw: the prompt is too long, alone or, if the request says so, with its answer.
    """
    wanted = default if request.limit is None else request.limit
    strict = request.context_length_exceeded_behavior == "error"
    asked = prompt + wanted if strict else prompt + min(wanted, 1)
    if asked > switches.context:
        raise invalid(
            f"The prompt is too long: {asked if strict else prompt}, "
            f"model maximum context length: {switches.context}",
            "invalid_request_error",
        )
    return min(wanted, switches.context - prompt)


def _echo(request: Sampling, prompt: tuple[str, ...]) -> tuple[str, ...]:
    if request.echo_last is not None:
        return prompt[max(len(prompt) - request.echo_last, 0) :]
    return prompt if request.echo else ()


def _calls(
    budget: Budget, tools: Sequence[Function], arguments: Sequence[str]
) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(new_id(), tool.name, budget.spend(text).pieces)
        for tool, text in zip(tools, arguments, strict=True)
    )


def _text(task: Task, answer: Answer, variant: int) -> str:
    return task.words(answer, markers=False, variant=variant)


def _told(library: Library, question: str, texts: Sequence[str]) -> str:
    """Return what tools said that answers `question`, or else how it begins."""
    if not texts:
        return ""
    asked = library.index.question(question)
    found = [sentence.text for text in texts for sentence in sentences(text)]
    values = {text: asked.coverage(text) for text in found}
    best = max(values.values(), default=0.0)
    quotes = [text for text in values if best and values[text] >= best / 2] or found
    return " ".join(quotes[:_SENTENCES]) or "nothing."


async def _respond(
    call: Call, request: Sampling, choices: Sequence[Choice], prompt: int, default: int
) -> Response:
    switches = call.switched(FireworksSwitches)
    figures = metrics(request, switches, call.world.physics, prompt, choices)
    reply = Reply(request, switches, prompt, choices, figures)
    count = sum(choice.count for choice in choices)
    generated = 0 if request.stream else count
    limit = default if request.limit is None else request.limit
    sent = headers(request, switches, figures, limit, generated)
    if switches.facts.details:
        sent["x-request-id"] = reply.id
    if request.stream:
        return Stream(call.pace.walk(reply.events(), b""), headers=sent)
    await call.pace.wait(count)
    return json_response(reply.whole(), headers=sent)
