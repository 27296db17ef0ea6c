"""A status that says success proves nothing: the answer is complete, or a typed error."""

import gzip
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from support.fault_server import FaultServer, Reply
from support.faults.matrix import Row, malformed, matrix, tried
from support.faults.speech import Speech
from support.faults.subjects import BLOCKING, CORE, SUBJECTS, Subject
from support.faults.tables.bad_successes import BODIES, STATUSES, STREAM_BODIES, STREAMS, WHOLES

ALL = [*SUBJECTS, *BLOCKING]

# Where a whole answer was asked for


@matrix(BODIES, subjects=ALL, streams=False, every_class=True)
def test_a_body_in_every_class(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)


@matrix([*WHOLES, *STATUSES], subjects=ALL, streams=False, thin=True)
def test_a_body(subject: Subject, speech: Speech, row: Row, server: FaultServer) -> None:
    tried(server, subject, speech, row)


# Where a stream was asked for


@matrix(STREAM_BODIES, every_class=True)
def test_a_body_for_a_stream_in_every_class(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)


@matrix(STREAMS, thin=True)
def test_a_body_for_a_stream(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)


# Bodies without measure

MB = 1 << 20
SOME = [s for s in CORE if (s.service, s.operation) == ("pais", "chat")]


def too_long(*pieces: bytes, **more: str) -> Reply:
    return Reply(body=pieces, framing="length", headers=more)


TOO_LONG = [
    Row(
        "40 MB of a text",
        lambda _: too_long(b'{"a": "', *[b"x" * MB] * 40),
        malformed("", "exceeds 33554432 bytes"),
    ),
    Row(
        "40 MB of blanks",
        lambda _: too_long(*[b" " * MB] * 40),
        malformed("", "exceeds 33554432 bytes"),
    ),
]


def bomb(size: int) -> bytes:
    """Blanks in gzip, in blocks of 1 MB that know nothing of each other; it has no end."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packing.compress(b" " * MB) + packing.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + block * (size // MB)


BOMB = bomb(100 * MB)
BOMBS = [
    Row(
        "100 kB of gzip that hold 100 MB",
        lambda _: Reply(body=BOMB, headers={"content-encoding": "gzip"}),
        malformed("", "exceeds"),
    ),
    Row(
        "100 MB in two coats of gzip",
        lambda _: Reply(body=gzip.compress(BOMB), headers={"content-encoding": "gzip, gzip"}),
        malformed(),
    ),
]


@matrix(TOO_LONG, subjects=SOME, streams=None)
def test_a_body_without_measure_is_refused(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    with peak_below(64 * MB):
        tried(server, subject, speech, row)


@matrix(BOMBS, subjects=SOME[:2], streams=None)
def test_what_is_packed_is_unpacked_with_measure(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    with peak_below(64 * MB):
        tried(server, subject, speech, row)


@contextmanager
def peak_below(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()
