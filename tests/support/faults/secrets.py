"""What must not be shown, and calls that would show it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llama_index.core.llms import ChatMessage

from support.backends import KEY
from support.fault_server import Reply
from support.faults.speech import QAIP_RUN, Speech
from support.faults.subjects import SUBJECTS, Subject

__all__ = [
    "ANSWER",
    "ASKING",
    "ECHO",
    "HEADER",
    "PROMPT",
    "Echoes",
    "answer",
    "asking",
    "holds",
    "spoken",
]

HEADER = "hushed-header-77d1"
PROMPT = "an unheard-of question"
ANSWER = "an unheard-of answer"

ASKING = [s for s in SUBJECTS if s.layer != "core" or s.streams]
Echoes = Callable[[Speech], Reply]
ECHO = {"error": {"message": f"wrong key {KEY}", "code": f"c-{KEY}", "list": [KEY, {KEY: KEY}]}}
"""A body in which a service repeats the key wherever it can."""


def holds(shown: object) -> bool:
    """Whether a key, or a header of the user's own, stands in something."""
    return any(secret in str(shown) for secret in (KEY, HEADER))


def spoken(subject: Subject) -> Speech:
    """How its service writes."""
    return next(speech for speech in subject.speeches if speech is not QAIP_RUN)


def answer(subject: Subject) -> Reply:
    """A complete answer, in the form in which it is asked for."""
    return spoken(subject).answer(ANSWER, stream=subject.wants_stream)


def asking(subject: Subject, **options: Any) -> Subject:
    """The same way of asking, with a question that is easily recognised."""
    way = subject.way
    asked = PROMPT if isinstance(way.question, str) else (ChatMessage(role="user", content=PROMPT),)
    return replace(subject, way=replace(way, question=asked, options={**way.options, **options}))
