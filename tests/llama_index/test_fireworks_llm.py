"""What Fireworks gives beside words, in LlamaIndex: figures, details, sessions, its models."""

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ImageBlock, TextBlock, ThinkingBlock, VideoBlock
from llama_index.core.llms import ChatMessage
from pydantic import SecretStr

from llama_index_qaip import Fireworks, errors
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply
from support.wire import cases

from .conftest import KEY

BY_NAME = {case.name: case for case in cases("fireworks")}
MODEL = "accounts/sandbox/models/extractive"
ASKED: dict[str, Any] = {
    "return_token_ids": True,
    "raw_output": True,
    "perf_metrics_in_response": True,
}
TOKENS = [21, 22, 23, 24, 25, 26, 27]
ASK = [ChatMessage("q")]
DOCS = Path(__file__).parent.parent / "sandbox" / "docs"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(DOCS) as running:
        yield running


def at(url: str, **fields: Any) -> Fireworks:
    given = {"model": "m", "api_key": KEY, "max_retries": 0, "timeout": 5}
    return Fireworks(**{**given, "base_url": url, **fields})


def over(sandbox: Sandbox, switches: Any = None, **fields: Any) -> Fireworks:
    headers = {"x-sandbox-switches": json.dumps(switches)} if switches else None
    given = {"model": MODEL, "api_key": sandbox.env["FIREWORKS_API_KEY"], "timeout": 30}
    url = sandbox.env["FIREWORKS_API_BASE"]
    return Fireworks(**{**given, "base_url": url, "default_headers": headers, **fields})


def called(model: Any, method: str, *args: Any) -> Any:
    """Return the answer of a method, the last of several."""
    with model:
        answer = getattr(model, method)(*args)
        return answer if not method.startswith("stream") else list(answer)[-1]


def awaited(model: Any, method: str, *args: Any) -> Any:
    """Return what `called` does, from the async method."""

    async def run() -> Any:
        async with model:
            answer = await getattr(model, f"a{method}")(*args)
            if not method.startswith("stream"):
                return answer
            return [one async for one in answer][-1]

    return asyncio.run(run())


both_ways = pytest.mark.parametrize("way", [called, awaited], ids=["sync", "async"])


@both_ways
@pytest.mark.parametrize(
    ("method", "name", "given"),
    [
        ("stream_chat", "chat_stream_2026", ASK),
        ("complete", "text_whole_2026", "q"),
        ("stream_complete", "text_stream_2026", "q"),
    ],
)
def test_an_answer_tells_its_figures_and_tokens(
    server: FaultServer, way: Any, method: str, name: str, given: Any
) -> None:
    server.replies(BY_NAME[name].reply())
    answer = way(at(server.url, **ASKED), method, given)
    facts = answer.additional_kwargs
    assert facts["perf_metrics"]["server-processing-time"] == 0.093
    assert (facts["prompt_token_ids"], facts["token_ids"]) == ([11, 12, 13], TOKENS)
    assert facts["raw_output"]["completion"] == "A lighthouse guides ships home."
    assert facts["request_id"].startswith(("chatcmpl-", "cmpl-"))
    assert answer.raw["usage"]["prompt_tokens_details"] == {"cached_tokens": 8}
    assert server.requests[0].json().items() >= ASKED.items()


@both_ways
def test_a_session_keeps_to_one_replica(server: FaultServer, way: Any) -> None:
    server.replies(BY_NAME["chat_whole"].reply(), BY_NAME["chat_stream"].reply())
    model = at(server.url, session_affinity="talk-1", prompt_cache_key="talk-1")
    way(model, "chat", ASK)
    way(model, "stream_chat", ASK)
    for request in server.requests:
        assert request.headers["x-session-affinity"] == "talk-1"
        assert request.json()["prompt_cache_key"] == "talk-1"
        assert "session_affinity" not in request.json()


def test_a_session_travels_with_the_object(server: FaultServer) -> None:
    server.replies(json_reply({"data": []}))
    again = pickle.loads(pickle.dumps(at(server.url, session_affinity="s")))
    again.api_key = SecretStr(KEY)
    assert called(again, "list_models") == []
    assert server.requests[0].headers["x-session-affinity"] == "s"
    assert at(server.url, session_affinity="s").to_dict()["session_affinity"] == "s"


def test_a_session_has_a_name_that_a_header_can_hold() -> None:
    with pytest.raises(errors.InvalidParameterError, match="session_affinity"):
        Fireworks(model="m", api_key=KEY, session_affinity="a b")


@both_ways
def test_models_are_listed(sandbox: Sandbox, way: Callable[..., Any]) -> None:
    known = {model.id: model for model in way(over(sandbox), "list_models")}
    assert known[MODEL].context_length == 131_072


@both_ways
def test_a_bare_list_leaves_the_metadata_as_they_are(sandbox: Sandbox, way: Any) -> None:
    model = over(sandbox, {"models": "bare"}, context_window=9_000)
    found = way(model, "load_metadata")
    assert (found.context_window, found.is_function_calling_model) == (9_000, True)


@both_ways
def test_a_list_that_fails_is_a_typed_error(sandbox: Sandbox, way: Any) -> None:
    with pytest.raises(errors.ServerError, match="deployed models"):
        way(over(sandbox, {"models": "failing"}, max_retries=0), "list_models")


@both_ways
def test_reasoning_comes_as_a_block_and_goes_back(server: FaultServer, way: Any) -> None:
    server.replies(BY_NAME["chat_whole_2026"].reply(), BY_NAME["chat_stream_2026"].reply())
    model = at(server.url, reasoning_effort="low", reasoning_history="preserved")
    first = way(model, "chat", ASK)
    again = way(model, "stream_chat", [*ASK, first.message, ChatMessage("more")])
    for answer in (first, again):
        thought, text = answer.message.blocks
        assert isinstance(thought, ThinkingBlock)
        assert thought.content == "The question is about ships."
        assert text.text == "A lighthouse guides ships home."
    body = server.requests[1].json()
    assert body["reasoning_history"] == "preserved"
    assert body["messages"][1] == {
        "role": "assistant",
        "content": "A lighthouse guides ships home.",
        "reasoning_content": "The question is about ships.",
    }


def test_an_image_and_a_video_go_as_parts(server: FaultServer) -> None:
    server.replies(BY_NAME["chat_whole"].reply())
    blocks = [
        TextBlock(text="What is this?"),
        ImageBlock(url="https://a.example/a.png", detail="low"),
        VideoBlock(url="https://a.example/a.mp4"),
    ]
    called(at(server.url), "chat", [ChatMessage(blocks=blocks)])
    (message,) = server.requests[0].json()["messages"]
    assert message["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://a.example/a.png", "detail": "low"}},
        {"type": "video_url", "video_url": {"url": "https://a.example/a.mp4"}},
    ]


@both_ways
def test_a_grammar_holds_the_answer(sandbox: Sandbox, way: Any) -> None:
    wanted = {"type": "grammar", "grammar": 'root ::= "yes" | "no"'}
    answer = way(over(sandbox, response_format=wanted), "complete", "Is a lamp a light?")
    assert answer.text in ("yes", "no")
