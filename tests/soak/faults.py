"""What the server may do to an answer, how often, and what the caller must then see."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

from qaip_core import errors
from qaip_core.errors import (
    IncompleteStreamError,
    MalformedResponseError,
    ServerReportedError,
    ServiceConnectionError,
    ServiceError,
    ServiceTimeoutError,
)
from soak.cases import Case, Frame
from support.fault_server import Reply, html_reply, json_reply
from support.faults.speech import DIFY, QAIP_LINES

__all__ = ["FAULTS", "LIMIT", "RETRIES", "Fault", "Plan", "draw_plan"]

LIMIT = 3.0
"""Seconds of silence that the callers allow: ample, where a hundred share two processors."""
RETRIES = 2


@dataclass(frozen=True)
class Plan:
    """What the server does to one request, and what the caller sees if no other follows.

    error: the class of the error; None for a complete answer.
    text: the text of the answer, or what had come of it.
    again: whether the request is sent again; None where both are right.
    resets: whether the answer is followed by a reset, which may overtake it.
    """

    reply: Reply
    error: type[ServiceError] | None
    text: str
    again: bool | None = False
    resets: bool = False
    fault: str = ""


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    weight: how often it is drawn, in relation to the others.
    plan: what is done; the last argument tells whether the connection had served before.
    streams: whether only streams can have it, or only whole answers; None for both.
    """

    name: str
    weight: float
    plan: Callable[[Case, Random, bool], Plan]
    streams: bool | None = None


def draw_plan(case: Case, seed: int, attempt: int, *, kept: bool) -> Plan:
    """Return what is done to an attempt of a call: the same for the same seed.

    kept: whether the connection had served before.
    """
    rng = Random(f"{seed}-{case.number}-{attempt}")
    streams = case.subject.wants_stream
    faults, weights = _DRAWN[streams]
    (fault,) = rng.choices(faults, cum_weights=weights)
    if case.leaving and streams and rng.random() < 0.5:
        fault = _WITHOUT_END
    return replace(fault.plan(case, rng, kept), fault=fault.name)


# Complete answers, delivered in all sorts of ways


def _answered(case: Case, rng: Random, _kept: bool) -> Plan:
    framing = rng.choice(("chunked", "chunked", "chunked", "length", "close"))
    if case.subject.wants_stream:
        frames = case.frames(late=rng.random() < 0.2)
        reply = case.speech.stream(*(f.data for f in frames), framing=framing)
    else:
        reply = Reply(body=case.body(), framing=framing)
    return Plan(reply, None, case.text)


def _tiny(case: Case, rng: Random, _kept: bool) -> Plan:
    pieces = case.pieces(_joined(case.frames()), rng, most=30)
    return Plan(case.speech.stream(*pieces), None, case.text)


def _slow(case: Case, rng: Random, _kept: bool) -> Plan:
    timed: list[bytes | float] = []
    for frame in case.frames():
        timed += [rng.choice((0.0, 0.001, 0.005, 0.02)), frame.data]
    return Plan(case.speech.stream(*timed), None, case.text)


def _pinged(case: Case, rng: Random, _kept: bool) -> Plan:
    frames = [case.speech.ping * rng.choice((0, 0, 1, 20)) + f.data for f in case.frames()]
    return Plan(case.speech.stream(*frames), None, case.text)


def _left_after(case: Case, rng: Random, kept: bool) -> Plan:
    """The connection is closed behind a complete answer, although it was to be kept."""
    plan = _answered(case, rng, kept)
    raw = tuple(piece for piece in plan.reply.pieces() if isinstance(piece, bytes))
    return replace(plan, reply=Reply(raw=raw))


# Answers that break off


def _torn(end: str) -> Callable[[Case, Random, bool], Plan]:
    def tear(case: Case, rng: Random, _kept: bool) -> Plan:
        frames = case.frames()
        body = _joined(frames)
        stop = rng.choice((rng.randint(0, len(body)), len(body)))
        framing = rng.choice(("chunked", "length"))
        pieces = case.pieces(body[:stop], rng, most=20)
        reply = case.speech.stream(*pieces, end=end, framing=framing)  # type: ignore[arg-type]
        plan = _as_far_as(case, reply, _arrived(frames, stop))
        return replace(plan, resets=end == "reset")

    return tear


