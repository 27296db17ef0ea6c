"""The app's form: what it asks for, and which values it takes."""

from collections.abc import Callable, Mapping
from typing import Any

from qaip_sandbox._wire import Json

from .profiles import profile_of
from .refusals import invalid
from .switches import DEFAULT_FORM, DifySwitches, Variable

__all__ = ["filled", "question_of", "shown", "variables"]

_FILES = ("file", "file-list")
_TEXTS = ("text-input", "paragraph")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def variables(switches: DifySwitches, *, chat: bool) -> tuple[Variable, ...]:
    """Return the variables of a completion or of a chat app."""
    return () if chat and switches.form == DEFAULT_FORM else switches.form


def shown(form: tuple[Variable, ...]) -> list[Json]:
    """Return a form as the service describes it."""
    return [{v.type: _described(v)} for v in form]


def _described(variable: Variable) -> Json:
    about: dict[str, Json] = {
        "label": variable.label or variable.variable,
        "variable": variable.variable,
        "required": variable.required,
    }
    if variable.type == "select":
        about["options"] = list(variable.options)
    about["default"] = "" if variable.default is None else variable.default
    if variable.type in _TEXTS and variable.max_length is not None:
        about["max_length"] = variable.max_length
    return about


def filled(
    switches: DifySwitches, form: tuple[Variable, ...], inputs: Mapping[str, Json], *, chat: bool
) -> dict[str, Json]:
    """Return the value of every variable; what the form does not know is dropped.

    Raises:
        Refusal: a value is missing or wrong.
    """
    read = [v for v in form if chat or v.type not in _FILES]  # completion apps look at no files
    try:
        return {v.variable: _value(switches, v, inputs.get(v.variable)) for v in read}
    except ValueError as error:
        raise invalid(switches, str(error)) from None


def question_of(form: tuple[Variable, ...], values: Mapping[str, Json]) -> str:
    """Return what the app's prompt asks: the variable `query`, else all texts."""
    texts = [v.variable for v in form if v.type in _TEXTS]
    asked = ["query"] if "query" in values else texts
    return " ".join(str(values[name]) for name in asked if values.get(name))


def _value(switches: DifySwitches, variable: Variable, value: Json) -> Json:
    if value is None:
        if variable.required:
            raise ValueError(f"{variable.variable} is required in input form")
        return variable.default if profile_of(switches).typed else None
    return _READERS[variable.type](switches, variable, value)


def _text(_: DifySwitches, variable: Variable, value: Json) -> str:
    if not isinstance(value, str):
        what = f"(type '{variable.type}') {variable.variable}"
        raise ValueError(f"{what} in input form must be a string")
    if variable.max_length is not None and len(value) > variable.max_length:
        longest = f"less than {variable.max_length} characters"
        raise ValueError(f"{variable.variable} in input form must be {longest}")
    return value.replace("\0", "")


def _option(switches: DifySwitches, variable: Variable, value: Json) -> str:
    text = _text(switches, variable, value)
    if value not in variable.options:
        options = list(variable.options)
        raise ValueError(
            f"{variable.variable} in input form must be one of the following: {options}"
        )
    return text


def _number(_: DifySwitches, variable: Variable, value: Json) -> Json:
    try:
        if isinstance(value, str):
            text = value.strip()
            return (float(text) if "." in text else int(text)) if text else None
        if isinstance(value, int | float):
            return value
    except ValueError:
        pass
    raise ValueError(f"{variable.variable} in input form must be a valid number")


def _flag(switches: DifySwitches, variable: Variable, value: Json) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if profile_of(switches).typed else ""
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise ValueError(f"{variable.variable} in input form must be a valid boolean value")


def _file(_: DifySwitches, variable: Variable, value: Json) -> Json:
    if not isinstance(value, dict):
        message = f"{variable.variable} in input form must be a file"
        raise ValueError(message)
    return value


def _file_list(_: DifySwitches, variable: Variable, value: Json) -> Json:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"{variable.variable} in input form must be a list of files")
    return value


_READERS: Mapping[str, Callable[[DifySwitches, Variable, Any], Json]] = {
    "text-input": _text,
    "paragraph": _text,
    "select": _option,
    "number": _number,
    "checkbox": _flag,
    "file": _file,
    "file-list": _file_list,
}
