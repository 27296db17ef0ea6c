"""The core's errors, each also of LangChain's own family.

``except langchain_core.exceptions.ModelRateLimitError``, ``except qaip_core.errors.RateLimitError``
and ``except langchain_qaip.errors.RateLimitError`` all catch the same error; retry and fallback
middleware sees ``is_retryable``. The tree is drawn in `qaip_core.errors`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_core import exceptions as theirs

from qaip_core import errors as core
from qaip_core.errors import ServiceError

__all__ = [
    "RETRYABLE",
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
    "UnprocessableEntityError",
    "as_langchain",
]


class _Traced:
    """Gives LangChain's tracers the service's response, which they read from errors."""

    status: int | None
    headers: Mapping[str, str] | None
    body: Any

    @property
    def response(self) -> Any:
        """The ``httpx.Response`` (already read, without the request), where one came.

        Raises:
            AttributeError: no response came.
        """
        if self.status is None or self.headers is None:
            raise AttributeError("the service sent no response")
        import httpx

        said = self.body if isinstance(self.body, str) else json.dumps(self.body, default=str)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OF_THE_WIRE}
        return httpx.Response(self.status, headers=headers, content=said.encode())


_OF_THE_WIRE = frozenset({"content-length", "content-encoding", "transfer-encoding"})


class ConfigurationError(_Traced, core.ConfigurationError, theirs.ModelInvalidRequestError):
    """The call cannot be made as it is configured; nothing was sent."""


class MissingKeyError(_Traced, core.MissingKeyError, theirs.ModelAuthenticationError):
    """No API key was given and none is in the environment."""


class InvalidParameterError(_Traced, core.InvalidParameterError, theirs.ModelInvalidRequestError):
    """A parameter is unknown, out of range, or of a kind that the service does not take."""


class ServiceConnectionError(_Traced, core.ServiceConnectionError, theirs.ModelConnectionError):
    """The connection could not be made, or broke before the answer began."""


class ServiceTimeoutError(_Traced, core.ServiceTimeoutError, theirs.ModelTimeoutError):
    """The service did not answer in time."""


class InterruptedCallError(_Traced, core.InterruptedCallError, theirs.ModelConnectionError):
    """The program, or its worker, ended while it was asking; only bulk runs tell of it."""


class BadRequestError(_Traced, core.BadRequestError, theirs.ModelInvalidRequestError):
    """The service refused the request."""


class ContextOverflowError(_Traced, core.ContextOverflowError, theirs.ContextOverflowError):
    """The prompt does not fit into the model's context window."""


class ModelNotReadyError(_Traced, core.ModelNotReadyError, theirs.ModelAPIError):
    """The model exists but is not serving yet."""


class AuthenticationError(_Traced, core.AuthenticationError, theirs.ModelAuthenticationError):
    """The key is missing, wrong or expired (401)."""


class PaymentRequiredError(_Traced, core.PaymentRequiredError, theirs.ModelPermissionDeniedError):
    """The account has no plan, no credit, or reached its limit (402)."""


class PermissionDeniedError(_Traced, core.PermissionDeniedError, theirs.ModelPermissionDeniedError):
    """The key is valid but may not do this (403)."""


class EndpointRetiredError(_Traced, core.EndpointRetiredError, theirs.ModelPermissionDeniedError):
    """The vendor has switched this call off; the message names its successor."""


class NotFoundError(_Traced, core.NotFoundError, theirs.ModelNotFoundError):
    """Unknown model, id or path (404)."""


class ConflictError(_Traced, core.ConflictError, theirs.ModelAPIError):
    """The resource is in another state than the request assumes (409)."""


class PreconditionFailedError(
    _Traced, core.PreconditionFailedError, theirs.ModelPermissionDeniedError
):
    """The account or model is not in a state to serve this (412)."""


class UnprocessableEntityError(
    _Traced, core.UnprocessableEntityError, theirs.ModelInvalidRequestError
):
    """The service refused a field of the request (422)."""


class RateLimitError(_Traced, core.RateLimitError, theirs.ModelRateLimitError):
    """Too many requests or tokens (429)."""


class ServerError(_Traced, core.ServerError, theirs.ModelAPIError):
    """The service failed (5xx)."""


class RequestTimeoutError(_Traced, core.RequestTimeoutError, theirs.ModelTimeoutError):
    """The service, or a proxy before it, gave up waiting (408, 504, 524)."""


class MalformedResponseError(_Traced, core.MalformedResponseError, theirs.ModelAPIError):
    """The body has another shape than the service documents."""


class IncompleteStreamError(_Traced, core.IncompleteStreamError, theirs.ModelAPIError):
    """The stream ended before its end mark; ``partial`` holds what had arrived."""


class ServerReportedError(_Traced, core.ServerReportedError, theirs.ModelAPIError):
    """The service reported an error inside a stream that began as a success."""


_FAMILY: dict[type[ServiceError], type[Any]] = {
    base: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, theirs.ModelError)
    for base in cls.__bases__
    if issubclass(base, ServiceError)
}

RETRYABLE: tuple[type[Exception], ...] = tuple(cls for cls in _FAMILY.values() if cls.is_retryable)
"""The errors after which the same call may succeed later, for ``with_retry``."""


class as_langchain:  # noqa: N801 -- it stands behind `with` only
    """Give the core's errors that pass through LangChain's family.

    The very same object goes on, with its traceback and all that it carries.
    """

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ServiceError):
            error.__class__ = _FAMILY.get(type(error), type(error))
