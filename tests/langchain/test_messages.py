"""What goes into a call: every kind of message, and earlier answers as plain text."""

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core import exceptions as theirs
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from qaip_core.errors import InvalidParameterError
from support.fault_server import FaultServer

from .models import BY_ID, CHATS, CITING, Kind, every, merged, named, text_asked, turns_of

FIREWORKS, PERPLEXITY, AGENT = map(named, ("fireworks", "perplexity", "perplexity-agent"))
WITH_ROLES = [kind for kind in CHATS if kind.turns]
WITHOUT_ROLES = [kind for kind in CHATS if not kind.turns]
TEXT_ONLY = [kind for kind in CHATS if kind.service in ("qaip", "pais")]
WITHOUT_TOOLS = [kind for kind in WITH_ROLES if not kind.cls.endpoint.takes("tools")]

TALK: Sequence[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("Hello", name="ann"),
    AIMessage("Hi."),
    HumanMessage(["bare ", {"type": "text", "text": "and part"}]),
]
TURNS = [
    ("system", "Be brief."),
    ("user", "Hello"),
    ("assistant", "Hi."),
    ("user", "bare and part"),
]
CALLING = AIMessage("", tool_calls=[{"name": "weigh", "args": {"lamp": 3}, "id": "c1"}])
RESULT = ToolMessage("2 kg", tool_call_id="c1")
MEDIA: dict[str, dict[str, Any]] = {
    "OpenAI's image": {"type": "image_url", "image_url": {"url": "https://a.example/i.png"}},
    "an image": {"type": "image", "url": "https://a.example/i.png"},
    "image bytes": {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
    "a file": {"type": "file", "base64": "aGk=", "mime_type": "application/pdf"},
    "audio": {"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"},
}


def sent(kind: Kind, server: FaultServer, prompt: Any, **call: Any) -> Any:
    """Return the body that a prompt becomes."""
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        model.invoke(prompt, **call)
    return server.requests[-1].json()


@every(WITH_ROLES)
def test_messages_become_turns(kind: Kind, server: FaultServer) -> None:
    assert turns_of(sent(kind, server, TALK)) == TURNS


@every(WITHOUT_ROLES)
def test_messages_become_one_text_for_an_app_without_turns(kind: Kind, server: FaultServer) -> None:
    text = text_asked(sent(kind, server, TALK))
    for _, said in TURNS:
        assert said in text
    assert [text.index(said) for _, said in TURNS] == sorted(text.index(s) for _, s in TURNS)


@every(CHATS)
def test_a_text_is_the_question_itself(kind: Kind, server: FaultServer) -> None:
    assert text_asked(sent(kind, server, "Why?")) == "Why?"


@pytest.mark.parametrize(
    "role", [("system", "system"), ("user", "user"), ("human", "user"), ("ai", "assistant")]
)
@every(WITH_ROLES)
def test_a_chat_message_keeps_its_role(
    kind: Kind, role: tuple[str, str], server: FaultServer
) -> None:
    said = [HumanMessage("w"), ChatMessage(content="x", role=role[0]), HumanMessage("y")]
    assert role[1] in [spoken for spoken, _ in turns_of(sent(kind, server, said))]


@every(CHATS)
def test_a_message_of_another_kind_is_refused(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError, match="function"):
        model.invoke([FunctionMessage(content="x", name="f")])
    assert not server.requests


def test_perplexity_gets_alternating_turns_with_systems_first(server: FaultServer) -> None:
    prompt = [
        HumanMessage("a"),
        HumanMessage("b"),
        SystemMessage("s"),
        AIMessage("c"),
        AIMessage("d"),
        HumanMessage("e"),
    ]
    assert turns_of(sent(PERPLEXITY, server, prompt)) == [
        ("system", "s"),
        ("user", "a\n\nb"),
        ("assistant", "c\n\nd"),
        ("user", "e"),
    ]


def test_tool_calls_and_results_are_sent_where_the_service_takes_them(server: FaultServer) -> None:
    body = sent(FIREWORKS, server, [HumanMessage("q"), CALLING, RESULT])
    call = {"name": "weigh", "arguments": '{"lamp": 3}'}
    assert body["messages"][1]["tool_calls"] == [{"id": "c1", "type": "function", "function": call}]
    assert body["messages"][2] == {"role": "tool", "content": "2 kg", "tool_call_id": "c1"}


def test_the_agent_gets_them_as_items(server: FaultServer) -> None:
    items = sent(AGENT, server, [HumanMessage("q"), CALLING, RESULT])["input"]
    made = {"call_id": "c1", "name": "weigh"}
    assert items[1:] == [
        {"type": "function_call", "arguments": '{"lamp": 3}', **made},
        {"type": "function_call_output", "output": "2 kg", **made},
    ]


@pytest.mark.parametrize("message", [CALLING, RESULT], ids=["call", "result"])
@every(WITHOUT_TOOLS)
def test_tool_messages_are_refused_where_it_does_not(
    kind: Kind, message: BaseMessage, server: FaultServer
) -> None:
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError, match="tool"):
        model.invoke([HumanMessage("q"), message])
    assert not server.requests