def _wrong_size(case: Case, rng: Random, _kept: bool) -> Plan:
    frames = case.frames()
    frames = frames[: rng.randint(1, len(frames))]
    reply = case.speech.stream(*(f.data for f in frames), wrong_chunk_size=True)
    return _as_far_as(case, reply, frames)


def _short(case: Case, rng: Random, _kept: bool) -> Plan:
    """A whole answer that breaks off."""
    body = case.body()
    sent = body[: rng.randrange(len(body))]
    framing = rng.choice(("chunked", "length"))
    return Plan(Reply(body=sent, framing=framing, end="cut"), ServiceConnectionError, "")


# Answers that stop coming


def _stalled(case: Case, rng: Random, _kept: bool) -> Plan:
    shown, frames = _beginning(case, rng)
    return Plan(case.speech.stream(*frames, end="hang"), ServiceTimeoutError, shown)


def _without_end(case: Case, _rng: Random, _kept: bool) -> Plan:
    """For a caller who leaves: its connection shows until it is let go."""
    frames = map(case.speech.piece, case.texts)
    return Plan(case.speech.stream(*frames, end="hang"), ServiceTimeoutError, case.text)


def _only_pings(case: Case, rng: Random, _kept: bool) -> Plan:
    shown, frames = _beginning(case, rng)
    pings: list[bytes | float] = [LIMIT / 8, case.speech.ping] * 12
    return Plan(case.speech.stream(*frames, *pings, end="hang"), ServiceTimeoutError, shown)


def _unanswered(_case: Case, _rng: Random, _kept: bool) -> Plan:
    return Plan(Reply(raw=b"", end="hang"), ServiceTimeoutError, "")


def _stalled_body(case: Case, _rng: Random, _kept: bool) -> Plan:
    reply = Reply(body=case.body()[:-1], framing="length", end="hang")
    return Plan(reply, ServiceTimeoutError, "")


# Errors that the service tells


def _reported(case: Case, rng: Random, _kept: bool) -> Plan:
    """Dify tells a status with it: with some, a run that has said nothing is begun again."""
    shown, frames = _beginning(case, rng)
    status = rng.choice((400, 500))
    failure = case.speech.frame(case.speech.failure("no more tea", status=status))
    reply = case.speech.stream(*frames, failure, *rng.choice(((), (case.speech.done,))))
    again = case.speech.service == DIFY.service and status == 500 and not shown
    return Plan(reply, ServerReportedError, shown, again)


def _reported_body(case: Case, _rng: Random, _kept: bool) -> Plan:
    return Plan(json_reply(case.speech.failure("no tea")), ServerReportedError, "")


def _garbage(case: Case, rng: Random, _kept: bool) -> Plan:
    """Behind a first piece: Qaip's decoder takes what begins otherwise for plain text."""
    shown, frames = _beginning(case, rng, least=1)
    garbage = case.speech.frame(rng.choice(('{"choices": ', "tea", "<html>", "[1, 2]")))
    return Plan(case.speech.stream(*frames, garbage), MalformedResponseError, shown)


def _page(_case: Case, _rng: Random, _kept: bool) -> Plan:
    return Plan(html_reply(200), MalformedResponseError, "")


def _empty(case: Case, _rng: Random, _kept: bool) -> Plan:
    if case.subject.wants_stream:
        return Plan(case.speech.stream(), IncompleteStreamError, "")
    return Plan(Reply(framing="length"), MalformedResponseError, "")


