"""What applications build around the models: chains, retrievers, tools, limits, second choices."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from langchain_core import exceptions as theirs
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import (
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import LLMResult
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder, PromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import (
    ConfigurableField,
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import create_retriever_tool

from langchain_qaip import CitationRetriever, documents
from langchain_qaip import errors as ours
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, json_reply

from .models import BY_ID, CHATS, CITING, MODELS, QUESTION, Kind, every, merged, named, text_of

QUESTIONS = [QUESTION, "How many days of paid leave does an employee have?"]
PASSAGE = "Lanternworks accepts returns within 45 days"
FIREWORKS, QAIP, PERPLEXITY, DIFY = map(named, ("fireworks", "qaip", "perplexity", "dify"))
COUNTING = [kind for kind in CHATS if kind.service != "qaip"]
NAMED = [kind for kind in MODELS if kind.cls.endpoint.takes("model")]
FAILING: dict[str, tuple[Reply, type[Exception]]] = {
    "429": (json_reply({"message": "Slow down."}, 429), theirs.ModelRateLimitError),
    "503": (json_reply({"message": "Later."}, 503), theirs.ModelAPIError),
    "reset": (Reply(raw=b"", end="reset"), theirs.ModelConnectionError),
}
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
every_failure = pytest.mark.parametrize(
    ("reply", "family"), [pytest.param(*failure, id=name) for name, failure in FAILING.items()]
)
old = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


async def invoked(runnable: Any, asked: Any, config: Any = None, *, sync: bool) -> Any:
    return runnable.invoke(asked, config) if sync else await runnable.ainvoke(asked, config)


async def streamed(runnable: Any, asked: Any, config: Any = None, *, sync: bool) -> list[Any]:
    if sync:
        return list(runnable.stream(asked, config))
    return [chunk async for chunk in runnable.astream(asked, config)]


def answering(kind: Kind, server: FaultServer, *, stream: bool = False) -> None:
    server.replies(kind.reply(stream=stream or kind.streams_whole))


def sent_to(sandbox: Sandbox) -> str:
    """Return the body of the last request."""
    return json.dumps(sandbox.requests[-1].body, ensure_ascii=False)


# Retrieval


def below_each_other(found: Sequence[Document]) -> str:
    return "\n\n".join(f"({d.metadata['rank']}) {d.page_content}" for d in found)


PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer from these passages:\n{passages}"), ("human", "{question}")]
)


def rag(retriever: CitationRetriever, model: Any) -> Runnable[Any, Any]:
    """Return a chain that answers from what the retriever finds, and gives that as well."""
    found = RunnablePassthrough.assign(sources=RunnableLambda(_question) | retriever)
    passages = RunnableLambda(_sources) | below_each_other
    answer = RunnablePassthrough.assign(passages=passages) | PROMPT | model
    return found | RunnableParallel(answer=answer, sources=RunnableLambda(_sources))


def _question(given: Any) -> Any:
    return given["question"]


def _sources(given: Any) -> Any:
    return given["sources"]


@both_lanes
@every(CITING)
async def test_a_chain_answers_from_what_the_retriever_finds(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as searching, FIREWORKS.over(sandbox) as speaking:
        chain = rag(searching.as_retriever(k=1), speaking)
        given = await invoked(chain, {"question": QUESTION}, sync=sync)
    assert f"(1) {PASSAGE}" in sent_to(sandbox)
    assert PASSAGE in given["answer"].text
    assert given["sources"][0].page_content.startswith(PASSAGE)
    assert given["answer"].response_metadata["model_provider"] == speaking.provider


@both_lanes
@every(CITING)
async def test_a_chain_over_a_retriever_streams_sources_and_answer(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as searching, FIREWORKS.over(sandbox) as speaking:
        chain = rag(searching.as_retriever(), speaking)
        parts = await streamed(chain, {"question": QUESTION}, sync=sync)
    pieces = [part["answer"] for part in parts if "answer" in part]
    assert len([piece for piece in pieces if piece.text]) > 1
    assert PASSAGE in merged(pieces).text
    (sources,) = [part["sources"] for part in parts if part.get("sources")]
    assert [source.metadata["rank"] for source in sources] == [1]


@both_lanes
@every(CITING)
async def test_a_retriever_tool_keeps_the_documents_on_the_message(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    call = {"type": "tool_call", "id": "c1", "name": "search", "args": {"query": QUESTION}}
    async with kind.over(sandbox) as model:
        retriever = model.as_retriever()
        tool = create_retriever_tool(
            retriever,
            "search",
            "Searches the handbook.",
            document_prompt=PromptTemplate.from_template("{page_content} <{source}>"),
            response_format="content_and_artifact",
        )
        message = await invoked(tool, call, sync=sync)
        expected = documents(await model.ainvoke(QUESTION))
    assert message.artifact == expected
    assert all(document.id for document in message.artifact)
    assert message.content == f"{expected[0].page_content} <{expected[0].metadata['url']}>"
    assert message.tool_call_id == "c1"


@both_lanes
@every(CITING)
async def test_a_retriever_tool_fails_with_our_class(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(json_reply({}, 429))
    async with kind.at(server.url) as model:
        tool = create_retriever_tool(model.as_retriever(), "search", "Searches.")
        with pytest.raises(theirs.ModelRateLimitError) as caught:
            await invoked(tool, {"query": "q"}, sync=sync)
    assert type(caught.value) is ours.RateLimitError


@both_lanes
@every(CITING)
async def test_several_wordings_of_a_question_find_every_source_once(
    kind: Kind, sync: bool, server: FaultServer, sandbox: Sandbox
) -> None:
    retrievers = pytest.importorskip("langchain_classic.retrievers")
    wordings = "\n".join([*QUESTIONS, QUESTION])
    choice = {"message": {"role": "assistant", "content": wordings}, "finish_reason": "stop"}
    server.replies(json_reply({"id": "x", "model": "m", "choices": [{"index": 0, **choice}]}))
    logging.getLogger("langchain_classic").setLevel(logging.WARNING)
    async with kind.over(sandbox) as model, FIREWORKS.at(server.url) as wording:
        several = retrievers.MultiQueryRetriever.from_llm(model.as_retriever(), wording)
        found = await invoked(several, "days?", sync=sync)
        expected = [d for q in QUESTIONS for d in documents(await model.ainvoke(q))]
    ids = [document.id for document in found]
    assert len(set(ids)) == len(ids) == 2
    assert set(ids) == {document.id for document in expected}


class KeepReturns(BaseDocumentCompressor):
    """Keeps the passages about returns, as they are."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        return [document for document in documents if "returns" in document.page_content]


