"""The page on errors explains every error, and its messages are those that users read."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import langchain_qaip.errors
import llama_index_qaip.errors
import qaip_core.fireworks_api.errors
from langchain_qaip import ChatFireworks, ChatPAIS, ChatQaip
from qaip_core import ServiceError
from qaip_core.backends import BACKENDS
from qaip_core.command.explain import sections
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

from .running import ROOT, compare

PACKAGES = ("langchain_qaip", "llama_index_qaip", "shared/qaip_core")
MODULES = (langchain_qaip.errors, llama_index_qaip.errors, qaip_core.fireworks_api.errors)
SECTIONS = sections((ROOT / "docs/errors.md").read_text("utf-8"))
_EXAMPLE = re.compile(r"^```text\n(.*?)```", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"""anchor ?= ?"([^"]+)"|docs/errors\.md#([\w-]+)""")


def classes(kind: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    """Yield the classes of our packages; users, and tests, have others."""
    if kind.__module__.partition(".")[0] in {"qaip_core", "langchain_qaip", "llama_index_qaip"}:
        yield kind
    for below in kind.__subclasses__():
        yield from classes(below)


@pytest.mark.parametrize("kind", sorted(set(classes()), key=repr), ids=lambda k: k.__qualname__)
def test_every_error_class_has_a_section_that_its_message_names(kind: type[ServiceError]) -> None:
    assert kind.anchor == kind.__name__.lower()
    assert kind.anchor in SECTIONS
    assert str(kind("No.")) == f"No. (docs/errors.md#{kind.anchor})"
    assert kind("No.").message == "No."


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_every_name_of_an_error_that_can_be_imported_has_a_section(module: Any) -> None:
    names = [name for name in module.__all__ if name.endswith("Error")]
    assert names
    assert {name.lower() for name in names} <= SECTIONS.keys()


def test_every_section_that_a_message_names_is_there() -> None:
    named = {rule.anchor for backend in BACKENDS for rule in backend.rules if rule.anchor}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            named |= {a or b for a, b in _NAMED.findall(path.read_text("utf-8"))}
    assert len(named) > 4
    assert named <= SECTIONS.keys()


def test_an_error_of_a_user_points_to_the_section_of_its_base() -> None:
    class TooMany(langchain_qaip.errors.RateLimitError):
        pass

    assert str(TooMany("No.")) == "No. (docs/errors.md#ratelimiterror)"


def says(status: int, message: str, **headers: str) -> Reply:
    return json_reply({"error": {"message": message}}, status, **headers)


def fireworks(url: str, **fields: Any) -> ChatFireworks:
    return ChatFireworks(
        **{"model": "m", "api_key": "k", "base_url": url, "max_retries": 0} | fields
    )


def pais(url: str) -> ChatPAIS:
    return ChatPAIS(model="m", api_key="k", base_url=f"{url}/v1", max_retries=0)


_INVALID = [{"loc": ["body", "temperature"], "msg": "Input should be less than or equal to 2"}]
_DELTA = '{"choices":[{"index":0,"delta":{"content":"Hi"}}]}'
# What the service answers; where that depends on the service, another class is asked.
REPLIES: dict[str, Reply] = {
    "ServiceTimeoutError": Reply(delay=5),
    "BadRequestError": says(400, "Extra inputs are not permitted"),
    "ContextOverflowError": says(
        400, "The prompt is too long: 500208, model maximum context length: 262143"
    ),
    "ModelNotReadyError": says(
        400, "Invalid model endpoint specified or model endpoint not ready."
    ),
    "AuthenticationError": says(401, "Invalid API key"),
    "PaymentRequiredError": says(402, "no credit left"),
    "PermissionDeniedError": says(403, "not for you"),
    "NotFoundError": says(404, "Model not found"),
    "ConflictError": says(409, "busy"),
    "PreconditionFailedError": says(412, "the account is suspended"),
    "UnprocessableEntityError": json_reply({"detail": _INVALID}, 422),
    "RateLimitError": says(429, "slow down", retry_after="300"),
    "ServerError": says(503, "overloaded"),
    "RequestTimeoutError": says(504, "Gateway Timeout"),
    "MalformedResponseError": Reply(
        headers={"content-type": "text/html"}, body=[b"<html><title>Sign in</title></html>"]
    ),
    "IncompleteStreamError": sse_reply(_DELTA, end="clean"),
    "ServerReportedError": sse_reply('{"error":{"message":"overloaded"}}'),
}
MISTAKES: dict[str, Callable[[], Any]] = {
    "ConfigurationError": lambda: fireworks("api.fireworks.ai"),
    "MissingKeyError": ChatQaip,
    "InvalidParameterError": lambda: fireworks("https://x.example", temperatur=1),
    "ServiceConnectionError": lambda: ChatQaip(
        api_key="k", base_url="http://127.0.0.1:9/api/v1", max_retries=0
    ).invoke("Hello"),
}


def asked(name: str, url: str) -> Any:
    if name == "ServiceTimeoutError":
        return fireworks(url, timeout=0.2).invoke("Hello")
    if name == "ModelNotReadyError":
        return pais(url).invoke("Hello")
    stream = name in {"IncompleteStreamError", "ServerReportedError"}
    return list(fireworks(url).stream("Hello")) if stream else fireworks(url).invoke("Hello")


def test_the_page_has_an_example_of_each() -> None:
    shown = {
        name for name in SECTIONS if _EXAMPLE.search(SECTIONS[name]) and name.endswith("error")
    }
    assert shown == {name.lower() for name in (*REPLIES, *MISTAKES)}


@pytest.mark.parametrize("name", [*REPLIES, *MISTAKES])
def test_the_example_is_what_users_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("QAIP_API_KEY", "https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    with FaultServer() as server:
        server.replies(REPLIES.get(name, Reply()))
        with pytest.raises(ServiceError) as caught:
            MISTAKES[name]() if name in MISTAKES else asked(name, server.url)
    assert type(caught.value).__name__ == name
    (example,) = _EXAMPLE.findall(SECTIONS[name.lower()])
    compare(f"docs/errors.md, {name}", example, caught.value.message)
