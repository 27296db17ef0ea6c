"""Content: every block in every usual form to every chat model, and answers sent elsewhere."""

from typing import Any

import pytest
from langchain_core import exceptions as theirs
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from qaip_core.errors import InvalidParameterError
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, json_reply

from .models import CHATS, Kind, every, merged, named, text_asked, turns_of

FIREWORKS, PERPLEXITY, DIFY, AGENT = map(
    named, ("fireworks", "perplexity", "dify", "perplexity-agent")
)
WITH_MEDIA = [FIREWORKS, PERPLEXITY]
# Dify uploads media first: see test_dify.py.
TEXT_ONLY = [kind for kind in CHATS if not kind.cls.endpoint.parts]
WITH_ROLES = [kind for kind in CHATS if kind.turns]
LAMPS = "Which lamp draws how many watts?"
QUESTION = {"type": "text", "text": "What is it?"}
DATA, URL = "aGk=", "https://a.example/a"
both_versions = pytest.mark.parametrize("version", ["v0", "v1"])
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["invoke", "stream"])


def sent(kind: Kind, server: FaultServer, prompt: Any, **given: Any) -> Any:
    """Return the body that a prompt becomes."""
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url, **given) as model:
        model.invoke(prompt)
    return server.requests[-1].json()


def content_sent(kind: Kind, server: FaultServer, *blocks: Any) -> Any:
    """Return what the blocks of one message become."""
    return text_asked(sent(kind, server, [HumanMessage(list(blocks))]))


def link(kind: str, url: str) -> dict[str, Any]:
    return {"type": kind, kind: {"url": url}}


def anthropic(kind: str, **source: str) -> dict[str, Any]:
    return {"type": kind, "source": source}


# ---- texts

TEXTS: dict[str, tuple[list[Any], str]] = {
    "blocks": ([QUESTION, {"type": "text", "text": " Say."}], "What is it? Say."),
    "bare strings": (["What ", "is it?"], "What is it?"),
    "mixed": (["What ", {"type": "text", "text": "is it?"}], "What is it?"),
    "with keys of other vendors": (
        [{**QUESTION, "cache_control": {"type": "ephemeral"}, "index": 0, "id": "x"}],
        "What is it?",
    ),
    "with annotations": ([{**QUESTION, "annotations": [{"type": "citation"}]}], "What is it?"),
    "text-plain": ([{"type": "text-plain", "text": "hi", "mime_type": "text/plain"}], "hi"),
    "text-plain in base64": (
        [{"type": "text-plain", "base64": DATA, "mime_type": "text/plain"}],
        "hi",
    ),
    "text-plain that is not ascii": (
        [{"type": "text-plain", "base64": "44Op44Oz44OX", "mime_type": "text/plain"}],
        "ランプ",
    ),
    "non_standard": ([{"type": "non_standard", "value": QUESTION}], "What is it?"),
    "without a text": ([QUESTION, {"type": "text", "text": None}], "What is it?"),
}


@pytest.mark.parametrize(("blocks", "text"), TEXTS.values(), ids=TEXTS)
@every(CHATS)
def test_blocks_of_text_are_one_text(
    kind: Kind, blocks: list[Any], text: str, server: FaultServer
) -> None:
    assert content_sent(kind, server, *blocks) == text


@every(CHATS)
def test_content_blocks_are_content(kind: Kind, server: FaultServer) -> None:
    message = HumanMessage(content_blocks=[{"type": "text", "text": "What?"}])
    assert "What?" in text_asked(sent(kind, server, [message]))


@pytest.mark.parametrize("data", ["no base64!", "/w=="], ids=["no base64", "no UTF-8"])
@every(CHATS)
def test_a_text_that_is_none_is_refused(kind: Kind, data: str, server: FaultServer) -> None:
    block = {"type": "text-plain", "base64": data, "mime_type": "text/plain"}
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError, match="text-plain"):
        model.invoke([HumanMessage([block])])
    assert not server.requests


# ---- media

