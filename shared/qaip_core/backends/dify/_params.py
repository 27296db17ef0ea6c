"""The parameters that Dify's completion and chat apps share, and what is done before a call."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, Field

from qaip_core.backend import Params
from qaip_core.backends._prompts import as_text
from qaip_core.backends.dify._files import DifyFile, apart, held_in
from qaip_core.backends.dify._service import DIFY
from qaip_core.operation import Errand
from qaip_core.types import Prompt

__all__ = [
    "USER",
    "DifyAppParams",
    "Megabytes",
    "User",
    "cancel",
    "errands",
    "must_stream",
    "shared",
    "written",
]

USER = "default-user"
"""The service demands a user."""

User: TypeAlias = Annotated[str, Field(min_length=1, max_length=255)]
Megabytes: TypeAlias = Annotated[float, Field(gt=0)]


def _template(*names: str, one_of: Collection[str]) -> AfterValidator:
    """Return a check that a format string holds some of these names, and what must not be lost."""

    def check(template: str) -> str:
        fields = [f for f in Formatter().parse(template) if f[1] is not None]
        used = {name for _, name, _, _ in fields}
        plain = not any(form or conversion for _, _, form, conversion in fields)
        if not plain or not used <= set(names) or not used & set(one_of):
            known = ", ".join(f"{{{name}}}" for name in names)
            raise ValueError(
                f"a template is text with {known}, of which "
                f"{' or '.join(f'{{{name}}}' for name in one_of)} must stand in it"
            )
        return template

    return AfterValidator(check)


_TEMPLATES = ("turn_template", "prompt_template")
_TurnTemplate: TypeAlias = Annotated[str, _template("role", "text", one_of=["text"])]
_PromptTemplate: TypeAlias = Annotated[
    str, _template("history", "earlier", "question", one_of=["history", "question"])
]


class DifyAppParams(Params):
    """What calls of every app with a prompt take.

    Parameters:
        variables: the app's variables; ``inputs`` on the wire, which is taken too (but
            LangChain's ``batch`` has an argument of that name).
        turn_template: how one turn of a conversation is written, with ``{role}`` ("User",
            "Assistant", "System") and ``{text}``; "{role}: {text}" where it is not given.
        prompt_template: how a conversation of several turns is written, with ``{history}``
            (all turns, one below the other), ``{earlier}`` (all but the last) and
            ``{question}`` (the text of the last); where it is not given, the history, and
            "Assistant:" below it. A single message is sent as it is.
        user: your name for the end user, 1 to 255 characters; "default-user" where it is
            not given, since the service demands one.
        files: files for apps that take them, beside those that the messages hold.
        max_file_mb: the largest file to upload, in MB, above 0; where it is not given, the
            service's own limits: images 10, audio 50, video 100, others 15.
        response_mode: how whole answers are asked for; "streaming" (the default) is not cut
            off by proxies after 100 s, as "blocking" is.
        stop_on_close: whether leaving a stream early also stops the run; default True.
        check_inputs: whether the app is asked for its kind and its form, once, and each call's
            variables are checked by it before anything else is sent; default False.
    """

    synonyms: ClassVar[Mapping[str, str]] = {"inputs": "variables"}

    variables: dict[str, Any] | None = Field(default=None, serialization_alias="inputs")
    turn_template: _TurnTemplate | None = None
    prompt_template: _PromptTemplate | None = None
    user: User | None = None
    files: list[DifyFile] | None = None
    max_file_mb: Megabytes | None = None
    response_mode: Literal["streaming", "blocking"] | None = None
    stop_on_close: bool | None = None
    check_inputs: bool | None = None


def written(prompt: Prompt, params: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Return a prompt as one text, and all files: its own and those of the parameters."""
    texts, files = apart(prompt)
    templates = {name: params[name] for name in _TEMPLATES if name in params}
    return as_text(texts, DIFY.title, **templates), [*params.get("files", ()), *files]


def shared(
    params: Mapping[str, Any], files: list[dict[str, Any]], *, stream: bool
) -> dict[str, Any]:
    """Return the fields that the bodies of all apps end with."""
    body = {
        "response_mode": "streaming" if stream else "blocking",
        "user": params.get("user", USER),
    }
    return {**body, "files": files} if files else body


def must_stream(params: Mapping[str, Any]) -> bool:
    """Tell whether a whole answer is to be asked for as a stream, which proxies do not cut."""
    return params.get("response_mode") != "blocking"


def cancel(path: str, decoder: Any, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the call that stops a run, which would go on, and be billed, without a reader."""
    if not decoder.task_id or decoder.ended or not decoder.stop_on_close:
        return None
    return f"{path}/{decoder.task_id}/stop", {"user": body["user"]}


def errands(
    modes: Sequence[str], body: Mapping[str, Any], params: Mapping[str, Any]
) -> Iterator[Errand]:
    """Yield what has to be done before a call: check its variables, upload its files.

    Parameters:
        modes: the kinds of app that the call is for.
        body: as encoded.
        params: as checked.
    """
    if params.get("check_inputs"):
        from qaip_core.backends.dify import app

        kind = partial(app.check_kind, modes=modes)
        yield Errand(app.INFO, {}, kind, "asking for the app's kind", lasting=True)
        if not body.get("conversation_id"):  # else the service keeps to what it began with
            files = "completion" not in modes
            check = partial(app.check_form, inputs=body["inputs"], files=files)
            what = "asking for the app's variables"
            yield Errand(app.PARAMETERS, {}, check, what, lasting=True)
    if held := held_in(body):
        from qaip_core.backends.dify.files import uploads

        yield from uploads(held, body["user"], params.get("max_file_mb"))
