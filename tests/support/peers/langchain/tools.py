"""Rows about tools and structured output."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from langchain_core.tools import tool
from pydantic import BaseModel

from support.fault_server import FaultServer
from support.peers.check import Check, Group, Part
from support.peers.langchain.asking import STREAM, WAYS, WHOLE, Way, over
from support.peers.replies import Agent, Answer, Call, refusal, saying
from support.peers.subject import Subject

__all__ = ["GROUP"]


@tool
def tide(harbour: str) -> str:
    """Tell the tide in a harbour."""
    return harbour


class Tower(BaseModel):
    """A lighthouse."""

    name: str
    metres: int


class TowerDict(TypedDict):
    """A lighthouse."""

    name: str
    metres: int


_SCHEMAS: dict[str, Any] = {
    "pydantic": Tower,
    "TypedDict": TowerDict,
    "JSON schema": {"title": "Tower", "description": "A lighthouse.", **Tower.model_json_schema()},
}
_TOWER = {"name": "Skagen", "metres": 46}
_CALLING = Answer(pieces=("",), calls=(Call("tide", {"harbour": "Bergen"}),), finish="tool_calls")


def _calls(message: Any) -> None:
    found = [(c["name"], c["args"], c["id"]) for c in message.tool_calls]
    assert found == [("tide", {"harbour": "Bergen"}, "call_a1")], found


def _called(subject: Subject, server: FaultServer, way: Way) -> None:
    if "functions" in subject.traits:
        server.replies(way.reply(subject.wire, _CALLING))
    else:
        server.replies(refusal(400, "Tool calling is not supported for this model"))
    _calls(way.ask(subject.chat_model(server).bind_tools([tide])))
    (sent,) = server.requests[0].json()["tools"]
    assert sent["function"]["name"] == "tide"


def _called_by_agent(subject: Subject, server: FaultServer) -> None:
    how = subject.by("agent", "v1")
    assert how, "no Agent API"
    for way in (WHOLE, STREAM):
        server.replies(way.reply(Agent(), _CALLING))
        model = subject.chat_model(server, **how)
        _calls(way.ask(model.bind_tools([tide])))


def _bound(subject: Subject, server: FaultServer, **how: Any) -> Any:
    server.replies(subject.wire.whole(_CALLING))
    subject.chat_model(server).bind_tools([tide], **how).invoke("q")
    return server.requests[0].json()


def _chooses(choice: str, *wire: Any) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        sent = _bound(subject, server, tool_choice=choice).get("tool_choice")
        assert sent in wire, sent

    return part


def _strict(subject: Subject, server: FaultServer) -> None:
    (sent,) = _bound(subject, server, strict=True)["tools"]
    assert sent["function"].get("strict") is True, sent


def _parallel(subject: Subject, server: FaultServer) -> None:
    sent = _bound(subject, server, parallel_tool_calls=False).get("parallel_tool_calls")
    assert sent is False, sent


def _results_sent(subject: Subject, server: FaultServer) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage

    server.replies(subject.wire.whole(_CALLING), subject.wire.whole())
    model = subject.chat_model(server).bind_tools([tide])
    asked = HumanMessage("q")
    call = model.invoke([asked])
    model.invoke([asked, call, ToolMessage("high", tool_call_id="call_a1")])
    _, turn, result = server.requests[1].json()["messages"]
    assert turn["tool_calls"][0]["id"] == result["tool_call_id"] == "call_a1"
    assert result["content"] == "high"


def _tower_reply(subject: Subject, method: str) -> Answer:
    if method == "function_calling" and "functions" in subject.traits:
        return Answer(pieces=("",), calls=(Call("Tower", _TOWER),), finish="tool_calls")
    return saying(json.dumps(_TOWER))


def _method(method: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(subject.wire.whole(_tower_reply(subject, method)))
        model = subject.chat_model(server).with_structured_output(Tower, method=method)
        assert model.invoke("q") == Tower(**_TOWER)

    return part


def _schema(kind: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(subject.wire.whole(saying(json.dumps(_TOWER))))
        model = subject.chat_model(server).with_structured_output(
            _SCHEMAS[kind], method="json_schema"
        )
        found = model.invoke("q")
        assert (found.model_dump() if isinstance(found, BaseModel) else found) == _TOWER

    return part


def _on_the_wire(subject: Subject, server: FaultServer) -> None:
    sent = _format_sent(subject, server)
    assert sent["type"] == "json_schema", sent["type"]
    assert sent["json_schema"]["schema"]["required"] == ["name", "metres"]


def _strict_schema(subject: Subject, server: FaultServer) -> None:
    sent = _format_sent(subject, server, strict=True)
    assert sent.get("json_schema", {}).get("strict") is True, sent


def _format_sent(subject: Subject, server: FaultServer, **how: Any) -> Any:
    server.replies(subject.wire.whole(saying(json.dumps(_TOWER))))
    model = subject.chat_model(server)
    model.with_structured_output(Tower, method="json_schema", **how).invoke("q")
    return server.requests[0].json()["response_format"]


def _include_raw(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole(saying(json.dumps(_TOWER))))
    model = subject.chat_model(server)
    chain = model.with_structured_output(Tower, method="json_schema", include_raw=True)
    found = chain.invoke("q")
    assert set(found) == {"raw", "parsed", "parsing_error"}
    assert found["parsed"] == Tower(**_TOWER)
    assert found["parsing_error"] is None


def _bad_json(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole(saying('{"name": "Ska')))
    model = subject.chat_model(server)
    chain = model.with_structured_output(Tower, method="json_schema", include_raw=True)
    found = chain.invoke("q")
    assert found["parsed"] is None
    assert found["parsing_error"] is not None
    assert found["raw"].text == '{"name": "Ska'


def _thought_first(subject: Subject, server: FaultServer) -> None:
    text = f"<think>\nHow tall?\n</think>\n\n{json.dumps(_TOWER)}"
    server.replies(subject.wire.whole(saying(text)))
    model = subject.chat_model(server).with_structured_output(Tower, method="json_schema")
    assert model.invoke("q") == Tower(**_TOWER)


_FUNCTIONS = frozenset({"functions"})

GROUP = Group(
    "Tools and structured output",
    (
        Check(
            "tools",
            "Tools are bound and called",
            over(_called, *WAYS),
            otherwise={"Agent API only": _called_by_agent},
            lacking=frozenset({"ours-perplexity"}),
            note="Perplexity's chat completions take no tools; its Agent API does.",
        ),
        Check(
            "tool_results", "Results go back with their call", {"": _results_sent}, needs=_FUNCTIONS
        ),
        Check(
            "tool_choice",
            "`tool_choice`",
            {
                "any": _chooses("any", "required", "any"),
                "by name": _chooses("tide", {"type": "function", "function": {"name": "tide"}}),
                "none": _chooses("none", "none"),
            },
            needs=_FUNCTIONS,
        ),
        Check("tool_strict", "`strict` tools", {"": _strict}, needs=_FUNCTIONS),
        Check("tool_parallel", "`parallel_tool_calls`", {"": _parallel}, needs=_FUNCTIONS),
        Check(
            "methods",
            "`with_structured_output` methods",
            {name: _method(name) for name in ("json_schema", "function_calling", "json_mode")},
        ),
        Check("schemas", "Schemas of three kinds", {kind: _schema(kind) for kind in _SCHEMAS}),
        Check(
            "json_schema_wire",
            "`json_schema` is sent as such",
            {"": _on_the_wire},
            defect_of=frozenset({"fireworks"}),
            note='As `{"type": "json_schema", "json_schema": {"schema": ...}}`.',
        ),
        Check("strict_schema", "`strict` schemas", {"": _strict_schema}),
        Check("include_raw", "`include_raw`", {"": _include_raw}),
        Check("bad_json", "... with the error of a broken answer", {"": _bad_json}),
        Check(
            "think_before_json",
            "A `<think>` block before the JSON",
            {"": _thought_first},
            note="Some models write one in spite of the schema.",
        ),
    ),
)
