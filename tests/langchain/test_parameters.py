"""What is sent: what the user set, under the wire's names, and nothing else."""

import json
import logging
from typing import Any

import pytest
from langchain_core import exceptions as theirs
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField
from pydantic import SecretStr

from langchain_qaip import ChatFireworks, ChatPAIS, ChatPerplexity, FireworksLLM
from qaip_core.errors import ConfigurationError, InvalidParameterError, MissingKeyError
from support.fault_server import FaultServer, json_reply, sse_reply

from .models import BY_ID, CHATS, KEY, MODELS, Kind, every, merged, named, text_of

STANDARD = {"model": "m-9", "temperature": 0.5, "max_tokens": 77}
WITHOUT = [kind for kind in MODELS if not kind.cls.endpoint.takes("temperature")]
CUT_HERE = [kind for kind in MODELS if not kind.cls.endpoint.stops]
CUT_THERE = [kind for kind in MODELS if kind.cls.endpoint.stops]
BARE = {
    "qaip": {"messages"},
    "fireworks": {"messages", "prompt", "model"},
    "pais": {"messages", "prompt", "model"},
    "perplexity": {"messages", "model"},
    "dify": {"inputs", "response_mode", "user"},
    "perplexity-agent": {"input", "model"},
    "pais-agent": {"messages", "prompt"},
    "dify-conversation": {"inputs", "query", "response_mode", "user"},
}
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


def stop_of(kind: Kind) -> tuple[str, str]:
    """Return a stop sequence that straddles two chunks of the fixture, and what stays."""
    return {
        "qaip": ("harvest is in", "The first "),
        "perplexity": ("sun.[1] They", "Bees follow the "),
        "dify": ("off the", "Water runs "),
        "perplexity-agent": ("sun.[11] They", "Bees follow the "),
        "dify-conversation": ("ce a mi", "On"),
    }[kind.name]


async def streamed(model: Any, sync: bool, /, **call: Any) -> str:
    chunks = (
        list(model.stream("q", **call))
        if sync
        else [chunk async for chunk in model.astream("q", **call)]
    )
    return text_of(merged(chunks))


async def whole(model: Any, sync: bool, /, **call: Any) -> str:
    return text_of(model.invoke("q", **call) if sync else await model.ainvoke("q", **call))


@every(MODELS)
def test_what_was_not_set_is_not_sent(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        model.invoke("q")
    assert set(server.requests[0].json()) <= BARE[kind.name]


@both_lanes
@every(WITHOUT)
async def test_standard_parameters_that_the_service_lacks_are_taken_and_not_sent(
    kind: Kind, sync: bool, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with caplog.at_level(logging.INFO, logger="qaip_core"):
        async with kind.at(server.url, **STANDARD) as model:
            await whole(model, sync)
        async with kind.at(server.url) as model:
            await whole(model, sync, **STANDARD)
    assert all(set(r.json()) <= BARE[kind.name] for r in server.requests)
    assert len(server.requests) == 2
    assert "has no temperature: not sent" in caplog.text


@both_lanes
@every([kind for kind in MODELS if kind not in WITHOUT])
async def test_standard_parameters_that_the_service_has_are_sent(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=False))
    async with kind.at(server.url, **STANDARD) as model:
        await whole(model, sync)
    async with kind.at(server.url) as model:
        await whole(model, sync, **STANDARD)
    wire = {kind.wire_name(name): value for name, value in STANDARD.items()}
    for request in server.requests:
        body = request.json()
        assert {name: body.get(name) for name in wire} == wire


@every(CHATS)
async def test_a_model_named_in_the_call_wins(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    async with kind.at(server.url, model="constructed") as model:
        await model.ainvoke("q", model="called")
    assert server.requests[0].json().get("model", "called") == "called"


@both_lanes
@every(MODELS)
async def test_a_misspelt_keyword_of_a_call_is_named_before_anything_is_sent(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    name = next(iter(kind.cls.endpoint.params.model_fields))
    async with kind.at(server.url) as model:
        for ask in (whole, streamed):
            with pytest.raises(InvalidParameterError, match=f"Did you mean '{name}'") as caught:
                await ask(model, sync, **{name + "x": 1})
            assert isinstance(caught.value, theirs.ModelInvalidRequestError)
    assert not server.requests


@every(MODELS)
def test_a_misspelt_keyword_of_the_constructor_is_named(kind: Kind) -> None:
    with pytest.raises(InvalidParameterError, match="Did you mean 'max_retries'") as caught:
        kind.at("http://127.0.0.1:1", max_retry=1)
    assert isinstance(caught.value, theirs.ModelInvalidRequestError)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("request_timeout", "timeout"),
        ("fireworks_api_key", "api_key"),
        ("model_kwargs", "extra_body"),
        ("extra_headers", "default_headers"),
    ],
)
def test_a_name_of_another_package_is_answered_with_ours(name: str, instead: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"no parameter '{name}': write .*{instead}"):
        ChatFireworks(model="m", api_key="k", **{name: "x"})


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (ChatFireworks, {"temperature": 3}),
        (ChatFireworks, {"max_tokens": 5, "max_completion_tokens": 5}),
        (FireworksLLM, {"stop": ["a", "b", "c", "d", "e"]}),
        (ChatPAIS, {"n": 0}),
        (ChatPerplexity, {"search_recency_filter": "century"}),
    ],
)
def test_a_value_out_of_range_is_refused_at_once(cls: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError):
        cls(api_key=KEY, model="m", base_url="http://127.0.0.1:1", **wrong)


