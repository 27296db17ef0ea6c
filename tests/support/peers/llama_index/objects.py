"""Rows about the objects: secrets, copies, metadata."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

from support.fault_server import FaultServer
from support.peers.check import Check, Group, Part
from support.peers.llama_index.asking import CHAT, recorded
from support.peers.replies import Answer
from support.peers.subject import KEY, Subject

__all__ = ["GROUP"]


def _hidden(look: Callable[[Any], Any]) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        shown = look(subject.chat_model(server))
        assert KEY not in str(shown), "the key is in it"

    return part


def _told(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))
    with recorded() as events:
        CHAT.ask(subject.chat_model(server))
    assert events
    assert KEY not in "".join(event.model_dump_json() for event in events), "the key is in it"


def _pickled(subject: Subject, server: FaultServer) -> None:
    data = pickle.dumps(subject.chat_model(server, temperature=0.4))
    assert KEY.encode() not in data, "the key is in the pickle"
    again = pickle.loads(data)
    assert again.temperature == 0.4


def _restored(how: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        model = subject.chat_model(server, temperature=0.4)
        kept = getattr(model, f"to_{how}")()
        again = getattr(type(model), f"from_{how}")(kept, api_key=KEY)
        assert (again.model, again.temperature) == (model.model, 0.4)
        server.replies(CHAT.served(subject))
        assert CHAT.text(again) == Answer().text
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"

    return part


def _copied(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))
    model = subject.chat_model(server)
    CHAT.ask(model)
    assert CHAT.text(copy.deepcopy(model)) == Answer().text


def _metadata(name: str, look: Callable[[Any, Subject], bool], **given: Any) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        model = subject.chat_model(server, **{"model": subject.model, **given})
        found = getattr(model.metadata, name)
        assert look(found, subject), found

    return part


_WINDOWS = {"openai": 128_000, "fireworks": 131_072, "sonar": 200_000}


def _window(found: Any, subject: Subject) -> bool:
    (expected,) = [size for trait, size in _WINDOWS.items() if trait in subject.traits]
    return 0.9 <= found / expected <= 1.1


_NEW = "new-model-2031"


def _new_answers(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))
    model = subject.chat_model(server, model=_NEW)
    assert model.metadata.model_name == _NEW
    assert CHAT.text(model) == Answer().text


def _new_window(subject: Subject, server: FaultServer) -> None:
    model = subject.chat_model(server, model=_NEW, context_window=55_000)
    assert model.metadata.context_window == 55_000


def _new_tools(subject: Subject, server: FaultServer) -> None:
    """Its tools can be used without knowing its name."""
    model = subject.chat_model(server, model=_NEW)
    assert model.metadata.is_function_calling_model


def _new_tools_told(subject: Subject, server: FaultServer) -> None:
    model = subject.chat_model(server, model=_NEW, is_function_calling=True)
    assert model.metadata.is_function_calling_model


_ALL = frozenset({"openai", "fireworks", "perplexity"})
_FUNCTIONS = frozenset({"functions"})

GROUP = Group(
    "Objects",
    (
        Check(
            "hidden",
            "The key is in no repr, dump or event",
            {
                "repr": _hidden(repr),
                "str": _hidden(str),
                "to_dict": _hidden(lambda model: model.to_dict()),
                "to_json": _hidden(lambda model: model.to_json()),
                "events": _told,
            },
            defect_of=_ALL,
        ),
        Check("pickle", "Pickles, without the key", {"": _pickled}, defect_of=_ALL),
        Check(
            "round_trip",
            "A saved object is restored, and answers",
            {"dict": _restored("dict"), "json": _restored("json")},
            defect_of=frozenset({"fireworks"}),
            note="`from_dict(llm.to_dict(), api_key=...)`, and the same with JSON.",
        ),
        Check("deepcopy", "A deep copy answers", {"": _copied}),
        Check(
            "metadata",
            "Metadata of a known model",
            {
                "model_name": _metadata("model_name", lambda found, s: found == s.model),
                "context_window": _metadata("context_window", _window),
                "num_output": _metadata("num_output", lambda found, s: found == 77, max_tokens=77),
                "is_chat_model": _metadata("is_chat_model", lambda found, s: found is True),
                "is_function_calling_model": _metadata(
                    "is_function_calling_model",
                    lambda found, s: found is ("functions" in s.traits),
                ),
            },
        ),
        Check(
            "new_model",
            "A model that is newer than the package answers",
            {"": _new_answers},
            defect_of=frozenset({"openai"}),
            note="llama-index-llms-openai leaves such models to another package, "
            "llama-index-llms-openai-like.",
        ),
        Check("new_window", "... its context window can be given", {"": _new_window}),
        Check(
            "new_tools",
            "... and its tools can be used",
            {"": _new_tools},
            needs=_FUNCTIONS,
            otherwise={"with `is_function_calling=True`": _new_tools_told},
        ),
    ),
)