@pytest.mark.parametrize("part", MEDIA.values(), ids=MEDIA)
@every(TEXT_ONLY)
async def test_media_are_refused_by_services_that_take_text_only(
    kind: Kind, part: dict[str, Any], server: FaultServer
) -> None:
    prompt = [HumanMessage([{"type": "text", "text": "What is it?"}, part])]
    async with kind.at(server.url) as model:
        with pytest.raises(
            InvalidParameterError, match=r"takes text only|cannot be sent"
        ) as caught:
            await model.ainvoke(prompt)
        with pytest.raises(theirs.ModelInvalidRequestError):
            list(model.stream(prompt))
    assert part["type"] in str(caught.value)
    assert not server.requests


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("OpenAI's image", "https://a.example/i.png"),
        ("an image", "https://a.example/i.png"),
        ("image bytes", "data:image/png;base64,aGk="),
    ],
)
@every([FIREWORKS, PERPLEXITY])
def test_images_are_sent_in_the_form_of_the_wire(
    kind: Kind, name: str, url: str, server: FaultServer
) -> None:
    text = {"type": "text", "text": "What is it?"}
    body = sent(kind, server, [HumanMessage([text, MEDIA[name]])])
    image = {"type": "image_url", "image_url": {"url": url}}
    assert body["messages"][0]["content"] == [text, image]


@pytest.mark.parametrize("version", ["v0", "v1"])
@every(CITING)
def test_a_cited_answer_goes_back_as_plain_text(
    kind: Kind, version: str, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url, output_version=version) as model:
        answer = model.invoke("q")
        model.invoke([HumanMessage("q"), answer, HumanMessage("more")])
    body = server.requests[-1].json()
    if kind.turns:
        assert turns_of(body)[1] == ("assistant", answer.text)
    else:
        assert f"Assistant: {answer.text}\n" in text_asked(body)
    assert "annotations" not in str(body)
    assert "server_tool" not in str(body)


@pytest.mark.parametrize("version", ["v0", "v1"])
@every(CITING)
def test_a_streamed_answer_goes_back_as_plain_text(
    kind: Kind, version: str, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=True))
    with kind.at(server.url, output_version=version) as model:
        answer = merged(model.stream("q"))
    body = sent(kind, server, [HumanMessage("q"), answer, HumanMessage("more")])
    assert answer.text in (turns_of(body)[1][1] if kind.turns else text_asked(body))


FOREIGN: list[list[Any]] = [
    [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}],
    [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Yes."}],
    [{"type": "text", "text": "Yes."}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}],
    [{"type": "text", "text": "Yes."}, {"type": "invalid_tool_call", "name": "f", "args": "{"}],
    [
        {"type": "server_tool_call", "id": "s", "name": "web_search", "args": {}},
        {"type": "server_tool_result", "tool_call_id": "s", "status": "success"},
        {"type": "text", "text": "Yes.", "annotations": [{"type": "citation", "url": "u"}]},
    ],
    ["Yes."],
]


@pytest.mark.parametrize("content", FOREIGN, ids=lambda c: "+".join(_names(c)))
@every(WITH_ROLES)
def test_answers_of_other_models_go_in_as_plain_text(
    kind: Kind, content: list[Any], server: FaultServer
) -> None:
    body = sent(kind, server, [HumanMessage("q"), AIMessage(content), HumanMessage("more")])
    assert turns_of(body)[1] == ("assistant", "Yes.")


def _names(content: list[Any]) -> list[str]:
    return ["str" if isinstance(part, str) else part["type"] for part in content]


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("name", ["chat_whole_tool_call", "chat_stream_tool_call"])
def test_a_tool_call_goes_back_as_it_came(name: str, version: str, server: FaultServer) -> None:
    case = BY_ID[f"fireworks/{name}"]
    server.replies(case.reply())
    with FIREWORKS.at(server.url, output_version=version) as model:
        answer = merged(model.stream("q")) if case.stream else model.invoke("q")
    assert answer.tool_calls
    assert [b["type"] for b in answer.content_blocks].count("tool_call") == len(answer.tool_calls)
    body = sent(FIREWORKS, server, [HumanMessage("q"), answer, RESULT])
    names = [call["function"]["name"] for call in body["messages"][1]["tool_calls"]]
    assert names == [call["name"] for call in answer.tool_calls]
