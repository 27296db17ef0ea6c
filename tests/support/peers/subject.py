"""A package that is compared, and how it reaches a server on loopback."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from support.fault_server import FaultServer, Reply, json_reply
from support.peers.replies import SOURCES, Answer, Completions

__all__ = ["KEY", "PREFIXES", "UNSET", "Recipe", "Subject", "environment"]

KEY = "sk-compare-5d20"
# Environment variables that begin so would lead the models elsewhere.
PREFIXES = ("OPENAI_", "PPLX_", "PERPLEXITY_", "FIREWORKS_", "LANGSMITH_", "LANGCHAIN_")
UNSET: Any = object()

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
        default: the model that is asked where a row names none.
        text_default: the same for the text LLM.
        recipes: how the class takes what not all take under one name: "idle" (seconds of
            silence in a stream), "extra_body", "headers", "agent" (Perplexity's other API),
            "clients" (the caller's own, by lane), "retries" (repetitions of a request),
            "base" (an address with its path).
        seconds: the default time limit, read off a model.
        sdk: the vendor's own clients under a model, (sync, async), where there are any.
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
    default: str = "echo-model"
    text_default: str = "echo-model"
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
        try:
            return find_spec(self.chat.partition(":")[0]) is not None
        except ModuleNotFoundError:  # of a namespace that nobody has filled
            return False

    def load(self) -> None:
        """Import the package, which takes seconds that no check shall count."""
        importlib.import_module(self.chat.partition(":")[0])

    @property
    def version(self) -> str:
        return metadata.version(self.distribution)

    def by(self, recipe: str, value: Any) -> dict[str, Any]:
        """Return the parameters by which the class takes something; none if it has no way."""
        return self.recipes[recipe](value) if recipe in self.recipes else {}

    def retrying(self, times: int) -> dict[str, Any]:
        """Return the parameters by which a failed request is repeated so often."""
        return self.by("retries", times) or {"max_retries": times}

    def takes(self, name: str) -> bool:
        """Whether the chat model's constructor takes a parameter."""
        return _takes(_found(self.chat), name)

    def chat_model(self, server: FaultServer | None = None, **given: Any) -> Any:
        """Return a chat model that asks each question once."""
        return self._made(self.chat, self.place, server, {"model": self.default, **given})

    def text_model(self, server: FaultServer, **given: Any) -> Any:
        """Return a text LLM."""
        assert self.text, f"{self.distribution} has no text LLM"
        place = self.text_place or self.place
        return self._made(self.text, place, server, {"model": self.text_default, **given})

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
        with environment(self.environ(url)):
            return cls(**{k: v for k, v in params.items() if v is not UNSET})


def _found(name: str) -> Any:
    module, _, cls = name.partition(":")
    return getattr(importlib.import_module(module), cls)


@cache
def _takes(cls: Any, name: str) -> bool:
    """Whether a class has a field, and a constructor that lets it through."""
    fields = cls.model_fields
    known = name in fields or any(name == f.alias for f in fields.values())
    parameters = inspect.signature(cls.__init__).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return known and (open_ended or name in parameters)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
