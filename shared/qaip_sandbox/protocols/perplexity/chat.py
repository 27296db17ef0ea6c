"""Chat completions, as they were served until September 2026."""

from starlette.responses import Response

from qaip_sandbox._wire import Json, Stream, compact, request_id
from qaip_sandbox.answers import Answer, generate
from qaip_sandbox.protocols._answering import noted, sought
from qaip_sandbox.protocols._tasks import Task, as_json, task_of
from qaip_sandbox.protocols._thinking import thought_about
from qaip_sandbox.schemas import Impossible
from qaip_sandbox.service import Call

from .errors import ping, refuse, retired
from .filters import allowed
from .messages import attachments
from .profiles import PROFILES
from .reply import Reply, Said
from .request import Request, parse
from .sources import attached, listed, renumbered
from .switches import PerplexitySwitches

__all__ = ["chat"]


async def chat(call: Call) -> Response:
    """Answer a chat."""
    switches = call.switched(PerplexitySwitches)
    if switches.profile == "retired":
        return await retired(call)
    request = parse(call)
    reply = Reply(request, await _said(call, request, switches), switches)
    headers = {"x-request-id": request_id()} if PROFILES[switches.profile].request_id else {}
    if not request.stream:
        await call.pace.wait(reply.tokens)
        return Response(reply.whole(), 200, headers, "application/json")
    headers["cache-control"] = "no-cache"
    return Stream(call.pace.walk(reply.events(), ping(switches)), headers=headers)


async def _said(call: Call, request: Request, switches: PerplexitySwitches) -> Said:
    task = task_of(request.turns)
    lets_through = allowed(request)
    answer = await sought(call, task, lambda c: not request.disable_search and lets_through(c))
    profile = PROFILES[switches.profile]
    files = attached(attachments(request.messages), profile) if profile.result else []
    text = _text(request, task, answer, len(files))
    thought = thought_about(task.question)
    thinks = profile.thinks if switches.think is None else switches.think
    shown = request.reasons and thinks
    before = f"<think>\n{thought}\n</think>\n\n" if shown else ""
    generation = generate(before + text, (), request.max_tokens)
    noted(call, task, answer, generation.text.removeprefix(before))
    sources = _sources(request, answer, files, switches)
    return Said(generation, task.question, sources, thought, shown)


def _sources(
    request: Request, answer: Answer, files: list[Json], switches: PerplexitySwitches
) -> dict[str, Json]:
    profile = PROFILES[switches.profile]
    chunks = [hit.chunk for hit in answer.hits]
    sources: dict[str, Json] = {"citations": [chunk.url for chunk in chunks]}
    if profile.result:
        results = listed(chunks, profile, undated=switches.undated)
        # The numbers of a prompt are those of its own sources, which so come first.
        sources["search_results"] = results + files if answer.numbered else files + results
    if request.return_images:
        sources["images"] = []
    if request.return_related_questions:
        headings = dict.fromkeys(chunk.heading or chunk.document.title for chunk in chunks)
        sources["related_questions"] = [f"What is {heading}?" for heading in headings]
    return sources


def _text(request: Request, task: Task, answer: Answer, files: int) -> str:
    schema = request.schema_of_answer
    if schema is None:
        # The attached files come first among the results.
        return task.spoken(renumbered(answer, lambda number: number + files))
    try:
        return as_json(schema, task.question, answer.bare())
    except Impossible as fault:
        place = "At body -> response_format -> json_schema -> schema"
        raise refuse(compact([f"{place}: {fault}"]).decode()) from None
