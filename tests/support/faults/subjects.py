"""Every class through which a user meets a service, and how it is asked: the matrix' columns.

A subject is one public way of asking, such as ``ChatQaip.stream`` or ``Perplexity.aquery``. All
are asked by the same words, and what came of it is told in the same words, as an `Outcome`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any, Literal, Self

from llama_index.core.llms import ChatMessage

import langchain_qaip
import llama_index_qaip
from qaip_core import AsyncClient, Client, Completion, Connection, ServiceError, errors
from qaip_core.types import add_up
from support.backends import ENDPOINTS, KEY, NEEDED
from support.faults.speech import SPEECHES, Speech

__all__ = [
    "BLOCKING",
    "CORE",
    "CORE2",
    "LANGCHAIN",
    "LLAMA_INDEX",
    "SUBJECTS",
    "Layer",
    "Outcome",
    "Subject",
]

Layer = Literal["core", "langchain", "llama_index"]


@dataclass
class Outcome:
    """What a caller saw.

    shown: the text, piece by piece, as the caller was given it; None from a way of asking that
        shows none (retrievers).
    error: what was raised, whatever it was.
    finish: why the answer ended, where the way of asking tells.
    sources: how many sources came, where it tells.
    tokens: the total that was reported, where it tells.
    """

    shown: list[str] | None = field(default_factory=list)
    error: BaseException | None = None
    finish: str | None = None
    sources: int | None = None
    tokens: int | None = None

    @property
    def text(self) -> str | None:
        return None if self.shown is None else "".join(self.shown)

    @property
    def kind(self) -> type[ServiceError] | None:
        """The core's class of the error; None without an error, or for one that is not ours."""
        bases = type(self.error).__mro__ if self.error else ()
        return next((c for c in bases if c.__module__ == errors.__name__), None)

    @property
    def partial(self) -> str:
        return self.error.partial_text if isinstance(self.error, ServiceError) else ""


Read = Callable[[Outcome, Any], None]


def _as_it_is(began: Any) -> Any:
    return began


def _nothing_more(_outcome: Outcome, _began: Any) -> None:
    pass


@dataclass(frozen=True)
class Way:
    """How a class is asked.

    call: the method's name; in the frameworks the async one has an "a" before it.
    read: takes what it returns, or yields, into an outcome.
    streams: whether it yields pieces.
    of: returns what is asked, made from the object of the class.
    question: what is asked, and further arguments.
    pieces, apieces: from what it returned to the iterator of its pieces.
    after: takes what stands on what it returned once it has been read.
    """

    call: str
    read: Read
    streams: bool = False
    of: Callable[[Any], Any] = _as_it_is
    question: Any = "q"
    options: Mapping[str, Any] = field(default_factory=dict)
    pieces: Callable[[Any], Any] = _as_it_is
    apieces: Callable[[Any], Any] = _as_it_is
    after: Read = _nothing_more


