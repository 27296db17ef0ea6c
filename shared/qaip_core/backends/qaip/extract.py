"""Qaip's extraction: an object of a JSON Schema, taken from the indexed documents.

Vendor page: https://docs.qaip.com (API reference, Extract)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from qaip_core.backends.qaip._service import QAIP
from qaip_core.backends.qaip.params import FilterParams, Limit, Offset
from qaip_core.errors import InvalidParameterError, MalformedResponseError
from qaip_core.operation import Operation
from qaip_core.reading import finite

__all__ = ["EXTRACT", "ExtractParams", "RelatedParams", "extraction"]


class RelatedParams(FilterParams):
    """Which related passages are used, besides `FilterParams`.

    Parameters:
        limit: how many at most, at least 1.
        offset: how many to leave out at the front, at least 0.
    """

    limit: Limit | None = None
    offset: Offset | None = None


class ExtractParams(FilterParams):
    """Parameters of Qaip's extraction, besides `FilterParams`.

    Parameters:
        object_schema: what to extract: a JSON Schema of an object; ``schema`` on the wire, and
            by that name, too.
        limit: passages to read, at least 1; the service's default is not known.
        offset: passages to leave out at the front, at least 0.
        use_related: whether related passages are looked for and read, too.
        related_filter: which of those: the fields of `RelatedParams`.

    Source: https://docs.qaip.com (API reference, Extract)
    """

    synonyms: ClassVar[Mapping[str, str]] = {"schema": "object_schema"}

    object_schema: Any = Field(default=None, serialization_alias="schema")
    limit: Limit | None = None
    offset: Offset | None = None
    use_related: bool | None = None
    related_filter: RelatedParams | None = None


class _Call(ExtractParams):
    object_schema: dict[str, Any] | None = Field(default=None, serialization_alias="schema")
    prompt: str | None = None


def extraction(
    fields: Mapping[str, Any],
    schema: Mapping[str, Any],
    prompt: str | None,
    call: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the parameters of one extraction: an object's, overlaid by the call's own.

    Parameters:
        fields: those of the object.
        schema: the JSON Schema.
        prompt: what to look for; None for what the schema says.
        call: further parameters.

    Raises:
        InvalidParameterError: schema or prompt are among these.
    """
    for name in (*EXTRACT.params.synonyms, "object_schema", "prompt"):
        if call.get(name) is not None:
            raise InvalidParameterError(
                f"{name!r} is no parameter of a call: the schema is that of the object, and what "
                "to look for is the first argument"
            )
    own = {name: fields[name] for name in EXTRACT.names if fields.get(name) is not None}
    given = {k: v for k, v in call.items() if v is not None}
    extra = {**(fields.get("extra_body") or {}), **given.pop("extra_body", {})}
    asked = {"object_schema": schema, "prompt": prompt or None, "extra_body": extra}
    return {**own, **given, **asked}


def _decode(body: Any) -> dict[str, Any]:
    result = body.get("result") if isinstance(body, dict) else None
    if not isinstance(result, dict):
        raise MalformedResponseError("the body holds no object as its result", body=body)
    found: dict[str, Any] = finite(result)
    return found


EXTRACT: Operation[dict[str, Any]] = Operation(
    QAIP, "/extract", _decode, _Call, ("object_schema",), method="POST", is_safe=False
)
