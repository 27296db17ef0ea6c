"""What Fireworks gives beside words, in LangChain: figures, details, sessions, its models."""

import asyncio
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_qaip import ChatFireworks, FireworksLLM, errors
from qaip_core import ModelInfo
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply
from support.wire import cases

from .models import KEY, merged

BY_NAME = {case.name: case for case in cases("fireworks")}
MODEL = "accounts/sandbox/models/extractive"
ASKED: dict[str, Any] = {
    "return_token_ids": True,
    "raw_output": True,
    "perf_metrics_in_response": True,
}
TOKENS = [21, 22, 23, 24, 25, 26, 27]


def at(cls: type[Any], url: str, **fields: Any) -> Any:
    given = {"model": "m", "api_key": KEY, "max_retries": 0, "timeout": 5}
    return cls(**{**given, "base_url": url, **fields})


def over(cls: type[Any], sandbox: Sandbox, switches: Any = None, **fields: Any) -> Any:
    headers = {"x-sandbox-switches": json.dumps(switches)} if switches else None
    given = {"model": MODEL, "api_key": sandbox.env["FIREWORKS_API_KEY"], "timeout": 30}
    url = sandbox.env["FIREWORKS_API_BASE"]
    return cls(**{**given, "base_url": url, "default_headers": headers, **fields})


def invoked(model: Any) -> Any:
    with model:
        return model.invoke("q")


def streamed(model: Any) -> Any:
    with model:
        return merged(model.stream("q"))


def ainvoked(model: Any) -> Any:
    async def run() -> Any:
        async with model:
            return await model.ainvoke("q")

    return asyncio.run(run())


def astreamed(model: Any) -> Any:
    async def run() -> Any:
        async with model:
            return merged([chunk async for chunk in model.astream("q")])

    return asyncio.run(run())


WAYS = [(invoked, "whole"), (ainvoked, "whole"), (streamed, "stream"), (astreamed, "stream")]
every_way = pytest.mark.parametrize(("way", "kind"), WAYS, ids=lambda v: getattr(v, "__name__", v))
both = pytest.mark.parametrize("cls", [ChatFireworks, FireworksLLM])


@every_way
def test_cached_tokens_are_counted(server: FaultServer, way: Any, kind: str) -> None:
    server.replies(BY_NAME[f"chat_{kind}_2026"].reply())
    message = way(at(ChatFireworks, server.url))
    assert message.usage_metadata["input_token_details"] == {"cache_read": 8}
    assert message.usage_metadata["input_tokens"] == 12


@pytest.mark.parametrize("way", [streamed, astreamed])
def test_a_stream_tells_its_figures_and_tokens_once(server: FaultServer, way: Any) -> None:
    server.replies(BY_NAME["chat_stream_2026"].reply())
    facts = way(at(ChatFireworks, server.url, **ASKED)).response_metadata
    assert facts["perf_metrics"]["server-processing-time"] == 0.093
    assert (facts["prompt_token_ids"], facts["token_ids"]) == ([11, 12, 13], TOKENS)
    assert facts["raw_output"]["completion"] == "A lighthouse guides ships home."
    assert facts["headers"] == {"x-ratelimit-over-limit": "no"}
    assert facts["request_id"].startswith("chatcmpl-")
    assert server.requests[0].json().items() >= ASKED.items()


@pytest.mark.parametrize("kind", ["whole", "stream"])
def test_a_text_tells_them_too(server: FaultServer, kind: str) -> None:
    server.replies(BY_NAME[f"text_{kind}_2026"].reply())
    with at(FireworksLLM, server.url, streaming=kind == "stream", **ASKED) as model:
        info = model.generate(["q"]).generations[0][0].generation_info
    assert info["perf_metrics"]["cached-prompt-tokens"] == 8
    assert (info["prompt_token_ids"], info["token_ids"]) == ([11, 12, 13], TOKENS)


@both
def test_a_session_keeps_to_one_replica(server: FaultServer, cls: type[Any]) -> None:
    name = "chat" if cls is ChatFireworks else "text"
    server.replies(
        BY_NAME[f"{name}_whole"].reply(),
        BY_NAME[f"{name}_stream"].reply(),
        json_reply({"data": []}),
    )
    given = {"session_affinity": "talk-1", "multi_turn_session_id": "turns-1"}
    with at(cls, server.url, prompt_cache_key="talk-1", **given) as model:
        model.invoke("q")
        merged(model.stream("q"))
        assert model.list_models() == []
    for request in server.requests:
        assert request.headers["x-session-affinity"] == "talk-1"
        assert request.headers["x-multi-turn-session-id"] == "turns-1"
    bodies = [request.json() for request in server.requests[:2]]
    assert [body["prompt_cache_key"] for body in bodies] == ["talk-1", "talk-1"]
    assert all("session_affinity" not in body for body in bodies)