@dataclass(frozen=True)
class Subject:
    """One way of asking one class.

    make: returns an object of the class for a service at a URL, with further fields.
    is_async: whether the asking is awaited.
    blocking: whether Dify is asked for whole answers.
    """

    name: str
    layer: Layer
    service: str
    operation: str
    way: Way
    make: Callable[..., Any]
    is_async: bool
    blocking: bool = False

    @property
    def speeches(self) -> Sequence[Speech]:
        """How its service may write."""
        known = (self.service, self.operation)
        return [s for s in SPEECHES if (s.service, s.operation) == known]

    @property
    def streams(self) -> bool:
        """Whether pieces are shown."""
        return self.way.streams

    @property
    def tells_facts(self) -> bool:
        """Whether it tells why an answer ended, its sources and its counts."""
        texts_or_documents = self.way.read in (_read_text, _read_documents)
        return not texts_or_documents or self.way.after is not _nothing_more

    @property
    def wants_stream(self) -> bool:
        """Whether the service is asked for a stream: Dify is, for whole answers too."""
        return self.streams or (self.service == "dify" and not self.blocking)

    def ask(self, url: str, **given: Any) -> Outcome:
        """Ask once, with an object of its own that is closed afterwards."""
        if self.is_async:
            return asyncio.run(self.aask(url, **given))
        with self.make(url, **given) as made:
            return self.ask_of(made)

    async def aask(self, url: str, **given: Any) -> Outcome:
        """Do what `ask` does, in the running event loop."""
        async with self.make(url, **given) as made:
            return await self.aask_of(made)

    def ask_of(self, made: Any) -> Outcome:
        """Ask an object that was made before; whatever is raised is in the outcome."""
        outcome = Outcome()
        try:
            began = self.open(made)
            if self.streams:
                with closing(self.way.pieces(began)) as pieces:
                    for piece in pieces:
                        self.way.read(outcome, piece)
                self.way.after(outcome, began)
            else:
                self.way.read(outcome, began)
        except Exception as error:  # noqa: BLE001 -- it is the outcome
            outcome.error = error
        return outcome

    async def aask_of(self, made: Any) -> Outcome:
        """Do what `ask_of` does, awaiting."""
        outcome = Outcome()
        try:
            began = await self.aopen(made)
            if self.streams:
                async with aclosing(self.way.apieces(began)) as pieces:
                    async for piece in pieces:
                        self.way.read(outcome, piece)
                self.way.after(outcome, began)
            else:
                self.way.read(outcome, began)
        except Exception as error:  # noqa: BLE001 -- it is the outcome
            outcome.error = error
        return outcome

    def open(self, made: Any) -> Any:
        """Begin: returns the answer, or what `Way.pieces` makes an iterator of."""
        asked = self.way.of(made)
        call = f"a{self.way.call}" if self.is_async and self.layer != "core" else self.way.call
        return getattr(asked, call)(self.way.question, **self.way.options)

    async def aopen(self, made: Any) -> Any:
        """Do what `open` does, awaiting."""
        began = self.open(made)
        return await began if hasattr(began, "__await__") else began

    def __repr__(self) -> str:
        return self.name


# The core


class _Core:
    """A client of the core with the manners of the other classes."""

    def __init__(self, endpoint: Any, client: Any, http: Any, values: Mapping[str, Any]) -> None:
        self._endpoint, self._client, self._http = endpoint, client, http
        self._values = values

    def complete(self, question: Any) -> Any:
        return self._client.complete(self._endpoint, question, self._values)

    def stream(self, question: Any) -> Any:
        return self._client.stream(self._endpoint, question, self._values)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        if self._http is not None:
            self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
        if self._http is not None:
            await self._http.aclose()


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """No retries and short limits, unless a row says otherwise."""
    limits = {"max_retries": 0, "timeout": 5, "stream_idle_timeout": 5, "api_key": KEY}
    return {**limits, **fields}


def _core(service: str, operation: str, library: str | None, *, is_async: bool) -> Any:
    endpoint = ENDPOINTS[service, operation]

    def make(url: str, **fields: Any) -> _Core:
        http = None
        if library is not None:
            kind = "AsyncClient" if is_async else "Client"
            http = getattr(import_module(library), kind)(trust_env=False, verify=False)
            fields = {"http_async_client" if is_async else "http_client": http, **fields}
        own = {k: fields.pop(k) for k in [*fields] if k in endpoint.params.model_fields}
        values = {**NEEDED.get((service, operation), {}), **own}
        settings = Connection(**_given({"base_url": url, **fields})).settings(endpoint.backend)
        client = AsyncClient(settings) if is_async else Client(settings)
        return _Core(endpoint, client, http, values)

    return make


def _read_completion(outcome: Outcome, answer: Completion) -> None:
    assert outcome.shown is not None
    if answer.replaces:
        outcome.shown.clear()
    outcome.shown.append(answer.text)
    if answer.last:
        outcome.finish = answer.finish_reason
        outcome.sources = len(answer.citations)
        outcome.tokens = answer.usage.total_tokens if answer.usage else None


def _read_whole_completion(outcome: Outcome, answer: Completion) -> None:
    _read_completion(outcome, add_up([answer]))


_CORE_WAYS = (
    Way("complete", _read_whole_completion),
    Way("stream", _read_completion, streams=True),
)


