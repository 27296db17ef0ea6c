"""What LangChain expects of a text LLM, of all five; langchain-tests has no suite for them."""

import asyncio
import inspect
import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from langchain_core import exceptions as theirs
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.language_models import BaseLLM
from langchain_core.load import dumpd, load
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import GenerationChunk, LLMResult
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableSequence

from langchain_qaip import errors as ours
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, json_reply

from .models import BY_ID, MODELS, QUESTION, TEXTS, Kind, every, merged, named, text_of

QUESTIONS = [
    QUESTION,
    "Is return shipping free inside the European Union?",
    "How many days of paid leave does an employee have?",
    "修理の送料は無料ですか",
    "zebra",
]
ANSWERS = [
    "Lanternworks accepts returns within 45 days of delivery.",
    "Return shipping is free inside the European Union.",
    "Every employee has 28 days of paid leave per year.",
    "修理の送料は無料です。",
    "I could not find an answer to this question in the documents.",
]
STOP, BEFORE_STOP = " within", "Lanternworks accepts returns"
CITING = [kind for kind in TEXTS if kind.cls.endpoint.cites]
COUNTING = [kind for kind in TEXTS if kind.service != "qaip"]
OF_ONE_REQUEST = {"request_id", "id", "headers", "created", "price", "task_id", "message_id"} | {
    "conversation_id", "user_message_id", "assistant_message_id",
}  # fmt: skip
Calls = tuple[dict[str, Any], dict[str, Any]]
HEAT: Calls = ({"temperature": 0}, {"temperature": 1})
PER_CALL: dict[str, Calls] = {
    "qaip": ({"tag_names": ["tea"]}, {"tag_names": ["lamp"]}),
    "fireworks": HEAT,
    "pais": HEAT,
    "perplexity": HEAT,
    "dify": ({"user": "ann"}, {"user": "bob"}),
    "pais-agent": HEAT,
}
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


