"""What holds for every search: one list of Documents, with the ids that answers cite them by."""

import asyncio
import copy
import json
import logging
import pickle
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as theirs
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.load import dumpd, dumps, load, loads
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import create_retriever_tool

import langchain_qaip as ours
from langchain_qaip import documents, errors
from qaip_core import errors as core
from qaip_sandbox import Sandbox
from qaip_sandbox.protocols.dify.knowledge import DATASET
from qaip_sandbox.protocols.pais.bases import Base
from support.fault_server import FaultServer, Reply, html_reply, json_reply
from support.wire import cases

from .models import KEY, QUESTION, named

NOWHERE = "http://127.0.0.1:1"
PASSAGE = "Lanternworks accepts returns within 45 days"
QUESTIONS = [
    QUESTION,
    "How many hours does the battery of the Meridian lamp and the Solstice lamp last?",
    "How many days of leave, and within how many days are returns accepted?",
    "修理の送料は無料ですか",
]
MANY = QUESTIONS[1]
CASES = {case.id: case for case in cases()}
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


@dataclass(frozen=True)
class Finder:
    """A search, and all that tests need to know of it.

    `answers` are the ways of the same service to answer from what it searches, `wire` the recorded
    results, `needed` what a search cannot do without, `sandboxed` the same in the sandbox.
    """

    cls: type[Any]
    service: str
    answers: tuple[str, ...]
    wire: tuple[str, ...]
    query: str
    count: str
    key_env: str
    scores: bool = False
    needed: Mapping[str, Any] = field(default_factory=dict)
    sandboxed: Mapping[str, Any] = field(default_factory=dict)
    bare: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return self.cls.__name__

    def at(self, url: str, **given: Any) -> Any:
        fields = {"api_key": KEY, "base_url": url, "max_retries": 0, "timeout": 5, **self.needed}
        return self.cls(**{**fields, **given})

    def over(self, sandbox: Sandbox, **given: Any) -> Any:
        url = sandbox.env[named(self.answers[0]).url_env]
        return self.at(url, **{"api_key": sandbox.env[self.key_env], **self.sandboxed, **given})

    def reply(self) -> Reply:
        return CASES[self.wire[0]].reply()


_BASE = Base("", ())
_QAIP = Finder(
    ours.QaipSearchRetriever,
    "qaip",
    ("qaip",),
    ("qaip/search", "qaip/search_sparse"),
    "query",
    "limit",
    "QAIP_API_KEY",
)
FINDERS = [
    _QAIP,
    Finder(ours.QAIPRetriever, *(getattr(_QAIP, n) for n in list(vars(_QAIP))[1:7])),
    Finder(
        ours.PerplexitySearchRetriever,
        "perplexity",
        ("perplexity", "perplexity-agent"),
        ("perplexity/search",),
        "query",
        "max_results",
        "PERPLEXITY_API_KEY",
    ),
    Finder(
        ours.PAISSearchRetriever,
        "pais",
        ("pais-agent",),
        ("pais/search_chunks", "pais/search_hits", "pais/search_list", "pais/search_empty"),
        "text",
        "top_k",
        "PAIS_API_KEY",
        scores=True,
        needed={"knowledge_base_id": "kb", "index_id": "i"},
        sandboxed={"knowledge_base_id": _BASE.id, "index_id": _BASE.index_id},
        bare=frozenset({"top_k"}),  # the service's own default is 2
    ),
    Finder(
        ours.DifyDatasetRetriever,
        "dify",
        ("dify", "dify-conversation"),
        ("dify/retrieve",),
        "query",
        "top_k",
        "DIFY_DATASET_API_KEY",
        scores=True,
        needed={"dataset_id": "1b0e7c1a-9f3d-4a26-8b57-2d4c6e8f0a13"},
        sandboxed={"dataset_id": DATASET},
    ),
]
ANSWERED = [(finder, name) for finder in FINDERS for name in finder.answers]
RECORDED = [(finder, name) for finder in FINDERS for name in finder.wire]
# The published class shows nulls and page 0, and so does the one that takes its place.
SPARE = [(finder, name) for finder, name in RECORDED if finder.cls is not ours.QAIPRetriever]
every = pytest.mark.parametrize("finder", FINDERS, ids=lambda finder: finder.id)


async def found(retriever: Any, query: str, *, sync: bool, **call: Any) -> list[Document]:
    result: list[Document] = (
        retriever.invoke(query, **call) if sync else await retriever.ainvoke(query, **call)
    )
    return result


def depth(body: Any, name: str) -> Any:
    """Return a field of a body, wherever it stands in it."""
    if not isinstance(body, dict):
        return None
    inner = (depth(value, name) for value in body.values())
    return body[name] if name in body else next((v for v in inner if v is not None), None)


