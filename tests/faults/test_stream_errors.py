"""What goes wrong in the middle of a stream is raised; what only looks like it is not."""

from collections.abc import Mapping
from typing import NamedTuple

from qaip_core.errors import ServerReportedError
from support.fault_server import FaultServer
from support.faults.matrix import Row, matrix, tried, whole
from support.faults.speech import Speech
from support.faults.subjects import CORE, Subject
from support.faults.tables.stream_errors import (
    ENVELOPES,
    ERRORS,
    LOOKALIKES,
    NOTHINGS,
    OTHER_SHAPES,
    REPORTS,
)


@matrix(ERRORS, every_class=True)
def test_an_error_in_a_stream(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)


@matrix([*ENVELOPES, *OTHER_SHAPES, *NOTHINGS, *LOOKALIKES], thin=True)
def test_a_frame_in_the_middle_of_a_stream(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)


class Facts(NamedTuple):
    """What an error tells: the status that it names, its code, whether to try again."""

    status: int | None
    code: str | None
    may_pass: bool


FACTS: Mapping[str, Facts] = {
    "an engine's error with a number and a type": Facts(500, "server_error", may_pass=True),
    "an engine's error behind an agent of PAIS": Facts(500, "server_error", may_pass=True),
    "a run of Perplexity's agent that fails": Facts(None, "upstream_failed", may_pass=False),
    "a run of Perplexity's agent that is cancelled": Facts(None, "run_cancelled", may_pass=False),
    "an error of the transport to Perplexity's agent": Facts(502, "502", may_pass=True),
    "an error of an agent of PAIS": Facts(None, "AGENT_COMPLETION_FAILED", may_pass=False),
    "an error of Perplexity with a status for its code": Facts(
        429, "too_many_requests", may_pass=True
    ),
    "a run of Dify that its model refuses": Facts(400, "completion_request_error", may_pass=False),
    "a run of Dify that comes too often": Facts(429, "rate_limit_error", may_pass=True),
    "a run of Dify that breaks": Facts(500, "internal_server_error", may_pass=True),
    "a run of Qaip that fails": Facts(None, "REDACTION_FAILED", may_pass=False),
    "an error of Qaip between two lines": Facts(None, "overloaded", may_pass=False),
}


@matrix(REPORTS, thin=True)
def test_an_error_tells_what_the_service_said(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    error = tried(server, subject, speech, row).error
    assert isinstance(error, ServerReportedError)
    assert Facts(error.status, error.code, error.is_retryable) == FACTS[row.name]
    assert isinstance(error.body, dict)
    assert "kaput" in str(error.body)


HUGE = [
    Row(
        "an event of 3 MB",
        lambda s: s.stream(s.piece("x" * 3_000_000), s.end(), s.done),
        whole("x" * 3_000_000),
    )
]


@matrix(HUGE, subjects=CORE)
def test_a_huge_event_is_an_event(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)
