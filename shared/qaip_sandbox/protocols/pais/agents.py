"""The agents of PAIS: chats over a knowledge base, with citations and sessions."""

from dataclasses import replace

from starlette.responses import Response

from qaip_sandbox._wire import Json, request_id
from qaip_sandbox.answers import Answer
from qaip_sandbox.service import Call
from qaip_sandbox.shelf import Shelf

from .answering import send, speak
from .bases import Base, bases
from .engines import ENGINES
from .errors import refused
from .knowledge import origin
from .listing import page, said, when
from .models import COMPLETIONS
from .request import AgentChat, AgentCompletion, parse

__all__ = ["agent", "agents", "chat", "complete"]

_LONGEST = 200
_LONGEST_REFERENCE = 256
_UNKNOWN = "No agent found with the specified ID or invalid Session ID"


class _Sessions(Shelf[tuple[str, str], list[Json]]):
    """What was said in each session, by the agent and the session."""


async def agents(call: Call) -> Response:
    """Answer with the agents."""
    return page(call, [_described(base) for base in bases(call.library)])


async def agent(call: Call) -> Response:
    """Answer with one agent."""
    return said(_described(_base(call)))


async def chat(call: Call) -> Response:
    """Answer a chat with an agent."""
    base = _base(call)
    request = parse(AgentChat, call)
    messages = [message.model_dump() for message in request.messages]
    return await _answer(call, base, request, messages)


async def complete(call: Call) -> Response:
    """Answer a text completion by an agent."""
    base = _base(call)
    request = parse(AgentCompletion, call)
    return await _answer(call, base, request, [{"role": "user", "content": request.prompt}])


async def _answer(
    call: Call, base: Base, request: AgentChat | AgentCompletion, messages: list[Json]
) -> Response:
    if request.model not in ("", COMPLETIONS):
        raise refused(call, 400, "Unexpected model in completions message")
    session, history = _session(call, base, request)
    told = [*history, *messages]
    alone = isinstance(request, AgentCompletion) and not history
    # A prompt alone may write a whole conversation out, as text completions do.
    spoken = await speak(
        call, request, ENGINES["gateway"], messages[0]["content"] if alone else told, base.allows
    )
    if session:
        text = spoken.choices[0].generation.text
        answer = {"role": "assistant", "content": text}
        call.remembered(_Sessions)[base.agent_id, session] = [*told, answer][-_LONGEST:]
    spoken = replace(spoken, chat=isinstance(request, AgentChat))
    more: dict[str, Json] = {"index_context_info": _cited(spoken.answer)}
    if session:
        more["session_id"] = session
    return await send(call, request, spoken, COMPLETIONS, more)


def _session(
    call: Call, base: Base, request: AgentChat | AgentCompletion
) -> tuple[str | None, list[Json]]:
    """Return the session that an answer is stored in, if any, and what was said in it before."""
    if request.store_in_session:
        session = str(request.store_in_session)
        history = call.remembered(_Sessions).get((base.agent_id, session))
        if history is None:
            raise refused(call, 404, _UNKNOWN)
        return session, history
    return (request_id() if request.create_session else None), []


def _base(call: Call) -> Base:
    for base in bases(call.library):
        if base.agent_id == call.parameters["id"]:
            return base
    raise refused(call, 404, _UNKNOWN)


def _cited(answer: Answer) -> list[Json]:
    return [
        {
            "text": hit.chunk.text,
            "metadata": {
                "document_id": hit.chunk.document.id,
                "score": hit.score,
                **origin(hit.chunk.document, _LONGEST_REFERENCE),
            },
        }
        for hit in answer.hits
    ]


def _described(base: Base) -> Json:
    return {
        "id": base.agent_id,
        "object": "agent",
        "created_at": when(base.modified),
        "name": base.name,
        "description": f"Answers from {len(base.documents)} documents of the sandbox",
        "model": COMPLETIONS,
        "instructions": "",
        "status": "AVAILABLE",
        "index_id": base.index_id,
        "index_top_n": 5,
        "index_similarity_cutoff": 0.0,
        "index_reference_format": "structured",
        "index_reference_delimiter": None,
        "completion_role": "assistant",
        "chat_system_instruction_mode": "system-message",
        "session_max_length": 10_000,
        "session_summarization_strategy": "delete_oldest",
    }
