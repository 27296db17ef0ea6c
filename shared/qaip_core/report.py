"""Reads the error bodies of all services, whatever their envelope, and names the error class."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from qaip_core.errors import (
    AuthenticationError,
    BadRequestError,
    ContextOverflowError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    ServerReportedError,
    StatusError,
    for_status,
)
from qaip_core.redaction import bare_url

__all__ = ["RETRY_STATUSES", "Report", "Rule", "read_report", "status_error", "stream_error"]

RETRY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_EXCERPT = 500
_TITLE = re.compile(r"<title[^<>]*>", re.IGNORECASE)
_TITLE_END = re.compile("</title>", re.IGNORECASE)
_STATUSES = {str(status): status for status in range(400, 600)}


@dataclass(frozen=True, slots=True)
class Report:
    """What an error body says.

    Parameters:
        message: for people; never echoes the request's own values.
        code: the service's code or type.
        status: the status that the body itself names.
        body: the decoded body, or its text.
    """

    message: str
    code: str | None = None
    status: int | None = None
    body: Any = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a service's error table; a row applies if all that it names fits.

    Parameters:
        error: the class to raise; None keeps the status' own class.
        status: HTTP statuses it applies to; empty for any.
        code: the codes it applies to; empty for any.
        text: regular expression searched in the message, case ignored.
        hint: what the user can do.
        retry: whether the same request may succeed; None keeps the class' and status' rule.
        anchor: the section of docs/errors.md that says more than the class' own.
    """

    error: type[StatusError] | None = None
    status: tuple[int, ...] = ()
    code: tuple[str, ...] = ()
    text: str = ""
    hint: str = ""
    retry: bool | None = None
    anchor: str | None = None

    def fits(self, status: int | None, report: Report) -> bool:
        """Tell whether the row applies."""
        return (
            (not self.status or status in self.status)
            and (not self.code or report.code in self.code)
            and (not self.text or re.search(self.text, report.message, re.IGNORECASE) is not None)
        )


_OVERFLOW = Rule(
    ContextOverflowError,
    retry=False,
    status=(400, 413, 422, 500),
    text=r"prompt is too long|maximum context length|context length is only|context_length_exceeded"
    r"|exceeds? the (available )?context|context size has been exceeded",
    hint="Shorten the prompt or pick a model with a larger context window.",
)
_OVERFLOW_CODES = Rule(
    ContextOverflowError,
    retry=False,
    code=("context_length_exceeded", "exceed_context_size_error", "too_many_prompt_tokens"),
    hint=_OVERFLOW.hint,
)
_HINTS: Mapping[type[StatusError] | int, str] = {
    405: "Requested: {url}. Check base_url{home}.",
    AuthenticationError: "{asked} Check the key: pass api_key=... or set {env}.",
    PaymentRequiredError: "Check the plan and the credit of the account.",
    PermissionDeniedError: "The key was accepted, but it may not do this: check its rights.",
    NotFoundError: "Requested: {url}. Check base_url{home} and the model or id.",
    RateLimitError: "Too many requests or tokens. {wait}",
    RequestTimeoutError: "The service, or a proxy before it, gave up waiting: stream the answer, "
    "or ask for less.",
    ServerError: "{asks}",
}
_PAGE = (
    "A web page answered {url}, which is hardly the service: check base_url, and whether a proxy "
    "or a login stands between (HTTPS_PROXY; NO_PROXY names hosts that are reached without one)."
)


def read_report(content: bytes | str | Mapping[str, Any]) -> Report:
    """Return what an error body says, in any of the envelopes that the services use."""
    body = content if isinstance(content, Mapping) else _decode(content)
    message, code = _message(body)
    return Report(message[:_EXCERPT], code, _status(body), body)


def status_error(
    report: Report,
    *,
    status: int,
    rules: Sequence[Rule],
    env: str,
    url: str,
    location: str | None = None,
    asked: str = "",
    home: str | None = None,
    retry_after: float | None = None,
    max_wait: float = math.inf,
) -> StatusError:
    """Return the typed error for an HTTP error status.

    Parameters:
        report: what the body says.
        status: the HTTP status.
        rules: the service's own rows, first fit wins.
        env: the environment variable of the key, for the hint.
        url: the requested URL, for the hint.
        location: where a redirect points; redirects are never followed.
        asked: a sentence that says who was asked with which key, for the hint.
        home: the vendor's own base URL, for the hint.
        retry_after: seconds that the service asks to wait.
        max_wait: seconds that are waited at most.
    """
    rule = _first(rules, status, report)
    kind = rule.error or for_status(status)
    blocked = kind in _NOT_PAGES and rule.error is None and _is_page(report.body)
    if 300 <= status < 400:
        where = bare_url(location or "")[:_EXCERPT] or "(it does not say where)"
        hint = f"Redirects are not followed; set base_url to where the service is: {where}."
    else:
        asks = _asks(retry_after, max_wait)
        form = _PAGE if blocked else rule.hint or _HINTS.get(status) or _HINTS.get(kind, "")
        hint = form.format(
            env=env,
            url=url,
            asked=asked,
            home=f" (the vendor's is {home})" if home and not url.startswith(home) else "",
            asks=asks,
            wait=asks or "Send fewer at once, or raise max_retries.",
        ).strip()
    error = kind(
        _with_hint(f"HTTP {status}: {report.message}", hint),
        status=status,
        code=report.code,
        body=report.body,
        retry_after=retry_after,
        anchor="a-corporate-proxy" if blocked else rule.anchor,
    )
    may_pass = status in RETRY_STATUSES or (rule.error is not None and kind.is_retryable)
    error.is_retryable = may_pass if rule.retry is None else rule.retry
    return error


