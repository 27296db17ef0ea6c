"""What a search is limited to: domains, age and dates."""

import time
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer

from qaip_sandbox._wire import Json
from qaip_sandbox.documents import Chunk
from qaip_sandbox.index import Filter

__all__ = ["Filters", "allowed", "day_of"]

_AGES = {"hour": 3600, "day": 86400, "week": 604800, "month": 2592000, "year": 31536000}


def _as_date(value: Json) -> Json:
    if not isinstance(value, str):
        raise ValueError("Input should be a valid string")
    try:
        return datetime.strptime(value, "%m/%d/%Y").replace(tzinfo=UTC).date()
    except ValueError:
        raise ValueError("Input should be a date of the form MM/DD/YYYY") from None


def _as_text(day: date) -> str:
    return day.strftime("%m/%d/%Y")


_Date = Annotated[date, BeforeValidator(_as_date), PlainSerializer(_as_text)]


class Filters(BaseModel):
    """The filters that chat, the agent's search and the search call have in common."""

    search_domain_filter: Annotated[list[str], Field(max_length=20)] | None = None
    search_recency_filter: Literal["hour", "day", "week", "month", "year"] | None = None
    search_after_date_filter: _Date | None = None
    search_before_date_filter: _Date | None = None
    last_updated_after_filter: _Date | None = None
    last_updated_before_filter: _Date | None = None


def day_of(chunk: Chunk) -> date:
    """Return the day on which the document of `chunk` was published, and last changed."""
    return datetime.fromtimestamp(chunk.document.modified, UTC).date()


def allowed(filters: Filters) -> Filter:
    """Return which chunks `filters` let through."""
    entries = [entry.strip().casefold() for entry in filters.search_domain_filter or []]
    denied = [entry[1:] for entry in entries if entry.startswith("-")]
    wanted = [entry for entry in entries if not entry.startswith("-")]
    recency = filters.search_recency_filter
    oldest = time.time() - _AGES[recency] if recency else float("-inf")
    # The sandbox knows one date of a document, so publication and change are the same day.
    after = (filters.search_after_date_filter, filters.last_updated_after_filter)
    before = (filters.search_before_date_filter, filters.last_updated_before_filter)
    first = max(filter(None, after), default=date.min)
    last = min(filter(None, before), default=date.max)

    def allows(chunk: Chunk) -> bool:
        return (
            chunk.document.modified >= oldest
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
