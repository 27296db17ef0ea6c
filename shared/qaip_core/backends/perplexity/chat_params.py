"""The parameters of Perplexity's chat completions."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backend import Params
from qaip_core.backends.perplexity._service import Country, Recency, USDate

__all__ = ["FORMATS", "PerplexityParams", "UserLocation", "WebSearchOptions"]

FORMATS = frozenset({"json_schema", "regex"})
"""The kinds of ``response_format`` that the service enforces."""


def _format(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("type") not in FORMATS | {"text"}:
        raise ValueError('its type is "json_schema" (with a schema) or "regex"')
    return value


@with_config(ConfigDict(extra="forbid"))
class UserLocation(TypedDict, total=False):
    """Where the user is, so that what is near is found first.

    Parameters:
        country: two letters, ISO 3166-1, such as "US".
        region: its name.
        city: its name.
        latitude: in degrees, -90 to 90.
        longitude: in degrees, -180 to 180.
    """

    country: Country
    region: str
    city: str
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]


@with_config(ConfigDict(extra="forbid"))
class WebSearchOptions(TypedDict, total=False):
    """How a chat searches the web.

    Parameters:
        search_context_size: how much of what is found the model reads; more costs more. The
            service's default is "low".
        search_type: how thoroughly; "auto" lets the service decide.
        user_location: where the user is.
        image_results_enhanced_relevance: whether images are chosen with more care.
    """

    search_context_size: Literal["low", "medium", "high"]
    search_type: Literal["fast", "pro", "auto"]
    user_location: UserLocation
    image_results_enhanced_relevance: bool


class PerplexityParams(Params):
    """Parameters of Perplexity's chat completions.

    Parameters:
        model: the model, such as "sonar"; sent as it is.
        max_tokens: tokens of the answer, 1 to 128,000; prompt and answer share the window.
        temperature: how freely tokens are drawn, 0 up to, not including, 2. The service's default
            is 0.2.
        top_p: only the likeliest tokens that sum up to this probability, 0 to 1. The service's
            default is 0.9.
        top_k: only so many of the likeliest tokens, 0 (off) to 2048. The service's default is 0.
        presence_penalty: against tokens that stand in the text at all, -2 to 2; not together with
            ``frequency_penalty``. The service's default is 0.
        frequency_penalty: against tokens by how often they stand in it, above 0, where 1, the
            service's default, means none (it multiplies).
        search_domain_filter: domains to search, or with a leading "-" to leave out; at most 20
            (3 in the first version of the API).
        search_recency_filter: how old a source may be.
        return_images: whether the answer brings images; closed beta.
        return_related_questions: whether it brings further questions; closed beta.
        response_format: the form of the answer: {"type": "json_schema", "json_schema": {"schema":
            ...}}, {"type": "regex", "regex": {"regex": ...}} or {"type": "text"}.
        reasoning_effort: how long a reasoning model thinks.
        stream_mode: "full" (the default), or "concise": events bring new text only, sources come
            with the last, and what the model does before it answers becomes reasoning.
        search_mode: what is searched: the web, scholarly work, or filings with the SEC.
        search_after_date_filter, search_before_date_filter: when a source was published: a date,
            or MM/DD/YYYY.
        last_updated_after_filter, last_updated_before_filter: when it last changed.
        search_language_filter: languages of the sources, ISO 639-1.
        language_preference: language of the answer.
        disable_search: whether to answer without searching.
        enable_search_classifier: whether the service decides if it searches.
        web_search_options: how the web is searched, see `WebSearchOptions`.
        image_domain_filter: domains of the images that come.
        image_format_filter: formats of the images that come.

    Those from ``response_format`` on came after the first version of the API.
    """

    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1, le=128_000)] | None = None
    temperature: Annotated[float, Field(ge=0, lt=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2048)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(gt=0)] | None = None
    search_domain_filter: Annotated[list[str], Field(max_length=20)] | None = None
    search_recency_filter: Recency | None = None
    return_images: bool | None = None
    return_related_questions: bool | None = None
    response_format: Annotated[dict[str, Any], AfterValidator(_format)] | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    stream_mode: Literal["full", "concise"] | None = None
    search_mode: Literal["web", "academic", "sec"] | None = None
    search_after_date_filter: USDate | None = None
    search_before_date_filter: USDate | None = None
    last_updated_after_filter: USDate | None = None
    last_updated_before_filter: USDate | None = None
    search_language_filter: list[str] | None = None
    language_preference: str | None = None
    disable_search: bool | None = None
    enable_search_classifier: bool | None = None
    web_search_options: WebSearchOptions | None = None
    image_domain_filter: list[str] | None = None
    image_format_filter: list[str] | None = None

    @model_validator(mode="after")
    def _one_penalty(self) -> "PerplexityParams":
        if self.presence_penalty is not None and self.frequency_penalty is not None:
            raise ValueError(
                "presence_penalty and frequency_penalty exclude each other: set one of them"
            )
        return self
