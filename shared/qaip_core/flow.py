"""When to send, wait, retry and give up: one generator of steps, no I/O.

A driver performs each step and sends back what came of it::

    Admit  -> None                wait until the gate lets a request out
    Send   -> Head | Failure      send the request, wait for the response's head
    Read   -> bytes | Failure     the next bytes of the body, b"" at its end
    Pause  -> None                wait
    Drain  -> None                read what is left, briefly, so that the connection lives on
    list   -> None                increments for the caller

So retries, end-of-stream rules and errors are written once, for sync and async alike.
"""

from __future__ import annotations

import logging
import random
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic_core import from_json, to_json

from qaip_core.answer import Answer
from qaip_core.backend import Backend, Decoder, Endpoint, T
from qaip_core.errors import (
    IncompleteStreamError,
    InvalidParameterError,
    MalformedResponseError,
    ModelNotReadyError,
    ServiceConnectionError,
    ServiceError,
    ServiceTimeoutError,
    StatusError,
    TransportError,
)
from qaip_core.framing import Event, Framing, Whole
from qaip_core.gate import GATE, Gate
from qaip_core.operation import Errand, Operation, Upload
from qaip_core.redaction import shown_headers
from qaip_core.report import read_report, status_error
from qaip_core.retry_after import parse_retry_after
from qaip_core.types import Completion, Increment

__all__ = [
    "Admit",
    "Ask",
    "Call",
    "Drain",
    "Failure",
    "Head",
    "IncompleteAnswerWarning",
    "Pause",
    "Policy",
    "Read",
    "Send",
    "Step",
    "fetch",
    "run",
]

logger = logging.getLogger("qaip_core")

_ERROR_BODY_BYTES = 64 * 1024
_ERROR_BODY_SECONDS = 2.0

OnIncomplete: TypeAlias = Literal["raise", "warn", "ignore"]


class IncompleteAnswerWarning(UserWarning):
    """A stream ended before its end mark, and ``on_incomplete="warn"`` was set."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long to wait and how often to try.

    Parameters:
        max_retries: further requests after the first.
        max_wait: seconds; a service that asks for more is not waited for.
        idle_timeout: seconds without content that a stream may take; None for no limit.
        retry_unanswered: also repeat a request that was sent but not answered.
        retry_not_ready: also wait for a model that is not serving yet.
        on_incomplete: what to do about a stream that ends before its end mark.
    """

    max_retries: int = 2
    max_wait: float = 120.0
    idle_timeout: float | None = 60.0
    retry_unanswered: bool = False
    on_incomplete: OnIncomplete = "raise"
    retry_not_ready: bool = False

    def delay(self, error: ServiceError, retries: int) -> float | None:
        """Return the seconds to wait before the next attempt; None to give up.

        Parameters:
            error: why the last one failed.
            retries: how many were made already.
        """
        if retries >= self.max_retries or not self._may_repeat(error):
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.max_wait else None
        ceiling: float = min(0.5 * 2**retries, 8.0)
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter, no secret

    def _may_repeat(self, error: ServiceError) -> bool:
        if isinstance(error, ModelNotReadyError):
            return self.retry_not_ready
        if isinstance(error, TransportError | IncompleteStreamError):
            return error.is_retryable and (self.retry_unanswered or error.unsent)
        return error.is_retryable


@dataclass(slots=True, kw_only=True)
class Ask:
    """One request, with all that its retries and errors need to know.

    Parameters:
        backend: the service.
        url: the full URL.
        body: the JSON body, or a file; None for none.
        policy: waiting and retrying.
        method: the HTTP method.
        accept: the Accept header.
        headers: beyond those that every request has; never the key.
        env: the environment variable of the key, for hints.
        key_from: says where the key came from, for hints.
        fresh_key: whether each request asks for its key anew, so that a 401 is worth one repeat.
        forget_key: tells the source of keys that the last one is refused.
        repair: another body to try once after an error; None to give up.
        stream: whether the body asks for a stream.
        attempts: how many requests were sent.
        retries: how many of them repeated one that failed; a mended request is no repetition.
        replaced: whether a connection that the service had left was replaced.
    """

    backend: Backend
    url: str
    body: dict[str, Any] | Upload | None
    policy: Policy
    method: str = "POST"
    accept: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: str = ""
    key_from: Callable[[], str] | None = None
    fresh_key: bool = False
    forget_key: Callable[[], object] | None = None
    repair: Callable[[Exception, dict[str, Any]], dict[str, Any] | None] | None = None
    stream: bool = False
    attempts: int = 0
    retries: int = 0
    replaced: bool = False

    def delay(self, error: ServiceError) -> float | None:
        """Return the seconds to wait before one more retry, and count it; None to give up."""
        delay = self.policy.delay(error, self.retries)
        if delay is not None:
            self.retries += 1
            logger.info(  # without the error's text, which may hold what was asked
                "%s: %s%s, attempt %d follows in %.1f s",
                self.backend.title,
                type(error).__name__,
                f" ({error.status})" if error.status else "",
                self.attempts + 1,
                delay,
            )
        return delay

    def mend(self, failure: Failure) -> bool:
        """Set right, once each, what made a request fail; tell whether that could be done."""
        if failure.stale and not self.replaced:
            self.replaced = True  # the service is well: it has seen nothing of the request
            return True
        if failure.error.status == 401 and self.fresh_key:
            self.fresh_key = False  # the key may have expired between two calls of its source
            if self.forget_key is not None:
                self.forget_key()
            return True
        if self.repair is None or not isinstance(self.body, dict):
            return False
        body = self.repair(failure.error, self.body)
        if body is None:
            return False
        self.body, self.repair = body, None
        return True


