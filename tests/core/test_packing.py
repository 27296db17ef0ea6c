"""A packed body is unpacked to its last byte, or it is an error: httpx is not asked to do it."""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from qaip_core.errors import IncompleteStreamError, MalformedResponseError, ServiceConnectionError
from support.fault_server import FaultServer, Framing, Reply, cut
from support.faults.subjects import CORE, Subject

MIB = 1 << 20
# Prose without a pattern: packed, its half still unpacks to a good part of it.
PROSE = "".join(random.Random(1).choices("abcdefghij klmno", k=8000)).encode()
ANSWER = json.dumps({"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]})
BODY = ANSWER.encode()
PACKED = gzip.compress(BODY)
CODINGS = {"gzip": gzip.compress(PROSE), "deflate": zlib.compress(PROSE)}
FRAMINGS: Sequence[Framing] = ("chunked", "length", "close")

RAW_TEXT = [s for s in CORE if s.service == "qaip" and s.streams]
WHOLE = [s for s in CORE if s.name.startswith("fireworks chat.complete")]
each_driver_of_text = pytest.mark.parametrize("subject", RAW_TEXT, ids=repr)
each_driver = pytest.mark.parametrize("subject", WHOLE, ids=repr)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def packed_text(coding: str, body: bytes, framing: Framing = "length") -> Reply:
    return Reply(
        headers={"Content-Encoding": coding}, content_type="text/plain", body=body, framing=framing
    )


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


# What is cut: raw text has no end mark of its own, so only the packing tells


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("coding", CODINGS)
@each_driver_of_text
def test_packed_text_that_is_cut_is_incomplete_however_well_its_framing_ends(
    subject: Subject, coding: str, framing: Framing, server: FaultServer
) -> None:
    half = CODINGS[coding][: len(CODINGS[coding]) // 2]
    server.replies(packed_text(coding, half, framing))
    outcome = subject.ask(server.url)
    assert outcome.kind is IncompleteStreamError
    assert outcome.text == outcome.partial
    assert 0 < len(outcome.partial) < len(PROSE)
    assert PROSE.decode().startswith(outcome.partial)


@each_driver_of_text
def test_packed_text_without_its_checksum_is_incomplete(
    subject: Subject, server: FaultServer
) -> None:
    server.replies(packed_text("gzip", CODINGS["gzip"][:-6]))
    outcome = subject.ask(server.url)
    assert outcome.kind is IncompleteStreamError
    assert outcome.partial == PROSE.decode()


@each_driver
def test_a_packed_whole_answer_that_is_cut_is_a_broken_connection(
    subject: Subject, server: FaultServer
) -> None:
    server.replies(Reply(headers={"Content-Encoding": "gzip"}, body=PACKED[:-10], framing="length"))
    assert subject.ask(server.url).kind is ServiceConnectionError


# What zlib still holds when it has given a full piece, and has taken all that came

LONG: Mapping[str, int] = {"1 MiB": MIB, "a byte more": MIB + 1, "258 bytes more": MIB + 258}


@pytest.mark.parametrize("size", LONG.values(), ids=LONG)
@pytest.mark.parametrize("pack", [zlib.compress, raw_deflate], ids=["deflate", "raw deflate"])
@each_driver_of_text
def test_no_tail_is_lost_after_a_full_piece(
    subject: Subject, pack: Callable[[bytes], bytes], size: int, server: FaultServer
) -> None:
    server.replies(packed_text("deflate", pack(b"a" * size)))
    outcome = subject.ask(server.url)
    assert outcome.error is None
    assert len(outcome.text or "") == size


@each_driver_of_text
def test_text_that_unpacks_without_end_is_refused_at_its_bound(
    subject: Subject, server: FaultServer
) -> None:
    server.replies(packed_text("gzip", gzip.compress(b"a" * MIB) * 40))
    outcome = subject.ask(server.url)
    assert outcome.kind is MalformedResponseError
    assert len(outcome.text or "") == 32 * MIB


# What is packed in an odd way, and yet whole

FINE: Mapping[str, tuple[str, bytes]] = {
    "padding": ("gzip", PACKED + b"\0" * 8),
    "two members": ("gzip", gzip.compress(BODY[:20]) + gzip.compress(BODY[20:])),
    "an empty member first": ("gzip", gzip.compress(b"") + PACKED),
    "padding between members": ("gzip", gzip.compress(b"") + b"\0" * 8 + PACKED),
    "in capitals": ("GZIP", PACKED),
    "by its old name": ("x-gzip", PACKED),
    "and not at all": ("gzip, identity", PACKED),
    "not at all, and": ("identity, gzip", PACKED),
    "a trailing comma": ("gzip ,", PACKED),
    "zlib": ("deflate", zlib.compress(BODY)),
    "without zlib's head": ("deflate", raw_deflate(BODY)),
    "an empty name": ("", BODY),
    "a charset for a coding": ("utf-8", BODY),
}


@pytest.mark.parametrize("size", [1, MIB], ids=["by bytes", "at once"])
@pytest.mark.parametrize(("coding", "body"), FINE.values(), ids=FINE)
@each_driver
def test_a_body_that_is_packed_in_an_odd_way_is_read(
    subject: Subject, coding: str, body: bytes, size: int, server: FaultServer
) -> None:
    pieces = cut(body, sizes=size)
    server.replies(Reply(headers={"Content-Encoding": coding}, body=pieces, framing="length"))
    outcome = subject.ask(server.url)
    assert outcome.error is None
    assert outcome.text == "tea"


NOT_FINE: Mapping[str, tuple[str, bytes]] = {
    "garbage after it": ("gzip", PACKED + b"xx"),
    "twice": ("gzip, gzip", gzip.compress(PACKED)),
    "a coding that was not asked for": ("br", PACKED),
}


@pytest.mark.parametrize(("coding", "body"), NOT_FINE.values(), ids=NOT_FINE)
@each_driver
def test_a_body_that_cannot_be_unpacked_is_malformed(
    subject: Subject, coding: str, body: bytes, server: FaultServer
) -> None:
    server.replies(Reply(headers={"Content-Encoding": coding}, body=body, framing="length"))
    assert subject.ask(server.url).kind is MalformedResponseError
