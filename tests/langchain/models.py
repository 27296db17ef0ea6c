"""The model classes, how each is reached, and ways to ask them."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel

import langchain_qaip as ours
from qaip_sandbox import Sandbox
from qaip_sandbox.protocols.pais.bases import Base
from support.backends import NEEDED
from support.fault_server import Reply
from support.wire import WireCase, cases

__all__ = [
    "BY_ID",
    "CASES",
    "CHATS",
    "CITING",
    "KEY",
    "MODELS",
    "QUESTION",
    "SILENT",
    "TEXTS",
    "Kind",
    "every",
    "merged",
    "named",
    "of_case",
    "text_asked",
    "text_of",
    "turns_of",
]

KEY = "sk-hushhush-9b1f"
QUESTION = "Within how many days can a lamp be returned?"


@dataclass(frozen=True)
class Kind:
    """A model class, and all that tests need to know to reach its service.

    `whole` and `stream` name wire fixtures with the same answer; `params` are what a call needs,
    `sandboxed` what it needs over the sandbox, to answer from its documents.
    """

    cls: type[Any]
    service: str
    operation: str
    key_env: str
    url_env: str
    whole: str
    stream: str
    params: Mapping[str, Any] = field(default_factory=dict)
    sandboxed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The service, and which of its ways to answer where there are several."""
        return "-".join(filter(None, (self.service, self.cls.endpoint.kind)))

    @property
    def model(self) -> str:
        """The name of the model where an answer has none."""
        return str(self.params.get("model", self.service))

    @property
    def sandboxed_model(self) -> str:
        """The name of the model that answers in the sandbox."""
        return "sandbox-extractive" if "agent_id" in self.params else self.model

    @property
    def chat(self) -> bool:
        return issubclass(self.cls, BaseChatModel)

    @property
    def id(self) -> str:
        return self.cls.__name__

    def wire_name(self, name: str) -> str:
        """Return what a parameter is called in a request."""
        return self.cls.endpoint.params.model_fields[name].serialization_alias or name

    def at(self, url: str, **given: Any) -> Any:
        """Return a model for a server on loopback; it sends each request once."""
        fields = {"max_retries": 0, "timeout": 5, "stream_idle_timeout": 5, **self.params}
        return self.cls(**{"api_key": KEY, "base_url": url, **fields, **given})

    def over(self, sandbox: Sandbox, **given: Any) -> Any:
        """Return a model for the sandbox."""
        reached = {"api_key": sandbox.env[self.key_env], **self.sandboxed}
        return self.at(sandbox.env[self.url_env], **{**reached, **given})

    def reply(self, *, stream: bool) -> Reply:
        """Return the answer that its service gives to a whole or a streamed request."""
        whole = BY_ID[f"{self.service}/{self.whole}"]
        return BY_ID[f"{self.service}/{self.stream}"].reply(sizes=64) if stream else whole.reply()

    @property
    def turns(self) -> bool:
        """Whether its service takes turns, not one text."""
        return self.service != "dify"

    @property
    def marks(self) -> bool:
        """Whether its service says which markers in a text name which source."""
        endpoint = self.cls.endpoint
        return bool(endpoint.cites and endpoint.markers)

    @property
    def streams_whole(self) -> bool:
        """Whether a whole answer is asked for as a stream."""
        return self.service == "dify"


_ACCESS = {
    "qaip": ("QAIP_API_KEY", "QAIP_BASE_URL"),
    "fireworks": ("FIREWORKS_API_KEY", "FIREWORKS_API_BASE"),
    "pais": ("PAIS_API_KEY", "PAIS_BASE_URL"),
    "perplexity": ("PERPLEXITY_API_KEY", "PERPLEXITY_BASE_URL"),
    "dify": ("DIFY_API_KEY", "DIFY_BASE_URL"),
}


_AGENT = {"agent_id": Base("", ()).agent_id}
_SANDBOXED: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("perplexity", "agent"): {"web_search": True},
    ("pais", "agent-chat"): {**_AGENT, "stream_options": {"include_usage": True}},
    ("pais", "agent-completions"): {**_AGENT, "stream_options": {"include_usage": True}},
}


