"""The ten model classes, how each is reached, and ways to ask them."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel

import langchain_qaip as ours
from qaip_sandbox import Sandbox
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
    "of_case",
    "text_of",
]

KEY = "sk-hushhush-9b1f"
QUESTION = "Within how many days can a lamp be returned?"


@dataclass(frozen=True)
class Kind:
    """A model class, and all that tests need to know to reach its service.

    `whole` and `stream` name wire fixtures with the same answer.
    """

    cls: type[Any]
    service: str
    operation: str
    key_env: str
    url_env: str
    whole: str
    stream: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chat(self) -> bool:
        return issubclass(self.cls, BaseChatModel)

    @property
    def id(self) -> str:
        return self.cls.__name__

    def at(self, url: str, **given: Any) -> Any:
        """Return a model for a server on loopback; it sends each request once."""
        fields = {"max_retries": 0, "timeout": 5, "stream_idle_timeout": 5, **self.params}
        return self.cls(**{"api_key": KEY, "base_url": url, **fields, **given})

    def over(self, sandbox: Sandbox, **given: Any) -> Any:
        """Return a model for the sandbox."""
        return self.at(sandbox.env[self.url_env], api_key=sandbox.env[self.key_env], **given)

    def reply(self, *, stream: bool) -> Reply:
        """Return the answer that its service gives to a whole or a streamed request."""
        whole = BY_ID[f"{self.service}/{self.whole}"]
        return BY_ID[f"{self.service}/{self.stream}"].reply(sizes=64) if stream else whole.reply()

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


def _kind(cls: type[Any], service: str, operation: str, whole: str, stream: str) -> Kind:
    params = NEEDED.get((service, operation), {})
    return Kind(cls, service, operation, *_ACCESS[service], whole, stream, params)


_QAIP = ("qaip", "completions", "whole_later", "stream_citations_every_line")
_PERPLEXITY = ("perplexity", "chat", "whole_2026_06", "stream_2026_06_pings")
_DIFY = ("dify", "completion-messages", "stream_1_16", "stream_1_16")
CHATS = [
    _kind(ours.ChatQaip, *_QAIP),
    _kind(ours.ChatFireworks, "fireworks", "chat", "chat_whole", "chat_stream_usage_trailing"),
    _kind(ours.ChatPAIS, "pais", "chat", "chat_whole", "chat_stream_engine"),
    _kind(ours.ChatPerplexity, *_PERPLEXITY),
    _kind(ours.ChatDify, *_DIFY),
]
TEXTS = [
    _kind(ours.QaipLLM, *_QAIP),
    _kind(ours.FireworksLLM, "fireworks", "completions", "text_whole", "text_stream"),
    _kind(ours.PAISLLM, "pais", "completions", "whole_vllm", "stream_include_usage"),
    _kind(ours.PerplexityLLM, *_PERPLEXITY),
    _kind(ours.DifyLLM, *_DIFY),
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


def of_case(case: WireCase, *, chat: bool) -> Kind | None:
    """Return the class that speaks the operation of a fixture."""
    fits = (k for k in MODELS if (k.service, k.operation) == (case.service, case.operation))
    return next((kind for kind in fits if kind.chat is chat), None)


def text_of(answer: Any) -> str:
    """Return the text of a chat model's or a text LLM's answer."""
    return answer if isinstance(answer, str) else str(answer.text)


def merged(chunks: Iterable[Any]) -> Any:
    """Add up chunks as LangChain does."""
    return reduce(operator.add, chunks)
