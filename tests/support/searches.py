"""Every class that asks for data, not for words, and its methods: how they are called.

Retrievers, embeddings, rerankers, extractors, tools, workflows, and what models list and keep.
The operations behind them, with right answers, are those of `support.operations`.
"""

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

import langchain_core.documents
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import BaseModel

import langchain_qaip as lc
import llama_index_qaip as li
from qaip_core.backends import fireworks
from qaip_core.backends.dify import app, conversations, datasets, files
from qaip_core.backends.fireworks import vectors as fireworks_vectors
from qaip_core.backends.pais import listing
from qaip_core.backends.pais import search as pais_search
from qaip_core.backends.pais import vectors as pais_vectors
from qaip_core.backends.perplexity import agent
from qaip_core.backends.perplexity import models as perplexity_models
from qaip_core.backends.perplexity import search as perplexity_search
from qaip_core.backends.qaip import extract, library, stored
from qaip_core.backends.qaip import search as qaip_search
from qaip_core.operation import Operation
from support.backends import KEY
from support.fault_server import Reply, json_reply, sse_reply
from support.operations import ASKED, UUID

__all__ = ["CALLS", "ONE_OF_EACH", "Call", "right_reply"]

Layer = Literal["langchain", "llama_index"]


class Tea(BaseModel):
    """What is extracted."""

    leaf: str
    pots: int