# ---- what is found


@pytest.mark.parametrize(("finder", "name"), RECORDED, ids=lambda part: getattr(part, "id", part))
@both_lanes
async def test_a_search_says_what_the_wire_says(
    finder: Finder, name: str, sync: bool, server: FaultServer
) -> None:
    server.replies(CASES[name].reply())
    async with finder.at(server.url) as retriever:
        result = await found(retriever, "q", sync=sync)
    wanted = CASES[name].expected["citations"]
    for document, citation in zip(result, wanted, strict=True):
        said = {k: v for k, v in citation.items() if k not in ("text", "wire_id")}
        assert said.items() <= document.metadata.items()
        assert document.page_content == citation.get("text", "")
        assert document.id == citation.get("wire_id", document.id)


@pytest.mark.parametrize(("finder", "name"), ANSWERED, ids=lambda part: getattr(part, "id", part))
async def test_a_passage_has_the_id_and_the_facts_that_answers_cite_it_by(
    finder: Finder, name: str, sandbox: Sandbox
) -> None:
    async with finder.over(sandbox, k=10) as retriever, named(name).over(sandbox) as model:
        for question in QUESTIONS:
            by_id = {d.id: d for d in await retriever.ainvoke(question)}
            for cited in documents(await model.ainvoke(question)):
                known = by_id[cited.id]
                assert known.page_content == cited.page_content
                for fact in ("url", "source", "title", "page_number", "date", "file_type"):
                    if fact in cited.metadata:
                        assert known.metadata[fact] == cited.metadata[fact]


@every
async def test_every_way_to_ask_finds_the_same(finder: Finder, sandbox: Sandbox) -> None:
    async with finder.over(sandbox) as retriever:
        first = [retriever.invoke(question) for question in QUESTIONS]
        ways = {
            "ainvoke": [await retriever.ainvoke(question) for question in QUESTIONS],
            "batch": retriever.batch(QUESTIONS),
            "abatch": await retriever.abatch(QUESTIONS),
            "gather": await asyncio.gather(*map(retriever.ainvoke, QUESTIONS)),
            "stream": [next(iter(retriever.stream(question))) for question in QUESTIONS],
        }
    views = {way: [list(map(view, result)) for result in results] for way, results in ways.items()}
    expected = [list(map(view, result)) for result in first]
    assert views == {way: expected for way in ways}  # noqa: C420 -- RUF024 is against the other
    assert all(first)


def view(document: Document) -> tuple[Any, ...]:
    """Return a Document without what names the request."""
    facts = {k: v for k, v in document.metadata.items() if k != "search_id"}
    return document.id, document.page_content, json.dumps(facts, sort_keys=True)


@every
async def test_documents_have_sound_facts(finder: Finder, sandbox: Sandbox) -> None:
    async with finder.over(sandbox) as retriever:
        result = await retriever.ainvoke(MANY)
    assert len(result) > 1
    assert [document.metadata["rank"] for document in result] == list(range(1, len(result) + 1))
    assert len({document.id for document in result}) == len(result)
    for document in result:
        assert document.page_content
        assert document.metadata["source"] == document.metadata["url"]
        assert document.metadata["title"]
        assert ("score" in document.metadata) is finder.scores
        assert json.loads(json.dumps(document.metadata)) == document.metadata


@pytest.mark.parametrize(("finder", "name"), SPARE, ids=lambda part: getattr(part, "id", part))
async def test_nothing_stands_for_what_the_wire_lacks(
    finder: Finder, name: str, server: FaultServer
) -> None:
    server.replies(CASES[name].reply())
    async with finder.at(server.url) as retriever:
        result = await retriever.ainvoke("q")
    wanted = CASES[name].expected["citations"]
    for document, citation in zip(result, wanted, strict=True):
        assert not [k for k, v in document.metadata.items() if v in (None, "", [], {})]
        for fact in ("url", "page_number", "score", "date"):
            assert (fact in document.metadata) is (fact in citation)


@every
async def test_the_ids_of_two_searches_agree(finder: Finder, sandbox: Sandbox) -> None:
    texts: dict[Any, set[str]] = {}
    async with finder.over(sandbox) as retriever:
        for document in [d for question in QUESTIONS for d in await retriever.ainvoke(question)]:
            texts.setdefault(document.id, set()).add(document.page_content)
    assert all(len(seen) == 1 for seen in texts.values())


@both_lanes
@every
async def test_nothing_found_is_an_empty_list(finder: Finder, sync: bool, sandbox: Sandbox) -> None:
    async with finder.over(sandbox) as retriever:
        assert await found(retriever, "zebra", sync=sync) == []


