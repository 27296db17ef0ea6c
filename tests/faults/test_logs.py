"""What is told of calls on the way, in traces, events and logs: no key, and no word of them."""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler

from support.fault_server import FaultServer, json_reply
from support.faults.matrix import thinned
from support.faults.secrets import (
    ANSWER,
    ASKING,
    ECHO,
    HEADER,
    Echoes,
    answer,
    asking,
    holds,
    spoken,
)
from support.faults.subjects import LANGCHAIN, LLAMA_INDEX, Subject

# Traces


class Tracer(BaseTracer):
    """Keeps every run that is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "refused"])
@pytest.mark.parametrize("subject", LANGCHAIN, ids=repr)
def test_no_trace_of_langchain_shows_the_key(
    subject: Subject, fails: bool, server: FaultServer
) -> None:
    tracer = Tracer()
    server.reset()
    server.replies(json_reply(ECHO, 401) if fails else answer(subject))
    traced = asking(subject, config={"callbacks": [tracer]})
    outcome = traced.ask(server.url, default_headers={"x-gate": HEADER})
    assert bool(outcome.error) is fails
    assert tracer.runs or subject.name.endswith("astream_events")  # it ends before its tracers do
    assert not any(holds(run.model_dump_json()) for run in every(tracer))


def every(tracer: Tracer) -> Iterator[Run]:
    waiting = [*tracer.runs]
    while waiting:
        run = waiting.pop()
        waiting += run.child_runs
        yield run


class Listener(BaseEventHandler):
    """Keeps every event of LlamaIndex's instrumentation."""

    heard: list[Any] = []

    def handle(self, event: Any, **_: Any) -> None:
        self.heard.append(event)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener(heard=[])
    dispatcher = get_dispatcher("root")
    dispatcher.add_event_handler(listening)
    yield listening
    dispatcher.event_handlers.remove(listening)


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "refused"])
@pytest.mark.parametrize("subject", LLAMA_INDEX, ids=repr)
def test_no_event_of_llama_index_shows_the_key(
    subject: Subject, fails: bool, server: FaultServer, listener: Listener
) -> None:
    server.reset()
    server.replies(json_reply(ECHO, 401) if fails else answer(subject))
    outcome = asking(subject).ask(server.url, default_headers={"x-gate": HEADER})
    assert bool(outcome.error) is fails
    assert listener.heard
    assert not any(holds(f"{event!r} {event.model_dump()}") for event in listener.heard)


# Logs

DEBUG = [
    pytest.param(subject, fails, id=f"{'refused' if fails else 'answered'}-{subject.name}")
    for place, fails in enumerate((False, True))
    for subject in thinned(ASKING, place)
]


@pytest.mark.parametrize(("subject", "fails"), DEBUG)
def test_no_log_shows_the_key(
    subject: Subject, fails: bool, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.reset()
    server.replies(json_reply(ECHO, 401) if fails else answer(subject))
    with warnings.catch_warnings(record=True) as warned:
        subject.ask(server.url, default_headers={"x-gate": HEADER})
    assert caplog.records
    assert not any(holds(f"{r.getMessage()} {vars(r)}") for r in caplog.records)
    assert not holds([str(w.message) for w in warned])


ALLOWED = re.compile(r'HTTP Request: POST http://127\.0\.0\.1:\d+/[\w/-]+ "HTTP/1\.1 \d{3} [\w ]*"')
INFO: Mapping[str, Echoes] = {
    "answered": lambda s: s.stream(*s.said(ANSWER)),
    "refused": lambda s: json_reply({"message": ANSWER}, 400),
    "cut": lambda s: s.stream(s.piece(ANSWER), end="cut"),
    "in no JSON": lambda s: s.stream(s.frame(ANSWER)),
}
TOLD = [
    pytest.param(subject, reply, id=f"{name}-{subject.name}")
    for place, (name, reply) in enumerate(INFO.items())
    for subject in thinned(ASKING, place)
]


@pytest.mark.parametrize(("subject", "reply"), TOLD)
def test_a_log_tells_method_place_and_status_and_nothing_of_what_was_said(
    subject: Subject, reply: Echoes, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.reset()
    server.replies(reply(spoken(subject)))
    asking(subject).ask(server.url)
    assert caplog.records
    strange = [r.getMessage() for r in caplog.records if not ALLOWED.fullmatch(r.getMessage())]
    assert strange == []
