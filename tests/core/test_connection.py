"""Where calls go, with which key, and who never gets to see it."""

import copy
import logging
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from qaip_core import Client, Connection, errors
from qaip_core.backend import Backend, Endpoint
from qaip_core.backends import BACKENDS, dify, fireworks, pais, perplexity, qaip
from qaip_core.connection import base_url, environment
from qaip_core.service import Service
from support.fault_server import FaultServer, json_reply

KEY = "sk-9f8e7d6c5b4a-never-shown"
ENVIRONMENT = [name for b in BACKENDS for name in (*b.key_env, *b.url_env)]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


class ChatPerplexity(perplexity.PerplexityParams, Service):
    endpoint = perplexity.CHAT


class Qaip(qaip.QaipParams, Service):
    endpoint = qaip.COMPLETIONS


# Base URLs

FW = "https://api.fireworks.ai"
SITE = "https://pais.example.com"
OPENAI = "/api/v1/compatibility/openai/v1"
URLS: list[tuple[Backend, str, str]] = [
    (fireworks.FIREWORKS, FW, FW + "/inference/v1"),
    (fireworks.FIREWORKS, FW + "/", FW + "/inference/v1"),
    (fireworks.FIREWORKS, FW + "/inference", FW + "/inference/v1"),
    (fireworks.FIREWORKS, FW + "/inference/v1", FW + "/inference/v1"),
    (fireworks.FIREWORKS, FW + "/inference/v1/", FW + "/inference/v1"),
    (fireworks.FIREWORKS, FW + "/inference/v1/completions", FW + "/inference/v1"),
    (fireworks.FIREWORKS, FW + "/inference/v1/chat/completions/", FW + "/inference/v1"),
    (fireworks.FIREWORKS, FW + "/inference/v1/models", FW + "/inference/v1"),
    (fireworks.FIREWORKS, "https://gw.example.com/fw", "https://gw.example.com/fw"),
    (pais.PAIS, SITE, SITE + OPENAI),
    (pais.PAIS, SITE + "/", SITE + OPENAI),
    (pais.PAIS, SITE + ":8443", SITE + ":8443" + OPENAI),
    (pais.PAIS, SITE + "/api/v1", SITE + OPENAI),
    (pais.PAIS, SITE + "/api/v1/", SITE + OPENAI),
    (pais.PAIS, SITE + OPENAI, SITE + OPENAI),
    (pais.PAIS, SITE + OPENAI + "/chat/completions", SITE + OPENAI),
    (pais.PAIS, SITE + OPENAI + "/completions/", SITE + OPENAI),
    (pais.PAIS, SITE + "/v1", SITE + "/v1"),
    (perplexity.PERPLEXITY, "https://api.perplexity.ai/", "https://api.perplexity.ai"),
    (
        perplexity.PERPLEXITY,
        "https://api.perplexity.ai/chat/completions",
        "https://api.perplexity.ai",
    ),
    (dify.DIFY, "https://dify.example.com/v1/", "https://dify.example.com/v1"),
    (dify.DIFY, "https://dify.example.com/v1/completion-messages", "https://dify.example.com/v1"),
    (qaip.QAIP, "https://q.example.com/api/v1/completions", "https://q.example.com/api/v1"),
    (qaip.QAIP, "https://q.example.com/completions", "https://q.example.com/completions"),
    (perplexity.PERPLEXITY, "https://q.example.com/agent", "https://q.example.com/agent"),
    (qaip.QAIP, "http://[::1]:8000", "http://[::1]:8000"),
    (
        qaip.QAIP,
        "https://q.example.com/api/v1/v1/chat/completions/",
        "https://q.example.com/api/v1",
    ),
    (fireworks.FIREWORKS, FW + "/inference/v1/v1", FW + "/inference/v1"),
    (pais.PAIS, SITE + "/v1/v1", SITE + "/v1"),
    (dify.DIFY, "https://dify.example.com/v1/v1/", "https://dify.example.com/v1"),
    (dify.DIFY, "https://dify.example.com/v1/v10", "https://dify.example.com/v1/v10"),
    (
        perplexity.PERPLEXITY,
        "https://gateway.example.com/v1/chat/completions",
        "https://gateway.example.com/v1",
    ),
    (perplexity.PERPLEXITY, "https://api.perplexity.ai/v1/agent", "https://api.perplexity.ai"),
]


