"""HTTP may be written, and broken, in many ways: all end in the answer or an error of ours."""

from support.fault_server import FaultServer
from support.faults.matrix import Row, matrix, tried
from support.faults.speech import Speech
from support.faults.subjects import CORE, Subject
from support.faults.tables.http_framing import CHUNKED, HEADS, heads


@matrix([*HEADS, *CHUNKED], thin=True)
def test_a_stream(subject: Subject, speech: Speech, row: Row, server: FaultServer) -> None:
    tried(server, subject, speech, row)


def body(speech: Speech) -> tuple[str, bytes]:
    reply = speech.answer("tea", stream=False)
    assert isinstance(reply.body, bytes)
    return "application/json", reply.body


@matrix(heads(body), subjects=CORE, streams=False, thin=True)
def test_a_whole_answer(subject: Subject, speech: Speech, row: Row, server: FaultServer) -> None:
    tried(server, subject, speech, row)
