"""How a run fails at its model: one table, told in a stream or as an HTTP error."""

from collections.abc import Mapping
from dataclasses import dataclass

from qaip_sandbox._wire import Json

from .profiles import profile_of
from .refusals import refusal
from .switches import DifySwitches

__all__ = ["Failure", "error_body", "failure_of", "refuse_early"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as the service words it; `early` ones come before any stream begins."""

    code: str
    status: int
    message: str
    early: bool = False


_MODEL = "completion_request_error"
_SETTLE = "Please complete the settings of the model provider."
# What a model's server says is passed on as it came.
_RATE_LIMIT = (
    '[models] Rate Limit Error, Error code: 429 - {"error": {"message": "Too many requests."}}'
)
_UNAVAILABLE = (
    '[models] Server Unavailable Error, Error code: 500 - {"error": {"message": "Out of order."}}'
)
_FAILURES: Mapping[str, Failure] = {
    "rate_limit": Failure(_MODEL, 400, _RATE_LIMIT),
    "unavailable": Failure(_MODEL, 400, _UNAVAILABLE),
    "bad_model_key": Failure(_MODEL, 400, "Incorrect API key provided"),
    "no_credentials": Failure(
        "provider_not_initialize", 400, f"No valid model provider credentials found. {_SETTLE}"
    ),
    "no_quota": Failure("provider_quota_exceeded", 400, f"Your quota is exhausted. {_SETTLE}"),
    "unsupported_model": Failure(
        "model_currently_not_support", 400, "The trial does not support this model."
    ),
    "no_provider": Failure("invalid_param", 400, "Provider sandbox does not exist.", early=True),
    "no_model": Failure("invalid_param", 400, "Model sandbox not exist.", early=True),
    "crash": Failure(
        "internal_server_error", 500, "Internal Server Error, please contact support."
    ),
}


def failure_of(switches: DifySwitches) -> Failure | None:
    """Return how a stream fails, if it does."""
    if switches.failure == "rate_limit" and profile_of(switches).rate_limits:
        return Failure("rate_limit_error", 429, _RATE_LIMIT)
    return _FAILURES.get(switches.failure)


def refuse_early(switches: DifySwitches, *, streaming: bool) -> None:
    """Raise what ends a run before its first byte: any failure of one that is not streamed.

    Raises:
        Refusal: the run fails so.
    """
    failure = _FAILURES.get(switches.failure)
    if failure and (failure.early or not streaming):
        raise refusal(switches, failure.status, failure.code, failure.message)


def error_body(switches: DifySwitches, failure: Failure) -> Json:
    """Return what the event of a failure says about it."""
    return {
        "code": failure.code,
        "status": failure.status,
        "message": None if switches.null_error else failure.message,
    }