def test_a_value_out_of_range_in_a_call_is_refused_before_sending(server: FaultServer) -> None:
    with (
        ChatFireworks(api_key=KEY, model="m", base_url=server.url) as model,
        pytest.raises(InvalidParameterError, match="temperature"),
    ):
        model.invoke("q", temperature=9)
    assert not server.requests


def test_fewer_tokens_than_the_agent_gives_are_refused_before_sending(server: FaultServer) -> None:
    with (
        named("perplexity-agent").at(server.url, max_tokens=15) as model,
        pytest.raises(InvalidParameterError, match=r"max_tokens: .*16"),
    ):
        model.invoke("q")
    assert not server.requests


@every([kind for kind in MODELS if kind.params])
def test_a_call_without_what_it_needs_is_refused_before_sending(
    kind: Kind, server: FaultServer
) -> None:
    name = next(iter(kind.params))  # the model, or the agent
    with (
        kind.at(server.url, **{name: None}) as model,
        pytest.raises(InvalidParameterError, match=name),
    ):
        model.invoke("q")
    assert not server.requests


@both_lanes
@pytest.mark.parametrize("given", ["constructor", "call"])
@every(CUT_HERE)
async def test_a_stop_sequence_that_the_service_lacks_cuts_here(
    kind: Kind, given: str, sync: bool, server: FaultServer
) -> None:
    stop, stays = stop_of(kind)
    own, call = ({"stop": stop}, {}) if given == "constructor" else ({}, {"stop": [stop]})
    server.replies(kind.reply(stream=kind.streams_whole), kind.reply(stream=True))
    async with kind.at(server.url, **own) as model:
        assert await whole(model, sync, **call) == stays
        assert await streamed(model, sync, **call) == stays
    assert all("stop" not in request.json() for request in server.requests)


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
def test_a_stop_cut_here_is_the_finish_reason(streaming: bool, server: FaultServer) -> None:
    kind = next(kind for kind in CHATS if kind.service == "perplexity")
    said = {"role": "assistant", "content": "Bees follow the"}
    choice = {"index": 0, "message": said, "delta": said, "finish_reason": "length"}
    body = {"id": "x", "model": "m", "choices": [choice]}
    server.replies(sse_reply(json.dumps(body)) if streaming else json_reply(body))
    with kind.at(server.url, stop=[" the"]) as model:
        answer = merged(model.stream("q")) if streaming else model.invoke("q")
    assert answer.text == "Bees follow"
    assert answer.response_metadata["finish_reason"] == "stop"


