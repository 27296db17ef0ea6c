"""fireworks-ai 0.15, which has objects for its clients beside the classes."""

import os
from typing import Any

from ._asked import CHAT, EXTRACTIVE
from ._judge import QUESTION, Judge, Said

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
