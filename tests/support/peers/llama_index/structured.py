"""Rows about objects instead of text."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from support.fault_server import FaultServer
from support.peers.asking import error_of
from support.peers.check import Check, Group, Part
from support.peers.llama_index.asking import ASTREAM, CHAT, STREAM, recorded
from support.peers.replies import Answer, Call, saying
from support.peers.subject import Subject

__all__ = ["GROUP"]


class Tower(BaseModel):
    """A lighthouse."""

    name: str
    metres: int


_TOWER: dict[str, Any] = {"name": "Skagen", "metres": 46}
_PROMPT = PromptTemplate("Describe {light}.")
_FORMS = (
    "structured_predict",
    "astructured_predict",
    "stream_structured_predict",
    "astream_structured_predict",
)


def _reply(subject: Subject, form: str, args: Any, cut: int = 0) -> Any:
    """Return the object as the class asks for it: as text, or as a tool's arguments."""
    way = ASTREAM if form.startswith("astream") else STREAM if "stream" in form else CHAT
    if "schema as tool" in subject.traits:
        calls = (Call("Tower", args, cut=cut),)
        return way.reply(subject.wire, Answer(pieces=("",), calls=calls, finish="tool_calls"))
    text = json.dumps(args)
    half = len(text) // 2
    return way.reply(subject.wire, Answer(pieces=(text[:half], text[half : len(text) - cut])))


def _predict(model: Any, form: str) -> Any:
    """Return the object, the last one of a stream."""
    method = getattr(model, form)

    async def soon() -> list[Any]:
        found = await method(Tower, _PROMPT, light="Skagen")
        return [each async for each in found] if "stream" in form else [found]

    if form.startswith("a"):
        return asyncio.run(soon())[-1]
    found = method(Tower, _PROMPT, light="Skagen")
    return list(found)[-1] if "stream" in form else found


def _predicts(form: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(_reply(subject, form, _TOWER))
        found = _predict(subject.chat_model(server), form)
        assert found.model_dump() == _TOWER, found
        assert isinstance(found, Tower), type(found)

    return part


def _schema_sent(form: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(_reply(subject, form, _TOWER))
        _predict(subject.chat_model(server), form)
        sent = server.requests[0].json().get("response_format")
        assert sent, "no response_format"
        assert sent["type"] == "json_schema", sent["type"]
        assert sent["json_schema"]["schema"]["required"] == ["name", "metres"]

    return part


def _as_tool(subject: Subject, server: FaultServer) -> None:
    assert "schema as tool" in subject.traits, "only in the prompt"
    for form in _FORMS:
        server.replies(_reply(subject, form, _TOWER))
        _predict(subject.chat_model(server), form)
        body = server.requests[-1].json()
        assert body["tools"][0]["function"]["parameters"]["required"] == ["name", "metres"]


def _forced(form: str) -> Part:
    """The model has no choice but to give an object."""

    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(_reply(subject, form, _TOWER))
        _predict(subject.chat_model(server), form)
        body = server.requests[0].json()
        choice = body.get("tool_choice")
        assert "response_format" in body or choice == "required", f"tool_choice: {choice}"

    return part


def _refuses(form: str, args: Any, cut: int = 0) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(_reply(subject, form, args, cut))
        error_of(lambda: _predict(subject.chat_model(server), form))

    return part


def _error_tells(subject: Subject, server: FaultServer) -> None:
    server.replies(_reply(subject, "structured_predict", {"name": "Skagen", "metres": "tall"}))
    error = error_of(lambda: _predict(subject.chat_model(server), "structured_predict"))
    assert isinstance(error, ValueError), type(error)
    assert "metres" in str(error), error
    assert '"name": "Skagen"' in f"{error} {vars(error)}", "what the model said is nowhere"


def _thought_first(subject: Subject, server: FaultServer) -> None:
    text = f"<think>\nIs {{it}} tall?\n</think>\n\n{json.dumps(_TOWER)}"
    server.replies(subject.wire.whole(saying(text)))
    assert _predict(subject.chat_model(server), "structured_predict") == Tower(**_TOWER)


def _structured_llm(form: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        from llama_index.core.llms import ChatMessage

        server.replies(_reply(subject, "structured_predict", _TOWER))
        llm = subject.chat_model(server).as_structured_llm(Tower)
        found = llm.complete("q") if form == "complete" else llm.chat([ChatMessage("q")])
        assert found.raw == Tower(**_TOWER), found.raw

    return part


def _events(form: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(_reply(subject, form, _TOWER))
        with recorded() as events:
            _predict(subject.chat_model(server), form)
        found = Counter(event.class_name() for event in events)
        names = ("LLMStructuredPredictStartEvent", "LLMStructuredPredictEndEvent")
        assert [found[name] for name in names] == [1, 1], found

    return part


_WRONG = {"name": "Skagen", "metres": "tall"}
_PERPLEXITY = frozenset({"perplexity"})

GROUP = Group(
    "Structured output",
    (
        Check(
            "structured",
            "Four calls return an object of the class",
            {form: _predicts(form) for form in _FORMS},
        ),
        Check(
            "schema_sent",
            "The schema is sent as `response_format`",
            {form: _schema_sent(form) for form in _FORMS},
            otherwise={"as a tool": _as_tool},
            defect_of=_PERPLEXITY,
        ),
        Check(
            "schema_forced",
            "The model has no choice but to give an object",
            {form: _forced(form) for form in _FORMS},
            defect_of=frozenset({"fireworks", "perplexity"}),
            note="By `response_format`, or by a tool that it must call.",
        ),
        Check(
            "schema_broken",
            "Output that breaks the schema raises",
            {
                "wrong type": _refuses("structured_predict", _WRONG),
                "wrong type, streamed": _refuses("stream_structured_predict", _WRONG),
                "cut": _refuses("structured_predict", _TOWER, 4),
                "cut, streamed": _refuses("stream_structured_predict", _TOWER, 4),
            },
            defect_of=frozenset({"openai", "fireworks", "perplexity"}),
        ),
        Check(
            "schema_error",
            "... with the field and the model's words",
            {"": _error_tells},
        ),
        Check(
            "think_before_json",
            "A `<think>` block before the JSON",
            {"": _thought_first},
            needs=frozenset({"sonar"}),
        ),
        Check(
            "structured_llm",
            "`as_structured_llm`",
            {form: _structured_llm(form) for form in ("chat", "complete")},
        ),
        Check(
            "structured_events",
            "One start and one end event",
            {form: _events(form) for form in _FORMS[:2]},
        ),
    ),
)
