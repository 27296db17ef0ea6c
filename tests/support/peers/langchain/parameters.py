"""Rows about what is sent: parameters, messages, media."""

from __future__ import annotations

from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from support.fault_server import FaultServer
from support.peers.asking import error_of
from support.peers.check import Check, Group, Part
from support.peers.langchain.asking import WAYS, Way, answered, over
from support.peers.replies import Answer
from support.peers.subject import UNSET, Subject

__all__ = ["GROUP"]

_STOP = "was lit"
_PNG = "iVBORw0KGgo="
_PDF = "JVBERi0xLjQK"


def _stopped(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire))
    _stops(subject, server, way.ask(subject.chat_model(server), stop=[_STOP]))


def _stopped_at_init(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire))
    _stops(subject, server, way.ask(subject.chat_model(server, stop=[_STOP])))


def _stops(subject: Subject, server: FaultServer, message: Any) -> None:
    body = server.requests[0].json()
    if "sonar" in subject.traits:
        assert "stop" not in body, "it was sent, which the service refuses"
        assert message.text == "The lamp ", message.text
    else:
        assert body.get("stop") in ([_STOP], _STOP), body.get("stop")


_ASKED = {"model", "messages", "stream", "stream_options"}


def _nothing_unset(subject: Subject, server: FaultServer, way: Way) -> None:
    body = answered(subject.chat_model(server), way.reply(subject.wire), server, way)
    more = {key: value for key, value in body.items() if key not in _ASKED or value is None}
    assert not more, f"sent without being set: {more}"


def _sends(name: str, value: Any, wire: Any = None) -> Part:
    """A parameter of the constructor reaches the service under its name."""

    def part(subject: Subject, server: FaultServer) -> None:
        body = answered(subject.chat_model(server, **{name: value}), subject.wire.whole(), server)
        assert body.get(name) == (value if wire is None else wire), body.get(name)

    return part


def _table(values: dict[str, Any]) -> dict[str, Part]:
    return {name: _sends(name, value) for name, value in values.items()}


_SONAR_PARAMS = {
    "search_domain_filter": ["a.example"],
    "search_mode": "academic",
    "search_after_date_filter": "01/15/2026",
    "search_before_date_filter": "02/15/2026",
    "last_updated_after_filter": "01/15/2026",
    "last_updated_before_filter": "02/15/2026",
    "web_search_options": {"search_context_size": "high"},
    "search_language_filter": ["no"],
    "image_domain_filter": ["a.example"],
    "disable_search": True,
    "language_preference": "no",
    "stream_mode": "concise",
    "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
}
_FIREWORKS_PARAMS = {
    "temperature": 0.4,
    "top_p": 0.5,
    "top_k": 40,
    "min_p": 0.1,
    "seed": 7,
    "repetition_penalty": 1.1,
    "reasoning_effort": "low",
    "thinking": {"type": "disabled"},
    "prompt_cache_key": "team",
    "perf_metrics_in_response": True,
    "service_tier": "priority",
    "logit_bias": {"17": -100},
    "mirostat_target": 5.0,
}


def _extra_body(subject: Subject, server: FaultServer) -> None:
    model = subject.chat_model(server, **subject.by("extra_body", {"brand_new": 3}))
    body = answered(model, subject.wire.whole(), server)
    assert body.get("brand_new") == 3, "the parameter was not sent"


def _misspelt(subject: Subject, server: FaultServer) -> None:
    error = error_of(lambda: subject.chat_model(server, temperatur=0.4))
    assert "temperatur" in str(error)


def _out_of_range(subject: Subject, server: FaultServer) -> None:
    error_of(lambda: subject.chat_model(server, temperature=7))


