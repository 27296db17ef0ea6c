"""Answers of LlamaIndex's LLMs, engines and agents are shown with their sources."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import QueryEngineTool
from pydantic import BaseModel

from llama_index_qaip import Fireworks, Qaip, ashow, cited, show
from llama_index_qaip.errors import IncompleteStreamError, InvalidParameterError
from qaip_core.rendering import CitedAnswer
from qaip_sandbox import Sandbox, Truncate
from support.notebook import run_cells

HANDBOOK = Path(__file__).parents[2] / "examples/handbook"
QUESTION = "When was the first light lit?"
ANSWER = "Stennick Light was first lit on 3 November 1847."
TITLE = "The history of Stennick Light"
SHOWN = (f"{ANSWER}[1]", 1, TITLE, True)


@pytest.fixture
def handbook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(HANDBOOK) as sandbox:
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)
        yield sandbox


def first(answer: CitedAnswer) -> tuple[str, int, str, bool]:
    source = answer.sources[0]
    return answer.marked_text, source.number, source.title, source.named


def asked() -> list[ChatMessage]:
    return [ChatMessage(role="user", content=QUESTION)]


@pytest.mark.usefixtures("handbook")
async def test_every_answer_of_an_llm_is_shown() -> None:
    async with Qaip() as llm:
        for answer in (
            llm.chat(asked()),
            llm.complete(QUESTION),
            llm.as_query_engine().query(QUESTION),
            llm.as_query_engine(streaming=True).query(QUESTION),
            await llm.achat(asked()),
            list(llm.stream_chat(asked()))[-1],
        ):
            assert first(cited(answer)) == SHOWN


@pytest.mark.usefixtures("handbook")
def test_nodes_are_shown_as_sources() -> None:
    found = Qaip().as_retriever(similarity_top_k=1).retrieve(QUESTION)
    assert first(cited(found)) == ("", 1, TITLE, False)
    assert cited([]).sources == ()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's own
@pytest.mark.usefixtures("handbook")
async def test_an_agent_s_answer_is_shown_with_what_its_tools_found() -> None:
    async with Qaip() as handbook, Fireworks(model="accounts/sandbox/models/extractive") as llm:
        search = QueryEngineTool.from_defaults(
            handbook.as_query_engine(),
            name="handbook",
            description="Tells when the first light was lit.",
        )
        output = await FunctionAgent(tools=[search], llm=llm).run(QUESTION)
    assert TITLE in [source.title for source in cited(output).sources]


@pytest.mark.usefixtures("handbook")
def test_a_chat_engine_s_answer_is_shown() -> None:
    llm = Qaip()
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    engine = CondenseQuestionChatEngine.from_defaults(llm.as_query_engine(), llm=llm, memory=memory)
    assert first(cited(engine.chat(QUESTION)))[2:] == (TITLE, True)


@pytest.mark.usefixtures("handbook")
async def test_a_chat_engine_s_stream_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    async with Qaip() as llm:
        engine = CondenseQuestionChatEngine.from_defaults(
            llm.as_query_engine(streaming=True),
            llm=llm,
            memory=ChatMemoryBuffer.from_defaults(llm=llm),
        )
        whole = show(engine.stream_chat(QUESTION))
        assert first(cited(whole)) == SHOWN
        assert capsys.readouterr().out == f"{cited(whole)}\n"
        engine.reset()
        response = await engine.astream_chat(QUESTION)
        with pytest.raises(InvalidParameterError, match=r"await ashow\(...\)"):
            show(response)
        whole = await ashow(response)
        assert first(cited(whole)) == SHOWN
        assert capsys.readouterr().out == f"{cited(whole)}\n"


def test_other_packages_responses_are_shown() -> None:
    facts = {"file_name": "history.md", "page_label": "3"}
    node = NodeWithScore(node=TextNode(text="Lit in 1847.", metadata=facts))
    answer = cited(Response("Lit.[1]", [node]))
    assert first(answer) == ("Lit.[1]", 1, "history.md", True)
    assert answer.sources[0].facts == ("p. 3",)
    streaming = StreamingResponse((text for text in ("Lit", ".[1]")), [node])
    assert first(cited(streaming)) == ("Lit.[1]", 1, "history.md", True)


def test_an_object_is_shown_as_json() -> None:
    class Tower(BaseModel):
        height: int

    assert str(cited(PydanticResponse(Tower(height=38)))) == '{"height":38}'


def test_an_answer_without_sources_is_its_text() -> None:
    plain = ChatResponse(message=ChatMessage(role="assistant", content="No idea.[1]"))
    assert str(cited(plain)) == "No idea.[1]"
    assert str(cited(cited(plain))) == "No idea.[1]"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("text", "not str"),
        (None, "not NoneType"),
        ({}, "not dict"),
        ([1], "not a list of int"),
        (iter(()), "show"),
        (ChatMessage(content="Lit."), "the sources are in the response"),
    ],
)
def test_what_is_no_answer_is_refused(value: Any, said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        cited(value)


@pytest.mark.usefixtures("handbook")
async def test_what_is_async_is_read_before_it_is_cited() -> None:
    response = await Qaip().as_query_engine(streaming=True).aquery(QUESTION)
    with pytest.raises(InvalidParameterError, match=r"await ashow\(...\)"):
        cited(response)
    with pytest.raises(InvalidParameterError, match=r"await ashow\(...\)"):
        show(response)
    assert isinstance(response, AsyncStreamingResponse)
    await response.get_response()
    assert first(cited(response)) == SHOWN


@pytest.mark.usefixtures("handbook")
def test_streams_are_shown_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    llm = Qaip()
    engine = llm.as_query_engine(streaming=True)
    for stream in (llm.stream_chat(asked()), llm.stream_complete(QUESTION), engine.query(QUESTION)):
        whole = show(stream)
        out = capsys.readouterr().out
        assert out == f"{cited(whole)}\n"
        assert out.startswith(f"{ANSWER}[1]\n\n[1] {TITLE}\n")


@pytest.mark.usefixtures("handbook")
async def test_async_streams_are_shown_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    async with Qaip() as llm:
        engine = llm.as_query_engine(streaming=True)
        for stream in (
            await llm.astream_chat(asked()),
            llm.astream_complete(QUESTION),
            engine.aquery(QUESTION),
        ):
            whole = await ashow(stream)
            assert capsys.readouterr().out == f"{cited(whole)}\n"
            assert first(cited(whole)) == SHOWN
        assert await ashow(llm.achat(asked())) is None
        assert capsys.readouterr().out.startswith(f"{ANSWER}[1]\n\n[1] {TITLE}\n")


@pytest.mark.usefixtures("handbook")
def test_a_response_that_has_been_read_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    response = Qaip().as_query_engine(streaming=True).query(QUESTION)
    str(response)
    assert first(cited(show(response))) == SHOWN
    assert capsys.readouterr().out.startswith(f"{ANSWER}[1]\n\n[1] {TITLE}\n")


def test_other_packages_streams_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    node = NodeWithScore(node=TextNode(text="Lit in 1847.", metadata={"title": "History"}))
    whole = show(StreamingResponse((text for text in ("Lit", ".[1]")), [node]))
    assert (type(whole), str(whole)) == (Response, "Lit.[1]")
    assert capsys.readouterr().out.startswith("Lit.[1]\n\n[1] History\n")


def test_a_stream_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="not of int"):
        show(iter([1]))
    with pytest.raises(InvalidParameterError, match="not its response_gen"):
        show(iter(["text"]))


@pytest.mark.parametrize("told", [True, False])
def test_each_response_of_a_stream_holds_all_before_it(
    told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [("Lit", "Lit"), ("Lit in", " in"), ("Sorry.", "Sorry."), ("Sorry. No.", " No.")]
    show(iter([CompletionResponse(text=text, delta=delta * told) for text, delta in said]))
    out = capsys.readouterr().out
    assert out == "Lit in\n[The service took back the text above.]\nSorry. No.\n"


def test_an_empty_stream_is_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(iter(())) is None
    assert capsys.readouterr().out == "\n"


def test_a_stream_that_breaks_off_leaves_what_had_arrived(
    handbook: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    handbook.faults.add(Truncate(after=4))
    with pytest.raises(IncompleteStreamError):
        show(Qaip().stream_chat(asked()))
    out = capsys.readouterr().out
    assert out.startswith("Stennick")
    assert out.endswith("\n[Incomplete: IncompleteStreamError]\n")


@pytest.mark.usefixtures("handbook")
def test_a_notebook_shows_answers_by_themselves() -> None:
    data = run_cells(
        "from llama_index_qaip import Qaip, show\nengine = Qaip().as_query_engine()",
        f"engine.query({QUESTION!r})",
        f"whole = show(Qaip().stream_complete({QUESTION!r}))",
        "%load_ext llama_index_qaip",
        f"engine.query({QUESTION!r})",
        f"Qaip().complete({QUESTION!r})",
        "%unload_ext llama_index_qaip",
        f"engine.query({QUESTION!r})",
    )
    assert "text/html" not in data[1][0]
    (streamed,) = data[2]
    assert '<li id="qaip-' in streamed["text/html"]
    assert f"{ANSWER}<span" in data[4][0]["text/html"]
    assert f"{ANSWER}<span" in data[5][0]["text/html"]
    assert "text/html" not in data[7][0]
