"""Qaip's filters of sources, and the groups of conditions on their metadata."""

import operator
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qaip_sandbox._wire import Json
from qaip_sandbox.documents import NAMESPACE, Chunk

__all__ = [
    "COLUMNS",
    "DEFAULT_POLICY",
    "FileType",
    "Filters",
    "LaterFilters",
    "MetadataGroup",
    "file_type",
    "tag_id",
]

FileType = Literal[
    "html", "pdf", "ppt", "pptx", "pptm", "doc", "docx", "docm", "xls", "xlsx", "xlsm", "md", "txt",
    "jsonl", "png", "jpg", "webp", "heic", "heif", "wav", "mp3", "aiff", "m4a", "ogg", "flac",
    "mp4", "mpg", "mov", "avi", "flv", "webm", "wmv", "3gp", "notion_page", "aac", "aif", "oga",
]  # fmt: skip
_KNOWN_TYPES = frozenset(get_args(FileType))
_Time = Annotated[int, Field(ge=1735639200)]
_Logic = Literal["AND", "OR"]
_JOIN: Mapping[str, Callable[[Iterator[bool]], bool]] = {"AND": all, "OR": any}
_LISTS = ("string_list", "integer_list")

DEFAULT_POLICY = "default"
"""The only authorization policy there is."""

COLUMNS: Mapping[str, str] = {
    "title": "string",
    "path": "string",
    "file_type": "string",
    "heading": "string",
    "modified": "integer",
    "page_number": "integer",
    "tags": "string_list",
}
"""The metadata columns that the sandbox declares, with their types."""


def file_type(chunk: Chunk) -> str:
    """Return the type of a chunk's file; one that Qaip does not know counts as text."""
    kind = chunk.document.file_type
    return kind if kind in _KNOWN_TYPES else "txt"


def tag_id(name: str) -> str:
    """Return the id of a tag, the same on every machine."""
    return str(uuid.uuid5(NAMESPACE, f"tag:{name}"))


def _facts(chunk: Chunk) -> Mapping[str, Any]:
    document = chunk.document
    return {
        "title": document.title,
        "path": document.path,
        "file_type": file_type(chunk),
        "heading": chunk.heading,
        "modified": document.modified,
        "page_number": chunk.page_number,
        "tags": document.tags,
    }


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("a string is wanted")


def _number(value: Json) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise ValueError("a number is wanted")


def _integer(value: Json) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("an integer is wanted")


_READ: Mapping[str, Callable[[Any], Any]] = {
    "string": _text,
    "integer": _integer,
    "float": _number,
    "date": lambda value: date.fromisoformat(_text(value)),
    "datetime": lambda value: _moment(_text(value)),
    "string_list": _text,
    "integer_list": _integer,
}
"""How the value of a condition is read, by its type."""

_SEEN: Mapping[str, Callable[[Any], Any]] = {
    "date": lambda seconds: datetime.fromtimestamp(_number(seconds), UTC).date(),
    "datetime": lambda seconds: datetime.fromtimestamp(_number(seconds), UTC),
    "string_list": tuple,
    "integer_list": tuple,
}
"""How a fact is seen as a type; by default as the type's values are read."""

_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "contains": operator.contains,
}