IMAGES: dict[str, tuple[Any, str]] = {
    "url": ({"type": "image", "url": URL}, URL),
    "base64": (
        {"type": "image", "base64": DATA, "mime_type": "image/png"},
        "data:image/png;base64,aGk=",
    ),
    "v0 url": ({"type": "image", "source_type": "url", "url": URL}, URL),
    "v0 base64": (
        {"type": "image", "source_type": "base64", "data": DATA, "mime_type": "image/png"},
        "data:image/png;base64,aGk=",
    ),
    "OpenAI": (link("image_url", URL), URL),
    "OpenAI, data URL": (
        link("image_url", "data:image/png;base64,aGk="),
        "data:image/png;base64,aGk=",
    ),
    "OpenAI, url as a string": ({"type": "image_url", "image_url": URL}, URL),
    "Anthropic url": (anthropic("image", type="url", url=URL), URL),
    "Anthropic base64": (
        anthropic("image", type="base64", media_type="image/png", data=DATA),
        "data:image/png;base64,aGk=",
    ),
    "non_standard": ({"type": "non_standard", "value": link("image_url", URL)}, URL),
}


@pytest.mark.parametrize(("block", "url"), IMAGES.values(), ids=IMAGES)
@every(WITH_MEDIA)
def test_an_image_is_sent(kind: Kind, block: Any, url: str, server: FaultServer) -> None:
    assert content_sent(kind, server, QUESTION, block) == [QUESTION, link("image_url", url)]


@pytest.mark.parametrize(("block", "url"), IMAGES.values(), ids=IMAGES)
def test_an_image_is_sent_to_the_agent(block: Any, url: str, server: FaultServer) -> None:
    text, image = content_sent(AGENT, server, QUESTION, block)
    assert text == {"type": "input_text", "text": QUESTION["text"]}
    assert image == {"type": "input_image", "image_url": url}


@pytest.mark.parametrize(("block", "url"), IMAGES.values(), ids=IMAGES)
@every([*WITH_MEDIA, AGENT])
def test_the_strict_sandbox_takes_an_image(
    kind: Kind, block: Any, url: str, sandbox: Sandbox
) -> None:
    with kind.over(sandbox) as model:
        assert model.invoke([HumanMessage([{"type": "text", "text": LAMPS}, block])]).text


@every(WITH_MEDIA)
def test_the_detail_of_an_image_is_sent(kind: Kind, server: FaultServer) -> None:
    block = {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}
    assert content_sent(kind, server, QUESTION, block)[1] == block


VIDEOS: dict[str, tuple[Any, str]] = {
    "url": ({"type": "video", "url": URL}, URL),
    "base64": (
        {"type": "video", "base64": DATA, "mime_type": "video/mp4"},
        "data:video/mp4;base64,aGk=",
    ),
    "wire": (link("video_url", URL), URL),
}


@pytest.mark.parametrize(("block", "url"), VIDEOS.values(), ids=VIDEOS)
@every(WITH_MEDIA)
def test_a_video_is_sent(kind: Kind, block: Any, url: str, server: FaultServer) -> None:
    assert content_sent(kind, server, QUESTION, block) == [QUESTION, link("video_url", url)]


PDF = "application/pdf"
NAMED = {**link("file_url", DATA), "file_name": "a.pdf"}
FILES: dict[str, tuple[Any, Any]] = {
    "url": ({"type": "file", "url": URL}, link("file_url", URL)),
    "base64": ({"type": "file", "base64": DATA, "mime_type": PDF}, link("file_url", DATA)),
    "base64 with a name": (
        {"type": "file", "base64": DATA, "mime_type": PDF, "extras": {"filename": "a.pdf"}},
        NAMED,
    ),
    "v0 url": ({"type": "file", "source_type": "url", "url": URL}, link("file_url", URL)),
    "v0 base64": (
        {
            "type": "file",
            "source_type": "base64",
            "data": DATA,
            "mime_type": PDF,
            "filename": "a.pdf",
        },
        NAMED,
    ),
    "OpenAI": (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:{PDF};base64,{DATA}"}},
        NAMED,
    ),
    "data URL": ({"type": "file", "url": f"data:{PDF};base64,{DATA}"}, link("file_url", DATA)),
    "wire": (link("file_url", URL), link("file_url", URL)),
    "wire, pdf": (link("pdf_url", URL), link("pdf_url", URL)),
    "text-plain by url": (
        {"type": "text-plain", "url": URL, "mime_type": "text/plain"},
        link("file_url", URL),
    ),
    "Anthropic url": (anthropic("document", type="url", url=URL), link("file_url", URL)),
    "Anthropic base64": (
        anthropic("document", type="base64", media_type=PDF, data=DATA),
        link("file_url", DATA),
    ),
    "non_standard": ({"type": "non_standard", "value": NAMED}, NAMED),
}


