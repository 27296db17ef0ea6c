"""A row of a table is asked of anything that answers in LlamaIndex, and all it says is kept."""

import asyncio
import json
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import CustomQueryEngine, RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import QueryEngineTool
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel

from llama_index_qaip import Fireworks, FireworksEmbedding, PerplexityAgent, Qaip, ServiceLLM
from llama_index_qaip._asking import EngineAsker
from llama_index_qaip.bulk import aanswer_dataset, answer_dataset
from llama_index_qaip.errors import IncompleteStreamError, InvalidParameterError, RateLimitError
from qaip_core.bulk.record import Answered
from qaip_sandbox import Sandbox, Stall, Truncate
from support.fault_server import FaultServer, json_reply
from support.wire import cases

from .conftest import CLASSES, KEY
from .speech import spoken

cloudpickle = pytest.importorskip("ray.cloudpickle")

HANDBOOK = Path(__file__).parents[2] / "examples/handbook"
QUESTION = "When was the first light lit?"
ANSWER = "Stennick Light was first lit on 3 November 1847."
TITLE = "The history of Stennick Light"
MODEL = "accounts/sandbox/models/extractive"
WANTED: Mapping[str, Mapping[str, Any]] = {
    "fireworks": {"model": MODEL},
    "pais": {"model": "sandbox-extractive"},
    "perplexity": {"model": "sonar"},
    "perplexity-agent": {"model": "perplexity/sonar", "web_search": True},
}
SILENT = {"fireworks", "pais"}
# LlamaIndex's agents look at every attribute of an LLM, also at those that are deprecated.
of_an_agent = pytest.mark.filterwarnings("ignore::DeprecationWarning")
every = pytest.mark.parametrize("service", CLASSES)


