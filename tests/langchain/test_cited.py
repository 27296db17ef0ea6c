"""Answers of LangChain's models, chains and agents are shown with their sources."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import create_retriever_tool

from langchain_qaip import ChatFireworks, ChatPerplexityAgent, ChatQaip, ashow, cited, show
from langchain_qaip.errors import IncompleteStreamError, InvalidParameterError
from qaip_core.rendering import CitedAnswer
from qaip_sandbox import Sandbox, Truncate
from support.notebook import run_cells

HANDBOOK = Path(__file__).parents[2] / "examples/handbook"
QUESTION = "When was the first light lit?"
ANSWER = "Stennick Light was first lit on 3 November 1847."
TITLE = "The history of Stennick Light"


@pytest.fixture
def handbook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(HANDBOOK) as sandbox:
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)
        yield sandbox


def first(answer: CitedAnswer) -> tuple[str, int, str, bool]:
    source = answer.sources[0]
    return answer.marked_text, source.number, source.title, source.named


SHOWN = (f"{ANSWER}[1]", 1, TITLE, True)


@pytest.mark.usefixtures("handbook")
def test_a_message_is_shown() -> None:
    assert first(cited(ChatQaip().invoke(QUESTION))) == SHOWN


@pytest.mark.usefixtures("handbook")
def test_content_blocks_alone_suffice() -> None:
    message = ChatQaip(output_version="v1").invoke(QUESTION)
    message.additional_kwargs.clear()
    assert first(cited(message)) == SHOWN


@pytest.mark.usefixtures("handbook")
def test_documents_are_shown_as_sources() -> None:
    found = ChatQaip().as_retriever(k=1).invoke(QUESTION)
    assert first(cited(found)) == ("", 1, TITLE, False)
    assert cited([]).sources == ()


def test_a_chain_s_dict_is_shown() -> None:
    context = [Document("Lit in 1847.", metadata={"source": "https://a.example/b"})]
    for state in (
        {"answer": "Lit.[1]", "context": context, "question": "?"},
        {"result": "Lit.[1]", "source_documents": context},
        {"answer": AIMessage("Lit.[1]"), "context": context},
    ):
        assert first(cited(state)) == ("Lit.[1]", 1, "a.example/b", True)


@pytest.mark.usefixtures("handbook")
def test_a_chain_s_answer_that_cites_by_itself_is_shown_with_its_own_sources() -> None:
    state = {"answer": ChatQaip().invoke(QUESTION), "context": [Document("Other.")]}
    assert first(cited(state)) == SHOWN


def test_an_agent_s_answer_is_shown_with_what_its_tools_found() -> None:
    found = Document("Lit in 1847.", id="a", metadata={"title": "History"})
    messages = [
        HumanMessage("When?"),
        ToolMessage("old", tool_call_id="0", artifact=[Document("Old.")]),
        AIMessage("Old."),
        HumanMessage("And now?"),
        ToolMessage("new", tool_call_id="1", artifact=[found]),
        ToolMessage("none", tool_call_id="2", artifact={"no": "documents"}),
        AIMessage("Lit.[1]"),
    ]
    assert first(cited({"messages": messages})) == ("Lit.[1]", 1, "History", True)
    assert len(cited({"messages": messages}).sources) == 1
    # So a checkpointer gives Documents back.
    messages[4] = ToolMessage("new", tool_call_id="1", artifact=[found.model_dump()])
    assert first(cited({"messages": messages})) == ("Lit.[1]", 1, "History", True)


def test_markers_name_nothing_where_two_searches_could_be_meant() -> None:
    messages = [
        ToolMessage("a", tool_call_id="0", artifact=[Document("A.", metadata={"rank": 1})]),
        ToolMessage("b", tool_call_id="1", artifact=[Document("B.", metadata={"rank": 1})]),
        AIMessage("Both.[1]"),
    ]
    answer = cited({"messages": messages})
    assert [(s.number, s.named) for s in answer.sources] == [(1, False), (2, False)]


@pytest.mark.usefixtures("handbook")
def test_a_real_agent_is_shown() -> None:
    retriever = ChatPerplexityAgent(model="perplexity/sonar", web_search=True).as_retriever(k=2)
    search = create_retriever_tool(
        retriever,
        "handbook",
        "Tells when the first light was lit.",
        response_format="content_and_artifact",
    )
    agent: Any = create_agent(ChatFireworks(model="accounts/sandbox/models/extractive"), [search])
    state = agent.invoke({"messages": [("user", QUESTION)]})
    assert TITLE in [source.title for source in cited(state).sources]


@pytest.mark.usefixtures("handbook")
def test_an_agent_s_stream_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    retriever = ChatQaip().as_retriever(k=1)
    search = create_retriever_tool(
        retriever,
        "handbook",
        "Tells when the first light was lit.",
        response_format="content_and_artifact",
    )
    agent: Any = create_agent(ChatFireworks(model="accounts/sandbox/models/extractive"), [search])
    state = show(agent.stream({"messages": [("user", QUESTION)]}, stream_mode="messages"))
    assert [message.type for message in state["messages"]][1:] == ["tool", "AIMessageChunk"]
    out = capsys.readouterr().out
    assert out.startswith(state["messages"][-1].text)
    assert out.count(TITLE) == 1


def test_all_that_an_agent_says_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = Document("Lit in 1847.", metadata={"title": "History"})
    model, tools = {"langgraph_node": "model"}, {"langgraph_node": "tools"}
    steps = [
        (AIMessageChunk(content="I shall ", id="1"), model),
        (AIMessageChunk(content="look.", id="1"), model),
        (AIMessageChunk(content="what the tool's model says", id="2"), tools),
        (ToolMessage("Lit", tool_call_id="a", id="3", artifact=[found]), tools),
        (HumanMessage("aside", id="4"), model),
        (AIMessageChunk(content="", id="5"), model),
        (AIMessageChunk(content="Lit.[1]", id="5"), model),
    ]
    show(iter(steps))
    out = capsys.readouterr().out
    assert out == "I shall look.\n\nLit.[1]\n\n[1] History\n    Lit in 1847.\n"


def test_an_agent_that_has_not_answered_is_said_to_have_not() -> None:
    with pytest.raises(InvalidParameterError, match="has not answered yet"):
        cited({"messages": [HumanMessage("When?")]})


def test_messages_of_langchain_perplexity_are_shown() -> None:
    message = AIMessage(
        "Lit.[2]",
        additional_kwargs={
            "citations": ["https://a.example/1", "https://b.example/2"],
            "search_results": [
                {"url": "https://b.example/2", "title": "B", "date": "2025-01-02", "snippet": "x"}
            ],
        },
    )
    source = cited(message).sources[1]
    assert (source.number, source.named, source.title, source.text) == (2, True, "B", "x")


def test_messages_of_langchain_openai_are_shown() -> None:
    note = {"type": "citation", "url": "https://a.example", "title": "A"}
    text = "It was lit in 1847. It is tall."
    block = {
        "type": "text",
        "text": text,
        "annotations": [{**note, "start_index": 0, "end_index": 18}],
    }
    message = AIMessage([{"type": "reasoning", "reasoning": "Hm."}, block])
    assert first(cited(message)) == ("It was lit in 1847 [1]. It is tall.", 1, "A", True)


def test_messages_of_langchain_anthropic_are_shown() -> None:
    note = {"type": "citation", "title": "A", "cited_text": "Lit in 1847."}
    message = AIMessage([
        {"type": "text", "text": "It was "},
        {"type": "text", "text": "lit in 1847", "annotations": [note]},
        {"type": "text", "text": "."},
    ])  # fmt: skip
    assert first(cited(message)) == ("It was lit in 1847 [1].", 1, "A", True)


def test_a_message_without_sources_is_its_text() -> None:
    assert str(cited(AIMessage("No idea.[1]"))) == "No idea.[1]"
    assert str(cited(cited(AIMessage("No idea.")))) == "No idea."


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("text", "not str"),
        (None, "not NoneType"),
        ({"output": 1}, "not a dict with 'output'"),
        ({}, "not a dict with nothing in it"),
        ([1], "not a list of int"),
        ({"messages": None}, "not a dict with 'messages'"),
        (iter(()), "show"),
    ],
)
def test_what_is_no_answer_is_refused(value: Any, said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        cited(value)


async def test_show_says_how_to_show_what_is_async(handbook: Sandbox) -> None:
    stream = ChatQaip().astream(QUESTION)
    with pytest.raises(InvalidParameterError, match=r"await ashow\(...\)"):
        show(stream)
    await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("handbook")
def test_a_stream_is_shown_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    whole = show(ChatQaip().stream(QUESTION))
    out = capsys.readouterr().out
    assert out == f"{cited(whole)}\n"
    assert out.startswith(f"{ANSWER}[1]\n\n[1] {TITLE}\n")


@pytest.mark.usefixtures("handbook")
async def test_an_async_stream_is_shown_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    whole = await ashow(ChatQaip().astream(QUESTION))
    assert capsys.readouterr().out == f"{cited(whole)}\n"
    assert await ashow(ChatQaip().ainvoke(QUESTION)) is None
    assert capsys.readouterr().out.startswith(ANSWER)


@pytest.mark.usefixtures("handbook")
def test_a_chain_s_stream_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    chat = ChatQaip()
    rag: Any = {"context": chat.as_retriever(k=1), "question": RunnablePassthrough()}
    rag = RunnablePassthrough.assign(answer=lambda x: x["question"]) | {
        "context": lambda x: x["context"],
        "answer": (lambda x: x["question"]) | chat | StrOutputParser(),
    }
    state = show(
        rag.stream({"context": chat.as_retriever(k=1).invoke(QUESTION), "question": QUESTION})
    )
    assert state["answer"] == f"{ANSWER}[1]"
    assert capsys.readouterr().out.startswith(f"{ANSWER}[1]\n\n[1] {TITLE}\n")


def test_texts_are_shown_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    chain = GenericFakeChatModel(messages=iter(["No idea"])) | StrOutputParser()
    assert show(chain.stream("?")) == "No idea"
    assert capsys.readouterr().out == "No idea\n"


@pytest.mark.parametrize(
    "piece",
    [1, {"model": {"messages": []}}, ("updates", {"model": None}), (("inner",), "messages", ())],
)
def test_a_stream_of_something_else_is_refused(piece: Any) -> None:
    with pytest.raises(InvalidParameterError, match=f'"messages", not of {type(piece).__name__}'):
        show(iter([piece]))


def test_an_empty_stream_shows_nothing_much(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(iter(())) is None
    assert capsys.readouterr().out == "\n"


def test_a_stream_that_breaks_off_leaves_what_had_arrived(
    handbook: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    handbook.faults.add(Truncate(after=4))
    with pytest.raises(IncompleteStreamError):
        show(ChatQaip().stream(QUESTION))
    out = capsys.readouterr().out
    assert out.startswith("Stennick")
    assert out.endswith("\n[Incomplete: IncompleteStreamError]\n")


def test_a_notebook_shows_answers_by_themselves(handbook: Sandbox) -> None:
    data = run_cells(
        "from langchain_qaip import ChatQaip, show\nchat = ChatQaip()",
        f"chat.invoke({QUESTION!r})",
        f"whole = show(chat.stream({QUESTION!r}))",
        "%load_ext langchain_qaip",
        f"chat.invoke({QUESTION!r})",
        "from langchain_core.messages import AIMessage\nAIMessage('No sources.')",
        "%unload_ext langchain_qaip",
        f"chat.invoke({QUESTION!r})",
    )
    assert "text/html" not in data[1][0]
    (streamed,) = data[2]
    assert '<li id="qaip-' in streamed["text/html"]
    assert streamed["text/plain"].startswith(f"{ANSWER}[1]\n\n[1] {TITLE}\n")
    assert f"{ANSWER}<span" in data[4][0]["text/html"]
    assert "text/html" not in data[5][0]
    assert "text/html" not in data[7][0]


async def chunks(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def test_async_texts_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert await ashow(chunks("a", "b")) == "ab"
    assert capsys.readouterr().out == "ab\n"
