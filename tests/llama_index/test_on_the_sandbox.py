"""LlamaIndex's own engines and agents over the services of a sandbox with three documents."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    CondenseQuestionChatEngine,
    ContextChatEngine,
    SimpleChatEngine,
)
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import (
    CitationQueryEngine,
    RetrieverQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
)
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import FunctionTool, QueryEngineTool

from llama_index_qaip import CitedQueryEngine, PAISAgent, ServiceLLM
from qaip_sandbox import Sandbox

from .conftest import CLASSES, NEEDED

REFUND = "A refund reaches the buyer's account in 5 working days."
LEAVE = "Parents get 26 weeks of paid leave."
DOCUMENTS = {
    "refunds.md": f"# Refunds\n\n{REFUND} Vouchers come back as vouchers.\n",
    "leave.md": f"# Parental leave\n\n{LEAVE} It may be split in two.\n",
    "lamps.txt": "The harbour lamp draws 9 watts.\n",
}
ASKED, NEXT = "How long does a refund take?", "How many weeks of leave do parents get?"
MOON = "A parcel to the moon takes 99 days."

# LlamaIndex's agents look at every attribute of an LLM, also at those that are deprecated.
of_an_agent = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder: Path = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    with Sandbox(folder) as running:
        yield running


WANTED: Mapping[str, Mapping[str, Any]] = {
    **NEEDED,
    "perplexity": {"model": "sonar"},
    "perplexity-agent": {"model": "perplexity/sonar", "web_search": True},
}
"""What an LLM needs to be asked in a sandbox."""

UNMARKED = {"pais-agent"}
"""How the text of an agent refers to its passages is not documented; the sandbox's does not."""


@pytest.fixture(scope="module")
def agent(sandbox: Sandbox) -> str:
    place = {"api_key": sandbox.env["PAIS_API_KEY"], "base_url": sandbox.env["PAIS_BASE_URL"]}
    with PAISAgent(agent_id="any", **place) as any_one:
        return any_one.list_agents()[0].id


@pytest.fixture
def of(
    sandbox: Sandbox, agent: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Any]]:
    """Makes the LLM of a service; all settings come from the environment."""
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    made: list[ServiceLLM] = []

    def llm(service: str) -> ServiceLLM:
        known = {"agent_id": agent} if service == "pais-agent" else WANTED.get(service, {})
        made.append(CLASSES[service](**known))
        return made[-1]

    yield llm
    for each in made:
        each.close()


@pytest.fixture
def llm(service: str, of: Callable[[str], Any]) -> Any:
    return of(service)


@pytest.fixture
def cited(service: str, llm: Any, of: Callable[[str], Any]) -> Any:
    """An LLM that cites: the one under test where it does, else another one."""
    return llm if llm.endpoint.cites else of("qaip")


@pytest.fixture
def tools(cited: Any) -> list[QueryEngineTool]:
    about = {"refunds": "Refunds and vouchers", "leave": "Leave of parents", "lamps": "Lamps"}
    return [
        QueryEngineTool.from_defaults(CitedQueryEngine(cited), name=name, description=text)
        for name, text in about.items()
    ]


def test_retrieved_passages_answer(service: str, llm: Any, cited: Any) -> None:
    engine = RetrieverQueryEngine.from_args(cited.as_retriever(), llm=llm)
    response = engine.query(ASKED)
    assert str(response).startswith(REFUND)
    assert ("[1]" in str(response)) == (llm.endpoint.cites and service not in UNMARKED)
    assert REFUND in response.source_nodes[0].node.get_content()


@pytest.mark.parametrize(
    "mode",
    [
        ResponseMode.COMPACT,
        ResponseMode.REFINE,
        ResponseMode.TREE_SUMMARIZE,
        ResponseMode.SIMPLE_SUMMARIZE,
        ResponseMode.ACCUMULATE,
    ],
)
def test_passages_from_elsewhere_answer_in_each_mode(
    mode: ResponseMode, service: str, llm: Any
) -> None:
    texts = ("Lamps are grey.", MOON, "It is late.")
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in texts]
    synthesizer = get_response_synthesizer(llm=llm, response_mode=mode)
    response = synthesizer.synthesize("How long does a parcel to the moon take?", nodes)
    assert MOON in str(response)
    assert "grey" not in str(response)