@dataclass(slots=True, kw_only=True)
class Call(Ask):
    """One call of an endpoint that answers a prompt.

    Parameters:
        endpoint: the operation.
        params: the checked parameters.
        stops: stop sequences to cut at on this side.
        decoder: that of the stream, once there is one.
        cause: what broke the connection in the middle of the answer.
        replaced_text: whether text that was handed out has been taken back.
        bare: whether plain text is handed out as such.
        errands: what is done before the first request of the call, each with its own request.
        kept: results of errands that last, by the paths of their operations.
    """

    endpoint: Endpoint
    params: Mapping[str, Any]
    bare: bool = False
    stops: Sequence[str] = ()
    decoder: Decoder | None = None
    cause: BaseException | None = None
    replaced_text: bool = False
    errands: Sequence[tuple[Errand, Ask]] = ()
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Admit:
    """Wait until a gate lets a request out; what the gate raises is the caller's."""

    gate: Gate
    service: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request and wait for the head of the response."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)  # a traceback may show the values of its frames
    content: bytes | Upload | None
    idle_timeout: float | None
    stream: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a response; header names in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong below HTTP.

    Parameters:
        error: ours.
        cause: the transport library's, where it may be shown.
        stale: whether the service had left the connection before the request came.
    """

    error: ServiceError
    cause: BaseException | None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """Read the next bytes of the body.

    Parameters:
        seconds: how long that may take, where it is less than any read may.
    """

    seconds: float | None = None


class Drain:
    """Read to the end, but not for long."""


READ = Read()
DRAIN = Drain()


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next attempt."""

    seconds: float


Step: TypeAlias = Admit | Send | Read | Drain | Pause | list[Increment]
Steps: TypeAlias = Generator[Step, Any, None]


def run(call: Call) -> Steps:
    """Return the steps of a call; the last list of increments closes the answer."""
    for errand, ask in call.errands:
        yield from _run(errand, ask, call.kept)
    while True:
        try:
            head = yield from _open(call)
            yield from _answer(call, head)
        except ServiceError as error:
            delay = _early_delay(call, error)
            if delay is None:
                raise
            yield Pause(delay)
        else:
            return


def _run(errand: Errand, ask: Ask, kept: dict[str, Any]) -> Steps:
    """Do what comes before a call, unless its result is known already."""
    path = errand.operation.path
    known = kept.get(path) if errand.lasting else None
    if known is not None:
        try:
            errand.take(known)
        except ServiceError:
            kept.pop(path, None)  # what was true then may have changed
        else:
            return
    try:
        result = yield from fetch(ask, errand.operation)
    except ServiceError as error:
        error.message = f"{errand.what}: {error.message}"  # the caller has asked for no such thing
        error.args = (error.message,)
        raise
    errand.take(result)
    if errand.lasting:
        kept[path] = result


def _early_delay(call: Call, error: ServiceError) -> float | None:
    """Return the delay after an error inside an answer that had no content yet."""
    partial = error.partial
    shown = call.replaced_text or (partial is not None and _has_content(partial))
    final = isinstance(error, StatusError) or partial is None or shown
    return None if final else call.delay(error)


def _has_content(answer: Completion) -> bool:
    return any(c.text or c.reasoning or c.tool_calls for c in answer.choices)