@both_lanes
@every(CITING)
async def test_a_compressed_list_of_sources_keeps_ids_and_metadata(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    retrievers = pytest.importorskip("langchain_classic.retrievers")
    question = "How many days of leave, and within how many days are returns accepted?"
    async with kind.over(sandbox) as model:
        all_found = documents(await model.ainvoke(question))
        compressing = retrievers.ContextualCompressionRetriever(
            base_compressor=KeepReturns(), base_retriever=model.as_retriever()
        )
        found = await invoked(compressing, question, sync=sync)
    assert found == [d for d in all_found if "returns" in d.page_content]
    assert len(found) < len(all_found)


@both_lanes
@every(CITING)
async def test_a_model_of_ours_can_shorten_the_sources(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    retrievers = pytest.importorskip("langchain_classic.retrievers")
    shortening = pytest.importorskip("langchain_classic.retrievers.document_compressors")
    async with kind.over(sandbox) as model, FIREWORKS.over(sandbox) as reading:
        compressing = retrievers.ContextualCompressionRetriever(
            base_compressor=shortening.LLMChainExtractor.from_llm(reading),
            base_retriever=model.as_retriever(),
        )
        (found,) = await invoked(compressing, QUESTION, sync=sync)
    assert found.page_content
    assert found.metadata["url"].removesuffix("#returns").endswith("returns.md")


@both_lanes
async def test_retrievers_of_several_services_are_merged(sync: bool, sandbox: Sandbox) -> None:
    retrievers = pytest.importorskip("langchain_classic.retrievers")
    models = [kind.over(sandbox) for kind in CITING]
    ensemble = retrievers.EnsembleRetriever(
        retrievers=[model.as_retriever() for model in models],
        weights=[1 / len(models)] * len(models),
    )
    found = await invoked(ensemble, QUESTION, sync=sync)
    for model in models:
        await model.aclose()
    assert [document.page_content.startswith(PASSAGE) for document in found] == [True]


@both_lanes
async def test_several_services_answer_at_once(sync: bool, sandbox: Sandbox) -> None:
    models = {kind.name: kind.over(sandbox) for kind in CHATS}
    answers = await invoked(RunnableParallel(models), QUESTION, sync=sync)
    for model in models.values():
        await model.aclose()
    assert {name: answer.text.startswith(PASSAGE) for name, answer in answers.items()} == (
        dict.fromkeys(models, True)
    )


@old
@both_lanes
@every(CHATS)
async def test_a_history_goes_into_the_prompt_of_the_next_turn(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Be brief."), MessagesPlaceholder("history"), ("human", "{question}")]
    )
    histories: dict[str, Any] = {}

    def history_of(session_id: str) -> Any:
        return histories.setdefault(session_id, InMemoryChatMessageHistory())

    async with kind.over(sandbox) as model:
        talk = RunnableWithMessageHistory(
            prompt | model,
            history_of,
            input_messages_key="question",
            history_messages_key="history",
        )
        said = []
        for question, session in ((QUESTIONS[1], "a"), (QUESTION, "a"), (QUESTION, "b")):
            config = {"configurable": {"session_id": session}}
            said.append(await invoked(talk, {"question": question}, config, sync=sync))
            assert (QUESTIONS[1] in sent_to(sandbox)) is (session == "a")
    assert [message.type for message in histories["a"].messages] == ["human", "ai"] * 2
    assert [m.text for m in histories["a"].messages[1::2]] == [m.text for m in said[:2]]
    assert len({message.text for message in said}) > 1


# Second choices and second tries


@every_failure
@every(CHATS)
async def test_a_fallback_for_a_family_of_errors_answers(
    kind: Kind, reply: Reply, family: type[Exception], server: FaultServer, sandbox: Sandbox
) -> None:
    server.replies(reply)
    async with kind.at(server.url) as first, kind.over(sandbox) as second:
        model = first.with_fallbacks([second], exceptions_to_handle=(family,))
        answers = [await invoked(model, QUESTION, sync=sync) for sync in (True, False)]
        answers += [merged(await streamed(model, QUESTION, sync=sync)) for sync in (True, False)]
    assert [PASSAGE in answer.text for answer in answers] == [True] * 4
    assert len(server.requests) == 4


@both_lanes
@every(CHATS)
async def test_a_fallback_answers_where_nobody_listens(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    with FaultServer() as gone:
        url = gone.url
    async with kind.at(url) as first, kind.over(sandbox) as second:
        model = first.with_fallbacks([second])
        assert PASSAGE in (await invoked(model, QUESTION, sync=sync)).text


@both_lanes
@every(CHATS)
async def test_a_fallback_does_not_answer_what_is_wrong_for_every_model(
    kind: Kind, sync: bool, server: FaultServer, sandbox: Sandbox
) -> None:
    server.replies(json_reply({"message": "No."}, 400))
    asked = len(sandbox.requests)
    retryable = (theirs.ModelRateLimitError, theirs.ModelAPIError, theirs.ModelConnectionError)
    async with kind.at(server.url) as first, kind.over(sandbox) as second:
        model = first.with_fallbacks([second], exceptions_to_handle=retryable)
        with pytest.raises(theirs.ModelInvalidRequestError):
            await invoked(model, QUESTION, sync=sync)
    assert len(sandbox.requests) == asked


@every_failure
@every(CHATS)
async def test_with_retry_asks_again_after_a_family_of_errors(
    kind: Kind, reply: Reply, family: type[Exception], server: FaultServer
) -> None:
    answer = kind.reply(stream=kind.streams_whole)
    server.replies(reply, reply, answer, reply, reply, answer)
    async with kind.at(server.url) as model:
        again = model.with_retry(retry_if_exception_type=(family,), wait_exponential_jitter=False)
        assert again.invoke("q").text == (await again.ainvoke("q")).text
    assert len(server.requests) == 6


@both_lanes
@every(CHATS)
async def test_with_retry_asks_again_only_for_what_failed_in_a_batch(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(FAILING["429"][0])
    answering(kind, server)
    config: RunnableConfig = {"max_concurrency": 1}
    async with kind.at(server.url) as model:
        again = model.with_retry(
            retry_if_exception_type=(theirs.ModelRateLimitError,), wait_exponential_jitter=False
        )
        prompts = ["a", "b", "c"]
        answers = again.batch(prompts, config) if sync else await again.abatch(prompts, config)
    assert all(answer.text for answer in answers)
    assert len(server.requests) == 4


# Configuration


@every(NAMED)
def test_model_and_temperature_can_be_configured_for_a_call(
    kind: Kind, server: FaultServer
) -> None:
    answering(kind, server)
    with kind.at(server.url, max_tokens=19, stop=None) as own:
        dial = own.configurable_fields(
            model=ConfigurableField(id="model"), temperature=ConfigurableField(id="heat")
        )
        for configurable in ({}, {"model": "other", "heat": 0.25}, {"heat": 0.5}):
            assert text_of(dial.invoke("q", {"configurable": configurable}))
    sent = [request.json() for request in server.requests]
    first = kind.params.get("model")
    assert [(body.get("model"), body.get("temperature")) for body in sent] == [
        (first, None),
        ("other", 0.25),
        (first, 0.5),
    ]
    assert [body[kind.wire_name("max_tokens")] for body in sent] == [19, 19, 19]


@both_lanes
async def test_the_service_can_be_configured_for_a_call(sync: bool, sandbox: Sandbox) -> None:
    models = {kind.name: kind.over(sandbox) for kind in CHATS}
    others = {name: model for name, model in models.items() if name != "qaip"}
    chosen = models["qaip"].configurable_alternatives(
        ConfigurableField(id="service"), default_key="qaip", **others
    )
    chain = PROMPT | chosen
    asked = {"passages": "none", "question": QUESTION}
    for name, model in models.items():
        answer = await invoked(chain, asked, {"configurable": {"service": name}}, sync=sync)
        assert answer.response_metadata["model_provider"] == model.provider
        assert sandbox.requests[-1].service == name.partition("-")[0]
    for model in models.values():
        await model.aclose()


# Limits


class CountingLimiter(InMemoryRateLimiter):
    """Lets everything through, and counts."""

    def __init__(self) -> None:
        super().__init__(requests_per_second=1e6)
        self.asked = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return True


async def _batch(model: Any) -> Any:
    model.batch(["a", "b", "c"])


async def _abatch(model: Any) -> Any:
    await model.abatch(["a", "b", "c"])


async def _invoke(model: Any) -> Any:
    model.invoke("q")


async def _ainvoke(model: Any) -> Any:
    await model.ainvoke("q")


async def _stream(model: Any) -> Any:
    list(model.stream("q"))


async def _astream(model: Any) -> Any:
    await streamed(model, "q", sync=False)


async def _v3_events(model: Any) -> Any:
    assert model.stream_events("q", version="v3").output


async def _v2_events(model: Any) -> Any:
    assert [event async for event in model.astream_events("q", version="v2")]


WAYS: list[Callable[[Any], Any]] = [
    _batch, _abatch, _invoke, _ainvoke, _stream, _astream, _v3_events, _v2_events,
]  # fmt: skip


@beta
@every(CHATS)
async def test_a_rate_limiter_is_asked_once_for_every_request(kind: Kind, sandbox: Sandbox) -> None:
    limiter = CountingLimiter()
    seen: dict[str, tuple[int, int]] = {}
    async with kind.over(sandbox, rate_limiter=limiter) as model:
        for way in WAYS:
            asked, sent = limiter.asked, len(sandbox.requests)
            await way(model)
            seen[way.__name__] = (limiter.asked - asked, len(sandbox.requests) - sent)
    once = {way.__name__: (1, 1) for way in WAYS}
    assert seen == once | {"_batch": (3, 3), "_abatch": (3, 3)}


@both_lanes
@every(CHATS)
async def test_a_rate_limiter_is_not_asked_for_an_answer_of_the_cache(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    answering(kind, server)
    limiter = CountingLimiter()
    async with kind.at(server.url, rate_limiter=limiter, cache=InMemoryCache()) as model:
        for _ in range(3):
            await invoked(model, "q", sync=sync)
    assert limiter.asked == 1


@both_lanes
@every(CHATS)
async def test_a_batch_keeps_to_its_concurrency(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    pause = 0.01
    server.replies(replace(kind.reply(stream=kind.streams_whole), delay=pause))
    config: RunnableConfig = {"max_concurrency": 2}
    async with kind.at(server.url) as model:
        prompts = list("abcde")
        answers = model.batch(prompts, config) if sync else await model.abatch(prompts, config)
    assert len(answers) == len(server.requests) == 5
    times = sorted(request.at for request in server.requests)
    # The third after a request begins when that or the next has been answered.
    assert all(
        later - earlier >= pause * 0.9 for earlier, later in zip(times, times[2:], strict=False)
    )


@both_lanes
@every(CHATS)
async def test_what_is_bound_or_given_to_a_call_is_one_question_to_the_cache(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    answering(kind, server)
    own: dict[str, dict[str, Any]] = {"qaip": {"tag_names": ["tea"]}, "dify": {"user": "ann"}}
    call = own.get(kind.service, {"temperature": 0.5})
    async with kind.at(server.url, cache=InMemoryCache()) as model:
        await invoked(model.bind(**call), "q", sync=sync)
        await invoked(model.bind(**call), "q", sync=not sync)
        model.invoke("q", **call)
        assert len(server.requests) == 1
        await invoked(model, "q", sync=sync)
    assert len(server.requests) == 2


# Callbacks


@both_lanes
async def test_usage_is_counted_for_each_model_of_a_chain(sync: bool, sandbox: Sandbox) -> None:
    own: dict[str, dict[str, str]] = {"fireworks": {"model": "m-1"}, "pais": {"model": "m-2"}}
    models = {k.name: k.over(sandbox, **own.get(k.name, {})) for k in COUNTING}
    with get_usage_metadata_callback() as counted:
        answers = await invoked(RunnableParallel(models), QUESTION, sync=sync)
    for model in models.values():
        await model.aclose()
    usage = {name: answer.usage_metadata for name, answer in answers.items()}
    assert counted.usage_metadata == {
        "m-1": usage["fireworks"],
        "m-2": usage["pais"],
        "sonar": usage["perplexity"],
        "perplexity/sonar": usage["perplexity-agent"],
        "sandbox-extractive": usage["pais-agent"],
        "dify": add_usage(usage["dify"], usage["dify-conversation"]),
    }


@every(COUNTING)
async def test_usage_of_whole_streamed_and_batched_answers_adds_up(
    kind: Kind, sandbox: Sandbox
) -> None:
    handler = UsageMetadataCallbackHandler()
    config: RunnableConfig = {"callbacks": [handler]}
    async with kind.over(sandbox) as model:
        answers = [
            model.invoke(QUESTION, config),
            await model.ainvoke(QUESTION, config),
            merged(await streamed(model, QUESTION, config, sync=True)),
            merged(await streamed(model, QUESTION, config, sync=False)),
            *model.batch(QUESTIONS, config),
            *await model.abatch(QUESTIONS, config),
        ]
    (total,) = handler.usage_metadata.values()
    for count in ("input_tokens", "output_tokens", "total_tokens"):
        assert total[count] == sum(answer.usage_metadata[count] for answer in answers)
    assert total["total_tokens"] > 0


@every([kind for kind in CITING if kind in COUNTING])
async def test_usage_of_a_retriever_is_counted(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        with get_usage_metadata_callback() as counted:
            await model.as_retriever().ainvoke(QUESTION)
            model.as_retriever().invoke(QUESTION)
        expected = model.invoke(QUESTION).usage_metadata["total_tokens"]
    (total,) = counted.usage_metadata.values()
    assert total["total_tokens"] == 2 * expected


class Failures(BaseCallbackHandler):
    """Keeps the failures, and what LangChain had of the answers."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Any]] = []
        self.retriever: list[BaseException] = []
        self.chain: list[UUID] = []

    def on_llm_error(self, error: BaseException, *, response: Any = None, **_: Any) -> None:
        self.seen.append((error, response))

    def on_retriever_error(self, error: BaseException, **_: Any) -> None:
        self.retriever.append(error)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self.chain.append(run_id)


def cut_in_the_middle(kind: Kind) -> Reply:
    body = BY_ID[f"{kind.service}/{kind.stream}"].body
    return replace(kind.reply(stream=True), body=[body[: len(body) // 2]], end="cut")


async def keep(shown: list[Any], model: Any, config: Any, *, sync: bool) -> None:
    """Add the chunks to `shown` one by one: those before a failure stay there."""
    if sync:
        for chunk in model.stream("q", config):
            shown.append(chunk)  # noqa: PERF402 -- what comes before the error counts
    else:
        async for chunk in model.astream("q", config):
            shown.append(chunk)  # noqa: PERF401


@both_lanes
@every(CHATS)
async def test_a_handler_hears_of_a_cut_stream_with_what_had_arrived(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(cut_in_the_middle(kind))
    handler = Failures()
    shown: list[Any] = []
    async with kind.at(server.url) as model:
        with pytest.raises(ours.IncompleteStreamError) as caught:
            await keep(shown, model, {"callbacks": [handler]}, sync=sync)
    ((error, response),) = handler.seen
    assert error is caught.value
    assert isinstance(response, LLMResult)
    assert caught.value.partial_text
    assert response.generations[0][0].text == caught.value.partial_text
    assert merged(shown).text == caught.value.partial_text


@both_lanes
@every(CHATS)
async def test_a_whole_answer_that_was_streamed_fails_with_its_part(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(cut_in_the_middle(kind))
    handler = Failures()
    async with kind.at(server.url, streaming=True) as model:
        with pytest.raises(ours.IncompleteStreamError) as caught:
            await invoked(model, "q", {"callbacks": [handler]}, sync=sync)
    assert [error for error, _ in handler.seen] == [caught.value]
    assert caught.value.partial_text


@both_lanes
@every(CITING)
async def test_a_failing_retriever_is_heard_with_our_class(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(json_reply({}, 503))
    handler = Failures()
    async with kind.at(server.url) as model:
        chain = RunnablePassthrough() | model.as_retriever()
        with pytest.raises(ours.ServerError) as caught:
            await invoked(chain, "q", {"callbacks": [handler]}, sync=sync)
    assert handler.retriever == [caught.value]
    assert [error for error, _ in handler.seen] == [caught.value]
    assert len(handler.chain) == 1


@every(CHATS)
def test_a_model_is_asked_from_several_threads_at_once(kind: Kind, sandbox: Sandbox) -> None:
    texts: dict[int, str] = {}
    with kind.over(sandbox) as model:

        def ask(number: int) -> None:
            texts[number] = model.invoke(QUESTIONS[number % 2]).text

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({texts[n] for n in (0, 2, 4)}) == len({texts[n] for n in (1, 3, 5)}) == 1
    assert texts[0] != texts[1]


@every(CHATS)
async def test_answers_that_are_asked_for_at_once_do_not_mix(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        answers = await asyncio.gather(
            *(streamed(model, QUESTIONS[number % 2], sync=False) for number in range(6))
        )
        alone = [(await model.ainvoke(question)).text for question in QUESTIONS]
    assert [merged(chunks).text for chunks in answers] == alone * 3
