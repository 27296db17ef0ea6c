"""A row of a table is asked of anything that LangChain invokes, and all that it says is kept."""

import asyncio
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.documents import Document
from langchain_core.exceptions import OutputParserException
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import create_retriever_tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, Field

from langchain_qaip import ChatPerplexity, FireworksEmbeddings, PerplexitySearchRetriever
from langchain_qaip._asking import ChainAsker
from langchain_qaip.bulk import aanswer_dataset, answer_dataset
from langchain_qaip.errors import IncompleteStreamError, InvalidParameterError, RateLimitError
from qaip_core.bulk.record import Answered, taken
from qaip_sandbox import Sandbox, Truncate
from support.fault_server import FaultServer, json_reply

from .models import CHATS, CITING, KEY, MODELS, QUESTION, Kind, every, named

cloudpickle = pytest.importorskip("ray.cloudpickle")

PASSAGE = "Lanternworks accepts returns within 45 days"
PERPLEXITY, QAIP, FIREWORKS, DIFY = map(named, ("perplexity", "qaip", "fireworks", "dify"))
COUNTS = {"input_tokens", "output_tokens", "total_tokens"}


async def asked(model: Any, question: Any = QUESTION) -> Answered:
    asker = ChainAsker(model)
    try:
        return await asker.ask(question)
    finally:
        await asker.aclose()


def texts(answered: Answered) -> str:
    return " ".join(citation["text"] for citation in answered.citations)


# ---- models


@every(MODELS)
async def test_every_model_answers_a_row(kind: Kind, sandbox: Sandbox) -> None:
    found = await asked(kind.over(sandbox))
    assert "45 days" in found.answer
    assert found.finish_reason == "stop"
    assert found.model
    if kind.cls.endpoint.cites:
        assert PASSAGE in texts(found)
    if kind.service != "qaip":
        assert found.usage
        assert found.usage.keys() >= COUNTS
        assert found.usage["total_tokens"] > 0


@every([kind for kind in MODELS if kind.service in ("perplexity", "dify")])
async def test_a_row_has_the_price_that_its_service_tells(kind: Kind, sandbox: Sandbox) -> None:
    cost = (await asked(kind.over(sandbox))).cost
    assert cost is not None
    assert 0 < cost < 0.1


@every([kind for kind in MODELS if kind.service in ("qaip", "fireworks", "pais")])
async def test_a_row_has_no_price_where_its_service_tells_none(
    kind: Kind, sandbox: Sandbox
) -> None:
    assert (await asked(kind.over(sandbox))).cost is None


@every(CITING)
async def test_an_answer_is_that_of_the_model(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        message = await model.ainvoke(QUESTION)
        found = await ChainAsker(model).ask(QUESTION)
    assert found.answer == message.text
    assert [c["id"] for c in found.citations] == [
        c["id"] for c in message.additional_kwargs["citations"]
    ]


# ---- chains


@every(CITING)
async def test_a_chain_that_ends_in_text_keeps_all_but_the_text_aside(
    kind: Kind, sandbox: Sandbox
) -> None:
    alone = await asked(kind.over(sandbox))
    chain = RunnableLambda(str.strip) | kind.over(sandbox) | StrOutputParser()
    found = await asked(chain)
    assert found == alone


async def test_places_in_another_text_are_left_out(sandbox: Sandbox) -> None:
    chain = PERPLEXITY.over(sandbox) | StrOutputParser() | str.upper
    found = await asked(chain)
    assert "45 DAYS" in found.answer
    assert {str(citation["spans"]) for citation in found.citations} == {"[]"}


async def test_the_calls_of_a_row_are_added_up(sandbox: Sandbox) -> None:
    once = await asked(PERPLEXITY.over(sandbox))
    model = PERPLEXITY.over(sandbox)
    twice = await asked(RunnableLambda(model.invoke) | (lambda _: QUESTION) | model)
    assert once.usage is not None
    assert twice.usage == {name: 2 * count for name, count in once.usage.items()}
    assert twice.cost == pytest.approx(2 * (once.cost or 0))


async def test_several_columns_fill_a_prompt(sandbox: Sandbox) -> None:
    prompt = ChatPromptTemplate.from_template("Within how many days can a {what} be {done}?")
    row = {"what": "lamp", "done": "returned"}
    assert "45 days" in (await asked(prompt | QAIP.over(sandbox), row)).answer


PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer from these passages:\n{passages}"), ("human", "{question}")]
)


