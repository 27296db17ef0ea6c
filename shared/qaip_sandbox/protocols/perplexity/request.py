"""The requests of Perplexity: their types and ranges, their order of messages, their filters."""

import time
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.responses import Response

from qaip_sandbox._wire import Json, Refusal, compact, json_response, parse_json
from qaip_sandbox.documents import Chunk
from qaip_sandbox.index import Filter
from qaip_sandbox.service import Call

__all__ = ["Request", "SearchOptions", "allowed", "day_of", "error", "parse", "refuse"]

_AGES = {"hour": 3600, "day": 86400, "week": 604800, "month": 2592000, "year": 31536000}
_PERMITTED = ("sonar", "llama-3.1-sonar-")
_ALTERNATE = (
    "After the (optional) system message(s), user or tool message(s) should alternate with "
    "assistant message(s)."
)


def _as_date(value: Json) -> Json:
    if not isinstance(value, str):
        raise ValueError("Input should be a valid string")
    try:
        return datetime.strptime(value, "%m/%d/%Y").replace(tzinfo=UTC).date()
    except ValueError:
        raise ValueError("Input should be a date of the form MM/DD/YYYY") from None


def _web_address(url: str) -> str:
    if not url.startswith(("http://", "https://", "data:")):
        raise ValueError("Input should be an address of http, https or data")
    return url


_Date = Annotated[date, BeforeValidator(_as_date)]
_Address = Annotated[str, AfterValidator(_web_address)]
# A file may also be bare base64, without a scheme before it.
_File = Annotated[str, Field(min_length=1)]


class _TextPart(BaseModel):
    type: Literal["text"]
    text: str


class _Link(BaseModel):
    url: _Address


class _ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: _Link | _Address


class _FileLink(BaseModel):
    url: _File


class _FilePart(BaseModel):
    type: Literal["file_url"]
    file_url: _FileLink | _File
    file_name: str | None = None


class _PdfPart(BaseModel):
    type: Literal["pdf_url"]
    pdf_url: _FileLink | _File


class _Video(_Link):
    frame_interval: int | str | None = None


class _VideoPart(BaseModel):
    type: Literal["video_url"]
    video_url: _Video | _Address


_Part = Annotated[
    _TextPart | _ImagePart | _FilePart | _PdfPart | _VideoPart, Field(discriminator="type")
]


class _Message(BaseModel):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None


class SearchOptions(BaseModel):
    """How the service searches; only the size of the context leaves a trace, in the costs."""

    search_context_size: Literal["low", "medium", "high"] = "low"
    search_type: Literal["fast", "pro", "auto"] | None = None
    user_location: dict[str, Any] | None = None
    image_results_enhanced_relevance: bool | None = None


class _TextFormat(BaseModel):
    type: Literal["text"]


class _JsonSchema(BaseModel):
    schema_: dict[str, Any] = Field(alias="schema")
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class _SchemaFormat(BaseModel):
    type: Literal["json_schema"]
    json_schema: _JsonSchema


class _Regex(BaseModel):
    regex: str


class _RegexFormat(BaseModel):
    type: Literal["regex"]
    regex: _Regex


_Format = Annotated[_TextFormat | _SchemaFormat | _RegexFormat, Field(discriminator="type")]


