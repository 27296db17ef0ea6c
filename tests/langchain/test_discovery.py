"""What LangChain and its tools can find out: profiles, providers, versions, tokens, failures."""

import ssl
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, get_type_hints

import httpx
import pytest
from langchain.chat_models import base as theirs_base
from langchain.chat_models import init_chat_model
from langchain_core import exceptions as theirs
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import ModelProfile
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run
from pydantic import SecretStr

import langchain_qaip as ours
from langchain_qaip import errors
from qaip_core.errors import InvalidParameterError, NotFoundError
from qaip_core.version import DISTRIBUTION
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, html_reply, json_reply

from .models import CHATS, CITING, KEY, MODELS, SILENT, Kind, every

FIREWORKS = next(kind for kind in CHATS if kind.service == "fireworks")
SANDBOXED = "accounts/sandbox/models/extractive"
NOWHERE = "http://127.0.0.1:1"
LAMPS = "Which lamp draws how many watts?"
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["invoke", "stream"])
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


# ---- profiles


@every(CHATS)
def test_a_profile_has_only_keys_that_langchain_knows(kind: Kind) -> None:
    assert set(kind.at(NOWHERE).profile) <= set(get_type_hints(ModelProfile))


TAKES: dict[str, dict[str, Any]] = {
    "qaip": {"tool_calling": False, "structured_output": False, "temperature": False},
    "fireworks": {"tool_calling": True, "structured_output": True, "temperature": True},
    "pais": {"tool_calling": False, "structured_output": False, "temperature": True},
    "perplexity": {"tool_calling": False, "structured_output": True, "temperature": True},
    "dify": {"tool_calling": False, "structured_output": False, "temperature": False},
    "perplexity-agent": {"tool_calling": True, "structured_output": True, "temperature": True},
    "pais-agent": {"tool_calling": False, "structured_output": False, "temperature": True},
    "dify-conversation": {
        "tool_calling": False,
        "structured_output": False,
        "temperature": False,
    },
}


@every(CHATS)
def test_a_profile_says_what_the_service_takes(kind: Kind) -> None:
    profile = kind.at(NOWHERE).profile
    assert {name: profile[name] for name in TAKES[kind.name]} == TAKES[kind.name]


@every(CHATS)
def test_tools_are_one_answer_in_a_profile(kind: Kind) -> None:
    profile = kind.at(NOWHERE).profile
    assert profile["tool_calling"] == profile["tool_choice"] == profile["tool_call_streaming"]


@pytest.mark.parametrize(
    ("name", "image", "pdf"),
    [
        ("qaip", False, False),
        ("fireworks", None, None),  # differs from model to model
        ("pais", False, False),
        ("perplexity", True, True),
        ("dify", True, True),
        ("perplexity-agent", True, True),
        ("pais-agent", False, False),
        ("dify-conversation", True, True),
    ],
)
def test_a_profile_says_which_media_are_taken(
    name: str, image: bool | None, pdf: bool | None
) -> None:
    profile = next(kind for kind in CHATS if kind.name == name).at(NOWHERE).profile
    assert (profile.get("image_inputs"), profile.get("pdf_inputs")) == (image, pdf)


@every(CHATS)
def test_text_goes_in_and_out(kind: Kind) -> None:
    profile = kind.at(NOWHERE).profile
    assert profile["text_inputs"] is profile["text_outputs"] is True
    assert profile["audio_inputs"] is profile["image_outputs"] is False


@every(CHATS)
def test_a_profile_of_the_user_is_kept(kind: Kind) -> None:
    given = {"max_input_tokens": 5, "structured_output": False}
    assert kind.at(NOWHERE, profile=given).profile == given


@every(CHATS)
def test_each_object_has_a_profile_of_its_own(kind: Kind) -> None:
    one, other = kind.at(NOWHERE), kind.at(NOWHERE)
    one.profile["max_input_tokens"] = 5
    assert other.profile.get("max_input_tokens") != 5


async def loaded(model: Any, *, sync: bool) -> Any:
    return model.load_profile() if sync else await model.aload_profile()