def rag(found: Any, model: Any) -> Any:
    first = RunnableLambda(lambda state: state["context"][0].page_content)
    passages = RunnablePassthrough.assign(passages=first)
    gathered = RunnableParallel(context=found, question=RunnablePassthrough())
    return gathered | RunnablePassthrough.assign(
        answer=passages | PROMPT | model | StrOutputParser()
    )


async def test_a_rag_chain_gives_its_documents_as_citations(sandbox: Sandbox) -> None:
    retriever, model = QAIP.over(sandbox).as_retriever(k=1), FIREWORKS.over(sandbox)
    found = await asked(rag(retriever, model))
    assert "45 days" in found.answer
    assert PASSAGE in texts(found)
    assert found.usage
    only_text = await asked(rag(retriever, model) | (lambda state: state["answer"]))
    assert texts(only_text) == texts(found)


@pytest.mark.parametrize("said", ["Lit.[1]", AIMessage("Lit.[1]")])
async def test_the_dicts_of_chains_are_read_by_their_names(said: Any) -> None:
    context = [Document("Lit in 1847.", id="a")]
    for state in (
        {"answer": said, "context": context, "question": "?"},
        {"query": "?", "result": said, "source_documents": context},
    ):
        found = await asked(RunnableLambda(lambda _, state=state: state))
        assert found.answer == "Lit.[1]"
        assert found.citations == [{"id": "a", "text": "Lit in 1847.", "spans": [[4, 7]]}]


async def test_documents_are_citations_without_an_answer(sandbox: Sandbox) -> None:
    retriever = QAIP.over(sandbox).as_retriever(k=1)
    assert (await asked(retriever)).answer == ""
    assert PASSAGE in texts(await asked(retriever))
    nothing = await asked(retriever | (lambda _: []))
    assert nothing.answer == ""
    assert [c["id"] for c in nothing.citations] == [
        c["id"] for c in (await asked(retriever)).citations
    ]


async def test_a_search_gives_citations(sandbox: Sandbox) -> None:
    key, url = (sandbox.env[f"PERPLEXITY_{name}"] for name in ("API_KEY", "BASE_URL"))
    found = await asked(PerplexitySearchRetriever(api_key=key, base_url=url, k=1))
    assert (found.answer, len(found.citations)) == ("", 1)
    assert (found.usage, found.cost) == (None, None)


async def test_half_a_character_can_be_stored() -> None:
    context = [Document("half \udd6f", id="a")]
    state = {"answer": "\ud83d\udd6f, \ud83d", "context": context}
    found = await asked(RunnableLambda(lambda _: state))
    assert found.answer == "\N{CANDLE}, \ufffd"
    assert found.citations[0]["text"] == "half \ufffd"


# ---- data


class Return(BaseModel):
    """Until when something can be returned."""

    days: int = Field(alias="number_of_days")


@dataclass
class Pair:
    days: int
    text: str


@pytest.mark.parametrize(
    ("result", "written"),
    [
        (Return(number_of_days=45), '{"days":45}'),
        (Pair(45, "ä"), '{"days":45,"text":"ä"}'),
        ({"answer": "45", "sure": True}, '{"answer":"45","sure":true}'),
        ({"answer": "45", "context": "text"}, '{"answer":"45","context":"text"}'),
        ([1, float("nan")], "[1,null]"),
        ([], "[]"),
        (None, "null"),
        ({"cut": "half \ud83d", "cost": float("inf")}, '{"cut":"half \ufffd","cost":null}'),
    ],
)
async def test_data_is_written_as_json(result: Any, written: str) -> None:
    assert (await asked(RunnableLambda(lambda _: result))).answer == written


def structured(server: FaultServer, content: str, **how: Any) -> Any:
    body = json.loads(PERPLEXITY.reply(stream=False).body)
    body["choices"][0]["message"]["content"] = content
    server.replies(json_reply(body))
    schema = {"title": "Return", "type": "object", "properties": {"days": {"type": "integer"}}}
    return PERPLEXITY.at(server.url).with_structured_output(schema, **how)


