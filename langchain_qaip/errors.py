"""The core's errors, each also of LangChain's own family.

``except langchain_core.exceptions.ModelRateLimitError``, ``except qaip_core.errors.RateLimitError``
and ``except langchain_qaip.errors.RateLimitError`` all catch the same error; retry and fallback
middleware sees ``is_retryable``. The tree is drawn in `qaip_core.errors`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from langchain_core import exceptions as theirs

from qaip_core import errors as core
from qaip_core.errors import ServiceError

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "ContextOverflowError",
    "EndpointRetiredError",
    "IncompleteStreamError",
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
    "UnprocessableEntityError",
    "as_langchain",
]


class ConfigurationError(core.ConfigurationError, theirs.ModelInvalidRequestError):
    """The call cannot be made as it is configured; nothing was sent."""


class MissingKeyError(core.MissingKeyError, theirs.ModelAuthenticationError):
    """No API key was given and none is in the environment."""


class InvalidParameterError(core.InvalidParameterError, theirs.ModelInvalidRequestError):
    """A parameter is unknown, out of range, or of a kind that the service does not take."""


class ServiceConnectionError(core.ServiceConnectionError, theirs.ModelConnectionError):
    """The connection could not be made, or broke before the answer began."""


class ServiceTimeoutError(core.ServiceTimeoutError, theirs.ModelTimeoutError):
    """The service did not answer in time."""


class BadRequestError(core.BadRequestError, theirs.ModelInvalidRequestError):
    """The service refused the request."""


class ContextOverflowError(core.ContextOverflowError, theirs.ContextOverflowError):
    """The prompt does not fit into the model's context window."""


class ModelNotReadyError(core.ModelNotReadyError, theirs.ModelAPIError):
    """The model exists but is not serving yet."""


class AuthenticationError(core.AuthenticationError, theirs.ModelAuthenticationError):
    """The key is missing, wrong or expired (401)."""


class PaymentRequiredError(core.PaymentRequiredError, theirs.ModelPermissionDeniedError):
    """The account has no plan, no credit, or reached its limit (402)."""


class PermissionDeniedError(core.PermissionDeniedError, theirs.ModelPermissionDeniedError):
    """The key is valid but may not do this (403)."""


class EndpointRetiredError(core.EndpointRetiredError, theirs.ModelPermissionDeniedError):
    """The vendor has switched this call off; the message names its successor."""


class NotFoundError(core.NotFoundError, theirs.ModelNotFoundError):
    """Unknown model, id or path (404)."""


class ConflictError(core.ConflictError, theirs.ModelAPIError):
    """The resource is in another state than the request assumes (409)."""


class PreconditionFailedError(core.PreconditionFailedError, theirs.ModelPermissionDeniedError):
    """The account or model is not in a state to serve this (412)."""


class UnprocessableEntityError(core.UnprocessableEntityError, theirs.ModelInvalidRequestError):
    """The service refused a field of the request (422)."""


class RateLimitError(core.RateLimitError, theirs.ModelRateLimitError):
    """Too many requests or tokens (429)."""


class ServerError(core.ServerError, theirs.ModelAPIError):
    """The service failed (5xx)."""


class RequestTimeoutError(core.RequestTimeoutError, theirs.ModelTimeoutError):
    """The service, or a proxy before it, gave up waiting (408, 504, 524)."""


class MalformedResponseError(core.MalformedResponseError, theirs.ModelAPIError):
    """The body has another shape than the service documents."""


class IncompleteStreamError(core.IncompleteStreamError, theirs.ModelAPIError):
    """The stream ended before its end mark; ``partial`` holds what had arrived."""


class ServerReportedError(core.ServerReportedError, theirs.ModelAPIError):
    """The service reported an error inside a stream that began as a success."""


_FAMILY: dict[type[ServiceError], type[Any]] = {
    base: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, theirs.ModelError)
    for base in cls.__bases__
    if issubclass(base, ServiceError)
}


@contextmanager
def as_langchain() -> Generator[None, None, None]:
    """Give the core's errors that pass through LangChain's family.

    The very same object goes on, with its traceback and all that it carries.
    """
    try:
        yield
    except ServiceError as error:
        error.__class__ = _FAMILY.get(type(error), type(error))
        raise