@both_lanes
async def test_the_list_of_models_completes_a_profile(sync: bool, sandbox: Sandbox) -> None:
    async with FIREWORKS.over(sandbox, model=SANDBOXED) as model:
        before = dict(model.profile)
        found = await loaded(model, sync=sync)
    assert found["max_input_tokens"] == 131072
    assert found["name"] == SANDBOXED
    assert (found["image_inputs"], found["tool_calling"]) == (True, True)
    assert before.items() <= found.items()
    assert model.profile == found


async def test_a_loaded_profile_has_only_keys_that_langchain_knows(sandbox: Sandbox) -> None:
    async with FIREWORKS.over(sandbox, model=SANDBOXED) as model:
        assert set(model.load_profile()) <= set(get_type_hints(ModelProfile))


@both_lanes
async def test_a_loaded_profile_keeps_what_the_user_said(sync: bool, sandbox: Sandbox) -> None:
    given = {"structured_output": False}
    async with FIREWORKS.over(sandbox, model=SANDBOXED, profile=given) as model:
        assert (await loaded(model, sync=sync))["structured_output"] is False


@both_lanes
async def test_a_model_that_is_not_listed_is_not_found(sync: bool, sandbox: Sandbox) -> None:
    async with FIREWORKS.over(sandbox, model="accounts/sandbox/models/nobody") as model:
        with pytest.raises(NotFoundError, match="nobody") as caught:
            await loaded(model, sync=sync)
    assert isinstance(caught.value, theirs.ModelNotFoundError)


@both_lanes
async def test_a_list_that_cannot_be_had_fails_with_our_class(
    sync: bool, server: FaultServer
) -> None:
    server.replies(json_reply({"message": "no"}, 401))
    async with FIREWORKS.at(server.url) as model:
        with pytest.raises(theirs.ModelAuthenticationError):
            await loaded(model, sync=sync)


# ---- providers


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register the providers for one test only."""
    monkeypatch.setattr(theirs_base, "_BUILTIN_PROVIDERS", dict(theirs_base._BUILTIN_PROVIDERS))
    ours.register_providers()
    return


def named(kind: Kind) -> str:
    provider = kind.name if kind.service == "qaip" else f"qaip-{kind.name}"
    return f"{provider}:{kind.params.get('model', 'any')}"


def needed(kind: Kind) -> dict[str, Any]:
    """Return what a class needs beside its model to answer from the sandbox's documents."""
    given = {**kind.params, **kind.sandboxed}
    return {name: value for name, value in given.items() if name != "model"}


def test_nothing_is_registered_by_importing() -> None:
    assert not [name for name in theirs_base._BUILTIN_PROVIDERS if name.startswith("qaip")]


@every(CHATS)
def test_init_chat_model_makes_our_class(kind: Kind, registered: None) -> None:
    model = init_chat_model(named(kind), api_key=KEY, base_url=NOWHERE)
    assert type(model) is kind.cls


@every(CHATS)
def test_the_provider_may_be_named_apart(kind: Kind, registered: None) -> None:
    provider, _, name = named(kind).partition(":")
    model = init_chat_model(name, model_provider=provider, api_key=KEY, base_url=NOWHERE)
    assert type(model) is kind.cls


@every(CHATS)
def test_a_model_that_was_made_by_name_answers(
    kind: Kind, registered: None, sandbox: Sandbox
) -> None:
    url, key = sandbox.env[kind.url_env], sandbox.env[kind.key_env]
    more = needed(kind)
    with init_chat_model(named(kind), api_key=key, base_url=url, **more) as model:  # type: ignore[attr-defined]
        assert "9 watts" in model.invoke(LAMPS).text


def test_an_agent_of_a_site_is_named_by_its_id(registered: None) -> None:
    agent: Any = init_chat_model("qaip-pais-agent:a-1", api_key=KEY, base_url=NOWHERE)
    assert (agent.agent_id, agent.model) == ("a-1", None)


@every(CHATS)
def test_parameters_reach_the_constructor(kind: Kind, registered: None) -> None:
    model = init_chat_model(named(kind), api_key=KEY, base_url=NOWHERE, max_retries=7, timeout=3)
    assert (model.max_retries, model.timeout) == (7, 3)


@every(CHATS)
def test_a_misspelt_parameter_is_named(kind: Kind, registered: None) -> None:
    with pytest.raises(InvalidParameterError, match="max_retries"):
        init_chat_model(named(kind), api_key=KEY, base_url=NOWHERE, max_retris=7)


