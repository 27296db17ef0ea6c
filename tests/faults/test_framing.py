"""Legal bytes mean the same however they are laid out and cut; others are an error of ours."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from qaip_core.errors import IncompleteStreamError
from support.fault_server import FaultServer, Reply, cut
from support.faults.handed import NOWHERE, Handed
from support.faults.matrix import Row, check, matrix, tried
from support.faults.speech import Speech
from support.faults.subjects import CORE, LANGCHAIN, LLAMA_INDEX, Outcome, Subject
from support.faults.tables.framing import EVENTS, LABELS, LINES

ROWS = [*EVENTS, *LABELS, *LINES]
SHORT = [row for row in ROWS if row.name not in ("a comment of 10 kB", "a line of 2 MiB")]
UNCUT = [row for row in SHORT if "in one piece" in row.name]
STREAMING = [subject for subject in CORE if subject.streams]


def sent(speech: Speech, row: Row) -> Reply:
    reply = row.replies(speech)
    assert isinstance(reply, Reply)
    return reply


def joined(reply: Reply) -> bytes:
    assert not isinstance(reply.body, bytes)
    return b"".join(piece for piece in reply.body if isinstance(piece, bytes))


@matrix(ROWS, thin=True)
def test_the_layout_of_a_stream(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)


@pytest.mark.parametrize("size", [1, 7])
@matrix(SHORT, subjects=[*LANGCHAIN, *LLAMA_INDEX], thin=True)
def test_a_stream_cut_to_pieces(subject: Subject, speech: Speech, row: Row, size: int) -> None:
    reply = sent(speech, row)
    transport = Handed(reply.content_type, cut(joined(reply), sizes=size))
    check(subject.ask(NOWHERE, **transport.fields(subject)), row.expected_of(speech), speech)


def one_each(rows: Sequence[Row]) -> Iterator[Any]:
    """Each row with one service and one way of streaming, so that all take their turn."""
    pairs = [(subject, speech) for subject in STREAMING for speech in subject.speeches]
    for place, row in enumerate(rows):
        able = [pair for pair in pairs if row.replies(pair[1]) is not None]
        subject, speech = able[place % len(able)]
        yield pytest.param(subject, speech, row, id=f"{row.name}-{speech.name}-{subject.name}")


def joints(body: bytes) -> Iterator[int]:
    """Where something may begin or end: the start, line ends, inside of characters; and between."""
    for at in range(1, len(body)):
        around = body[at - 2 : at + 2]
        if at < 24 or at % 16 == 0 or any(b in b"\r\n" or b >= 0x80 for b in around):
            yield at


async def ask(subject: Subject, made: Any) -> Outcome:
    return await subject.aask_of(made) if subject.is_async else subject.ask_of(made)


async def ask_with_cuts(
    subject: Subject, speech: Speech, row: Row, cuts: Callable[[bytes], Iterable[int]]
) -> None:
    reply = sent(speech, row)
    body, transport = joined(reply), Handed(reply.content_type)
    made = subject.make(NOWHERE, **transport.fields(subject))
    for at in cuts(body):
        transport.pieces = [body[:at], body[at:]]
        check(await ask(subject, made), row.expected_of(speech), speech)


@pytest.mark.parametrize(("subject", "speech", "row"), [*one_each(SHORT)])
async def test_a_stream_cut_in_two_at_its_joints(
    subject: Subject, speech: Speech, row: Row
) -> None:
    await ask_with_cuts(subject, speech, row, joints)


@matrix(UNCUT, subjects=[subject for subject in STREAMING if not subject.is_async])
async def test_a_stream_cut_in_two_at_every_byte(
    subject: Subject, speech: Speech, row: Row
) -> None:
    await ask_with_cuts(subject, speech, row, lambda body: range(1, len(body)))


@matrix(UNCUT, subjects=STREAMING)
def test_a_stream_in_chunks_of_one_byte_from_a_socket(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    reply = sent(speech, row)
    server.reset()
    server.replies(replace(reply, body=cut(joined(reply), sizes=1)))
    check(subject.ask(server.url), row.expected_of(speech), speech)


# What is neither events nor JSON is the answer itself, as raw text: Qaip's documents leave it open.
RAW: Sequence[str] = [
    "Tea is a drink.\nIt is hot.",
    "\n\nTea",
    "Tea\r\nis\rhot\u2028and\x85wet\n",
    "\ufeffTea",
    "茶🍵",
    "id: 7 is my number",
    "id: 7\nis my number",
    "id:\n\n7 is my number",
    "event: dinner at eight",
    "event: dinner\n\nWe meet at eight.",
    "retry: never",
    "retry: 3\ntimes, then give up",
    ": so it begins\nand so it ends",
    "data: the new oil\n",
    "data are plural",
    "data",
    "da",
    "{sic} is Latin",
    "{sic}\n",
    "{1, 2} is a set",
    "[1] says so",
    '"Tea"',
    "7",
    "<b>Tea</b>",
    "< 5 minutes",
]
QAIP_STREAMS = [subject for subject in STREAMING if subject.service == "qaip"]


@pytest.mark.parametrize("subject", QAIP_STREAMS, ids=repr)
@pytest.mark.parametrize("text", RAW)
async def test_raw_text_is_the_answer_at_every_cut(subject: Subject, text: str) -> None:
    body = text.encode()
    transport = Handed("text/plain")
    made = subject.make(NOWHERE, **transport.fields(subject))
    in_two = [[body[:at], body[at:]] for at in range(len(body))]
    for transport.pieces in [*in_two, cut(body, sizes=1)]:
        outcome = await ask(subject, made)
        assert outcome.error is None
        assert outcome.text == text.removeprefix("\ufeff"), transport.pieces


@pytest.mark.parametrize(
    "text", ["event: dinner", "id: 7\nid: 8", ": so it begins", "[DONE]", '{"a']
)
@pytest.mark.parametrize("subject", QAIP_STREAMS, ids=repr)
def test_what_may_be_half_a_stream_is_not_taken_for_text(subject: Subject, text: str) -> None:
    transport = Handed("text/plain", [text.encode()])
    outcome = subject.ask(NOWHERE, **transport.fields(subject))
    assert outcome.kind is IncompleteStreamError
    assert outcome.text == ""


@pytest.mark.parametrize("line", ['{"other": 1}', "{}", '{"choices": []}'])
@pytest.mark.parametrize("subject", QAIP_STREAMS, ids=repr)
def test_objects_of_which_none_is_an_answer_are_no_answer(subject: Subject, line: str) -> None:
    transport = Handed("text/plain", [f"{line}\n".encode()])
    outcome = subject.ask(NOWHERE, **transport.fields(subject))
    assert outcome.kind is IncompleteStreamError
