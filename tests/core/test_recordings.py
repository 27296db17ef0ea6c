"""What real services sent means to us what a plain reading of the same bytes says.

The recordings lie beside the project; where they are absent, there is nothing to test.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, Completion, ServiceError, errors
from qaip_core.backend import Endpoint
from qaip_core.backends import dify, fireworks, pais, perplexity
from support.backends import settings
from support.fault_server import FaultServer, Reply, cut

WIRE = Path(__file__).resolve().parents[3] / "shared/wire"

if not WIRE.is_dir():
    pytest.skip(f"no recordings at {WIRE}", allow_module_level=True)

ENDPOINTS: Mapping[str, Endpoint] = {
    "perplexity": perplexity.CHAT,
    "fireworks": fireworks.CHAT,
    "openai_completions": pais.TEXT,
}
PATHS: Mapping[str, Endpoint] = {
    "/chat/completions": pais.CHAT,
    "/completions": pais.TEXT,
    "/completion-messages": dify.COMPLETION,
}
ENGINES = ("llama_cpp_python", "llama_server", "gateway_over_llama_server", "dify_server")
FRAMING = {"content-length", "transfer-encoding", "connection"}
KINDS: Mapping[int, type[ServiceError]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    503: errors.ServerError,
}


@dataclass
class Recording:
    name: str
    endpoint: Endpoint
    body: bytes
    status: int = 200
    headers: Sequence[tuple[str, str]] = (("content-type", "application/json"),)
    stream: bool = False
    whole: bool = True

    def reply(self, size: int | None = None) -> Reply:
        body = self.body if size is None else cut(self.body, sizes=size)
        end: Any = "clean" if self.whole else "cut"
        return Reply(self.status, None, self.headers, None, body, end=end)


def endpoint_of(folder: Path, request: Any) -> Endpoint | None:
    if folder.parent.name in ENDPOINTS:
        return ENDPOINTS[folder.parent.name]
    if request["method"] != "POST":
        return None
    return next((e for path, e in PATHS.items() if request["path"].endswith(path)), None)


def recorded(folder: Path) -> Recording | None:
    request = json.loads((folder / "request.json").read_bytes())
    response = json.loads((folder / "response.json").read_bytes())
    endpoint = endpoint_of(folder, request)
    if endpoint is None:
        return None
    asked = request.get("body") if "path" in request else request
    asked = asked if isinstance(asked, dict) else {}
    headers = response["headers"]
    pairs = headers.items() if isinstance(headers, dict) else headers
    (body,) = folder.glob("body.*")
    return Recording(
        str(folder.relative_to(WIRE)),
        endpoint,
        body.read_bytes(),
        response["status"],
        [(name, value) for name, value in pairs if name.lower() not in FRAMING],
        stream=asked.get("stream") is True
        or asked.get("response_mode") == "streaming"
        or body.suffix == ".sse",
        whole=response.get("framing_complete") is not False,
    )


def documented() -> Iterator[Recording]:
    """The vendor's own samples have no recorded head."""
    folder = WIRE / "dify"
    sse = [("content-type", "text/event-stream")]
    for path in sorted(folder.glob("*.sse")):
        body = path.read_bytes()
        yield Recording(f"dify/{path.name}", dify.COMPLETION, body, 200, sse, stream=True)
    body = (folder / "completion_blocking_example.json").read_bytes()
    yield Recording("dify/completion_blocking_example", dify.COMPLETION, body)
    samples = json.loads((folder / "error_examples.json").read_bytes())
    for status, cases in samples.items():
        for code, case in cases.items():
            sample = json.dumps(case["value"]).encode()
            yield Recording(f"dify/{status}/{code}", dify.COMPLETION, sample, int(status))


def recordings() -> list[Recording]:
    folders = [f.parent for f in sorted(WIRE.glob("*/**/response.json"))]
    known = {*ENDPOINTS, *ENGINES}
    found = [recorded(f) for f in folders if f.relative_to(WIRE).parts[0] in known]
    return [*(r for r in found if r is not None), *documented()]


RECORDINGS = recordings()


@dataclass
class Reading:
    """What a plain reading makes of a body."""

    texts: dict[int, str] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    sources: list[dict[str, Any]] = field(default_factory=list)
    error: type[ServiceError] | None = None

    @property
    def text(self) -> str:
        return self.texts[min(self.texts)] if self.texts else ""

    @property
    def end(self) -> str | None:
        return self.ends[min(self.texts)] if self.texts else None


def data_of(body: bytes) -> Iterator[Any]:
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    text = re.sub(r"\r\n|\r", "\n", text)
    *events, _unfinished = text.split("\n\n")
    for event in events:
        payload = "\n".join(
            line.removeprefix("data:").removeprefix(" ")
            for line in event.split("\n")
            if line.startswith("data:")
        )
        if payload == "[DONE]":
            return
        if payload not in ("", "null"):
            yield json.loads(payload)


