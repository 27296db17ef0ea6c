"""Rows about the objects: caches, copies, traces, counts, discovery."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from langchain_core._api import LangChainBetaWarning
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import HumanMessage

from support.fault_server import FaultServer
from support.peers.check import Check, Group, NotMeasuredError, Part
from support.peers.langchain.tools import tide
from support.peers.replies import saying
from support.peers.subject import KEY, Subject

__all__ = ["GROUP"]


def _cache_tells(name: str, one: Any, other: Any) -> Part:
    """Two models that differ in one parameter never share an answer."""

    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(subject.wire.whole(saying("one")), subject.wire.whole(saying("other")))
        cache = InMemoryCache()
        first = subject.chat_model(server, cache=cache, **{name: one})
        second = subject.chat_model(server, cache=cache, **{name: other})
        assert (first.invoke("q").text, second.invoke("q").text) == ("one", "other")

    return part


def _cache_hits(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    model = subject.chat_model(server, cache=InMemoryCache())
    assert model.invoke("q").text == model.invoke("q").text
    assert len(server.requests) == 1


def _round_trip(subject: Subject, server: FaultServer) -> None:
    model = subject.chat_model(server, temperature=0.4)
    assert KEY not in dumps(model)
    dumped = dumpd(model)
    assert dumped["type"] == "constructor", dumped["type"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangChainBetaWarning)
        again = load(
            dumped,
            allowed_objects=[type(model)],
            valid_namespaces=[type(model).__module__.partition(".")[0]],
            secrets_map=dict.fromkeys(model.lc_secrets.values(), KEY),
        )
    assert again.temperature == 0.4
    server.replies(subject.wire.whole())
    again.invoke("q")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def _pickled(subject: Subject, server: FaultServer) -> None:
    data = pickle.dumps(subject.chat_model(server))
    assert KEY.encode() not in data, "the key is in the pickle"


def _hidden(look: Callable[[Any], str]) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        assert KEY not in look(subject.chat_model(server))

    return part


class _Started(BaseCallbackHandler):
    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}

    def on_chat_model_start(self, *args: Any, metadata: Any = None, **kwargs: Any) -> None:
        self.metadata = metadata or {}


def _traced(name: str, expected: Any) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(subject.wire.whole())
        started = _Started()
        model = subject.chat_model(server, max_tokens=50)
        model.invoke("q", {"callbacks": [started]}, temperature=0.4, stop=["z"])
        found = started.metadata.get(name)
        assert found == expected, found

    return part


def _version(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    started = _Started()
    subject.chat_model(server).invoke("q", {"callbacks": [started]})
    versions = started.metadata.get("lc_versions") or {}
    assert set(versions) - {"langchain-core"}, versions


def _profiled(name: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        profile = subject.chat_model(server, model=subject.model).profile
        assert profile, "no profile"
        assert name in profile, sorted(profile)

    return part


def _count(count: Callable[[Any], int]) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        try:
            found = count(subject.chat_model(server, model=subject.model))
        except OSError as error:  # tiktoken fetches its vocabulary
            raise NotMeasuredError("its vocabulary could not be downloaded") from error
        assert found > 0

    return part


def _counts_tools(model: Any) -> int:
    messages = [HumanMessage("What is the tide in Bergen?")]
    plain = model.get_num_tokens_from_messages(messages)
    return int(model.get_num_tokens_from_messages(messages, tools=[tide]) - plain)


def _by_name(subject: Subject, server: FaultServer) -> None:
    try:
        from langchain.chat_models import base, init_chat_model
    except ImportError as error:
        raise NotMeasuredError("langchain is not installed") from error
    provider = subject.id
    with patch.object(base, "_BUILTIN_PROVIDERS", dict(base._BUILTIN_PROVIDERS)):
        if subject.ours:
            import langchain_qaip

            langchain_qaip.register_providers()  # type: ignore[attr-defined]
            provider = f"qaip-{subject.id.removeprefix('ours-')}"
        model = init_chat_model(f"{provider}:echo-model", api_key=KEY)
    assert type(model).__name__ == subject.chat.partition(":")[2]


_PERPLEXITY = frozenset({"perplexity"})

GROUP = Group(
    "Objects",
    (
        Check("cache_hits", "A cache answers the same question", {"": _cache_hits}),
        Check(
            "cache_tells",
            "... and tells models apart",
            {
                "model": _cache_tells("model", "one", "two"),
                "temperature": _cache_tells("temperature", 0.1, 0.9),
            },
            defect_of=_PERPLEXITY,
            note="Two objects that differ in one parameter share a cache.",
        ),
        Check(
            "serializable",
            "LangChain's `dumpd` and `load`, without the key",
            {"": _round_trip},
            defect_of=_PERPLEXITY,
        ),
        Check("pickle", "Pickles, without the key", {"": _pickled}),
        Check(
            "hidden",
            "The key is in no repr or dump",
            {"repr": _hidden(repr), "dump": _hidden(lambda m: str(m.model_dump()))},
        ),
        Check(
            "traced",
            "Traces name the call's parameters",
            {
                "model": _traced("ls_model_name", "echo-model"),
                "temperature": _traced("ls_temperature", 0.4),
                "max_tokens": _traced("ls_max_tokens", 50),
                "stop": _traced("ls_stop", ["z"]),
            },
        ),
        Check("version", "Traces name the package's version", {"": _version}),
        Check(
            "profile",
            "A model profile",
            {
                "abilities": _profiled("tool_calling"),
                "context size": _profiled("max_input_tokens"),
            },
        ),
        Check(
            "tokens",
            "Token counts without further packages",
            {
                "text": _count(lambda model: model.get_num_tokens("How tall is the tower?")),
                "messages": _count(
                    lambda model: model.get_num_tokens_from_messages([HumanMessage("q")])
                ),
                "tools": _count(_counts_tools),
                "ids": _count(lambda model: len(model.get_token_ids("How tall is it?"))),
            },
            defect_of=frozenset({"perplexity", "fireworks"}),
            note="Estimates count; so do tokenizers that come with the package.",
        ),
        Check(
            "init_chat_model",
            "`init_chat_model` knows it",
            {"": _by_name},
            note="Ours after `register_providers()`.",
        ),
    ),
)