@pytest.mark.parametrize(("block", "part"), FILES.values(), ids=FILES)
def test_a_file_is_sent_to_perplexity(block: Any, part: Any, server: FaultServer) -> None:
    assert content_sent(PERPLEXITY, server, QUESTION, block) == [QUESTION, part]


@pytest.mark.parametrize(
    ("block", "part"),
    [FILES[name] for name in FILES if name != "wire, pdf"],
    ids=[name for name in FILES if name != "wire, pdf"],
)
def test_a_file_is_sent_to_the_agent(block: Any, part: Any, server: FaultServer) -> None:
    held = part["file_url"]["url"]
    wanted = {"file_url" if held == URL else "file_data": held}
    name = {"filename": part["file_name"]} if "file_name" in part else {}
    assert content_sent(AGENT, server, QUESTION, block)[1] == {
        "type": "input_file",
        **wanted,
        **name,
    }


@every([*WITH_MEDIA, AGENT])
def test_parts_keep_their_order(kind: Kind, server: FaultServer) -> None:
    image = link("image_url", URL)
    parts = content_sent(
        kind, server, "One ", image, {"type": "text", "text": "two "}, image, "end"
    )
    assert [part.get("text", "-") for part in parts] == ["One ", "-", "two ", "-", "end"]


FOREIGN = {
    "image": {"type": "image", "url": URL, "cache_control": {"type": "ephemeral"}},
    "OpenAI's image": {**link("image_url", URL), "cache_control": {"type": "ephemeral"}},
    "indexed image": {**link("image_url", URL), "index": 0, "id": "b1", "extras": {"a": 1}},
}


@pytest.mark.parametrize("block", FOREIGN.values(), ids=FOREIGN)
@every(WITH_MEDIA)
def test_keys_of_other_vendors_are_not_sent(
    kind: Kind, block: dict[str, Any], server: FaultServer
) -> None:
    assert content_sent(kind, server, QUESTION, block)[1] == link("image_url", URL)


def test_neighbours_with_media_become_one_turn_for_perplexity(server: FaultServer) -> None:
    prompt = [HumanMessage("Look:"), HumanMessage([link("image_url", URL)])]
    (turn,) = sent(PERPLEXITY, server, prompt)["messages"]
    assert turn["content"] == [{"type": "text", "text": "Look:"}, link("image_url", URL)]


@pytest.mark.parametrize("message", [SystemMessage, HumanMessage], ids=["system", "human"])
def test_an_image_is_sent_in_any_turn_of_the_user(message: Any, server: FaultServer) -> None:
    body = sent(FIREWORKS, server, [message([QUESTION, link("image_url", URL)]), HumanMessage("q")])
    assert body["messages"][0]["content"][1] == link("image_url", URL)


def test_an_image_is_sent_in_the_result_of_a_tool(server: FaultServer) -> None:
    calling = AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "c1"}])
    result = ToolMessage([QUESTION, {"type": "image", "url": URL}], tool_call_id="c1")
    body = sent(FIREWORKS, server, [HumanMessage("q"), calling, result])
    assert body["messages"][2]["content"] == [QUESTION, link("image_url", URL)]


# ---- what is refused

AUDIO: dict[str, Any] = {
    "standard": {"type": "audio", "base64": DATA, "mime_type": "audio/wav"},
    "url": {"type": "audio", "url": URL},
    "v0": {"type": "audio", "source_type": "base64", "data": DATA, "mime_type": "audio/wav"},
    "OpenAI": {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
}
REFUSED: list[Any] = [
    *(pytest.param(kind, block, id=f"{kind.id}-audio-{name}")
      for kind in CHATS for name, block in AUDIO.items()),
    *(pytest.param(FIREWORKS, block, id=f"ChatFireworks-file-{name}")
      for name, (block, _) in FILES.items()),
    *(pytest.param(kind, block, id=f"{kind.id}-{what}-{name}")
      for kind in TEXT_ONLY  # the others are to take them
      for what, forms in (("image", IMAGES), ("video", VIDEOS), ("file", FILES))
      for name, (block, _) in list(forms.items())[:2]),
    *(pytest.param(kind, block, id=f"{kind.id}-{block['type']}")
      for kind in CHATS
      for block in (
          {"type": "image", "file_id": "f1"},
          {"type": "hologram", "value": 1},
          {"type": "non_standard", "value": {"type": "hologram"}},
      )),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "block"), REFUSED)
