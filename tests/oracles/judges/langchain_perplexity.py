"""The langchain-perplexity package."""

import os
from typing import Any

from ._asked import SCHEMA
from ._judge import QUESTION, Judge, Said
from ._langchain import joined, whole

__all__ = ["judge"]

judge = Judge()
_DATED = ("seed", "2025-07", "2025-08", "2025-11", "2026-01", "2026-06", "2026-09")


def _chat(**more: Any) -> Any:
    from langchain_perplexity import ChatPerplexity

    key = os.environ["PERPLEXITY_API_KEY"]
    return ChatPerplexity(**{"model": "sonar", "api_key": key, "max_retries": 0, **more})


@judge.call("perplexity", *_DATED, cites=True, counts=True)
def chat() -> Said:
    return whole(_chat().invoke(QUESTION))


@judge.call("perplexity", *_DATED, cites=True, counts=True)
async def chat_async() -> Said:
    return whole(await _chat().ainvoke(QUESTION))


@judge.call("perplexity", *_DATED, cites=True, counts=True)
def chat_streamed() -> Said:
    return joined(list(_chat().stream(QUESTION)))


@judge.call("perplexity", *_DATED, cites=True, counts=True)
async def chat_streamed_async() -> Said:
    return joined([chunk async for chunk in _chat().astream(QUESTION)])


@judge.call("perplexity", "2026-06", cites=True, citations="late")
def chat_cited_late_streamed() -> Said:
    """The sources stand in the last chunk only."""
    return chat_streamed()


@judge.call("perplexity", "2026-06", raises="Exception", fault="truncate")
def stream_cut() -> Said:
    return chat_streamed()


@judge.call("perplexity", "2026-06", raises="Exception", fault="error")
def error_in_a_stream() -> Said:
    return chat_streamed()


@judge.call("perplexity", "2026-06", cites=True, fault="pings; every=0.01; seconds=0.05")
def chat_with_pings_streamed() -> Said:
    return chat_streamed()


@judge.call("perplexity", "2026-06", raises="Exception", terminal="failed")
def agent_failed() -> Said:
    return whole(_agent().invoke(QUESTION))


@judge.call("perplexity", "2026-06")
def structured() -> Said:
    schema = {"title": "Answer", "description": "An answer.", **SCHEMA}
    model = _chat().with_structured_output(schema, method="json_schema")
    return Said([model.invoke(QUESTION)["answer"]])


@judge.call("perplexity", "retired", raises="PermissionDeniedError", says="Agent API")
def retired() -> Said:
    return whole(_chat().invoke(QUESTION))


def _agent() -> Any:
    return _chat(
        model="perplexity/sonar", use_responses_api=True,
        model_kwargs={"tools": [{"type": "web_search"}]},
    )  # fmt: skip


@judge.call("perplexity", "2026-06", "retired", counts=True)
def agent() -> Said:
    return whole(_agent().invoke(QUESTION))


@judge.call("perplexity", "2026-06", "retired", counts=True)
def agent_streamed() -> Said:
    return joined(list(_agent().stream(QUESTION)))


@judge.call("perplexity", "2026-06", counts=True)
async def agent_streamed_async() -> Said:
    return joined([chunk async for chunk in _agent().astream(QUESTION)])


@judge.call("perplexity", "2026-06", cites=True)
def retriever() -> Said:
    from langchain_perplexity import PerplexitySearchRetriever

    retriever = PerplexitySearchRetriever(k=3, pplx_api_key=os.environ["PERPLEXITY_API_KEY"])
    found = retriever.invoke(QUESTION)
    return Said([d.page_content for d in found], [d.metadata["url"] for d in found])


@judge.call("perplexity", "2026-06", cites=True)
def search_tool() -> Said:
    from langchain_perplexity import PerplexitySearchResults

    tool = PerplexitySearchResults(pplx_api_key=os.environ["PERPLEXITY_API_KEY"])
    found = tool.invoke({"query": QUESTION})
    return Said([result["snippet"] for result in found], [result["url"] for result in found])
