"""The ten most likely mistakes, made as a new user would: the message says how to mend them."""

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import trustme
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from llama_index.core.llms import ChatMessage

import langchain_qaip as lc
import llama_index_qaip as li
from qaip_core import ServiceError
from qaip_core.backends import BACKENDS
from qaip_core.backends.perplexity.agent_params import PerplexityAgentParams
from qaip_core.backends.perplexity.chat_params import PerplexityParams
from qaip_core.command.explain import sections
from qaip_core.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    EndpointRetiredError,
    InvalidParameterError,
    MalformedResponseError,
    MissingKeyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    ServiceConnectionError,
)
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, html_reply, json_reply

from .running import ROOT

QUESTION = "When was the first light lit?"
ANSWER = "Stennick Light was first lit on 3 November 1847."
ANCHORS = sections((ROOT / "docs/errors.md").read_text("utf-8")).keys()


@dataclass(frozen=True)
class Framework:
    """The same five services, and how they are asked."""

    package: Any
    names: dict[str, str]
    ask: Callable[[Any, str], str]

    def __getattr__(self, service: str) -> Any:
        return getattr(self.package, self.names[service])


FRAMEWORKS = [
    pytest.param(
        Framework(
            lc,
            {
                "qaip": "ChatQaip",
                "fireworks": "ChatFireworks",
                "pais": "ChatPAIS",
                "perplexity": "ChatPerplexity",
                "perplexity_agent": "ChatPerplexityAgent",
                "dify": "ChatDify",
                "dify_conversation": "ChatDifyConversation",
                "dify_datasets": "DifyDatasetRetriever",
            },
            lambda model, question: model.invoke(question).text,
        ),
        id="langchain",
    ),
    pytest.param(
        Framework(
            li,
            {
                "qaip": "Qaip",
                "fireworks": "Fireworks",
                "pais": "PAIS",
                "perplexity": "Perplexity",
                "perplexity_agent": "PerplexityAgent",
                "dify": "Dify",
                "dify_conversation": "DifyConversation",
                "dify_datasets": "DifyDatasetRetriever",
            },
            lambda model, question: model.chat([ChatMessage(question)]).message.content,
        ),
        id="llama_index",
    ),
]
both = pytest.mark.parametrize("of", FRAMEWORKS)
NEEDED: dict[str, dict[str, Any]] = {
    "fireworks": {"model": "m"},
    "perplexity": {"model": "sonar"},
    "perplexity_agent": {"model": "perplexity/sonar", "web_search": True},
    "pais": {"model": "m"},
    "dify_datasets": {"dataset_id": "handbook"},
}


def made(of: Framework, service: str, **fields: Any) -> Any:
    return getattr(of, service)(**{"max_retries": 0} | NEEDED.get(service, {}) | fields)


def message(kind: type[ServiceError], mistake: Callable[[], object], *words: str) -> ServiceError:
    """Make a mistake, and look for the words that mend it."""
    with pytest.raises(kind) as caught:
        mistake()
    error = caught.value
    for word in words:
        assert word in error.message
    assert error.anchor in ANCHORS
    assert str(error).startswith(error.message)
    assert str(error).endswith(f"docs/errors.md#{error.anchor})")
    return error


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in BACKENDS:
        for name in (*backend.key_env, *backend.url_env, "DIFY_DATASET_API_KEY"):
            monkeypatch.delenv(name, raising=False)
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def running(monkeypatch: pytest.MonkeyPatch, **profiles: Any) -> Iterator[Sandbox]:
    with Sandbox(ROOT / "examples/handbook", **profiles) as sandbox:
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, request: Any) -> Iterator[Sandbox]:
    yield from running(monkeypatch, **getattr(request, "param", {}))


