"""The classes for LlamaIndex that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.peers.replies import ChatCompletions, Sonar
from support.peers.subject import Recipe, Subject

__all__ = ["OURS", "PEERS"]

_OURS: Mapping[str, Recipe] = {
    "idle": lambda seconds: {"stream_idle_timeout": seconds},
    "extra_body": lambda body: {"extra_body": body},
    "headers": lambda headers: {"default_headers": headers},
    "clients": lambda lane: {("http_client", "http_async_client")[lane[0] == "async"]: lane[1]},
}
_BY_SDK: Mapping[str, Recipe] = {
    "extra_body": lambda body: {"additional_kwargs": {"extra_body": body}},
    "further": lambda fields: {"additional_kwargs": fields},
    "headers": lambda headers: {"default_headers": headers},
}
_OPENAI: Mapping[str, Recipe] = {
    **_BY_SDK,
    "clients": lambda lane: {("http_client", "async_http_client")[lane[0] == "async"]: lane[1]},
}
_PERPLEXITY: Mapping[str, Recipe] = {
    "extra_body": lambda body: {"additional_kwargs": body},
    "further": lambda fields: {"additional_kwargs": fields},
    "headers": lambda headers: {"headers": headers},
    "retries": lambda times: {"max_retries": times + 1},  # it counts attempts
}
_FIREWORKS_MODEL = "accounts/fireworks/models/gpt-oss-120b"
_SONAR = frozenset({"sonar", "cites", "pdf", "video"})
_FIREWORKS = frozenset({"fireworks", "functions", "n", "tokens", "video", "text endpoint"})


def _both_limits(model: Any) -> Any:
    return model.timeout and model.stream_idle_timeout


def _timeout(model: Any) -> Any:
    return model.timeout


OURS = (
    Subject(
        id="ours-fireworks",
        title="ours: Fireworks",
        distribution="qaip-integrations",
        chat="llama_index_qaip:Fireworks",
        text="llama_index_qaip:Fireworks",
        wire=ChatCompletions(usage="finish"),
        traits=_FIREWORKS,
        place=lambda url: {"api_base": f"{url}/inference/v1"},
        model=_FIREWORKS_MODEL,
        seconds=_both_limits,
        recipes=_OURS,
        ours=True,
    ),
    Subject(
        id="ours-perplexity",
        title="ours: Perplexity",
        distribution="qaip-integrations",
        chat="llama_index_qaip:Perplexity",
        text_wire=Sonar(),
        wire=Sonar(),
        traits=_SONAR,
        place=lambda url: {"api_base": url},
        model="sonar-pro",
        seconds=_both_limits,
        recipes=_OURS,
        ours=True,
    ),
)

PEERS = (
    Subject(
        id="openai",
        title="llama-index-llms-openai",
        distribution="llama-index-llms-openai",
        chat="llama_index.llms.openai:OpenAI",
        text="llama_index.llms.openai:OpenAI",
        wire=ChatCompletions(usage="nowhere"),
        text_wire=ChatCompletions(usage="nowhere"),
        traits=frozenset(
            {"openai", "functions", "n", "tokens", "cites", "pdf", "audio", "text endpoint"}
        ),
        place=lambda url: {"api_base": f"{url}/v1"},
        text_place=lambda url: {"api_base": f"{url}/v1", "max_tokens": 50},
        model="gpt-4o",
        default="gpt-4o",
        text_default="gpt-3.5-turbo-instruct",
        seconds=_timeout,
        recipes=_OPENAI,
    ),
    Subject(
        id="fireworks",
        title="llama-index-llms-fireworks",
        distribution="llama-index-llms-fireworks",
        chat="llama_index.llms.fireworks:Fireworks",
        text="llama_index.llms.fireworks:Fireworks",
        wire=ChatCompletions(usage="finish"),
        text_wire=ChatCompletions(usage="finish"),
        traits=_FIREWORKS | {"schema as tool"},
        place=lambda url: {"api_base": f"{url}/inference/v1"},
        model=_FIREWORKS_MODEL,
        default=_FIREWORKS_MODEL,
        text_default=_FIREWORKS_MODEL,
        seconds=_timeout,
        recipes=_BY_SDK,
    ),
    Subject(
        id="perplexity",
        title="llama-index-llms-perplexity",
        distribution="llama-index-llms-perplexity",
        chat="llama_index.llms.perplexity:Perplexity",
        wire=Sonar(),
        text_wire=Sonar(),
        traits=_SONAR,
        place=lambda url: {"api_base": url},
        model="sonar-pro",
        seconds=_timeout,
        recipes=_PERPLEXITY,
    ),
)