@both_lanes
@pytest.mark.parametrize("given", ["constructor", "call"])
@every(CUT_THERE)
async def test_a_stop_sequence_that_the_service_has_is_sent(
    kind: Kind, given: str, sync: bool, server: FaultServer
) -> None:
    own, call = ({"stop": "x"}, {}) if given == "constructor" else ({}, {"stop": ["x"]})
    server.replies(kind.reply(stream=False), kind.reply(stream=True))
    async with kind.at(server.url, **own) as model:
        await whole(model, sync, **call)
        await streamed(model, sync, **call)
    assert [request.json()["stop"] for request in server.requests] == [["x"], ["x"]]


@every(CUT_THERE)
def test_the_stop_sequences_of_a_call_replace_those_of_the_constructor(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=False))
    with kind.at(server.url, stop=["own"]) as model:
        model.invoke("q", stop=["call"])
    assert server.requests[0].json()["stop"] == ["call"]


@every(MODELS)
def test_an_empty_list_of_stop_sequences_is_none(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url, stop=[]) as model:
        model.invoke("q", stop=[])
    assert "stop" not in server.requests[0].json()


@every(MODELS)
def test_extra_body_is_sent_as_it_is(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url, extra_body={"new_one": 1}) as model:
        model.invoke("q", extra_body={"newer": 2})
    assert server.requests[0].json().items() >= {"new_one": 1, "newer": 2}.items()


def test_a_bound_parameter_is_sent(server: FaultServer) -> None:
    server.replies(BY_ID["perplexity/whole_2026_06"].reply())
    with ChatPerplexity(api_key=KEY, model="m", base_url=server.url) as model:
        model.bind(search_recency_filter="week").invoke("q")
    assert server.requests[0].json()["search_recency_filter"] == "week"


def test_a_configurable_field_is_sent(server: FaultServer) -> None:
    server.replies(BY_ID["perplexity/whole_2026_06"].reply())
    model = ChatPerplexity(api_key=KEY, model="m", base_url=server.url, max_retries=0)
    dial = model.configurable_fields(temperature=ConfigurableField(id="heat"))
    assert dial.invoke("q", {"configurable": {"heat": 0.25}}).text
    assert server.requests[0].json()["temperature"] == 0.25


def test_names_that_langchain_owns_do_not_reach_the_wire(server: FaultServer) -> None:
    kind = next(kind for kind in CHATS if kind.service == "qaip")
    server.replies(kind.reply(stream=False))
    with kind.at(server.url, tags=["trace"], metadata={"a": 1}, tag_names=["tea"]) as model:
        model.invoke("q", {"tags": ["more"]})
    assert server.requests[0].json()["tags"] == ["tea"]


@pytest.mark.parametrize(
    ("cls", "reply"),
    [
        (ChatFireworks, BY_ID["fireworks/chat_whole_n2"]),
        (FireworksLLM, BY_ID["fireworks/text_whole_prompt_list"]),
    ],
)
async def test_generate_returns_every_choice(cls: Any, reply: Any, server: FaultServer) -> None:
    server.replies(reply.reply())
    prompt: Any = [HumanMessage("q")] if cls is ChatFireworks else "q"
    async with cls(api_key=KEY, model="m", base_url=server.url, n=2) as model:
        result = await model.agenerate([prompt])
    texts = [generation.text for generation in result.generations[0]]
    assert texts == list(reply.expected["texts"].values())


@pytest.mark.parametrize("name", ["qaip/whole_two_choices", "pais/whole_n2"])
def test_the_first_choice_is_the_answer_wherever_it_stands(name: str, server: FaultServer) -> None:
    case = BY_ID[name]
    kind = next(k for k in MODELS if (k.service, k.operation) == (case.service, case.operation))
    server.replies(case.reply())
    with kind.at(server.url) as model:
        assert text_of(model.invoke("q")) == case.expected["text"]


