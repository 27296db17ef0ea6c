"""PAIS in LlamaIndex: agents with sources and sessions, searches, embeddings, lists."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from llama_index_qaip import PAIS, PAISAgent, PAISEmbedding, PAISSearchRetriever, errors
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply

QUESTION = "How long does a refund take?"
SENTENCE = "A refund reaches the buyer's account in 5 working days."
WIDE = "the lamp and the buyer"
NOBODY = "00000000-0000-4000-8000-000000000000"
ANSWER = json_reply({"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]})


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Path(__file__).parent.parent / "sandbox" / "docs") as running:
        yield running


def place(sandbox: Sandbox, **given: Any) -> dict[str, Any]:
    reached = {"base_url": sandbox.env["PAIS_BASE_URL"], "api_key": sandbox.env["PAIS_API_KEY"]}
    return {**reached, "max_retries": 0, "timeout": 10, **given}


def asked(text: str = QUESTION) -> list[ChatMessage]:
    return [ChatMessage(text)]


@pytest.fixture
def agent(sandbox: Sandbox) -> Iterator[PAISAgent]:
    with PAISAgent(**place(sandbox)) as lists:
        (first, *_) = lists.list_agents()
    with PAISAgent(agent_id=first.id, **place(sandbox)) as made:
        yield made


@pytest.fixture
def retriever(sandbox: Sandbox) -> Iterator[PAISSearchRetriever]:
    with PAISSearchRetriever(**place(sandbox)) as lists:
        (base, *_) = lists.list_knowledge_bases()
        (index,) = lists.list_indexes(base.id)
    found = {"knowledge_base_id": base.id, "index_id": index.id}
    with PAISSearchRetriever(**found, **place(sandbox)) as made:
        yield made


async def test_all_ways_of_asking_an_agent_give_the_same_answer_and_sources(
    agent: PAISAgent,
) -> None:
    answers: list[Any] = [agent.chat(asked()), await agent.achat(asked())]
    answers.append([*agent.stream_chat(asked())][-1])
    answers.append([r async for r in await agent.astream_chat(asked())][-1])
    texts = [answer.message.content for answer in answers]
    answers += [agent.complete(QUESTION), await agent.acomplete(QUESTION)]
    answers.append([*agent.stream_complete(QUESTION)][-1])
    answers.append([r async for r in await agent.astream_complete(QUESTION)][-1])
    texts += [answer.text for answer in answers[4:]]
    assert len(set(texts)) == 1
    assert texts[0].startswith(SENTENCE)
    sources = [answer.additional_kwargs["citations"] for answer in answers]
    assert all(found == sources[0] for found in sources)
    assert sources[0][0]["title"] == "returns.md"
    await agent.aclose()


def test_a_session_goes_on_where_it_was(agent: PAISAgent) -> None:
    first = agent.chat(asked(), create_session=True)
    session = first.additional_kwargs["session_id"]
    second = agent.complete("Really?", store_in_session=session)
    assert second.additional_kwargs["session_id"] == session
    assert second.additional_kwargs["prompt_tokens"] > 10
    grown = [*agent.stream_chat(asked("Sure?"), store_in_session=session)]
    assert grown[-1].additional_kwargs["session_id"] == session
    agent.store_in_session = session
    assert agent.chat(asked("So?")).additional_kwargs["session_id"] == session


def test_what_is_not_there_is_an_error(agent: PAISAgent) -> None:
    with pytest.raises(errors.NotFoundError, match="invalid Session ID"):
        agent.chat(asked(), store_in_session=NOBODY)
    with pytest.raises(errors.NotFoundError, match=NOBODY):
        agent.complete(QUESTION, agent_id=NOBODY)


def test_an_agent_has_to_be_named(sandbox: Sandbox) -> None:
    with (
        PAISAgent(**place(sandbox)) as agent,
        pytest.raises(errors.InvalidParameterError, match="needs 'agent_id'"),
    ):
        agent.chat(asked())


async def test_an_agent_answers_queries_with_nodes(agent: PAISAgent) -> None:
    answer = agent.as_query_engine().query(QUESTION)
    assert str(answer).startswith(SENTENCE)
    assert SENTENCE in answer.source_nodes[0].get_content()
    assert answer.source_nodes[0].score is not None
    other = await agent.as_query_engine().aquery(QUESTION)
    assert [n.node_id for n in other.source_nodes] == [n.node_id for n in answer.source_nodes]
    await agent.aclose()


def test_an_agent_and_a_search_give_a_passage_the_same_id(
    agent: PAISAgent, retriever: PAISSearchRetriever
) -> None:
    cited = agent.as_retriever(similarity_top_k=1).retrieve(QUESTION)
    found = retriever.retrieve(QUESTION)
    assert cited[0].node_id == found[0].node_id
    assert cited[0].metadata["document_id"] == found[0].metadata["document_id"]


async def test_a_site_tells_its_agents_and_models(agent: PAISAgent) -> None:
    assert [found.name for found in agent.list_agents()][:2] == ["documents", "handbook"]
    assert await agent.alist_agents() == agent.list_agents()
    assert [m.id for m in agent.list_models("completions")] == ["sandbox-extractive"]
    assert await agent.alist_models() == agent.list_models()
    await agent.aclose()


async def test_a_search_finds_nodes(retriever: PAISSearchRetriever) -> None:
    found = retriever.retrieve(WIDE)
    assert len(found) == 4
    assert SENTENCE in retriever.retrieve(QUESTION)[0].get_content()
    again = await retriever.aretrieve(WIDE)
    assert [node.node_id for node in again] == [node.node_id for node in found]
    scores = [node.score or 0 for node in found]
    assert scores == sorted(scores, reverse=True)
    await retriever.aclose()


@pytest.mark.parametrize("name", ["similarity_top_k", "top_k"])
def test_how_many_are_found_may_be_said(retriever: PAISSearchRetriever, name: str) -> None:
    setattr(retriever, name, 2)
    assert len(retriever.retrieve(WIDE)) == 2


def test_a_cutoff_leaves_out_what_fits_less(retriever: PAISSearchRetriever) -> None:
    retriever.similarity_cutoff = 2
    assert retriever.retrieve(WIDE) == []


def test_a_retriever_tells_what_is_indexed(retriever: PAISSearchRetriever) -> None:
    assert [base.name for base in retriever.list_knowledge_bases("handbook")] == ["handbook"]
    assert {document.name for document in retriever.list_documents()} >= {"Leave", "Returns"}
    assert retriever.active_indexing() is None


async def test_embeddings_are_those_of_the_service(sandbox: Sandbox) -> None:
    with PAISEmbedding(model="sandbox-embeddings", **place(sandbox)) as model:
        one, other = model.get_text_embedding_batch(["a refund", "a lamp"])
        assert one != other
        assert model.get_query_embedding("a refund") == one
        assert await model.aget_text_embedding("a refund") == one
        await model.aclose()


def test_parameters_of_release_9_1_1_are_sent_if_they_are_set(server: FaultServer) -> None:
    server.replies(ANSWER, ANSWER)
    given = {"top_p": 0.5, "frequency_penalty": -1.0, "response_format": {"type": "json_object"}}
    with PAIS(model="m", base_url=server.url, **given) as llm:
        llm.chat(asked("q"))
    with PAIS(model="m", base_url=server.url) as plain:
        plain.chat(asked("q"))
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
    assert [request.json() for request in server.requests] == [{**body, **given}, body]
