"""What names a model: cache keys, tracing parameters, token estimates."""

from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from support.fault_server import FaultServer

from .models import KEY, MODELS, Kind, every, text_of

CHATS = [kind for kind in MODELS if kind.chat]
TEXTS = [kind for kind in MODELS if not kind.chat]
OTHERS: dict[str, dict[str, Any]] = {
    "qaip": {"tag_names": ["tea"]},
    "fireworks": {"temperature": 0.1},
    "pais": {"seed": 3},
    "perplexity": {"search_recency_filter": "week"},
    "dify": {"variables": {"tone": "dry"}},
    "perplexity-agent": {"instructions": "Be dry."},
    "pais-agent": {"seed": 3},
    "dify-conversation": {"variables": {"tone": "dry"}},
}


@pytest.fixture(autouse=True)
def _cache() -> None:
    set_llm_cache(InMemoryCache())


def replying(server: FaultServer, kind: Kind) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))


@every(MODELS)
def test_the_same_question_is_answered_from_the_cache(kind: Kind, server: FaultServer) -> None:
    replying(server, kind)
    with kind.at(server.url) as one, kind.at(server.url) as other:
        assert text_of(one.invoke("q")) == text_of(other.invoke("q"))
    assert len(server.requests) == 1


@every(MODELS)
def test_other_parameters_are_another_question(kind: Kind, server: FaultServer) -> None:
    replying(server, kind)
    with kind.at(server.url) as one, kind.at(server.url, **OTHERS[kind.name]) as other:
        one.invoke("q")
        other.invoke("q")
        one.invoke("q", stop=["x"])
    assert len(server.requests) == 3


@every(CHATS)
def test_other_parameters_of_a_call_are_another_question(kind: Kind, server: FaultServer) -> None:
    replying(server, kind)
    with kind.at(server.url) as model:
        model.invoke("q")
        model.invoke("q", **OTHERS[kind.name])
        model.invoke("q", model="third")
    assert len(server.requests) == 3


def _older_than(year: int) -> dict[str, Any]:
    limit = {"key": "year", "operator": "lt", "type": "integer", "val": year}
    return {"source_metadata": {"filters": [limit]}}


USAGE = tuple({"stream_options": {"include_usage": told}} for told in (True, False))
NESTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "qaip": (_older_than(1), _older_than(2)),
    "fireworks": USAGE,
    "pais": USAGE,
    "dify": ({"variables": {"a": {"b": 1}}}, {"variables": {"a": {"b": 2}}}),
    "perplexity-agent": (
        {"web_search": {"max_results": 1}},
        {"web_search": {"max_results": 2}},
    ),
    "pais-agent": USAGE,
    "dify-conversation": ({"variables": {"a": {"b": 1}}}, {"variables": {"a": {"b": 2}}}),
}


@every([kind for kind in MODELS if kind.name in NESTED])
def test_what_stands_deep_in_a_parameter_makes_another_question(
    kind: Kind, server: FaultServer
) -> None:
    replying(server, kind)
    first, second = NESTED[kind.name]
    with kind.at(server.url, **first) as one, kind.at(server.url, **second) as other:
        for model in (one, other):
            model.invoke("q")
            assert "not_implemented" not in dumps(model)
    assert len(server.requests) == 2


@every([kind for kind in MODELS if kind.cls.endpoint.takes("model")])
def test_another_model_is_another_question(kind: Kind, server: FaultServer) -> None:
    replying(server, kind)
    with kind.at(server.url) as one, kind.at(server.url, model="other") as other:
        one.invoke("q")
        other.invoke("q")
    assert len(server.requests) == 2


@every(MODELS)
def test_another_stop_sequence_is_another_question(kind: Kind, server: FaultServer) -> None:
    replying(server, kind)
    with kind.at(server.url) as one, kind.at(server.url, stop=["x"]) as other:
        one.invoke("q")
        other.invoke("q")
    assert len(server.requests) == 2


@every(MODELS)
def test_another_extra_body_is_another_question(kind: Kind, server: FaultServer) -> None:
    replying(server, kind)
    with kind.at(server.url) as one, kind.at(server.url, extra_body={"x": 1}) as other:
        one.invoke("q")
        other.invoke("q")
    assert len(server.requests) == 2


