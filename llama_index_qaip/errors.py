"""The errors that every class here raises.

The tree is drawn in `qaip_core.errors`; one more error belongs to this package alone: an
`AnswerError` for answers that are not what LlamaIndex asked for.
"""

from qaip_core.errors import (
    AnswerError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ContextOverflowError,
    EndpointRetiredError,
    IncompleteStreamError,
    InterruptedCallError,
    InvalidParameterError,
    MalformedResponseError,
    MissingKeyError,
    ModelNotReadyError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    ServerReportedError,
    ServiceConnectionError,
    ServiceError,
    ServiceTimeoutError,
    StatusError,
    TransportError,
    UnprocessableEntityError,
)

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
    "InvalidOutputError",
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
]


class InvalidOutputError(AnswerError, ValueError):
    """The model did not write the object, or the tool call, that was asked for.

    ``body`` holds what it wrote.
    """
