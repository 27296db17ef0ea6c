"""One tree of errors for all services.

::

    ServiceError                     everything below; catch this one
    ├── ConfigurationError           known before a request is sent (also a ValueError)
    │   ├── MissingKeyError          no key given and none in the environment
    │   └── InvalidParameterError    unknown name, value out of range, unsupported input
    ├── TransportError               no answer came
    │   ├── ServiceConnectionError   refused, reset, DNS, TLS, proxy
    │   ├── ServiceTimeoutError      nothing came in time (also a TimeoutError)
    │   └── InterruptedCallError     the program ended while it was asking (in bulk runs)
    ├── StatusError                  the service answered with an error status
    │   ├── BadRequestError          400 and other 4xx
    │   │   ├── ContextOverflowError     the prompt is too long for the model
    │   │   └── ModelNotReadyError       the model exists but is not serving yet
    │   ├── AuthenticationError      401
    │   ├── PaymentRequiredError     402
    │   ├── PermissionDeniedError    403
    │   │   └── EndpointRetiredError     the vendor has switched this call off
    │   ├── NotFoundError            404
    │   ├── ConflictError            409
    │   ├── PreconditionFailedError  412
    │   ├── UnprocessableEntityError 422
    │   ├── RateLimitError           429
    │   └── ServerError              5xx
    │       └── RequestTimeoutError      408, 504, 524: the service or a proxy gave up waiting
    └── AnswerError                  status 200, but no complete answer
        ├── MalformedResponseError   a body of another shape than documented
        ├── IncompleteStreamError    the stream ended before its end mark
        └── ServerReportedError      the service reported an error inside a stream

Whatever had arrived when an error interrupted an answer is in ``error.partial``. The text of an
error ends with how many attempts were made, if more than one, and with the place in docs/errors.md
that explains it; ``qaip explain NAME`` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qaip_core.redaction import causes, redacted, shown_headers

if TYPE_CHECKING:
    from qaip_core.types import Completion

__all__ = [
    "AnswerError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "ContextOverflowError",
    "EndpointRetiredError",
    "IncompleteStreamError",
    "InterruptedCallError",
    "InvalidParameterError",
    "MalformedResponseError",
    "MissingKeyError",
    "ModelNotReadyError",
    "NotFoundError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ServerError",
    "ServerReportedError",
    "ServiceConnectionError",
    "ServiceError",
    "ServiceTimeoutError",
    "StatusError",
    "TransportError",
    "UnprocessableEntityError",
    "for_status",
]


_PACKAGES = ("qaip_core", "langchain_qaip", "llama_index_qaip")


class ServiceError(Exception):
    """Base of every error that this package raises.

    Attributes:
        message: what happened and what to do about it.
        service: the service's name, such as ``"perplexity"``.
        status: the HTTP status, or the status that an error event reports; also by the name
            ``status_code``, which other packages use.
        code: the service's own error code or type, as sent.
        request_id: the service's id of the request, for its support.
        retry_after: seconds that the service asks to wait.
        attempts: how many requests were sent.
        body: the decoded error body, or its text.
        headers: the response headers, without those that are for one session or one reader:
            cookies, echoed credentials, the query of a ``location``.
        partial: the answer as far as it had arrived.
        is_retryable: whether the same call may succeed later.
        unsent: whether the request certainly did not reach the service.
        anchor: the section of docs/errors.md that explains it: that of its class, unless a more
            precise one is known.
    """

    is_retryable = False
    anchor = "serviceerror"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Point each of our classes to its own section; those of others to their base's."""
        super().__init_subclass__(**kwargs)
        if cls.__module__.partition(".")[0] in _PACKAGES:
            cls.anchor = cls.__name__.lower()

    def __init__(
        self,
        message: str,
        *,
        service: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        attempts: int = 0,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        partial: Completion | None = None,
        unsent: bool = False,
        anchor: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.service = service
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.attempts = attempts
        self.body = body
        self.headers: Mapping[str, str] | None = headers and shown_headers(headers)
        self.partial = partial
        self.unsent = unsent
        if anchor:
            self.anchor = anchor

    def __str__(self) -> str:
        return self.told(f"docs/errors.md#{self.anchor}")

    def told(self, pointer: str) -> str:
        """Return the message, how many attempts were made if more than one, and where to read on.

        Parameters:
            pointer: the place that explains the error; empty for none.
        """
        tried = f"after {self.attempts} attempts" if self.attempts > 1 else ""
        end = "; ".join(filter(None, (tried, pointer)))
        return f"{self.message} ({end})" if end else self.message

    def redact(self, secret: str) -> None:
        """Remove a secret that the service echoed, such as the key it refused."""
        self.message = redacted(self.message, secret)
        self.args = (self.message,)
        self.code = redacted(self.code, secret)
        self.request_id = redacted(self.request_id, secret)
        self.body = redacted(self.body, secret)
        self.headers = redacted(self.headers, secret)
        if self.partial is not None:
            self.partial.metadata = redacted(self.partial.metadata, secret)
        for cause in causes(self):  # a transport library quotes what it could not read
            cause.args = tuple(redacted(a, secret) if isinstance(a, str) else a for a in cause.args)

    @property
    def status_code(self) -> int | None:
        """The same as ``status``."""
        return self.status

    @property
    def partial_text(self) -> str:
        """The text that had arrived before the error; empty if none had."""
        return self.partial.text if self.partial else ""


class ConfigurationError(ServiceError, ValueError):
    """The call cannot be made as it is configured; nothing was sent."""


class MissingKeyError(ConfigurationError):
    """No API key was given and none is in the environment."""


class InvalidParameterError(ConfigurationError):
    """A parameter is unknown, out of range, or of a kind that the service does not take."""


class TransportError(ServiceError):
    """No answer came from the service."""

    is_retryable = True


class ServiceConnectionError(TransportError):
    """The connection could not be made, or broke before the answer began."""


class ServiceTimeoutError(TransportError, TimeoutError):
    """The service did not answer in time."""


class InterruptedCallError(TransportError):
    """The program, or its worker, ended while it was asking; only bulk runs tell of it."""


class StatusError(ServiceError):
    """The service answered with an error status."""


class BadRequestError(StatusError):
    """The service refused the request (400, 405, 413, 415 and other 4xx)."""


class ContextOverflowError(BadRequestError):
    """The prompt does not fit into the model's context window."""


class ModelNotReadyError(BadRequestError):
    """The model exists but is not serving yet; try again later."""

    is_retryable = True


class AuthenticationError(StatusError):
    """The key is missing, wrong or expired (401)."""


class PaymentRequiredError(StatusError):
    """The account has no plan, no credit, or reached its limit (402)."""


class PermissionDeniedError(StatusError):
    """The key is valid but may not do this (403)."""


class EndpointRetiredError(PermissionDeniedError):
    """The vendor has switched this call off; the message names its successor."""


class NotFoundError(StatusError):
    """Unknown model, id or path (404)."""


class ConflictError(StatusError):
    """The resource is in another state than the request assumes (409)."""

    is_retryable = True


class PreconditionFailedError(StatusError):
    """The account or model is not in a state to serve this (412)."""


class UnprocessableEntityError(StatusError):
    """The service refused a field of the request (422)."""


class RateLimitError(StatusError):
    """Too many requests or tokens (429); see ``retry_after``."""

    is_retryable = True


class ServerError(StatusError):
    """The service failed (5xx)."""

    is_retryable = True


class RequestTimeoutError(ServerError, TimeoutError):
    """The service, or a proxy before it, gave up waiting (408, 504, 524)."""


class AnswerError(ServiceError):
    """The status was a success, but the answer is not complete."""


class MalformedResponseError(AnswerError):
    """The body has another shape than the service documents."""


class IncompleteStreamError(AnswerError):
    """The stream ended before its end mark; ``partial`` holds what had arrived."""

    is_retryable = True


class ServerReportedError(AnswerError):
    """The service reported an error inside a stream that began as a success."""


BY_STATUS: Mapping[int, type[StatusError]] = {
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    409: ConflictError,
    412: PreconditionFailedError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    504: RequestTimeoutError,
    524: RequestTimeoutError,
}


def for_status(status: int) -> type[StatusError]:
    """Return the error class of an HTTP status."""
    return BY_STATUS.get(status) or (ServerError if status >= 500 else BadRequestError)
