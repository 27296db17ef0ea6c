"""fireworks-ai 0.15, which has objects for its clients beside the classes."""

import os
from typing import Any

from ._asked import CHAT, EMBEDDER, EXTRACTIVE, PASSAGES, RERANKER
from ._judge import ANSWER, QUESTION, Judge, Said

__all__ = ["judge"]

judge = Judge()
_ALL = ("classic", "2025", "2026")


def _arguments() -> dict[str, str]:
    return {
        "api_key": os.environ["FIREWORKS_API_KEY"],
        "base_url": os.environ["FIREWORKS_API_BASE"],
    }


def _client() -> Any:
    from fireworks.client import Fireworks

    return Fireworks(**_arguments())


def _async_client() -> Any:
    from fireworks.client import AsyncFireworks

    return AsyncFireworks(**_arguments())


def _pieces(parts: list[Any]) -> Said:
    return Said([choice.delta.content or "" for part in parts for choice in part.choices])


@judge.call("fireworks", *_ALL)
def object_completion() -> Said:
    answer = _client().completions.create(model=EXTRACTIVE, prompt=QUESTION, max_tokens=100)
    return Said([answer.choices[0].text], tokens=answer.usage.total_tokens)


@judge.call("fireworks", *_ALL)
def object_chat() -> Said:
    answer = _client().chat.completions.create(model=EXTRACTIVE, messages=CHAT)
    return Said([answer.choices[0].message.content])


@judge.call("fireworks", *_ALL)
def object_chat_streamed() -> Said:
    stream = _client().chat.completions.create(model=EXTRACTIVE, messages=CHAT, stream=True)
    return _pieces(list(stream))


@judge.call("fireworks", *_ALL)
async def object_chat_async() -> Said:
    answer = await _async_client().chat.completions.acreate(
        model=EXTRACTIVE, messages=CHAT, stream=False
    )
    return Said([answer.choices[0].message.content])


@judge.call("fireworks", *_ALL)
async def object_chat_streamed_async() -> Said:
    stream = _async_client().chat.completions.acreate(model=EXTRACTIVE, messages=CHAT, stream=True)
    return _pieces([part async for part in stream])


@judge.call("fireworks", "2025", "2026", says="probabilities")
def new_logprobs() -> Said:
    answer = _client().chat.completions.create(
        model=EXTRACTIVE, messages=CHAT, logprobs=True, top_logprobs=2
    )
    tokens = answer.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == answer.choices[0].message.content
    return Said([f"{len(tokens)} probabilities"])


def _vectors(answer: Any, count: int, size: int) -> Said:
    assert [item.index for item in answer.data] == list(range(count))
    assert {len(item.embedding) for item in answer.data} == {size}
    return Said([f"{len(answer.data)} vectors"], tokens=answer.usage.total_tokens)


@judge.call("fireworks", *_ALL, says="2 vectors", counts=True)
def embeddings() -> Said:
    answer = _client().embeddings.create(EMBEDDER, input=PASSAGES, dimensions=8)
    return _vectors(answer, 2, 8)


@judge.call("fireworks", *_ALL, says="1 vectors", counts=True)
async def embeddings_async() -> Said:
    return _vectors(await _async_client().embeddings.acreate(EMBEDDER, input=ANSWER), 1, 768)


@judge.call("fireworks", *_ALL, raises="InvalidRequestError", says="not found")
def embeddings_of_an_unknown_model() -> Said:
    answer = _client().embeddings.create("accounts/sandbox/models/unknown", input=ANSWER)
    return _vectors(answer, 1, 768)


def _ranked(answer: Any) -> Said:
    scores = [document.relevance_score for document in answer.results]
    assert scores == sorted(scores, reverse=True)
    return Said([answer.results[0].text])


@judge.call("fireworks", "classic", "2025")
def ranking() -> Said:
    return _ranked(_client().rerank.create(RERANKER, query=QUESTION, documents=PASSAGES))


@judge.call("fireworks", "classic", "2025")
async def ranking_async() -> Said:
    answer = await _async_client().rerank.acreate(
        RERANKER, query=QUESTION, documents=PASSAGES, top_n=1
    )
    assert len(answer.results) == 1
    return _ranked(answer)