@pytest.fixture(scope="module")
def handbook() -> Iterator[Sandbox]:
    with Sandbox(HANDBOOK) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _reached(handbook: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in handbook.env.items():
        monkeypatch.setenv(name, value)


def of(service: str) -> ServiceLLM:
    wanted = dict(WANTED.get(service, {}))
    if service == "pais-agent":
        with CLASSES[service](agent_id="any") as any_one:
            wanted["agent_id"] = any_one.list_agents()[0].id
    return CLASSES[service](**wanted)


async def asked(model: Any, question: Any = QUESTION) -> Answered:
    asker = EngineAsker(model)
    try:
        return await asker.ask(question)
    finally:
        await asker.aclose()


def titles(found: Answered) -> set[str]:
    return {citation["title"] for citation in found.citations}


# ---- LLMs


@every
async def test_every_llm_answers_a_row(service: str) -> None:
    found = await asked(of(service))
    assert "1847" in found.answer
    assert found.finish_reason == "stop"
    if service not in SILENT:
        assert titles(found) & {TITLE, "history.md"}
    if service not in ("qaip", "dify", "dify-conversation"):
        assert found.model
    if service not in ("qaip", "pais-agent"):
        assert found.usage
        assert found.usage["total_tokens"] > 0
    told = service.partition("-")[0] in ("perplexity", "dify")
    assert (found.cost is not None) is told
    assert not told or 0 < (found.cost or 0) < 0.1


async def test_an_llm_is_told_its_system_prompt(server: FaultServer) -> None:
    server.replies(spoken("fireworks", "whole", "Lit."))
    llm = Fireworks(model="m", api_key=KEY, base_url=server.url, system_prompt="Be brief.")
    assert (await asked(llm)).answer == "Lit."
    turns = server.requests[-1].json()["messages"]
    assert [(turn["role"], turn["content"]) for turn in turns] == [
        ("system", "Be brief."),
        ("user", QUESTION),
    ]


COUNTED = (
    ("input_tokens", "prompt"),
    ("output_tokens", "completion"),
    ("total_tokens", "total"),
)


class Lit(BaseModel):
    """When something was lit."""

    year: int


async def test_an_llm_s_object_is_its_answer(server: FaultServer) -> None:
    (case,) = (case for case in cases("perplexity") if case.name == "whole_2026_06")
    body = json.loads(case.body)
    body["choices"][0]["message"]["content"] = '{"year": 1847}'
    server.replies(json_reply(body))
    llm = CLASSES["perplexity"](model="m", api_key=KEY, base_url=server.url)
    found = await asked(llm.as_structured_llm(Lit))
    assert json.loads(found.answer) == {"year": 1847}
    assert found.usage == {name: body["usage"][f"{theirs}_tokens"] for name, theirs in COUNTED}
    assert len(found.citations) == len(body["search_results"])
    assert not any(citation["spans"] for citation in found.citations)


# ---- engines and retrievers


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_query_engine_answers_a_row(streaming: bool) -> None:
    found = await asked(Qaip().as_query_engine(streaming=streaming))
    assert found.answer.startswith(ANSWER)
    assert TITLE in titles(found)
    assert found.finish_reason == "stop"
    priced = await asked(PerplexityAgent(**WANTED["perplexity-agent"]).as_query_engine())
    assert priced.usage
    assert priced.cost


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_engine_of_parts_gives_its_nodes_as_citations(streaming: bool) -> None:
    llm = of("fireworks")
    synthesizer = get_response_synthesizer(
        llm=llm, response_mode=ResponseMode.COMPACT, streaming=streaming
    )
    retriever = Qaip().as_retriever(similarity_top_k=1)
    found = await asked(RetrieverQueryEngine(retriever, synthesizer))
    assert "1847" in found.answer
    assert titles(found) == {TITLE}
    assert found.usage
    assert found.usage["total_tokens"] > 0
    assert found.model == MODEL


async def test_nodes_are_citations_without_an_answer() -> None:
    found = await asked(Qaip().as_retriever(similarity_top_k=1))
    assert found.answer == ""
    assert titles(found) == {TITLE}


NODE = NodeWithScore(node=TextNode(id_="a", text="Lit in 1847."))


def _sync() -> Any:
    return StreamingResponse((text for text in ("Lit", ".[1]")), [NODE])


def _async() -> Any:
    async def tokens() -> Any:
        for text in ("Lit", ".[1]"):
            yield text

    return AsyncStreamingResponse(tokens(), [NODE])


class Told(CustomQueryEngine):
    """An engine of somebody else."""

    tell: Callable[[], Any]

    def custom_query(self, query_str: str) -> Any:
        return self.tell()


@pytest.mark.parametrize("tell", [lambda: Response("Lit.[1]", [NODE]), _sync, _async])
async def test_responses_of_others_are_read_to_their_end(tell: Callable[[], Any]) -> None:
    found = await asked(Told(tell=tell))
    assert found.answer == "Lit.[1]"
    assert found.citations == [{"id": "a", "text": "Lit in 1847.", "spans": [[4, 7]]}]
    assert (found.usage, found.cost, found.model) == (None, None, None)


async def test_an_engine_s_object_is_its_answer() -> None:
    found = await asked(Told(tell=lambda: PydanticResponse(Lit(year=1847), [NODE])))
    assert found.answer == '{"year":1847}'
    assert found.citations == [{"id": "a", "text": "Lit in 1847.", "spans": []}]
    assert (await asked(Told(tell=lambda: Response(None)))).answer == ""


@of_an_agent
async def test_an_agent_s_object_is_its_answer() -> None:
    async def structured(messages: Any) -> dict[str, Any]:
        return {"year": 1847}

    agent = FunctionAgent(tools=[search()], llm=of("fireworks"), structured_output_fn=structured)
    found = await asked(agent)
    assert found.answer == '{"year":1847}'
    assert TITLE in titles(found)


# ---- agents


def search() -> QueryEngineTool:
    return QueryEngineTool.from_defaults(
        Qaip().as_query_engine(),
        name="handbook",
        description="Tells when the first light was lit.",
    )


@of_an_agent
@pytest.mark.parametrize("several", [False, True])
async def test_an_agent_answers_a_row(several: bool) -> None:
    agent = FunctionAgent(
        name="keeper", description="Knows lights.", tools=[search()], llm=of("fireworks")
    )
    model = AgentWorkflow(agents=[agent], root_agent="keeper") if several else agent
    found = await asked(model)
    assert "1847" in found.answer
    assert TITLE in titles(found)
    assert found.usage
    assert found.finish_reason == "stop"


@of_an_agent
async def test_rows_that_are_asked_at_once_are_kept_apart() -> None:
    agent = FunctionAgent(tools=[search()], llm=of("fireworks"))
    alone = await asked(agent)
    asker = EngineAsker(agent)
    found = await asyncio.gather(*(asker.ask(QUESTION) for _ in range(8)))
    await asker.aclose()
    assert {str(answered.usage) for answered in found} == {str(alone.usage)}
    assert ours_listen() == []


def until_asked(sandbox: Sandbox) -> None:
    while not sandbox.requests or sandbox.requests[-1].state != "open":
        time.sleep(0.01)


@of_an_agent
async def test_a_row_that_is_given_up_leaves_no_run_behind(handbook: Sandbox) -> None:
    handbook.faults.add(Stall(after=1, service="fireworks"))
    asker = EngineAsker(FunctionAgent(tools=[search()], llm=of("fireworks")))
    before = asyncio.all_tasks()
    row = asyncio.create_task(asker.ask(QUESTION))
    await asyncio.to_thread(until_asked, handbook)
    row.cancel()
    with pytest.raises(asyncio.CancelledError):
        await row
    assert asyncio.all_tasks() == before
    await asker.aclose()


def ours_listen() -> list[str]:
    """Return our handlers of LlamaIndex's events: while nobody listens, streams are cheaper."""
    handlers = (type(handler).__module__ for handler in get_dispatcher().event_handlers)
    return [name for name in handlers if name.startswith("llama_index_qaip")]


# ---- others' LLMs


class Other(CustomLLM):
    """An LLM of somebody else, whose chat is built on its completion."""

    raw: Any = None

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="other")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text="Lit.", raw=self.raw)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class Object:
    """What a vendor's client returns."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


@pytest.mark.parametrize(
    "raw",
    [
        {"usage": {"prompt_tokens": 2, "completion_tokens": 3, "cost": 0.5}, "model": "m"},
        Object(usage=Object(input_tokens=2, output_tokens=3, cost=0.5), model="m"),
    ],
    ids=["dict", "object"],
)
async def test_the_counts_of_other_packages_are_read(raw: Any) -> None:
    found = await asked(Other(raw=raw))
    assert found.usage == {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}
    assert (found.answer, found.model) == ("Lit.", "m")
    assert found.cost == (0.5 if isinstance(raw, dict) else None)


async def test_an_llm_that_counts_nothing_answers() -> None:
    found = await asked(Other())
    assert (found.answer, found.usage, found.cost, found.model) == ("Lit.", None, None, None)


# ---- errors


async def test_an_error_passes_with_what_had_arrived(handbook: Sandbox) -> None:
    handbook.faults.add(Truncate(after=4, service="qaip"))
    with pytest.raises(IncompleteStreamError) as caught:
        await asked(Qaip().as_query_engine(streaming=True))
    assert caught.value.partial_text


async def test_an_error_passes_through_an_engine(server: FaultServer) -> None:
    server.replies(json_reply({"message": "Slow down."}, 429, retry_after="7"))
    llm = Qaip(api_key=KEY, base_url=server.url, max_retries=0)
    with pytest.raises(RateLimitError) as caught:
        await asked(llm.as_query_engine())
    assert caught.value.retry_after == 7


def test_what_answers_no_question_is_refused_at_once() -> None:
    embedding = FireworksEmbedding(model="m", api_key=KEY)
    llm = of("qaip")
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    chat = SimpleChatEngine.from_defaults(llm=llm, memory=memory)
    for other in (embedding, chat, "text", len, None):
        with pytest.raises(InvalidParameterError, match="an LLM, a query engine, a retriever"):
            EngineAsker(other)


async def test_a_question_is_one_text() -> None:
    with pytest.raises(InvalidParameterError, match="a question is a text, not dict"):
        await asked(Qaip(), {"a": "1", "b": "2"})


# ---- workers


@pytest.mark.parametrize("way", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize("kind", ["llm", "engine", "retriever"])
async def test_an_asker_travels(kind: str, way: Any) -> None:
    made = {"llm": lambda x: x, "engine": Qaip.as_query_engine, "retriever": Qaip.as_retriever}
    before = EngineAsker(made[kind](Qaip()))
    found = await before.ask(QUESTION)
    travelled = way.loads(way.dumps(before))
    assert await travelled.ask(QUESTION) == found
    assert travelled.describe() == before.describe()
    await before.aclose()
    await travelled.aclose()


async def test_closing_closes_the_llm_of_an_engine(server: FaultServer) -> None:
    server.replies(spoken("qaip", "whole", "Lit."))
    asker = EngineAsker(Qaip(api_key=KEY, base_url=server.url).as_query_engine())
    await asker.ask(QUESTION)
    assert server.open_connections == 1
    await asker.aclose()
    assert await asyncio.to_thread(server.wait_closed)


def test_an_engine_is_described_by_its_classes_and_models() -> None:
    assert EngineAsker(of("fireworks")).describe() == f"Fireworks({MODEL})"
    assert EngineAsker(Qaip().as_query_engine()).describe() == "CitedQueryEngine, Qaip(qaip)"
    assert EngineAsker(Told(tell=_sync)).describe() == "Told"


# ---- tables


async def test_a_table_is_answered(tmp_path: Path) -> None:
    questions, output = tmp_path / "questions.csv", tmp_path / "answers.jsonl"
    questions.write_text(f"asked\n{QUESTION}\n", encoding="utf-8")
    given: Any = {"output": output, "engine": "local", "progress": False}
    async with Qaip() as llm:
        report = await aanswer_dataset(llm.as_query_engine(), questions, "asked", **given)
    assert (report.rows, report.answered) == (1, 1)
    (row,) = map(json.loads, output.read_text("utf-8").splitlines())
    assert row["answer"].startswith(ANSWER)
    assert TITLE in {citation["title"] for citation in row["citations"]}


def test_one_column_is_asked(tmp_path: Path) -> None:
    several: Any = ["a", "b"]
    with pytest.raises(InvalidParameterError, match="one column"):
        answer_dataset(Qaip(), tmp_path / "questions.csv", several, output=tmp_path / "a.csv")
