"""What happens when a service takes its time.

Each phase has its limit. Time that the service spends without content counts, whatever else it
sends meanwhile; a request that was sent is not repeated, since it may be billed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qaip_core import errors as e
from support.fault_server import Reply, json_reply
from support.faults.matrix import Row, raised
from support.faults.speech import Speech
from support.faults.waiting import Place, deaf, mute, speaking

__all__ = ["STALLS", "STALLS_OF_STREAMS", "STALLS_OF_WHOLE_ANSWERS", "WAITS", "Stall"]

_LIMIT = 0.25
_CONNECT: dict[str, Any] = {"timeout": {"connect": _LIMIT}}
_READ: dict[str, Any] = {"timeout": {"read": _LIMIT}}
_IDLE: dict[str, Any] = {"stream_idle_timeout": _LIMIT}


@dataclass(frozen=True)
class Stall(Row):
    """A row that waits.

    seconds: how long, at least.
    within: how long at most, in seconds; generous, but where the row is about that.
    unsent: whether it is known that no request was served.
    attempts: how many were made, if not as many as there were requests.
    place: where the service is.
    """

    seconds: float = _LIMIT
    within: float = 3 * _LIMIT + 2
    unsent: bool = False
    attempts: int | None = None
    place: Place = speaking


def _silent(_speech: Speech) -> Reply:
    return Reply(delay=9)


def _pinging(speech: Speech, *before: bytes) -> Reply:
    return speech.stream(*before, *[speech.ping, 0.03] * 30, end="hang")


def _trickling(speech: Speech, *before: bytes) -> Reply:
    """A frame that never ends, one byte after the other."""
    frame = speech.piece("a" * 200)
    letters = [piece for n in range(60) for piece in (frame[n : n + 1], 0.02)]
    return speech.stream(*before, *letters, end="hang")


def _late(error: str, text: str = "") -> Any:
    return raised(e.ServiceTimeoutError, error, text)


STALLS: Sequence[Stall] = [
    Stall("an address that does not answer", _silent, _late('timeout={"connect"'),
          requests=0, fields=_CONNECT, place=deaf, unsent=True, attempts=1),
    Stall("an address that does not answer, with a retry", _silent, _late('timeout={"connect"'),
          requests=0, fields={**_CONNECT, "max_retries": 1}, place=deaf, unsent=True, attempts=2,
          seconds=2 * _LIMIT + 0.25, within=4),
    Stall("a TLS handshake that stalls", _silent, _late('timeout={"connect"'),
          requests=0, fields=_CONNECT, place=mute("https"), unsent=True, attempts=1),
    Stall("a service that reads nothing of a large request", _silent, _late("raise timeout"),
          requests=0, fields={"timeout": {"write": _LIMIT}, "extra_body": {"x": "x" * 6_000_000}},
          within=6, place=mute("http"), attempts=1),
    Stall("no answer to a request", _silent, _late("raise timeout"), fields=_READ),
    Stall("half a status line", lambda _: Reply(raw=b"HTTP/1.1 2", end="hang"),
          _late("raise timeout"), fields=_READ),
    Stall("headers without an end", lambda _: Reply(raw=b"HTTP/1.1 200 OK\r\n", end="hang"),
          _late("raise timeout"), fields=_READ),
    Stall("no answer to a request that may be repeated", _silent, _late("raise timeout"),
          requests=2, seconds=2 * _LIMIT + 0.25, within=4,
          fields={**_READ, "max_retries": 1, "retry_unanswered": True}),
    Stall("a refusal whose reason stops in its middle",
          lambda s: Reply(503, body=[b'{"mess'], end="hang"), raised(e.ServerError, '{"mess'),
          seconds=0.6, within=4,
          fields={"timeout": {"read": 0.6}, "stream_idle_timeout": 0.6}),
    Stall("a refusal whose reason comes letter by letter",
          lambda s: Reply(503, body=[b"a", 0.05] * 200), raised(e.ServerError, "aaa"),
          seconds=2, within=4),
]  # fmt: skip


def _wait(name: str, headers: Mapping[str, str], *, seconds: float, failures: int = 1) -> Stall:
    """Failures that may pass, and then one that may not."""

    def replies(speech: Speech) -> list[Reply]:
        busy = replace(json_reply(speech.failure("busy"), 429), headers=headers)
        return [*[busy] * failures, json_reply(speech.failure("no"), 403)]

    return Stall(
        name,
        replies,
        raised(e.PermissionDeniedError),
        failures + 1,
        fields={"max_retries": failures},
        seconds=seconds,
        within=2 * seconds + 1.5,
    )


_PAST = "Sun, 06 Nov 1994 08:49:37 GMT"

WAITS: Sequence[Stall] = [
    _wait("a wait of 0.6 seconds that the service asks for", {"retry-after": "0.6"}, seconds=0.6),
    _wait("a wait of 600 milliseconds", {"retry-after-ms": "600"}, seconds=0.6),
    _wait("a failure without a word about waiting", {}, seconds=0.25),
    _wait("a wait of 0 seconds", {"retry-after": "0"}, seconds=0.25),
    _wait("a wait until a time that has passed", {"retry-after": _PAST}, seconds=0.25),
    _wait("two failures without a word about waiting", {}, seconds=0.75, failures=2),
]

STALLS_OF_WHOLE_ANSWERS: Sequence[Stall] = [
    Stall("an answer's body that stops",
          lambda s: replace(s.answer("tea", stream=False), body=[b'{"choices": ['], end="hang",
                            framing="chunked"),
          _late("raise timeout"), fields=_READ),
]  # fmt: skip

STALLS_OF_STREAMS: Sequence[Stall] = [
    Stall("a stream that is silent from its beginning", lambda s: s.stream(b": \n", end="hang"),
          _late("stream_idle_timeout"), fields=_IDLE),
    Stall("a stream that stops after some text", lambda s: s.stream(s.piece("te"), end="hang"),
          _late("stream_idle_timeout", "te"), fields=_IDLE),
    Stall("a stream that stops in the middle of a frame",
          lambda s: s.stream(s.piece("te"), s.piece("a")[:-4], end="hang"),
          _late("stream_idle_timeout", "te"), fields=_IDLE),
    Stall("a stream of pings", _pinging, _late("stream_idle_timeout"), fields=_IDLE),
    Stall("pings after some text", lambda s: _pinging(s, s.piece("te")),
          _late("stream_idle_timeout", "te"), fields=_IDLE),
    Stall("a ping just before the limit, then silence",
          lambda s: s.stream(s.piece("te"), 0.9, s.ping, end="hang"),
          _late("stream_idle_timeout", "te"), fields={"stream_idle_timeout": 1.0},
          seconds=1.0, within=1.85),
    Stall("a frame that comes byte by byte", _trickling, _late("stream_idle_timeout"),
          fields=_IDLE),
    Stall("a frame that comes byte by byte, after some text",
          lambda s: _trickling(s, s.piece("te")), _late("stream_idle_timeout", "te"),
          fields=_IDLE),
    Stall("a stream that stops after some text, with all retries allowed",
          lambda s: s.stream(s.piece("te"), end="hang"), _late("stream_idle_timeout", "te"),
          fields={**_IDLE, "max_retries": 2, "retry_unanswered": True}),
]  # fmt: skip
