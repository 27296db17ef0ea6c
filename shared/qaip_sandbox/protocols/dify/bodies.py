"""The bodies of requests: JSON, the user, and the fields, each checked in the service's words.

Up to 1.10 a parser of arguments read the fields one by one, by `Argument`; since then a model
reads them all, and the text of its error is the service's.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from qaip_sandbox._wire import Json, Refusal, parse_json
from qaip_sandbox.service import Call

from .profiles import profile_of
from .refusals import crash, invalid, refusal, told
from .switches import DifySwitches

__all__ = ["Argument", "fields_of", "json_body", "user_of", "uuid_or_empty"]

_MISSING = "Missing required parameter in the JSON body"


@dataclass(frozen=True, slots=True)
class Argument:
    """One field as the parser of arguments knows it; `help` stands before its errors."""

    name: str
    convert: Callable[[Any], Json]
    help: str = ""
    required: bool = False
    default: Json = None
    choices: Sequence[Json] = ()


def json_body(call: Call) -> dict[str, Json]:
    """Return the body of `call`.

    Raises:
        Refusal: it is not called JSON (415), is none (400), or is no object (500).
    """
    switches = call.switched(DifySwitches)
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = (
            "Did not attempt to load JSON data because the request Content-Type was not "
            "'application/json'."
        )
        raise refusal(switches, 415, "unsupported_media_type", message)
    try:
        body = parse_json(call.raw)
    except ValueError:
        message = "The browser (or proxy) sent a request that this server could not understand."
        raise refusal(switches, 400, "bad_request", message) from None
    if not isinstance(body, dict):
        raise crash(switches)
    return body


def user_of(switches: DifySwitches, given: Mapping[str, Json]) -> str:
    """Return the user, whom every call must name.

    Raises:
        Refusal: there is none, or the name is too long for the service's table.
    """
    user = given.get("user")
    if not user:
        raise invalid(switches, "Arg user must be provided.")
    if len(str(user)) > 255:
        raise crash(switches)
    return str(user)


def fields_of(
    switches: DifySwitches,
    body: Mapping[str, Json],
    arguments: Sequence[Argument],
    model: type[BaseModel],
) -> dict[str, Json]:
    """Return the fields of a body, with defaults for those that it leaves out.

    Raises:
        Refusal: a field is missing or wrong.
    """
    if not profile_of(switches).typed:
        return {a.name: _field(switches, body, a) for a in arguments}
    try:
        return model.model_validate(body).model_dump()
    except ValidationError as error:
        raise invalid(switches, str(error)) from None


def uuid_or_empty(value: Any) -> str:
    """Return the id of a conversation, or no text for a new one.

    Raises:
        ValueError: it is neither.
    """
    try:
        return str(uuid.UUID(value)) if value else ""
    except (ValueError, AttributeError):
        raise ValueError(f"{value} is not a valid uuid.") from None


def _field(switches: DifySwitches, body: Mapping[str, Json], argument: Argument) -> Json:
    if argument.name not in body:
        if argument.required:
            raise _malformed(switches, argument, _MISSING)
        return argument.default
    value = body[argument.name]
    try:
        value = None if value is None else argument.convert(value)
    except (ValueError, TypeError) as error:
        raise _malformed(switches, argument, str(error)) from None
    if argument.choices and value not in argument.choices:
        bad = f"The value '{value}' is not a valid choice for '{argument.name}'."
        restful = profile_of(switches).restful
        raise _malformed(switches, argument, f"{value} is not a valid choice" if restful else bad)
    return value


def _malformed(switches: DifySwitches, argument: Argument, words: str) -> Refusal:
    if profile_of(switches).restful:
        body: Json = {"code": "invalid_param", "message": words, "params": argument.name}
    else:
        told_of = {argument.name: f"{argument.help} {words}".strip()}
        body = {"errors": told_of, "message": "Input payload validation failed"}
    return Refusal(told(switches, body, 400))