@beta
@every
async def test_documents_can_be_kept(finder: Finder, sandbox: Sandbox) -> None:
    async with finder.over(sandbox) as retriever:
        result = await retriever.ainvoke(MANY)
    assert load(dumpd(result), allowed_objects=[Document]) == result
    assert loads(dumps(result), allowed_objects=[Document]) == result
    assert pickle.loads(pickle.dumps(result)) == copy.deepcopy(result) == result


# ---- what is asked


@both_lanes
@every
async def test_what_was_not_set_is_not_sent(
    finder: Finder, sync: bool, server: FaultServer
) -> None:
    server.replies(finder.reply())
    async with finder.at(server.url) as retriever:
        await found(retriever, "Why?", sync=sync)
    body = server.requests[0].json()
    assert set(body) == {finder.query} | finder.bare
    assert body[finder.query] == "Why?"


@both_lanes
@pytest.mark.parametrize(("own", "call"), [(1, None), (None, 1), (7, 1)])
@every
async def test_k_is_sent_and_cuts_the_list(
    finder: Finder, own: int | None, call: int | None, sync: bool, server: FaultServer
) -> None:
    server.replies(finder.reply())
    given = {} if call is None else {"k": call}
    async with finder.at(server.url, k=own) as retriever:
        assert len(await found(retriever, "q", sync=sync, **given)) == 1
    assert depth(server.requests[0].json(), finder.count) == 1


@pytest.mark.parametrize("k", [0, -1, "3", 1.5])
@every
async def test_a_k_that_is_no_count_is_refused(finder: Finder, k: Any, server: FaultServer) -> None:
    async with finder.at(server.url) as retriever:
        for sync in (True, False):
            with pytest.raises(errors.InvalidParameterError, match="k must be a whole number"):
                await found(retriever, "q", sync=sync, k=k)
    assert not server.requests


@every
async def test_a_misspelt_parameter_is_named_before_anything_is_sent(
    finder: Finder, server: FaultServer
) -> None:
    with pytest.raises(errors.InvalidParameterError, match="Did you mean 'max_retries'"):
        finder.at(server.url, max_retris=1)
    name = finder.count
    async with finder.at(server.url) as retriever:
        for sync in (True, False):
            with pytest.raises(theirs.ModelInvalidRequestError, match=f"Did you mean '{name}'"):
                await found(retriever, "q", sync=sync, **{name + "x": 1})
    assert not server.requests


@every
async def test_extra_body_is_sent_as_it_is(finder: Finder, server: FaultServer) -> None:
    server.replies(finder.reply())
    async with finder.at(server.url, extra_body={"new_one": 1}) as retriever:
        await retriever.ainvoke("q", extra_body={"newer": 2})
    assert server.requests[0].json().items() >= {"new_one": 1, "newer": 2}.items()


@every
def test_it_can_be_configured_for_a_call(finder: Finder, server: FaultServer) -> None:
    server.replies(finder.reply())
    dial = finder.at(server.url).configurable_fields(k=ConfigurableField(id="k"))
    assert len(dial.invoke("q", {"configurable": {"k": 1}})) == 1


