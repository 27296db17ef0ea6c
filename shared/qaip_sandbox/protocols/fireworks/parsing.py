"""From a body to a request, or to what is wrong with it in the service's words."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from qaip_sandbox._wire import Json, parse_json
from qaip_sandbox.service import Call

from .chat import Chat
from .errors import Flaw, invalid
from .sampling import Completion, Sampling
from .switches import FireworksSwitches

__all__ = ["check_model", "parse", "validated"]

_UNKNOWN_MODELS = frozenset({"unknown", "unknown-model"})

_Model = TypeVar("_Model", bound=BaseModel)
_Request = TypeVar("_Request", Completion, Chat)

# The names by which pydantic tells apart the types of a union; they are no part of a field's name.
_TYPES = frozenset({"bool", "int", "str", "Named", "_Prediction"})


def parse(model: type[_Request], call: Call) -> _Request:
    """Read the request of `call`.

    Raises:
        Flaw: it is not one that Fireworks would serve.
    """
    switches = call.switched(FireworksSwitches)
    request = validated(model, call)
    check_model(request.model)
    _check(request, switches.longest_whole)
    if isinstance(request, Chat):
        request.check()
    return request


def validated(model: type[_Model], call: Call) -> _Model:
    """Read the body of `call` as a `model`.

    Raises:
        Flaw: it is none.
    """
    switches = call.switched(FireworksSwitches)
    try:
        body = parse_json(call.raw)
    except ValueError:
        raise invalid("The request body is not valid JSON") from None
    try:
        lenient = not switches.refuses_unknown
        return model.model_validate(_known(body, switches), context={"lenient": lenient})
    except ValidationError as fault:
        raise invalid(_told(fault)) from None


def check_model(name: str) -> None:
    """Check the name of a model.

    Raises:
        Flaw: there is no such model.
    """
    if name.rpartition("/")[2] in _UNKNOWN_MODELS:
        message = "Model not found, inaccessible, and/or not deployed"
        raise Flaw(404, message, "NOT_FOUND", "model")


def _known(body: Json, switches: FireworksSwitches) -> Json:
    """Return a body without the fields that the profile is too old for."""
    newer = switches.facts.newer
    if not isinstance(body, dict) or newer.isdisjoint(body):
        return body
    if switches.refuses_unknown:
        name = next(key for key in body if key in newer)
        raise invalid(_extra(name, body[name]))
    return {key: value for key, value in body.items() if key not in newer}


def _extra(name: str, value: Json) -> str:
    return f"Extra inputs are not permitted, field: {name!r}, value: {value!r}"


def _told(error: ValidationError) -> str:
    first, *others = error.errors()
    place = first["loc"][:1]
    faults = [first, *(fault for fault in others if fault["loc"][:1] == place)]
    # Each type of a union reports a fault of its own. Most telling is that of the type that the
    # value has, or else the deepest, or else the last.
    _, fault = max(
        enumerate(faults),
        key=lambda pair: (not pair[1]["type"].endswith("_type"), len(pair[1]["loc"]), pair[0]),
    )
    field = ".".join(str(part) for part in fault["loc"] if not _is_type(part))
    return f"{fault['msg']}, field: {field!r}, value: {fault['input']!r}"


def _is_type(part: int | str) -> bool:
    return isinstance(part, str) and (part in _TYPES or not part.isidentifier())


def _check(request: Sampling, longest_whole: int | None) -> None:
    form = request.response_format
    faults = (
        (
            request.max_tokens is not None and request.max_completion_tokens is not None,
            "Only one of max_tokens and max_completion_tokens may be set",
        ),
        (
            longest_whole and (request.limit or 0) > longest_whole and not request.stream,
            f"Requests with max_tokens > {longest_whole} must have stream=true",
        ),
        (
            request.thinking is not None and request.reasoning_effort is not None,
            "Only one of thinking and reasoning_effort may be set",
        ),
        (
            form is not None and form.type == "json_schema" and form.schema_of_answer is None,
            "Field required, field: 'response_format.json_schema', value: None",
        ),
        (
            form is not None and form.type == "grammar" and form.grammar is None,
            "Field required, field: 'response_format.grammar', value: None",
        ),
        (
            isinstance(request, Completion) and not request.has_its_images,
            "The number of images must be that of <image> in the prompt, field: 'images'",
        ),
    )
    for fault, message in faults:
        if fault:
            raise invalid(message)
