"""The llama-index-llms-perplexity package."""

import os
from typing import Any

from ._judge import QUESTION, Judge, Said
from ._llama_index import joined, messages, whole

__all__ = ["judge"]

judge = Judge()
# An answer that has not arrived as a whole before it is read, like every one of the real service.
_SLOW = "stall; seconds=0.1"
_DATED = ("seed", "2025-07", "2025-08", "2025-11", "2026-01", "2026-06", "2026-09")


def _model(**more: Any) -> Any:
    from llama_index.llms.perplexity import Perplexity

    return Perplexity(
        **{
            "model": "sonar",
            "api_base": os.environ["PERPLEXITY_BASE_URL"],
            "api_key": os.environ["PERPLEXITY_API_KEY"],
            "max_retries": 1,
            **more,
        }
    )


@judge.call("perplexity", *_DATED, cites=True, counts=True)
def chat() -> Said:
    answer = _model().chat(messages())
    return whole(answer, answer.message.content)


@judge.call("perplexity", *_DATED, cites=True, counts=True)
async def chat_async() -> Said:
    answer = await _model().achat(messages())
    return whole(answer, answer.message.content)


@judge.call("perplexity", *_DATED, cites=True)
def chat_streamed() -> Said:
    return joined(list(_model().stream_chat(messages())))


@judge.call("perplexity", "2026-06", cites=True, fault=_SLOW)
async def chat_streamed_async() -> Said:
    stream = await _model().astream_chat(messages())
    return joined([part async for part in stream])


@judge.call("perplexity", *_DATED, cites=True, counts=True)
def complete() -> Said:
    answer = _model().complete(QUESTION)
    return whole(answer, answer.text)


@judge.call("perplexity", "2026-06", cites=True)
async def complete_async() -> Said:
    answer = await _model().acomplete(QUESTION)
    return whole(answer, answer.text)


@judge.call("perplexity", *_DATED, cites=True)
def complete_streamed() -> Said:
    return joined(list(_model().stream_complete(QUESTION)))


@judge.call("perplexity", "2026-06", cites=True, fault=_SLOW)
async def complete_streamed_async() -> Said:
    stream = await _model().astream_complete(QUESTION)
    return joined([part async for part in stream])


@judge.call("perplexity", "2026-06", cites=True, fault="pings; every=0.01; seconds=0.05")
def chat_with_pings_streamed() -> Said:
    return chat_streamed()


@judge.call("perplexity", "2026-06", raises="Exception", fault="error")
def error_in_a_stream() -> Said:
    return chat_streamed()


@judge.call("perplexity", "2026-06", raises="Exception", fault="truncate")
def stream_cut() -> Said:
    return chat_streamed()


@judge.call("perplexity", "2026-06", raises="HTTPError", says="401")
def wrong_key() -> Said:
    answer = _model(api_key="wrong").chat(messages())
    return whole(answer, answer.message.content)


@judge.call("perplexity", "retired", raises="HTTPError", says="403")
def retired() -> Said:
    answer = _model().chat(messages())
    return whole(answer, answer.message.content)
