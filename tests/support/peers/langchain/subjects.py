"""The classes for LangChain that are compared."""

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


def _seconds(timeout: Any) -> Any:
    """Return the seconds of a vendor client's time limit; None for no limit."""
    return getattr(timeout, "read", timeout)