def test_choices_that_interleave_are_told_apart(server: FaultServer) -> None:
    server.replies(BY_ID["fireworks/chat_stream_n2_interleaved"].reply())
    with ChatFireworks(
        api_key=KEY, model="m", base_url=server.url, n=2, max_tokens=5000
    ) as model:  # above 4096 the service only streams
        result = model.generate([[HumanMessage("q")]])
    assert [g.text for g in result.generations[0]] == ["Lamps shine.", "It warns."]
    assert server.requests[0].json()["stream"] is True


@both_lanes
@pytest.mark.parametrize("given", ["constructor", "call"])
@every([kind for kind in MODELS if kind.cls.endpoint.takes("n")])
async def test_several_answers_cannot_be_streamed_as_one(
    kind: Kind, given: str, sync: bool, server: FaultServer
) -> None:
    own, call = ({"n": 2}, {}) if given == "constructor" else ({}, {"n": 2})
    async with kind.at(server.url, **own) as model:
        with pytest.raises(InvalidParameterError, match="generate"):
            await streamed(model, sync, **call)
    assert not server.requests


@every(MODELS)
def test_construction_sends_nothing(kind: Kind, server: FaultServer) -> None:
    kind.at(server.url)
    assert not server.open_connections


@every([kind for kind in MODELS if kind.service != "pais"])
def test_a_model_without_a_key_says_where_it_comes_from(kind: Kind) -> None:
    with pytest.raises(MissingKeyError, match=kind.key_env) as caught:
        kind.at("http://127.0.0.1:1", api_key=None)
    assert isinstance(caught.value, theirs.ModelAuthenticationError)


@every(MODELS)
def test_key_and_address_come_from_the_environment(
    kind: Kind, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kind.key_env, KEY)
    monkeypatch.setenv(kind.url_env, server.url + "/gateway")
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at("", api_key=None) as model:
        model.invoke("q")
    assert KEY in " ".join(server.requests[0].headers.values())
    assert server.requests[0].path.startswith("/gateway/")


@pytest.mark.parametrize(
    "source", [KEY, SecretStr(KEY), lambda: KEY], ids=["str", "secret", "call"]
)
@every(CHATS)
def test_a_key_may_be_a_text_a_secret_or_a_callable(
    kind: Kind, source: Any, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url, api_key=source) as model:
        model.invoke("q")
    assert KEY in " ".join(server.requests[0].headers.values())


@every(CHATS)
async def test_a_key_may_be_an_async_callable(kind: Kind, server: FaultServer) -> None:
    async def source() -> str:
        return KEY

    server.replies(kind.reply(stream=kind.streams_whole))
    async with kind.at(server.url, api_key=source) as model:
        await model.ainvoke("q")
        with pytest.raises(ConfigurationError, match="async"):
            model.invoke("q")
    assert KEY in " ".join(server.requests[0].headers.values())


@pytest.mark.parametrize(
    "url", ["http://service.example", "https://u:p@service.example", "https://service.example?k=1"]
)
@every(CHATS)
def test_an_address_that_would_leak_a_key_is_refused(kind: Kind, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind.at(url)
    assert isinstance(caught.value, theirs.ModelInvalidRequestError)


def test_fireworks_streams_what_it_does_not_give_whole(server: FaultServer) -> None:
    events = [event.decode() for event in _data(BY_ID["fireworks/chat_stream"].body)]
    server.replies(sse_reply(*events))
    with ChatFireworks(api_key=KEY, model="m", base_url=server.url, max_tokens=5000) as model:
        assert model.invoke("q").text == "A lighthouse guides ships home."
    assert server.requests[0].json()["stream"] is True


def _data(body: bytes) -> list[bytes]:
    return [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]


def test_an_answer_without_content_is_an_empty_text(server: FaultServer) -> None:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None},
        "finish_reason": "stop",
    }
    server.replies(json_reply({"id": "x", "model": "m", "choices": [choice]}))
    with ChatFireworks(api_key=KEY, model="m", base_url=server.url) as model:
        assert model.invoke("q").content == ""
