"""Dify: completion (text generator) apps, with the sources of their knowledge bases.

Vendor page: https://docs.dify.ai/api-reference/completion/create-completion-message
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_core import from_json

from qaip_core.backend import Backend, Endpoint, Params, Wire
from qaip_core.backends._openai import OTHER_SHAPE, parse_event, to_usage
from qaip_core.backends._prompts import as_text
from qaip_core.errors import MalformedResponseError, RateLimitError
from qaip_core.framing import Event
from qaip_core.report import Rule, stream_error
from qaip_core.types import Choice, Citation, Completion, Prompt, source_id

__all__ = ["COMPLETION", "DIFY", "DifyFile", "DifyParams"]

_USER = "default-user"
_BUSY = "The app serves as many requests as it may: try again, or raise its limit."

DIFY = Backend(
    name="dify",
    title="Dify",
    base_url="https://api.dify.ai/v1",
    key_env=("DIFY_API_KEY",),
    url_env=("DIFY_BASE_URL",),
    docs="the app's page, API access",
    normalise_url=lambda url: url.removesuffix("/completion-messages"),
    rules=(
        Rule(RateLimitError, status=(400,), text="^too many requests", hint=_BUSY),
        Rule(RateLimitError, code=("too_many_requests", "rate_limit_error"), retry=True),
        Rule(status=(504, 524), retry=False, hint="The run may still go on, and be billed."),
        Rule(
            code=("completion_request_error",),
            retry=False,
            hint="This is what the app's model provider said; see the app's model settings.",
        ),
        Rule(
            code=("app_unavailable",),
            hint="Is the key one of a completion (text generator) app, and is it published?",
        ),
    ),
)


class DifyFile(BaseModel, extra="forbid"):
    """A file for the app: a link, or one uploaded before."""

    type: Literal["image", "document", "audio", "video", "custom"]
    transfer_method: Literal["remote_url", "local_file"]
    url: str | None = None
    upload_file_id: str | None = None


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


class DifyParams(Params):
    """Parameters of a completion app; model and sampling are set in the app itself.

    Parameters:
        variables: the app's variables, besides the one that takes the prompt; ``inputs`` on the
            wire, which is taken too (but LangChain's ``batch`` has an argument of that name).
        input_key: the variable that takes the prompt; "query" where it is not given.
        turn_template: how one turn of a conversation is written, with ``{role}`` ("User",
            "Assistant", "System") and ``{text}``; "{role}: {text}" where it is not given.
        prompt_template: how a conversation of several turns is written, with ``{history}``
            (all turns, one below the other), ``{earlier}`` (all but the last) and
            ``{question}`` (the text of the last); where it is not given, the history, and
            "Assistant:" below it. A single message is sent as it is.
        user: your name for the end user, 1 to 255 characters; "default-user" where it is
            not given, since the service demands one.
        files: files for apps that take them.
        response_mode: how whole answers are asked for; "streaming" (the default) is not cut
            off by proxies after 100 s, as "blocking" is.
        stop_on_close: whether leaving a stream early also stops the run; default True.
    """

    synonyms: ClassVar[Mapping[str, str]] = {"inputs": "variables"}

    variables: dict[str, Any] | None = Field(default=None, serialization_alias="inputs")
    input_key: Annotated[str, Field(min_length=1)] | None = None
    turn_template: _TurnTemplate | None = None
    prompt_template: _PromptTemplate | None = None
    user: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    files: list[DifyFile] | None = None
    response_mode: Literal["streaming", "blocking"] | None = None
    stop_on_close: bool | None = None


class _Resource(Wire):
    position: int | None = None
    dataset_id: str | None = None
    dataset_name: str | None = None
    document_id: str | None = None
    document_name: str | None = None
    data_source_type: str | None = None
    segment_id: str | None = None
    score: float | None = None
    content: str | None = None
    page: int | None = None
    title: str | None = None
    doc_metadata: dict[str, Any] | None = None

    def citation(self, rank: int) -> Citation:
        more = {
            "dataset_id": self.dataset_id,
            "dataset_name": self.dataset_name,
            "document_id": self.document_id,
            "source_type": self.data_source_type,
            "doc_metadata": self.doc_metadata,
        }
        url = _link(self.doc_metadata or {})
        return Citation(
            id=self.segment_id or source_id(url or self.document_name, self.content, self.page),
            url=url,
            title=self.document_name or self.title,
            text=self.content,
            page_number=self.page or None,
            score=self.score or None,  # 0.0 means that the service does not know
            rank=self.position or rank,
            metadata={k: v for k, v in more.items() if v is not None},
        )


def _link(metadata: Mapping[str, Any]) -> str | None:
    """Return the link that a site keeps in its documents' metadata: the wire has no other."""
    values = (metadata.get(key) for key in ("url", "source_url", "link", "source"))
    return next(
        (v for v in values if isinstance(v, str) and v.startswith(("http://", "https://"))), None
    )


class _Metadata(Wire, extra="allow"):
    usage: dict[str, Any] | None = None
    retriever_resources: list[_Resource] | None = None


class _Event(Wire):
    event: str | None = None
    id: str | None = None
    message_id: str | None = None
    task_id: str | None = None
    created_at: Any = None
    answer: str | None = None
    url: str | None = None
    metadata: _Metadata | None = None
    files: list[dict[str, Any]] | None = None


def _closing(metadata: _Metadata | None) -> Completion:
    """Return citations, usage and the rest of an answer's metadata."""
    metadata = metadata or _Metadata()
    usage, prices = to_usage(metadata.usage)
    citations = metadata.retriever_resources or []
    more = {k: v for k, v in (metadata.model_extra or {}).items() if v}
    return Completion(
        [],
        usage=usage,
        citations=tuple(c.citation(n) for n, c in enumerate(citations, start=1)),
        metadata={**more, **({"price": prices} if prices else {})},
    )


def _ids(event: _Event) -> dict[str, Any]:
    ids = {"task_id": event.task_id, "message_id": event.message_id or event.id}
    return {k: v for k, v in ids.items() if v}


def _raw(event: Any) -> dict[str, Any]:
    """Return the body with its usage where LlamaIndex's token counter looks for it."""
    metadata = event.get("metadata") or {}
    usage = metadata.get("usage")
    return {**event, "usage": usage} if usage else dict(event)


def _decode(body: Any) -> Completion:
    try:
        whole = _Event.model_validate(body)
    except ValidationError as error:
        raise MalformedResponseError(OTHER_SHAPE, body=body) from error
    if whole.answer is None:
        if isinstance(body, dict) and ("code" in body or body.get("event") == "error"):
            raise stream_error(body, DIFY.rules)
        raise MalformedResponseError("the body holds no answer", body=body)
    answer = _closing(whole.metadata)
    answer.choices = [Choice(whole.answer, finish_reason="stop")]
    answer.id = whole.message_id or whole.id
    answer.created = whole.created_at if isinstance(whole.created_at, int) else None
    answer.metadata.update(_ids(whole))
    _note_suspicious(answer, whole.answer)
    answer.raw = _raw(body)
    return answer


def _note_suspicious(answer: Completion, text: str) -> None:
    """Mark what the service cannot tell from a success: a run over its time limit."""
    if not text or (answer.usage is not None and not answer.usage.total_tokens):
        answer.metadata["suspicious"] = "empty answer or zero usage: the run may have been cut"


class _Decoder:
    """Decodes the events of a run; complete at message_end."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.ended = False
        self.task_id: str | None = None
        self.stop_on_close: bool = params.get("stop_on_close", True)
        self._fresh = True
        self._pieces: list[str] = []
        self._ids: dict[str, Any] = {}
        self._files: list[dict[str, Any]] = []
        self._replaces = False
        self._end: _Event | None = None
        self._raw = b""

    def feed(self, event: Event) -> Completion | None:
        """Return what an event adds to the answer."""
        said = parse_event(_Event.model_validate_json, event.data)
        if said is None or event.name == "ping" or said.event == "ping":
            return None
        if said.event == "error" or event.name == "error":
            raise stream_error(_mapping(event.data), DIFY.rules)
        if said.event == "message_end":
            self._end, self._raw, self.ended = said, event.data, True
            return None
        if self._fresh:
            self._ids = _ids(said)
            self.task_id = said.task_id
        if said.event == "message_file" and said.url:
            self._files.append(_mapping(event.data))
        if said.answer is None or said.event not in _TEXT_EVENTS:
            return None
        return self._increment(said)

    def _increment(self, said: _Event) -> Completion:
        text = said.answer or ""
        replaces = said.event == "message_replace" and text != "".join(self._pieces)
        if replaces:
            self._replaces, self._pieces = True, []
        elif said.event == "message_replace":  # harmless answers are closed with the same text
            text = ""
        self._pieces.append(text)
        increment = Completion([Choice(text)], replaces=replaces)
        if self._fresh:
            self._fresh = False
            increment.id = said.message_id or said.id
            increment.created = said.created_at if isinstance(said.created_at, int) else None
        return increment

    def finish(self, *, cut: bool) -> Completion | None:  # noqa: ARG002 -- the end is on the wire
        """Return the closing increment; None before message_end."""
        if self._end is None:
            return None
        closing = self.rest()
        closing.choices = [Choice(finish_reason="stop")]
        closing.id = self._end.message_id or self._end.id
        closing.raw = _raw(_mapping(self._raw))
        if self._end.files or self._files:
            closing.metadata["files"] = self._end.files or self._files
        _note_suspicious(closing, "".join(self._pieces))
        return closing

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        rest = _closing(self._end.metadata if self._end else None)
        rest.metadata.update(self._ids or (_ids(self._end) if self._end else {}))
        if self._replaces:
            rest.metadata["replaced_text"] = "".join(self._pieces)
        return rest


_TEXT_EVENTS = frozenset({"message", "agent_message", "message_file", "message_replace"})


def _mapping(data: bytes) -> dict[str, Any]:
    value = from_json(data.decode("utf-8", "replace"))
    return value if isinstance(value, dict) else {"message": str(value)}


def _encode(prompt: Prompt, params: dict[str, Any], stream: bool) -> dict[str, Any]:
    templates = {name: params[name] for name in _TEMPLATES if name in params}
    query = as_text(prompt, DIFY.title, **templates)
    body = {
        "inputs": {**params.get("inputs", {}), params.get("input_key", "query"): query},
        "response_mode": "streaming" if stream else "blocking",
        "user": params.get("user", _USER),
    }
    return {**body, "files": params["files"]} if params.get("files") else body


def _cancel(decoder: Any, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the call that stops a run, which would go on, and be billed, without a reader."""
    if not decoder.task_id or decoder.ended or not decoder.stop_on_close:
        return None
    return f"/completion-messages/{decoder.task_id}/stop", {"user": body["user"]}


COMPLETION = Endpoint(
    backend=DIFY,
    path="/completion-messages",
    params=DifyParams,
    encode=_encode,
    decode=_decode,
    decoder=_Decoder,
    cites=True,
    markers=False,  # the text is the app's model's; a [1] in it may mean anything
    chat=False,
    model="dify",
    must_stream=lambda params: params.get("response_mode") != "blocking",
    cancel=_cancel,
)
