"""The LLM classes as LlamaIndex components: requests, metadata, secrets, serialization."""

import base64
import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms import ChatMessage, MessageRole

from llama_index_qaip import ServiceLLM
from llama_index_qaip.errors import InvalidParameterError
from support.fault_server import FaultServer, json_reply, sse_reply
from support.wire import WireCase

from .conftest import CLASSES, NEEDED, llm_of

KEY = "test-key-5f1d0c"
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n a picture")
every_service = pytest.mark.parametrize("service", CLASSES)
Make = Callable[..., Any]
Serve = Callable[..., WireCase]
OPENAI = json_reply(
    {
        "id": "1",
        "choices": [
            {"index": 0, "text": "a", "message": {"content": "a"}, "finish_reason": "stop"}
        ],
    }
)


@every_service
def test_metadata_says_what_prompt_packing_needs(service: str, make: Make) -> None:
    metadata = make(service, context_window=5000, max_tokens=77).metadata
    assert (metadata.context_window, metadata.num_output) == (5000, 77)
    assert metadata.is_chat_model is (service != "dify")
    named = NEEDED.get(service, {}).get("model", service.partition("-")[0])
    assert metadata.model_name == named
    assert make(service, num_output=5, max_tokens=77).metadata.num_output == 5


@every_service
def test_the_key_is_in_no_representation(service: str, make: Make) -> None:
    llm = make(service, default_headers={"x-gateway": "secret-2"})
    texts = [repr(llm), str(llm), str(llm.to_dict()), llm.to_json(), str(llm.to_payload())]
    texts.append(pickle.dumps(llm).decode("latin-1"))
    for text in texts:
        assert KEY not in text
        assert "secret-2" not in text


