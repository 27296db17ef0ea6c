"""What a Dify app tells of itself, the check of its variables, and ratings of its answers.

Vendor page: https://docs.dify.ai/api-reference/application/get-application-parameters-information
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from qaip_core.backend import Params, Wire
from qaip_core.backends.dify._params import USER, User
from qaip_core.backends.dify._service import DIFY
from qaip_core.errors import InvalidParameterError
from qaip_core.operation import Operation
from qaip_core.reading import Count, Reader

__all__ = [
    "FEEDBACK",
    "INFO",
    "PARAMETERS",
    "DifyInfo",
    "DifyParameters",
    "FeedbackParams",
    "Variable",
    "check_form",
    "check_kind",
]


@dataclass(frozen=True, slots=True)
class DifyInfo:
    """An app's name and kind.

    Parameters:
        name, description, author_name: as its author wrote them.
        mode: "completion", "chat", "agent-chat", "advanced-chat" or "workflow"; None where the
            server is too old to tell (0.15).
        tags: its tags.
    """

    name: str = ""
    description: str = ""
    mode: str | None = None
    author_name: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of an app's form.

    Parameters:
        name: its name in ``variables``.
        type: "text-input", "paragraph", "select", "number", "checkbox", "file", "file-list", or
            what later servers have.
        label: what people see.
        required: whether a call without it is refused.
        default: its value where it is missing.
        max_length: the most characters of a text; None for no limit.
        options: what a select can be.
    """

    name: str
    type: str
    label: str = ""
    required: bool = False
    default: Any = None
    max_length: int | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DifyParameters:
    """What an app asks for and what it can do.

    Parameters:
        form: its variables.
        cites: whether it names its sources ("Citations and Attributions"); None where it does
            not say.
        opening_statement: what it begins a conversation with.
        suggested_questions: what it proposes to ask.
        raw: all of it, as sent.
    """

    form: tuple[Variable, ...] = ()
    cites: bool | None = None
    opening_statement: str = ""
    suggested_questions: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


class _Info(Wire):
    name: str | None = None
    description: str | None = None
    mode: str | None = None
    author_name: str | None = None
    tags: list[str | None] | None = None


class _Described(Wire):
    variable: str | None = None
    label: str | None = None
    required: bool | None = None
    default: Any = None
    max_length: Count | None = None
    options: list[str | None] | None = None


class _Switch(Wire):
    enabled: bool | None = None


class _Parameters(Wire):
    user_input_form: list[dict[str, _Described | None] | None] | None = None
    retriever_resource: _Switch | None = None
    opening_statement: str | None = None
    suggested_questions: list[str | None] | None = None


_INFO: Reader[_Info] = Reader(_Info, ("",))
_PARAMETERS: Reader[_Parameters] = Reader(_Parameters, ("",))


def _info(body: Any) -> DifyInfo:
    read = _INFO.body(body, {})
    known = read.name or "", read.description or ""
    return DifyInfo(*known, read.mode, read.author_name, _texts(read.tags))


def _parameters(body: Any) -> DifyParameters:
    read = _PARAMETERS.body(body, {})
    cites = read.retriever_resource.enabled if read.retriever_resource else None
    form = tuple(
        _variable(kind, about)
        for entry in read.user_input_form or ()
        for kind, about in (entry or {}).items()
        if about is not None and about.variable
    )
    questions = _texts(read.suggested_questions)
    return DifyParameters(form, cites, read.opening_statement or "", questions, body)


def _variable(kind: str, about: _Described) -> Variable:
    return Variable(
        name=about.variable or "",
        type=kind,
        label=about.label or "",
        required=bool(about.required),
        default=about.default,
        max_length=about.max_length or None,
        options=_texts(about.options),
    )


def _texts(listed: Sequence[str | None] | None) -> tuple[str, ...]:
    return tuple(text for text in listed or () if text is not None)


INFO = Operation(DIFY, "/info", _info)

PARAMETERS = Operation(DIFY, "/parameters", _parameters)


def check_kind(info: DifyInfo, *, modes: Sequence[str]) -> None:
    """Raise if the app is of another kind than the call; a server that does not tell passes.

    Raises:
        InvalidParameterError: it is.
    """
    if info.mode is None or info.mode in modes:
        return
    use = _CLASSES.get(info.mode, "another class")
    raise InvalidParameterError(
        f"{DIFY.title}: the key's app, {info.name!r}, is not a {modes[0]} app, but of mode "
        f"{info.mode!r}: use {use}"
    )


