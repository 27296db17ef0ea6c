"""Perplexity: its Search API, which finds pages and writes no answer.

Vendor page: https://docs.perplexity.ai/api-reference/search-post
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, Field, create_model, model_validator

from qaip_core.backend import Params, Wire
from qaip_core.backends.perplexity._service import (
    PERPLEXITY,
    Country,
    Domains,
    Recency,
    Result,
    USDate,
)
from qaip_core.errors import InvalidParameterError, ServerReportedError
from qaip_core.operation import Operation
from qaip_core.reading import Notes, Reader, ranked
from qaip_core.report import stream_error
from qaip_core.types import Citation

__all__ = [
    "MAX_RESULTS",
    "SEARCH",
    "TOOL",
    "SearchArguments",
    "SearchParams",
    "arguments",
    "as_text",
    "several",
]

MAX_RESULTS = 20
"""How many pages one search returns at most."""

_MORE = 4
"""How many further queries one search takes."""

Languages: TypeAlias = Annotated[
    list[Annotated[str, Field(pattern=r"^[A-Za-z]{2}$")]], Field(max_length=20)
]
"""Languages by two letters, ISO 639-1, such as "en"; at most 20."""

Mode: TypeAlias = Literal["web", "academic", "sec"]
"""What is searched: the web, scholarly work, or filings with the SEC."""

_Query: TypeAlias = Annotated[str, Field(min_length=1)]
_Tokens: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]


class SearchParams(Params):
    """Parameters of Perplexity's Search API, without the query.

    Parameters:
        max_results: how many pages to return at most, 1 to 20. The service's default is 10.
        max_tokens: tokens of all passages together, 1 to 1,000,000; the default is 10,000.
        max_tokens_per_page: tokens of one passage, 1 to 1,000,000; the default is 4,096.
        search_context_size: how much text is brought; not together with ``max_tokens`` and
            ``max_tokens_per_page``.
        country: two letters, ISO 3166-1, such as "US": where the search is made from.
        search_domain_filter: domains to search, without scheme; with a leading "-" they are
            left out instead. At most 20.
        search_language_filter: languages of the pages, ISO 639-1, at most 20.
        search_recency_filter: how old a page may be.
        search_after_date_filter, search_before_date_filter: when it was published: a date, or
            MM/DD/YYYY.
        last_updated_after_filter, last_updated_before_filter: when it last changed.
        search_mode: what is searched: the web, scholarly work, or filings with the SEC.
        search_type: how it is searched; "people" finds persons.
        display_server_time: whether the service tells its time, which then stands in the
            metadata as ``server_time``.

    Source: https://docs.perplexity.ai/api-reference/search-post
    """

    synonyms: ClassVar[Mapping[str, str]] = {
        "search_after_date": "search_after_date_filter",
        "search_before_date": "search_before_date_filter",
    }

    max_results: Annotated[int, Field(ge=1, le=MAX_RESULTS)] | None = None
    max_tokens: _Tokens | None = None
    max_tokens_per_page: _Tokens | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None
    country: Country | None = None
    search_domain_filter: Domains | None = None
    search_language_filter: Languages | None = None
    search_recency_filter: Recency | None = None
    search_after_date_filter: USDate | None = None
    search_before_date_filter: USDate | None = None
    last_updated_after_filter: USDate | None = None
    last_updated_before_filter: USDate | None = None
    search_mode: Mode | None = None
    search_type: Literal["web", "fast", "people"] | None = None
    display_server_time: bool | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> SearchParams:
        tokens = self.max_tokens is not None or self.max_tokens_per_page is not None
        if self.search_context_size is not None and tokens:
            raise ValueError(
                "search_context_size excludes max_tokens and max_tokens_per_page: it sets both"
            )
        return self


class _Asked(SearchParams):
    """A whole search.

    Parameters:
        query: what is looked for.
        more_queries: up to 4 further queries, which the same call answers.
    """

    query: _Query | None = None
    more_queries: Annotated[list[_Query], Field(max_length=_MORE)] | None = None


class SearchArguments(BaseModel):
    """What a model may say when it searches."""

    query: _Query = Field(description="What to look for.")
    more_queries: Annotated[list[_Query], Field(max_length=_MORE)] | None = Field(
        default=None, description="Up to 4 other queries, to be answered along with the first."
    )
    search_domain_filter: Domains | None = Field(
        default=None,
        description='Only these domains, such as "example.com"; "-example.com" leaves one out.',
    )
    search_recency_filter: Recency | None = Field(
        default=None, description="Only pages that are not older than this."
    )
    search_after_date_filter: USDate | None = Field(
        default=None, description="Only pages published after this day, MM/DD/YYYY."
    )
    search_before_date_filter: USDate | None = Field(
        default=None, description="Only pages published before this day, MM/DD/YYYY."
    )
    search_language_filter: Languages | None = Field(
        default=None, description="Only pages in these languages, by two letters."
    )
    search_mode: Mode | None = Field(
        default=None, description='"academic" for scholarly work, "sec" for company filings.'
    )


TOOL: Mapping[str, str] = {
    "name": "perplexity_search",
    "description": (
        "Searches the web. Answers with numbered passages, each with its title, address and date; "
        "cite them by their numbers, such as [1]. Ask for one thing at a time, or pass several "
        "queries at once."
    ),
}
"""What a model is told of the search as a tool."""


@cache
def arguments(fixed: frozenset[str]) -> type[BaseModel]:
    """Return what a model may say when it searches.

    Parameters:
        fixed: parameters that are set already, so that they are not the model's to choose.
    """
    if not fixed:
        return SearchArguments
    left: dict[str, Any] = {
        name: (field.annotation, field)
        for name, field in SearchArguments.model_fields.items()
        if name not in fixed
    }
    return create_model(SearchArguments.__name__, __doc__=SearchArguments.__doc__, **left)


def several(queries: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the first of some queries, and the parameters that add the others.

    Raises:
        InvalidParameterError: it is one text, there is none, or there are too many.
    """
    if isinstance(queries, str) or not 1 <= len(queries) <= 1 + _MORE:
        raise InvalidParameterError("pass a list of 1 to 5 queries; one alone is a retriever's own")
    first, *more = queries
    return first, {"more_queries": more} if more else {}