@pytest.mark.parametrize(("backend", "given", "expected"), URLS)
def test_ways_of_writing_a_base_url_mean_the_same(
    backend: Backend, given: str, expected: str
) -> None:
    assert base_url(backend, given) == expected
    assert base_url(backend, expected) == expected


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
def test_the_vendor_s_address_stands_for_itself(backend: Backend) -> None:
    if backend.base_url is None:
        with pytest.raises(errors.ConfigurationError, match="PAIS_BASE_URL"):
            base_url(backend, None)
    else:
        assert base_url(backend, None) == backend.base_url


SECRET = "hunter2"
REFUSED = [
    f"https://user:{SECRET}@x.example",
    f"https://{SECRET}@x.example",
    f"https://@{SECRET}.example",
    f"https://x.example?key={SECRET}",
    f"https://x.example#{SECRET}",
    f"https://{SECRET}.example?",
    f"https://{SECRET}.example/v1#",
    f"https://x.example/{SECRET}\n",
    f"https://x.example/ {SECRET}",
    f"https://x.example/\x7f{SECRET}",
    f"https://x.example\x00{SECRET}",
    f"ftp://{SECRET}.example",
    f"{SECRET}.example",
    f"//{SECRET}.example",
    f"https:///{SECRET}",
    f"https://[{SECRET}",
    f"https://x.example:{SECRET}",
    f"https://x.example:99999/{SECRET}",
]


@pytest.mark.parametrize("url", [url for url in REFUSED if "\0" not in url])
def test_a_base_url_of_the_environment_with_more_than_an_address_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QAIP_BASE_URL", url)
    with pytest.raises(errors.ConfigurationError, match="base_url") as caught:
        base_url(qaip.QAIP, None)
    assert SECRET not in str(caught.value)


LOOPBACK = ["http://localhost:1", "http://127.0.0.1", "http://127.9.9.9:8", "http://[::1]:8"]
LOOPBACK += ["http://LOCALHOST", "http://a.localhost"]
REMOTE = ["http://x.example", "http://10.0.0.1", "http://0.0.0.0", "http://localhost.example.com"]
REMOTE += ["http://127.0.0.1.example.com", "http://[::2]", "HTTP://x.example"]


@pytest.mark.parametrize("url", LOOPBACK)
def test_a_key_goes_over_plain_http_to_this_machine(url: str) -> None:
    assert Connection(api_key=SecretStr(KEY), base_url=url).settings(qaip.QAIP).base_url == url


@pytest.mark.parametrize("url", REMOTE)
def test_a_key_from_a_callable_goes_over_plain_http_to_nobody_else(url: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="use https"):
        Connection(api_key=lambda: KEY, base_url=url).settings(qaip.QAIP)


def test_without_a_key_plain_http_is_allowed() -> None:
    settings = Connection(base_url="http://pais.example.com").settings(pais.PAIS)
    assert settings.base_url == "http://pais.example.com" + OPENAI