def fetch(ask: Ask, operation: Operation[T]) -> Generator[Step, Any, T]:
    """Return the steps of an operation; their value is what its JSON body means."""
    while True:
        head = yield from _open(ask)
        try:
            body = yield from _body()
            empty = operation.may_be_empty and not body.strip()
            return operation.decode(None if empty else _parsed(body))
        except ServiceError as error:
            _sign(error, ask, head)
            delay = ask.delay(error)
            if delay is None:
                raise
        yield Pause(delay)


def _body() -> Generator[Step, Any, bytes]:
    """Read the whole body of a success."""
    body = Whole()
    while chunk := (yield READ):
        if isinstance(chunk, Failure):
            raise chunk.error from chunk.cause
        body.feed(chunk)
    (event,) = body.close()
    return event.data


def _open(ask: Ask) -> Generator[Step, Any, Head]:
    """Send until the service answers with a success."""
    while True:
        gate = GATE.get()
        if gate is not None:
            yield Admit(gate, ask.backend.name)
        reply = yield _request(ask)
        if isinstance(reply, Head):
            if gate is not None:
                wait = parse_retry_after(reply.headers, reply.status)
                gate.heard(ask.backend.name, reply.status, wait)
            if 200 <= reply.status < 300:
                return reply
            failure = Failure((yield from _refusal(ask, reply)), None)
        else:
            failure = reply
        _sign(failure.error, ask)
        if ask.mend(failure):
            continue
        delay = ask.delay(failure.error)
        if delay is None:
            raise failure.error from failure.cause
        yield Pause(delay)


def _request(ask: Ask) -> Send:
    ask.attempts += 1
    content = _as_json(ask.body) if isinstance(ask.body, dict) else ask.body
    headers = {"accept": ask.accept, **ask.headers}
    return Send(ask.method, ask.url, headers, content, ask.policy.idle_timeout, ask.stream)


def _as_json(body: dict[str, Any]) -> bytes:
    try:
        return to_json(body)
    except ValueError:
        raise InvalidParameterError(
            "the request holds what JSON cannot: an object of another type, or half of a character"
        ) from None


def _refusal(ask: Ask, head: Head) -> Generator[Step, Any, StatusError]:
    content = yield from _read_all(_ERROR_BODY_BYTES)
    error = status_error(
        read_report(content),
        status=head.status,
        rules=ask.backend.rules,
        env=ask.env,
        url=ask.url,
        location=head.headers.get("location"),
        asked=_asked(ask),
        home=ask.backend.base_url,
        retry_after=parse_retry_after(head.headers, head.status),
        max_wait=ask.policy.max_wait,
    )
    _sign(error, ask, head)
    return error


def _asked(ask: Ask) -> str:
    """Say who was asked with which key, so that a key of another place can be told."""
    host = urlsplit(ask.url).netloc
    return f"{ask.backend.title} ({host}) was asked {ask.key_from()}." if ask.key_from else ""


def _read_all(limit: int) -> Generator[Step, Any, bytes]:
    """Return an error body as far as it can be had, soon."""
    parts: list[bytes] = []
    size = 0
    end = time.monotonic() + _ERROR_BODY_SECONDS
    while size < limit and (left := end - time.monotonic()) > 0:
        chunk = yield Read(left)
        if not isinstance(chunk, bytes) or not chunk:
            break
        parts.append(chunk)
        size += len(chunk)
    return b"".join(parts)[:limit]


def _answer(call: Call, head: Head) -> Steps:
    """Read the body of a success and hand out what it says."""
    endpoint = call.endpoint
    call.decoder = decoder = endpoint.decoder(call.params)
    answer = Answer(
        call.stops,
        thinks=endpoint.thinks,
        cites=endpoint.cites and endpoint.markers,
        bare=call.bare,
    )
    framing: Framing = endpoint.framing(head.media_type) if call.stream else Whole()
    try:
        final = yield from _increments(call, decoder, framing, answer)
        final = final or _unfinished(call, decoder)
        final.metadata = {**_kept_headers(endpoint, head), **final.metadata}
        if final.model is None and endpoint.model:
            final.model = endpoint.model
        final = answer.close(final)
        if answer.cut and _LIMITS.isdisjoint(call.params):
            _tell_cut(call)
        yield [final]
        if decoder.ended:
            yield DRAIN
    except ServiceError as error:
        _sign(error, call, head)
        if error.partial is None:  # else a whole body told it
            error.partial = answer.partial(decoder.rest())
        call.replaced_text = answer.replaced
        raise


_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})


def _tell_cut(call: Call) -> None:
    """Warn of an answer that ends at a limit which nobody has set: its text alone looks whole."""
    takes = call.endpoint.takes("max_tokens")
    logger.warning(
        "%s ended the answer at a limit of tokens that the call did not set (finish_reason "
        "'length'): %s",
        call.backend.title,
        "pass max_tokens=... for a longer one" if takes else "ask for less",
    )


