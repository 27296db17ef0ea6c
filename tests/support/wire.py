"""Loads the raw wire fixtures of `tests/wire`: what a service sends, and what it means."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from support.fault_server import End, Reply, cut

__all__ = ["ROOT", "Citation", "Expected", "Failure", "Usage", "WireCase", "cases"]

ROOT = Path(__file__).parent.parent / "wire"

Kind = Literal[
    "bad_request",
    "authentication",
    "permission",
    "not_found",
    "unprocessable",
    "rate_limit",
    "context_length",
    "server",
    "server_reported_in_stream",
    "incomplete",
    "malformed",
    "retired",
    "model_not_ready",
    "payment_required",
    "precondition",
]


class Usage(TypedDict):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: NotRequired[int]
    reasoning_tokens: NotRequired[int]


class Citation(TypedDict, total=False):
    """Only what the wire has: no key stands for null, for page 0, or for an empty url."""

    url: str
    title: str
    text: str
    page_number: int
    score: float
    file_type: str
    date: str
    wire_id: str


class Failure(TypedDict):
    """`status` is the HTTP status, null where it was 200; `message` is a part of the message.

    `body_status` is the status that an error inside a 200 names; `absent` must not be shown.
    """

    kind: Kind
    status: int | None
    code: str | None
    message: str
    body_status: NotRequired[int]
    absent: NotRequired[str]


class Expected(TypedDict):
    """What a decoder makes of the body.

    After an error only `error`, `partial` and `citations` (those received before it) have a
    meaning. `extras` are further facts of the wire, under the wire's own names.
    """

    text: str
    texts: NotRequired[dict[str, str]]
    reasoning: str | None
    finish_reason: str | None
    usage: Usage | None
    citations: list[Citation]
    id: str | None
    model: str | None
    error: Failure | None
    partial: str | None
    extras: NotRequired[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class WireCase:
    """One exchange: the request of a client, the raw answer, and its meaning."""

    service: str
    name: str
    operation: str
    stream: bool
    request: Mapping[str, Any]
    status: int
    headers: Mapping[str, str]
    why: str
    body: bytes
    expected: Expected

    @property
    def id(self) -> str:
        return f"{self.service}/{self.name}"

    def reply(self, *, sizes: int | None = None, end: End = "clean") -> Reply:
        """The answer for a `FaultServer`, in pieces of `sizes` bytes if given."""
        return Reply(
            status=self.status,
            headers=self.headers,
            content_type=None,
            body=self.body if sizes is None else cut(self.body, sizes=sizes),
            end=end,
        )


def cases(service: str | None = None) -> list[WireCase]:
    """All cases, or those of one service, sorted by name."""
    folders = ROOT.glob(f"{service or '*'}/*/")
    return [_load(folder) for folder in sorted(folders)]


def _load(folder: Path) -> WireCase:
    (body,) = folder.glob("body.*")
    return WireCase(
        service=folder.parent.name,
        name=folder.name,
        body=body.read_bytes(),
        expected=json.loads((folder / "expected.json").read_bytes()),
        **json.loads((folder / "case.json").read_bytes()),
    )
