"""Structured output: from a schema to what a service is asked for."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from langchain_core.utils.function_calling import convert_to_json_schema

from qaip_core import Message
from qaip_core.errors import InvalidParameterError
from qaip_core.structured import is_object_schema, json_schema_format, schema_in_words

__all__ = ["Method", "instructions", "to_json_schema", "to_response_format"]

Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]

_FORMATS = frozenset({"text", "json_object", "json_schema", "grammar", "regex"})


def to_json_schema(schema: Any, strict: bool | None = None) -> dict[str, Any]:
    """Return a schema of any kind that LangChain knows as JSON schema with a title.

    Raises:
        InvalidParameterError: it is none.
    """
    if isinstance(schema, dict) and isinstance(inner := schema.get("json_schema"), dict):
        schema = {"title": inner.get("name", "answer"), **inner.get("schema", {})}
    elif isinstance(schema, dict) and not schema.keys() & {"title", "name", "function"}:
        schema = {"title": "answer", **schema}
    try:
        described = convert_to_json_schema(schema, strict=strict)
        if "properties" not in described and isinstance(schema, dict):
            described = dict(schema)  # maps, unions: LangChain keeps objects with properties only
        if not is_object_schema(described):
            raise ValueError("it is not a schema of objects")
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(
            f"no schema of objects: {schema!r:.200}; pass a pydantic class, a TypedDict, a JSON "
            "schema or an OpenAI function"
        ) from error
    return described


def to_response_format(schema: Any, strict: bool | None = None) -> dict[str, Any]:
    """Return the ``response_format`` that asks for a schema; one that is given goes through."""
    if isinstance(schema, dict) and schema.get("type") in _FORMATS:
        return schema
    described = to_json_schema(schema, strict)
    return json_schema_format(str(described["title"]), described, strict)


def instructions(response_format: dict[str, Any], service: str) -> list[Message]:
    """Return the turn that asks for a format which the service itself does not enforce.

    Raises:
        InvalidParameterError: it cannot be asked for in words.
    """
    kind = response_format.get("type")
    if kind == "text":
        return []
    if kind == "json_schema":
        return [Message("system", schema_in_words(to_json_schema(response_format)))]
    if kind != "json_object":
        raise InvalidParameterError(f"{service} takes no response_format of type {kind!r}")
    return [Message("system", schema_in_words())]
