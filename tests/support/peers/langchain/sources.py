"""Rows about citations: what an answer rests on, and retrievers over it."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from langchain_core.messages import ToolCall
from langchain_core.tools import create_retriever_tool

from support.fault_server import FaultServer, Reply
from support.peers.asking import error_of, holds
from support.peers.check import Check, Group
from support.peers.langchain.asking import LANES, STREAM, WHOLE, Way, over, said
from support.peers.replies import SOURCES, Agent, Answer, Responses, Sonar, refusal
from support.peers.subject import Subject

__all__ = ["GROUP"]

_URLS = [source["url"] for source in SOURCES]


def _named(subject: Subject, server: FaultServer, way: Way) -> None:
    kwargs = said(subject, server, way).additional_kwargs
    for url in _URLS:
        assert holds(kwargs, url), f"{url} is lost"


def _late(subject: Subject, server: FaultServer) -> None:
    server.replies(Sonar(late=True).stream())
    kwargs = STREAM.ask(subject.chat_model(server)).additional_kwargs
    for url in _URLS:
        assert holds(kwargs, url), f"{url} is lost"


def _notes(message: Any) -> list[Any]:
    """The citation annotations of a message's only text block."""
    (block,) = [b for b in message.content_blocks if b["type"] == "text"]
    return [n for n in block.get("annotations", ()) if n["type"] == "citation"]


def _points(message: Any, marker: str, url: str) -> None:
    notes = [n for n in _notes(message) if n.get("url") == url and "start_index" in n]
    assert notes, f"no annotation with offsets for {url}"
    (note,) = notes
    found = message.text[note["start_index"] : note["end_index"]]
    assert found == marker, found


def _offsets(subject: Subject, server: FaultServer, way: Way) -> None:
    message = said(subject, server, way)
    _points(message, "[1]", _URLS[0])
    _points(message, "[2]", _URLS[1])


def _offsets_by_responses(subject: Subject, server: FaultServer) -> None:
    assert subject.id == "openai", "no Responses API"
    for way in (WHOLE, STREAM):
        server.replies(way.reply(Responses()))
        message = way.ask(subject.chat_model(server, use_responses_api=True))
        _points(message, "[1]", _URLS[0])


def _offsets_v1(subject: Subject, server: FaultServer, way: Way) -> None:
    message = said(subject, server, way, output_version="v1")
    _points(message, "[1]", _URLS[0])


def _offsets_v1_by_responses(subject: Subject, server: FaultServer) -> None:
    assert subject.id == "openai", "no Responses API"
    for way in (WHOLE, STREAM):
        server.replies(way.reply(Responses()))
        model = subject.chat_model(server, use_responses_api=True, output_version="v1")
        _points(way.ask(model), "[1]", _URLS[0])


def _passages(subject: Subject, server: FaultServer, way: Way) -> None:
    message = said(subject, server, way)
    found = [note.get("cited_text") for note in _notes(message)]
    assert found == [source["snippet"] for source in SOURCES], found


def _server_tools(subject: Subject, server: FaultServer) -> None:
    kinds = {block["type"] for block in said(subject, server, WHOLE).content_blocks}
    assert {"server_tool_call", "server_tool_result"} <= kinds, kinds


def _documents(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.found())
    found = subject.sources_of(server).invoke("q")
    assert [document.metadata["url"] for document in found] == _URLS
    assert [document.page_content for document in found] == [s["snippet"] for s in SOURCES]


def _ids(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.found())
    retriever = subject.sources_of(server)
    first, again = ([d.id for d in retriever.invoke("q")] for _ in range(2))
    assert all(first), first
    assert first == again
    assert len(set(first)) == len(SOURCES)


def _is_dated(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.found())
    found = [d.metadata.get("date") for d in subject.sources_of(server).invoke("q")]
    assert found == [source["date"] for source in SOURCES], found


def _is_ranked(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.found())
    found = [d.metadata.get("rank") for d in subject.sources_of(server).invoke("q")]
    assert found == [1, 2], found