# The environment


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
def test_the_first_variable_that_is_set_wins(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(backend.url_env[0], "https://first.example/v1")
    for name in reversed(backend.key_env):
        monkeypatch.setenv(name, name.lower())
        assert Connection().settings(backend).key_now() == name.lower()
    monkeypatch.setenv(backend.key_env[0], "")
    assert environment(backend.key_env) == (
        backend.key_env[1].lower() if len(backend.key_env) > 1 else None
    )


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
def test_a_base_url_may_come_from_the_environment(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, name in reversed(list(enumerate(backend.url_env))):
        monkeypatch.setenv(name, f"https://place{place}.example/v1")
        assert base_url(backend, None) == f"https://place{place}.example/v1"
    assert base_url(backend, "https://mine.example/v1") == "https://mine.example/v1"


def test_an_argument_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QAIP_API_KEY", "from-environment")
    settings = Connection(api_key=SecretStr("given")).settings(qaip.QAIP)
    assert settings.key_now() == "given"


@pytest.mark.parametrize("backend", [b for b in BACKENDS if b.key_required], ids=lambda b: b.name)
def test_a_missing_key_is_named(backend: Backend) -> None:
    with pytest.raises(errors.MissingKeyError) as caught:
        Connection().settings(backend)
    assert all(name in str(caught.value) for name in backend.key_env)
    assert caught.value.service == backend.name


BAD_KEYS = ["", "  ", "two words", "line\n", "tab\t", "ключ", "zero\u200bwidth", "del\x7f"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_cannot_stand_in_a_header_is_refused(key: str) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        Connection(api_key=SecretStr(key)).settings(qaip.QAIP)
    assert not key.strip() or key not in str(caught.value)


# Secrets


def service(**fields: Any) -> ChatPerplexity:
    fields = {"model": "sonar", "default_headers": {"X-Token": KEY}, **fields}
    return ChatPerplexity(api_key=KEY, **fields)


def test_a_pickle_holds_no_key_and_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    original = service(temperature=0.5, http_client=httpx.Client())
    original.client.http()
    content = pickle.dumps(original)
    assert KEY.encode() not in content
    monkeypatch.setenv("PERPLEXITY_API_KEY", "from-environment")
    restored = pickle.loads(content)
    assert (restored.model, restored.temperature) == ("sonar", 0.5)
    assert restored.client.settings.key_now() == "from-environment"
    assert restored.http_client is None
    original.http_client.close()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda m: m.model_copy()])
def test_a_copy_works_with_clients_of_its_own(copied: Any) -> None:
    original = service(extra_body={"a": [1]})
    first, first_async = original.client, original.async_client
    other = copied(original)
    assert other.client.settings.key_now() == KEY
    assert other.client is not first
    assert other.async_client is not first_async
    assert (other.model, other.extra_body) == ("sonar", {"a": [1]})
    assert KEY not in repr(other)


def test_a_deep_copy_shares_nothing_that_changes() -> None:
    original = service(extra_body={"a": [1]}, http_client=httpx.Client())
    other = copy.deepcopy(original)
    other.extra_body["a"].append(2)  # type: ignore[index]
    assert original.extra_body == {"a": [1]}
    assert other.http_client is original.http_client
    original.http_client.close()


def call_client(url: str, endpoint: Endpoint = pais.CHAT, **fields: Any) -> Client:
    fields = {"api_key": KEY, "max_retries": 0, "timeout": 1, **fields}
    return Client(Connection(base_url=url + "/v1", **fields).settings(endpoint.backend))


def test_a_header_of_the_caller_s_own_client_is_not_shown(server: FaultServer) -> None:
    with httpx.Client(headers={"X-Token": f"{KEY}\n"}, trust_env=False) as http:
        client = call_client(server.url, http_client=http)
        with pytest.raises(errors.ConfigurationError) as caught:
            client.complete(pais.CHAT, "q", {"model": "m"})
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_client_of_the_other_kind_is_refused() -> None:
    with httpx.Client() as sync, pytest.raises(errors.ConfigurationError, match="other kind"):
        service(http_async_client=sync)
    async with httpx.AsyncClient() as awaited:
        with pytest.raises(errors.ConfigurationError, match="other kind"):
            service(http_client=awaited)


# Parameters


@pytest.mark.parametrize(
    ("endpoint", "name", "hint"),
    [
        (perplexity.CHAT, "temprature", "'temperature'"),
        (perplexity.CHAT, "search_recency", "'search_recency_filter'"),
        (fireworks.CHAT, "max_token", "'max_tokens'"),
        (dify.COMPLETION, "input", "'inputs'"),
        (qaip.COMPLETIONS, "tag_name", "'tag_names'"),
        (pais.TEXT, "zzz", "It takes: model"),
    ],
)
def test_an_unknown_parameter_gets_a_hint(endpoint: Endpoint, name: str, hint: str) -> None:
    with pytest.raises(errors.InvalidParameterError) as caught:
        endpoint.check({name: SECRET})
    assert f"has no parameter '{name}'" in str(caught.value)
    assert hint in str(caught.value)
    assert "extra_body" in str(caught.value)
    assert SECRET not in str(caught.value)


FIREWORKS_BAD: dict[str, list[Any]] = {
    "n": [0, 129],
    "max_tokens": [-1],
    "max_completion_tokens": [-1],
    "temperature": [-0.1, 2.1],
    "top_p": [-0.1, 1.1],
    "top_k": [-1, 129],
    "min_p": [-0.1, 1.1],
    "typical_p": [-0.1, 1.1],
    "frequency_penalty": [-2.1, 2.1],
    "presence_penalty": [-2.1, 2.1],
    "repetition_penalty": [-0.1, 2.1],
    "logit_bias": [{"7": 101}, {"7": -101}],
    "stop": [["a", "b", "c", "d", "e"]],
    "logprobs": [-1, 6],
    "top_logprobs": [-1, 6],
    "echo_last": [-1],
    "context_length_exceeded_behavior": [SECRET],
    "reasoning_history": [SECRET],
    "reasoning_effort": [SECRET],
    "service_tier": [SECRET],
}
BAD: list[tuple[Endpoint, dict[str, list[Any]]]] = [
    (fireworks.TEXT, FIREWORKS_BAD),
    (fireworks.CHAT, {**FIREWORKS_BAD, "prompt_truncate_len": [0]}),
    (pais.TEXT, {"temperature": [-0.1, 2.1], "n": [0], "max_tokens": [0]}),
    (pais.CHAT, {"temperature": [-0.1, 2.1], "n": [0], "max_tokens": [0]}),
    (
        perplexity.CHAT,
        {
            "max_tokens": [0, 128_001],
            "temperature": [-0.1, 2],
            "top_p": [-0.1, 1.1],
            "top_k": [-1, 2049],
            "presence_penalty": [-2.1, 2.1],
            "frequency_penalty": [0, -1],
            "search_domain_filter": [["x"] * 21, SECRET],
            "search_recency_filter": [SECRET],
        },
    ),
    (
        dify.COMPLETION,
        {
            "input_key": [""],
            "user": ["", SECRET * 40],
            "response_mode": [SECRET],
            "files": [[{"type": SECRET, "transfer_method": "remote_url"}], [{}]],
        },
    ),
    (
        qaip.COMPLETIONS,
        {
            "date_from": [1_735_639_199, SECRET],
            "date_to": [1_735_639_199],
            "source_types": [[SECRET]],
            "file_types": [[SECRET]],
            "stream_content": [SECRET],
        },
    ),
]
ROWS = [(e, name, value) for e, table in BAD for name, values in table.items() for value in values]


@pytest.mark.parametrize(
    ("endpoint", "name", "value"), ROWS, ids=lambda v: v if isinstance(v, str) else None
)
def test_a_value_out_of_range_is_refused(endpoint: Endpoint, name: str, value: Any) -> None:
    with pytest.raises(errors.InvalidParameterError, match=name) as caught:
        endpoint.check({**dict.fromkeys(endpoint.required, "m"), name: value})
    assert endpoint.backend.title in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert isinstance(caught.value, ValueError)


EXCLUSIVE: list[tuple[Endpoint, dict[str, Any]]] = [
    (perplexity.CHAT, {"presence_penalty": 1, "frequency_penalty": 1}),
    (fireworks.TEXT, {"max_tokens": 1, "max_completion_tokens": 1}),
    (fireworks.CHAT, {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}),
]


@pytest.mark.parametrize(("endpoint", "values"), EXCLUSIVE)
def test_two_parameters_may_exclude_each_other(endpoint: Endpoint, values: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidParameterError, match="exclude each other"):
        endpoint.check({"model": "m", **values})
    for name, value in values.items():
        endpoint.check({"model": "m", name: value})


@pytest.mark.parametrize("endpoint", [fireworks.TEXT, pais.CHAT, perplexity.CHAT])
def test_what_is_required_is_named(endpoint: Endpoint) -> None:
    with pytest.raises(errors.InvalidParameterError, match="model="):
        endpoint.check({"model": None})


def test_nothing_is_sent_that_was_not_given() -> None:
    assert perplexity.CHAT.check({"model": "sonar", "temperature": None}) == {"model": "sonar"}
    assert qaip.COMPLETIONS.check({"tag_names": ["a"]}) == {"tags": ["a"]}
    assert fireworks.TEXT.check({"model": "m", "stop": []}) == {"model": "m"}
    assert fireworks.TEXT.check({"model": "m", "stop": "a"}) == {"model": "m", "stop": ["a"]}


FIELDS: list[dict[str, Any]] = [
    {"max_retries": -1},
    {"max_retries": 21},
    {"stream_idle_timeout": 0},
    {"timeout": -1},
    {"timeout": 0},
    {"timeout": {"red": 1}},
    {"timeout": {"read": -1}},
    {"timeout": SECRET},
    {"on_incomplete": SECRET},
    {"temperature": 3},
    {"api_key": 7},
    {"default_headers": SECRET},
]


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_a_wrong_constructor_argument_is_refused(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises(errors.InvalidParameterError, match=name) as caught:
        ChatPerplexity(**{"api_key": KEY, **fields})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_constructor_argument_that_is_mistyped_gets_a_hint() -> None:
    with pytest.raises(errors.InvalidParameterError, match="'api_key'"):
        ChatPerplexity(api_kee=KEY)  # type: ignore[call-arg]


def test_a_wrong_connection_shows_when_the_object_is_made() -> None:
    with pytest.raises(errors.MissingKeyError):
        ChatPerplexity()
    with pytest.raises(errors.ConfigurationError):
        ChatPerplexity(api_key=KEY, base_url="x")


@pytest.mark.parametrize(
    ("timeout", "phases"),
    [
        (600.0, {"connect": 10, "read": 600, "write": 600, "pool": 600}),
        (3, {"connect": 3, "read": 3, "write": 3, "pool": 3}),
        (None, {"connect": 10, "read": None, "write": None, "pool": None}),
        ((5, 60), {"connect": 5, "read": 60, "write": 60, "pool": 60}),
        ({"read": 5}, {"connect": 10, "read": 5, "write": None, "pool": None}),
        (
            httpx.Timeout(1, connect=2, pool=None),
            {"connect": 2, "read": 1, "write": 1, "pool": None},
        ),
    ],
)
def test_a_time_limit_has_phases(timeout: Any, phases: dict[str, float | None]) -> None:
    settings = Connection(api_key=SecretStr(KEY), timeout=timeout).settings(qaip.QAIP)
    assert settings.timeouts == phases


# What the classes of both frameworks share


def test_a_call_s_own_values_win(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "qaip_core")
    made = service(temperature=0.5, stop="END")
    assert made.values({"temperature": 0.1, "top_p": None}) == {
        "model": "sonar",
        "temperature": 0.1,
        "stop": ["END"],
    }
    other = Qaip(api_key=KEY, model="m", temperature=1, max_tokens=5, tag_names=["a"])
    assert other.values({"temperature": 1}) == {"tag_names": ["a"]}
    assert "Qaip has no temperature: not sent" in caplog.text


@pytest.mark.parametrize("name", ["stop", "stop_sequences"])
def test_stop_sequences_have_two_names(name: str) -> None:
    assert service(**{name: "END"}).stop == ["END"]


def test_a_model_has_a_label() -> None:
    assert service().model_label == "sonar"
    assert ChatPerplexity(api_key=KEY).model_label == "perplexity"
    assert Qaip(api_key=KEY, model="m").model_label == "qaip"


async def test_a_service_closes_what_it_opened(server: FaultServer) -> None:
    server.replies(json_reply({"choices": [{"message": {"content": "a"}}]}))
    with service(base_url=server.url) as made:
        made.close()
        made.client.complete(perplexity.CHAT, "q", {"model": "m"})
        assert server.open_connections == 1
    assert server.wait_closed()
    async with service(base_url=server.url) as made:
        await made.aclose()
        made.client.complete(perplexity.CHAT, "q", {"model": "m"})
        await made.async_client.complete(perplexity.CHAT, "q", {"model": "m"})
        assert made.client is made.client
        assert made.async_client is made.async_client
        assert server.open_connections == 2
    assert server.wait_closed()
