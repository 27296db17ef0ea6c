"""What real servers sent means to us what a plain reading of the same bytes says.

The recordings lie beside the project; where they are absent, there is nothing to test.
Every class of the frameworks meets them in ``tests/faults/test_recordings.py``.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, Completion, ServiceError
from qaip_core.types import add_up
from support.backends import settings
from support.fault_server import FaultServer, Reply, cut
from support.recordings import (
    ENGINES,
    LABELLED,
    RECORDINGS,
    Reading,
    Recording,
    need_recordings,
    without_thinking,
)
from support.replay import Played, Replay

need_recordings()

BYTE_BY_BYTE = 16 * 1024


def check(recording: Recording, reading: Reading, answer: Completion) -> None:
    thinks = recording.endpoint.thinks
    for choice in answer.choices:
        reasoning, text = ("", reading.texts[choice.index])
        if thinks:
            reasoning, text = without_thinking(text)
        assert choice.text == text
        assert choice.reasoning == reasoning
        assert choice.finish_reason == reading.ends[choice.index]
    assert {c.index for c in answer.choices} == set(reading.texts)
    assert answer.finish_reason == reading.end
    if reading.usage:
        assert answer.usage is not None
        assert answer.usage.input_tokens == reading.usage["prompt_tokens"]
        assert answer.usage.output_tokens == reading.usage["completion_tokens"]
        assert answer.usage.total_tokens == reading.usage["total_tokens"]
    else:
        assert answer.usage is None
    check_sources(recording, reading, answer)


def check_sources(recording: Recording, reading: Reading, answer: Completion) -> None:
    assert len(answer.citations) == len(reading.sources)
    for rank, (known, sent) in enumerate(
        zip(answer.citations, reading.sources, strict=True), start=1
    ):
        assert known.rank == sent.get("position", rank)
        if recording.is_dify:
            assert (known.title, known.text) == (sent["document_name"], sent["content"])
            assert known.score == (sent["score"] or None)
            assert known.id == (sent["segment_id"] or known.id)
        else:
            assert (known.url, known.title) == (sent["url"] or None, sent["title"])
            assert (known.text, known.date) == (sent.get("snippet"), sent.get("date"))
        for span in known.spans:
            assert answer.text[span.start : span.end] == f"[{rank}]"
        assert len(known.spans) == answer.text.count(f"[{rank}]")


def check_error(recording: Recording, reading: Reading, error: ServiceError) -> None:
    assert error.partial_text == reading.text
    if recording.status == 200:
        return
    assert error.status == recording.status
    assert "no reason" not in str(error) or b'"message":""' in recording.body
    for value in inputs_of(json.loads(recording.body) if recording.body[:1] == b"{" else {}):
        assert value not in error.message


def inputs_of(body: Mapping[str, Any]) -> list[str]:
    """What a validation error repeats of the request."""
    faults = body.get("detail")
    faults = faults if isinstance(faults, list) else []
    return [str(f["input"]) for f in faults if f.get("input") and len(str(f["input"])) > 2]


def values_of(recording: Recording) -> dict[str, Any]:
    return recording.values if recording.is_dify else {"model": "m", **recording.values}


def ask(client: Client, recording: Recording) -> Completion:
    values = values_of(recording)
    if not recording.stream:
        return client.complete(recording.endpoint, "q", values)
    return add_up(list(client.stream(recording.endpoint, "q", values)))


async def ask_async(client: AsyncClient, recording: Recording) -> Completion:
    values = values_of(recording)
    if not recording.stream:
        return await client.complete(recording.endpoint, "q", values)
    return add_up([i async for i in client.stream(recording.endpoint, "q", values)])


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay()


each_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=lambda r: r.name)


def test_there_is_something_of_every_origin() -> None:
    origins = {recording.name.partition("/")[0] for recording in RECORDINGS}
    assert origins == {*LABELLED, *ENGINES, "dify"}


@each_recording
def test_over_a_socket(recording: Recording, server: FaultServer) -> None:
    end: Any = "clean" if recording.whole else "cut"
    reply = Reply(recording.status, None, recording.headers, None, recording.body, end=end)
    server.replies(reply)
    reading = recording.reading
    client = Client(settings(recording.endpoint, server.url))
    if reading.error is None:
        check(recording, reading, ask(client, recording))
    else:
        with pytest.raises(reading.error) as caught:
            ask(client, recording)
        check_error(recording, reading, caught.value)
    client.close()


def one_by_one(body: bytes) -> list[bytes]:
    """The bytes one by one; of the few long recordings the beginning, then by sevens."""
    return cut(body[:BYTE_BY_BYTE], sizes=1) + cut(body[BYTE_BY_BYTE:], sizes=7)


@each_recording
async def test_byte_by_byte(recording: Recording, replay: Replay) -> None:
    end: Any = "clean" if recording.whole else "cut"
    replay.play(Played(recording.status, recording.headers, one_by_one(recording.body), end))
    reading = recording.reading
    client = AsyncClient(settings(recording.endpoint, "http://127.0.0.1:9", **replay.fields))
    if reading.error is None:
        check(recording, reading, await ask_async(client, recording))
    else:
        with pytest.raises(reading.error) as caught:
            await ask_async(client, recording)
        check_error(recording, reading, caught.value)
