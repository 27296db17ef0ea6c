"""Retriever and query engine: one call of the service, its own sources, their ids kept."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.llms import LLM, ChatMessage, MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.schema import MetadataMode
from llama_index.core.tools import QueryEngineTool

from llama_index_qaip import CitationRetriever, CitedQueryEngine
from llama_index_qaip.errors import InvalidParameterError
from support.fault_server import FaultServer, json_reply, sse_reply
from support.wire import WireCase

from .conftest import llm_of

Make = Callable[..., Any]
Serve = Callable[..., WireCase]
CITED = [
    "qaip/whole_seed",
    "qaip/stream_citations_first",
    "perplexity/whole_2026_06",
    "perplexity/stream_2026_06_pings",
    "dify/stream_citations_scores",
    "perplexity/agent_whole",
    "perplexity/agent_stream",
    "pais/agent_chat_whole",
    "pais/agent_chat_stream_usage",
    "dify/chat_stream",
]
# A whole answer of Dify is asked for as a stream.
WHOLE = [name for name in CITED if "whole" in name or "dify" in name]
both = pytest.mark.parametrize("mode", ["sync", "async"])


@both
@pytest.mark.parametrize("name", WHOLE)
async def test_retrieve(
    name: str, mode: str, server: FaultServer, make: Make, serve: Serve
) -> None:
    case = serve(name)
    async with make(llm_of(case)) as llm:
        retriever = llm.as_retriever()
        found = await retriever.aretrieve("q") if mode == "async" else retriever.retrieve("q")
    wanted = case.expected["citations"]
    assert len(found) == len(wanted) > 0
    assert len(server.requests) == 1
    for scored, want in zip(found, wanted, strict=True):
        node = scored.node
        assert node.node_id == want.get("wire_id", node.node_id)
        assert node.get_content() == want.get("text", "")
        assert scored.score == want.get("score")
        assert node.metadata.get("url") == want.get("url")
        assert "score" not in node.metadata
        assert None not in node.metadata.values()
        assert node.ref_doc_id == (want.get("url") or want.get("title"))
        assert "rank" not in node.get_content(metadata_mode=MetadataMode.LLM)


def test_a_source_that_is_listed_twice_is_one_node(server: FaultServer, make: Make) -> None:
    source = {"url": "https://a.example", "title": "A", "snippet": "a"}
    choice = {"index": 0, "message": {"content": "x[1][2]"}, "finish_reason": "stop"}
    server.replies(json_reply({"choices": [choice], "search_results": [source, source]}))
    llm = make("perplexity")
    assert [n.metadata["rank"] for n in CitationRetriever(llm).retrieve("q")] == [1]
    assert len(CitedQueryEngine(llm).query("q").source_nodes) == 2  # [2] names the second


async def answer(engine: CitedQueryEngine, mode: str) -> tuple[Any, Response]:
    """Return what a query gives, and what it has become when it has been read."""
    given: Any = await engine.aquery("q") if mode == "async" else engine.query("q")
    if isinstance(given, StreamingResponse):
        return given, given.get_response()
    if isinstance(given, AsyncStreamingResponse):
        return given, await given.get_response()
    return given, given


@both
@pytest.mark.parametrize("name", CITED)
async def test_query(name: str, mode: str, server: FaultServer, make: Make, serve: Serve) -> None:
    case = serve(name)
    streaming = case.stream
    async with make(llm_of(case)) as llm:
        given, read = await answer(llm.as_query_engine(streaming=streaming), mode)
    kind = (
        (AsyncStreamingResponse if mode == "async" else StreamingResponse)
        if streaming
        else Response
    )
    assert isinstance(given, kind)
    assert read.response == case.expected["text"]
    wanted = case.expected["citations"]
    assert len(wanted) == len(read.source_nodes) > 0
    assert given.source_nodes is read.source_nodes
    assert given.metadata is read.metadata
    assert given.metadata is not None
    assert given.metadata["finish_reason"] == case.expected["finish_reason"]
    usage = case.expected["usage"]
    assert given.metadata.get("total_tokens") == (usage["total_tokens"] if usage else None)
    for scored, want in zip(given.source_nodes, wanted, strict=True):
        assert scored.node.get_content() == want.get("text", "")
        known = want.get("title") or want.get("url") or want["text"]
        assert known in given.get_formatted_sources()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "template", ["{query_str}", PromptTemplate("q"), PromptTemplate("{question}")], ids=str
)
def test_a_template_that_leaves_the_query_out_is_refused(template: Any, make: Make) -> None:
    engine = make("qaip").as_query_engine()
    with pytest.raises(InvalidParameterError, match="query_str"):
        make("qaip").as_query_engine(query_template=template)
    with pytest.raises(InvalidParameterError, match="query_str"):
        engine.update_prompts({"query_template": template})
    mapped = PromptTemplate("{question}", template_var_mappings={"query_str": "question"})
    made = PromptTemplate("{q}", function_mappings={"q": lambda **given: given["query_str"]})
    for working in (mapped, made):
        assert CitedQueryEngine(make("qaip"), query_template=working)


@both
async def test_text_that_the_service_withdrew_is_not_in_the_answer(
    mode: str, make: Make, serve: Serve
) -> None:
    case = serve("dify/stream_message_replace_early")
    async with make("dify") as llm:
        _, read = await answer(llm.as_query_engine(streaming=True), mode)
    assert read.response == case.expected["text"]


@both
async def test_a_streamed_answer_is_also_what_str_and_tools_give(
    mode: str, server: FaultServer, make: Make, serve: Serve
) -> None:
    case = serve("perplexity/stream_2026_06_pings")
    async with make("perplexity") as llm:
        engine = llm.as_query_engine(streaming=True)
        given = await engine.aquery("q") if mode == "async" else engine.query("q")
        if mode == "async":
            assert "".join([t async for t in given.async_response_gen()]) == case.expected["text"]
        for _ in range(2):
            assert str(given) == case.expected["text"]
        assert (await answer(engine, mode))[1].response == case.expected["text"]
    if mode == "sync":
        tool = QueryEngineTool.from_defaults(engine)
        assert tool.call("q").content == case.expected["text"]


@both
async def test_sources_are_listed_as_the_answer_counts_them(
    mode: str, server: FaultServer, make: Make
) -> None:
    found = [
        {"url": "https://a.example", "title": "A", "snippet": "one " * 9},
        {"url": "https://b.example"},
    ]
    delta = {"index": 0, "delta": {"content": "x[1][2]"}, "finish_reason": "stop"}
    server.replies(sse_reply(json.dumps({"choices": [delta], "search_results": found}), "[DONE]"))
    async with make("perplexity") as llm:
        given, read = await answer(llm.as_query_engine(streaming=True), mode)
    listed = "[1] A (https://a.example): one one o...\n[2] https://b.example"
    assert given.get_formatted_sources(length=12) == listed
    assert read.get_formatted_sources(length=12) == listed
    assert "one one one" in read.get_formatted_sources(trim_text=False)


def test_the_system_prompt_stands_before_the_query(
    server: FaultServer, make: Make, serve: Serve
) -> None:
    serve("perplexity/whole_2026_06")
    make("perplexity", system_prompt="Be brief.").as_query_engine().query("q")
    roles = [turn["role"] for turn in server.requests[0].json()["messages"]]
    assert roles == ["system", "user"]


@pytest.mark.parametrize("build", [CitationRetriever, CitedQueryEngine])
def test_an_llm_without_sources_is_refused(build: Callable[[Any], Any], make: Make) -> None:
    foreign: LLM = MockLLM()
    for llm in (make("fireworks"), make("pais"), foreign):
        with pytest.raises(InvalidParameterError, match="gives no sources"):
            build(llm)


def test_how_the_query_is_asked_can_be_changed(
    server: FaultServer, make: Make, serve: Serve
) -> None:
    serve("perplexity/whole_2026_06")
    engine = make("perplexity").as_query_engine(query_template=PromptTemplate("In 1: {query_str}"))
    engine.query("q")
    engine.update_prompts({"query_template": PromptTemplate("In 2: {query_str}")})
    engine.query("q")
    asked = [request.json()["messages"][-1]["content"] for request in server.requests]
    assert asked == ["In 1: q", "In 2: q"]
    assert [*engine.get_prompts()] == ["query_template"]


def test_the_framework_s_own_engines_take_retriever_llm_and_engine(
    server: FaultServer, make: Make, serve: Serve
) -> None:
    serve("perplexity/whole_2026_06")
    llm = make("perplexity")
    retriever = llm.as_retriever()
    drops_all = SimilarityPostprocessor(similarity_cutoff=0.0)
    assert drops_all.postprocess_nodes(retriever.retrieve("q")) == []
    for engine in (
        RetrieverQueryEngine.from_args(retriever, llm=llm),
        CitationQueryEngine.from_args(cast("Any", None), llm=llm, retriever=retriever),
    ):
        answered = engine.query("q")
        assert str(answered).startswith("Bees")
        assert len(answered.source_nodes) == 2
    tool = QueryEngineTool.from_defaults(llm.as_query_engine())
    assert tool.call("q").content.startswith("Bees")
    prompt = json.dumps(server.requests[2].json())
    assert "Bees read the angle of the sun." in prompt
    assert isinstance(llm.chat([ChatMessage("q")]).message.content, str)