async def test_the_provider_can_be_configured_for_a_call(
    registered: None, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    fields = {"model", "model_provider", *(name for kind in CHATS for name in needed(kind))}
    model: Any = init_chat_model(configurable_fields=tuple(fields))
    for kind in CHATS:
        chosen = {"model": named(kind), **needed(kind)}
        answer = await model.ainvoke(LAMPS, {"configurable": chosen})
        assert answer.response_metadata["model_provider"] == kind.at(NOWHERE).provider


def test_a_parameter_can_be_configured_for_a_call(
    registered: None, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    model: Any = init_chat_model("qaip-fireworks:m", configurable_fields=("temperature",))
    model.invoke(LAMPS, {"configurable": {"temperature": 0.5}})
    body = sandbox.requests[-1].body
    assert isinstance(body, dict)
    assert body["temperature"] == 0.5


def test_a_configurable_model_takes_tools_and_schemas(
    registered: None, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    schema = {"title": "A", "type": "object", "properties": {"name": {"type": "string"}}}
    model: Any = init_chat_model("qaip-fireworks:m", configurable_fields=("temperature",))
    assert model.bind_tools([schema], tool_choice="any").invoke(LAMPS).tool_calls
    assert "name" in model.with_structured_output(schema).invoke(LAMPS)


def test_registering_twice_changes_nothing(registered: None) -> None:
    before = dict(theirs_base._BUILTIN_PROVIDERS)
    ours.register_providers()
    assert before == theirs_base._BUILTIN_PROVIDERS


def test_other_entries_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ("some.module", "Some", lambda cls, **kwargs: cls(**kwargs))
    known = {**theirs_base._BUILTIN_PROVIDERS, "qaip": mine}
    monkeypatch.setattr(theirs_base, "_BUILTIN_PROVIDERS", dict(known))
    ours.register_providers()
    assert known.items() <= theirs_base._BUILTIN_PROVIDERS.items()


# ---- versions


class Collector(BaseTracer):
    """Keeps every run that is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)


@every(MODELS)
def test_the_versions_are_in_the_metadata(kind: Kind) -> None:
    versions = kind.at(NOWHERE).metadata["lc_versions"]
    assert versions[DISTRIBUTION] == version(DISTRIBUTION)
    assert versions["langchain-core"] == version("langchain-core")


@every(MODELS)
def test_metadata_of_the_user_is_kept(kind: Kind) -> None:
    given = {"mine": 1, "lc_versions": {"my-app": "2"}}
    model = kind.at(NOWHERE, metadata=given)
    assert model.metadata["mine"] == 1
    assert model.metadata["lc_versions"].keys() >= {"my-app", "langchain-core", DISTRIBUTION}
    assert given == {"mine": 1, "lc_versions": {"my-app": "2"}}


@every(MODELS)
def test_traces_tell_the_versions(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    tracer = Collector()
    with kind.at(server.url, metadata={"mine": 1}) as model:
        model.invoke("q", {"callbacks": [tracer]})
    (run,) = tracer.runs
    assert run.metadata["mine"] == 1
    assert run.metadata["lc_versions"][DISTRIBUTION] == version(DISTRIBUTION)


@every(MODELS)
def test_the_versions_do_not_reach_the_wire(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        model.invoke("q")
    assert b"lc_versions" not in server.requests[0].body


# ---- tokens


ODD = ["", " ", "a", "日本語のランプ", "👩‍👩‍👧", "\x00", "\ud800", "<|endoftext|>", "x" * 10_000]


@every(MODELS)
def test_the_tokens_of_every_text_are_counted(kind: Kind) -> None:
    model = kind.at(NOWHERE)
    for text in ODD:
        ids = model.get_token_ids(text)
        assert len(ids) == model.get_num_tokens(text)
        assert all(isinstance(number, int) for number in ids)


@every(CHATS)
def test_the_tokens_of_every_message_are_counted(kind: Kind) -> None:
    model = kind.at(NOWHERE)
    image = {"type": "image", "url": "https://a.example/i.png"}
    call = {"name": "f", "args": {"x": 1}, "id": "c1"}
    prompt = [
        HumanMessage([{"type": "text", "text": "q"}, image, "bare"]),
        AIMessage("", tool_calls=[call]),
        AIMessage(""),
    ]
    assert model.get_num_tokens_from_messages(prompt) > 0
    assert model.get_num_tokens_from_messages([]) == 0


# ---- what a failure carries


class Heard(BaseCallbackHandler):
    """Keeps what is told of a failure."""

    response: LLMResult

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.error, self.response = error, kwargs["response"]


def busy() -> Reply:
    return json_reply({"error": {"message": "slow down"}}, 429, x_request_id="r-1", x_other="v")


async def asked(model: Any, config: Any, *, streaming: bool, sync: bool) -> Any:
    if streaming and sync:
        return list(model.stream("q", config))
    if streaming:
        return [chunk async for chunk in model.astream("q", config)]
    return model.invoke("q", config) if sync else await model.ainvoke("q", config)


async def failed(
    kind: Kind, url: str, *, streaming: bool = False, sync: bool = True, **config: Any
) -> Any:
    """Return the error of a call."""
    async with kind.at(url) as model:
        with pytest.raises(errors.ServiceError) as caught:
            await asked(model, config, streaming=streaming, sync=sync)
        return caught.value


@both_lanes
@both_ways
@every(MODELS)
async def test_a_failure_carries_the_response(
    kind: Kind, streaming: bool, sync: bool, server: FaultServer
) -> None:
    server.replies(busy())
    response = (await failed(kind, server.url, streaming=streaming, sync=sync)).response
    assert isinstance(response, httpx.Response)
    assert response.status_code == 429
    assert response.json() == {"error": {"message": "slow down"}}
    assert response.headers["x-request-id"] == "r-1"


async def test_the_body_of_a_response_may_be_a_page(server: FaultServer) -> None:
    server.replies(html_reply(502))
    response = (await failed(FIREWORKS, server.url)).response
    assert "502 Bad Gateway" in response.text
    assert response.is_error


@every(MODELS)
async def test_the_response_holds_neither_request_nor_key(kind: Kind, server: FaultServer) -> None:
    server.replies(busy())
    response = (await failed(kind, server.url)).response
    with pytest.raises(RuntimeError, match="request"):
        _ = response.request
    assert KEY not in f"{response.headers}{response.text}{response!r}"


@every(MODELS)
async def test_a_failure_names_the_request_for_the_vendors_support(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(busy())
    assert (await failed(kind, server.url)).request_id == "r-1"


@every(MODELS)
async def test_a_failure_without_a_response_has_none(kind: Kind) -> None:
    with FaultServer() as gone:
        pass
    error = await failed(kind, gone.url)
    assert isinstance(error, theirs.ModelConnectionError)
    assert not hasattr(error, "response")


@every(CHATS)
async def test_a_call_that_was_never_made_has_no_response(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError) as caught:
        model.invoke("q", temprature=1)
    assert not hasattr(caught.value, "response")


@both_lanes
@both_ways
@every(CHATS)
async def test_handlers_hear_the_response_of_a_failure(
    kind: Kind, streaming: bool, sync: bool, server: FaultServer
) -> None:
    server.replies(busy())
    heard = Heard()
    error = await failed(kind, server.url, streaming=streaming, sync=sync, callbacks=[heard])
    assert heard.error is error
    told = heard.response.generations[0][0].message.response_metadata  # type: ignore[union-attr]
    assert told["status_code"] == 429
    assert told["body"] == {"error": {"message": "slow down"}}
    assert told["request_id"] == "r-1"
    assert told["headers"]["x-request-id"] == "r-1"


async def test_handlers_hear_of_a_failure_without_a_response() -> None:
    heard = Heard()
    with FaultServer() as gone:
        pass
    error = await failed(FIREWORKS, gone.url, callbacks=[heard])
    assert heard.error is error
    assert not any(heard.response.generations)


# ---- a retriever that cannot be made


@every(CITING)
def test_a_retriever_of_no_sources_is_refused(kind: Kind) -> None:
    model = kind.at(NOWHERE)
    for make in (
        lambda: model.as_retriever(k=0),
        lambda: ours.CitationRetriever(model=model, k=-1),
    ):
        with pytest.raises(InvalidParameterError, match=r"CitationRetriever: k:") as caught:
            make()
        assert isinstance(caught.value, theirs.ModelInvalidRequestError)


@every(CITING)
def test_a_misspelt_parameter_of_a_retriever_is_named(kind: Kind) -> None:
    model = kind.at(NOWHERE)
    with pytest.raises(InvalidParameterError, match="'model'") as caught:
        ours.CitationRetriever(modell=model)
    assert "CitationRetriever has no parameter 'modell'" in str(caught.value)
    assert isinstance(caught.value, theirs.ModelInvalidRequestError)


@every(SILENT)
def test_a_retriever_over_a_service_without_sources_is_refused(kind: Kind) -> None:
    with pytest.raises(InvalidParameterError, match="answers with sources") as caught:
        ours.CitationRetriever(model=kind.at(NOWHERE))
    assert isinstance(caught.value, theirs.ModelInvalidRequestError)


def test_a_retriever_over_something_else_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="model"):
        ours.CitationRetriever(model="sonar")


def test_a_retriever_without_a_model_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="model"):
        ours.CitationRetriever()


@every(CITING)
def test_a_refused_retriever_does_not_show_the_key(kind: Kind) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        ours.CitationRetriever(model=kind.at(NOWHERE), k="many")
    assert KEY not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__context__!r}"


@every(CITING)
def test_a_retriever_is_named_by_common_parameters(kind: Kind) -> None:
    retriever = kind.at(NOWHERE).as_retriever(k=2, tags=["a"], metadata={"b": 1})
    assert (retriever.k, retriever.tags, retriever.metadata["b"]) == (2, ["a"], 1)


# ---- the key


@every(MODELS)
def test_the_key_of_the_environment_is_read_when_the_object_is_made(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kind.key_env, "key-of-env")
    model = kind.at(NOWHERE, api_key=None)
    monkeypatch.delenv(kind.key_env)
    assert isinstance(model.api_key, SecretStr)
    assert model.api_key.get_secret_value() == "key-of-env"


@every(MODELS)
def test_a_key_that_is_given_wins(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kind.key_env, "key-of-env")
    model = kind.at(NOWHERE)
    assert isinstance(model.api_key, SecretStr)
    assert model.api_key.get_secret_value() == KEY


@beta
@pytest.mark.parametrize("source", ["given", "environment"])
@every(MODELS)
def test_a_model_is_loaded_from_text_with_a_key_from_a_map(
    kind: Kind, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(kind.key_env, "key-of-env")
    model = kind.at(NOWHERE, **({} if source == "given" else {"api_key": None}))
    text = dumps(model)
    assert KEY not in text
    assert "key-of-env" not in text
    loaded = loads(
        text,
        allowed_objects=[kind.cls],
        valid_namespaces=["langchain_qaip"],
        secrets_map={kind.key_env: "key-of-map"},
    )
    assert loaded.api_key.get_secret_value() == "key-of-map"


@beta
@pytest.mark.parametrize("verify", [ssl.create_default_context(), False], ids=["context", "false"])
@every(MODELS)
def test_a_context_stays_behind_and_the_rest_is_loaded(kind: Kind, verify: Any) -> None:
    """A context lives in one process; that no proof is wanted can be said in any."""
    text = dumps(kind.at(NOWHERE, verify=verify))
    loaded = loads(
        text,
        allowed_objects=[kind.cls],
        valid_namespaces=["langchain_qaip"],
        secrets_map={kind.key_env: KEY},
    )
    assert loaded.verify is (None if isinstance(verify, ssl.SSLContext) else verify)


@pytest.mark.parametrize(
    ("service", "model", "tokens"),
    [
        ("perplexity", "sonar-pro", 200_000),
        ("fireworks", "accounts/fireworks/models/gpt-oss-120b", 131_072),
        ("fireworks", "accounts/mine/models/tuned", None),
        ("qaip", None, None),
    ],
)
def test_the_context_size_of_known_models_needs_no_question(
    service: str, model: str | None, tokens: int | None
) -> None:
    kind = next(kind for kind in CHATS if kind.service == service)
    profile = kind.at(NOWHERE, **({"model": model} if model else {})).profile
    assert profile.get("max_input_tokens") == tokens