def test_what_a_service_cannot_take_is_refused_before_it_is_asked(
    kind: Kind, block: dict[str, Any], server: FaultServer
) -> None:
    with kind.at(server.url) as model:
        with pytest.raises(InvalidParameterError) as caught:
            model.invoke([HumanMessage([QUESTION, block])])
        assert isinstance(caught.value, theirs.ModelInvalidRequestError)
    assert not server.requests


@every(CHATS)
async def test_a_stream_refuses_it_too(kind: Kind, server: FaultServer) -> None:
    prompt = [HumanMessage([QUESTION, AUDIO["standard"]])]
    async with kind.at(server.url) as model:
        with pytest.raises(InvalidParameterError, match="audio"):
            list(model.stream(prompt))
        with pytest.raises(InvalidParameterError, match="audio"):
            await model.ainvoke(prompt)
    assert not server.requests


@every(TEXT_ONLY)
def test_the_refusal_names_service_and_block(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError) as caught:
        model.invoke([HumanMessage([QUESTION, {"type": "image", "url": URL}])])
    assert model.endpoint.backend.title in str(caught.value)
    assert "image" in str(caught.value)


def test_a_block_without_a_type_is_not_called_none(server: FaultServer) -> None:
    with FIREWORKS.at(server.url) as model, pytest.raises(InvalidParameterError) as caught:
        model.invoke([HumanMessage([QUESTION, {"hologram": 1}])])
    assert "None content" not in str(caught.value)


# ---- reasoning

