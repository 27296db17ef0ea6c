"""The switches of Dify, and the form of its app."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from qaip_sandbox.switches import Switches

__all__ = ["DEFAULT_FORM", "DifySwitches", "Variable", "VariableType"]

VariableType = Literal[
    "text-input", "paragraph", "select", "number", "checkbox", "file", "file-list"
]

_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Variable(BaseModel):
    """One variable of the app's form.

    Args:
        variable: Its name, under which it stands in `inputs`.
        type: What it accepts.
        label: What people see; empty for the name.
        required: Whether a call without it is refused, even where it has a default.
        default: Its value where it is missing; only from Dify 1.16 on does the service use it.
        max_length: The most characters of a text, 1 or more; None for no limit.
        options: What a select can be.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    variable: Annotated[str, Field(min_length=1)]
    type: VariableType = "paragraph"
    label: str = ""
    required: bool = False
    default: str | int | float | bool | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    options: tuple[str, ...] = ()


DEFAULT_FORM: tuple[Variable, ...] = (Variable(variable="query", label="Query", required=True),)


class DifySwitches(Switches):
    """How Dify behaves.

    Args:
        profile: The release whose wire is spoken: 0.15.3, 1.8.0, 1.9.0 or 1.16.0, or the newest
            behind Dify Cloud's proxy, which cuts blocking calls and words its own errors.
        form: The variables of the app. The question is the one named `query`, else all its texts.
            A chat app has none unless they are changed.
        vision: Whether the app looks at files; else it ignores them.
        app: What kind of app the key belongs to. "any" serves all kinds, and calls itself a
            completion app.
        api: Whether the app can be called, or why every call is refused with 403.
        dataset: Whether the knowledge base can be searched, or why not.
        knowledge: What the knowledge base holds: documents, questions with answers, or another
            system's passages, which come without segment ids and links.
        economy: Whether the knowledge base is indexed by keywords only, which gives no scores.
        citations: Whether answers name their sources ("Citations and Attributions").
        usage: What becomes of the usage: there, null, missing, or all zero.
        concurrency: How many runs there may be at a time, 1 or more; None for any number.
        max_execution: After how many seconds a run ends, as if it were complete; None for never.
        cut_after: After how many seconds Dify Cloud's proxy answers a blocking call with 524.
        failure: How the run fails, or "none".
        failure_after: How many pieces of the answer are streamed before it fails, 0 or more.
        null_error: Whether error events have a null for a message.
        moderation: What moderation does: nothing ("off"), refuse the question ("input"), withdraw
            the answer ("output"), or let it pass, which Dify 0.15 shows too ("harmless").
        replace: When a draft is replaced by the answer: "early", so that pieces follow, or "late".
        text_event: What the events that carry text are called.
        file: Whether the answer has a picture too.
        tts: Whether the answer is spoken too, before or after its end.
        think: Whether the model's thoughts stand before the answer, in `<think>`.
        empty: Whether the model says nothing.
        separators: Whether the answer ends with U+2028, U+2029 and U+0085.
        unknown_event: Whether streams hold an event of a kind that nobody knows.
        bom: Whether streams begin with a byte order mark.
        crlf: Whether the lines of streams end with CR LF.
        batch: How many events are sent at a time, 1 or more.
        whole: What a blocking answer consists of: its object, a list that holds it, or no bytes.
    """

    profile: Literal["0.15", "1.8", "1.9", "1.16", "cloud"] = "1.9"
    form: tuple[Variable, ...] = DEFAULT_FORM
    vision: bool = False
    app: Literal["any", "completion", "chat", "agent-chat", "advanced-chat", "workflow"] = "any"
    api: Literal["enabled", "disabled", "deleted", "abnormal", "archived"] = "enabled"
    dataset: Literal["ready", "disabled", "limited", "unready"] = "ready"
    knowledge: Literal["documents", "qa", "external"] = "documents"
    economy: bool = False
    citations: bool = True
    usage: Literal["present", "null", "absent", "zero"] = "present"
    concurrency: Annotated[int, Field(ge=1)] | None = None
    max_execution: _Seconds | None = None
    cut_after: _Seconds = 100.0
    failure: Literal[
        "none", "rate_limit", "unavailable", "bad_model_key", "no_credentials", "no_quota",
        "unsupported_model", "no_provider", "no_model", "crash",
    ] = "none"  # fmt: skip
    failure_after: Annotated[int, Field(ge=0)] = 0
    null_error: bool = False
    moderation: Literal["off", "input", "output", "harmless"] = "off"
    replace: Literal["never", "early", "late"] = "never"
    text_event: Literal["message", "message_file"] = "message"
    file: bool = False
    tts: Literal["never", "before", "after"] = "never"
    think: bool = False
    empty: bool = False
    separators: bool = False
    unknown_event: bool = False
    bom: bool = False
    crlf: bool = False
    batch: Annotated[int, Field(ge=1)] = 1
    whole: Literal["object", "list", "empty"] = "object"
