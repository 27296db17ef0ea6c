"""What the agent does for a request: it searches, fetches, calls functions, and answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from qaip_sandbox._wire import Json
from qaip_sandbox.answers import Answer, Generation, generate
from qaip_sandbox.passages import Passages
from qaip_sandbox.protocols._answering import noted, sought
from qaip_sandbox.protocols._messages import prompt_tokens
from qaip_sandbox.protocols._returned import returned
from qaip_sandbox.protocols._tasks import Task, as_json, task_of
from qaip_sandbox.protocols.perplexity.filters import allowed
from qaip_sandbox.protocols.perplexity.sources import renumbered
from qaip_sandbox.protocols.perplexity.switches import PerplexitySwitches
from qaip_sandbox.schemas import Impossible
from qaip_sandbox.service import Call
from qaip_sandbox.text import pieces

from .functions import calls
from .request import Request
from .steps import Step, fetched, identified, searches, without_urls
from .tools import FetchUrl, WebSearch
from .words import unusable

__all__ = ["Work", "working"]

_HITS = 5
_MARKER = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Work:
    """The steps, then calls of functions or an answer; and how many tokens it all took."""

    steps: tuple[Step, ...] = ()
    calls: tuple[Json, ...] = ()
    answer: Generation = field(default=Generation((), "stop"))
    input_tokens: int = 0

    @property
    def output_tokens(self) -> int:
        """The tokens of the answer and of the calls."""
        arguments = sum(len(pieces(item["arguments"])) for item in self.calls)
        return len(self.answer.pieces) + arguments


async def working(call: Call, request: Request, turns: Sequence[Json]) -> Work:
    """Work on the conversation `turns`.

    Raises:
        Refusal: the answer or the arguments of a function can not be what is asked for.
    """
    task, spent = task_of(turns), prompt_tokens(turns)
    told = returned(turns)
    if not told:
        asked = tuple(calls(request, task.question))
        if asked:
            # What an application makes of a call is its own affair: no text is right or wrong.
            noted(call, task, Answer((), ()), "")
            return Work(calls=asked, input_tokens=spent)
    steps, answer, text = await _answered(call, request, task, told)
    generation = generate(text, (), request.max_output_tokens)
    call.record.unfinished = call.switched(PerplexitySwitches).terminal != "completed"
    noted(call, task, answer, generation.text)
    return Work(steps, (), generation, spent)


async def _answered(
    call: Call, request: Request, task: Task, told: Sequence[str]
) -> tuple[tuple[Step, ...], Answer, str]:
    fetch = request.tool(FetchUrl)
    step = fetched(call.library, task.question, fetch.max_urls) if fetch and not told else None
    task = replace(task, question=without_urls(task.question)) if step else task
    search = None if told or task.said is not None else request.tool(WebSearch)
    if search:
        found, answer, text = await _searched(call, request, task, search)
        return (*found, *([step] if step else ())), answer, text
    texts = list(told) or (step.texts if step else [])
    answer = await sought(call, _from(task, texts), lambda _: False)
    if step and not request.schema_of_answer:
        # A page that was fetched has no id, and the agent counts from 0 all the same.
        words = " ".join(f"{quote.text}[web:0]" for quote in answer.quotes)
        return (step,), answer, words or task.spoken(answer)
    return ((step,) if step else ()), answer, _text(request, task, answer)


async def _searched(
    call: Call, request: Request, task: Task, search: WebSearch
) -> tuple[tuple[Step, ...], Answer, str]:
    lets_through = allowed(search.filters) if search.filters else lambda _: True
    limit = search.max_results or _HITS
    answer = await sought(call, task, lets_through, limit)
    multi = call.switched(PerplexitySwitches).agent == "multi"
    found = searches(call.library, task.question, answer, lets_through, limit, multi=multi)
    text = _text(request, task, renumbered(answer, identified(found, answer)))
    webbed = multi and not answer.numbered
    return found, answer, _MARKER.sub(r"[web:\1]", text) if webbed else text


def _from(task: Task, texts: Sequence[str]) -> Task:
    if not texts:
        return task
    return replace(task, passages=Passages("\n\n".join(texts), insist=True))


def _text(request: Request, task: Task, answer: Answer) -> str:
    if request.schema_of_answer is None:
        return task.spoken(answer)
    try:
        return as_json(request.schema_of_answer, task.question, answer.bare())
    except Impossible:
        raise unusable() from None