@pytest.mark.parametrize("include_raw", [False, True])
async def test_structured_output_keeps_its_sources(server: FaultServer, include_raw: bool) -> None:
    found = await asked(structured(server, '{"days": 45}', include_raw=include_raw))
    assert found.answer == '{"days":45}'
    assert found.citations
    assert found.usage
    assert found.cost is not None


@pytest.mark.parametrize("include_raw", [False, True])
async def test_an_answer_that_is_no_such_object_raises(
    server: FaultServer, include_raw: bool
) -> None:
    with pytest.raises(OutputParserException, match="no JSON object") as caught:
        await asked(structured(server, "No.", include_raw=include_raw))
    assert taken(caught.value).usage
    assert taken(caught.value).cost


# ---- agents


def agent(sandbox: Sandbox, **how: Any) -> Any:
    search = create_retriever_tool(
        QAIP.over(sandbox).as_retriever(k=1),
        "handbook",
        "Tells within how many days a lamp can be returned.",
        response_format="content_and_artifact",
    )
    return create_agent(FIREWORKS.over(sandbox), [search], **how)


async def test_an_agent_is_asked_in_words(sandbox: Sandbox) -> None:
    found = await asked(agent(sandbox))
    assert "45 days" in found.answer
    assert PASSAGE in texts(found)
    assert found.usage
    in_full = await asked(agent(sandbox), {"messages": [HumanMessage(QUESTION)]})
    assert in_full == found


async def test_an_agent_within_a_chain_is_asked_in_words(sandbox: Sandbox) -> None:
    alone = await asked(agent(sandbox))
    found = await asked(agent(sandbox).with_retry() | (lambda state: state["messages"][-1].text))
    assert (found.answer, texts(found)) == (alone.answer, texts(alone))


@pytest.mark.filterwarnings("ignore:.* deprecated")
async def test_each_row_is_a_conversation_of_its_own(sandbox: Sandbox) -> None:
    kept: dict[str, InMemoryChatMessageHistory] = {}

    def history(session_id: str) -> InMemoryChatMessageHistory:
        return kept.setdefault(session_id, InMemoryChatMessageHistory())

    bound = {"thread_id": "1", "session_id": "1", "user": "Ada"}
    seen: list[Any] = []

    def note(state: Any, config: RunnableConfig) -> Any:
        seen.append((len(state), config["configurable"]["user"]))
        return state

    remembering = RunnableWithMessageHistory(
        RunnableLambda(note) | PERPLEXITY.over(sandbox), history
    )
    for model in (agent(sandbox, checkpointer=InMemorySaver()), remembering):
        asker = ChainAsker(model.with_config(configurable=bound))
        first, *others = [await asker.ask(QUESTION) for _ in range(3)]
        assert others == [first, first]
        await asker.aclose()
    assert seen == [(1, "Ada")] * 3


async def test_messages_alone_are_read_like_an_agent_s() -> None:
    found = [Document("Lit in 1847.", id="a")]
    messages = [ToolMessage("Lit", tool_call_id="1", artifact=found), AIMessage("Lit.[1]")]
    answered = await asked(RunnableLambda(lambda _: messages))
    assert answered.answer == "Lit.[1]"
    assert answered.citations == [{"id": "a", "text": "Lit in 1847.", "spans": [[4, 7]]}]