@every
def test_key_and_address_come_from_the_environment(
    finder: Finder, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(finder.key_env, KEY)
    monkeypatch.setenv(named(finder.answers[0]).url_env, server.url + "/gateway")
    server.replies(finder.reply())
    with finder.at("", api_key=None) as retriever:
        retriever.invoke("q")
    assert KEY in " ".join(server.requests[0].headers.values())
    assert server.requests[0].path.startswith("/gateway/")


# ---- failures and manners

FAILURES: dict[str, tuple[Reply, type[Exception], type[Exception]]] = {
    "400": (json_reply({}, 400), errors.BadRequestError, theirs.ModelInvalidRequestError),
    "401": (json_reply({}, 401), errors.AuthenticationError, theirs.ModelAuthenticationError),
    "403": (json_reply({}, 403), errors.PermissionDeniedError, theirs.ModelPermissionDeniedError),
    "404": (json_reply({}, 404), errors.NotFoundError, theirs.ModelNotFoundError),
    "429": (json_reply({}, 429), errors.RateLimitError, theirs.ModelRateLimitError),
    "500": (json_reply({}, 500), errors.ServerError, theirs.ModelAPIError),
    "page": (html_reply(200), errors.MalformedResponseError, theirs.ModelAPIError),
    "number": (json_reply(7), errors.MalformedResponseError, theirs.ModelAPIError),
    "reset": (
        Reply(raw=b"", end="reset"),
        errors.ServiceConnectionError,
        theirs.ModelConnectionError,
    ),
}


@both_lanes
@pytest.mark.parametrize("failure", FAILURES)
@every
async def test_a_failure_is_of_both_families(
    finder: Finder, failure: str, sync: bool, server: FaultServer
) -> None:
    reply, own, family = FAILURES[failure]
    server.replies(reply)
    async with finder.at(server.url) as retriever:
        with pytest.raises(family) as caught:
            await found(retriever, "q", sync=sync)
    assert isinstance(caught.value, own)
    assert isinstance(caught.value, core.ServiceError)
    assert len(server.requests) == 1
    assert KEY not in "".join(traceback.format_exception(caught.value))


@both_lanes
@every
async def test_what_may_pass_is_asked_again(
    finder: Finder, sync: bool, server: FaultServer
) -> None:
    server.replies(json_reply({}, 429, retry_after_ms="1"), finder.reply())
    async with finder.at(server.url, max_retries=1) as retriever:
        assert await found(retriever, "q", sync=sync)
    assert len(server.requests) == 2


@both_lanes
@every
async def test_another_search_takes_over(finder: Finder, sync: bool, server: FaultServer) -> None:
    server.replies(json_reply({}, 503), finder.reply())
    async with finder.at(server.url) as first, finder.at(server.url) as second:
        assert await found(first.with_fallbacks([second]), "q", sync=sync)
    assert len(server.requests) == 2


class Runs(BaseCallbackHandler):
    """Keeps what a tracer hears of retrievers."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.failed: list[BaseException] = []

    def on_retriever_start(self, *_: Any, metadata: Any = None, **__: Any) -> None:
        self.begun.append(metadata)

    def on_retriever_end(self, found: Any, **_: Any) -> None:
        self.ended.append(found)

    def on_retriever_error(self, error: BaseException, **_: Any) -> None:
        self.failed.append(error)


@both_lanes
@every
async def test_a_run_is_traced_with_class_and_result(
    finder: Finder, sync: bool, server: FaultServer
) -> None:
    server.replies(finder.reply(), json_reply({}, 500))
    runs = Runs()
    async with finder.at(server.url) as retriever:
        traced = retriever.with_config(callbacks=[runs])
        result = await found(traced, "q", sync=sync)
        with pytest.raises(errors.ServerError) as caught:
            await found(traced, "q", sync=sync)
    assert [run["ls_retriever_name"] for run in runs.begun] == [finder.id] * 2
    assert runs.ended == [result]
    assert runs.failed == [caught.value]


@every
async def test_a_search_is_a_tool(finder: Finder, sandbox: Sandbox) -> None:
    async with finder.over(sandbox) as retriever:
        tool = create_retriever_tool(
            retriever, "search", "Searches.", response_format="content_and_artifact"
        )
        call = {"name": "search", "args": {"query": QUESTION}, "id": "c1", "type": "tool_call"}
        message = await tool.ainvoke(call)
        result = await retriever.ainvoke(QUESTION)
    assert PASSAGE in message.content
    assert list(map(view, message.artifact)) == list(map(view, result))


@every
async def test_a_chain_answers_from_what_was_found(finder: Finder, sandbox: Sandbox) -> None:
    prompt = ChatPromptTemplate.from_messages([("human", "{passages}")])
    async with finder.over(sandbox) as retriever, named("fireworks").over(sandbox) as model:
        chain = {"passages": retriever} | prompt | model
        assert (await chain.ainvoke(QUESTION)).text
    assert PASSAGE in json.dumps(sandbox.requests[-1].body)


@every
def test_the_key_is_not_shown(
    finder: Finder, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.replies(finder.reply())
    with caplog.at_level(logging.DEBUG), finder.at(server.url) as retriever:
        retriever.invoke("q")
    shown = (repr(retriever), str(retriever), dumps(retriever), str(retriever.to_json()))
    assert not [text for text in (*shown, caplog.text) if KEY in text]
    assert KEY.encode() not in pickle.dumps(retriever)


@every
async def test_clients_are_closed_unless_they_were_handed_in(
    finder: Finder, server: FaultServer
) -> None:
    server.replies(finder.reply())
    with httpx.Client(verify=False) as sync:
        async with httpx.AsyncClient(verify=False) as async_:
            retriever = finder.at(server.url, http_client=sync, http_async_client=async_)
            retriever.invoke("q")
            await retriever.ainvoke("q")
            await retriever.aclose()
            assert not sync.is_closed
            assert not async_.is_closed
    async with finder.at(server.url) as retriever:
        retriever.invoke("q")
        await retriever.ainvoke("q")
    assert await asyncio.to_thread(server.wait_closed)
