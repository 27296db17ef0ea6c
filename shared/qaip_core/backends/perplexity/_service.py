"""Perplexity as a service: where it is, what its errors mean, and what its calls share."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from qaip_core.backend import Backend, Wire
from qaip_core.errors import ContextOverflowError, EndpointRetiredError
from qaip_core.report import Rule
from qaip_core.types import Citation, source_id

__all__ = ["PERPLEXITY", "Country", "Domains", "Recency", "Result", "USDate"]

_RETIRED = (
    "Your key is fine: Perplexity ended chat completions on 2026-09-27. The successor is its "
    "Agent API (POST /v1/agent; ChatPerplexityAgent for LangChain, PerplexityAgent for "
    "LlamaIndex), see "
    "https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview; "
    "a gateway that still serves chat completions works with base_url=..."
)

PERPLEXITY = Backend(
    name="perplexity",
    title="Perplexity",
    base_url="https://api.perplexity.ai",
    key_env=("PERPLEXITY_API_KEY", "PPLX_API_KEY"),
    url_env=("PERPLEXITY_BASE_URL",),
    docs="https://www.perplexity.ai/account/api/keys",
    key_begins="pplx-",
    model_hint=', such as "sonar"',
    normalise_url=lambda url: url.removesuffix("/v1/agent").removesuffix("/v1/responses"),
    rules=(
        Rule(
            EndpointRetiredError,
            status=(403,),
            code=("chat_completions_not_available", "agent_api_migration_required"),
            hint=_RETIRED,
        ),
        Rule(
            EndpointRetiredError,
            status=(403,),
            text=r"now the agent api|/v1/(responses|agent)|migrate-from-sonar",
            hint=_RETIRED,
        ),
        Rule(ContextOverflowError, text="total length of all messages is too long"),
    ),
)


Country: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z]{2}$")]
"""A country by two letters, ISO 3166-1, such as "US"."""


def _us_date(value: Any) -> Any:
    """Return a date as the service writes it; 2026-03-31 is understood, too."""
    try:
        value = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return value.strftime("%m/%d/%Y") if isinstance(value, date) else value


def _real(value: str) -> str:
    try:
        datetime.strptime(value, "%m/%d/%Y")
    except ValueError:
        raise ValueError("not a day; write MM/DD/YYYY, or pass a date") from None
    return value


USDate: TypeAlias = Annotated[
    str | date, AfterValidator(_real), BeforeValidator(_us_date)  # the day is text by then
]
"""When something was published, or changed: a date, or a text such as 03/31/2026."""

Recency: TypeAlias = Literal["hour", "day", "week", "month", "year"]
"""How old a source may be."""


def _bare(domain: str) -> str:
    name = domain.removeprefix("-")
    if not name or "://" in name or name.split() != [name]:
        raise ValueError('write a domain without its scheme, such as "example.com"')
    return domain


Domains: TypeAlias = Annotated[list[Annotated[str, AfterValidator(_bare)]], Field(max_length=20)]
"""Domains to search, without scheme; those with a leading "-" are left out instead. At most 20."""


class Result(Wire):
    """A page that a search found."""

    url: str | None = None
    title: str | None = None
    date: str | None = None
    last_updated: str | None = None
    snippet: str | None = None
    source: str | None = None

    def citation(self, rank: int) -> Citation:
        """Return it as a source; ``rank`` is its place in the list, from 1."""
        url = self.url or None  # an attachment has an empty one
        more = {"last_updated": self.last_updated, "source_type": self.source}
        return Citation(
            id=source_id(url, self.snippet if url or self.snippet else self._name(rank), None),
            url=url,
            title=self.title,
            text=self.snippet,
            date=self.date,
            rank=rank,
            metadata={k: v for k, v in more.items() if v is not None},
        )

    def _name(self, rank: int) -> str:
        """Return what tells a source without link and passage from others of its answer."""
        return self.title or f"{self.source} {rank}"