class Request(BaseModel):
    """A request. Those of its fields that only steer a real service are checked, then ignored."""

    model_config = ConfigDict(strict=True)

    model: str
    messages: Annotated[list[_Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1, le=128000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2048)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: float | None = None
    stream: bool | None = None
    search_domain_filter: Annotated[list[str], Field(max_length=20)] | None = None
    search_recency_filter: Literal["hour", "day", "week", "month", "year"] | None = None
    return_images: bool | None = None
    return_related_questions: bool | None = None
    disable_search: bool | None = None
    stop: Any = None
    tools: Any = None
    response_format: _Format | None = None
    web_search_options: SearchOptions | None = None
    stream_mode: Literal["full", "concise"] | None = None
    search_mode: Literal["web", "academic", "sec"] | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    search_after_date_filter: _Date | None = None
    search_before_date_filter: _Date | None = None
    last_updated_after_filter: _Date | None = None
    last_updated_before_filter: _Date | None = None
    search_language_filter: list[str] | None = None
    language_preference: str | None = None
    enable_search_classifier: bool | None = None
    image_format_filter: list[str] | None = None
    image_domain_filter: list[str] | None = None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The schema that the answer conforms to, or None."""
        form = self.response_format
        return form.json_schema.schema_ if isinstance(form, _SchemaFormat) else None


def error(status: int, message: str, kind: str) -> Response:
    """Return an answer for a fault."""
    return json_response({"error": {"message": message, "type": kind, "code": status}}, status)


def refuse(message: str, kind: str = "bad_request", status: int = 400) -> Refusal:
    """Refuse a request for what is in it."""
    return Refusal(error(status, message, kind))


def parse(call: Call) -> Request:
    """Read the request of `call`.

    Raises:
        Refusal: it is not one that Perplexity would serve.
    """
    try:
        request = Request.model_validate(parse_json(call.raw))
    except ValidationError as fault:
        faults = [
            f"At body -> {' -> '.join(map(str, found['loc']))}: {found['msg']}"
            for found in fault.errors()
        ]
        raise refuse(compact(faults).decode()) from None
    except ValueError:
        raise refuse("The request body is not valid JSON.") from None
    _check(request)
    return request


def _check(request: Request) -> None:
    faults = (
        (request.stop, "Custom stop words not supported.", "bad_request"),
        (request.tools, "Tool calling is not supported for this model", "bad_request"),
        (
            request.presence_penalty is not None and request.frequency_penalty is not None,
            "Cannot set both presence_penalty and frequency_penalty.",
            "invalid_parameter",
        ),
        (
            request.frequency_penalty is not None and request.frequency_penalty <= 0,
            "Frequency penalty must satisfy p > 0.",
            "invalid_parameter",
        ),
        (
            not request.model.startswith(_PERMITTED),
            f"Invalid model '{request.model}'. Permitted models can be found in the documentation.",
            "invalid_model",
        ),
        (
            isinstance(request.response_format, _RegexFormat),
            '["At body -> response_format: The sandbox writes no text for an expression"]',
            "bad_request",
        ),
        (
            request.stream_mode == "concise",
            '["At body -> stream_mode: The sandbox streams in full mode only"]',
            "bad_request",
        ),
    )
    for fault, message, kind in faults:
        if fault:
            raise refuse(message, kind)
    _check_order([message.role for message in request.messages])


def _check_order(roles: list[str]) -> None:
    first = next((n for n, role in enumerate(roles) if role != "system"), len(roles))
    asking = [role in {"user", "tool"} for role in roles[first:]]
    if "system" in roles[first:] or any(
        asks == (place % 2 == 1) for place, asks in enumerate(asking)
    ):
        raise refuse(_ALTERNATE, "invalid_message")
    if not asking or not asking[-1]:
        raise refuse("Last message must have role `user`.", "invalid_message")


def day_of(chunk: Chunk) -> date:
    """Return the day on which the document of `chunk` was published, and last changed."""
    return datetime.fromtimestamp(chunk.document.modified, UTC).date()


def allowed(request: Request) -> Filter:
    """Return the filter that the fields of `request` make up."""
    entries = [entry.strip().casefold() for entry in request.search_domain_filter or []]
    denied = [entry[1:] for entry in entries if entry.startswith("-")]
    wanted = [entry for entry in entries if not entry.startswith("-")]
    recency = request.search_recency_filter
    oldest = time.time() - _AGES[recency] if recency else float("-inf")
    # The sandbox knows one date of a document, so publication and change are the same day.
    after = (request.search_after_date_filter, request.last_updated_after_filter)
    before = (request.search_before_date_filter, request.last_updated_before_filter)
    first, last = (
        max(filter(None, after), default=date.min),
        min(filter(None, before), default=date.max),
    )

    def allows(chunk: Chunk) -> bool:
        return (
            not request.disable_search
            and chunk.document.modified >= oldest
            and first <= day_of(chunk) <= last
            and (not wanted or any(_in_domain(chunk.url, entry) for entry in wanted))
            and not any(_in_domain(chunk.url, entry) for entry in denied)
        )

    return allows


def _in_domain(url: str, entry: str) -> bool:
    address = url.partition("://")[2].casefold()
    host = address.partition("/")[0]
    entry = entry.partition("://")[2] or entry
    if "/" in entry:
        return address.startswith(entry)
    return host == entry or host.endswith(f".{entry}")
