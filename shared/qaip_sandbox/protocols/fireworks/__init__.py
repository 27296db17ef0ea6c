"""Fireworks: completions, chat completions and models, strict about unknown fields."""

from collections.abc import Sequence

from starlette.responses import Response

from qaip_sandbox._wire import Stream, event, json_response
from qaip_sandbox.answers import Answer, Generation, generate
from qaip_sandbox.protocols._answering import noted, sought
from qaip_sandbox.protocols._messages import prompt_tokens
from qaip_sandbox.protocols._tasks import Task, task_of, task_of_text
from qaip_sandbox.service import Call, Library, Route, Service, bearer
from qaip_sandbox.switches import Switches
from qaip_sandbox.text import pieces, sentences, terms

from .formats import formed
from .reply import Choice, Reply, ToolCall
from .request import Chat, Completion, Sampling, error, parse
from .tools import chosen, new_id, results, written

__all__ = ["FIREWORKS", "FireworksSwitches"]


class FireworksSwitches(Switches):
    """How Fireworks behaves."""


_MODEL = "accounts/sandbox/models/extractive"
_SENTENCES = 4


async def _complete(call: Call) -> Response:
    request = parse(Completion, call)
    questions = _questions(request.prompt)
    choices: list[Choice] = []
    for question in questions:
        task = task_of_text(question)
        answer = await sought(call, task)
        for variant in range(request.n or 1):
            text = formed(request.response_format, task, _text(task, answer, variant))
            noted(call, task, answer, text)
            generation = _Budget(request, 16).spend(text, request.stops)
            choices.append(Choice(generation, tuple(pieces(question) if request.echo else ())))
    return await _respond(call, request, choices, sum(len(pieces(q)) for q in questions))


def _questions(prompt: str | list[str] | list[int] | list[list[int]]) -> list[str]:
    if isinstance(prompt, str):
        return [prompt]
    # The sandbox has no vocabulary, so a prompt of token ids is a question without words.
    texts = [item if isinstance(item, str) else "" for item in prompt]
    return texts[:1] if all(isinstance(item, int) for item in prompt) else texts


async def _chat(call: Call) -> Response:
    request = parse(Chat, call)
    messages = [message.model_dump() for message in request.messages]
    task = task_of(messages)
    tools = chosen(request, task.question)
    arguments = written(tools, task.question)
    answer = await sought(call, task)
    told = _told(call.library, task.question, results(request))

    def choice(variant: int) -> Choice:
        budget = _Budget(request, 2048)
        reasoning = budget.spend(_reasoning(task.question)).pieces if request.reasons else ()
        if tools:
            calls = [
                ToolCall(new_id(), tool.function.name, budget.spend(text).pieces)
                for tool, text in zip(tools, arguments, strict=True)
            ]
            end = Generation((), "length" if budget.spent else "tool_calls")
            return Choice(end, reasoning=reasoning, calls=tuple(calls))
        text = formed(request.response_format, task, told or _text(task, answer, variant))
        text = f"The tool says: {text}" if text == told else text
        noted(call, task, answer, text)
        return Choice(budget.spend(text, request.stops), reasoning=reasoning)

    choices = [choice(variant) for variant in range(request.n or 1)]
    return await _respond(call, request, choices, prompt_tokens(messages))


class _Budget:
    """The tokens that one choice may use; `spent` once they were too few."""

    def __init__(self, request: Sampling, default: int) -> None:
        self._left = default if request.limit is None else request.limit
        self.spent = False

    def spend(self, text: str, stop: Sequence[str] = ()) -> Generation:
        """Return as much of `text` as the tokens that are left allow."""
        generation = generate(text, stop, self._left)
        self._left -= len(generation.pieces)
        self.spent = self.spent or generation.finish_reason == "length"
        return generation


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


def _reasoning(question: str) -> str:
    sought = ", ".join(term.stem for term in terms(question)) or "nothing in particular"
    return f"I look for sentences about these words: {sought}."


async def _respond(
    call: Call, request: Sampling, choices: Sequence[Choice], prompt: int
) -> Response:
    time = "time-to-first-token" if request.stream else "processing-time"
    metrics = {"prompt-tokens": prompt, f"server-{time}": 0.001}
    reply = Reply(request, prompt, choices, metrics)
    headers = {f"fireworks-{name}": str(value) for name, value in metrics.items()}
    headers["x-request-id"] = reply.id
    if request.stream:
        return Stream(call.pace.walk(reply.events(), b""), headers=headers)
    await call.pace.wait(sum(len(choice.parts) for choice in choices))
    return json_response(reply.whole(), headers=headers)


async def _models(call: Call) -> Response:
    model = {
        "id": _MODEL,
        "object": "model",
        "owned_by": "sandbox",
        "created": max((document.modified for document in call.library.documents), default=0),
        "kind": "CUSTOM_MODEL",
        "supports_chat": True,
        "supports_image_input": True,
        "supports_tools": True,
        "context_length": 131072,
    }
    return json_response({"object": "list", "data": [model]})


def _authorize(call: Call, key_name: str) -> Response | None:
    if bearer(call.headers) == call.key(key_name):
        return None
    return error(401, "The API key you provided is invalid.", "UNAUTHORIZED")


_FAILURES = {
    404: ("Path not found", "NOT_FOUND"),
    405: ("Method not allowed", "METHOD_NOT_ALLOWED"),
    429: ("rate limit exceeded, please try again later", "too_many_requests"),
}


def _failed(status: int, _: Switches, message: str | None) -> Response:
    words, code = _FAILURES.get(status, ("The service has failed", "INTERNAL"))
    return error(status, message or words, code)


def _error_event(_: Switches, message: str | None) -> bytes:
    fault = {"message": message or "The engine has failed", "code": "INTERNAL", "type": "error"}
    return event({"error": fault})


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
    authorize=_authorize,
    failed=_failed,
    error_event=_error_event,
    ping=lambda _: b"",
    switches=FireworksSwitches,
)
