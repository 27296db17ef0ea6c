"""What a service sends is bounded, and what it cites is not fetched."""

import copy
import pickle
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from qaip_core import ServiceError
from qaip_core.errors import MalformedResponseError
from support.fault_server import FaultServer, Reply, json_reply
from support.faults.matrix import Row, matrix, tried
from support.faults.speech import PERPLEXITY, QAIP_RUN, Speech
from support.faults.subjects import CORE, SUBJECTS, Subject
from support.faults.tables.bounds import HEADS, MANY

ASKING = [s for s in SUBJECTS if s.layer != "core" or s.streams]
BOTH = [s for s in CORE if (s.service, s.operation) == ("perplexity", "chat") and s.streams]
MIB = 1 << 20
LETTERS = b"a" * MIB


# The head of a response


@matrix(HEADS, subjects=ASKING, streams=None, thin=True, applies=lambda _row, s: s is not QAIP_RUN)
def test_the_head_and_the_error_body_of_a_response_are_bounded(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    error = tried(server, subject, speech, row).error
    assert isinstance(error, ServiceError)
    assert len(str(error)) < 1000
    assert len(str(error.body)) <= 64 * 1024


@matrix(MANY, subjects=BOTH)
def test_many_headers_are_no_fault(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)


# The body: an endless one ends at 32 MiB, in no more memory than that

ENDLESS: Mapping[str, Reply] = {
    "a line": Reply(body=[b'data: {"a":"', *[LETTERS] * 34], content_type="text/event-stream"),
    "an event": Reply(body=[b"data: " + LETTERS + b"\n"] * 34, content_type="text/event-stream"),
    "a body": Reply(body=[b'{"a":"', *[LETTERS] * 34]),
}


@pytest.mark.parametrize("reply", ENDLESS.values(), ids=ENDLESS)
def test_what_has_no_end_is_refused_in_bounded_memory(reply: Reply, server: FaultServer) -> None:
    server.reset()
    server.replies(reply)
    tracemalloc.start()
    try:
        outcome = BOTH[0].ask(server.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome.kind is MalformedResponseError
    assert f"exceeds {32 * MIB} bytes" in str(outcome.error)
    assert len(str(outcome.error)) < 1000
    assert peak < 48 * MIB


# What is cited

CITING = [s for s in SUBJECTS if s.speeches[0].sources]
WORKS: Sequence[Callable[[Any], object]] = [
    repr,
    str,
    copy.copy,
    copy.deepcopy,
    lambda thing: pickle.loads(pickle.dumps(thing)),
    lambda thing: thing.model_dump() if hasattr(thing, "model_dump") else None,
    lambda thing: getattr(thing, "content_blocks", None),
    lambda thing: getattr(thing, "source_nodes", None),
    lambda thing: thing.pretty_repr() if hasattr(thing, "pretty_repr") else None,
]


@pytest.fixture(scope="module")
def cited() -> Iterator[FaultServer]:
    """What the sources point to."""
    with FaultServer() as running:
        yield running


def sources(url: str) -> Sequence[dict[str, Any]]:
    places = [f"{url}/page", f"{url}/image.png", f"{url}/paper.pdf#page=2", "file:///etc/hostname"]
    return [
        {"id": f"s-{n}", "url": place, "title": place, "text": f"![tea]({place})"}
        for n, place in enumerate(places)
    ]


def things(subject: Subject, url: str) -> list[Any]:
    """What a call returns: the answer, its pieces, what it holds."""
    with subject.make(url) as made:
        began = subject.open(made)
        pieces = list(subject.way.pieces(began)) if subject.streams else [began]
    return [*getattr(began, "source_nodes", ()), *pieces]


@pytest.mark.parametrize("subject", [s for s in CITING if not s.is_async], ids=repr)
def test_what_is_cited_is_not_fetched(
    subject: Subject, server: FaultServer, cited: FaultServer
) -> None:
    speech = subject.speeches[0].citing(sources(cited.url))
    server.reset()
    server.replies(
        speech.answer(f"tea [1] ![tea]({cited.url}/tea.png)", stream=subject.wants_stream)
    )
    got = things(subject, server.url)
    assert cited.url in str(got)
    for thing in got:
        for work in WORKS:
            work(thing)
    assert cited.requests == []
    assert cited.open_connections == 0


@pytest.mark.parametrize("subject", [s for s in CITING if s.is_async], ids=repr)
def test_what_is_cited_is_not_fetched_by_async_calls(
    subject: Subject, server: FaultServer, cited: FaultServer
) -> None:
    speech = subject.speeches[0].citing(sources(cited.url))
    server.reset()
    server.replies(speech.answer("tea [1]", stream=subject.wants_stream))
    assert subject.ask(server.url).error is None
    assert cited.requests == []
    assert cited.open_connections == 0


@pytest.mark.parametrize(
    "subject", [s for s in CITING if s.speeches[0] is PERPLEXITY and not s.is_async], ids=repr
)
def test_images_of_an_answer_are_not_fetched(
    subject: Subject, server: FaultServer, cited: FaultServer
) -> None:
    image = {"image_url": f"{cited.url}/tea.png", "origin_url": f"{cited.url}/", "title": "Tea"}
    speech = subject.speeches[0]
    body = {**speech.body("tea"), "images": [image]}
    chunk = {**body, "choices": [{**body["choices"][0], "delta": {"content": "tea"}}]}
    server.reset()
    server.replies(speech.stream(speech.frame(chunk)) if subject.streams else json_reply(body))
    for thing in things(subject, server.url):
        for work in WORKS:
            work(thing)
    assert cited.requests == []
    assert cited.open_connections == 0