def _agree(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole(), subject.found())
    notes = _notes(subject.chat_model(server).invoke("q"))
    found = subject.sources_of(server).invoke("q")
    assert notes, "no annotations"
    assert [note["id"] for note in notes] == [document.id for document in found]


def _k(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(subject.found())
    retriever = subject.sources_of(server)
    found = retriever.invoke("q", k=1) if way.sync else asyncio.run(retriever.ainvoke("q", k=1))
    asked = server.requests[0].json().get("max_results")
    assert len(found) == 1 or asked == 1, f"{len(found)} documents, asked for {asked}"


def _retrieves_async(subject: Subject, server: FaultServer) -> None:
    server.replies(replace(subject.found(), delay=0.1))
    retriever = subject.sources_of(server)

    async def ask_all() -> float:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        await retriever.ainvoke("q")
        begun = time.monotonic()
        await asyncio.gather(*(retriever.ainvoke("q") for _ in range(10)))
        return time.monotonic() - begun

    took = asyncio.run(ask_all())
    assert took < 0.7, f"ten searches of 0.1 s took {took:.1f} s"


_DATES = {
    "after": ("search_after_date", "01/15/2026"),
    "before": ("search_before_date", "02/15/2026"),
}


def _dated(subject: Subject, server: FaultServer, part: str) -> None:
    name, date = _DATES[part]
    server.replies(subject.found())
    given = f"{name}_filter" if subject.ours else name
    subject.sources_of(server, **{given: date}).invoke("q")
    assert holds(server.requests[0].json(), date), "the date was not sent"


def _limits(subject: Subject, server: FaultServer, part: str) -> None:
    reply = {
        "timeout": Reply(delay=3),
        "max_retries": refusal(503, "busy"),
        "base_url": subject.found(),
    }
    given = {"timeout": 0.1, "max_retries": 1, "base_url": f"{server.url}/gateway"}
    server.replies(replace(reply[part], headers={"retry-after-ms": "20"}), subject.found())
    retriever = subject.sources_of(server, **{part: given[part]})
    if part == "timeout":
        begun = time.monotonic()
        error_of(lambda: retriever.invoke("q"))
        assert time.monotonic() - begun < 2, "the time limit is not obeyed"
        return
    retriever.invoke("q")
    if part == "max_retries":
        assert len(server.requests) == 2, f"{len(server.requests)} requests, not 2"
    else:
        assert server.requests[0].path.startswith("/gateway/"), server.requests[0].path


def _artifact(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.found())
    tool = create_retriever_tool(
        subject.sources_of(server), "search", "the web", response_format="content_and_artifact"
    )
    call = ToolCall(name="search", args={"query": "q"}, id="1", type="tool_call")
    message = tool.invoke(call)
    assert [d.metadata["url"] for d in message.artifact] == _URLS


def _tool_fails(subject: Subject, server: FaultServer) -> None:
    server.replies(refusal(401, "no such key"))
    tool: Any
    if subject.ours:
        tool = create_retriever_tool(subject.sources_of(server), "search", "the web")
    else:
        tool = _their_tool(subject, server)
    error_of(lambda: tool.invoke({"query": "q"}))


def _their_tool(subject: Subject, server: FaultServer) -> Any:
    whole = replace(subject, retriever="langchain_perplexity:PerplexitySearchResults")
    return whole.sources_of(server)


def _text_llm(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.text_wire))
    model = subject.text_model(server)
    if way.streaming:
        facts = [c.generation_info for c in model._stream("q")]
    else:
        facts = [model.generate(["q"]).generations[0][0].generation_info]
    for url in _URLS:
        assert holds(facts, url), f"{url} is lost"


def _picks(fact: Any, *names: str) -> dict[str, Any]:
    def bound(name: str) -> Any:
        return lambda subject, server: fact(subject, server, name)

    return {name: bound(name) for name in names}


def _agent(subject: Subject, server: FaultServer, way: Way) -> None:
    how = subject.by("agent", "v1")
    assert how, "it does not speak it"
    server.replies(way.reply(Agent()))
    message = way.ask(subject.chat_model(server, **how))
    assert server.requests[0].path in ("/v1/agent", "/v1/responses"), server.requests[0].path
    assert message.text == Answer().text


