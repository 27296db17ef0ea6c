"""Rows about sources: citations of an answer, retrievers and query engines over them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import QueryEngineTool

from support.fault_server import FaultServer
from support.peers.asking import holds
from support.peers.check import Check, Group, NotMeasuredError, Part
from support.peers.llama_index.asking import (
    CHAT,
    COMPLETE,
    STREAM,
    STREAM_COMPLETE,
    Way,
    known,
    over,
    recorded,
    said,
)
from support.peers.replies import SOURCES, Answer, Responses, Sonar
from support.peers.subject import KEY, Subject

__all__ = ["GROUP"]

_FOUR = (CHAT, STREAM, COMPLETE, STREAM_COMPLETE)
_URLS = [source["url"] for source in SOURCES]
_TEXT = Answer().text


def _told(found: Any) -> None:
    missing = [url for url in _URLS if not holds(found, url)]
    assert not missing, f"lost: {missing}"


def _anywhere(subject: Subject, server: FaultServer, way: Way) -> None:
    _told(known(said(subject, server, way)))


def _late(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(Sonar(late=True).stream())
    _told(known(way.ask(subject.chat_model(server))))


def _additional(subject: Subject, server: FaultServer, way: Way) -> None:
    kwargs = said(subject, server, way).additional_kwargs
    _told(kwargs)
    json.dumps(kwargs)


def _blocks(response: Any) -> list[Any]:
    return [b for b in response.message.blocks if b.block_type == "citation"]


def _cited(subject: Subject, server: FaultServer, way: Way) -> None:
    blocks = _blocks(said(subject, server, way))
    found = [(b.source, b.title) for b in blocks]
    assert found == [(s["url"], s["title"]) for s in SOURCES], found


def _offsets(subject: Subject, server: FaultServer, way: Way) -> None:
    response = said(subject, server, way)
    places = [b.additional_location_info for b in _blocks(response)]
    assert places, "no CitationBlock"
    text = way.said_by(response)
    found = [text[p["start_index"] : p["end_index"]] for p in places]
    assert found == ["[1]", "[2]"], found


def _passages(subject: Subject, server: FaultServer, way: Way) -> None:
    found = [b.cited_content.text for b in _blocks(said(subject, server, way))]
    assert found == [source["snippet"] for source in SOURCES], found


def _by_responses(subject: Subject, server: FaultServer) -> None:
    """OpenAI's other class has url and place of a source in its message's `additional_kwargs`."""
    assert subject.id == "openai", "no Responses API"
    from llama_index.llms.openai import OpenAIResponses  # type: ignore[import-not-found]

    for way in (CHAT, STREAM):
        server.replies(way.reply(Responses()))
        llm = OpenAIResponses(model="gpt-4o", api_key=KEY, api_base=f"{server.url}/v1")
        found = _dumped(known(way.ask(llm)))
        assert holds(found, _URLS[0])
        assert holds(found, _TEXT.index("[1]"))


def _dumped(found: Any) -> Any:
    return json.loads(json.dumps(found, default=lambda o: o.model_dump()))


def _found(subject: Subject, server: FaultServer) -> Any:
    server.replies(subject.wire.whole())
    return _retriever(subject, server).retrieve("q")


def _retriever(subject: Subject, server: FaultServer) -> Any:
    model = subject.chat_model(server)
    assert hasattr(model, "as_retriever"), "it has none"
    return model.as_retriever()


def _nodes(subject: Subject, server: FaultServer) -> None:
    found = _found(subject, server)
    assert [n.node.metadata["url"] for n in found] == _URLS
    assert [n.text for n in found] == [s["snippet"] for s in SOURCES]
    assert [n.node.ref_doc_id for n in found] == _URLS


def _node_facts(subject: Subject, server: FaultServer) -> None:
    found = [n.node.metadata for n in _found(subject, server)]
    assert [m["title"] for m in found] == [s["title"] for s in SOURCES]
    assert [m["date"] for m in found] == [s["date"] for s in SOURCES]


def _node_ids(subject: Subject, server: FaultServer) -> None:
    first, again = ([n.node_id for n in _found(subject, server)] for _ in range(2))
    assert first == again
    assert len(set(first)) == len(SOURCES)


def _no_score(subject: Subject, server: FaultServer) -> None:
    assert [n.score for n in _found(subject, server)] == [None, None]


def _aretrieves(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    retriever = _retriever(subject, server)
    found = asyncio.run(retriever.aretrieve("q"))
    assert [n.node.metadata["url"] for n in found] == _URLS


def _same_ids(subject: Subject, server: FaultServer) -> None:
    """One id in LlamaIndex's nodes, and in LangChain's Documents and annotations."""
    try:
        from langchain_qaip import ChatPerplexity
    except ImportError as error:
        raise NotMeasuredError("langchain-core is not installed") from error
    mine = [n.node_id for n in _found(subject, server)]
    chat: Any = ChatPerplexity(model="sonar", api_key=KEY, base_url=server.url)
    assert mine == [document.id for document in chat.as_retriever().invoke("q")]


def _engine(subject: Subject, server: FaultServer, **how: Any) -> Any:
    streaming = how.get("streaming", False)
    server.replies(subject.wire.stream() if streaming else subject.wire.whole())
    model = subject.chat_model(server)
    assert hasattr(model, "as_query_engine"), "it has none"
    return model.as_query_engine(**how)


def _is_sourced(response: Any, text: str) -> None:
    assert text == _TEXT, text
    assert [n.node.metadata["url"] for n in response.source_nodes] == _URLS
    assert holds(response.metadata, "stop"), response.metadata


def _queried(subject: Subject, server: FaultServer) -> None:
    response = _engine(subject, server).query("q")
    _is_sourced(response, str(response))
    assert _URLS[0] not in str(response)
    assert response.get_formatted_sources()


def _queried_async(subject: Subject, server: FaultServer) -> None:
    response = asyncio.run(_engine(subject, server).aquery("q"))
    _is_sourced(response, str(response))


def _streamed(subject: Subject, server: FaultServer) -> None:
    response = _engine(subject, server, streaming=True).query("q")
    nodes = response.source_nodes
    pieces = list(response.response_gen)
    assert len(pieces) == len(Answer().pieces), pieces
    _is_sourced(response, "".join(pieces))
    assert nodes is response.source_nodes


def _streamed_async(subject: Subject, server: FaultServer) -> None:
    engine = _engine(subject, server, streaming=True)

    async def ask() -> None:
        response = await engine.aquery("q")
        pieces = [piece async for piece in response.async_response_gen()]
        _is_sourced(response, "".join(pieces))

    asyncio.run(ask())


def _template(subject: Subject, server: FaultServer) -> None:
    template = PromptTemplate("In one sentence: {query_str}")
    _engine(subject, server, query_template=template).query("When?")
    (turn,) = server.requests[0].json()["messages"]
    assert turn["content"] == "In one sentence: When?", turn


def _query_events(subject: Subject, server: FaultServer) -> None:
    with recorded() as events:
        _engine(subject, server).query("q")
    names = [event.class_name() for event in events]
    for name in ("QueryStartEvent", "QueryEndEvent", "LLMChatStartEvent", "LLMChatEndEvent"):
        assert names.count(name) == 1, names


def _as_tool(subject: Subject, server: FaultServer) -> None:
    tool = QueryEngineTool.from_defaults(_engine(subject, server), name="ask", description="q")
    output = tool.call(input="q")
    assert output.content == _TEXT
    assert [n.node.metadata["url"] for n in output.raw_output.source_nodes] == _URLS


_SONAR = frozenset({"sonar"})
_CITES = frozenset({"cites"})
_PERPLEXITY = frozenset({"perplexity"})
_RESPONSES: dict[str, Part] = {"by `OpenAIResponses`": _by_responses}

GROUP = Group(
    "Sources",
    (
        Check("sources", "The sources of an answer, anywhere", over(_anywhere, *_FOUR), _SONAR),
        Check(
            "sources_late",
            "... also where they come last in a stream",
            over(_late, STREAM, STREAM_COMPLETE),
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "sources_additional",
            "... in `additional_kwargs`, as plain JSON",
            over(_additional, *_FOUR),
            needs=_CITES,
            otherwise=_RESPONSES,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "citation_blocks",
            "... as `CitationBlock`s",
            over(_cited),
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "offsets",
            "... with their place in the answer",
            over(_offsets),
            needs=_CITES,
            otherwise=_RESPONSES,
            defect_of=_PERPLEXITY,
            note="`text[start_index:end_index]` is the marker that names the source.",
        ),
        Check(
            "cited_text",
            "... with the quoted passage",
            over(_passages),
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "retriever",
            "A retriever over the service's sources",
            {"": _nodes},
            needs=_SONAR,
            defect_of=_PERPLEXITY,
            note="Nodes with url, text, and the source as `ref_doc_id`. Over "
            "Perplexity's plain search there is `PerplexitySearchRetriever` here, and no peer.",
        ),
        Check("node_facts", "... with title and date", {"": _node_facts}, _SONAR),
        Check("node_ids", "... with stable node ids", {"": _node_ids}, _SONAR),
        Check("same_ids", "... which LangChain's Documents share", {"": _same_ids}, _SONAR),
        Check("no_score", "... with no invented score", {"": _no_score}, _SONAR),
        Check("aretrieve", "... async", {"": _aretrieves}, _SONAR),
        Check(
            "query_engine",
            "A query engine: answer and `source_nodes` from one call",
            {"query": _queried, "aquery": _queried_async},
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "query_engine_stream",
            "... streaming, with the sources at its end",
            {"query": _streamed, "aquery": _streamed_async},
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check("query_template", "... with a prompt template", {"": _template}, _SONAR),
        Check("query_events", "... with query and LLM events", {"": _query_events}, _SONAR),
        Check("query_tool", "... as a tool", {"": _as_tool}, _SONAR),
    ),
)
