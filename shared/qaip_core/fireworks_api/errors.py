"""The error names of the Fireworks client, as classes of the core's tree.

::

    FireworksError                        catch this one; also a ServiceError
    ├── InvalidRequestError               what was asked for cannot be served
    │   ├── BadRequestError               400 and other 4xx
    │   │   └── ContextOverflowError      the prompt is too long for the model
    │   ├── NotFoundError                 404
    │   ├── UnprocessableEntityError      422
    │   └── InvalidParameterError         known before a request is sent
    ├── AuthenticationError               401
    ├── PaymentRequiredError              402
    ├── PermissionError                   403
    ├── PreconditionFailedError           412
    ├── RateLimitError                    429
    ├── InternalServerError               500 and other 5xx
    ├── BadGatewayError                   502
    ├── ServiceUnavailableError           503
    ├── APITimeoutError                   408, and no answer in time
    │   └── GatewayTimeoutError           504
    ├── APIConnectionError                no connection, or it broke
    ├── MalformedResponseError            a body of another shape than documented
    ├── IncompleteStreamError             the stream ended before its end mark
    └── ServerReportedError               an error inside a stream

Each is the core's class for the same fault too (`qaip_core.errors`), with all its attributes.
A missing key or an unusable base URL is the core's `ConfigurationError`, a ValueError, as it was.

Vendor page: https://docs.fireworks.ai/guides/inference-error-codes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from qaip_core import errors
from qaip_core.backends.fireworks import FIREWORKS
from qaip_core.fireworks_api.log import logger

__all__ = [
    "APIConnectionError",
    "APITimeoutError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "ContextOverflowError",
    "FireworksError",
    "GatewayTimeoutError",
    "IncompleteStreamError",
    "InternalServerError",
    "InvalidParameterError",
    "InvalidRequestError",
    "MalformedResponseError",
    "NotFoundError",
    "PaymentRequiredError",
    "PermissionError",
    "PreconditionFailedError",
    "RateLimitError",
    "ServerReportedError",
    "ServiceUnavailableError",
    "UnprocessableEntityError",
    "translated_errors",
]


class FireworksError(errors.ServiceError):
    """Base of the errors that a call raises; see `qaip_core.ServiceError` for the attributes."""


class InvalidRequestError(FireworksError):
    """What was asked for cannot be served."""


class BadRequestError(InvalidRequestError, errors.BadRequestError):
    """The service refused the request (400, 405, 413 and other 4xx)."""


class ContextOverflowError(BadRequestError, errors.ContextOverflowError):
    """The prompt does not fit into the model's context window."""


class NotFoundError(InvalidRequestError, errors.NotFoundError):
    """Unknown model or path (404)."""


class UnprocessableEntityError(InvalidRequestError, errors.UnprocessableEntityError):
    """The service refused a field of the request (422)."""


class InvalidParameterError(InvalidRequestError, errors.InvalidParameterError):
    """An argument cannot be sent; nothing was."""


class AuthenticationError(FireworksError, errors.AuthenticationError):
    """The key is wrong or expired (401)."""


class PaymentRequiredError(FireworksError, errors.PaymentRequiredError):
    """The account has no paid plan, or reached its spending limit (402)."""


class PermissionError(FireworksError, errors.PermissionDeniedError):  # noqa: A001 -- the client's name
    """The key is valid but may not do this (403)."""


class PreconditionFailedError(FireworksError, errors.PreconditionFailedError):
    """The account is suspended, or the model failed to load (412)."""


class RateLimitError(FireworksError, errors.RateLimitError):
    """Too many requests or tokens (429); see ``retry_after``."""


class InternalServerError(FireworksError, errors.ServerError):
    """The service failed (500 and other 5xx)."""


class BadGatewayError(FireworksError, errors.ServerError):
    """A gateway got no sound answer from the service (502)."""


class ServiceUnavailableError(FireworksError, errors.ServerError):
    """The service is overloaded or down (503)."""


class APITimeoutError(FireworksError, errors.ServiceTimeoutError):
    """No answer in time: within ``request_timeout``, or by the service's own limit (408)."""


class GatewayTimeoutError(APITimeoutError, errors.ServerError):
    """A gateway got no answer in time (504)."""


class APIConnectionError(FireworksError, errors.ServiceConnectionError):
    """The connection could not be made, or broke before the answer began."""


class MalformedResponseError(FireworksError, errors.MalformedResponseError):
    """The body has another shape than the service documents."""


class IncompleteStreamError(FireworksError, errors.IncompleteStreamError):
    """The stream ended before its end mark; ``partial`` holds what had arrived."""


class ServerReportedError(FireworksError, errors.ServerReportedError):
    """The service reported an error inside a stream that began as a success."""


_BY_STATUS: Mapping[int | None, type[FireworksError]] = {
    408: APITimeoutError,
    502: BadGatewayError,
    503: ServiceUnavailableError,
    504: GatewayTimeoutError,
}
_BY_KIND: Mapping[type, type[FireworksError]] = {
    errors.ContextOverflowError: ContextOverflowError,
    errors.NotFoundError: NotFoundError,
    errors.UnprocessableEntityError: UnprocessableEntityError,
    errors.InvalidParameterError: InvalidParameterError,
    errors.AuthenticationError: AuthenticationError,
    errors.PaymentRequiredError: PaymentRequiredError,
    errors.PermissionDeniedError: PermissionError,
    errors.PreconditionFailedError: PreconditionFailedError,
    errors.RateLimitError: RateLimitError,
    errors.ServerError: InternalServerError,
    errors.StatusError: BadRequestError,
    errors.ServiceTimeoutError: APITimeoutError,
    errors.ServiceConnectionError: APIConnectionError,
    errors.MalformedResponseError: MalformedResponseError,
    errors.IncompleteStreamError: IncompleteStreamError,
    errors.ServerReportedError: ServerReportedError,
}
# The core's advice names arguments that `create` does not have: it would send them in the body.
_ADVICE = (
    ("stream_idle_timeout", "request_timeout"),
    ("raise timeout", "raise request_timeout"),
    (' (on_incomplete="warn" keeps it)', ""),
    ("pass api_key=... or set", "set"),
    ("base_url", "FIREWORKS_API_BASE"),
    (", or raise max_retries", ""),
)


def _translated(error: errors.ServiceError) -> errors.ServiceError:
    """Return the error under the client's name for it; itself if the client has none."""
    kind = _BY_STATUS.get(error.status) if isinstance(error, errors.StatusError) else None
    kind = kind or next((_BY_KIND[k] for k in type(error).__mro__ if k in _BY_KIND), None)
    if kind is None:
        return error
    message = error.message
    for theirs, here in _ADVICE:
        message = message.replace(theirs, here)
    ours = kind(message)
    ours.__dict__.update(error.__dict__, message=message)
    ours.service = FIREWORKS.name
    if ours.partial is not None:
        ours.partial.raw = None  # the events that it sums up have been handed out
    return ours


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the core's errors under the client's names, and log them.

    Raises:
        FireworksError: for any error of a call.
        ConfigurationError: the call cannot be made as it is configured.
    """
    try:
        yield
    except errors.ServiceError as error:
        ours = _translated(error)
        name, status, sent = type(ours).__name__, ours.status, ours.attempts
        logger.debug("%s status=%s attempts=%s request=%s", name, status, sent, ours.request_id)
        raise ours from error.__cause__