def _core_subjects(library: str | None) -> list[Subject]:
    return [
        Subject(
            f"{service} {operation}.{way.call}{' async' * is_async}{f' {library}' * bool(library)}",
            "core",
            service,
            operation,
            way,
            _core(service, operation, library, is_async=is_async),
            is_async,
        )
        for service, operation in ENDPOINTS
        for way in _CORE_WAYS
        for is_async in (False, True)
    ]


# The two frameworks


def _maker(cls: type[Any], service: str, operation: str) -> Callable[..., Any]:
    own = NEEDED.get((service, operation), {})

    def make(url: str, **fields: Any) -> Any:
        return cls(**_given({"base_url": url, **own, **fields}))

    return make


def _read_message(outcome: Outcome, message: Any) -> None:
    """An AIMessage or a chunk of one; facts come on the last chunk."""
    assert outcome.shown is not None
    outcome.shown.append(message.text)
    outcome.finish = message.response_metadata.get("finish_reason") or outcome.finish
    if message.usage_metadata:
        outcome.tokens = message.usage_metadata["total_tokens"]
    if "citations" in message.additional_kwargs:
        outcome.sources = len(message.additional_kwargs["citations"])


def _read_text(outcome: Outcome, text: str) -> None:
    assert outcome.shown is not None
    outcome.shown.append(text)


def _read_documents(outcome: Outcome, documents: list[Any]) -> None:
    outcome.shown, outcome.sources = None, len(documents)


def _read_response(outcome: Outcome, response: Any) -> None:
    """A ChatResponse or CompletionResponse, whole (no delta) or growing."""
    assert outcome.shown is not None
    whole = response.text if hasattr(response, "text") else response.message.content
    outcome.shown.append((whole or "") if response.delta is None else response.delta)
    facts = response.additional_kwargs
    outcome.finish = facts.get("finish_reason", outcome.finish)
    outcome.tokens = facts.get("total_tokens", outcome.tokens)
    if "citations" in facts:
        outcome.sources = len(facts["citations"])


def _read_engine(outcome: Outcome, response: Any) -> None:
    assert outcome.shown is not None
    outcome.shown.append(response.response)
    outcome.sources = len(response.source_nodes)
    outcome.finish = response.metadata.get("finish_reason")
    outcome.tokens = response.metadata.get("total_tokens")


def _read_engine_facts(outcome: Outcome, response: Any) -> None:
    outcome.sources = len(response.source_nodes)
    outcome.finish = response.metadata.get("finish_reason")
    outcome.tokens = response.metadata.get("total_tokens")


async def _each(items: Any) -> AsyncIterator[Any]:
    async for item in items:
        yield item


_LC_CHAT = (
    Way("invoke", _read_message),
    Way("stream", _read_message, streams=True),
    Way(
        "stream_events",
        _read_text,
        streams=True,
        options={"version": "v3"},
        pieces=lambda events: (text for text in events.text),
        apieces=lambda events: _each(events.text),
    ),
)
_LC_TEXT = (Way("invoke", _read_text), Way("stream", _read_text, streams=True))
_LC_CITING = (Way("invoke", _read_documents, of=lambda chat: chat.as_retriever()),)
_TURN = (ChatMessage(role="user", content="q"),)
_LI_CHAT = (
    Way("chat", _read_response, question=_TURN),
    Way("stream_chat", _read_response, question=_TURN, streams=True),
)
_LI_TEXT = (
    Way("complete", _read_response),
    Way("stream_complete", _read_response, streams=True),
)
_LI_CITING = (
    Way("retrieve", _read_documents, of=lambda llm: llm.as_retriever()),
    Way("query", _read_engine, of=lambda llm: llm.as_query_engine()),
    Way(
        "query",
        _read_text,
        streams=True,
        of=lambda llm: llm.as_query_engine(streaming=True),
        pieces=lambda response: response.response_gen,
        apieces=lambda response: response.response_gen,
        after=_read_engine_facts,
    ),
)
_LI_ALL = (*_LI_CHAT, *_LI_TEXT, *_LI_CITING)