def _search_only(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.found())
    subject.sources_of(server).invoke("q")
    assert server.requests[0].path == "/search", server.requests[0].path


def _plain(subject: Subject, server: FaultServer) -> None:
    """Sources survive JSON, as a saved message does."""
    message = said(subject, server, WHOLE)
    kept = json.loads(json.dumps(message.additional_kwargs))
    assert holds(kept, _URLS[0])


_SONAR = frozenset({"sonar"})
_RETRIEVES = frozenset({"retrieves"})
_PERPLEXITY = frozenset({"perplexity"})

GROUP = Group(
    "Sources",
    (
        Check("sources", "The sources of an answer", over(_named), needs=_SONAR),
        Check(
            "sources_late",
            "... also where they come last in a stream",
            {"": _late},
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check("sources_json", "... as plain JSON", {"": _plain}, needs=_SONAR),
        Check(
            "offsets",
            "Citation annotations with offsets",
            over(_offsets),
            needs=frozenset({"cites"}),
            otherwise={"Responses API only": _offsets_by_responses},
            defect_of=_PERPLEXITY,
            note="`text[start_index:end_index]` is the marker, and the url is its source's.",
        ),
        Check(
            "offsets_v1",
            '... with `output_version="v1"`',
            over(_offsets_v1),
            needs=frozenset({"cites"}),
            otherwise={"Responses API only": _offsets_v1_by_responses},
            defect_of=_PERPLEXITY,
        ),
        Check(
            "cited_text",
            "... with the quoted passage",
            over(_passages),
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "agree",
            "One id in annotations and Documents",
            {"": _agree},
            needs=_RETRIEVES,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "server_tools",
            "Search as server-tool blocks",
            {"": _server_tools},
            needs=_SONAR,
            lacking=frozenset({"ours-perplexity"}),
        ),
        Check(
            "text_citations",
            "Sources from a text LLM",
            over(_text_llm),
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check("documents", "A retriever", {"": _documents}, needs=_RETRIEVES),
        Check(
            "retriever_async",
            "... natively async",
            {"": _retrieves_async},
            needs=_RETRIEVES,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "document_ids",
            "... with stable document ids",
            {"": _ids},
            needs=_RETRIEVES,
            defect_of=_PERPLEXITY,
        ),
        Check("document_date", "... with the date", {"": _is_dated}, needs=_RETRIEVES),
        Check("document_rank", "... with the rank", {"": _is_ranked}, needs=_RETRIEVES),
        Check(
            "k", "... with `k` per call", over(_k, *LANES), needs=_RETRIEVES, defect_of=_PERPLEXITY
        ),
        Check(
            "dates",
            "... with date filters",
            _picks(_dated, "after", "before"),
            needs=_RETRIEVES,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "retriever_limits",
            "... with time limit, retries and address",
            _picks(_limits, "timeout", "max_retries", "base_url"),
            needs=_RETRIEVES,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "artifact",
            "... as a tool, with Documents as artifact",
            {"": _artifact},
            needs=_RETRIEVES,
        ),
        Check(
            "search_only",
            "... over the service's plain search",
            {"": _search_only},
            needs=_RETRIEVES,
            lacking=frozenset({"ours-perplexity"}),
            note="`PerplexitySearchRetriever` does that here; measured is `as_retriever()`, which "
            "returns the sources of an answer that is asked for and billed.",
        ),
        Check(
            "tool_fails",
            "A search tool that fails raises",
            {"": _tool_fails},
            needs=_RETRIEVES,
            defect_of=_PERPLEXITY,
            note="langchain-perplexity's tool hands the model the error as a text.",
        ),
        Check(
            "agent_api",
            "Perplexity's Agent API",
            over(_agent),
            needs=_SONAR,
            lacking=frozenset({"ours-perplexity"}),
            note="The successor of the chat completions, which Perplexity itself has ended; "
            "`ChatPerplexityAgent` speaks it here.",
        ),
    ),
)
