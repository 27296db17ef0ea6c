"""The tools of Perplexity's agent: those of the service, and functions of the caller's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Required, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backends.perplexity._service import Domains, Recency, USDate
from qaip_core.backends.perplexity.chat_params import UserLocation

__all__ = [
    "FILTERS",
    "OPTIONS",
    "RESERVED",
    "SERVED",
    "Choice",
    "Fetch",
    "Filters",
    "Function",
    "Mcp",
    "Plain",
    "Search",
    "Tools",
    "WebSearch",
    "flat",
    "merged",
]

SERVED = frozenset(
    {
        "web_search", "fetch_url", "people_search", "finance_search", "image_search", "sandbox",
        "mcp",
    }
)  # fmt: skip
"""The kinds of tools that the service itself runs."""

_MANY = frozenset({"mcp", "function"})
"""The kinds of which a request may have several."""

RESERVED = SERVED | {"search_web", "search_people"}
"""The names that no function may have."""

_strict = with_config(ConfigDict(extra="forbid"))  # the service takes no field but its own
_Tokens: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]


@_strict
class Filters(TypedDict, total=False):
    """What a search is limited to.

    Parameters:
        search_domain_filter: domains to search, without scheme, or with a leading "-" to leave
            out; at most 20.
        search_recency_filter: how old a source may be.
        search_after_date_filter, search_before_date_filter: when it was published: a date, or
            MM/DD/YYYY.
        last_updated_after_filter, last_updated_before_filter: when it last changed.
    """

    search_domain_filter: Domains
    search_recency_filter: Recency
    search_after_date_filter: USDate
    search_before_date_filter: USDate
    last_updated_after_filter: USDate
    last_updated_before_filter: USDate


FILTERS = tuple(Filters.__annotations__)
"""The names of all of them."""

OPTIONS = ("search_context_size", "search_type", "max_results", "user_location")
"""What else is said to a search, and not to the agent."""


@_strict
class WebSearch(TypedDict, total=False):
    """Searches the web.

    Parameters:
        filters: what the search is limited to.
        search_context_size: how much text of the pages the model reads.
        search_type: "fast" searches less thoroughly.
        max_results: results of one search, 1 to 50.
        max_tokens: tokens of all results, 1 to 1,000,000.
        max_tokens_per_page: tokens of one result, 1 to 1,000,000.
        user_location: where the user is.

    Source: https://docs.perplexity.ai/docs/agent-api/tools
    """

    type: Literal["web_search"]
    filters: Filters
    search_context_size: Literal["low", "medium", "high"]
    search_type: Literal["web", "fast"]
    max_results: Annotated[int, Field(ge=1, le=50)]
    max_tokens: _Tokens
    max_tokens_per_page: _Tokens
    user_location: UserLocation


@_strict
class Fetch(TypedDict, total=False):
    """Reads pages; ``max_urls``: how many at most, 1 to 10."""

    type: Required[Literal["fetch_url"]]
    max_urls: Annotated[int, Field(ge=1, le=10)]


@_strict
class Plain(TypedDict):
    """A tool without settings."""

    type: Literal["people_search", "finance_search", "image_search", "sandbox"]


@with_config(ConfigDict(extra="allow"))
class Mcp(TypedDict, total=False):
    """An MCP server that the service asks; its further fields are the service's affair."""

    type: Required[Literal["mcp"]]
    server_label: Required[str]
    server_url: str
    allowed_tools: list[str]


@_strict
class Function(TypedDict, total=False):
    """A function of the caller's."""

    type: Required[Literal["function"]]
    name: Required[Annotated[str, Field(min_length=1)]]
    description: str
    parameters: dict[str, Any]
    strict: bool


def flat(tool: Any) -> Any:
    """Return a function in chat completions' form as the agent takes it; others as they are.

    Raises:
        ValueError: the function has a name that the service keeps for itself.
    """
    if not isinstance(tool, Mapping):
        return tool
    function = tool.get("function")
    if isinstance(function, Mapping):
        tool = {"type": "function", **function}
        tool = {k: v for k, v in tool.items() if v is not None}
    if tool.get("type") == "function" and tool.get("name") in RESERVED:
        raise ValueError(f"the service keeps the name {tool['name']!r} for itself: choose another")
    return tool


_KINDS: Mapping[str, str] = {
    **dict.fromkeys(SERVED, "plain"),
    "web_search": "web_search",
    "fetch_url": "fetch_url",
    "mcp": "mcp",
    "function": "function",
}


def _kind(tool: Any) -> str | None:
    named = tool.get("type") if isinstance(tool, Mapping) else None
    return _KINDS.get(named) if isinstance(named, str) else None


_Tool: TypeAlias = Annotated[
    Annotated[WebSearch, Tag("web_search")]
    | Annotated[Fetch, Tag("fetch_url")]
    | Annotated[Plain, Tag("plain")]
    | Annotated[Mcp, Tag("mcp")]
    | Annotated[Function, Tag("function")],
    Discriminator(
        _kind,
        custom_error_type="tool_type",
        custom_error_message="its type is one of " + ", ".join(sorted({*SERVED, "function"})),
    ),
]


def _switch(value: Any) -> str:
    return "switch" if isinstance(value, bool) else "settings"


def _placed(search: Any) -> Any:
    """Refuse filters that stand beside the others, with what to write instead."""
    for name in search if isinstance(search, Mapping) else ():
        if name in FILTERS:
            raise ValueError(f"a filter stands in 'filters': {{'filters': {{{name!r}: ...}}}}")
    return search


def _choice(value: Any) -> Any:
    """Return a choice of one function, in the forms of others too, as the agent takes it."""
    if not isinstance(value, Mapping):
        return "required" if value == "any" else value
    if not value:
        raise ValueError('name a tool: {"name": ...} of a function, {"type": ...} of another')
    if value.get("type") != "function" and "function" not in value:
        return value
    function = value.get("function")
    return {"name": (function if isinstance(function, Mapping) else value).get("name")}


@_strict
class _Named(TypedDict, total=False):
    type: str
    name: str


if TYPE_CHECKING:  # any mapping may be written, which pydantic looks into
    Search: TypeAlias = bool | WebSearch | Mapping[str, Any]
    Tools: TypeAlias = Sequence[WebSearch | Fetch | Plain | Mcp | Function | Mapping[str, Any]]
    Choice: TypeAlias = Literal["none", "auto", "required"] | Mapping[str, Any]
else:
    Search = Annotated[
        Annotated[bool, Tag("switch")]
        | Annotated[WebSearch, BeforeValidator(_placed), Tag("settings")],
        Discriminator(_switch),
    ]
    """Whether the web is searched, and how."""

    Tools = list[Annotated[_Tool, BeforeValidator(flat)]]
    """Tools of the service's, and functions (also in the form of chat completions)."""

    Choice = Annotated[Literal["none", "auto", "required"] | _Named, BeforeValidator(_choice)]
    """Whether tools are used, or which: {"name": ...} of a function, {"type": ...} of another."""


def merged(search: Any, served: Iterable[Any], own: Sequence[Any]) -> list[Any]:
    """Return the tools of a request, of each kind that the service runs only one.

    Parameters:
        search: what is wished of its web search; False or None for none.
        served: tools that the service runs.
        own: further tools, which take the place of others of their kind.
    """
    wished = {} if search is True else search
    asked = [*served, *([{"type": "web_search", **wished}] if search not in (None, False) else [])]
    replaced = {tool["type"] for tool in own} | _MANY
    single = {tool["type"]: tool for tool in asked if tool["type"] not in replaced}
    return [*single.values(), *(tool for tool in asked if tool["type"] in _MANY), *own]