_CHAT = "ChatDifyConversation (LangChain) or DifyConversation (LlamaIndex)"
_CLASSES: Mapping[str, str] = {
    "completion": "ChatDify or DifyLLM (LangChain) or Dify (LlamaIndex)",
    "chat": _CHAT,
    "agent-chat": _CHAT,
    "advanced-chat": _CHAT,
    "workflow": "DifyWorkflow",
}


def check_form(
    parameters: DifyParameters, *, inputs: Mapping[str, Any], files: bool = True
) -> None:
    """Raise if the service would refuse these variables, or drop one that it does not know.

    Parameters:
        parameters: what the app told.
        inputs: the variables.
        files: whether files among them count; completion apps look at none.

    Raises:
        InvalidParameterError: one is missing, unknown, or of another kind than the form asks for.
    """
    known = {variable.name: variable for variable in parameters.form}
    read = [v for v in parameters.form if files or v.type not in ("file", "file-list")]
    faults = [f for v in read if (f := _fault(v, inputs.get(v.name)))]
    names = f"it has: {', '.join(known)}" if known else "it has none"
    unknown = [name for name in inputs if name not in known]
    faults += [f"{name}: the app has no such variable ({names})" for name in unknown]
    if faults:
        raise InvalidParameterError(f"{DIFY.title}: variables: {'; '.join(faults)}")


def _fault(variable: Variable, value: Any) -> str | None:
    """Return what is wrong with a value, if anything is."""
    if value is None:
        return f"{variable.name}: is required" if variable.required else None
    check = _CHECKS.get(variable.type)
    fault = check(variable, value) if check else None
    return f"{variable.name}: {fault}" if fault else None


def _text(variable: Variable, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"a text is wanted, not {type(value).__name__}"
    if variable.max_length and len(value) > variable.max_length:
        return f"at most {variable.max_length} characters, and it has {len(value)}"
    return None


def _option(variable: Variable, value: Any) -> str | None:
    return None if value in variable.options else f"one of {', '.join(variable.options)} is wanted"


def _number(_: Variable, value: Any) -> str | None:
    """A text is read as the service does: "1e3" and "nan" are no numbers to it."""
    if isinstance(value, int | float):
        return None
    text = value.strip() if isinstance(value, str) else "no number"
    digits = text.removeprefix("-").removeprefix("+").replace(".", "", 1)
    return None if not text or digits.isdecimal() else "a number is wanted"


def _flag(_: Variable, value: Any) -> str | None:
    words = ("true", "1", "yes", "on", "false", "0", "no", "off")
    named = isinstance(value, str) and value.strip().lower() in words
    return None if isinstance(value, bool) or named else "True or False is wanted"


def _file(_: Variable, value: Any) -> str | None:
    return None if isinstance(value, Mapping) else "a file is wanted, as DifyFile describes one"


def _files(variable: Variable, value: Any) -> str | None:
    fits = isinstance(value, list) and not any(_file(variable, one) for one in value)
    return None if fits else "a list of files is wanted"


_CHECKS: Mapping[str, Callable[[Variable, Any], str | None]] = {
    "text-input": _text,
    "paragraph": _text,
    "select": _option,
    "number": _number,
    "checkbox": _flag,
    "file": _file,
    "file-list": _files,
}


class FeedbackParams(Params):
    """Parameters of a rating.

    Parameters:
        message_id: the answer's id.
        rating: "like" or "dislike"; "none" takes a rating back.
        content: words to it.
        user: the one who asked, 1 to 255 characters; "default-user" where it is not given.
    """

    message_id: str | None = None
    rating: Literal["like", "dislike", "none"] | None = None
    content: str | None = None
    user: User = USER


def _rated(params: dict[str, Any]) -> dict[str, Any]:
    rating = params["rating"]
    return {**params, "rating": None if rating == "none" else rating}


FEEDBACK = Operation(
    DIFY,
    "/messages/{message_id}/feedbacks",
    lambda _: None,
    FeedbackParams,
    ("message_id", "rating"),
    method="POST",
    encode=_rated,
    may_be_empty=True,
)
