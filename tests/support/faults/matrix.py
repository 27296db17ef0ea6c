"""The rows of the matrix, and how they are laid over its columns."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import pytest

from qaip_core import ServiceError
from qaip_core.errors import IncompleteStreamError, MalformedResponseError, ServerReportedError
from support.fault_server import FaultServer, Reply
from support.faults.speech import SPEECHES, Speech
from support.faults.subjects import SUBJECTS, Layer, Outcome, Subject

__all__ = [
    "KIN",
    "Row",
    "check",
    "incomplete",
    "malformed",
    "matrix",
    "raised",
    "reported",
    "spread",
    "thinned",
    "tried",
    "whole",
]


@dataclass(frozen=True)
class Expected:
    """What the caller sees.

    error: the class of the error, exactly; None for a complete answer.
    text: what was shown, and is in the error's ``partial``.
    words: what stands in the error's message.
    """

    error: type[ServiceError] | None
    text: str = ""
    words: str = ""


def whole(text: str) -> Expected:
    """A complete answer."""
    return Expected(None, text)


def incomplete(text: str = "") -> Expected:
    """A stream that ended too early, with what had come."""
    return Expected(IncompleteStreamError, text)


def reported(text: str = "", words: str = "") -> Expected:
    """An error that the service reports in the middle of an answer."""
    return Expected(ServerReportedError, text, words)


def malformed(text: str = "", words: str = "") -> Expected:
    """A body, or an event, of another shape than documented."""
    return Expected(MalformedResponseError, text, words)


def raised(error: type[ServiceError], words: str = "", text: str = "") -> Expected:
    """Any other error."""
    return Expected(error, text, words)


Replies = Callable[[Speech], Reply | Sequence[Reply] | None]


@dataclass(frozen=True)
class Row:
    """One fault, and what comes of it.

    name: the fault in a few words.
    replies: what the service sends, in its own way of writing, to the first request, the second,
        ...; the last reply is repeated. None stands for a fault that a service cannot have.
    expected: what the caller sees.
    requests: how many requests are sent.
    but: what is expected of some services instead, by the name of the speech or of the service.
    fields: what the object is made with.
    """

    name: str
    replies: Replies
    expected: Expected
    requests: int = 1
    but: Mapping[str, Expected] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)

    def expected_of(self, speech: Speech) -> Expected:
        by_service = self.but.get(speech.service, self.expected)
        return self.but.get(speech.name, by_service)


def matrix(
    rows: Iterable[Row],
    *,
    subjects: Iterable[Subject] = SUBJECTS,
    streams: bool | None = True,
    applies: Callable[[Row, Speech], bool] = lambda _row, _speech: True,
    every_class: bool = False,
    thin: bool = False,
) -> pytest.MarkDecorator:
    """Run a test for each row, each way of writing, and each way of asking.

    The test takes ``subject``, ``speech`` and ``row``.

    streams: only those that ask the service for a stream, or only the others; None for all.
    applies: whether a service can have a fault.
    every_class: ask each class of the frameworks in one way for each row, see `thinned`.
    thin: ask some of the classes for each row, and the core half as often, see `spread`.
    """
    columns = [s for s in subjects if streams is None or s.wants_stream is streams]
    table = [
        (row, [s for s in SPEECHES if applies(row, s) and row.replies(s) is not None])
        for row in rows
    ]
    able = [[s for s in columns if {*s.speeches} & {*speeches}] for _, speeches in table]
    if every_class:
        able = [[*thinned(subjects, place)] for place, subjects in enumerate(able)]
    params = [
        pytest.param(subject, speech, row, id=f"{row.name}-{speech.name}-{subject.name}")
        for (row, speeches), asked in zip(table, spread(able) if thin else able, strict=True)
        for subject in asked
        for speech in subject.speeches
        if speech in speeches
    ]
    return pytest.mark.parametrize(("subject", "speech", "row"), params)


def spread(able: Sequence[Sequence[Subject]]) -> Iterator[Sequence[Subject]]:
    """Choose, of the subjects to which the rows of a table can happen, some for each row.

    The whole core is asked, sync and async, for a whole answer or piece by piece in turn, but of
    `KIN` one. Of the classes of a framework each has its turn at least twice in a table, once sync
    and once async.
    """
    turns: Counter[Layer] = Counter()
    for place, subjects in enumerate(able):
        chosen = [ways[place % len(ways)] for ways in _by(_endpoint_of, subjects, "core")]
        for layer in FRAMEWORKS:
            classes = _by(_class_of, subjects, layer)
            for _ in range(min(2 * len(classes), ceil(2 * len(classes) / len(able)))):
                turn, position = divmod(turns[layer], len(classes))
                turns[layer] += 1
                ways = classes[position]
                chosen.append(ways[(turn + position) % len(ways)])
        yield chosen


FRAMEWORKS: Sequence[Layer] = ("langchain", "llama_index")


KIN = frozenset(
    {
        ("pais", "agent-chat"),
        ("pais", "agent-completions"),
        ("dify", "chat-messages"),
        ("dify", "workflows"),
    }
)
"""Endpoints that are read as others of the same service are: thin tables ask them in turn."""


def _endpoint_of(subject: Subject) -> object:
    endpoint = subject.service, subject.operation
    return "kin" if endpoint in KIN else endpoint, subject.is_async


def _class_of(subject: Subject) -> object:
    """The class, and what of it: some speak to a service's chat and to its completions."""
    return subject.name.partition(".")[0], subject.operation


def _by(
    key: Callable[[Subject], object], subjects: Iterable[Subject], *layers: Layer
) -> list[list[Subject]]:
    """The subjects of some layers in groups."""
    groups: dict[object, list[Subject]] = {}
    for subject in subjects:
        if subject.layer in layers:
            groups.setdefault(key(subject), []).append(subject)
    return [*groups.values()]


def thinned(subjects: Iterable[Subject], place: int) -> Iterator[Subject]:
    """Return all of the core, and one way of asking each class of the frameworks.

    Which one changes from row to row, so that a table asks every class in every way.
    """
    subjects = [*subjects]
    yield from (subject for subject in subjects if subject.layer == "core")
    for turn, ways in enumerate(_by(_class_of, subjects, *FRAMEWORKS)):
        yield ways[(place + turn) % len(ways)]


def tried(server: FaultServer, subject: Subject, speech: Speech, row: Row) -> Outcome:
    """Run a case and check it; returns the outcome for what is special to a table."""
    replies = row.replies(speech)
    assert replies is not None
    server.reset()
    server.replies(*([replies] if isinstance(replies, Reply) else replies))
    outcome = subject.ask(server.url, **row.fields)
    check(outcome, row.expected_of(speech), speech)
    sent = [request.path for request in server.requests if not request.path.endswith("/stop")]
    assert len(sent) == row.requests, sent
    return outcome


def check(outcome: Outcome, expected: Expected, speech: Speech) -> None:
    """Compare what a caller saw with what a row expects."""
    if expected.error is None:
        assert outcome.error is None, repr(outcome.error)
        if outcome.shown is not None:
            assert outcome.text == expected.text
        if outcome.sources is not None:
            assert outcome.sources == speech.sources
        return
    assert outcome.kind is expected.error, repr(outcome.error)
    assert expected.words in str(outcome.error)
    assert outcome.partial == expected.text
    assert isinstance(outcome.error, ServiceError)
    assert outcome.error.service == speech.service
    if outcome.shown:  # pieces were shown: no more and no less than the error hands over
        assert outcome.text == expected.text