@every_service
def test_dict_json_and_pickle_round_trips_read_the_key_from_the_environment(
    service: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = make(service, context_window=5000, citation_blocks=False, stop=["END"])
    monkeypatch.setenv(llm.endpoint.backend.key_env[0], "from-the-environment")
    for again in (
        type(llm).from_dict(llm.to_dict()),
        type(llm).from_json(llm.to_json()),
        pickle.loads(pickle.dumps(llm)),
        copy.deepcopy(llm),
    ):
        assert again.to_dict() == llm.to_dict()
        assert again.settings(llm.endpoint.backend).timeouts == llm.client.settings.timeouts
        assert again.client.settings.key is not None


def test_names_of_other_integrations_are_taken(make: Make, server: FaultServer) -> None:
    server.replies(OPENAI)
    own = httpx.AsyncClient()
    llm = make(
        "perplexity",
        base_url=None,
        api_base=server.url + "/v9",
        additional_kwargs={"new_switch": 1},
        async_http_client=own,
    )
    assert llm.base_url == server.url + "/v9"
    assert llm.http_async_client is own
    llm.chat([ChatMessage("q")])
    assert server.requests[0].json()["new_switch"] == 1
    assert type(llm).from_dict({**llm.to_dict(), "api_key": KEY}).extra_body == {"new_switch": 1}


def test_fireworks_has_two_endpoints_with_their_own_parameters(
    make: Make, server: FaultServer
) -> None:
    llm = make("fireworks", top_k=4, prompt_truncate_len=9)
    server.replies(OPENAI)
    llm.chat([ChatMessage("q")])
    llm.complete("q", images=["data:image/png;base64,AA=="])
    chat, text = server.requests
    assert (chat.path, text.path) == ("/chat/completions", "/completions")
    assert chat.json()["prompt_truncate_len"] == 9
    assert "prompt_truncate_len" not in text.json()
    assert text.json()["images"] == ["data:image/png;base64,AA=="]
    assert text.json()["top_k"] == chat.json()["top_k"] == 4
    with pytest.raises(InvalidParameterError, match="prompt_truncate_len"):
        llm.complete("q", prompt_truncate_len=9)


def test_a_text_app_takes_a_conversation_by_messages_to_prompt(
    make: Make, server: FaultServer, serve: Serve
) -> None:
    serve("dify/blocking")
    turns = [ChatMessage("s", role="system"), ChatMessage("q")]
    for fields in ({}, {"messages_to_prompt": lambda messages: f"{len(messages)} turns"}):
        make("dify", response_mode="blocking", **fields).chat(turns)
    sent = [request.json()["inputs"]["query"] for request in server.requests]
    assert sent == ["System: s\nUser: q\nAssistant:", "2 turns"]


ANSWERS = {
    "qaip": "qaip/whole_seed",
    "fireworks": "fireworks/chat_whole_2026",
    "pais": "pais/chat_whole",
    "perplexity": "perplexity/whole_2026_06",
    "dify": "dify/stream_1_16",
    "perplexity-agent": "perplexity/agent_whole",
    "pais-agent": "pais/agent_chat_whole",
    "dify-conversation": "dify/chat_stream",
}
HISTORY: list[tuple[ChatMessage, dict[str, Any]]] = [
    (ChatMessage("a", role=MessageRole.DEVELOPER), {"role": "system", "content": "a"}),
    (ChatMessage("a", role=MessageRole.MODEL), {"role": "assistant", "content": "a"}),
    (
        ChatMessage([TextBlock(text="a"), TextBlock(text="b")]),
        {"role": "user", "content": "a\nb"},
    ),
    (
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(content="hm"),
                TextBlock(text="a"),
                CitationBlock(
                    cited_content="x", source="s", title="t", additional_location_info={}
                ),
                CachePoint(cache_control={"type": "ephemeral"}),
            ],
        ),
        {"role": "assistant", "content": "a", "reasoning_content": "hm"},
    ),
    (
        ChatMessage(
            role="assistant",
            blocks=[ToolCallBlock(tool_call_id="7", tool_name="f", tool_kwargs={"x": 1})],
        ),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "7", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
            ],
        },
    ),
    (
        ChatMessage("42", role="tool", additional_kwargs={"tool_call_id": "7"}),
        {"role": "tool", "content": "42", "tool_call_id": "7"},
    ),
    (
        ChatMessage([CitableBlock(title="t", source="s", content="quoted"), TextBlock(text="q")]),
        {"role": "user", "content": "t (s):\nquoted\nq"},
    ),
    (
        ChatMessage([TextBlock(text="q"), ImageBlock(url="https://img.example/a.png")]),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "q"},
                {"type": "image_url", "image_url": {"url": "https://img.example/a.png"}},
            ],
        },
    ),
    (
        ChatMessage([ImageBlock(image=PIXEL, image_mimetype="image/png")]),
        {
            "role": "user",
            "content": [
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{PIXEL.decode()}"},
                }
            ],
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("message", "turn"), HISTORY, ids=lambda value: "")
def test_messages_become_turns(
    message: ChatMessage, turn: dict[str, Any], make: Make, server: FaultServer
) -> None:
    server.replies(OPENAI)
    make("fireworks").chat([message])
    assert server.requests[0].json()["messages"] == [turn]


CALLED = [
    ChatMessage("q"),
    ChatMessage(
        role="assistant",
        blocks=[
            TextBlock(text="Let me see."),
            ToolCallBlock(tool_call_id="7", tool_name="f", tool_kwargs={"x": 1}),
        ],
    ),
    ChatMessage("42", role="tool", additional_kwargs={"tool_call_id": "7"}),
]


@every_service
def test_a_tool_s_turns_are_text_where_no_tools_are_taken(
    service: str, make: Make, server: FaultServer, serve: Serve
) -> None:
    serve(ANSWERS[service])
    llm = make(service)
    llm.chat(CALLED)
    sent = json.dumps(server.requests[0].json())
    told = ("Let me see.\\nAction: f\\nAction Input: {", "Observation: 42")
    assert all((piece in sent) is not llm.endpoint.takes("tools") for piece in told)