class _Found(Wire):
    id: str | None = None
    server_time: str | None = None
    results: list[Any]


class _Results(Wire):
    results: list[Result | None]


def _reported(body: Any) -> ServerReportedError | None:
    is_error = isinstance(body, Mapping) and body.get("error")
    return stream_error(body, PERPLEXITY.rules) if is_error else None


_FOUND: Reader[_Found] = Reader(_Found, ("", "results"), _reported)
_LIST: Reader[_Results] = Reader(_Results)


def _decode(body: Any) -> tuple[Citation, ...]:
    """Return what was found, best first; a list for each query becomes one of all."""
    notes: Notes = {}
    found = _FOUND.body(body, notes)
    flat = [
        result
        for entry in found.results
        for result in (entry if isinstance(entry, list) else (entry,))
    ]
    about = {"search_id": found.id, "server_time": found.server_time}
    said = {name: value for name, value in about.items() if value is not None}
    read = _LIST.body({"results": flat}, notes).results
    pages = [result.citation(rank) for rank, result in ranked(read, notes, "results")]
    return tuple(replace(page, metadata={**page.metadata, **said}) for page in pages)


def _encode(values: dict[str, Any]) -> dict[str, Any]:
    more = values.pop("more_queries", None)
    return {**values, "query": [values["query"], *more]} if more else values


SEARCH: Operation[Sequence[Citation]] = Operation(
    backend=PERPLEXITY,
    path="/search",
    decode=_decode,
    params=_Asked,
    required=("query",),
    method="POST",
    encode=_encode,
    is_safe=False,  # a search that was sent is billed
)


def as_text(pages: Iterable[tuple[Mapping[str, Any], str]]) -> str:
    """Return pages as a text for a model, which can name them by ``[n]``.

    Parameters:
        pages: what is known of each, and its passage.
    """
    told = [_told(number, *page) for number, page in enumerate(pages, start=1)]
    return "\n\n".join(told) or "Nothing was found."


def _told(number: int, facts: Mapping[str, Any], passage: str) -> str:
    day = facts.get("date")
    head = [f"[{number}]", facts.get("title")]
    where = [facts.get("url"), f"({day})" if day else None]
    lines = *(" ".join(filter(None, line)) for line in (head, where)), passage
    return "\n".join(filter(None, lines))