def on(**profiles: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sandbox", [profiles], indirect=True, ids=[""])


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as faulty:
        yield faulty


KEYS = {
    "qaip": "QAIP_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "perplexity": "PERPLEXITY_API_KEY",
    "dify": "DIFY_API_KEY",
    "dify_datasets": "DIFY_DATASET_API_KEY",
}


@pytest.mark.parametrize("service", KEYS)
@both
def test_no_key(of: Framework, service: str) -> None:
    words = "No key for", "pass api_key=...", f"set {KEYS[service]}"
    message(MissingKeyError, lambda: made(of, service), *words)


@both
def test_no_address_where_there_is_no_common_one(of: Framework) -> None:
    message(ConfigurationError, lambda: made(of, "pais"), "base_url=...", "PAIS_BASE_URL")


@pytest.mark.parametrize(
    ("service", "key", "words"),
    [
        ("fireworks", "pplx-12345678", ["key of Perplexity", "FIREWORKS_API_KEY"]),
        ("qaip", "pplx-12345678", ["key of Perplexity", "QAIP_API_KEY"]),
        ("dify", "pplx-12345678", ["key of Perplexity", "'app-'", "DIFY_API_KEY"]),
        ("dify", "dataset-12345678", ["DIFY_DATASET_API_KEY", "'app-'"]),
        ("dify_datasets", "app-12345678", ["DIFY_API_KEY", "'dataset-'"]),
    ],
)
@both
def test_a_key_that_says_whose_it_is(
    of: Framework, service: str, key: str, words: list[str]
) -> None:
    error = message(ConfigurationError, lambda: made(of, service, api_key=key), *words)
    assert error.anchor == "a-key-of-another-service"
    assert "12345678" not in f"{error} {error!r} {vars(error)}"


@both
def test_a_gateway_may_take_keys_of_another_service(of: Framework) -> None:
    key = "pplx-12345678"
    made(of, "fireworks", api_key=key, base_url="https://gateway.example.com/v1")
    message(
        ConfigurationError,
        lambda: made(of, "fireworks", api_key=key, base_url="http://localhost:4000/v1"),
        "key of Perplexity",
    )


@both
def test_arguments_without_names(of: Framework) -> None:
    for service in ("qaip", "dify_datasets"):
        with pytest.raises(TypeError, match=r"takes its arguments by name, such as \w+\(api_key="):
            getattr(of, service)("sonar")


@both
def test_a_key_that_does_not_say_whose_it_is(
    of: Framework, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(of, "qaip", api_key="key-of-another")
    asked = "Qaip (127.0.0.1:"
    message(
        AuthenticationError, lambda: of.ask(model, "x"), "401", asked, "that was passed", "QAIP_API"
    )
    monkeypatch.setenv("FIREWORKS_API_KEY", "app-of-dify-12345")
    model = made(of, "fireworks")
    told = "with the key of FIREWORKS_API_KEY", "a Dify app", "'app-'"
    error = message(AuthenticationError, lambda: of.ask(model, "x"), "401", *told)
    assert "12345" not in str(error)


@both
def test_a_key_of_a_callable(of: Framework, sandbox: Sandbox) -> None:
    model = made(of, "qaip", api_key=lambda: "key-of-another")
    message(AuthenticationError, lambda: of.ask(model, "x"), "that the callable api_key returned")


ADDRESSES = {
    "qaip": "QAIP_BASE_URL",
    "fireworks": "FIREWORKS_API_BASE",
    "pais": "PAIS_BASE_URL",
    "perplexity": "PERPLEXITY_BASE_URL",
    "perplexity_agent": "PERPLEXITY_BASE_URL",
    "dify": "DIFY_BASE_URL",
}


@pytest.mark.parametrize("ending", ["/", "/v1", "/v1/v1/", "/chat/completions"])
@pytest.mark.parametrize("service", ADDRESSES)
@both
def test_an_address_with_too_much_at_its_end_is_understood(
    of: Framework, service: str, ending: str, sandbox: Sandbox
) -> None:
    model = made(of, service, base_url=sandbox.env[ADDRESSES[service]] + ending)
    assert of.ask(model, QUESTION).startswith(ANSWER)


@both
def test_an_address_that_is_wrong(of: Framework, sandbox: Sandbox) -> None:
    model = made(of, "dify", base_url=sandbox.env["DIFY_BASE_URL"].removesuffix("/v1"))
    words = "/dify/completion-messages", "the vendor's is https://api.dify.ai/v1", "base_url"
    message(NotFoundError, lambda: of.ask(model, "x"), *words)
    message(ConfigurationError, lambda: made(of, "qaip", base_url="qaip.example"), "https://")


@on(perplexity={"profile": "retired"})
@both
def test_a_retired_endpoint(of: Framework, sandbox: Sandbox) -> None:
    model = made(of, "perplexity")
    old, new = of.names["perplexity"], of.names["perplexity_agent"]
    error = message(
        EndpointRetiredError,
        lambda: of.ask(model, "x"),
        "Your key is fine",
        f'Replace {old}(model="sonar") by {new}(model="perplexity/sonar", web_search=True)',
    )
    line = re.findall(rf"{new}\(.*?\)", error.message)[0]
    model = eval(line, {new: of.perplexity_agent})  # what the message says works
    assert of.ask(model, QUESTION).startswith(ANSWER)


@on(dify={"app": "chat"})
@both
def test_the_wrong_kind_of_dify_app(of: Framework, sandbox: Sandbox) -> None:
    told = "chat and agent apps: ChatDifyConversation, DifyConversation"
    error = message(BadRequestError, lambda: of.ask(made(of, "dify"), "x"), told)
    assert error.anchor == "the-wrong-kind-of-dify-app"
    assert of.ask(made(of, "dify_conversation"), QUESTION).startswith(ANSWER)


@on(dify={"app": "completion"})
@both
def test_the_other_wrong_kind_of_dify_app(of: Framework, sandbox: Sandbox) -> None:
    model = made(of, "dify_conversation")
    message(BadRequestError, lambda: of.ask(model, "x"), "apps: ChatDify, DifyLLM, Dify;")


@on(pais={"auth": "expiring", "requests_per_token": 1})
@both
def test_an_expired_token(of: Framework, sandbox: Sandbox) -> None:
    model = made(of, "pais")
    words = "expires", "api_key=...", "callable", "OpenIDToken", "with the key of PAIS_API_KEY"

    def often() -> None:
        for _ in range(3):
            of.ask(model, QUESTION)

    error = message(AuthenticationError, often, *words)
    assert error.anchor == "an-expired-pais-token"


@both
def test_both_penalties(of: Framework, sandbox: Sandbox) -> None:
    both_set = {"presence_penalty": 1.0, "frequency_penalty": 1.0}
    told = "presence_penalty and frequency_penalty exclude each other: set one of them"
    error = message(InvalidParameterError, lambda: made(of, "perplexity", **both_set), told)
    assert "Value error" not in str(error)


def test_a_system_message_too_late_in_langchain(sandbox: Sandbox) -> None:
    chat = lc.ChatPerplexity(model="sonar")
    late = [HumanMessage(QUESTION), SystemMessage("Be brief.")]
    assert chat.invoke(late).text.startswith(ANSWER)
    unasked = [HumanMessage("Hello"), AIMessage("Hi"), SystemMessage("Be brief.")]
    message(InvalidParameterError, lambda: chat.invoke(unasked), "end with the user")


def test_a_system_message_too_late_in_llama_index(sandbox: Sandbox) -> None:
    llm = li.Perplexity(model="sonar")
    late = [ChatMessage(QUESTION), ChatMessage("Be brief.", role="system")]
    assert str(llm.chat(late).message.content).startswith(ANSWER)
    unasked = [ChatMessage("Hi", role="assistant"), ChatMessage("Be brief.", role="system")]
    message(InvalidParameterError, lambda: llm.chat(unasked), "end with the user")


@both
def test_a_proxy_that_is_not_there(of: Framework, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret@127.0.0.1:1")
    model = made(of, "qaip", api_key="k", base_url="https://qaip.example/api/v1")
    words = "the proxy 127.0.0.1:1", "HTTPS_PROXY", "NO_PROXY=qaip.example"
    error = message(ServiceConnectionError, lambda: of.ask(model, "x"), *words)
    assert error.anchor == "a-corporate-proxy"
    assert "s3cret" not in f"{error} {vars(error)}"


@both
def test_a_proxy_that_speaks_socks(of: Framework, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5h://me:s3cret@proxy.example:1080")
    model = made(of, "qaip", api_key="k", base_url="https://qaip.example/api/v1")
    words = "all_proxy=socks5h://proxy.example:1080", 'pip install "httpx[socks]"'
    error = message(ConfigurationError, lambda: of.ask(model, "x"), *words)
    assert error.anchor == "a-corporate-proxy"
    assert "s3cret" not in f"{error} {vars(error)}"


@pytest.mark.parametrize("direct", ["*", "invalid", ".invalid, x.example", "qaip.invalid"])
def test_a_proxy_that_is_not_asked_is_not_named(
    direct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", direct)
    chat = lc.ChatQaip(api_key="k", base_url="https://qaip.invalid/api/v1", max_retries=0)
    error = message(ServiceConnectionError, lambda: chat.invoke("x"), "HTTPS_PROXY, NO_PROXY")
    assert "127.0.0.1" not in error.message


@both
def test_a_proxy_does_not_matter_to_this_machine(
    of: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    model = made(of, "qaip", api_key="k", base_url="http://127.0.0.1:9/api/v1")
    error = message(ServiceConnectionError, lambda: of.ask(model, "x"), "is the server running")
    assert "127.0.0.1:1 " not in error.message


@both
def test_a_proxy_that_wants_a_login(
    of: Framework, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies(html_reply(407))
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    model = made(of, "qaip", api_key="k", base_url="https://qaip.example/api/v1")
    words = "407", "wants a login", "HTTPS_PROXY (http://user:password@host:port)"
    assert not message(ServiceConnectionError, lambda: of.ask(model, "x"), *words).is_retryable


@both
def test_a_proxy_that_reads_along(of: Framework) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FaultServer(tls=context) as reading:
        model = made(of, "qaip", api_key="k", base_url=reading.url)
        words = "certificate", "private CA", "verify=...", "SSL_CERT_FILE"
        message(ServiceConnectionError, lambda: of.ask(model, "x"), *words)


BLOCKED = b"<html><title>Access blocked by policy</title></html>"


@pytest.mark.parametrize(
    ("status", "kind"), [(200, MalformedResponseError), (403, PermissionDeniedError)]
)
@both
def test_a_proxy_that_shows_a_page(
    of: Framework, server: FaultServer, status: int, kind: type[ServiceError]
) -> None:
    server.replies(Reply(status, headers={"content-type": "text/html"}, body=[BLOCKED]))
    model = made(of, "qaip", api_key="k", base_url=server.url)
    words = "Access blocked by policy", "eb page", "base_url", "proxy", "login", "NO_PROXY"
    error = message(kind, lambda: of.ask(model, "x"), *words)
    assert "The key was accepted" not in error.message


@both
def test_too_many_requests(of: Framework, server: FaultServer) -> None:
    told = "The service asks to wait 300 s, but no call waits for more than 120 s"
    server.replies(json_reply({"message": "no"}, 429, retry_after="300"), json_reply({}, 429))
    model = made(of, "qaip", api_key="k", base_url=server.url)
    message(RateLimitError, lambda: of.ask(model, "x"), told)
    error = message(RateLimitError, lambda: of.ask(model, "x"), "or raise max_retries")
    assert "attempts" not in str(error)
    server.reset()
    server.replies(json_reply({}, 503, retry_after="0"))
    model = made(of, "qaip", api_key="k", base_url=server.url, max_retries=2)
    error = message(ServerError, lambda: of.ask(model, "x"))
    assert "(after 3 attempts; docs/errors.md#servererror)" in str(error)


@both
def test_what_is_no_http_client(of: Framework) -> None:
    for name, kind in (("http_client", "Client"), ("http_async_client", "AsyncClient")):
        with pytest.raises(ConfigurationError, match=f"{name} is no HTTP .* pass an httpx.{kind},"):
            made(of, "qaip", api_key="k", **{name: object()})


@both
def test_a_timeout_that_is_none(of: Framework) -> None:
    told = "timeout: takes seconds above 0, or None for no limit"
    message(InvalidParameterError, lambda: made(of, "qaip", api_key="k", timeout=-1), told)


@pytest.mark.parametrize(
    ("service", "hint"),
    [
        ("fireworks", "`qaip models --service fireworks` lists them"),
        ("pais", "`qaip models --service pais` lists them"),
        ("perplexity", 'such as "sonar"'),
    ],
)
@both
def test_no_model(of: Framework, service: str, hint: str, sandbox: Sandbox) -> None:
    model = made(of, service, model=None)
    message(InvalidParameterError, lambda: of.ask(model, "x"), "pass model=...", hint)


@both
def test_a_key_of_another_type(of: Framework) -> None:
    told = "api_key: it is a string, or a callable that returns one"
    error = message(InvalidParameterError, lambda: made(of, "qaip", api_key=12345678), told)
    assert "12345678" not in str(error)


@both
@pytest.mark.parametrize("key", ["Bearer my-s3cret", " bearer  my-s3cret"])
def test_a_key_with_the_word_that_stands_before_it(of: Framework, key: str) -> None:
    error = message(
        ConfigurationError, lambda: made(of, "qaip", api_key=key), "leave 'Bearer ' out"
    )
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("agent", [lc.ChatPerplexityAgent, li.PerplexityAgent])
@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("return_related_questions", "leave it out, as the agent has no equivalent"),
        ("top_k", "leave it out, as the agent has no equivalent"),
        ("disable_search", "write web_search=False"),
        ("search_recency_filter", "write web_search="),
        ("reuse_client", "leave it out: connections are kept"),
    ],
)
def test_a_parameter_that_the_successor_has_not(agent: Any, name: str, instead: str) -> None:
    told = f"{agent.__name__} has no parameter {name!r}: {instead}"
    message(InvalidParameterError, lambda: agent(api_key="k", effort="low", **{name: True}), told)


def test_every_parameter_of_the_ended_chat_is_known_to_its_successor() -> None:
    agent = PerplexityAgentParams
    known = {*agent.model_fields, *agent.elsewhere}
    assert PerplexityParams.model_fields.keys() <= known


HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
{code}
"""


@pytest.mark.parametrize(
    ("hidden", "code", "extra"),
    [
        ("langchain_core", "import langchain_qaip", "langchain"),
        ("llama_index", "import llama_index_qaip", "llama-index"),
        ("starlette", "from qaip_sandbox import Sandbox; Sandbox('.').__enter__()", "sandbox"),
    ],
)
def test_a_missing_extra(hidden: str, code: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDE.format(hidden=hidden, code=code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1].replace("'", '"')
    assert f'pip install "qaip-integrations[{extra}]"' in last