def test_a_tool_s_turn_keeps_its_pictures(make: Make, server: FaultServer) -> None:
    server.replies(OPENAI)
    picture = ImageBlock(url="https://img.example/a.png")
    asked = ChatMessage(role="assistant", blocks=[picture, *CALLED[1].blocks])
    seen = ChatMessage([picture], role="tool", additional_kwargs={"tool_call_id": "7"})
    make("perplexity").chat([ChatMessage("q"), asked, seen])
    _, assistant, user = (turn["content"] for turn in server.requests[0].json()["messages"])
    kinds = [[part["type"] for part in content] for content in (assistant, user)]
    assert kinds == [["image_url", "text", "text"], ["text", "image_url"]]


@pytest.mark.parametrize("fields", [{"api_key": lambda: KEY}, {"http_client": httpx.Client()}])
def test_pickling_leaves_the_object_as_it_was(
    fields: dict[str, Any], make: Make, server: FaultServer
) -> None:
    server.replies(OPENAI)
    llm = make("perplexity", **fields)
    pickle.dumps(llm)
    assert llm.complete("q").text == "a"


def test_tool_calls_of_older_integrations_are_kept(make: Make, server: FaultServer) -> None:
    server.replies(OPENAI)
    kept = {"id": "7", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = ChatMessage("", role="assistant", additional_kwargs={"tool_calls": [kept]})
    make("fireworks").chat([ChatMessage("q"), turn, CALLED[2]])
    assert server.requests[0].json()["messages"][1]["tool_calls"] == [kept]


@pytest.mark.parametrize("kind", ["application/json", "text/csv", None])
def test_documents_that_are_text_are_sent_as_text(
    kind: str | None, make: Make, server: FaultServer
) -> None:
    server.replies(OPENAI)
    held = DocumentBlock(data=b'{"a": "\xc3\xa9"}', document_mimetype=kind)
    make("pais").chat([ChatMessage([held])])
    assert server.requests[0].json()["messages"][0]["content"] == '{"a": "é"}'


@pytest.mark.parametrize(
    "block",
    [
        AudioBlock(audio=b"aGk=", format="wav"),
        DocumentBlock(data=b"%PDF-1.7 \xff", title="t"),
        VideoBlock(url="https://video.example/a.mp4"),
        ImageBlock(path=__file__),
        ImageBlock(),
    ],
    ids=["audio", "document", "video", "image-for-a-text-service", "empty-image"],
)
@pytest.mark.parametrize("service", ["pais", "pais-agent"])
def test_media_that_cannot_be_sent_are_refused(
    service: str, block: Any, make: Make, server: FaultServer
) -> None:
    with pytest.raises(InvalidParameterError):
        make(service).chat([ChatMessage([block])])
    assert server.requests == []


@pytest.mark.parametrize(
    "name",
    [
        "qaip/whole_seed",
        "perplexity/whole_2026_06",
        "dify/stream_citations_scores",
        "perplexity/agent_whole",
        "pais/agent_chat_whole",
        "dify/chat_stream",
    ],
)
def test_a_cited_answer_can_stand_in_the_next_turn_s_history(
    name: str, make: Make, server: FaultServer, serve: Serve
) -> None:
    case = serve(name)
    answer = make(llm_of(case)).chat([ChatMessage("q")]).message
    assert any(isinstance(block, CitationBlock) for block in answer.blocks)
    make(llm_of(case)).chat([ChatMessage("q"), answer, ChatMessage("and?")])
    sent = json.dumps(server.requests[1].json())
    assert json.dumps(case.expected["text"])[1:-1] in sent
    assert "additional_kwargs" not in sent
    plain = make(llm_of(case), citation_blocks=False).chat([ChatMessage("q")])
    assert [type(block) for block in plain.message.blocks] == [TextBlock]
    assert plain.additional_kwargs["citations"]


def test_reasoning_stands_before_the_text_while_it_grows(make: Make, serve: Serve) -> None:
    serve("perplexity/stream_think", 300)
    *growing, _ = make("perplexity").stream_chat([ChatMessage("q")])
    assert [type(b) for b in growing[-1].message.blocks] == [ThinkingBlock, TextBlock]


def test_a_tool_call_with_broken_arguments_keeps_them_as_text(
    make: Make, server: FaultServer
) -> None:
    call = {"id": "7", "function": {"name": "f", "arguments": '{"x": '}}
    message = {"content": None, "tool_calls": [call]}
    server.replies(json_reply({"choices": [{"message": message, "finish_reason": "length"}]}))
    (_, block) = make("fireworks").chat([ChatMessage("q")]).message.blocks
    assert block == ToolCallBlock(tool_call_id="7", tool_name="f", tool_kwargs='{"x": ')


CHAT_LOGPROBS = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
TEXT_LOGPROBS = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": None}
TEXT_ALTERNATIVES = {**TEXT_LOGPROBS, "top_logprobs": [{"a": -0.5, "b": -1.5}]}


@pytest.mark.parametrize(
    ("sent", "tokens"),
    [
        (CHAT_LOGPROBS, [["a"]]),
        (TEXT_LOGPROBS, [["a"]]),
        (TEXT_ALTERNATIVES, [["a", "b"]]),
        ({"unknown": 1}, None),
    ],
    ids=["chat", "text", "alternatives", "unknown"],
)
def test_log_probabilities_survive(sent: Any, tokens: Any, make: Make, server: FaultServer) -> None:
    event = {"choices": [{"index": 0, "text": "a", "logprobs": sent, "finish_reason": "stop"}]}
    whole, stream = json_reply(event), sse_reply(json.dumps(event), "[DONE]")
    server.replies(whole, stream)
    answer = make("fireworks").complete("q")
    *_, last = make("fireworks").stream_complete("q")
    for response in (answer, last):
        seen = response.logprobs and [[entry.token for entry in top] for top in response.logprobs]
        assert seen == tokens


@pytest.mark.parametrize(
    ("whole", "streamed", "stop", "kept"),
    [
        ("perplexity/whole_2026_06", "perplexity/stream_2026_06_pings", " the", "Bees follow"),
        ("perplexity/agent_whole", "perplexity/agent_stream", " the", "Bees follow"),
        ("dify/chat_stream", "dify/chat_stream", " a", "Once"),
    ],
    ids=["perplexity", "perplexity-agent", "dify-conversation"],
)
@pytest.mark.parametrize("where", ["object", "call"])
def test_stop_cuts_where_the_service_has_none(
    where: str, whole: str, streamed: str, stop: str, kept: str, *, make: Make, serve: Serve
) -> None:
    case = serve(whole)
    serve(streamed)
    own, call = ({"stop": stop}, {}) if where == "object" else ({}, {"stop": [stop]})
    llm = make(llm_of(case), **own)
    assert llm.complete("q", **call).text == kept
    *_, last = llm.stream_complete("q", **call)
    assert last.text == kept
    assert last.additional_kwargs["finish_reason"] == "stop"


@pytest.mark.parametrize("service", ["qaip", "dify", "dify-conversation"])
def test_what_a_service_chooses_itself_is_accepted_and_not_sent(
    service: str, make: Make, server: FaultServer, serve: Serve
) -> None:
    serve(ANSWERS[service])
    make(service, temperature=0.1, model="mine").complete("q", max_tokens=5)
    assert not {"temperature", "model", "max_tokens"} & set(server.requests[0].json())


def test_only_what_cites_has_a_retriever_and_a_query_engine(make: Make) -> None:
    for service in CLASSES:
        llm: ServiceLLM = make(service)
        for name in ("as_retriever", "as_query_engine"):
            assert hasattr(llm, name) is llm.endpoint.cites
