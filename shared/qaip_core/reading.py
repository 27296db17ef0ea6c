"""Reads bodies: strictly where they carry the answer, leniently where they accompany it.

An answer that is complete is billed. It is not given up because a source, a count or an id has
another shape than documented. Every shape is declared as the service documents it; where a body
differs from it, the places that carry the answer are an error that names them, and anything
else is made to fit if it can be read in one way only, or left out and noted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property, reduce
from math import isfinite
from operator import getitem
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, FiniteFloat, TypeAdapter, ValidationError
from pydantic_core import (
    CoreConfig,
    ErrorDetails,
    PydanticKnownError,
    SchemaValidator,
    from_json,
)

from qaip_core.errors import MalformedResponseError, ServiceError
from qaip_core.report import read_report

__all__ = [
    "Count",
    "Notes",
    "Number",
    "Reader",
    "as_mapping",
    "finite",
    "no_text",
    "noted",
    "other_shape",
    "ranked",
    "seconds",
]

T = TypeVar("T")
Notes: TypeAlias = dict[str, None]
"""The paths of what was left out, such as ``search_results.2``; a set that keeps its order."""

_FAULTS = 3
"""How many of them a message names: a list of another shape may have thousands."""


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):  # which pydantic takes for 0 or 1
        raise PydanticKnownError("float_type")
    return value


Count: TypeAlias = Annotated[int, Field(ge=0)]
Number: TypeAlias = Annotated[FiniteFloat, BeforeValidator(_no_switch)]


def other_shape(what: str, faults: str, body: Any) -> MalformedResponseError:
    """Return the error for a body that carries its answer in another shape.

    Parameters:
        what: "a body" or "an event".
        faults: the places and what is wrong with them, without the values.
        body: all of it.
    """
    return MalformedResponseError(f"{what} of another shape than documented: {faults}", body=body)


class Reader(Generic[T]):
    """Reads JSON of one shape, whose types are meant as they are written.

    Parameters:
        shape: a typed mapping or a model. Whatever accompanies the answer may be null in it,
            entries of lists too.
        carries: the places that carry the answer, such as ``choices.*.text``; the body itself
            is ``""``.
        reported: returns the error that a body reports instead of an answer, None if it does
            not; asked only about bodies of another shape.
    """

    def __init__(
        self,
        shape: type[Any],
        carries: Collection[str] = (),
        reported: Callable[[Any], ServiceError | None] = lambda _: None,
    ) -> None:
        self._shape = shape
        self._carries = carries
        self._reported = reported

    @cached_property
    def _validator(self) -> SchemaValidator:
        adapter = TypeAdapter(self._shape)
        adapter.rebuild()  # of a model that is built when it is used
        return SchemaValidator(adapter.core_schema, CoreConfig(hide_input_in_errors=True))

    @cached_property
    def _validate_json(self) -> Callable[..., T]:
        return self._validator.validate_json

    def event(self, data: bytes, notes: Notes, also: Collection[str] = ()) -> T | None:
        """Return an event of a stream; None for one that says nothing.

        Parameters:
            data: its JSON.
            notes: takes the paths of what is left out.
            also: further places that carry the answer this time.

        Raises:
            MalformedResponseError: it is no JSON, or of another shape where it matters.
        """
        try:
            return self._validate_json(data, strict=True)
        except ValidationError:
            return self._event(data, notes, also)

    def _event(self, data: bytes, notes: Notes, also: Collection[str]) -> T | None:
        """Read an event that is no JSON of its shape as it stands."""
        if data.strip() in (b"", b"null", b"[DONE]"):
            return None
        # bytes that are no UTF-8 become U+FFFD, as event streams demand
        text = data.decode("utf-8", "replace")
        try:
            body = from_json(text)
        except ValueError as error:
            is_cut = text.lstrip()[:1] in ("{", "[")  # then an excerpt would show the answer
            fault = str(error) if is_cut else read_report(text).message
            raise other_shape("an event", fault, text) from error
        return self._read(body, notes, "an event", also=also)

    def body(self, body: Any, notes: Notes, at: str = "") -> T:
        """Return a whole body, or a part of one.

        Parameters:
            body: decoded JSON; it is not changed.
            notes: takes the paths of what is left out.
            at: what to put before these paths, and those of what is wrong.

        Raises:
            MalformedResponseError: it is of another shape where it matters.
        """
        return self._read(body, notes, "a body", at)

    def _read(
        self, body: Any, notes: Notes, what: str, at: str = "", also: Collection[str] = ()
    ) -> T:
        try:
            read: T = self._validator.validate_python(body, strict=True)
        except ValidationError as error:
            wrong, fitting = self._sorted(error, also)
            if wrong:
                told = _told(wrong, at)
                raise self._reported(body) or other_shape(what, told, body) from error
            notes.update({at + _path(f): None for f, value in fitting if value is None})
        else:
            return read
        # once more: a number that was written as text may be out of range
        return self._read(_mended(body, fitting), notes, what, at, also)

    def _sorted(
        self, error: ValidationError, also: Collection[str]
    ) -> tuple[list[ErrorDetails], list[tuple[ErrorDetails, Any]]]:
        """Return the faults that cannot be borne, and the others with what to put there."""
        wrong, fitting = [], []
        for fault in error.errors(include_url=False, include_context=False):
            carries = self._carrying(fault["loc"], also)
            value = _made_to_fit(fault, carries=carries)
            if value is fault["input"]:  # a number that no float can hold
                value = None
            outer = fault["loc"][:-1]
            if fault["input"] is None and not carries:  # what it is a part of is none without it
                fault["loc"], carries = outer, self._carrying(outer, also)
            if carries and value is None:
                wrong.append(fault)
            else:
                fitting.append((fault, value))
        return wrong, fitting

    def _carrying(self, place: tuple[int | str, ...], also: Collection[str]) -> bool:
        """Tell whether a place carries the answer; the body itself always does."""
        name = ".".join("*" if isinstance(step, int) else step for step in place)
        return not place or name in self._carries or name in also


def _path(fault: ErrorDetails) -> str:
    return ".".join(map(str, fault["loc"]))


def _told(faults: list[ErrorDetails], at: str) -> str:
    """Return what is wrong in one line, without the values."""
    places = [f"{at}{_path(fault)}".removesuffix(".") or "body" for fault in faults[:_FAULTS]]
    told = "; ".join(f"{p}: {f['msg']}" for p, f in zip(places, faults, strict=False))
    return f"{told}; and {len(faults) - _FAULTS} more" if len(faults) > _FAULTS else told


def _mended(body: Any, fitting: list[tuple[ErrorDetails, Any]]) -> Any:
    """Return a copy of a body with other values in some places."""
    mended = finite(body)
    for fault, value in sorted(fitting, key=lambda entry: -len(entry[0]["loc"])):
        *way, last = fault["loc"]
        reduce(getitem, way, mended)[last] = value
    return mended


def _made_to_fit(fault: ErrorDetails, *, carries: bool) -> Any:
    """Return what a value of another type means, if that is certain; else None."""
    value = fault["input"]
    match fault["type"]:
        case "string_type" if isinstance(value, list):
            return _joined(value) if value or carries else None
        case "string_type" if not carries:
            number = _number(value)
            return None if number is None else str(number)
        case "int_type":
            number = _number(value)
            return int(number) if number is not None and number == number // 1 else None
        case "float_type":
            return _number(value)
    return None


def _joined(parts: list[Any]) -> str | None:
    """Return the text of a list of text parts, as some engines write it."""
    texts = [p.get("text") for p in parts if isinstance(p, Mapping) and p.get("type") == "text"]
    known = [text for text in texts if isinstance(text, str)]
    return "".join(known) if len(known) == len(parts) else None


def _number(value: Any) -> int | float | None:
    """Return a finite number, also one that is written as text; a switch is none."""
    if isinstance(value, str):
        try:
            value = from_json(value.encode())
        except ValueError:
            return None
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def ranked(entries: Sequence[T | None] | None, notes: Notes, path: str) -> Iterator[tuple[int, T]]:
    """Yield the entries of a list that can be read, each with its place, from 1.

    Parameters:
        entries: None stands for what cannot be read: it keeps its place, and is noted.
        notes: takes the paths of what is left out.
        path: that of the list.
    """
    for place, entry in enumerate(entries or ()):
        if entry is None:
            notes[f"{path}.{place}"] = None
        else:
            yield place + 1, entry


def seconds(value: Any, notes: Notes, path: str) -> int | None:
    """Return Unix seconds, however they are written; None, and a note, if they cannot be read."""
    number = _number(value)
    if number is None and value is not None:
        notes[path] = None
    return None if number is None else int(number)


def no_text(place: str, what: str, body: Any) -> MalformedResponseError:
    """Return the error for a text of another type, where only an event's kind demands one."""
    return other_shape(what, f"{place}: Input should be a valid string", body)


def as_mapping(data: bytes) -> dict[str, Any]:
    """Return an event as it is, for errors and ``raw``."""
    text = data.decode("utf-8", "replace")
    try:
        value = from_json(text)
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"error": value}


_FINITE = frozenset({str, int, bool, type(None)})  # most of what there is needs no call


def finite(value: Any) -> Any:
    """Return a copy of decoded JSON with null for NaN and infinity, which are no JSON."""
    if isinstance(value, dict):
        return {k: v if type(v) in _FINITE else finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [v if type(v) in _FINITE else finite(v) for v in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def noted(metadata: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """Return metadata as it is kept: plain JSON, with the paths of what was left out."""
    kept: dict[str, Any] = finite(dict(metadata))
    return {**kept, "malformed": list(notes)} if notes else kept
