"""Perplexity as a service: where it is, what its errors mean, and what its calls share."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from qaip_core.backend import Backend, Wire
from qaip_core.errors import ContextOverflowError, EndpointRetiredError
from qaip_core.report import Rule
from qaip_core.types import Citation, source_id

__all__ = ["PERPLEXITY", "Result", "USDate"]

_RETIRED = (
    "Your key is fine: Perplexity ended chat completions on 2026-09-27. The successor is its "
    "Agent API (POST /v1/agent), see "
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
    normalise_url=lambda url: url.removesuffix("/chat/completions"),
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


def _us_date(value: Any) -> Any:
    """Return a date as the service writes it."""
    return value.strftime("%m/%d/%Y") if isinstance(value, date) else value


USDate: TypeAlias = Annotated[
    str, BeforeValidator(_us_date), Field(pattern=r"^\d{1,2}/\d{1,2}/\d{4}$")
]
"""When something was published, or changed, as the service writes it: MM/DD/YYYY."""


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
            id=source_id(url, self.snippet, None),
            url=url,
            title=self.title,
            text=self.snippet,
            date=self.date,
            rank=rank,
            metadata={k: v for k, v in more.items() if v is not None},
        )
