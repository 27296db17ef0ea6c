"""Rows about streams that end, break, stall or are written oddly."""

from __future__ import annotations

import json

from support.fault_server import FaultServer, sse_reply
from support.peers.asking import Way
from support.peers.breaks import (
    broken,
    marked,
    partial_kept,
    pinged,
    silent,
    split,
    survives,
    text_on_last,
    told,
    unmixed,
)
from support.peers.check import Check, Group
from support.peers.langchain.asking import STREAM, WAYS, lanes, one, over, said
from support.peers.replies import Answer, ChatCompletions
from support.peers.subject import Subject

__all__ = ["GROUP"]


def _no_choices(subject: Subject, server: FaultServer) -> None:
    *events, trailing, done = ChatCompletions(usage="trailing").events(Answer())
    bare = {key: value for key, value in json.loads(trailing).items() if key != "choices"}
    server.replies(sse_reply(*events, json.dumps(bare), done))
    message = STREAM.ask(subject.chat_model(server))
    assert message.usage_metadata["input_tokens"] == 11


def _counted(subject: Subject, server: FaultServer, way: Way) -> None:
    usage = said(subject, server, way).usage_metadata
    found = (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
    assert found == (11, 7, 18), found


def _counted_twice(subject: Subject, server: FaultServer) -> None:
    server.replies(ChatCompletions(usage="both").stream())
    usage = STREAM.ask(subject.chat_model(server)).usage_metadata
    found = (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
    assert found == (11, 7, 18), found


_ALL = frozenset({"openai", "fireworks", "perplexity"})
_CHAT = frozenset({"n"})

GROUP = Group(
    "Streams",
    (
        Check(
            "error_line",
            "An error in the middle of a stream raises",
            lanes(told("")),
            defect_of=frozenset({"fireworks", "perplexity"}),
            note='`data: {"error": ...}` after a first piece of text; the error must say what '
            "the service said.",
        ),
        Check(
            "error_event",
            "`event: error` raises",
            lanes(told("error")),
            defect_of=frozenset({"fireworks"}),
        ),
        Check(
            "error_text",
            "`event: error` with plain text raises",
            lanes(told("error", "engine overloaded")),
        ),
        Check(
            "cut",
            "A stream that is cut raises",
            {
                "closed": one(broken([], "clean")),
                "broken off": one(broken([], "cut")),
                "only [DONE]": one(broken(["[DONE]"], "clean")),
            },
            defect_of=_ALL,
            note="*closed*: the body ends as HTTP demands, but without `finish_reason`; *broken "
            "off*: the connection ends in the middle; *only [DONE]*: the end line without a "
            "`finish_reason`.",
        ),
        Check(
            "partial", "The error of a cut stream holds what had arrived", {"": one(partial_kept)}
        ),
        Check(
            "ping_comment",
            "Survives `: ping` comments",
            {"": one(survives(b": ping\n\n", 1))},
        ),
        Check(
            "ping_event",
            "Survives a bare `event: ping`",
            {"": one(survives(b"event: ping\n\n", 1))},
            defect_of=frozenset({"openai", "perplexity"}),
        ),
        Check(
            "bom",
            "Keeps the first piece behind a byte order mark",
            lanes(marked),
            defect_of=_ALL,
        ),
        Check("split", "Bytes may be split anywhere", {"": one(split)}),
        Check(
            "silence",
            "Silence in a stream ends it",
            lanes(silent),
            note="With `timeout` and, where there is one, the limit for silence set to 0.1 s.",
            seconds=3,
        ),
        Check(
            "pings_for_ever",
            "Pings for ever end it too",
            lanes(pinged),
            defect_of=_ALL,
            note="The same limits; the server sends nothing but comments.",
            seconds=3,
        ),
        Check("usage", "Token counts", over(_counted, *WAYS)),
        Check(
            "usage_twice",
            "Counts sent twice are counted once",
            {"": _counted_twice},
            needs=_CHAT,
            defect_of=frozenset({"fireworks"}),
            note="Some models report usage on the finish chunk and again behind it.",
        ),
        Check(
            "no_choices",
            "A usage chunk without `choices`",
            {"": _no_choices},
            needs=_CHAT,
        ),
        Check(
            "text_on_last",
            "Text on the finish chunk is kept",
            {"": one(text_on_last)},
            needs=_CHAT,
        ),
        Check(
            "n_unmixed",
            "Two answers (`n=2`) never mix",
            {"": one(unmixed)},
            needs=_CHAT,
            defect_of=frozenset({"fireworks"}),
            note="Or streaming them is refused.",
        ),
    ),
)
