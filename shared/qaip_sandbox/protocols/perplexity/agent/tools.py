"""The tools that the agent can be given, as strict as the service about their fields."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from qaip_sandbox.protocols.perplexity.filters import Filters

__all__ = [
    "RESERVED",
    "Choice",
    "FetchUrl",
    "FunctionTool",
    "Named",
    "Strict",
    "Tool",
    "WebSearch",
    "with_preset",
]

_Tokens = Annotated[int, Field(ge=1, le=1_000_000)]


class Strict(BaseModel):
    """A part of a request that has no field but its own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Filters(Filters):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("search_domain_filter")
    @classmethod
    def _without_scheme(cls, domains: list[str] | None) -> list[str] | None:
        for domain in domains or []:
            if "://" in domain:
                raise ValueError(f"must not have a scheme: {domain}")
        return domains


class _Location(Strict):
    latitude: float | None = None
    longitude: float | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None


class WebSearch(Strict):
    """Searches the documents."""

    type: Literal["web_search"]
    filters: _Filters | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None
    search_type: Literal["web", "fast"] | None = None
    max_results: Annotated[int, Field(ge=1, le=50)] | None = None
    max_tokens: _Tokens | None = None
    max_tokens_per_page: _Tokens | None = None
    user_location: _Location | None = None


class FetchUrl(Strict):
    """Reads documents whose addresses are in the question."""

    type: Literal["fetch_url"]
    max_urls: Annotated[int, Field(ge=1, le=10)] = 10


class _Idle(Strict):
    """A tool that is accepted, and never used: the documents hold nothing for it."""

    type: Literal["people_search", "finance_search", "image_search", "sandbox"]


class _Mcp(Strict):
    type: Literal["mcp"]
    server_label: str
    server_url: str
    allowed_tools: list[str] | None = None
    # What may be secret is not echoed.
    authorization: Annotated[str | None, Field(exclude=True)] = None
    headers: Annotated[dict[str, str] | None, Field(exclude=True)] = None
    require_approval: Any = None
    connector_id: Any = None
    defer_loading: Any = None


class FunctionTool(Strict):
    """A function of the client's own."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


Tool = Annotated[WebSearch | FetchUrl | _Idle | _Mcp | FunctionTool, Field(discriminator="type")]


class Named(Strict):
    """The choice of one tool: a function by its name, or a tool by its type."""

    type: str | None = None
    name: str | None = None


Choice = Literal["none", "auto", "required"] | Named

RESERVED = frozenset(
    {
        "web_search", "fetch_url", "people_search", "finance_search", "image_search", "sandbox",
        "mcp", "search_web", "search_people",
    }
)  # fmt: skip
"""The names that a function must not have."""

_PRESET: tuple[WebSearch | FetchUrl, ...] = (WebSearch(type="web_search"),)


def with_preset(tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools of a preset beside `tools`, which take the place of those of their type."""
    listed = {tool.type for tool in tools}
    return [*tools, *(tool for tool in _PRESET if tool.type not in listed)]
