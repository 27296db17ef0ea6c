"""Callbacks hear every token once, and usage is counted alike whole and streamed."""

from functools import partial
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.messages import HumanMessage
from langchain_core.outputs import LLMResult
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_qaip import ChatDify, CitationRetriever
from langchain_qaip.errors import IncompleteStreamError
from support.fault_server import FaultServer, Reply, json_reply

from .models import BY_ID, CHATS, CITING, KEY, MODELS, TEXTS, Kind, every, merged, text_of

both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
COUNTING = [kind for kind in CHATS if kind.service != "qaip"]


class Listener(BaseCallbackHandler):
    """Keeps the tokens, the results, and the names of the runs that began."""

    def __init__(self) -> None:
        self.tokens: list[Any] = []
        self.results: list[LLMResult] = []
        self.parents: list[UUID | None] = []

    def on_chat_model_start(self, *_: Any, parent_run_id: UUID | None = None, **__: Any) -> None:
        self.parents.append(parent_run_id)

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.results.append(response)


class AsyncListener(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.tokens: list[Any] = []

    async def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(token)


async def chunks_of(model: Any, config: Any, *, sync: bool) -> list[Any]:
    if sync:
        return list(model.stream("q", config))
    return [chunk async for chunk in model.astream("q", config)]


@both_lanes
@every(MODELS)
async def test_every_text_chunk_is_heard_once(kind: Kind, sync: bool, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True))
    handler = Listener()
    async with kind.at(server.url) as model:
        chunks = await chunks_of(model, {"callbacks": [handler]}, sync=sync)
    assert [t for t in handler.tokens if t] == [t for t in map(text_of, chunks) if t]
    (result,) = handler.results
    assert result.generations[0][0].text == text_of(merged(chunks))


@every(MODELS)
async def test_an_async_handler_hears_them_too(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True))
    handler = AsyncListener()
    async with kind.at(server.url) as model:
        chunks = await chunks_of(model, {"callbacks": [handler]}, sync=False)
    assert [t for t in handler.tokens if t] == [t for t in map(text_of, chunks) if t]


@both_lanes
@every(CHATS)
async def test_invoke_with_streaming_is_heard_token_by_token(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=True))
    handler = Listener()
    async with kind.at(server.url, streaming=True, callbacks=[handler]) as model:
        answer = model.invoke("q") if sync else await model.ainvoke("q")
    assert len([token for token in handler.tokens if token]) > 1
    assert "".join(handler.tokens) == answer.text


@every(CHATS)
async def test_v2_events_stream_the_tokens(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True))
    async with kind.at(server.url) as model:
        events = [event async for event in model.astream_events("q", version="v2")]
    texts = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(texts) == events[-1]["data"]["output"].text
    assert len([text for text in texts if text]) > 1


@every(COUNTING)
async def test_usage_is_counted_alike_whole_and_streamed(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole), kind.reply(stream=True))
    async with kind.at(server.url) as model:
        with get_usage_metadata_callback() as whole:
            await model.ainvoke("q")
        with get_usage_metadata_callback() as streamed:
            merged([chunk async for chunk in model.astream("q")])
    (name,) = whole.usage_metadata
    assert whole.usage_metadata == streamed.usage_metadata
    assert whole.usage_metadata[name]["total_tokens"] > 0


async def test_usage_of_several_answers_is_added_up(server: FaultServer) -> None:
    kind = next(kind for kind in COUNTING if kind.service == "perplexity")
    server.replies(kind.reply(stream=False))
    async with kind.at(server.url) as model:
        with get_usage_metadata_callback() as counted:
            await model.abatch(["a", "b", "c"])
    assert counted.usage_metadata["sonar"]["total_tokens"] == 63


def test_a_service_without_usage_counts_nothing(server: FaultServer) -> None:
    kind = next(kind for kind in CHATS if kind.service == "qaip")
    server.replies(kind.reply(stream=False))
    with kind.at(server.url) as model, get_usage_metadata_callback() as counted:
        assert model.invoke("q").usage_metadata is None
    assert counted.usage_metadata == {}