def read_chunks(chunks: Iterator[Any], part: str) -> Reading:
    found = Reading()
    try:
        for chunk in chunks:
            if "error" in chunk:
                found.error = errors.ServerReportedError
                return found
            add_chunk(found, chunk, part)
    except json.JSONDecodeError:
        found.error = errors.MalformedResponseError
        return found
    if not found.texts or found.texts.keys() != found.ends.keys():
        found.error = errors.IncompleteStreamError
    return found


def add_chunk(found: Reading, chunk: dict[str, Any], part: str) -> None:
    found.usage = chunk.get("usage") or found.usage
    found.sources = chunk.get("search_results") or found.sources
    for choice in chunk.get("choices", []):
        place = choice["index"]
        said = choice[part].get("content") if part in choice else choice["text"]
        found.texts[place] = found.texts.get(place, "") + (said or "")
        if choice.get("finish_reason"):
            found.ends[place] = choice["finish_reason"]


def read_run(run: Iterator[Any]) -> Reading:
    found = Reading({0: ""}, {0: "stop"})
    for event in run:
        if event["event"] == "error":
            found.error = errors.ServerReportedError
            return found
        if event["event"] == "message_replace":
            found.texts[0] = event["answer"]
        elif isinstance(event.get("answer"), str):
            found.texts[0] += event["answer"]
        if event["event"] == "message_end" or "mode" in event:
            found.usage = event["metadata"].get("usage")
            found.sources = event["metadata"].get("retriever_resources") or []
            return found
    found.error = errors.IncompleteStreamError
    return found


def read(recording: Recording) -> Reading:
    if recording.status != 200:
        return Reading(error=KINDS.get(recording.status, errors.BadRequestError))
    is_stream = recording.body.lstrip(b"\xef\xbb\xbf\r\n ")[:1] != b"{"
    parts = data_of(recording.body) if is_stream else iter([json.loads(recording.body)])
    if recording.endpoint is dify.COMPLETION:
        return read_run(parts)
    return read_chunks(parts, "delta" if is_stream else "message")


def without_thinking(text: str) -> tuple[str, str]:
    if not text.lstrip().startswith("<think>"):
        return "", text
    reasoning, _, rest = text.lstrip().removeprefix("<think>").partition("</think>")
    return reasoning.strip(), rest.lstrip()


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
        if recording.endpoint is dify.COMPLETION:
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


def expected_kind(recording: Recording, reading: Reading) -> type[ServiceError]:
    assert reading.error is not None
    if b"oo many requests" in recording.body or b"maximum concurrent" in recording.body:
        return errors.RateLimitError
    return reading.error


def values_of(recording: Recording, reading: Reading) -> dict[str, Any]:
    if recording.endpoint is dify.COMPLETION:
        return {} if recording.stream else {"response_mode": "blocking"}
    return {"model": "m", "n": len(reading.texts)} if len(reading.texts) > 1 else {"model": "m"}


def ask(client: Client, recording: Recording, values: Mapping[str, Any]) -> Completion:
    if not recording.stream:
        return client.complete(recording.endpoint, "q", values)
    return reduce(add, list(client.stream(recording.endpoint, "q", values)))


async def ask_async(
    client: AsyncClient, recording: Recording, values: Mapping[str, Any]
) -> Completion:
    if not recording.stream:
        return await client.complete(recording.endpoint, "q", values)
    return reduce(add, [i async for i in client.stream(recording.endpoint, "q", values)])


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


each_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=lambda r: r.name)


def test_there_is_something_of_every_origin() -> None:
    origins = {recording.name.partition("/")[0] for recording in RECORDINGS}
    assert origins == {*ENDPOINTS, *ENGINES, "dify"}


@each_recording
def test_sync(recording: Recording, server: FaultServer) -> None:
    server.replies(recording.reply())
    reading = read(recording)
    client = Client(settings(recording.endpoint, server.url))
    values = values_of(recording, reading)
    if reading.error is None:
        check(recording, reading, ask(client, recording, values))
    else:
        with pytest.raises(expected_kind(recording, reading)) as caught:
            ask(client, recording, values)
        check_error(recording, reading, caught.value)
    client.close()


@each_recording
async def test_async_in_small_pieces(recording: Recording, server: FaultServer) -> None:
    server.replies(recording.reply(size=max(7, len(recording.body) // 500)))
    reading = read(recording)
    client = AsyncClient(settings(recording.endpoint, server.url))
    values = values_of(recording, reading)
    if reading.error is None:
        check(recording, reading, await ask_async(client, recording, values))
    else:
        with pytest.raises(expected_kind(recording, reading)) as caught:
            await ask_async(client, recording, values)
        check_error(recording, reading, caught.value)
    await client.close()