def _per_call(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    subject.chat_model(server).invoke("q", model="other-model", temperature=0.4)
    body = server.requests[0].json()
    assert (body["model"], body["temperature"]) == ("other-model", 0.4)


def _no_key(subject: Subject, server: FaultServer) -> None:
    """Without a key the object is refused, with the name of the environment variable."""
    error = error_of(lambda: subject.chat_model(server, api_key=UNSET))
    assert "API_KEY" in str(error), error


def _neighbours(subject: Subject, server: FaultServer) -> None:
    prompt = [HumanMessage("one"), HumanMessage("two"), AIMessage("a"), AIMessage("b"),
              HumanMessage("three")]  # fmt: skip
    assert _roles(subject, server, prompt) == ["user", "assistant", "user"]


def _late_system(subject: Subject, server: FaultServer) -> None:
    prompt = [HumanMessage("one"), AIMessage("a"), SystemMessage("be brief"), HumanMessage("two")]
    assert _roles(subject, server, prompt) == ["system", "user", "assistant", "user"]


def _roles(subject: Subject, server: FaultServer, prompt: list[Any]) -> list[str]:
    body = answered(subject.chat_model(server), subject.wire.whole(), server, prompt=prompt)
    return [turn["role"] for turn in body["messages"]]


def _part_sent(subject: Subject, server: FaultServer, block: dict[str, Any]) -> dict[str, Any]:
    prompt = [HumanMessage([{"type": "text", "text": "What is this?"}, block])]
    body = answered(subject.chat_model(server), subject.wire.whole(), server, prompt=prompt)
    part = body["messages"][0]["content"][1]
    assert isinstance(part, dict)
    return part


def _image(block: dict[str, Any], url: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        sent = _part_sent(subject, server, {"type": "image", **block})
        assert sent["type"] == "image_url", sent["type"]
        assert sent["image_url"]["url"] == url

    return part


def _document(subject: Subject, server: FaultServer) -> None:
    block = {
        "type": "file",
        "base64": _PDF,
        "mime_type": "application/pdf",
        "filename": "chart.pdf",
    }
    sent = _part_sent(subject, server, block)
    if "sonar" in subject.traits:
        assert sent["type"] == "file_url", sent["type"]
        url = sent["file_url"]
        assert (url["url"] if isinstance(url, dict) else url) == _PDF  # bare, as it wants it
    else:
        assert sent["type"] == "file", sent["type"]
        assert sent["file"]["file_data"].endswith(_PDF)


def _many_tokens(subject: Subject, server: FaultServer, **given: Any) -> None:
    server.replies(subject.wire.stream())
    try:
        message = subject.chat_model(server, max_tokens=5000, **given).invoke("q")
    finally:
        asked = server.requests[0].json().get("stream")
        assert asked is True, "it asked for a whole answer, which the service refuses"
    assert message.text == Answer().text


_SONAR = frozenset({"sonar"})
_PERPLEXITY = frozenset({"perplexity"})
_FIREWORKS = frozenset({"fireworks"})

GROUP = Group(
    "Requests",
    (
        Check(
            "stop",
            "`stop` per call",
            over(_stopped, *WAYS),
            defect_of=_PERPLEXITY,
            note="Perplexity refuses stop sequences: the text must then be cut on this side.",
        ),
        Check(
            "stop_init",
            "`stop` of the object",
            over(_stopped_at_init, *WAYS),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "nothing_unset",
            "Nothing is sent that was not set",
            over(_nothing_unset, *WAYS),
            defect_of=frozenset({"perplexity", "fireworks"}),
            note="Nothing but model, messages and the switches of streaming; no nulls.",
        ),
        Check("per_call", "Model and temperature per call", {"": _per_call}),
        Check(
            "sonar_params",
            "Perplexity's parameters by name",
            _table(_SONAR_PARAMS),
            needs=_SONAR,
        ),
        Check(
            "effort_minimal",
            '`reasoning_effort="minimal"`',
            {"": _sends("reasoning_effort", "minimal")},
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "recency_hour",
            '`search_recency_filter="hour"`',
            {"": _sends("search_recency_filter", "hour")},
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "fireworks_params",
            "Fireworks' parameters by name",
            _table(_FIREWORKS_PARAMS),
            needs=_FIREWORKS,
        ),
        Check("extra_body", "A parameter that is newer than the class", {"": _extra_body}),
        Check("misspelt", "A misspelt parameter is refused", {"": _misspelt}),
        Check(
            "out_of_range", "A temperature of 7 is refused before it is sent", {"": _out_of_range}
        ),
        Check("no_key", "Without a key the error names the variable to set", {"": _no_key}),
        Check(
            "neighbours",
            "Neighbours of one role are joined",
            {"": _neighbours},
            needs=_SONAR,
            defect_of=_PERPLEXITY,
            note="Perplexity refuses two user messages in a row.",
        ),
        Check(
            "late_system",
            "A late system message is moved to the front",
            {"": _late_system},
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "images",
            "LangChain's image blocks",
            {
                "by URL": _image(
                    {"url": "https://i.example/lamp.png"}, "https://i.example/lamp.png"
                ),
                "as bytes": _image(
                    {"base64": _PNG, "mime_type": "image/png"}, f"data:image/png;base64,{_PNG}"
                ),
            },
            defect_of=_PERPLEXITY,
        ),
        Check(
            "pdf",
            "LangChain's file block with a PDF",
            {"": _document},
            needs=frozenset({"pdf"}),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "many_tokens",
            "`max_tokens` above 4096 in `invoke`",
            {"": _many_tokens},
            needs=_FIREWORKS,
            otherwise={"with `streaming=True`": partial(_many_tokens, streaming=True)},
            note="Fireworks answers such calls as streams only.",
        ),
    ),
)