def test_numbered_sources_are_cited(service: str, llm: Any, cited: Any) -> None:
    engine = CitationQueryEngine.from_args(None, llm=llm, retriever=cited.as_retriever())
    response = engine.query(ASKED)
    assert str(response).startswith(f"{REFUND}[1]")
    assert response.source_nodes[0].node.get_content().startswith("Source 1:")


def test_a_router_asks_the_engine_that_is_about_the_question(
    service: str, llm: Any, tools: list[QueryEngineTool]
) -> None:
    selector = LLMSingleSelector.from_defaults(llm=llm)
    engine = RouterQueryEngine(selector=selector, query_engine_tools=tools, llm=llm)
    response = engine.query(NEXT)
    assert response.metadata is not None
    assert response.metadata["selector_result"].ind == 1
    assert str(response).startswith(LEAVE if service in UNMARKED else f"{LEAVE}[1]")


def test_a_question_is_parted_and_put_together_again(
    service: str, llm: Any, tools: list[QueryEngineTool]
) -> None:
    engine = SubQuestionQueryEngine.from_defaults(
        tools,
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=llm),
        use_async=False,
        verbose=False,
    )
    text = str(engine.query("How long does a refund take, and how much leave do parents get?"))
    assert REFUND in text
    assert LEAVE in text


def _memory() -> ChatMemoryBuffer:
    # The default one leaves a database open.
    return ChatMemoryBuffer.from_defaults(token_limit=10_000)


def _condense(llm: Any, cited: Any) -> Any:
    return CondenseQuestionChatEngine.from_defaults(
        CitedQueryEngine(cited), llm=llm, memory=_memory()
    )


def _context(llm: Any, cited: Any) -> Any:
    return ContextChatEngine.from_defaults(cited.as_retriever(), llm=llm, memory=_memory())


def _condense_plus_context(llm: Any, cited: Any) -> Any:
    return CondensePlusContextChatEngine.from_defaults(
        cited.as_retriever(), llm=llm, memory=_memory()
    )


def _simple(llm: Any, _: Any) -> Any:
    return SimpleChatEngine.from_defaults(llm=llm, memory=_memory())


@pytest.mark.parametrize("make_engine", [_condense, _context, _condense_plus_context, _simple])
def test_a_chat_engine_answers_what_is_asked_next(
    make_engine: Any, service: str, llm: Any, cited: Any
) -> None:
    engine = make_engine(llm, cited)
    assert str(engine.chat(ASKED)).startswith(REFUND)
    assert str(engine.chat(NEXT)).startswith(LEAVE)


@of_an_agent
async def test_an_agent_of_thoughts_asks_a_tool_and_answers_from_it(
    service: str, llm: Any, tools: list[QueryEngineTool]
) -> None:
    result = await ReActAgent(tools=list(tools), llm=llm).run(NEXT, memory=_memory())
    assert str(result).startswith(LEAVE)
    assert [call.tool_name for call in result.tool_calls] == ["leave"]


@of_an_agent
async def test_an_agent_of_thoughts_repeats_what_a_function_returns(service: str, llm: Any) -> None:
    def add(one: int, other: int) -> int:
        """Add two numbers."""
        return one + other

    agent = ReActAgent(tools=[FunctionTool.from_defaults(add)], llm=llm)
    assert str(await agent.run("Add the numbers 40 and 2", memory=_memory())) == "42"


@of_an_agent
@pytest.mark.parametrize("caller", ["fireworks", "perplexity-agent"])
async def test_an_agent_of_calls_asks_a_tool(caller: str, of: Callable[[str], Any]) -> None:
    llm, cited = of(caller), of("qaip")
    tool = QueryEngineTool.from_defaults(
        CitedQueryEngine(cited), name="leave", description="Leave of parents"
    )
    result = await FunctionAgent(tools=[tool], llm=llm).run(NEXT, memory=_memory())
    assert LEAVE in str(result)


class Refund(BaseModel):
    days: int


def test_an_object_is_made_from_passages(service: str, llm: Any) -> None:
    prompt = PromptTemplate("Context information is below.\n{context}\nQuery: {query}\nAnswer: ")
    found = llm.structured_predict(
        Refund, prompt, context=MOON, query="How many days to the moon by parcel?"
    )
    assert found == Refund(days=99)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that names a service over all LLMs."""
    if "service" in metafunc.fixturenames:
        metafunc.parametrize("service", CLASSES)
