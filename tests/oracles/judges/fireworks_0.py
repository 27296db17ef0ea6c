"""fireworks-ai 0.x, whose classes are `Completion`, `ChatCompletion` and `Model`."""

import os
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from ._asked import CHAT, EXTRACTIVE
from ._judge import ANSWER, QUESTION, Judge, Said

__all__ = ["ALL", "judge", "package"]

judge = Judge()
ALL = ("classic", "2025", "2026")


def package() -> ModuleType:
    import fireworks.client

    # The package reads the environment when it is imported.
    fireworks.client.api_key = os.environ["FIREWORKS_API_KEY"]
    fireworks.client.base_url = os.environ["FIREWORKS_API_BASE"]
    return fireworks.client


def _total(parts: Iterable[Any]) -> int | None:
    usages = [part.usage for part in parts if part.usage]
    return usages[-1].total_tokens if usages else None


def _text(parts: list[Any]) -> Said:
    assert parts[-1].choices[0].finish_reason == "stop"
    return Said([part.choices[0].text for part in parts], tokens=_total(parts))


def _chat(parts: list[Any]) -> Said:
    assert "stop" in [choice.finish_reason for part in parts for choice in part.choices]
    pieces = [choice.delta.content or "" for part in parts for choice in part.choices]
    return Said(pieces, tokens=_total(parts))


@judge.call("fireworks", *ALL, counts=True)
def completion() -> Said:
    return _text([package().Completion.create(EXTRACTIVE, QUESTION, max_tokens=100)])


@judge.call("fireworks", *ALL, counts=True)
async def completion_async() -> Said:
    return _text([await package().Completion.acreate(EXTRACTIVE, QUESTION, max_tokens=100)])


@judge.call("fireworks", *ALL, counts=True)
def completion_streamed() -> Said:
    parts = package().Completion.create(EXTRACTIVE, QUESTION, stream=True, max_tokens=100)
    return _text(list(parts))


@judge.call("fireworks", *ALL, counts=True)
async def completion_streamed_async() -> Said:
    stream = package().Completion.acreate(EXTRACTIVE, QUESTION, stream=True, max_tokens=100)
    return _text([part async for part in stream])


@judge.call("fireworks", *ALL, says="2 choices with the answer")
def completion_n() -> Said:
    answer = package().Completion.create(EXTRACTIVE, QUESTION, n=2, max_tokens=100)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert any(ANSWER in choice.text for choice in answer.choices)
    return Said([f"{len(answer.choices)} choices with the answer"])


@judge.call("fireworks", *ALL, says=QUESTION + ANSWER)
def completion_echo() -> Said:
    answer = package().Completion.create(EXTRACTIVE, QUESTION, echo=True, max_tokens=100)
    return Said([answer.choices[0].text])


@judge.call("fireworks", *ALL)
def completion_logprobs() -> Said:
    choice = (
        package().Completion.create(EXTRACTIVE, QUESTION, logprobs=1, max_tokens=100).choices[0]
    )
    probabilities = choice.logprobs
    assert len(probabilities.tokens) == len(probabilities.token_logprobs) > 1
    return Said(probabilities.tokens)


@judge.call("fireworks", *ALL, says="The lamp of the Merrøw")
def completion_stop() -> Said:
    answer = package().Completion.create(EXTRACTIVE, QUESTION, stop=["lighthouse"], max_tokens=100)
    assert answer.choices[0].finish_reason == "stop"
    assert "flashes" not in answer.choices[0].text
    return Said([answer.choices[0].text])


@judge.call("fireworks", *ALL, says="The lamp")
def completion_length() -> Said:
    answer = package().Completion.create(EXTRACTIVE, QUESTION, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    return Said([answer.choices[0].text])


@judge.call("fireworks", *ALL, counts=True)
def chat() -> Said:
    answer = package().ChatCompletion.create(EXTRACTIVE, CHAT)
    return Said([answer.choices[0].message.content], tokens=_total([answer]))


@judge.call("fireworks", *ALL, counts=True)
async def chat_async() -> Said:
    answer = await package().ChatCompletion.acreate(EXTRACTIVE, messages=CHAT)
    return Said([answer.choices[0].message.content], tokens=_total([answer]))


@judge.call("fireworks", *ALL, counts=True)
def chat_streamed() -> Said:
    return _chat(list(package().ChatCompletion.create(EXTRACTIVE, CHAT, stream=True)))


@judge.call("fireworks", "classic", fault="drip; every=0")
def chat_in_single_bytes_streamed() -> Said:
    return chat_streamed()


@judge.call("fireworks", "classic", raises="RemoteProtocolError", fault="disconnect")
def chat_stream_disconnected() -> Said:
    return chat_streamed()


@judge.call("fireworks", *ALL, counts=True)
async def chat_streamed_async() -> Said:
    stream = package().ChatCompletion.acreate(EXTRACTIVE, messages=CHAT, stream=True)
    return _chat([part async for part in stream])


@judge.call("fireworks", *ALL, says="accounts/sandbox/models/")
def models() -> Said:
    return Said([model.id for model in package().Model.list().data])


@judge.call("fireworks", "classic", raises="AuthenticationError", envelope="html")
@judge.call("fireworks", *ALL, raises="AuthenticationError", says="nvalid")
def wrong_key() -> Said:
    fireworks = package()
    fireworks.api_key = "wrong"
    fireworks.Completion.create(EXTRACTIVE, QUESTION)
    return Said([])


@judge.call("fireworks", *ALL, raises="InvalidRequestError", says="temperature")
def out_of_range() -> Said:
    package().Completion.create(EXTRACTIVE, QUESTION, temperature=3)
    return Said([])


@judge.call("fireworks", *ALL, raises="InvalidRequestError", fault="status; code=404")
def unknown_model() -> Said:
    package().ChatCompletion.create("accounts/sandbox/models/unknown", CHAT)
    return Said([])


@judge.call(
    "fireworks", "classic", "2025", raises="RateLimitError", fault="status; code=429; times=99"
)
def too_many_requests() -> Said:
    package().Completion.create(EXTRACTIVE, QUESTION)
    return Said([])


@judge.call("fireworks", *ALL, raises="ServiceUnavailableError", fault="status; code=503; times=99")
def unavailable_streamed() -> Said:
    return _chat(list(package().ChatCompletion.create(EXTRACTIVE, CHAT, stream=True)))