@dataclass(frozen=True)
class Call:
    """One method of one class.

    cls: the class.
    method: its name, perhaps behind that of a property; the async one has an "a" before it.
    arguments, keywords: what is passed.
    own: what the class cannot do without.
    operation: what is asked for; None for a run of a workflow, which is no operation.
    amethod: the name of the async one, where it is another.
    """

    cls: type[Any]
    method: str
    arguments: Sequence[Any]
    operation: Operation[Any] | None
    own: Mapping[str, Any] = field(default_factory=dict)
    keywords: Mapping[str, Any] = field(default_factory=dict)
    amethod: str | None = None

    @property
    def layer(self) -> Layer:
        return "langchain" if self.cls.__module__.startswith("langchain_qaip") else "llama_index"

    @property
    def service(self) -> str:
        name: str = self.make("http://127.0.0.1:1")._action.backend.name
        return name

    def make(self, url: str, **fields: Any) -> Any:
        """An object for a service at a URL, which does not retry unless it is told so."""
        limits = {"max_retries": 0, "timeout": 5, "api_key": KEY, "base_url": url}
        return self.cls(**{**limits, **self.own, **fields})

    def ask_of(self, made: Any) -> Any:
        """Call the method."""
        asked = self._method(made, self.method)(*self.arguments, **self.keywords)
        return list(asked) if isinstance(asked, Iterator) else asked

    async def aask_of(self, made: Any) -> Any:
        """Call the async one."""
        owner, _, last = self.method.rpartition(".")
        name = self.amethod or f"{owner}{'.' * bool(owner)}a{last}"
        asked = self._method(made, name)(*self.arguments, **self.keywords)
        if inspect.isawaitable(asked):
            return await asked
        return [piece async for piece in asked]

    def ask(self, url: str, *, is_async: bool, **fields: Any) -> Any:
        """Call it once, of an object of its own that is closed afterwards."""
        if not is_async:
            made = self.make(url, **fields)
            try:
                return self.ask_of(made)
            finally:
                made.close()

        async def ask() -> Any:
            made = self.make(url, **fields)
            try:
                return await self.aask_of(made)
            finally:
                await made.aclose()

        return asyncio.run(ask())

    @staticmethod
    def _method(made: Any, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = attrgetter(name)(made)
        return found

    def __repr__(self) -> str:
        return f"{self.layer} {self.cls.__name__}.{self.method}"


# A run of a workflow

_DONE = {"status": "succeeded", "outputs": {"leaf": "dried"}, "elapsed_time": 0.5}
_RUN = {"task_id": "t-1", "workflow_run_id": "w-1"}


def _event(name: str, **data: Any) -> str:
    return json.dumps({"event": name, **_RUN, "data": data})


def right_reply(call: Call) -> Reply:
    """The answer that a call expects."""
    if call.operation is None:
        pieces = [_event("text_chunk", text=text) for text in ("dri", "ed")]
        return sse_reply(_event("workflow_started"), *pieces, _event("workflow_finished", **_DONE))
    body = next(asked.body for asked in ASKED if asked.operation is call.operation)
    if body is None:
        return Reply(status=204, content_type=None, framing="close")
    return json_reply(body)


# What is called

_DOCUMENT = langchain_core.documents.Document("Leaves are dried.")
_NODE = NodeWithScore(node=TextNode(text="Leaves are dried."), score=0.1)
_BASE = {"knowledge_base_id": "k-1", "index_id": "i-1"}
_DATASET = {"dataset_id": UUID}
_MODEL = {"model": "m"}
_AGENT = {"model": "perplexity/sonar", "web_search": False}
_POT = {"pot": "small"}


def _of_qaip(cls: type[Any], search: type[Any]) -> list[Call]:
    """What Qaip keeps and tells, whatever the framework."""
    titled = {"title": "Tea"}
    return [
        Call(cls, "conversations.list", (), stored.LIST),
        Call(cls, "conversations.read", (UUID,), stored.READ),
        Call(cls, "conversations.change", (UUID,), stored.CHANGE, keywords=titled),
        Call(
            cls,
            "conversations.change",
            (UUID,),
            stored.CHANGE_OF_PRINCIPAL,
            keywords={**titled, "principal_id": "p-1"},
        ),
        Call(cls, "conversations.delete", (UUID,), stored.DELETE),
        Call(cls, "library.tags", (), library.TAGS),
        Call(search, "library.content", (UUID,), library.CONTENT),
        Call(search, "search_all", ("q",), qaip_search.SEARCH),
    ]


def _of_pais(cls: type[Any], agents: type[Any], search: type[Any]) -> list[Call]:
    """What a site of PAIS lists."""
    return [
        Call(cls, "list_models", (), listing.MODELS, _MODEL),
        Call(agents, "list_agents", (), listing.AGENTS, {"agent_id": "a"}),
        Call(search, "list_knowledge_bases", (), listing.KNOWLEDGE_BASES, _BASE),
        Call(search, "list_data_sources", (), listing.DATA_SOURCES, _BASE),
        Call(search, "list_indexes", (), listing.INDEXES, _BASE),
        Call(search, "list_documents", (), listing.DOCUMENTS, _BASE),
        Call(search, "list_indexings", (), listing.INDEXINGS, _BASE),
        Call(search, "active_indexing", (), listing.ACTIVE_INDEXING, _BASE),
    ]


def _of_perplexity(cls: type[Any], question: Any) -> list[Call]:
    """What Perplexity's agent does in the background."""
    return [
        Call(cls, "start", (question,), agent.START, _AGENT),
        Call(cls, "get_response", ("resp_1",), agent.RETRIEVE, _AGENT),
        Call(cls, "cancel", ("resp_1",), agent.CANCEL, _AGENT),
        Call(cls, "list_models", (), perplexity_models.MODELS, _AGENT),
    ]


def _of_dify(cls: type[Any], talks: type[Any]) -> list[Call]:
    """What an app of Dify tells and takes besides questions."""
    return [
        Call(cls, "info", (), app.INFO),
        Call(cls, "parameters", (), app.PARAMETERS),
        Call(cls, "feedback", ("m-1", "like"), app.FEEDBACK),
        Call(cls, "upload", (b"tea.",), files.UPLOAD, keywords={"name": "leaf.png"}),
        Call(talks, "conversations", (), conversations.CONVERSATIONS),
        Call(talks, "messages", (UUID,), conversations.MESSAGES),
        Call(talks, "rename", (UUID, "Tea"), conversations.RENAME),
    ]


_TEXTS = (["hello"],)
_PERPLEXITY = perplexity_search.SEARCH
_LANGCHAIN = [
    Call(lc.QaipSearchRetriever, "invoke", ("q",), qaip_search.SEARCH),
    Call(lc.QAIPRetriever, "invoke", ("q",), qaip_search.SEARCH_AS_SENT),
    Call(lc.QaipExtractor, "invoke", ("q",), extract.EXTRACT, {"schema": Tea}),
    *_of_qaip(lc.ChatQaip, lc.QaipSearchRetriever),
    Call(lc.PerplexitySearchRetriever, "invoke", ("q",), _PERPLEXITY),
    Call(lc.PerplexitySearchRetriever, "search_many", (["q", "r"],), _PERPLEXITY),
    Call(lc.PerplexitySearchTool, "invoke", ({"query": "q"},), _PERPLEXITY),
    *_of_perplexity(lc.ChatPerplexityAgent, "q"),
    Call(lc.PAISSearchRetriever, "invoke", ("q",), pais_search.SEARCH, _BASE),
    Call(lc.PAISEmbeddings, "embed_documents", _TEXTS, pais_vectors.EMBEDDINGS, _MODEL),
    *_of_pais(lc.ChatPAIS, lc.ChatPAISAgent, lc.PAISSearchRetriever),
    Call(lc.FireworksEmbeddings, "embed_query", ("hello",), fireworks_vectors.EMBEDDINGS, _MODEL),
    Call(lc.FireworksRerank, "compress_documents", ([_DOCUMENT], "q"), fireworks_vectors.RERANK),
    Call(lc.ChatFireworks, "list_models", (), fireworks.MODELS, _MODEL),
    Call(lc.DifyDatasetRetriever, "invoke", ("q",), datasets.RETRIEVE, _DATASET),
    Call(lc.DifyWorkflow, "invoke", (_POT,), None),
    Call(lc.DifyWorkflow, "stream", (_POT,), None),
    Call(lc.DifyWorkflow, "events", (_POT,), None),
    *_of_dify(lc.ChatDify, lc.ChatDifyConversation),
]
_LLAMA_INDEX = [
    Call(li.QaipSearchRetriever, "retrieve", ("q",), qaip_search.SEARCH),
    Call(
        li.QaipExtractor, "__call__", ("q",), extract.EXTRACT, {"output_cls": Tea}, amethod="acall"
    ),
    *_of_qaip(li.Qaip, li.QaipSearchRetriever),
    Call(li.PerplexitySearchRetriever, "retrieve", ("q",), _PERPLEXITY),
    Call(li.PerplexitySearchRetriever, "search_many", (["q", "r"],), _PERPLEXITY),
    *_of_perplexity(li.PerplexityAgent, []),
    Call(li.PAISSearchRetriever, "retrieve", ("q",), pais_search.SEARCH, _BASE),
    Call(
        li.PAISEmbedding,
        "get_text_embedding_batch",
        _TEXTS,
        pais_vectors.EMBEDDINGS,
        _MODEL,
        amethod="aget_text_embedding_batch",
    ),
    *_of_pais(li.PAIS, li.PAISAgent, li.PAISSearchRetriever),
    Call(
        li.FireworksEmbedding,
        "get_query_embedding",
        ("hello",),
        fireworks_vectors.EMBEDDINGS,
        _MODEL,
        amethod="aget_query_embedding",
    ),
    Call(
        li.FireworksRerank,
        "postprocess_nodes",
        ([_NODE],),
        fireworks_vectors.RERANK,
        keywords={"query_str": "q"},
    ),
    Call(li.Fireworks, "list_models", (), fireworks.MODELS, _MODEL),
    Call(li.DifyDatasetRetriever, "retrieve", ("q",), datasets.RETRIEVE, _DATASET),
    Call(li.DifyWorkflow, "run", (_POT,), None),
    Call(li.DifyWorkflow, "stream", (_POT,), None),
    Call(li.DifyWorkflow, "events", (_POT,), None),
    *_of_dify(li.Dify, li.DifyConversation),
]

CALLS: Sequence[Call] = [*_LANGCHAIN, *_LLAMA_INDEX]

ONE_OF_EACH: Sequence[Call] = [*{(c.layer, c.cls): c for c in reversed(CALLS)}.values()][::-1]
"""One call of each class."""