@pytest.mark.parametrize("by", ["argument", "environment"])
@every(MODELS)
def test_another_address_is_another_question(
    kind: Kind, by: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer() as elsewhere:
        for place in (server, elsewhere):
            replying(place, kind)
            if by == "environment":
                monkeypatch.setenv(kind.url_env, place.url)
            with kind.at(place.url if by == "argument" else "") as model:
                model.invoke("q")
        assert (len(server.requests), len(elsewhere.requests)) == (1, 1)


@pytest.mark.parametrize("service", sorted({kind.service for kind in MODELS}))
def test_classes_of_one_service_do_not_share_answers(service: str, server: FaultServer) -> None:
    kinds = [kind for kind in MODELS if kind.service == service]
    for asked, kind in enumerate(kinds, 1):
        replying(server, kind)
        with kind.at(server.url) as model:
            model.invoke("q")
        assert len(server.requests) == asked


@every(MODELS)
def test_identifying_params_hold_what_changes_an_answer(kind: Kind) -> None:
    model = kind.at("http://127.0.0.1:1", **OTHERS[kind.name], extra_body={"x": 1})
    params = model._identifying_params
    assert params.items() >= {**OTHERS[kind.name], **kind.params, "extra_body": {"x": 1}}.items()
    assert str(params["base_url"]).startswith("http://127.0.0.1:1")
    assert params["provider"] == model.provider


@every(MODELS)
def test_tracing_names_service_and_model(kind: Kind) -> None:
    params = kind.at("http://127.0.0.1:1")._get_ls_params()
    expected = kind.model
    assert params["ls_provider"] == kind.service
    assert params["ls_model_name"] == expected
    assert params["ls_model_type"] == ("chat" if kind.chat else "llm")


@every([kind for kind in MODELS if kind.cls.endpoint.takes("temperature")])
def test_tracing_shows_the_parameters_of_the_call(kind: Kind) -> None:
    model = kind.at("http://127.0.0.1:1", temperature=0.1, stop=["own"])
    params = model._get_ls_params(stop=["call"], model="called", max_tokens=9)
    assert params == {
        "ls_provider": kind.service,
        "ls_model_name": "called",
        "ls_model_type": "chat" if kind.chat else "llm",
        "ls_temperature": 0.1,
        "ls_max_tokens": 9,
        "ls_stop": ["call"],
    }


@every([kind for kind in MODELS if not kind.cls.endpoint.takes("temperature")])
def test_tracing_does_not_show_what_the_service_ignores(kind: Kind) -> None:
    model = kind.at("http://127.0.0.1:1", model="x", temperature=0.1, max_tokens=5)
    params = model._get_ls_params(temperature=0.2)
    assert params["ls_model_name"] == kind.service
    assert not {"ls_temperature", "ls_max_tokens"} & params.keys()


MESSAGES = [
    SystemMessage("Be brief."),
    HumanMessage(["bare", {"type": "text", "text": "part"}]),
    HumanMessage([{"type": "image_url", "image_url": {"url": "https://a.example/i.png"}}]),
    AIMessage("", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c1"}]),
    ToolMessage("7", tool_call_id="c1"),
]


@every(MODELS)
@pytest.mark.parametrize("text", ["", "a", "été 茶", "x" * 1000])
def test_tokens_of_a_text_are_estimated(kind: Kind, text: str) -> None:
    model = kind.at("http://127.0.0.1:1")
    assert model.get_num_tokens(text) == (len(text) + 3) // 4


@every(MODELS)
def test_tokens_of_messages_are_estimated(kind: Kind) -> None:
    model = kind.at("http://127.0.0.1:1")
    assert model.get_num_tokens_from_messages(MESSAGES) > 5


@every(CHATS)
def test_tools_count_too(kind: Kind) -> None:
    model = kind.at("http://127.0.0.1:1")
    tool = {"type": "function", "function": {"name": "f", "description": "d" * 400}}
    alone = model.get_num_tokens_from_messages(MESSAGES)
    assert model.get_num_tokens_from_messages(MESSAGES, tools=[tool]) > alone + 50


@every(MODELS)
def test_a_custom_count_of_tokens_is_honoured(kind: Kind) -> None:
    model = kind.at("http://127.0.0.1:1", custom_get_token_ids=lambda text: list(range(len(text))))
    assert model.get_num_tokens("four") == 4


@every(MODELS)
def test_the_type_names_service_and_kind(kind: Kind) -> None:
    model = kind.at("http://127.0.0.1:1", api_key=KEY)
    assert model._llm_type == model.provider + ("-chat" if kind.chat else "")
