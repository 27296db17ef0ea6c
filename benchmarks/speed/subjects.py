"""Who is measured, as a table: the limits, this project, the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module, metadata
from typing import Any, Literal

from speed import asking, bodies

__all__ = ["SUBJECTS", "Subject"]

_KEY = "sk-bench-5d20"
_SHARED = frozenset({"langchain", "llama-index"})
_LANGCHAIN, _LLAMA = frozenset({"langchain"}), frozenset({"llama-index"})
_CHAT, _SONAR = frozenset({"fireworks"}), frozenset({"fireworks", "perplexity"})


@dataclass(frozen=True)
class Subject:
    """One way to ask.

    Parameters:
        id: its name in the results.
        title: its name in tables.
        kind: a limit that is reached by doing less, this project, or another package.
        make: makes what `asking` describes, from the base URL of a stream.
        layers: the runs it takes part in.
        reads: the shapes of streams that it understands.
        distribution: the package that has to be installed.
        module: what is imported to have it.
        lacks: ways that it has not, or not like that, and why.
        silent: whether it asks no server.
    """

    id: str
    title: str
    kind: Literal["limit", "ours", "peer"]
    make: Callable[[str], Any]
    layers: frozenset[str]
    reads: frozenset[str] = _CHAT
    distribution: str | None = None
    module: str = ""
    lacks: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False

    @property
    def version(self) -> str | None:
        """The version that is installed; None if it is not."""
        try:
            return metadata.version(self.distribution or "httpx")
        except metadata.PackageNotFoundError:
            return None


def _count(url: str) -> int:
    return int(url.rpartition("/")[2].split("-")[1])


def _langchain_floor(url: str, *, ready: bool) -> asking.LangChain:
    floor = _found("speed.langchain_floor:Floor")(count=_count(url), ready=ready)
    return asking.LangChain(floor, events=True)


def _llama_floor(url: str, *, ready: bool, chat: bool = True) -> asking.Llama:
    floor = _found("speed.llama_floor:Floor")(count=_count(url), ready=ready)
    return asking.Llama(floor, chat=chat)


def _decode(url: str) -> asking.Decode:
    return asking.Decode(bodies.event_bytes(url.rpartition("/")[2]))


def _found(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def _core(name: str, url: str) -> asking.Core:
    return asking.Core(_found(name)(model="m-1", api_key=_KEY, base_url=url))


def _langchain(name: str, url: str, *, events: bool = False, **given: Any) -> asking.LangChain:
    return asking.LangChain(_found(name)(api_key=_KEY, base_url=url, **given), events=events)


def _llama(name: str, url: str, *, chat: bool = True, **given: Any) -> asking.Llama:
    return asking.Llama(_found(name)(api_key=_KEY, api_base=url, **given), chat=chat)


def _langchain_perplexity(url: str) -> asking.LangChain:
    os.environ["PERPLEXITY_BASE_URL"] = url  # no parameter leads it elsewhere
    found = _found("langchain_perplexity:ChatPerplexity")
    return asking.LangChain(found(api_key=_KEY, model="sonar"))


def _sdk(module: str, name: str, url: str) -> asking.Sdk:
    clients = (_found(f"{module}:{kind}{name}") for kind in ("", "Async"))
    return asking.Sdk(*(partial(client, api_key=_KEY, base_url=url) for client in clients))


_ours = partial(_langchain, model="m-1", events=True)
_limit = partial(Subject, kind="limit")
_own = partial(Subject, kind="ours", distribution="qaip-integrations")
_peer = partial(Subject, kind="peer")

SUBJECTS = (
    _limit(
        id="raw",
        title="raw: httpx and json",
        make=asking.Raw,
        module="httpx",
        layers=_SHARED,
        reads=frozenset({"fireworks", "perplexity", "dify", "qaip"}),
    ),
    _limit(
        id="decode",
        title="json.loads of the events alone",
        make=_decode,
        layers=_SHARED,
        reads=frozenset({"perplexity"}),
        silent=True,
    ),
    _limit(
        id="ready",
        title="LangChain's floor: chunks made before",
        make=partial(_langchain_floor, ready=True),
        module="langchain_core.language_models.chat_models",
        layers=_LANGCHAIN,
        distribution="langchain-core",
        silent=True,
    ),
    _limit(
        id="made",
        title="LangChain's floor: chunks made from texts",
        make=partial(_langchain_floor, ready=False),
        layers=_LANGCHAIN,
        distribution="langchain-core",
        silent=True,
    ),
    _limit(
        id="ready",
        title="LlamaIndex's floor: responses made before",
        make=partial(_llama_floor, ready=True),
        module="llama_index.core.llms",
        layers=_LLAMA,
        distribution="llama-index-core",
        silent=True,
    ),
    _limit(
        id="made",
        title="LlamaIndex's floor: responses made from texts",
        make=partial(_llama_floor, ready=False),
        layers=_LLAMA,
        distribution="llama-index-core",
        silent=True,
    ),
    _limit(
        id="ready-complete",
        title="the same, complete: made before",
        make=partial(_llama_floor, ready=True, chat=False),
        layers=_LLAMA,
        distribution="llama-index-core",
        silent=True,
    ),
    _limit(
        id="made-complete",
        title="the same, complete: made from texts",
        make=partial(_llama_floor, ready=False, chat=False),
        layers=_LLAMA,
        distribution="llama-index-core",
        silent=True,
    ),
    _own(
        id="core",
        title="ours: the core alone",
        make=partial(_core, "langchain_qaip:ChatFireworks"),
        module="qaip_core",
        layers=_LANGCHAIN,
    ),
    _own(
        id="core",
        title="ours: the core alone",
        make=partial(_core, "llama_index_qaip:Fireworks"),
        module="qaip_core",
        layers=_LLAMA,
    ),
    _own(
        id="ours",
        title="ours: ChatFireworks",
        make=partial(_ours, "langchain_qaip:ChatFireworks"),
        module="langchain_qaip.chat_models.fireworks",
        layers=_LANGCHAIN,
    ),
    _own(
        id="ours-text",
        title="ours: FireworksLLM",
        make=partial(_langchain, "langchain_qaip:FireworksLLM", model="m-1"),
        layers=_LANGCHAIN,
        reads=frozenset({"text"}),
    ),
    _own(
        id="ours-perplexity",
        title="ours: ChatPerplexity",
        make=partial(_ours, "langchain_qaip:ChatPerplexity", model="sonar"),
        module="langchain_qaip.chat_models.perplexity",
        layers=_LANGCHAIN,
        reads=_SONAR,
    ),
    _own(
        id="ours-dify",
        title="ours: ChatDify",
        make=partial(_langchain, "langchain_qaip:ChatDify"),
        layers=_LANGCHAIN,
        reads=frozenset({"dify"}),
    ),
    _own(
        id="ours-qaip",
        title="ours: ChatQaip",
        make=partial(_langchain, "langchain_qaip:ChatQaip"),
        layers=_LANGCHAIN,
        reads=frozenset({"qaip"}),
    ),
    _own(
        id="ours",
        title="ours: Fireworks, chat",
        make=partial(_llama, "llama_index_qaip:Fireworks", model="m-1"),
        module="llama_index_qaip",
        layers=_LLAMA,
    ),
    _own(
        id="ours-complete",
        title="ours: Fireworks, complete",
        make=partial(_llama, "llama_index_qaip:Fireworks", model="m-1", chat=False),
        layers=_LLAMA,
        reads=frozenset({"text"}),
    ),
    _own(
        id="ours-perplexity",
        title="ours: Perplexity",
        make=partial(_llama, "llama_index_qaip:Perplexity", model="sonar"),
        module="llama_index_qaip",
        layers=_LLAMA,
        reads=_SONAR,
    ),
    _own(
        id="ours-dify",
        title="ours: Dify",
        make=partial(_llama, "llama_index_qaip:Dify"),
        layers=_LLAMA,
        reads=frozenset({"dify"}),
    ),
    _own(
        id="ours-qaip",
        title="ours: Qaip",
        make=partial(_llama, "llama_index_qaip:Qaip"),
        layers=_LLAMA,
        reads=frozenset({"qaip"}),
    ),
    _peer(
        id="langchain-openai",
        title="langchain-openai",
        make=partial(_langchain, "langchain_openai:ChatOpenAI", model="m-1"),
        module="langchain_openai",
        layers=_LANGCHAIN,
        distribution="langchain-openai",
    ),
    _peer(
        id="langchain-fireworks",
        title="langchain-fireworks",
        make=partial(_langchain, "langchain_fireworks:ChatFireworks", model="m-1"),
        module="langchain_fireworks",
        layers=_LANGCHAIN,
        distribution="langchain-fireworks",
    ),
    _peer(
        id="langchain-perplexity",
        title="langchain-perplexity",
        make=_langchain_perplexity,
        module="langchain_perplexity",
        layers=_LANGCHAIN,
        reads=_SONAR,
        distribution="langchain-perplexity",
    ),
    _peer(
        id="llama-index-llms-perplexity",
        title="llama-index-llms-perplexity",
        make=partial(_llama, "llama_index.llms.perplexity:Perplexity", model="sonar"),
        module="llama_index.llms.perplexity",
        layers=_LLAMA,
        reads=_SONAR,
        distribution="llama-index-llms-perplexity",
    ),
    _peer(
        id="llama-index-llms-openai-like",
        title="llama-index-llms-openai-like",
        make=partial(
            _llama, "llama_index.llms.openai_like:OpenAILike", model="m-1", is_chat_model=True
        ),
        module="llama_index.llms.openai_like",
        layers=_LLAMA,
        distribution="llama-index-llms-openai-like",
    ),
    _peer(
        id="litellm",
        title="litellm",
        make=asking.LiteLLM,
        module="litellm",
        layers=_LLAMA,
        distribution="litellm",
    ),
    _peer(
        id="openai",
        title="openai, the vendor's SDK",
        make=partial(_sdk, "openai", "OpenAI"),
        module="openai",
        layers=_SHARED,
        distribution="openai",
    ),
    _peer(
        id="fireworks-ai",
        title="fireworks-ai, the vendor's SDK",
        make=partial(_sdk, "fireworks", "Fireworks"),
        module="fireworks",
        layers=_LANGCHAIN,
        distribution="fireworks-ai",
    ),
    _peer(
        id="perplexityai",
        title="perplexityai, the vendor's SDK",
        make=partial(_sdk, "perplexity", "Perplexity"),
        module="perplexity",
        layers=_LANGCHAIN,
        reads=_SONAR,
        distribution="perplexityai",
    ),
    _peer(
        id="dify-client",
        title="dify-client, the vendor's SDK",
        make=asking.Dify,
        module="dify_client",
        layers=_LLAMA,
        reads=frozenset({"dify"}),
        distribution="dify-client",
        lacks={"astream": "sync only", "acall": "sync only", "abatch": "sync only"},
    ),
)
