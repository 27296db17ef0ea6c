"""However a stream ends, the caller gets the complete answer, or an error and all that had come."""

from support.fault_server import FaultServer
from support.faults.matrix import Row, matrix, tried
from support.faults.speech import Speech
from support.faults.subjects import Subject
from support.faults.tables.stream_ends import ENDS


@matrix(ENDS)
def test_the_end_of_a_stream(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)