def _kind(cls: type[Any], service: str, operation: str, whole: str, stream: str) -> Kind:
    done = (service, operation)
    given = NEEDED.get(done, {}), _SANDBOXED.get(done, {})
    return Kind(cls, *done, *_ACCESS[service], whole, stream, *given)


_QAIP = ("qaip", "completions", "whole_later", "stream_citations_every_line")
_PERPLEXITY = ("perplexity", "chat", "whole_2026_06", "stream_2026_06_pings")
_DIFY = ("dify", "completion-messages", "stream_1_16", "stream_1_16")
CHATS = [
    _kind(ours.ChatQaip, *_QAIP),
    _kind(ours.ChatFireworks, "fireworks", "chat", "chat_whole", "chat_stream_usage_trailing"),
    _kind(ours.ChatPAIS, "pais", "chat", "chat_whole", "chat_stream_engine"),
    _kind(ours.ChatPerplexity, *_PERPLEXITY),
    _kind(ours.ChatDify, *_DIFY),
    _kind(ours.ChatPerplexityAgent, "perplexity", "agent", "agent_whole", "agent_stream"),
    _kind(ours.ChatPAISAgent, "pais", "agent-chat", "agent_chat_whole", "agent_chat_stream_usage"),
    _kind(
        ours.ChatDifyConversation, "dify", "chat-messages", "chat_stream_flow", "chat_stream_flow"
    ),
]
TEXTS = [
    _kind(ours.QaipLLM, *_QAIP),
    _kind(ours.FireworksLLM, "fireworks", "completions", "text_whole", "text_stream"),
    _kind(ours.PAISLLM, "pais", "completions", "whole_vllm", "stream_include_usage"),
    _kind(ours.PerplexityLLM, *_PERPLEXITY),
    _kind(ours.DifyLLM, *_DIFY),
    _kind(
        ours.PAISAgentLLM,
        "pais",
        "agent-completions",
        "agent_text_whole",
        "agent_text_stream_usage",
    ),
]
MODELS = [*CHATS, *TEXTS]
CITING = [kind for kind in CHATS if kind.cls.endpoint.cites]
SILENT = [kind for kind in CHATS if kind not in CITING]

_SPOKEN = {(kind.service, kind.operation) for kind in MODELS}
CASES = [case for case in cases() if (case.service, case.operation) in _SPOKEN]
BY_ID = {case.id: case for case in CASES}


def every(kinds: Iterable[Kind]) -> pytest.MarkDecorator:
    """Run a test for each of the classes."""
    return pytest.mark.parametrize("kind", list(kinds), ids=lambda kind: kind.id)


def named(name: str, kinds: Iterable[Kind] = CHATS) -> Kind:
    """Return a class by the service, and which of its ways to answer, such as "pais-agent"."""
    return next(kind for kind in kinds if kind.name == name)


def of_case(case: WireCase, *, chat: bool) -> Kind | None:
    """Return the class that speaks the operation of a fixture."""
    fits = (k for k in MODELS if (k.service, k.operation) == (case.service, case.operation))
    return next((kind for kind in fits if kind.chat is chat), None)


def turns_of(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the turns of a request: who speaks, and what."""
    turns = body.get("messages") or body.get("input") or []
    return [(turn["role"], turn["content"]) for turn in turns if "role" in turn]


def text_asked(body: Mapping[str, Any]) -> Any:
    """Return the text that a request asks: the first turn's, or the one text of an app."""
    turns = turns_of(body)
    return turns[0][1] if turns else body.get("query") or body["inputs"]["query"]


def text_of(answer: Any) -> str:
    """Return the text of a chat model's or a text LLM's answer."""
    return answer if isinstance(answer, str) else str(answer.text)


def merged(chunks: Iterable[Any]) -> Any:
    """Add up chunks as LangChain does."""
    return reduce(operator.add, chunks)