@every([kind for kind in CHATS if kind.service == "perplexity"])
def test_a_price_stands_beside_the_counts(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True))
    with kind.at(server.url) as model:
        total = merged(model.stream("q"))
    assert total.response_metadata["cost"]["total_cost"] == 0.00503
    usage = total.usage_metadata
    assert all(isinstance(usage[name], int) for name in usage if not name.endswith("_details"))


@every([kind for kind in TEXTS if kind.service != "qaip"])
def test_the_usage_of_several_prompts_is_added_up(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        once = model.generate(["a"]).llm_output
        twice = model.generate(["a", "b"]).llm_output
    assert once["token_usage"]["total_tokens"] * 2 == twice["token_usage"]["total_tokens"]
    assert len(server.requests) == 3


@every(CHATS)
def test_token_usage_of_generate_is_added_up(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        output = model.generate([[HumanMessage("a")], [HumanMessage("b")]]).llm_output
    assert ("token_usage" in output) is (kind.service != "qaip")


@both_lanes
@every(CITING)
async def test_the_run_of_the_model_is_a_child_of_its_retrievers(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    handler = Listener()
    async with kind.at(server.url) as model:
        retriever: CitationRetriever = model.as_retriever()
        config: Any = {"callbacks": [handler]}
        found = retriever.invoke("q", config) if sync else await retriever.ainvoke("q", config)
    assert found
    assert len(handler.parents) == 1
    assert handler.parents[0] is not None


async def test_a_rate_limiter_is_asked_once_a_call(server: FaultServer) -> None:
    kind = next(kind for kind in CHATS if kind.service == "perplexity")
    server.replies(kind.reply(stream=False))
    limiter = InMemoryRateLimiter(
        requests_per_second=0.001, check_every_n_seconds=0.01, max_bucket_size=2
    )
    limiter.available_tokens = 2.0
    async with kind.at(server.url, rate_limiter=limiter) as model:
        await model.ainvoke("a")
        model.invoke("b")
    assert limiter.available_tokens < 1


async def test_several_prompts_fail_together_and_leave_nothing_running(
    server: FaultServer,
) -> None:
    kind = next(kind for kind in TEXTS if kind.service == "perplexity")
    server.replies(json_reply({}, 500))
    async with kind.at(server.url) as model:
        with pytest.raises(Exception, match="500"):
            await model.agenerate(["a", "b", "c"])


@beta
@every(CHATS)
def test_v3_tokens_are_those_of_a_stream(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True), kind.reply(stream=True))
    heard: list[list[str]] = []
    with kind.at(server.url) as model:
        for ask in (model.stream, partial(model.stream_events, version="v3")):
            listener = Listener()
            list(ask("q", {"callbacks": [listener]}))
            heard.append([token for token in listener.tokens if token])
    assert heard[0] == heard[1]


@beta
@pytest.mark.parametrize("case", ["stream_message_replace_late", "stream_message_replace_early"])
def test_a_replacement_is_no_token(case: str, server: FaultServer) -> None:
    server.replies(BY_ID[f"dify/{case}"].reply())
    listener = Listener()
    with ChatDify(api_key=KEY, base_url=server.url) as model:
        stream = model.stream_events("q", {"callbacks": [listener]}, version="v3")
        text = str(stream.output.text)
    assert "".join(listener.tokens) == text


@beta
@every(CHATS)
def test_v3_events_that_break_off_raise_with_what_had_come(kind: Kind, server: FaultServer) -> None:
    begun = BY_ID[f"{kind.service}/{kind.stream}"]
    head = kind.reply(stream=True).headers
    server.replies(
        Reply(headers=head, content_type=None, body=[begun.body[: len(begun.body) // 2]])
    )
    with kind.at(server.url) as model, pytest.raises(IncompleteStreamError) as caught:
        list(model.stream_events("q", version="v3"))
    assert caught.value.partial is not None