_Rows = Sequence[tuple[type[Any], str, str, Sequence[Way]]]
_LC: _Rows = [
    (langchain_qaip.ChatQaip, "qaip", "completions", (*_LC_CHAT, *_LC_CITING)),
    (langchain_qaip.ChatFireworks, "fireworks", "chat", _LC_CHAT),
    (langchain_qaip.ChatPAIS, "pais", "chat", _LC_CHAT),
    (langchain_qaip.ChatPerplexity, "perplexity", "chat", (*_LC_CHAT, *_LC_CITING)),
    (langchain_qaip.ChatDify, "dify", "completion-messages", (*_LC_CHAT, *_LC_CITING)),
    (langchain_qaip.QaipLLM, "qaip", "completions", _LC_TEXT),
    (langchain_qaip.FireworksLLM, "fireworks", "completions", _LC_TEXT),
    (langchain_qaip.PAISLLM, "pais", "completions", _LC_TEXT),
    (langchain_qaip.PerplexityLLM, "perplexity", "chat", _LC_TEXT),
    (langchain_qaip.DifyLLM, "dify", "completion-messages", _LC_TEXT),
    (langchain_qaip.ChatPerplexityAgent, "perplexity", "agent", (*_LC_CHAT, *_LC_CITING)),
    (langchain_qaip.ChatPAISAgent, "pais", "agent-chat", (*_LC_CHAT, *_LC_CITING)),
    (langchain_qaip.PAISAgentLLM, "pais", "agent-completions", _LC_TEXT),
    (langchain_qaip.ChatDifyConversation, "dify", "chat-messages", (*_LC_CHAT, *_LC_CITING)),
]
_LI: _Rows = [
    (llama_index_qaip.Qaip, "qaip", "completions", _LI_ALL),
    (llama_index_qaip.Fireworks, "fireworks", "chat", _LI_CHAT),
    (llama_index_qaip.Fireworks, "fireworks", "completions", _LI_TEXT),
    (llama_index_qaip.PAIS, "pais", "chat", _LI_CHAT),
    (llama_index_qaip.PAIS, "pais", "completions", _LI_TEXT),
    (llama_index_qaip.Perplexity, "perplexity", "chat", _LI_ALL),
    (llama_index_qaip.Dify, "dify", "completion-messages", _LI_ALL),
    (llama_index_qaip.PerplexityAgent, "perplexity", "agent", _LI_ALL),
    (llama_index_qaip.PAISAgent, "pais", "agent-chat", (*_LI_CHAT, *_LI_CITING)),
    (llama_index_qaip.PAISAgent, "pais", "agent-completions", _LI_TEXT),
    (llama_index_qaip.DifyConversation, "dify", "chat-messages", _LI_ALL),
]


def _subjects(layer: Layer, rows: _Rows) -> list[Subject]:
    return [
        Subject(
            _name(cls, way, is_async=is_async),
            layer,
            service,
            operation,
            way,
            _maker(cls, service, operation),
            is_async,
        )
        for cls, service, operation, ways in rows
        for way in ways
        for is_async in (False, True)
    ]


def _name(cls: type[Any], way: Way, *, is_async: bool) -> str:
    of = "" if way.of is _as_it_is else "retriever." if way.read is _read_documents else "engine."
    streamed = " streaming" if of and way.streams else ""
    return f"{cls.__name__}.{of}{'a' * is_async}{way.call}{streamed}"


def _blocking(subject: Subject) -> Subject:
    made = partial(subject.make, response_mode="blocking")
    return replace(subject, name=f"{subject.name} blocking", make=made, blocking=True)


CORE = _core_subjects(None)
CORE2 = _core_subjects("httpx2")
LANGCHAIN = _subjects("langchain", _LC)
LLAMA_INDEX = _subjects("llama_index", _LI)
SUBJECTS = [*CORE, *LANGCHAIN, *LLAMA_INDEX]
BLOCKING = [
    _blocking(s)
    for s in SUBJECTS
    if s.service == "dify" and not s.streams and s.operation != "workflows"  # these give no text
]
