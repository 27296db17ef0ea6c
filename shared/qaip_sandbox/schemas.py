"""JSON Schema: following its references, merging its parts, and checking values against it.

Keywords that are not in the tables below (`if`, `dependentRequired`, ...) are ignored, and a
`format` is an annotation, as the standard has it.
"""

from collections.abc import Callable, Mapping, Sized
from typing import Any, TypeGuard

import regex

from ._wire import Json

__all__ = [
    "Impossible",
    "Schema",
    "conforms",
    "has_match",
    "is_object",
    "merge",
    "plain",
    "types_of",
]

Schema = dict[str, Any]
"""A schema other than `true` and `false`."""

_HINTS = {
    "object": ("properties", "required", "additionalProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


_PATIENCE = 0.05  # seconds for one search
_ENDLESS: list[str] = []
_MOST = 100


class Impossible(ValueError):  # noqa: N818 - it tells of a schema, and is always caught
    """A schema that the sandbox finds no value for, or that is none."""


def is_object(value: Json) -> TypeGuard[Schema]:
    """Say whether `value` is a JSON object."""
    return isinstance(value, dict)


def plain(schema: Json, root: Json) -> tuple[Schema, frozenset[str]]:
    """Return `schema` with its `$ref` and `allOf` merged in, and the references followed."""
    if schema is True:
        return {}, frozenset()
    if not is_object(schema):
        raise Impossible("nothing conforms to one of its schemas")
    found = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
    refs: frozenset[str] = frozenset()
    parts = list(schema.get("allOf", []))
    if "$ref" in schema:
        refs = frozenset([schema["$ref"]])
        parts.insert(0, _target(schema["$ref"], root))
    for part in parts:
        table, more = plain(part, root)
        found, refs = merge(table, found), refs | more
    return found, refs


def _target(ref: Json, root: Json) -> Json:
    found = root
    for part in str(ref).lstrip("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or key not in found:
            raise Impossible(f"{ref} is not in it")
        found = found[key]
    if not str(ref).startswith("#"):
        raise Impossible(f"{ref} is not in it")
    return found


_MERGED: Mapping[str, Callable[[Any, Any], Json]] = {
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "enum": lambda one, other: [option for option in one if option in other],
    "minimum": max,
    "exclusiveMinimum": max,
    "minLength": max,
    "minItems": max,
    "minProperties": max,
    "maximum": min,
    "exclusiveMaximum": min,
    "maxLength": min,
    "maxItems": min,
    "maxProperties": min,
    "properties": lambda one, other: {
        **one,
        **{k: {"allOf": [one[k], v]} if k in one else v for k, v in other.items()},
    },
}


def merge(one: Schema, other: Schema) -> Schema:
    """Return a schema for what conforms to both; of keywords that do not add up, the other's."""
    found = {**one, **other}
    for key in one.keys() & other.keys() & _MERGED.keys():
        found[key] = _MERGED[key](one[key], other[key])
    choices = [key for key in ("anyOf", "oneOf") if key in one and key in other]
    if choices:
        # Two choices to make: the first stays a choice, the second is made inside of it.
        key = choices[0]
        found[key] = [{"allOf": [option, {key: other[key]}]} for option in one[key]]
    if "type" in one and "type" in other:
        found["type"] = [kind for kind in types_of(one) if kind in types_of(other)]
        if "number" in types_of(one) + types_of(other) and not found["type"]:
            found["type"] = "integer"
    return found


def types_of(schema: Schema) -> list[str]:
    """Return the types that `schema` names, or those that its keywords speak of."""
    named = schema.get("type")
    if named is not None:
        return list(named) if isinstance(named, list) else [str(named)]
    return [kind for kind, keywords in _HINTS.items() if any(word in schema for word in keywords)]


def conforms(value: Json, schema: Json, root: Json) -> bool:
    """Say whether `value` conforms to `schema`, whose references point into `root`."""
    if not is_object(schema):
        return schema is True
    return all(
        check(value, schema[keyword], schema, root)
        for keyword, check in _CHECKS.items()
        if keyword in schema
    )


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Json], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and value == int(value),
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}

_Check = Callable[[Any, Any, Schema, Json], bool]


def _same(one: Json, other: Json) -> bool:
    # In Python, but not in JSON, true equals 1.
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _numeric(holds: Callable[[Any, Any], bool]) -> _Check:
    return lambda value, limit, *_: not _is_number(value) or holds(value, limit)


def _sized(kind: type[Sized], holds: Callable[[int, Any], bool]) -> _Check:
    return lambda value, limit, *_: not isinstance(value, kind) or holds(len(value), limit)


def _at_least(size: int, limit: int) -> bool:
    return size >= limit


def _at_most(size: int, limit: int) -> bool:
    return size <= limit


def _typed(value: Json, _: Json, schema: Schema, __: Json) -> bool:
    return any(kind in _TYPES and _TYPES[kind](value) for kind in types_of(schema))


def has_match(pattern: str, text: str) -> bool:
    """Say whether a schema's pattern occurs in `text`.

    Raises:
        Impossible: it is no pattern, or one that takes too long; a request is not to stop the
            sandbox.
    """
    if pattern in _ENDLESS:
        raise Impossible("one of its patterns takes too long")
    try:
        return regex.search(pattern, text, timeout=_PATIENCE) is not None
    except TimeoutError:
        _ENDLESS[:] = [*_ENDLESS[-_MOST:], pattern]
        raise Impossible("one of its patterns takes too long") from None
    except regex.error:
        raise Impossible("it is not a valid JSON Schema") from None


def _matches(value: Json, pattern: str, *_: Json) -> bool:
    return not isinstance(value, str) or has_match(pattern, value)


def _unique(value: Json, wanted: bool, *_: Json) -> bool:
    if not wanted or not isinstance(value, list):
        return True
    return not any(_same(item, other) for n, item in enumerate(value) for other in value[:n])


def _items(value: Json, items: Json, schema: Schema, root: Json) -> bool:
    if not isinstance(value, list):
        return True
    rest = value[len(schema.get("prefixItems", [])) :]
    return all(conforms(item, items, root) for item in rest)


def _prefix(value: Json, items: list[Json], _: Schema, root: Json) -> bool:
    if not isinstance(value, list):
        return True
    return all(conforms(one, items[n], root) for n, one in enumerate(value[: len(items)]))


def _properties(value: Json, properties: Schema, _: Schema, root: Json) -> bool:
    if not is_object(value):
        return True
    return all(conforms(value[key], properties[key], root) for key in value if key in properties)


def _patterns(value: Json, patterns: Schema, _: Schema, root: Json) -> bool:
    if not is_object(value):
        return True
    pairs = [(key, p) for key in value for p in patterns if has_match(p, key)]
    return all(conforms(value[key], patterns[pattern], root) for key, pattern in pairs)


def _additional(value: Json, additional: Json, schema: Schema, root: Json) -> bool:
    if not is_object(value):
        return True
    patterns = schema.get("patternProperties", {})
    known = schema.get("properties", {})
    others = [
        key for key in value if key not in known and not any(has_match(p, key) for p in patterns)
    ]
    return all(conforms(value[key], additional, root) for key in others)


_CHECKS: Mapping[str, _Check] = {
    "type": _typed,
    "const": lambda value, const, *_: _same(value, const),
    "enum": lambda value, options, *_: any(_same(value, option) for option in options),
    "$ref": lambda value, ref, _, root: conforms(value, _target(ref, root), root),
    "allOf": lambda value, parts, _, root: all(conforms(value, p, root) for p in parts),
    "anyOf": lambda value, parts, _, root: any(conforms(value, p, root) for p in parts),
    "oneOf": lambda value, parts, _, root: sum(conforms(value, p, root) for p in parts) == 1,
    "not": lambda value, part, _, root: not conforms(value, part, root),
    "minimum": _numeric(lambda value, limit: value >= limit),
    "maximum": _numeric(lambda value, limit: value <= limit),
    "exclusiveMinimum": _numeric(lambda value, limit: value > limit),
    "exclusiveMaximum": _numeric(lambda value, limit: value < limit),
    "multipleOf": _numeric(lambda value, step: value / step == round(value / step)),
    "minLength": _sized(str, _at_least),
    "maxLength": _sized(str, _at_most),
    "pattern": _matches,
    "minItems": _sized(list, _at_least),
    "maxItems": _sized(list, _at_most),
    "uniqueItems": _unique,
    "items": _items,
    "prefixItems": _prefix,
    "minProperties": _sized(dict, _at_least),
    "maxProperties": _sized(dict, _at_most),
    "required": lambda value, keys, *_: not is_object(value) or all(k in value for k in keys),
    "properties": _properties,
    "patternProperties": _patterns,
    "additionalProperties": _additional,
}
