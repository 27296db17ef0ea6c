"""What Qaip's calls take: the filters that all of them share, and those of a completion."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from qaip_core.backend import Params
from qaip_core.backends.qaip._service import FileType, Since, SourceType

__all__ = ["FilterParams", "Id", "Limit", "Logic", "Offset", "QaipParams"]


def _as_id(value: Any) -> Any:
    return value if isinstance(value, str) else str(value)


def _uuid(value: str) -> str:
    import uuid

    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise ValueError("not a UUID, such as 123e4567-e89b-12d3-a456-426614174000") from None


def _conditions(value: Any) -> Any:
    from qaip_core.backends.qaip.filters import as_group

    return as_group(value)


def _columns(value: Any) -> Any:
    from qaip_core.backends.qaip.filters import as_group

    return as_group(value, lists=True)


Id: TypeAlias = Annotated[str, AfterValidator(_uuid), BeforeValidator(_as_id)]
"""A UUID, as text or as one."""

Limit: TypeAlias = Annotated[int, Field(ge=1)]
Offset: TypeAlias = Annotated[int, Field(ge=0)]
Logic: TypeAlias = Literal["AND", "OR"]

if TYPE_CHECKING:  # the builder of filters is imported when the first filter is given
    from qaip_core.backends.qaip.filters import Filter

    Conditions: TypeAlias = Filter | Mapping[str, Any]
    Columns: TypeAlias = Filter | Mapping[str, Any]
else:
    Conditions = Annotated[dict[str, Any], BeforeValidator(_conditions)]
    Columns = Annotated[dict[str, Any], BeforeValidator(_columns)]


class FilterParams(Params):
    """Which sources may be used. An empty list is sent as such, and differs from none.

    Parameters:
        tag_names: names of tags that a source must have; ``tags`` on the wire.
        tag_ids: ids of such tags.
        tag_filter_logic: whether a source must have one of the tags ("OR", the service's
            default) or all ("AND").
        source_types: where sources come from.
        file_types: what kinds of files they are.
        date_from: the first day or moment of sources: Unix seconds, date or datetime, or either of
            these as ISO 8601 text; not before 2024-12-31T10:00Z. Without a time zone it is UTC.
        date_to: the last one, written likewise.
        domains: parts of the domains of sources.
        source_metadata: conditions on the metadata of sources, built with
            `qaip_core.backends.qaip.filters.where`, or as the service's own JSON.
        chunk_metadata: the same on the metadata of passages.
        metadata_filter: conditions on declared metadata columns; a column that is not declared
            is a `BadRequestError`.
        reserved_metadata: conditions that the vendor reserves for the future; ``metadata`` on the
            wire.
        use_postfilter: whether the filters apply after the vector search: faster, but fewer
            passages than ``limit`` may come.
        principal_id: your name for the end user on whose behalf the call is made; without it,
            the most restrictive view.
        authz_policy: reserved by the vendor; another name than "default" is a `BadRequestError`.

    Source: https://docs.qaip.com (API reference, Search)
    """

    tag_names: list[str] | None = Field(default=None, serialization_alias="tags")
    tag_ids: list[str] | None = None
    tag_filter_logic: Logic | None = None
    source_types: list[SourceType] | None = None
    file_types: list[FileType] | None = None
    date_from: Since | None = None
    date_to: Since | None = None
    domains: list[str] | None = None
    source_metadata: Conditions | None = None
    chunk_metadata: Conditions | None = None
    metadata_filter: Columns | None = None
    reserved_metadata: Conditions | None = Field(default=None, serialization_alias="metadata")
    use_postfilter: bool | None = None
    principal_id: str | None = None
    authz_policy: str | None = None


class QaipParams(FilterParams):
    """Parameters of Qaip's completions, besides `FilterParams`; the model is the service's choice.

    Every completion is stored by the service as a conversation of its own, unless
    ``conversation_id`` names one: then the service itself rebuilds the history, and of the
    messages only the last one of the user counts.

    Parameters:
        citation: whether the answer brings its sources; the service's default is True.
        limit: passages that are retrieved as context, at least 1; the service's default is not
            known.
        grounding: whether the answer may use Google Search; only some models can. What it found
            is in the metadata, and `search_suggestion` there must be shown to your users.
        conversation_id: the stored conversation to go on with.
        parent_message_id: the message of it after which to go on; by default the last one.
        regenerate: whether to answer ``parent_message_id``, a user message, once more.
        truncation: what is done about a history that is too long: "auto", the service's default,
            drops the oldest turns; "disabled" is a `BadRequestError`.
        redaction_policy_id: the policy by which personal data is masked; without it nothing is.
        include_retrieved: whether all passages that were retrieved come too.
        include_redacted_input: whether the masked messages come too; with a policy only.
        stream_protocol: how a stream comes: "events" (AG-UI, the default here) with sources, ids
            and an end mark; "plain" as text/plain, which the vendor does not document in full.
            What a service sends is read by what it is, whatever was asked for.
        stream_content: whether lines of a plain stream hold pieces ("delta") or all text so far
            ("cumulative"); "auto", the default, finds out.

    Source: https://docs.qaip.com (API reference, Completions)
    """

    citation: bool | None = None
    limit: Limit | None = None
    grounding: bool | None = None
    conversation_id: Id | None = None
    parent_message_id: Id | None = None
    regenerate: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    redaction_policy_id: str | None = None
    include_retrieved: bool | None = None
    include_redacted_input: bool | None = None
    stream_protocol: Literal["events", "plain"] | None = None
    stream_content: Literal["auto", "delta", "cumulative"] | None = None
