"""Rows about what is sent; those about messages are in `messages`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from llama_index.core.prompts import PromptTemplate

from support.fault_server import FaultServer
from support.peers.asking import error_of
from support.peers.check import Check, Group, Part
from support.peers.llama_index import messages
from support.peers.llama_index.asking import CHAT, COMPLETE, STREAM, Way, asked, over, said
from support.peers.replies import Answer, Completions
from support.peers.subject import UNSET, Subject, environment

__all__ = ["GROUP"]

_STOP = "was lit"
_FIREWORKS_PARAMS: dict[str, Any] = {
    "top_k": 40,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "thinking": {"type": "disabled"},
    "prompt_cache_key": "team",
    "perf_metrics_in_response": True,
    "mirostat_target": 5.0,
}
_SONAR_PARAMS: dict[str, Any] = {
    "search_domain_filter": ["a.example"],
    "search_mode": "academic",
    "search_after_date_filter": "01/15/2026",
    "web_search_options": {"search_context_size": "high"},
    "disable_search": True,
    "reasoning_effort": "low",
}


def _by_name(values: dict[str, Any]) -> dict[str, Part]:
    """The parts of a row: a parameter of the constructor is sent under its name."""

    def sends(name: str, value: Any) -> Part:
        def part(subject: Subject, server: FaultServer) -> None:
            assert asked(subject, server, **{name: value}).get(name) == value, "it is not sent"

        return part

    return {name: sends(name, value) for name, value in values.items()}


def _by_extra(values: dict[str, Any]) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        body = asked(subject, server, **subject.by("extra_body", values))
        assert {name: body.get(name) for name in values} == values

    return part


def _extra(subject: Subject, server: FaultServer) -> None:
    _by_extra({"brand_new": 3})(subject, server)


_NEEDED = {"model", "messages", "prompt", "stream", "stream_options"}


def _nothing_unset(subject: Subject, server: FaultServer, way: Way) -> None:
    said(subject, server, way)
    body = server.requests[0].json()
    more = {key: value for key, value in body.items() if key not in _NEEDED or value is None}
    assert not more, f"sent without being set: {more}"


def _per_call(name: str, value: Any) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(CHAT.served(subject))
        CHAT.ask(subject.chat_model(server), **{name: value})
        assert server.requests[0].json().get(name) == value

    return part


def _default_model(subject: Subject, server: FaultServer) -> None:
    assert asked(subject, server, model=UNSET)["model"]


def _additional(subject: Subject, server: FaultServer) -> None:
    body = asked(subject, server, additional_kwargs={"top_p": 0.5})
    assert body.get("top_p") == 0.5


def _stopped(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.served(subject))
    text = way.text(subject.chat_model(server), stop=[_STOP])
    body = server.requests[0].json()
    if "sonar" in subject.traits:
        assert "stop" not in body, "it was sent, which the service refuses"
        assert text == "The lamp ", text
    else:
        assert body.get("stop") == [_STOP], body.get("stop")


def _misspelt(subject: Subject, server: FaultServer) -> None:
    assert "temperatur" in str(error_of(lambda: subject.chat_model(server, temperatur=0.4)))


def _misspelt_in_call(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))
    model = subject.chat_model(server)
    assert "temperatur" in str(error_of(lambda: CHAT.ask(model, temperatur=0.4)))


def _out_of_range(subject: Subject, server: FaultServer) -> None:
    error_of(lambda: subject.chat_model(server, temperature=7))


def _no_key(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))
    error = error_of(lambda: CHAT.ask(subject.chat_model(server, api_key=UNSET)))
    assert not server.requests, f"it sent {server.requests[0].headers.get('authorization')!r}"
    assert "API_KEY" in str(error), error


_ADDRESSES = {
    "openai": "OPENAI_API_BASE",
    "fireworks": "FIREWORKS_API_BASE",
    "sonar": "PERPLEXITY_BASE_URL",
}


def _address(subject: Subject, server: FaultServer) -> None:
    (name,) = [name for trait, name in _ADDRESSES.items() if trait in subject.traits]
    path = "/gateway" if "sonar" in subject.traits else "/gateway/v1"
    server.replies(CHAT.served(subject))
    with environment({name: f"{server.url}{path}"}):
        model = subject.chat_model(None, api_base=UNSET)
        # Looked at first, for else it would send its key to the service itself.
        assert subject.ours or model.api_base.startswith(server.url), model.api_base
        CHAT.ask(model)
    assert server.requests[0].path == f"{path}/chat/completions", server.requests[0].path


def _text_endpoint(subject: Subject, server: FaultServer) -> None:
    server.replies(Completions().whole())
    text = ""
    with suppress(AttributeError):  # it expects the answer of another call
        text = COMPLETE.text(subject.text_model(server))
    request = server.requests[0]
    assert request.path.endswith("/v1/completions"), request.path
    assert isinstance(request.json().get("prompt"), str)
    assert text == Answer().text


def _system_prompt(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))
    subject.chat_model(server, system_prompt="Be brief.").predict(PromptTemplate("Who?"))
    turns = server.requests[0].json()["messages"]
    assert [turn["content"] for turn in turns] == ["Be brief.", "Who?"], turns


_OURS = frozenset({"ours-fireworks", "ours-perplexity"})
_SONAR = frozenset({"sonar"})
_PERPLEXITY = frozenset({"perplexity"})
_FIREWORKS = frozenset({"fireworks"})
_NOT_OURS = frozenset({"openai", "fireworks", "perplexity"})

GROUP = Group(
    "Requests",
    (
        Check(
            "nothing_unset",
            "Nothing is sent that was not set",
            over(_nothing_unset, CHAT, STREAM),
            defect_of=_NOT_OURS,
            note="Nothing but model, messages and the switches of streaming; no nulls.",
        ),
        Check(
            "per_call",
            "Parameters per call",
            {
                "temperature": _per_call("temperature", 0.4),
                "max_tokens": _per_call("max_tokens", 9),
            },
            defect_of=_FIREWORKS,
        ),
        Check(
            "stop",
            "`stop` per call",
            over(_stopped, CHAT, STREAM, COMPLETE),
            defect_of=_PERPLEXITY,
            note="Perplexity refuses stop sequences: the text must then be cut on this side.",
        ),
        Check(
            "sonar_params",
            "Perplexity's parameters by name",
            _by_name(_SONAR_PARAMS),
            needs=_SONAR,
            otherwise={"by `additional_kwargs`": _by_extra(_SONAR_PARAMS)},
        ),
        Check(
            "fireworks_params",
            "Fireworks' parameters by name",
            _by_name(_FIREWORKS_PARAMS),
            needs=_FIREWORKS,
            otherwise={"by `extra_body` in `additional_kwargs`": _by_extra(_FIREWORKS_PARAMS)},
            defect_of=_FIREWORKS,
        ),
        Check("extra_body", "A parameter that is newer than the class", {"": _extra}),
        Check(
            "misspelt",
            "A misspelt parameter is refused",
            {"object": _misspelt, "call": _misspelt_in_call},
            defect_of=_PERPLEXITY,
        ),
        Check(
            "out_of_range", "A temperature of 7 is refused before it is sent", {"": _out_of_range}
        ),
        Check(
            "no_key",
            "Without a key nothing is sent, and the error names the variable to set",
            {"": _no_key},
            defect_of=_PERPLEXITY,
        ),
        Check(
            "address",
            "The address from the environment",
            {"": _address},
            defect_of=frozenset({"fireworks", "perplexity"}),
            note="`FIREWORKS_API_BASE`, `PERPLEXITY_BASE_URL`, `OPENAI_API_BASE`.",
        ),
        Check(
            "text_endpoint",
            "`complete()` can use the service's text completions",
            {"": _text_endpoint},
            needs=frozenset({"text endpoint"}),
            defect_of=_FIREWORKS,
        ),
        Check(
            "additional_kwargs",
            "`additional_kwargs`, as LlamaIndex's own classes have it",
            {"": _additional},
        ),
        Check(
            "default_model",
            "Works without naming a model",
            {"": _default_model},
            lacking=_OURS,
        ),
        Check("system_prompt", "`predict()` sends the system prompt once", {"": _system_prompt}),
        *messages.CHECKS,
    ),
)