@both
def test_a_session_stands_beside_other_headers_and_travels(
    server: FaultServer, cls: type[Any]
) -> None:
    server.replies(json_reply({"data": []}), json_reply({"data": []}))
    with at(cls, server.url, session_affinity="s", default_headers={"x-a": "b"}) as model:
        model.list_models()
        again = pickle.loads(pickle.dumps(model))
    again.api_key = SecretStr(KEY)
    with again:
        again.list_models()
    first, second = (request.headers for request in server.requests)
    assert (first["x-session-affinity"], first["x-a"]) == ("s", "b")
    assert second["x-session-affinity"] == "s"


@both
def test_without_a_session_none_is_sent(server: FaultServer, cls: type[Any]) -> None:
    server.replies(json_reply({"data": []}))
    with at(cls, server.url) as model:
        model.list_models()
    assert not {"x-session-affinity", "x-multi-turn-session-id"} & server.requests[0].headers.keys()


@pytest.mark.parametrize("name", ["a b", "", "ä", "a\n"])
def test_a_session_has_a_name_that_a_header_can_hold(name: str) -> None:
    with pytest.raises(errors.InvalidParameterError, match="session_affinity"):
        ChatFireworks(model="m", api_key=KEY, session_affinity=name)


def listed(model: Any) -> Any:
    with model:
        return model.list_models()


def alisted(model: Any) -> Any:
    async def run() -> Any:
        async with model:
            return await model.alist_models()

    return asyncio.run(run())


both_lists = pytest.mark.parametrize("way", [listed, alisted])


@both
@both_lists
def test_models_are_listed(sandbox: Sandbox, cls: type[Any], way: Callable[..., Any]) -> None:
    known: dict[str, ModelInfo] = {model.id: model for model in way(over(cls, sandbox))}
    assert known[MODEL].context_length == 131_072
    assert known[MODEL].metadata["supports_tools"] is True


@both_lists
def test_a_bare_list_leaves_facts_open(sandbox: Sandbox, way: Callable[..., Any]) -> None:
    (model,) = (m for m in way(over(ChatFireworks, sandbox, {"models": "bare"})) if m.id == MODEL)
    assert (model.context_length, model.owned_by) == (None, None)
    assert "supports_tools" not in model.metadata


def test_a_bare_list_takes_nothing_from_a_profile(sandbox: Sandbox) -> None:
    with over(ChatFireworks, sandbox, {"models": "bare"}) as model:
        before = dict(model.profile)
        assert model.load_profile() == {**before, "name": MODEL}


@both_lists
def test_a_list_that_fails_is_a_typed_error(sandbox: Sandbox, way: Callable[..., Any]) -> None:
    with pytest.raises(errors.ServiceError, match="deployed models") as caught:
        way(over(ChatFireworks, sandbox, {"models": "failing"}, max_retries=0))
    assert caught.value.status == 500


def test_a_grammar_holds_the_answer(sandbox: Sandbox) -> None:
    wanted = {"type": "grammar", "grammar": 'root ::= "yes" | "no"'}
    with over(ChatFireworks, sandbox) as model:
        assert model.invoke("Is a lamp a light?", response_format=wanted).text in ("yes", "no")


@pytest.mark.parametrize("way", [invoked, streamed])
def test_reasoning_comes_and_goes_back(sandbox: Sandbox, way: Any) -> None:
    with over(ChatFireworks, sandbox, thinking={"type": "enabled", "budget_tokens": 1024}) as model:
        first = model.invoke("What is a lamp?")
        thought = first.additional_kwargs["reasoning_content"]
        assert thought
        said = [HumanMessage("What is a lamp?"), first, HumanMessage("And what is a light?")]
        preserved = model.bind(reasoning_history="preserved")
        again = preserved.invoke(said) if way is invoked else merged(preserved.stream(said))
    assert again.text


def test_an_image_and_a_video_go_as_parts(server: FaultServer) -> None:
    server.replies(BY_NAME["chat_whole"].reply())
    blocks: list[str | dict[Any, Any]] = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://a.example/a.png", "detail": "low"}},
        {"type": "video_url", "video_url": {"url": "https://a.example/a.mp4"}},
    ]
    with at(ChatFireworks, server.url) as model:
        model.invoke([HumanMessage(content=blocks)])
    assert server.requests[0].json()["messages"] == [{"role": "user", "content": blocks}]
