"""The langchain-fireworks package."""

import os
from typing import Any

from ._asked import EXTRACTIVE, SCHEMA, TOOLS
from ._judge import QUESTION, Judge, Said
from ._langchain import added, joined, whole

__all__ = ["judge"]

judge = Judge()
_ALL = ("2025", "2026")


def _chat(**more: Any) -> Any:
    from langchain_fireworks import ChatFireworks

    # The package adds the version to the path itself.
    address = os.environ["FIREWORKS_API_BASE"].removesuffix("/v1")
    return ChatFireworks(**{"model": EXTRACTIVE, "base_url": address, "max_retries": 0, **more})


@judge.call("fireworks", *_ALL, counts=True)
def chat() -> Said:
    return whole(_chat().invoke(QUESTION))


@judge.call("fireworks", *_ALL, counts=True)
async def chat_async() -> Said:
    return whole(await _chat().ainvoke(QUESTION))


@judge.call("fireworks", *_ALL, counts=True)
def chat_streamed() -> Said:
    return joined(list(_chat().stream(QUESTION)))


@judge.call("fireworks", "2026", says="usage: once", usage="both")
def usage_told_twice() -> Said:
    """Usage in the finish chunk and once more in a trailing one is one usage."""
    whole = _chat().invoke(QUESTION).usage_metadata
    model = _chat().bind(stream_options={"include_usage": True})
    streamed = added(list(model.stream(QUESTION))).usage_metadata
    return Said(["usage: once" if streamed["total_tokens"] == whole["total_tokens"] else "twice"])


@judge.call("fireworks", "2026", raises="Exception", fault="error")
def error_in_a_stream() -> Said:
    return chat_streamed()


@judge.call("fireworks", "2026", raises="Exception", fault="truncate")
def stream_cut() -> Said:
    return chat_streamed()


@judge.call("fireworks", *_ALL, counts=True)
async def chat_streamed_async() -> Said:
    return joined([chunk async for chunk in _chat().astream(QUESTION)])


@judge.call("fireworks", *_ALL, says="{'town': 'Merrøw'}")
def tools() -> Said:
    message = _chat().bind_tools(TOOLS).invoke("What is the weather in Merrøw?")
    return Said([str(call["args"]) for call in message.tool_calls])


@judge.call("fireworks", *_ALL, says="{'town': 'Merrøw'}")
def tools_in_a_stream() -> Said:
    model = _chat().bind_tools(TOOLS)
    chunks = list(model.stream("What is the weather in Merrøw?"))
    return Said([str(call["args"]) for call in added(chunks).tool_calls])


@judge.call("fireworks", *_ALL)
def structured() -> Said:
    schema = {"title": "Answer", "description": "An answer.", **SCHEMA}
    model = _chat().with_structured_output(schema, method="json_schema")
    return Said([model.invoke(QUESTION)["answer"]])


@judge.call("fireworks", "2026")
def chat_at_the_documented_address() -> Said:
    """The address with its version, as the service documents it."""
    return whole(_chat(base_url=os.environ["FIREWORKS_API_BASE"]).invoke(QUESTION))


def _completion(**more: Any) -> Any:
    from langchain_fireworks import Fireworks

    address = os.environ["FIREWORKS_API_BASE"] + "/completions"
    return Fireworks(**{"model": EXTRACTIVE, "base_url": address, "max_tokens": 100, **more})


@judge.call("fireworks", *_ALL)
def completion() -> Said:
    return Said([_completion().invoke(QUESTION)])


@judge.call("fireworks", *_ALL)
async def completion_async() -> Said:
    return Said([await _completion().ainvoke(QUESTION)])


@judge.call("fireworks", "2026")
def completion_streamed() -> Said:
    return Said(list(_completion().stream(QUESTION)))


@judge.call("fireworks", "2026", raises="AuthenticationError", says="401")
def wrong_key() -> Said:
    return whole(_chat(api_key="wrong").invoke(QUESTION))


@judge.call("fireworks", "2026", raises="NotFoundError", fault="status; code=404")
def unknown_model() -> Said:
    return whole(_chat(model="accounts/sandbox/models/unknown").invoke(QUESTION))


@judge.call("fireworks", "2026", raises="RateLimitError", fault="status; code=429; times=99")
def too_many_requests() -> Said:
    return whole(_chat().invoke(QUESTION))


@judge.call("fireworks", "2026", raises="ValueError", says="invalid")
def completion_wrong_key() -> Said:
    return Said([_completion(api_key="wrong").invoke(QUESTION)])
