"""The llama-index-llms-fireworks package."""

import os
from typing import Any

from ._asked import EXTRACTIVE, TOOLS
from ._judge import QUESTION, Judge, Said
from ._llama_index import joined, messages, whole

__all__ = ["judge"]

judge = Judge()
_ALL = ("2025", "2026")


def _model(**more: Any) -> Any:
    from llama_index.llms.fireworks import Fireworks

    base = os.environ["FIREWORKS_API_BASE"]
    return Fireworks(
        **{"model": EXTRACTIVE, "api_base": base, "max_retries": 0, "max_tokens": 100, **more}
    )


@judge.call("fireworks", *_ALL, counts=True)
def chat() -> Said:
    answer = _model().chat(messages())
    return whole(answer, answer.message.content)


@judge.call("fireworks", *_ALL, counts=True)
async def chat_async() -> Said:
    answer = await _model().achat(messages())
    return whole(answer, answer.message.content)


@judge.call("fireworks", *_ALL)
def chat_streamed() -> Said:
    return joined(list(_model().stream_chat(messages())))


@judge.call("fireworks", *_ALL)
async def chat_streamed_async() -> Said:
    stream = await _model().astream_chat(messages())
    return joined([part async for part in stream])


@judge.call("fireworks", *_ALL, counts=True)
def complete() -> Said:
    answer = _model().complete(QUESTION)
    return whole(answer, answer.text)


@judge.call("fireworks", *_ALL)
def complete_streamed() -> Said:
    return joined(list(_model().stream_complete(QUESTION)))


@judge.call("fireworks", "2026", says='{"town":"Merrøw"}')
def tools() -> Said:
    asked = messages("What is the weather in Merrøw?")
    answer = _model(is_function_calling=True).chat(asked, tools=TOOLS)
    calls = answer.message.additional_kwargs["tool_calls"]
    return Said([call.function.arguments for call in calls])


@judge.call("fireworks", "2026", says="127.0.0.1")
def address_from_the_environment() -> Said:
    """No request is made: a client that overlooks the variable would reach the real service."""
    from llama_index.llms.fireworks import Fireworks

    return Said([Fireworks(model=EXTRACTIVE).api_base])


@judge.call("fireworks", "2026", raises="APIError", fault="error")
def error_in_a_stream() -> Said:
    return chat_streamed()


@judge.call("fireworks", "2026", raises="Exception", fault="truncate")
def stream_cut() -> Said:
    return chat_streamed()


@judge.call("fireworks", "2026", raises="AuthenticationError", says="401")
def wrong_key() -> Said:
    answer = _model(api_key="wrong").chat(messages())
    return whole(answer, answer.message.content)