class _Condition(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    key: str
    operator: Literal["eq", "ne", "gt", "gte", "lt", "lte", "between", "contains"]
    type: Literal["string", "integer", "float", "date", "datetime", "string_list", "integer_list"]
    val: Json = None
    min: Json = None
    max: Json = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.operator == "contains") != (self.type in _LISTS):
            raise ValueError(
                "contains is for string_list and integer_list, and they for nothing else"
            )
        wanted = ("min", "max") if self.operator == "between" else ("val",)
        for name in wanted:
            try:
                _READ[self.type](getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return self

    def allows(self, facts: Mapping[str, Any]) -> bool:
        """Say whether the fact that the key names is there, and as it should be."""
        read = _READ[self.type]
        try:
            fact = _SEEN.get(self.type, read)(facts[self.key])
        except (KeyError, TypeError, ValueError):
            return False
        if self.operator == "between":
            return bool(read(self.min) <= fact <= read(self.max))
        return _TESTS[self.operator](fact, read(self.val))


class MetadataGroup(BaseModel):
    """Conditions, and further groups of them, joined by AND, which is the default, or by OR."""

    model_config = ConfigDict(strict=True, extra="forbid")

    logic: _Logic = "AND"
    filters: list[_Condition] = []
    groups: list["MetadataGroup"] = []

    @property
    def conditions(self) -> Iterator[_Condition]:
        """The conditions of this group and of all below it."""
        yield from self.filters
        for group in self.groups:
            yield from group.conditions

    def allows(self, chunk: Chunk) -> bool:
        """Say whether a chunk's facts are as they should be; nothing wanted allows everything."""
        facts = _facts(chunk) if self.filters else {}
        found = [condition.allows(facts) for condition in self.filters]
        found += [group.allows(chunk) for group in self.groups]
        return not found or _JOIN[self.logic](iter(found))


class Filters(BaseModel):
    """The filters of the seed. An empty list filters nothing."""

    model_config = ConfigDict(strict=True, extra="forbid")

    tags: list[str] = []
    tag_ids: list[str] = []
    source_types: list[Literal["crawl", "local_file", "google_drive", "github", "notion"]] = []
    file_types: list[FileType] = []
    date_from: _Time | None = None
    date_to: _Time | None = None
    domains: list[str] = []

    def allow(self, chunk: Chunk) -> bool:
        """Say whether all filters let `chunk` through."""
        document = chunk.document
        return (
            self._tagged(document.tags)
            and (not self.source_types or "local_file" in self.source_types)
            and (not self.file_types or file_type(chunk) in self.file_types)
            and (self.date_from is None or document.modified >= self.date_from)
            and (self.date_to is None or document.modified <= self.date_to)
            and (not self.domains or any(part in chunk.url for part in self.domains))
        )

    def _tagged(self, tags: tuple[str, ...]) -> bool:
        wanted = [tag in tags for tag in self.tags]
        wanted += [tag in map(tag_id, tags) for tag in self.tag_ids]
        return not wanted or _JOIN[self._logic](iter(wanted))

    @property
    def _logic(self) -> str:
        return "OR"


class LaterFilters(Filters):
    """The filters added after February 2026; where nothing is listed below, they change nothing."""

    tag_filter_logic: _Logic = "OR"
    source_metadata: MetadataGroup = MetadataGroup()
    chunk_metadata: MetadataGroup = MetadataGroup()
    metadata: MetadataGroup = MetadataGroup()
    metadata_filter: MetadataGroup = MetadataGroup()
    use_postfilter: bool = False
    principal_id: str | None = None
    authz_policy: str = DEFAULT_POLICY

    @model_validator(mode="after")
    def _declared(self) -> Self:
        for condition in self.metadata_filter.conditions:
            known = COLUMNS.get(condition.key)
            if known is None:
                raise ValueError(
                    f"metadata_filter: no column {condition.key!r} is declared; "
                    f"there are {', '.join(COLUMNS)}"
                )
            if known != condition.type:
                raise ValueError(f"metadata_filter: {condition.key} is of the type {known}")
        for name in ("source_metadata", "chunk_metadata", "metadata"):
            if any(c.type in _LISTS for c in getattr(self, name).conditions):
                raise ValueError(f"{name}: list types are for metadata_filter only")
        return self

    def allow(self, chunk: Chunk) -> bool:
        """Say whether all filters let `chunk` through."""
        groups = (self.source_metadata, self.chunk_metadata, self.metadata_filter)
        return super().allow(chunk) and all(group.allows(chunk) for group in groups)

    @property
    def _logic(self) -> str:
        return self.tag_filter_logic