async def _invoke(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return [llm.invoke(prompt, **call) for prompt in prompts]


async def _ainvoke(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return [await llm.ainvoke(prompt, **call) for prompt in prompts]


async def _bound(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return [llm.bind(**call).invoke(prompt) for prompt in prompts]


async def _stream(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return ["".join(llm.stream(prompt, **call)) for prompt in prompts]


async def _astream(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return ["".join([piece async for piece in llm.astream(p, **call)]) for p in prompts]


async def _batch(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return list(llm.batch(prompts, **call))


async def _abatch(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return list(await llm.abatch(prompts, **call))


async def _batch_in_twos(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return list(llm.batch(prompts, {"max_concurrency": 2}, **call))


async def _generate(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return [row[0].text for row in llm.generate(prompts, **call).generations]


async def _agenerate(llm: Any, prompts: list[str], **call: Any) -> list[str]:
    return [row[0].text for row in (await llm.agenerate(prompts, **call)).generations]


WHOLE = [_invoke, _ainvoke, _bound, _batch, _abatch, _batch_in_twos, _generate, _agenerate]
STREAMED = [_stream, _astream]


async def by_way(ways: list[Any], llm: Any, prompts: list[str], **call: Any) -> dict[str, Any]:
    """Return the answers under the names of the ways to ask for them."""
    return {way.__name__: await way(llm, prompts, **call) for way in ways}


def all_alike(ways: list[Any], expected: Any) -> dict[str, Any]:
    return {way.__name__: expected for way in ways}


class Listener(BaseCallbackHandler):
    """Keeps what a handler is told of the runs of text LLMs."""

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.heard: list[tuple[str, Any]] = []
        self.results: list[LLMResult] = []
        self.failures: list[tuple[BaseException, LLMResult]] = []

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        known = {"parent": parent_run_id, **(metadata or {})}
        self.starts.append({"serialized": serialized, "prompts": prompts, **known})

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
        self.heard.append((token, chunk))

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.results.append(response)

    def on_llm_error(self, error: BaseException, *, response: Any = None, **_: Any) -> None:
        self.failures.append((error, response))


class AsyncListener(AsyncCallbackHandler):
    """The same for tokens, awaited."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    async def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
        await asyncio.sleep(0)
        self.heard.append((token, chunk))


async def pieces_of(llm: Any, prompt: Any, config: Any = None, *, sync: bool) -> list[str]:
    if sync:
        return list(llm.stream(prompt, config))
    return [piece async for piece in llm.astream(prompt, config)]


async def generated(llm: Any, prompts: list[str], *, sync: bool, **call: Any) -> LLMResult:
    result = llm.generate(prompts, **call) if sync else await llm.agenerate(prompts, **call)
    assert isinstance(result, LLMResult)
    return result


def still(info: Any) -> Any:
    """Return what does not differ from request to request."""
    return {k: v for k, v in (info or {}).items() if k not in OF_ONE_REQUEST}


def answering(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))


def sources_apart(text: str) -> str:
    return text.removesuffix("[1]")


# Answers


@every(TEXTS)
async def test_every_way_answers_several_prompts_in_their_order(
    kind: Kind, sandbox: Sandbox
) -> None:
    ways = [*WHOLE, *STREAMED]
    async with kind.over(sandbox) as llm:
        answers = await by_way(ways, llm, QUESTIONS)
    plain = {way: [sources_apart(text) for text in texts] for way, texts in answers.items()}
    assert plain == all_alike(ways, ANSWERS)


@pytest.mark.parametrize("given", ["constructor", "call"])
@every(TEXTS)
async def test_every_way_ends_before_a_stop_sequence(
    kind: Kind, given: str, sandbox: Sandbox
) -> None:
    ways = [*WHOLE, *STREAMED]
    own, call = ({"stop": [STOP]}, {}) if given == "constructor" else ({}, {"stop": [STOP]})
    async with kind.over(sandbox, **own) as llm:
        answers = await by_way(ways, llm, [QUESTION], **call)
    assert answers == all_alike(ways, [BEFORE_STOP])


@both_lanes
@every(TEXTS)
async def test_a_whole_answer_and_a_merged_stream_say_the_same_beside_the_text(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    listener = Listener()
    async with kind.over(sandbox, callbacks=[listener]) as llm:
        result = await generated(llm, [QUESTION], sync=sync)
        await pieces_of(llm, QUESTION, sync=sync)
    whole, streamed = result.generations[0][0], listener.results[-1].generations[0][0]
    assert streamed.text == whole.text
    assert still(streamed.generation_info) == still(whole.generation_info)
    assert (whole.generation_info or {})["finish_reason"] == "stop"


@every(TEXTS)
def test_an_answer_says_of_citations_and_usage_what_its_service_gives(
    kind: Kind, sandbox: Sandbox
) -> None:
    with kind.over(sandbox) as llm:
        info = llm.generate([QUESTION]).generations[0][0].generation_info
    assert ("citations" in info) is ("annotations" in info) is (kind in CITING)
    assert ("token_usage" in info) is (kind in COUNTING)
    assert info["model_name"] == kind.sandboxed_model


@every(TEXTS)
def test_an_answer_without_sources_has_no_citations(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as llm:
        info = llm.generate(["zebra"]).generations[0][0].generation_info
    assert not {"citations", "annotations"} & info.keys()


@both_lanes
@every(COUNTING)
async def test_the_output_counts_the_tokens_of_all_prompts_and_names_the_model(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as llm:
        result = await generated(llm, QUESTIONS, sync=sync)
    total: dict[str, int] = {}
    for row in result.generations:
        for name, count in (row[0].generation_info or {})["token_usage"].items():
            total[name] = total.get(name, 0) + count
    assert result.llm_output == {"model_name": kind.sandboxed_model, "token_usage": total}


@both_lanes
@every([kind for kind in TEXTS if kind not in COUNTING])
async def test_the_output_counts_nothing_where_the_service_does_not(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as llm:
        assert (await generated(llm, QUESTIONS, sync=sync)).llm_output == {"model_name": "qaip"}


@both_lanes
@pytest.mark.parametrize("given", ["constructor", "call"])
@every([kind for kind in TEXTS if kind.cls.endpoint.takes("n")])
async def test_several_choices_stand_in_the_row_of_their_prompt(
    kind: Kind, given: str, sync: bool, sandbox: Sandbox
) -> None:
    own, call = ({"n": 2}, {}) if given == "constructor" else ({}, {"n": 2})
    async with kind.over(sandbox, **own) as llm:
        result = await generated(llm, QUESTIONS[:2], sync=sync, **call)
    assert [len(row) for row in result.generations] == [2, 2]
    assert [row[0].text for row in result.generations] == ANSWERS[:2]
    assert all(
        (g.generation_info or {})["finish_reason"] for row in result.generations for g in row
    )


@both_lanes
@every(TEXTS)
async def test_no_prompts_are_no_requests(kind: Kind, sync: bool, server: FaultServer) -> None:
    async with kind.at(server.url) as llm:
        assert (await generated(llm, [], sync=sync)).generations == []
    assert not server.requests


@every(TEXTS)
def test_messages_are_written_into_one_prompt(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as llm:
        answer = llm.invoke([("system", "Be brief."), HumanMessage(QUESTION)])
    sent = json.dumps(sandbox.requests[-1].body)
    assert "System: Be brief.\\nHuman: Within how many days" in sent
    assert sources_apart(answer) == ANSWERS[0]


@both_lanes
@every(TEXTS)
async def test_the_field_streaming_makes_a_whole_answer_heard_token_by_token(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    listener = Listener()
    async with kind.over(sandbox, streaming=True, callbacks=[listener]) as llm:
        heard = (await generated(llm, [QUESTION], sync=sync)).generations[0][0]
    async with kind.over(sandbox) as llm:
        silent = (await generated(llm, [QUESTION], sync=sync)).generations[0][0]
    tokens = [token for token, _ in listener.heard]
    assert len([token for token in tokens if token]) > 1
    assert "".join(tokens) == heard.text == silent.text
    assert still(heard.generation_info) == still(silent.generation_info)


# Callbacks and tracing


@both_lanes
@every(TEXTS)
async def test_every_chunk_is_heard_once_and_the_heard_chunks_add_up(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    listener = Listener()
    async with kind.over(sandbox, callbacks=[listener]) as llm:
        pieces = await pieces_of(llm, QUESTION, sync=sync)
    assert [token for token, _ in listener.heard] == pieces
    chunks = [chunk for _, chunk in listener.heard]
    assert all(isinstance(chunk, GenerationChunk) for chunk in chunks)
    assert [chunk.text for chunk in chunks] == pieces
    assert merged(chunks) == listener.results[0].generations[0][0]


@every(TEXTS)
async def test_an_async_handler_is_awaited_for_every_chunk(kind: Kind, sandbox: Sandbox) -> None:
    listener = AsyncListener()
    async with kind.over(sandbox, callbacks=[listener]) as llm:
        pieces = await pieces_of(llm, QUESTION, sync=False)
    assert [(token, chunk.text) for token, chunk in listener.heard] == [(p, p) for p in pieces]


@both_lanes
@every(TEXTS)
async def test_every_prompt_is_a_run_with_its_own_answer(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    listener = Listener()
    async with kind.over(sandbox, callbacks=[listener]) as llm:
        result = await generated(llm, QUESTIONS, sync=sync)
    assert [start["prompts"] for start in listener.starts] == [[q] for q in QUESTIONS]
    assert [r.generations for r in listener.results] == [[row] for row in result.generations]


@every(TEXTS)
async def test_a_run_is_traced_with_service_model_and_class(kind: Kind, sandbox: Sandbox) -> None:
    ways = [_invoke, _ainvoke, _batch, _abatch, *STREAMED]
    listener = Listener()
    async with kind.over(sandbox, callbacks=[listener], stop=["own"]) as llm:
        await by_way(ways, llm, [QUESTION])
    known = {
        "ls_provider": kind.service,
        "ls_model_type": "llm",
        "ls_model_name": kind.model,
        "ls_stop": ["own"],
    }
    traced = [{name: start.get(name) for name in known} for start in listener.starts]
    assert traced == [known] * len(ways)
    classes = [start["serialized"]["id"] for start in listener.starts]
    assert classes == [[*kind.cls.__module__.split("."), kind.id]] * len(ways)


@every(TEXTS)
async def test_v2_events_of_a_text_llm_add_up(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as llm:
        events = [event async for event in llm.astream_events(QUESTION, version="v2")]
    texts = [text_of(e["data"]["chunk"]) for e in events if e["event"] == "on_llm_stream"]
    assert len([text for text in texts if text]) > 1
    assert sources_apart("".join(texts)) == ANSWERS[0]
    assert events[-1]["event"] == "on_llm_end"
    output: Any = events[-1]["data"]["output"]
    assert output["generations"][0][0]["text"] == "".join(texts)


@every(TEXTS)
async def test_v2_events_of_a_chain_have_the_chunks_of_its_llm(
    kind: Kind, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as llm:
        chain = PromptTemplate.from_template("{question}") | llm | StrOutputParser()
        asked = {"question": QUESTION}
        events: list[Any] = [event async for event in chain.astream_events(asked, version="v2")]
    chunks = [e["data"]["chunk"] for e in events if e["event"] == "on_llm_stream"]
    total = merged(chunks)
    assert isinstance(total, GenerationChunk)
    assert sources_apart(total.text) == ANSWERS[0]
    assert (total.generation_info or {})["finish_reason"] == "stop"


# Composition


@both_lanes
@pytest.mark.parametrize(
    "prompt",
    [
        PromptTemplate.from_template("{question}"),
        ChatPromptTemplate.from_messages([("human", "{question}")]),
    ],
    ids=["text", "messages"],
)
@every(TEXTS)
async def test_a_chain_gives_the_answer_whole_and_piece_by_piece(
    kind: Kind, prompt: Any, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as llm:
        chain = prompt | llm | StrOutputParser()
        asked: Any = {"question": QUESTION}
        whole = chain.invoke(asked) if sync else await chain.ainvoke(asked)
        pieces = await pieces_of(chain, asked, sync=sync)
    assert sources_apart(whole) == ANSWERS[0]
    assert "".join(pieces) == whole
    assert len(pieces) > 1


@both_lanes
@every(TEXTS)
async def test_inside_a_function_its_run_is_a_child_of_the_functions(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    listener = Listener()
    config: RunnableConfig = {"callbacks": [listener]}
    async with kind.over(sandbox) as llm:

        def ask(question: str) -> Any:
            return llm.invoke(question)

        async def aask(question: str) -> Any:
            return await llm.ainvoke(question)

        asking = RunnableLambda(ask, aask)
        answer = asking.invoke(QUESTION, config) if sync else await asking.ainvoke(QUESTION, config)
    assert sources_apart(answer) == ANSWERS[0]
    (start,) = listener.starts
    assert start["parent"] is not None


FAILING: dict[str, Reply] = {
    "429": json_reply({"message": "Slow down."}, 429),
    "503": json_reply({"message": "Later."}, 503),
    "reset": Reply(raw=b"", end="reset"),
}
REFUSING = {
    "400": json_reply({"message": "No."}, 400),
    "401": json_reply({"message": "No."}, 401),
}
WORTH_ANOTHER_TRY = (
    theirs.ModelRateLimitError,
    theirs.ModelAPIError,
    theirs.ModelConnectionError,
    theirs.ModelTimeoutError,
)


@pytest.mark.parametrize("reply", FAILING.values(), ids=FAILING)
@every(TEXTS)
async def test_a_fallback_answers_whole_and_streamed(
    kind: Kind, reply: Reply, server: FaultServer, sandbox: Sandbox
) -> None:
    server.replies(reply)
    async with kind.at(server.url) as first, kind.over(sandbox) as second:
        llm = first.with_fallbacks([second])
        answers = [llm.invoke(QUESTION), await llm.ainvoke(QUESTION)]
        answers += ["".join(await pieces_of(llm, QUESTION, sync=sync)) for sync in (True, False)]
    assert [sources_apart(answer) for answer in answers] == ANSWERS[:1] * 4
    assert len(server.requests) == 4


@pytest.mark.parametrize("reply", FAILING.values(), ids=FAILING)
@every(TEXTS)
async def test_with_retry_repeats_what_is_worth_another_try(
    kind: Kind, reply: Reply, server: FaultServer
) -> None:
    answer = kind.reply(stream=kind.streams_whole)
    server.replies(reply, answer, reply, answer)
    async with kind.at(server.url) as llm:
        again = llm.with_retry(
            retry_if_exception_type=WORTH_ANOTHER_TRY,
            wait_exponential_jitter=False,
            stop_after_attempt=2,
        )
        assert again.invoke("q") == await again.ainvoke("q")
    assert len(server.requests) == 4


@pytest.mark.parametrize("reply", REFUSING.values(), ids=REFUSING)
@every(TEXTS)
def test_with_retry_does_not_repeat_what_is_refused(
    kind: Kind, reply: Reply, server: FaultServer
) -> None:
    server.replies(reply)
    with kind.at(server.url) as llm:
        again = llm.with_retry(
            retry_if_exception_type=WORTH_ANOTHER_TRY, wait_exponential_jitter=False
        )
        with pytest.raises(theirs.ModelError) as caught:
            again.invoke("q")
    assert not caught.value.is_retryable
    assert len(server.requests) == 1


# Failures


@every(TEXTS)
async def test_every_way_to_ask_fails_with_the_same_class(kind: Kind, server: FaultServer) -> None:
    server.replies(json_reply({"message": "Slow down."}, 429))
    failures: dict[str, Any] = {}
    async with kind.at(server.url) as llm:
        for way in (*WHOLE, *STREAMED):
            with pytest.raises(theirs.ModelRateLimitError) as caught:
                await way(llm, ["a", "b"])
            failures[way.__name__] = type(caught.value)
    assert failures == all_alike([*WHOLE, *STREAMED], ours.RateLimitError)


@both_lanes
@every(TEXTS)
async def test_a_batch_can_return_its_failure(kind: Kind, sync: bool, server: FaultServer) -> None:
    server.replies(json_reply({}, 503))
    config: RunnableConfig = {"max_concurrency": 1}
    async with kind.at(server.url) as llm:
        results: list[Any] = (
            llm.batch(["a", "b"], config, return_exceptions=True)
            if sync
            else await llm.abatch(["a", "b"], config, return_exceptions=True)
        )
    assert [type(result) for result in results] == [ours.ServerError, ours.ServerError]


@both_lanes
@every(TEXTS)
async def test_a_handler_hears_of_a_cut_stream_with_the_text_that_had_arrived(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    body = BY_ID[f"{kind.service}/{kind.stream}"].body
    server.replies(replace(kind.reply(stream=True), body=[body[: len(body) // 2]], end="cut"))
    listener = Listener()
    async with kind.at(server.url, callbacks=[listener]) as llm:
        with pytest.raises(ours.IncompleteStreamError) as caught:
            await pieces_of(llm, "q", sync=sync)
    ((error, response),) = listener.failures
    assert error is caught.value
    assert caught.value.partial_text
    assert response.generations[0][0].text == caught.value.partial_text
    assert listener.results == []


# Serialization and cache


@beta
@every(TEXTS)
def test_a_loaded_llm_finds_the_answers_of_its_original_in_the_cache(
    kind: Kind, server: FaultServer
) -> None:
    answering(kind, server)
    cache = InMemoryCache()
    with kind.at(server.url, stop=["x"], cache=cache) as llm:
        loaded = load(
            dumpd(llm),
            allowed_objects=[kind.cls],
            valid_namespaces=["langchain_qaip"],
            secrets_map={kind.key_env: "sk-other"},
        )
        loaded.cache = cache
        with loaded:
            assert llm.invoke("q") == loaded.invoke("q")
    assert len(server.requests) == 1


@beta
@every(TEXTS)
def test_a_chain_is_dumped_and_loaded_with_its_llm(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as llm:
        dumped = dumpd(PromptTemplate.from_template("{question}") | llm)
    assert sandbox.env[kind.key_env] not in json.dumps(dumped)
    chain = load(
        dumped,
        allowed_objects=[kind.cls, PromptTemplate, RunnableSequence],
        valid_namespaces=["langchain_qaip"],
        secrets_map={kind.key_env: sandbox.env[kind.key_env]},
    )
    with chain.last:
        assert sources_apart(chain.invoke({"question": QUESTION})) == ANSWERS[0]


@both_lanes
@every(TEXTS)
async def test_an_answer_of_the_cache_has_text_and_facts_of_the_first(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox, cache=InMemoryCache()) as llm:
        first = await generated(llm, [QUESTION], sync=sync)
        asked = len(sandbox.requests)
        second = await generated(llm, [QUESTION], sync=sync)
    assert second.generations == first.generations
    assert len(sandbox.requests) == asked


@both_lanes
@every(TEXTS)
async def test_only_the_prompts_that_the_cache_lacks_are_sent(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox, cache=InMemoryCache()) as llm:
        await generated(llm, QUESTIONS[1:2], sync=sync)
        asked = len(sandbox.requests)
        result = await generated(llm, QUESTIONS[:3], sync=sync)
    assert len(sandbox.requests) == asked + 2
    assert [sources_apart(row[0].text) for row in result.generations] == ANSWERS[:3]


@every(TEXTS)
async def test_other_parameters_of_a_call_are_another_question_to_the_cache(
    kind: Kind, server: FaultServer
) -> None:
    answering(kind, server)
    one, other = PER_CALL[kind.name]
    sent: dict[str, int] = {}
    async with kind.at(server.url) as llm:
        for way in WHOLE:
            llm.cache = InMemoryCache()
            before = len(server.requests)
            for call in [{}, one, other, {"extra_body": {"x": 1}}] * 2:
                await way(llm, ["q"], **call)
            sent[way.__name__] = len(server.requests) - before
    assert sent == all_alike(WHOLE, 4)


@both_lanes
async def test_other_variables_of_an_app_are_another_question_to_the_cache(
    sync: bool, server: FaultServer
) -> None:
    dify = named("dify", TEXTS)
    answering(dify, server)
    async with dify.at(server.url, cache=InMemoryCache()) as llm:
        for variables in ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "b": 2}):
            await generated(llm, ["q"], sync=sync, variables=variables)
    assert [request.json()["inputs"]["b"] for request in server.requests] == [2, 3]


@every(MODELS)
def test_no_parameter_has_a_name_that_langchains_methods_take(kind: Kind) -> None:
    own = {
        name
        for ask in (BaseLLM.invoke, BaseLLM.stream, BaseLLM.batch, BaseLLM.generate)
        for name in inspect.signature(ask).parameters
    }
    assert own & kind.cls.endpoint.params.model_fields.keys() <= {"stop"}


@both_lanes
@every([kind for kind in MODELS if kind.service == "dify"])
async def test_the_variables_of_an_app_can_be_bound_and_batched(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    answering(kind, server)
    async with kind.at(server.url) as model:
        bound = model.bind(variables={"tone": "dry"})
        answers = bound.batch(["a", "b"]) if sync else await bound.abatch(["a", "b"])
    assert len(answers) == 2
    assert [request.json()["inputs"]["tone"] for request in server.requests] == ["dry", "dry"]


@both_lanes
@every(TEXTS)
async def test_a_parameter_is_the_same_question_from_call_and_to_call(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    answering(kind, server)
    one, _ = PER_CALL[kind.name]
    async with kind.at(server.url, cache=InMemoryCache()) as llm:
        await generated(llm, ["a", "b"], sync=sync, **one)
        await generated(llm, ["b", "a"], sync=not sync, **one)
    assert len(server.requests) == 2


@every(TEXTS)
async def test_calls_at_the_same_time_do_not_share_each_others_parameters(
    kind: Kind, server: FaultServer
) -> None:
    answering(kind, server)
    calls = PER_CALL[kind.name]
    async with kind.at(server.url, cache=InMemoryCache()) as llm:
        await asyncio.gather(*(llm.ainvoke("q", **call) for call in calls))
        await asyncio.gather(*(asyncio.to_thread(llm.invoke, "q", **call) for call in calls))
    assert len(server.requests) == 2


@both_lanes
@every(TEXTS)
async def test_a_parameter_of_a_call_is_not_sent_by_the_next(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    answering(kind, server)
    one, _ = PER_CALL[kind.name]
    async with kind.at(server.url, cache=InMemoryCache()) as llm:
        await generated(llm, ["a"], sync=sync)
        await generated(llm, ["a"], sync=sync, **one)
        await generated(llm, ["b"], sync=sync)
    plain, with_it, after = ({**r.json(), "inputs": None} for r in server.requests)
    assert plain.keys() == after.keys()
    assert kind.service == "dify" or with_it.keys() > plain.keys()


@both_lanes
@every(TEXTS)
async def test_a_failure_is_not_cached(kind: Kind, sync: bool, server: FaultServer) -> None:
    server.replies(json_reply({}, 503))
    answering(kind, server)
    async with kind.at(server.url, cache=InMemoryCache()) as llm:
        with pytest.raises(ours.ServerError):
            await generated(llm, ["q"], sync=sync)
        assert (await generated(llm, ["q"], sync=sync)).generations[0][0].text
