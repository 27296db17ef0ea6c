"""Agents of VMware Private AI Services: answers from knowledge bases, with their sources.

Vendor page: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import BeforeValidator

from qaip_core.backend import Wire
from qaip_core.backends._openai import ChunkDecoder, Shape, WireChunk, chat, completions
from qaip_core.backends._prompts import turn
from qaip_core.backends.pais._passages import Origin, as_citation
from qaip_core.backends.pais._service import PAIS
from qaip_core.backends.pais.completions import Sampling
from qaip_core.reading import Notes, Reader, ranked
from qaip_core.types import Citation

__all__ = ["AGENT_CHAT", "AGENT_TEXT", "PaisAgentParams"]


def _uuid(value: Any) -> Any:
    """Return the id of a session as text; refuse what the service would."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise ValueError("the id of a session is a UUID, as an answer names it") from None


_SessionId: TypeAlias = Annotated[str, BeforeValidator(_uuid)]


class PaisAgentParams(Sampling):
    """Parameters of an agent's answers.

    Parameters:
        agent_id: the agent; its list is `list_agents()`.
        create_session: whether the agent keeps this exchange in a new session, whose id comes
            with the answer as ``session_id``.
        store_in_session: the id of such a session: the agent knows what was said in it, and
            adds this exchange to it.
        model: the agent's own, or not given.
        temperature: how freely tokens are drawn, 0 (the likeliest) to 2; the site's default where
            it is not given.
        n: answers to one prompt, at least 1.
        stop: sequences at which the answer ends.
        max_tokens: tokens of the answer, at least 1.
        seed: for repeatable answers, as far as the engine supports it.
        max_completion_tokens: tokens of the answer, at least 1; the later name of ``max_tokens``.
        top_p: only the likeliest tokens that sum up to this probability, 0 to 1.
        top_k: only so many of the likeliest tokens, at least 1. (How many passages the agent
            reads is set in the agent.)
        presence_penalty: against tokens that stand in the text at all, -2 to 2.
        frequency_penalty: against tokens by how often they stand in it, -2 to 2.
        response_format: the format of the answer, as the OpenAI API writes it.
        stream_options: what a stream carries. Not documented for agents, so usage is asked for
            only if this is given.

    The six before the last came with release 9.1.1; what an older site does with them is not
    documented.
    """

    agent_id: str | None = None
    create_session: bool | None = None
    store_in_session: _SessionId | None = None


class _Chunk(WireChunk, total=False):
    session_id: str | None
    index_context_info: Any  # read when it changes, not in every event


class _Context(Wire):
    text: str | None = None
    metadata: Origin | None = None


class _Contexts(Wire):
    index_context_info: list[_Context | None] | None = None


_CONTEXTS: Reader[_Contexts] = Reader(_Contexts)


def _citations(chunk: Mapping[str, Any], notes: Notes) -> tuple[Citation, ...]:
    read = _CONTEXTS.body({"index_context_info": chunk.get("index_context_info")}, notes)
    return tuple(
        as_citation(context.text, context.metadata or Origin(), place)
        for place, context in ranked(read.index_context_info, notes, "index_context_info")
    )


_SHAPE = Shape(_Chunk, PAIS.rules, ("session_id",), _citations)


class _Decoder(ChunkDecoder):
    """Session and sources may stand on any chunk, and repeat: the last that say something hold."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params, _SHAPE)
        self._sources: Any = None
        self._cited: tuple[Citation, ...] = ()

    def _note(self, chunk: Any) -> None:
        if not chunk.get("session_id"):  # what was said before still holds
            chunk.pop("session_id", None)
        super()._note(chunk)
        sources = chunk.get("index_context_info")
        if sources and sources != self._sources:
            self._sources = sources
            self._cited = _citations(chunk, self._notes) or self._cited

    def _citations(self) -> tuple[Citation, ...]:
        return self._cited


_AGENT: Mapping[str, Any] = {
    "decoder": _Decoder,
    "required": ("agent_id",),
    "kind": "agent",
    "cites": True,
    "markers": False,  # how an agent refers to a passage in its text is not documented
    "counted": False,
}

AGENT_TEXT = completions(
    PAIS, _SHAPE, PaisAgentParams, path="/agents/{agent_id}/completions", **_AGENT
)
AGENT_CHAT = chat(
    PAIS,
    _SHAPE,
    PaisAgentParams,
    partial(turn, service=PAIS.title),
    path="/agents/{agent_id}/chat/completions",
    **_AGENT,
)
