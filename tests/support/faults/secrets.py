"""What must not be shown, and calls that would show it."""

import copy
import pickle
import pprint
import traceback
from collections.abc import Callable, Iterator, Mapping
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
    "SHOWN",
    "Echoes",
    "Show",
    "answer",
    "asking",
    "forms",
    "holds",
    "spoken",
    "with_values",
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


# What may be made of an object

Show = Callable[[Any], object]
SHOWN: Mapping[str, Show] = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "pprint": pprint.pformat,
    "vars": lambda m: repr(vars(m)),
    "fields": lambda m: repr(dict(m)),
    "rich": lambda m: repr(list(m.__rich_repr__())),
    "model_dump": lambda m: m.model_dump(),
    "model_dump in JSON": lambda m: m.model_dump(mode="json", exclude_none=True),
    "model_dump_json": lambda m: m.model_dump_json(),
    "state": lambda m: m.__getstate__(),
    "reduced": lambda m: m.__reduce_ex__(4),
    "pickle": lambda m: pickle.dumps(m).decode("latin-1"),
    "pickle of a copy": lambda m: pickle.dumps(copy.copy(m)).decode("latin-1"),
    "pickle of a deep copy": lambda m: pickle.dumps(copy.deepcopy(m)).decode("latin-1"),
    "copy": lambda m: repr(copy.copy(m)),
    "deep copy": lambda m: repr(vars(copy.deepcopy(m))),
    "model_copy": lambda m: repr(m.model_copy(update={"max_retries": 1})),
}


# What may be made of an error


def forms(error: BaseException) -> Mapping[str, object]:
    """All that may be made of an error: by printing, reporting, or sending it elsewhere."""
    chain = list(_linked(error))
    return {
        "text": str(error),
        "repr": repr(error),
        "args": error.args,
        "attributes": [repr(vars(link)) for link in chain],
        "notes": [getattr(link, "__notes__", ()) for link in chain],
        "chain": [f"{link!r} {link.args!r}" for link in chain],
        "traceback": "".join(traceback.format_exception(error)),
        "pickle": pickle.dumps(error).decode("latin-1"),
        "copy": repr(vars(copy.copy(error))),
        "response": _response_of(error),
    }


def _linked(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _response_of(error: BaseException) -> object:
    response = getattr(error, "response", None)
    return None if response is None else (response.text, response.headers.raw, vars(response))


def with_values(error: BaseException) -> str:
    """What reporters show that tell the values of each frame."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
