"""PAIS in LangChain: agents with sources and sessions, searches, embeddings, lists."""

import asyncio
import gc
import logging
import ssl
import weakref
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as theirs
from pydantic import BaseModel

from langchain_qaip import (
    PAISLLM,
    ChatPAIS,
    ChatPAISAgent,
    PAISAgentLLM,
    PAISEmbeddings,
    PAISSearchRetriever,
    documents,
    errors,
)
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply

QUESTION = "How long does a refund take?"
SENTENCE = "A refund reaches the buyer's account in 5 working days."
WIDE = "the lamp and the buyer"
NOBODY = "00000000-0000-4000-8000-000000000000"
COLD = json_reply({"detail": "Invalid model endpoint specified or model endpoint not ready."}, 400)
ANSWER = json_reply({"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]})


def place(sandbox: Sandbox, **given: Any) -> dict[str, Any]:
    reached = {"base_url": sandbox.env["PAIS_BASE_URL"], "api_key": sandbox.env["PAIS_API_KEY"]}
    return {**reached, "max_retries": 0, "timeout": 10, **given}


@pytest.fixture
def agent(sandbox: Sandbox) -> Iterator[ChatPAISAgent]:
    with ChatPAISAgent(**place(sandbox)) as lists:
        (first, *_) = lists.list_agents()
    with ChatPAISAgent(agent_id=first.id, **place(sandbox)) as made:
        yield made


@pytest.fixture
def retriever(sandbox: Sandbox) -> Iterator[PAISSearchRetriever]:
    with PAISSearchRetriever(**place(sandbox)) as lists:
        (base, *_) = lists.list_knowledge_bases()
        (index,) = lists.list_indexes(base.id)
    found = {"knowledge_base_id": base.id, "index_id": index.id}
    with PAISSearchRetriever(**found, **place(sandbox)) as made:
        yield made


def test_an_agent_answers_with_its_sources(agent: ChatPAISAgent) -> None:
    answer = agent.invoke(QUESTION)
    assert str(answer.content).startswith(SENTENCE)
    source, *_ = documents(answer)
    assert SENTENCE in source.page_content
    assert source.metadata["title"] == "returns.md"
    assert source.metadata["url"].endswith("/handbook/returns.md")
    assert source.metadata["media_type"] == "text/markdown"
    assert 0 < source.metadata["score"] <= 1


async def test_all_ways_of_asking_an_agent_find_the_same(agent: ChatPAISAgent) -> None:
    whole = agent.invoke(QUESTION)
    chunks = list(agent.stream(QUESTION))
    achunks = [chunk async for chunk in agent.astream(QUESTION)]
    answers = [await agent.ainvoke(QUESTION), sum(chunks[1:], chunks[0])]
    answers.append(sum(achunks[1:], achunks[0]))
    for answer in answers:
        assert answer.content == whole.content
        assert documents(answer) == documents(whole)
    await agent.aclose()


def test_a_session_goes_on_where_it_was(agent: ChatPAISAgent) -> None:
    first = agent.invoke(QUESTION, create_session=True)
    session = first.response_metadata["session_id"]
    second = agent.invoke("Really?", store_in_session=session)
    assert second.response_metadata["session_id"] == session
    used = second.usage_metadata
    assert used is not None
    assert used["input_tokens"] > 10
    chunks = list(agent.stream("Sure?", store_in_session=session))
    named = ["session_id" in chunk.response_metadata for chunk in chunks]
    assert named == [False] * (len(chunks) - 1) + [True]


def test_an_object_may_hold_its_session(sandbox: Sandbox, agent: ChatPAISAgent) -> None:
    session = agent.invoke(QUESTION, create_session=True).response_metadata["session_id"]
    held = agent.model_copy(update={"store_in_session": session})
    assert held.invoke("Really?").response_metadata["session_id"] == session
    assert "session_id" not in agent.invoke(QUESTION).response_metadata


def test_a_session_that_is_not_there_is_an_error(agent: ChatPAISAgent) -> None:
    with pytest.raises(theirs.ModelNotFoundError, match="invalid Session ID"):
        agent.invoke(QUESTION, store_in_session=NOBODY)


def test_an_agent_that_is_not_there_is_an_error(sandbox: Sandbox) -> None:
    with (
        ChatPAISAgent(agent_id=NOBODY, **place(sandbox)) as agent,
        pytest.raises(errors.NotFoundError, match=f"/agents/{NOBODY}/chat/completions"),
    ):
        agent.invoke(QUESTION)


def test_an_agent_has_to_be_named(sandbox: Sandbox) -> None:
    with (
        ChatPAISAgent(**place(sandbox)) as agent,
        pytest.raises(errors.InvalidParameterError, match="needs 'agent_id'"),
    ):
        agent.invoke(QUESTION)


def test_a_wrong_session_is_refused_at_construction(sandbox: Sandbox) -> None:
    with pytest.raises(errors.InvalidParameterError, match="store_in_session"):
        ChatPAISAgent(agent_id="a", store_in_session="yesterday", **place(sandbox))


def test_a_text_llm_of_an_agent_cites_too(sandbox: Sandbox, agent: ChatPAISAgent) -> None:
    with PAISAgentLLM(agent_id=agent.agent_id, create_session=True, **place(sandbox)) as llm:
        (generation,) = llm.generate([QUESTION]).generations[0]
    assert generation.text.startswith(SENTENCE)
    info = generation.generation_info or {}
    assert info["citations"][0]["title"] == "returns.md"
    assert info["session_id"]


def test_an_agent_is_a_retriever(agent: ChatPAISAgent) -> None:
    (source,) = agent.as_retriever(k=1).invoke(QUESTION)
    assert SENTENCE in source.page_content


async def test_an_agent_lists_the_agents_and_models_of_its_site(agent: ChatPAISAgent) -> None:
    assert [found.name for found in agent.list_agents()][:2] == ["documents", "handbook"]
    assert await agent.alist_agents() == agent.list_agents()
    assert [m.id for m in agent.list_models("EMBEDDINGS")] == ["sandbox-embeddings"]
    assert await agent.alist_models() == agent.list_models()
    await agent.aclose()


# The search


def test_a_search_finds_documents(retriever: PAISSearchRetriever) -> None:
    first = retriever.invoke(QUESTION)[0]
    assert SENTENCE in first.page_content
    assert first.metadata["title"] == "returns.md"
    found = retriever.invoke(WIDE)
    assert len(found) == 4
    scores = [document.metadata["score"] for document in found]
    assert scores == sorted(scores, reverse=True)


def test_a_search_and_an_agent_give_a_passage_the_same_id(
    retriever: PAISSearchRetriever, agent: ChatPAISAgent
) -> None:
    cited = {source.id for source in documents(agent.invoke(QUESTION))}
    assert retriever.invoke(QUESTION)[0].id in cited


async def test_how_many_are_found_may_be_said_everywhere(retriever: PAISSearchRetriever) -> None:
    assert len(retriever.invoke(WIDE, k=1)) == 1
    assert len(await retriever.ainvoke(WIDE, top_k=3)) == 3
    held = retriever.model_copy(update={"k": 2})
    assert len(held.invoke(WIDE)) == 2
    assert retriever.invoke(QUESTION, similarity_cutoff=2) == []
    await retriever.aclose()


@pytest.mark.parametrize("shape", ["chunks", "hits", "list"])
def test_every_shape_of_findings_is_read(
    sandbox: Sandbox, retriever: PAISSearchRetriever, shape: str
) -> None:
    switched = {"x-sandbox-switches": f'{{"search": "{shape}", "profile": "9.0"}}'}
    other = retriever.model_copy(update={"default_headers": switched})
    assert len(other.invoke(WIDE)) == 4


async def test_a_site_tells_what_it_holds(retriever: PAISSearchRetriever) -> None:
    assert [base.name for base in retriever.list_knowledge_bases("handbook")] == ["handbook"]
    assert {document.name for document in retriever.list_documents()} >= {"Leave", "Returns"}
    assert [run.status for run in retriever.list_indexings()] == ["DONE"]
    assert retriever.active_indexing() is None
    assert await retriever.aactive_indexing() is None
    assert retriever.list_data_sources() == await retriever.alist_data_sources()
    await retriever.aclose()


def test_an_index_that_is_not_there_is_an_error(retriever: PAISSearchRetriever) -> None:
    with pytest.raises(theirs.ModelNotFoundError, match="knowledge base or index"):
        retriever.invoke(QUESTION, index_id=NOBODY)


# Embeddings


async def test_embeddings_are_those_of_the_service(sandbox: Sandbox) -> None:
    with PAISEmbeddings(model="sandbox-embeddings", **place(sandbox)) as model:
        one, other = model.embed_documents(["a refund", "a lamp"])
        assert one != other
        assert model.embed_query("a refund") == one == await model.aembed_query("a refund")
        await model.aclose()


def test_vectors_for_each_token_are_no_vector_of_the_text(server: FaultServer) -> None:
    nested = {"data": [{"index": 0, "embedding": [[0.5, 1.0], [0.25, 2.0]]}]}
    server.replies(json_reply(nested))
    with (
        PAISEmbeddings(model="m", base_url=server.url) as model,
        pytest.raises(errors.MalformedResponseError, match="one for each token"),
    ):
        model.embed_query("tea")


# Formats, cold starts, certificates


class Tea(BaseModel):
    name: str


def test_a_format_of_the_object_is_sent_and_one_of_a_call_is_asked_for_in_words(
    server: FaultServer,
) -> None:
    server.replies(*[ANSWER] * 3)
    wanted = {"type": "json_object"}
    with ChatPAIS(model="m", base_url=server.url, response_format=wanted) as chat:
        chat.invoke("q")
        chat.with_structured_output(Tea, include_raw=True).invoke("q")
    with ChatPAIS(model="m", base_url=server.url) as plain:
        plain.invoke("q", response_format=wanted)
    own, asked, called = (request.json() for request in server.requests)
    assert own == {"model": "m", "messages": [{"role": "user", "content": "q"}]} | {
        "response_format": wanted
    }
    for body in (asked, called):
        assert "response_format" not in body
        assert body["messages"][0]["role"] == "system"


def test_a_text_llm_sends_the_parameters_of_release_9_1_1(server: FaultServer) -> None:
    server.replies(json_reply({"choices": [{"text": "tea", "finish_reason": "stop"}]}))
    given = {"top_p": 0.5, "top_k": 3, "presence_penalty": 1.0, "max_completion_tokens": 9}
    with PAISLLM(model="m", base_url=server.url, **given) as llm:
        llm.invoke("q")
    assert server.requests[-1].json() == {"model": "m", "prompt": "q", **given}


def test_a_cold_model_is_not_waited_for_unless_that_is_said(server: FaultServer) -> None:
    server.replies(COLD, ANSWER)
    with (
        ChatPAIS(model="m", base_url=server.url) as chat,
        pytest.raises(errors.ModelNotReadyError),
    ):
        chat.invoke("q")
    assert len(server.requests) == 1


def test_a_cold_model_is_waited_for_visibly(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "qaip_core")
    server.replies(COLD, ANSWER)
    with ChatPAIS(model="m", base_url=server.url, retry_not_ready=True) as chat:
        assert chat.invoke("q").content == "tea"
    (told,) = [r.getMessage() for r in caplog.records if "attempt 2" in r.getMessage()]
    assert told.startswith("VMware Private AI Services: ModelNotReadyError (400)")


def test_an_empty_answer_of_a_cold_model_is_shown_as_it_is(sandbox: Sandbox) -> None:
    switched = {"x-sandbox-switches": '{"empty": 1}'}
    given = place(sandbox, default_headers=switched)
    with ChatPAIS(model="sandbox-extractive", **given) as chat:
        answer = chat.invoke(QUESTION)
    assert answer.content == ""
    assert answer.response_metadata["finish_reason"]
    assert answer.usage_metadata is not None


def test_a_key_that_expires_is_renewed_in_the_middle_of_a_run(sandbox: Sandbox) -> None:
    made = 0

    class Keys:
        kept: str | None = None

        def __call__(self) -> str:
            nonlocal made
            if self.kept is None:
                made += 1
                self.kept = f"{sandbox.env['PAIS_API_KEY']}-{made}"
            return self.kept

        def forget(self) -> None:
            self.kept = None

    switched = {"x-sandbox-switches": '{"auth": "expiring", "requests_per_token": 2}'}
    given = place(sandbox, api_key=Keys(), default_headers=switched)
    with ChatPAIS(model="sandbox-extractive", **given) as chat:
        for _ in range(3):
            assert chat.invoke(QUESTION).content
            assert [*chat.stream(QUESTION)]
    assert made == 3


def test_a_context_of_certificates_is_no_part_of_a_pickle_or_a_copy() -> None:
    context = ssl.create_default_context()
    chat = ChatPAIS(model="m", base_url="https://site.example", verify=context)
    assert chat.model_copy(deep=True).verify is context
    assert chat.__getstate__()["__dict__"]["verify"] is None
    assert chat.model_dump(mode="json")["verify"] is None


def test_a_context_of_certificates_is_kept_no_longer_than_its_object(server: FaultServer) -> None:
    context = ssl.create_default_context()
    gone = weakref.ref(context)
    server.replies(ANSWER)
    with ChatPAIS(model="m", base_url=server.url, verify=context) as chat:
        assert chat.invoke(QUESTION).content == "tea"
    del chat, context
    gc.collect()
    assert gone() is None


def test_own_clients_bring_their_own_certificates() -> None:
    with (
        httpx.Client(verify=False) as http,
        pytest.raises(errors.ConfigurationError, match="give it to your http_client"),
    ):
        ChatPAIS(model="m", base_url="https://site.example", verify=False, http_client=http)


def test_a_key_source_may_be_async(sandbox: Sandbox) -> None:
    async def key() -> str:
        await asyncio.sleep(0)
        return str(sandbox.env["PAIS_API_KEY"])

    async def ask() -> Any:
        async with ChatPAIS(model="sandbox-extractive", **place(sandbox, api_key=key)) as chat:
            return await chat.ainvoke(QUESTION)

    assert asyncio.run(ask()).content
