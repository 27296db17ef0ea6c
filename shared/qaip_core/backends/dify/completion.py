"""Dify: completion (text generator) apps, with the sources of their knowledge bases.

Vendor page: https://docs.dify.ai/api-reference/completion/create-completion-message
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, Field
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backend import Endpoint, Params, Wire
from qaip_core.backends._prompts import as_text
from qaip_core.backends.dify._service import DIFY
from qaip_core.errors import MalformedResponseError
from qaip_core.framing import Event
from qaip_core.reading import (
    Notes,
    Number,
    Reader,
    as_mapping,
    finite,
    no_text,
    noted,
    other_shape,
    ranked,
    seconds,
)
from qaip_core.report import stream_error
from qaip_core.template import Template
from qaip_core.types import Choice, Citation, Completion, Increment, Prompt, source_id
from qaip_core.usage import Spent

__all__ = ["COMPLETION", "DifyFile", "DifyParams"]

_USER = "default-user"


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
    score: Number | None = None
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
            "doc_metadata": finite(self.doc_metadata),
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
    retriever_resources: list[_Resource | None] | None = None


class _Event(TypedDict, total=False):
    event: str | None
    id: str | None
    message_id: str | None
    task_id: str | None
    created_at: Any
    answer: Any  # carries the answer in some events only
    url: str | None
    metadata: _Metadata | None
    files: list[dict[str, Any] | None] | None
    error: Any
    detail: Any


_READER: Reader[_Event] = Reader(_Event, ("", "event"))


def _is_error(event: _Event) -> bool:
    """Tell an error of the service, or of a gateway before it."""
    kind = event.get("event")
    return kind == "error" or (not kind and bool(event.get("error") or event.get("detail")))


def _spent(event: _Event, notes: Notes) -> Spent:
    metadata = event.get("metadata")
    return Spent.read(metadata.usage if metadata else None, notes, "metadata.usage")


def _closing(event: _Event, notes: Notes) -> Completion:
    """Return citations, usage and the rest of an answer's metadata."""
    spent = _spent(event, notes)
    metadata = event.get("metadata") or _Metadata()
    resources = ranked(metadata.retriever_resources, notes, "metadata.retriever_resources")
    more = {k: v for k, v in (metadata.model_extra or {}).items() if v}
    return Completion(
        [],
        usage=spent.usage,
        citations=tuple(c.citation(n) for n, c in resources),
        metadata={**more, **({"price": spent.rest} if spent.rest else {})},
    )


def _id(event: _Event) -> str | None:
    return event.get("message_id") or event.get("id")


def _ids(event: _Event) -> dict[str, Any]:
    ids = {"task_id": event.get("task_id"), "message_id": _id(event)}
    return {k: v for k, v in ids.items() if v}


def _decode(body: Any) -> Completion:
    notes: Notes = {}
    whole = _READER.body(body, notes)
    text = whole.get("answer")
    if text is None:
        if "code" in body or _is_error(whole):
            raise stream_error(body, DIFY.rules)
        raise MalformedResponseError("the body holds no answer", body=body)
    if not isinstance(text, str):
        raise no_text("answer", "a body", body)
    answer = _closing(whole, notes)
    answer.choices = [Choice(text, finish_reason="stop")]
    answer.id = _id(whole)
    answer.created = seconds(whole.get("created_at"), notes, "created_at")
    answer.metadata = noted({**answer.metadata, **_ids(whole)}, notes)
    _note_suspicious(answer, text)
    answer.raw = _spent(whole, {}).on(finite(body))
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
        self._notes: Notes = {}
        self._alike = Template(_text_of)

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds to the answer."""
        if event.name == "ping":
            return None
        if event.name == "error":
            raise stream_error(as_mapping(event.data), DIFY.rules)
        text = self._alike.text(event.data)
        if text is None:
            return self._read(event.data)
        self._pieces.append(text)
        return text

    def _read(self, data: bytes) -> Increment | None:
        said = _READER.event(data, self._notes)
        if said is None:
            return None
        kind = said.get("event")
        if kind == "ping":
            return None
        if _is_error(said):
            raise stream_error(as_mapping(data), DIFY.rules)
        if kind == "message_end":
            self._end, self._raw, self.ended = said, data, True
            return None
        if self._fresh:
            self._ids = _ids(said)
            self.task_id = said.get("task_id")
        if kind == "message_file" and said.get("url"):
            self._files.append(as_mapping(data))
        text = said.get("answer")
        if text and isinstance(text, str) and not kind:
            fault = "event: Field required"
            raise other_shape("an event", fault, as_mapping(data))
        if text is None or kind not in _TEXT_EVENTS:
            return None
        if not isinstance(text, str):
            raise no_text("answer", "an event", as_mapping(data))
        return self._increment(said, text, data)

    def _increment(self, said: _Event, text: str, data: bytes) -> Increment:
        if text and said.get("event") in _PIECES and not self._fresh:
            self._alike.learn(data, text)
            self._pieces.append(text)
            return text
        is_whole = said.get("event") == "message_replace"
        replaces = is_whole and text != "".join(self._pieces)
        if replaces:
            self._replaces, self._pieces = True, []
        elif is_whole:  # harmless answers are closed with the same text
            text = ""
        self._pieces.append(text)
        increment = Completion([Choice(text)], replaces=replaces)
        if self._fresh:
            self._fresh = False
            increment.id = _id(said)
            increment.created = seconds(said.get("created_at"), self._notes, "created_at")
        return increment

    def finish(self, *, cut: bool) -> Completion | None:  # noqa: ARG002 -- the end is on the wire
        """Return the closing increment; None before message_end."""
        if self._end is None:
            return None
        closing = self.rest()
        closing.choices = [Choice(finish_reason="stop")]
        closing.id = _id(self._end)
        closing.raw = _spent(self._end, {}).on(finite(as_mapping(self._raw)))
        _note_suspicious(closing, "".join(self._pieces))
        return closing

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        notes = dict(self._notes)
        end = self._end or {}
        rest = _closing(end, notes)
        facts = {**rest.metadata, **(self._ids or _ids(end))}
        files = [file for _, file in ranked(end.get("files"), notes, "files")] or self._files
        if files and self._end:
            facts["files"] = files
        if self._replaces:
            facts["replaced_text"] = "".join(self._pieces)
        rest.metadata = noted(facts, notes)
        return rest


_PIECES = frozenset({"message", "agent_message"})
_TEXT_EVENTS = _PIECES | {"message_file", "message_replace"}


def _text_of(data: bytes) -> str | None:
    said = _READER.event(data, {})
    return said.get("answer") if said and said.get("event") in _PIECES else None


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
