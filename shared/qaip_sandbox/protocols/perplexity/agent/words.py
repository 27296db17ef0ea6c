"""What the agent call says about a request that it refuses."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from qaip_sandbox._wire import Refusal
from qaip_sandbox.protocols.perplexity.errors import error

__all__ = ["invalid", "refusal", "unusable"]

_TEMPLATES: Mapping[str, str] = {
    "greater_than_equal": "{name} must be at least {ge:g}",
    "less_than_equal": "{name} must be at most {le:g}",
    "literal_error": "{name} must be one of: {expected}",
    "missing": "{name} is required",
    "string_too_short": "{name} cannot be empty",
    "too_long": "{name} must have at most {max_length} entries",
    "union_tag_invalid": "type must be one of: {expected_tags}",
    "value_error": "{name}: {error}",
}
_LISTS = ("tools", "input", "models")
_QUOTED = re.compile(r"'([^']*)'")


def invalid(message: str) -> Refusal:
    """Refuse a request that breaks a rule of the service."""
    return Refusal(error(400, f"validation failed: {message}", "invalid_request"))


def unusable(message: str = "invalid request", kind: str = "invalid_request") -> Refusal:
    """Refuse a request for a reason that has words of its own, or hardly any."""
    return Refusal(error(400, message, kind))


def refusal(fault: ValidationError) -> Refusal:
    """Return the refusal for the first thing that is wrong; unknown fields come before all."""
    found = fault.errors(include_url=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    # Which branch of a union was tried is nothing that the client has written.
    place = tuple(part for part in first["loc"] if "[" not in str(part))
    name = next((part for part in reversed(place) if isinstance(part, str)), "body")
    if first["type"] == "extra_forbidden":
        words = f'invalid request body: json: unknown field "{name}"'
        return Refusal(error(400, words, "invalid_request", name))
    if place == ("input",) and first["type"] == "missing":
        return unusable("input array cannot be empty")
    template = _TEMPLATES.get(first["type"])
    if template is None:
        return unusable(f"invalid request body: {_path(place)}: {first['msg']}")
    return invalid(_within(place) + template.format(**_values(first, name)))


def _values(found: ErrorDetails, name: str) -> dict[str, Any]:
    values = {"name": name.replace("_", " "), **found.get("ctx", {})}
    for key in ("expected", "expected_tags"):
        values[key] = " ".join(_QUOTED.findall(str(values.get(key, ""))))
    return values


def _within(place: tuple[int | str, ...]) -> str:
    if len(place) > 1 and place[0] in _LISTS:
        number = next((part for part in place if isinstance(part, int)), None)
        return "" if number is None else f"{place[0]}[{number}]: "
    return ""


def _path(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place)) or "body"