def _increments(
    call: Call, decoder: Decoder, framing: Framing, answer: Answer
) -> Generator[Step, Any, Completion | None]:
    """Hand out increments until the end; return the closing one, None if there is none."""
    silence = _Silence(call.policy.idle_timeout if call.stream else None)
    while not decoder.ended:
        chunk = yield silence.read
        if type(chunk) is Failure:
            return _cut(call, decoder, chunk)
        ready: list[Increment] = []
        try:
            for event in framing.feed(chunk) if chunk else framing.close():
                if event.name == "whole":
                    return _whole(call.endpoint, event)
                increment = decoder.feed(event)
                if increment is not None:
                    ready.append(answer.add(increment))
                if decoder.ended:
                    break  # what follows the end is not read, as if it came later
        except ServiceError:
            if ready:
                yield ready  # what came before the error in the same bytes is not lost
            raise
        if ready:
            yield ready
            silence.end()
        elif silence.lasts():  # a keep-alive, or part of an event
            return _cut(call, decoder, Failure(_too_silent(call), None))
        if not chunk:
            break
    return decoder.finish(cut=False)


class _Silence:
    """Measures how long a stream has been without content.

    Parameters:
        limit: seconds; None for no limit.
    """

    def __init__(self, limit: float | None) -> None:
        self.read = READ
        self._limit = limit
        self._heard = time.monotonic()

    def end(self) -> None:
        """Begin anew, since content has come."""
        self.read = READ
        self._heard = time.monotonic()

    def lasts(self) -> bool:
        """Tell whether it has lasted too long; else the next read has what is left of it."""
        if self._limit is None:
            return False
        left = self._heard + self._limit - time.monotonic()
        self.read = Read(left)
        return left <= 0


def _too_silent(call: Call) -> ServiceTimeoutError:
    return ServiceTimeoutError(
        f"no content for {call.policy.idle_timeout:g} s; "
        "raise stream_idle_timeout if the service needs longer"
    )


def _cut(call: Call, decoder: Decoder, failure: Failure) -> Completion | None:
    """Return the closing increment after a failure, if the answer is complete in spite of it."""
    error = failure.error
    if call.stream and isinstance(error, TransportError):
        final = decoder.finish(cut=True)
        if final is not None or isinstance(error, ServiceConnectionError):
            call.cause = failure.cause
            return final
        if call.policy.idle_timeout is not None:
            error = _too_silent(call)
    raise error from failure.cause


def _whole(endpoint: Endpoint, event: Event) -> Completion:
    return endpoint.decode(_parsed(event.data))


def _parsed(content: bytes) -> Any:
    try:
        return from_json(content)
    except ValueError as error:
        text = content.decode("utf-8", "replace")
        if text.lstrip()[:1] in ("{", "["):  # an excerpt would show the answer
            found = f"JSON that cannot be read: {error}"
        elif text.lstrip()[:1] == "<":
            title = read_report(text).message
            found = (
                f"a web page, {title!r}; check base_url, and whether a proxy or a login answers "
                "in place of the service (HTTPS_PROXY, NO_PROXY)"
            )
        else:
            found = read_report(text).message if text.strip() else "an empty body"
        raise MalformedResponseError(f"expected JSON, got: {found}", body=text) from error


def _unfinished(call: Call, decoder: Decoder) -> Completion:
    message = "the stream ended before its end mark; the answer is not complete"
    if call.policy.on_incomplete == "raise":
        raise IncompleteStreamError(f'{message} (on_incomplete="warn" keeps it)') from call.cause
    if call.policy.on_incomplete == "warn":
        warnings.warn(message, IncompleteAnswerWarning, stacklevel=2)
    rest = decoder.rest()
    return replace(rest, metadata={**rest.metadata, "incomplete": True})


def _sign(error: ServiceError, ask: Ask, head: Head | None = None) -> None:
    """Say on an error which call it belongs to."""
    error.service = ask.backend.name
    error.attempts = ask.attempts
    if head is not None:
        error.request_id = head.headers.get("x-request-id") or error.request_id
        error.headers = shown_headers(head.headers)


def _kept_headers(endpoint: Endpoint, head: Head) -> dict[str, Any]:
    backend = endpoint.backend
    facts: dict[str, Any] = {
        fact: head.headers[name]
        for name, fact in backend.named_headers.items()
        if name in head.headers
    }
    if backend.keep_headers:
        kept = {k: v for k, v in head.headers.items() if k.startswith(backend.keep_headers)}
        facts["headers"] = kept
    return facts