THOUGHTS: dict[str, AIMessage] = {
    "v0": AIMessage("Yes.", additional_kwargs={"reasoning_content": "Hm."}),
    "v1": AIMessage([{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Yes."}]),
    "v1 in pieces": AIMessage(
        [
            {"type": "reasoning", "reasoning": "H", "index": 0},
            {"type": "reasoning", "reasoning": "m."},
            {"type": "text", "text": "Yes."},
        ]
    ),
}


@pytest.mark.parametrize("message", THOUGHTS.values(), ids=THOUGHTS)
def test_reasoning_is_given_back_to_fireworks(message: AIMessage, server: FaultServer) -> None:
    body = sent(FIREWORKS, server, [HumanMessage("q"), message, HumanMessage("more")])
    assert body["messages"][1] == {
        "role": "assistant",
        "content": "Yes.",
        "reasoning_content": "Hm.",
    }


@pytest.mark.parametrize("message", THOUGHTS.values(), ids=THOUGHTS)
@every([kind for kind in CHATS if kind is not FIREWORKS])
def test_reasoning_is_not_given_to_the_others(
    kind: Kind, message: AIMessage, server: FaultServer
) -> None:
    body = sent(kind, server, [HumanMessage("q"), message, HumanMessage("more")])
    assert "Hm." not in str(body)
    assert "Yes." in str(body)


@both_versions
@both_ways
def test_own_reasoning_is_given_back_as_it_came(
    streaming: bool, version: str, sandbox: Sandbox
) -> None:
    with FIREWORKS.over(sandbox, output_version=version, reasoning_effort="low") as model:
        answer = merged(model.stream(LAMPS)) if streaming else model.invoke(LAMPS)
        model.invoke([HumanMessage(LAMPS), answer, HumanMessage("more")])
    (thought,) = [b for b in answer.content_blocks if b["type"] == "reasoning"]
    body = sandbox.requests[-1].body
    assert isinstance(body, dict)
    assert body["messages"][1]["reasoning_content"] == thought["reasoning"]
    assert body["messages"][1]["content"] == answer.text


# ---- answers sent elsewhere


@both_versions
@every(CHATS)
def test_an_answer_can_be_sent_to_every_service(kind: Kind, version: str, sandbox: Sandbox) -> None:
    with kind.over(sandbox, output_version=version) as model:
        answers = [model.invoke(LAMPS), merged(model.stream(LAMPS))]
    for other in CHATS:
        with other.over(sandbox) as model:
            for answer in answers:
                assert model.invoke([HumanMessage(LAMPS), answer, HumanMessage(LAMPS)]).text
        body = str(sandbox.requests[-1].body)
        assert "watts" in body
        assert "annotations" not in body


@pytest.mark.parametrize("version", ["v0", "v1"])
@every(WITH_ROLES)
def test_an_answer_is_the_assistants_text_elsewhere(
    kind: Kind, version: str, sandbox: Sandbox
) -> None:
    with PERPLEXITY.over(sandbox, output_version=version) as model:
        answer = model.invoke(LAMPS)
    with kind.over(sandbox) as model:
        model.invoke([HumanMessage(LAMPS), answer, HumanMessage("And the battery?")])
    body = sandbox.requests[-1].body
    assert isinstance(body, dict)
    assert turns_of(body) == [
        ("user", LAMPS),
        ("assistant", answer.text),
        ("user", "And the battery?"),
    ]


@every(CHATS)
def test_an_answer_without_text_can_be_sent_back(kind: Kind, server: FaultServer) -> None:
    prompt = [HumanMessage("q"), AIMessage(""), HumanMessage("more")]
    assert "more" in str(sent(kind, server, prompt))


# ---- Dify: one text for a conversation

TALK = [SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello."), HumanMessage("Why?")]


def query(server: FaultServer, prompt: Any = TALK, **given: Any) -> Any:
    return sent(DIFY, server, prompt, **given)["inputs"]["query"]


def test_a_conversation_is_one_text(server: FaultServer) -> None:
    assert query(server) == (
        "System: Be brief.\nUser: Hi\nAssistant: Hello.\nUser: Why?\nAssistant:"
    )


def test_a_turn_is_written_by_its_template(server: FaultServer) -> None:
    assert query(server, turn_template="<{role}>{text}</{role}>").startswith(
        "<System>Be brief.</System>\n<User>Hi</User>\n"
    )


def test_a_conversation_is_written_by_its_template(server: FaultServer) -> None:
    written = query(server, prompt_template="{earlier}\n---\n{question}")
    assert written == "System: Be brief.\nUser: Hi\nAssistant: Hello.\n---\nWhy?"


def test_both_templates_go_together(server: FaultServer) -> None:
    written = query(server, turn_template="- {text}", prompt_template="[{history}]")
    assert written == "[- Be brief.\n- Hi\n- Hello.\n- Why?]"


def test_a_template_may_be_given_to_a_call(server: FaultServer) -> None:
    server.replies(DIFY.reply(stream=True))
    with DIFY.at(server.url) as model:
        model.invoke(TALK, prompt_template="{question}")
    assert server.requests[-1].json()["inputs"]["query"] == "Why?"


def test_a_template_is_not_sent(server: FaultServer) -> None:
    body = sent(DIFY, server, TALK, turn_template="- {text}", prompt_template="{history}")
    assert body.keys() == {"inputs", "response_mode", "user"}


@pytest.mark.parametrize("text", ["{history}", "{", "{0}", "{role.__class__}"])
def test_braces_in_a_message_are_text(text: str, server: FaultServer) -> None:
    prompt = [SystemMessage("Be brief."), HumanMessage(text)]
    assert query(server, prompt, prompt_template="{history}").endswith(f"User: {text}")


def test_a_single_message_needs_no_template(server: FaultServer) -> None:
    assert query(server, "Why?", turn_template="- {text}", prompt_template="[{history}]") == "Why?"


@pytest.mark.parametrize(
    "wrong",
    [
        {"turn_template": "no name"},
        {"turn_template": "{text} {mood}"},
        {"turn_template": "{history}"},
        {"turn_template": "{text.__class__}"},
        {"turn_template": "{"},
        {"prompt_template": "{text}"},
        {"prompt_template": "{}"},
        {"prompt_template": ""},
    ],
    ids=str,
)
def test_a_template_with_other_names_is_refused_at_once(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
        DIFY.cls(api_key="k", **wrong)


def test_another_template_is_another_question() -> None:
    one, other = (DIFY.cls(api_key="k", turn_template=t) for t in ("{text}", "- {text}"))
    assert one._identifying_params != other._identifying_params


def test_null_content_in_an_answer_can_be_sent_back(server: FaultServer) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": None}}
    reply: Reply = json_reply({"id": "a", "choices": [{**choice, "finish_reason": "stop"}]})
    server.replies(reply)
    with FIREWORKS.at(server.url) as model:
        answer = model.invoke("q")
        model.invoke([HumanMessage("q"), answer, HumanMessage("more")])
    assert server.requests[-1].json()["messages"][1]["content"] == ""