async def test_an_agent_s_object_is_its_answer(server: FaultServer) -> None:
    arguments = '{"number_of_days": 45}'
    call = {"id": "c", "type": "function", "function": {"name": "Return", "arguments": arguments}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    server.replies(json_reply({"id": "b", "model": "m", "created": 1, "choices": [choice]}))
    model = FIREWORKS.at(server.url)
    found = await asked(create_agent(model, [], response_format=ToolStrategy(Return)))
    assert found.answer == '{"days":45}'


# ---- caches


async def test_what_a_cache_answers_costs_nothing(sandbox: Sandbox) -> None:
    set_llm_cache(InMemoryCache())
    model = PERPLEXITY.over(sandbox)
    first, second = await asked(model), await asked(model)
    assert first.cost
    assert second.cost == 0
    assert second.usage == dict.fromkeys(first.usage or (), 0)
    assert (second.answer, second.citations) == (first.answer, first.citations)


# ---- errors


@every(CHATS)
async def test_an_error_passes_with_what_had_arrived(kind: Kind, sandbox: Sandbox) -> None:
    sandbox.faults.add(Truncate(after=9, service=kind.service))
    with pytest.raises(IncompleteStreamError) as caught:
        await asked(kind.over(sandbox, streaming=True))
    assert caught.value.partial_text


async def test_an_error_passes_through_a_chain(server: FaultServer) -> None:
    server.replies(json_reply({"message": "Slow down."}, 429, retry_after="7"))
    with pytest.raises(RateLimitError) as caught:
        await asked(PERPLEXITY.at(server.url) | StrOutputParser())
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("other", [FireworksEmbeddings, "text", len, None])
def test_what_answers_no_question_is_refused_at_once(other: Any) -> None:
    model = other(model="m", api_key=KEY) if other is FireworksEmbeddings else other
    with pytest.raises(InvalidParameterError, match="chat model, a text LLM, a retriever"):
        ChainAsker(model)


# ---- workers


@pytest.mark.parametrize("way", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
async def test_an_asker_travels(
    way: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERPLEXITY_API_KEY", sandbox.env["PERPLEXITY_API_KEY"])
    chain = PERPLEXITY.over(sandbox, api_key=None) | StrOutputParser()
    before = ChainAsker(chain if way is pickle else chain | (lambda text: text.strip()))
    found = await before.ask(QUESTION)
    travelled = way.loads(way.dumps(before))
    assert await travelled.ask(QUESTION) == found
    assert travelled.describe() == before.describe()
    await before.aclose()
    await travelled.aclose()


async def test_closing_closes_the_models_of_a_chain(server: FaultServer) -> None:
    server.replies(PERPLEXITY.reply(stream=False))
    first, second, third = (PERPLEXITY.at(server.url) for _ in range(3))

    async def ask(found: Any) -> Any:
        return await second.ainvoke(found[0].page_content)

    chain = RunnableParallel(a=first.as_retriever() | ask, b=third | StrOutputParser())
    asker = ChainAsker(chain.with_fallbacks([chain]))
    await asker.ask(QUESTION)
    assert server.open_connections == 3
    await asker.aclose()
    assert await asyncio.to_thread(server.wait_closed)


def test_a_chain_is_described_by_its_classes_and_models_in_any_order() -> None:
    chain = ChatPromptTemplate.from_template("{q}") | ChatPerplexity(model="sonar", api_key=KEY)
    told = ChainAsker(chain | StrOutputParser()).describe()
    assert told == "ChatPerplexity(sonar), ChatPromptTemplate, RunnableSequence, StrOutputParser"
    fake = GenericFakeChatModel(messages=iter([]))
    assert ChainAsker(fake).describe() == "GenericFakeChatModel"


# ---- tables


def test_what_a_row_took_before_it_failed_counts(sandbox: Sandbox, tmp_path: Path) -> None:
    chain = PERPLEXITY.over(sandbox) | JsonOutputParser()
    output = tmp_path / "answers.jsonl"
    report = answer_dataset(chain, [QUESTION] * 3, output=output, engine="local", progress=False)
    assert report.errors == {"OutputParserException": 3}
    assert report.tokens > 0
    assert report.cost
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert report.cost == pytest.approx(sum(row["cost"] for row in rows))


def test_a_table_is_answered(sandbox: Sandbox, tmp_path: Path) -> None:
    questions, output = tmp_path / "questions.csv", tmp_path / "answers.jsonl"
    questions.write_text("what,done\nlamp,returned\nlantern,returned\n", encoding="utf-8")
    prompt = ChatPromptTemplate.from_template("Within how many days can a {what} be {done}?")
    chain = prompt | PERPLEXITY.over(sandbox) | StrOutputParser()
    report = answer_dataset(
        chain, questions, ["what", "done"], output=output, engine="local", progress=False
    )
    assert (report.rows, report.answered) == (2, 2)
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [row["what"] for row in rows] == ["lamp", "lantern"]
    assert all("45 days" in row["answer"] and row["cost"] for row in rows)


async def test_a_wrong_table_is_refused_as_langchain_has_it(tmp_path: Path) -> None:
    questions = tmp_path / "questions.csv"
    questions.write_text("q\n1\n", encoding="utf-8")
    fake = GenericFakeChatModel(messages=iter([]))
    with pytest.raises(InvalidParameterError, match="question"):
        await aanswer_dataset(fake, questions, output=tmp_path / "a.csv", engine="local")
