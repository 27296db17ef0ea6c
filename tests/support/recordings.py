"""What real servers sent, and what a plain reading of the bytes makes of it.

The recordings lie beside the project; where they are absent, there are none. The reading shares
no code with the product: it is the judge of what the product makes of the same bytes.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest

from qaip_core import ServiceError, errors
from qaip_core.backend import Endpoint
from qaip_core.backends import dify, fireworks, pais, perplexity
from qaip_core.backends.dify import chat as dify_chat

__all__ = [
    "ENGINES",
    "LABELLED",
    "RECORDINGS",
    "WIRE",
    "Reading",
    "Recording",
    "data_of",
    "need_recordings",
    "read",
    "read_until",
    "without_thinking",
]

WIRE = Path(__file__).resolve().parents[3] / "shared/wire"

LABELLED: Mapping[str, Endpoint] = {
    "perplexity": perplexity.CHAT,
    "fireworks": fireworks.CHAT,
    "openai_completions": pais.TEXT,
}
ENGINES = ("llama_cpp_python", "llama_server", "gateway_over_llama_server", "dify_server")
_PATHS: Mapping[str, Endpoint] = {
    "/chat/completions": pais.CHAT,
    "/completions": pais.TEXT,
    "/completion-messages": dify.COMPLETION,
    "/chat-messages": dify_chat.CHAT,
}
_FRAMING = {"content-length", "transfer-encoding", "connection"}
_KINDS: Mapping[int, type[ServiceError]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    503: errors.ServerError,
}


def need_recordings() -> None:
    """Skip the module that is being imported where there are no recordings."""
    if not RECORDINGS:
        pytest.skip(f"no recordings at {WIRE}", allow_module_level=True)


@dataclass(frozen=True, eq=False)
class Recording:
    """One answer.

    stream: whether it was asked for as a stream.
    whole: whether the recorded connection ended in good order.
    """

    name: str
    endpoint: Endpoint
    body: bytes
    status: int = 200
    headers: Sequence[tuple[str, str]] = (("content-type", "application/json"),)
    stream: bool = False
    whole: bool = True

    @property
    def is_dify(self) -> bool:
        return self.endpoint.backend is dify.DIFY

    @cached_property
    def reading(self) -> "Reading":
        return read(self)

    @cached_property
    def values(self) -> dict[str, Any]:
        """The parameters without which the answer would not be one to the request."""
        if self.is_dify:
            return {} if self.stream else {"response_mode": "blocking"}
        choices = len(self.reading.texts)
        return {"n": choices} if choices > 1 else {}

    def __repr__(self) -> str:
        return self.name


def _endpoint_of(folder: Path, request: Any) -> Endpoint | None:
    if folder.parent.name in LABELLED:
        return LABELLED[folder.parent.name]
    if request["method"] != "POST":
        return None
    return next((e for path, e in _PATHS.items() if request["path"].endswith(path)), None)


def _recorded(folder: Path) -> Recording | None:
    request = json.loads((folder / "request.json").read_bytes())
    response = json.loads((folder / "response.json").read_bytes())
    endpoint = _endpoint_of(folder, request)
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
        [(name, value) for name, value in pairs if name.lower() not in _FRAMING],
        stream=asked.get("stream") is True
        or asked.get("response_mode") == "streaming"
        or body.suffix == ".sse",
        whole=response.get("framing_complete") is not False,
    )


def _documented() -> Iterator[Recording]:
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


def _recordings() -> list[Recording]:
    if not WIRE.is_dir():
        return []
    folders = [f.parent for f in sorted(WIRE.glob("*/**/response.json"))]
    known = {*LABELLED, *ENGINES}
    found = [_recorded(f) for f in folders if f.relative_to(WIRE).parts[0] in known]
    return [*(r for r in found if r is not None), *_documented()]


RECORDINGS = _recordings()


@dataclass
class Reading:
    """What a plain reading makes of a body.

    texts, ends: by the index of the choice.
    taken_back: the text that the service replaced by another.
    replacement: the first text after that.
    error: the class of the error, or one above it; None for a complete answer.
    """

    texts: dict[int, str] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    sources: list[dict[str, Any]] = field(default_factory=list)
    taken_back: str = ""
    replacement: str = ""
    error: type[ServiceError] | None = None

    @property
    def text(self) -> str:
        return self.texts[min(self.texts)] if self.texts else ""

    @property
    def end(self) -> str | None:
        return self.ends[min(self.texts)] if self.texts else None


def data_of(body: bytes) -> Iterator[Any]:
    """The data of the complete events, as JSON, up to the mark that follows the last."""
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


def _read_chunks(chunks: Iterator[Any], part: str) -> Reading:
    found = Reading()
    try:
        for chunk in chunks:
            if "error" in chunk:
                found.error = errors.ServerReportedError
                return found
            _add_chunk(found, chunk, part)
    except json.JSONDecodeError:
        found.error = errors.MalformedResponseError
        return found
    if not found.texts or found.texts.keys() != found.ends.keys():
        found.error = errors.IncompleteStreamError
    return found


def _add_chunk(found: Reading, chunk: dict[str, Any], part: str) -> None:
    found.usage = chunk.get("usage") or found.usage
    found.sources = chunk.get("search_results") or found.sources
    for choice in chunk.get("choices", []):
        place = choice["index"]
        said = choice[part].get("content") if part in choice else choice["text"]
        found.texts[place] = found.texts.get(place, "") + (said or "")
        if choice.get("finish_reason"):
            found.ends[place] = choice["finish_reason"]


def _read_run(run: Iterator[Any]) -> Reading:
    found = Reading({0: ""}, {0: "stop"})
    for event in run:
        if event["event"] == "error":
            found.error = errors.ServerReportedError
            return found
        if event["event"] == "message_replace" and event["answer"] != found.texts[0]:
            found.taken_back += found.texts[0]
            found.texts[0] = found.replacement = event["answer"]
        elif event["event"] != "message_replace" and isinstance(event.get("answer"), str):
            found.texts[0] += event["answer"]
        if event["event"] == "message_end" or "mode" in event:
            found.usage = event["metadata"].get("usage")
            found.sources = event["metadata"].get("retriever_resources") or []
            return found
    found.error = errors.IncompleteStreamError
    return found


def read(recording: Recording) -> Reading:
    if recording.status != 200:
        return Reading(error=_refusal(recording))
    is_stream = recording.body.lstrip(b"\xef\xbb\xbf\r\n ")[:1] != b"{"
    parts = data_of(recording.body) if is_stream else iter([json.loads(recording.body)])
    if recording.is_dify:
        return _read_run(parts)
    return _read_chunks(parts, "delta" if is_stream else "message")


def _refusal(recording: Recording) -> type[ServiceError]:
    """Dify says with the status of a bad request that there were too many.

    Of a report that was cut only the status counts.
    """
    whole = recording.body.rstrip().endswith(b"}")
    if not whole:
        return _KINDS.get(recording.status, errors.BadRequestError)
    if b"oo many requests" in recording.body or b"maximum concurrent" in recording.body:
        return errors.RateLimitError
    return _KINDS.get(recording.status, errors.BadRequestError)


@cache
def read_until(recording: Recording, length: int) -> Reading:
    """What a plain reading makes of so many bytes."""
    return read(replace(recording, body=recording.body[:length]))


def without_thinking(text: str) -> tuple[str, str]:
    """The reasoning before an answer, and the answer."""
    if not text.lstrip().startswith("<think>"):
        return "", text
    reasoning, _, rest = text.lstrip().removeprefix("<think>").partition("</think>")
    return reasoning.strip(), rest.lstrip()