def stream_error(
    payload: Mapping[str, Any], rules: Sequence[Rule] = (), *, status: int | None = None
) -> ServerReportedError:
    """Return the error for an error event inside a stream that began as a success."""
    report = read_report(payload)
    status = report.status or status
    rule = _first(rules, status, report)
    hint = rule.hint.format(env="the variable of the key", asked="")
    error = ServerReportedError(
        _with_hint(f"the service reported: {report.message}", hint.strip()),
        status=status,
        code=report.code,
        body=report.body,
        anchor=rule.anchor,
    )
    error.is_retryable = status in RETRY_STATUSES if rule.retry is None else rule.retry
    return error


def _asks(seconds: float | None, most: float) -> str:
    """Say how long the service asks to wait, and why that was not done."""
    if seconds is None:
        return ""
    why = f", but no call waits for more than {most:g} s: try again then" if seconds > most else ""
    return f"The service asks to wait {seconds:g} s{why}."


# What a proxy writes when it blocks an address, or wants a login.
_NOT_PAGES = (BadRequestError, PermissionDeniedError)


def _is_page(body: Any) -> bool:
    return isinstance(body, str) and body.lstrip()[:1] == "<"


def _with_hint(message: str, hint: str) -> str:
    if not hint:
        return message
    return f"{message} {hint}" if message.endswith((".", "!", "?")) else f"{message}. {hint}"


def _first(rules: Sequence[Rule], status: int | None, report: Report) -> Rule:
    for rule in (*rules, _OVERFLOW_CODES, _OVERFLOW):
        if rule.fits(status, report):
            return rule
    return Rule()


def _decode(content: bytes | str) -> Any:
    try:
        return from_json(content)
    except ValueError:
        return content if isinstance(content, str) else content.decode("utf-8", "replace")


def _message(body: Any) -> tuple[str, str | None]:
    """Return message and code."""
    match body:
        case {"error": {} as error} | {"detail": {} as error}:
            message, code = _message(error)
            return message, code or _code(body)
        case {"error": str(message), **rest} if message:
            return message, _code(rest)
        case {"fault": {"faultstring": str(message), **rest}} if message:
            detail = rest.get("detail")
            return message, _code(detail) if isinstance(detail, Mapping) else None
        case {"message": str(message), "errors": {} as errors}:
            return f"{message}: {'; '.join(str(e) for e in errors.values())}", _code(body)
        case {"message": str(message), **rest} if message:
            return message, _code(rest)
        case {"detail": [*items]} if items:
            faults = [i for i in items if isinstance(i, Mapping)]
            code = next((str(i["error_code"]) for i in faults if "error_code" in i), None)
            return "; ".join(map(_fault, faults)) or "validation failed", code
        case {"detail": str(message)} if message:
            return message, _code(body)
        case str(text):
            return _excerpt(text), None
        case {}:
            return "the service gave no reason", _code(body)
        case _:
            return "the service gave no readable reason", None


def _status(body: Any) -> int | None:
    """Return the status that a body, or the error in it, names: as such, or as its code."""
    if not isinstance(body, Mapping):
        return None
    if type(status := body.get("status")) is int:
        return status
    inner = _status(body.get("error")) or _status(body.get("detail"))
    return inner or _STATUSES.get(str(body.get("code")))


def _code(body: Mapping[Any, Any]) -> str | None:
    values = [body[k] for k in ("code", "type", "errorcode") if body.get(k) is not None]
    words = [str(v) for v in values if not str(v).isdigit()]
    return words[0] if words else str(values[0]) if values else None


def _fault(item: Mapping[Any, Any]) -> str:
    """Name the field and the fault; never the value, which is the user's data."""
    message = str(item.get("msg") or item.get("message") or "invalid")
    loc = item.get("loc")
    return f"{'.'.join(map(str, loc))}: {message}" if isinstance(loc, list) and loc else message


def _excerpt(text: str) -> str:
    begin = _TITLE.search(text)  # not as one pattern, which takes the square of the text
    end = begin and _TITLE_END.search(text, begin.end())
    if begin and end:
        from html import unescape

        return " ".join(unescape(text[begin.end() : end.start()]).split())[:_EXCERPT]
    return " ".join(text.split())[:_EXCERPT] or "the service gave no reason"
