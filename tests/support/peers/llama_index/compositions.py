"""Rows about what LlamaIndex builds on a model."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.indices.prompt_helper import PromptHelper
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode

from support.fault_server import FaultServer
from support.peers.check import Check, Group, Part
from support.peers.llama_index.asking import ACHAT, ASTREAM, CHAT, CHATS, STREAM, Way, over
from support.peers.replies import Answer
from support.peers.subject import Subject

__all__ = ["GROUP"]

_TEXT = Answer().text
_PROMPT = PromptTemplate("When was {what} lit?")
_PREDICTS = {"predict": CHAT, "stream": STREAM, "apredict": ACHAT, "astream": ASTREAM}


async def _collected(found: Any) -> str:
    return "".join([piece async for piece in found])


def _predicts(name: str, way: Way) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(way.served(subject))
        method = getattr(subject.chat_model(server), name)

        async def soon() -> str:
            found = await method(_PROMPT, what="it")
            return await _collected(found) if way.streaming else str(found)

        found = method(_PROMPT, what="it") if way.sync else asyncio.run(soon())
        assert (found if isinstance(found, str) else "".join(found)) == _TEXT

    return part


def _chatted(subject: Subject, server: FaultServer, way: Way) -> None:
    """Two turns: the first answer, with all its blocks, is in the second prompt."""
    server.replies(way.served(subject))
    memory = ChatMemoryBuffer.from_defaults(token_limit=9000, tokenizer_fn=str.split)
    engine = SimpleChatEngine.from_defaults(llm=subject.chat_model(server), memory=memory)
    method = getattr(engine, way.name)

    async def soon(question: str) -> str:
        response = await method(question)
        return await _collected(response.async_response_gen()) if way.streaming else str(response)

    def now(question: str) -> str:
        response = method(question)
        return "".join(response.response_gen) if way.streaming else str(response)

    async def twice() -> list[str]:
        return [await soon("one"), await soon("two")]

    found = [now("one"), now("two")] if way.sync else asyncio.run(twice())
    assert found == [_TEXT, _TEXT], found
    turns = server.requests[1].json()["messages"]
    assert [turn["content"] for turn in turns] == ["one", _TEXT, "two"], turns


def _synthesized(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.served(subject))
    model = subject.chat_model(server)
    helper = PromptHelper.from_llm_metadata(model.metadata, tokenizer=str.split)
    made = get_response_synthesizer(llm=model, prompt_helper=helper, streaming=way.streaming)
    nodes = [NodeWithScore(node=TextNode(text="First lit in 1823."))]

    async def soon() -> str:
        response = await made.asynthesize("q", nodes)
        return await _collected(response.async_response_gen()) if way.streaming else str(response)

    def now() -> str:
        response: Any = made.synthesize("q", nodes)
        return "".join(response.response_gen) if way.streaming else str(response)

    assert (now() if way.sync else asyncio.run(soon())) == _TEXT
    assert "First lit in 1823." in str(server.requests[0].json()["messages"])


_EACH = {name: _predicts(name, way) for name, way in _PREDICTS.items()}
_PERPLEXITY = frozenset({"perplexity"})

GROUP = Group(
    "In LlamaIndex",
    (
        Check(
            "predict",
            "`predict` and its siblings",
            {name: _predicts(name, way) for name, way in _PREDICTS.items()},
        ),
        Check(
            "chat_engine",
            "`SimpleChatEngine`, two turns",
            over(_chatted, *CHATS),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "synthesizer",
            "A response synthesizer over nodes",
            over(_synthesized, *CHATS),
            defect_of=_PERPLEXITY,
        ),
    ),
)