_FINAL: Mapping[int, type[ServiceError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    413: errors.BadRequestError,
    422: errors.UnprocessableEntityError,
    501: errors.ServerError,
}
_PASSING: Mapping[int, type[ServiceError]] = {
    408: errors.RequestTimeoutError,
    409: errors.ConflictError,
    425: errors.BadRequestError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.ServerError,
    529: errors.ServerError,
}


def _refused(case: Case, rng: Random, _kept: bool) -> Plan:
    status = rng.choice(list(_FINAL))
    return Plan(json_reply(case.speech.failure("no"), status), _FINAL[status], "")


def _busy(case: Case, rng: Random, _kept: bool) -> Plan:
    qaip = case.speech.service == "qaip"  # its conflicts do not pass
    status = rng.choice([s for s in _PASSING if not (qaip and s == 409)])
    wait = {"retry_after_ms": str(rng.randint(1, 30))} if rng.random() < 0.8 else {}
    reply = rng.choice(
        (json_reply(case.speech.failure("later"), status, **wait), html_reply(status, **wait))
    )
    return Plan(reply, _PASSING[status], "", again=True)


def _hung_up(end: str) -> Callable[[Case, Random, bool], Plan]:
    """No answer at all: only on a kept connection may it have been closed before."""

    def plan(_case: Case, _rng: Random, kept: bool) -> Plan:
        reply = Reply(raw=b"", end=end)  # type: ignore[arg-type]
        return Plan(reply, ServiceConnectionError, "", again=None if kept else False)

    return plan


def _joined(frames: Sequence[Frame]) -> bytes:
    return b"".join(frame.data for frame in frames)


def _beginning(case: Case, rng: Random, least: int = 0) -> tuple[str, list[bytes]]:
    """Some pieces of the answer, and their frames."""
    texts = case.texts[: rng.randint(least, len(case.texts))]
    return "".join(texts), [case.speech.piece(text) for text in texts]


def _arrived(frames: Sequence[Frame], stop: int) -> list[Frame]:
    """The frames of which every byte is among the first ones of the body."""
    ends = accumulate(len(frame.data) for frame in frames)
    return [frame for frame, end in zip(frames, ends, strict=True) if end <= stop]


def _as_far_as(case: Case, reply: Reply, frames: Sequence[Frame]) -> Plan:
    """An answer is complete if its end has come; lines have none but that of the body."""
    complete = any(frame.ends for frame in frames) and case.speech.name != QAIP_LINES.name
    text = "".join(frame.text for frame in frames)
    return Plan(reply, None if complete else IncompleteStreamError, text)


_WITHOUT_END = Fault("no end, left before", 0, _without_end, streams=True)

FAULTS: Sequence[Fault] = (
    Fault("none", 60, _answered),
    Fault("tiny pieces", 2, _tiny, streams=True),
    Fault("slow pieces", 3, _slow, streams=True),
    Fault("pings between", 2, _pinged, streams=True),
    Fault("closed after the answer", 6, _left_after),
    Fault("cut at a byte", 4, _torn("cut"), streams=True),
    Fault("reset at a byte", 3, _torn("reset"), streams=True),
    Fault("wrong chunk size", 2, _wrong_size, streams=True),
    Fault("body cut", 3, _short, streams=False),
    Fault("stalls", 0.7, _stalled, streams=True),
    Fault("stalls with pings", 0.7, _only_pings, streams=True),
    Fault("stalls before the head", 0.4, _unanswered),
    Fault("body stalls", 0.7, _stalled_body, streams=False),
    Fault("error event", 3, _reported, streams=True),
    Fault("error as a body", 2, _reported_body, streams=False),
    Fault("garbage event", 2, _garbage, streams=True),
    Fault("a page", 1, _page),
    Fault("an empty body", 1, _empty),
    Fault("status, final", 3, _refused),
    Fault("status, passing", 6, _busy),
    Fault("reset before the head", 2, _hung_up("reset")),
    Fault("closed before the head", 2, _hung_up("cut")),
    _WITHOUT_END,
)

_DRAWN = {
    streams: (chosen, list(accumulate(f.weight for f in chosen)))
    for streams in (False, True)
    for chosen in [[f for f in FAULTS if f.streams in (None, streams)]]
}
