"""The classes that are compared, and how each reaches a server on loopback."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from support.fault_server import FaultServer, Reply, json_reply
from support.peers.replies import SOURCES, Answer, ChatCompletions, Completions, Sonar

__all__ = ["KEY", "OURS", "PEERS", "PREFIXES", "SUBJECTS", "UNSET", "Subject"]

KEY = "sk-compare-5d20"
# Environment variables that begin so would lead the models elsewhere.
PREFIXES = ("OPENAI_", "PPLX_", "PERPLEXITY_", "FIREWORKS_", "LANGSMITH_", "LANGCHAIN_")

Recipe = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class Subject:
    """A package's classes for one service.

    Parameters:
        id: the name that tests and checks use.
        title: the head of its column.
        distribution: the package that brings it, as pip names it.
        chat, text, retriever: "module:class", or None where the package has none.
        wire, text_wire: the dialects in which the server answers them.
        traits: what the service itself has; a row that needs another one does not apply.
        place: the parameters that lead a chat model to a server's address.
        text_place: the same for the text LLM.
        environ: environment variables that lead there where no parameter does.
        model: a model of the service that the package should know.
        recipes: how the class takes what not all take under one name: "idle" (seconds of
            silence in a stream), "extra_body", "headers", "agent" (Perplexity's other API).
        seconds: the default time limit, read off a model.
        sdk: the vendor's own clients under a model, (sync, async), where there are any.
        search: what the retriever's service answers.
    """

    id: str
    title: str
    distribution: str
    chat: str
    wire: Any
    traits: frozenset[str]
    place: Callable[[str], dict[str, Any]]
    model: str
    seconds: Callable[[Any], Any]
    text: str | None = None
    text_wire: Any = field(default_factory=Completions)
    text_place: Callable[[str], dict[str, Any]] | None = None
    retriever: str | None = None
    environ: Callable[[str], Mapping[str, str]] = lambda url: {}
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    sdk: Callable[[Any], tuple[Any, Any]] | None = None
    ours: bool = False

    @property
    def installed(self) -> bool:
        return find_spec(self.chat.partition(":")[0]) is not None

    def load(self) -> None:
        """Import the package, which takes seconds that no check shall count."""
        importlib.import_module(self.chat.partition(":")[0])

    @property
    def version(self) -> str:
        return metadata.version(self.distribution)

    def by(self, recipe: str, value: Any) -> dict[str, Any]:
        """Return the parameters by which the class takes something; none if it has no way."""
        return self.recipes[recipe](value) if recipe in self.recipes else {}

    def chat_model(self, server: FaultServer | None = None, **given: Any) -> Any:
        """Return a chat model that asks each question once."""
        return self._made(self.chat, self.place, server, {"model": "echo-model", **given})

    def text_model(self, server: FaultServer, **given: Any) -> Any:
        """Return a text LLM."""
        assert self.text, f"{self.distribution} has no text LLM"
        place = self.text_place or self.place
        return self._made(self.text, place, server, {"model": "echo-model", **given})

    def sources_of(self, server: FaultServer, **given: Any) -> Any:
        """Return a retriever."""
        assert self.retriever, f"{self.distribution} has no retriever"
        if self.ours:
            k = {"k": given.pop("k")} if "k" in given else {}
            return self.chat_model(server, **given).as_retriever(**k)
        return self._made(self.retriever, lambda url: {}, server, {"pplx_api_key": KEY, **given})

    def found(self) -> Reply:
        """Return what the retriever's service answers."""
        if self.ours:
            return self.wire.whole(Answer())
        return json_reply({"id": "search-1", "results": [dict(s) for s in SOURCES]})

    def _made(
        self,
        name: str,
        place: Callable[[str], dict[str, Any]],
        server: FaultServer | None,
        given: Mapping[str, Any],
    ) -> Any:
        url = server.url if server else "http://127.0.0.1:9"
        cls = _found(name)
        bounds = {"api_key": KEY, "max_retries": 0, "timeout": 5}
        taken = {k: v for k, v in bounds.items() if _takes(cls, k)}
        params = {**taken, **place(url), **given}
        with _environment(self.environ(url)):
            return cls(**{k: v for k, v in params.items() if v is not UNSET})


UNSET: Any = object()


def _found(name: str) -> Any:
    module, _, cls = name.partition(":")
    return getattr(importlib.import_module(module), cls)


def _takes(cls: Any, name: str) -> bool:
    fields = cls.model_fields
    return name in fields or any(name == f.alias for f in fields.values())


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


_OURS: Mapping[str, Recipe] = {
    "idle": lambda seconds: {"stream_idle_timeout": seconds},
    "extra_body": lambda body: {"extra_body": body},
    "headers": lambda headers: {"default_headers": headers},
}
_BY_KWARGS: Mapping[str, Recipe] = {
    "extra_body": lambda body: {"model_kwargs": {"extra_body": body}},
    "headers": lambda headers: {"model_kwargs": {"extra_headers": headers}},
}


def _both_limits(model: Any) -> Any:
    return model.timeout and model.stream_idle_timeout


OURS = (
    Subject(
        id="ours-fireworks",
        title="ours: ChatFireworks",
        distribution="qaip-integrations",
        chat="langchain_qaip:ChatFireworks",
        text="langchain_qaip:FireworksLLM",
        wire=ChatCompletions(usage="finish"),
        traits=frozenset({"fireworks", "functions", "n", "tokens", "reasoning field"}),
        place=lambda url: {"base_url": f"{url}/inference/v1"},
        model="accounts/fireworks/models/gpt-oss-120b",
        seconds=_both_limits,
        recipes=_OURS,
        ours=True,
    ),
    Subject(
        id="ours-perplexity",
        title="ours: ChatPerplexity",
        distribution="qaip-integrations",
        chat="langchain_qaip:ChatPerplexity",
        text="langchain_qaip:PerplexityLLM",
        text_wire=Sonar(),
        retriever="langchain_qaip:CitationRetriever",
        wire=Sonar(),
        traits=frozenset({"sonar", "cites", "retrieves", "pdf"}),
        place=lambda url: {"base_url": url},
        model="sonar-pro",
        seconds=_both_limits,
        recipes=_OURS,
        ours=True,
    ),
)

PEERS = (
    Subject(
        id="openai",
        title="langchain-openai",
        distribution="langchain-openai",
        chat="langchain_openai:ChatOpenAI",
        text="langchain_openai:OpenAI",
        wire=ChatCompletions(usage="trailing"),
        traits=frozenset({"openai", "functions", "n", "tokens", "cites", "pdf"}),
        place=lambda url: {"base_url": f"{url}/v1"},
        model="gpt-4o",
        seconds=lambda model: _seconds(model.root_client.timeout),
        recipes={
            "idle": lambda seconds: {"stream_chunk_timeout": seconds},
            "extra_body": lambda body: {"extra_body": body},
            "headers": lambda headers: {"default_headers": headers},
        },
        sdk=lambda model: (model.root_client, model.root_async_client),
    ),
    Subject(
        id="fireworks",
        title="langchain-fireworks",
        distribution="langchain-fireworks",
        chat="langchain_fireworks:ChatFireworks",
        text="langchain_fireworks:Fireworks",
        text_place=lambda url: {"base_url": f"{url}/inference/v1/completions"},
        wire=ChatCompletions(usage="finish"),
        traits=frozenset({"fireworks", "functions", "n", "tokens", "reasoning field"}),
        place=lambda url: {"base_url": f"{url}/inference"},
        model="accounts/fireworks/models/gpt-oss-120b",
        seconds=lambda model: _seconds(model._sdk_client.timeout),
        recipes=_BY_KWARGS,
        sdk=lambda model: (model._sdk_client, model._async_sdk_client),
    ),
    Subject(
        id="perplexity",
        title="langchain-perplexity",
        distribution="langchain-perplexity",
        chat="langchain_perplexity:ChatPerplexity",
        retriever="langchain_perplexity:PerplexitySearchRetriever",
        wire=Sonar(),
        traits=frozenset({"sonar", "cites", "retrieves", "pdf"}),
        place=lambda url: {},
        environ=lambda url: {"PERPLEXITY_BASE_URL": url},
        model="sonar-pro",
        seconds=lambda model: _seconds(model.client.timeout),
        recipes={**_BY_KWARGS, "agent": lambda _: {"use_responses_api": True}},
        sdk=lambda model: (model.client, model.async_client),
    ),
)

SUBJECTS = (*OURS, *PEERS)


def _seconds(timeout: Any) -> Any:
    """Return the seconds of a vendor client's time limit; None for no limit."""
    return getattr(timeout, "read", timeout)
