"""The sources of an answer as search results, and the numbers that markers have for them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from qaip_sandbox._wire import Json
from qaip_sandbox.answers import Answer
from qaip_sandbox.documents import Chunk

from .filters import day_of
from .messages import Attachment
from .profiles import Profile

__all__ = ["attached", "facts", "listed", "renumbered"]


def facts(chunk: Chunk, *, dated: bool = True) -> Json:
    """Return what every call tells about a source; the date of publication if it is `dated`."""
    day = day_of(chunk).isoformat()
    return {
        "title": chunk.document.title,
        "url": chunk.url,
        "date": day if dated else None,
        "last_updated": day,
        "snippet": chunk.text,
        "source": "web",
    }


def listed(chunks: Sequence[Chunk], profile: Profile, *, undated: bool) -> list[Json]:
    """Return chunks as the search results of chat in a profile."""
    found = (facts(chunk, dated=not (undated and n % 2)) for n, chunk in enumerate(chunks))
    return [_shaped(known, profile) for known in found]


def attached(files: Sequence[Attachment], profile: Profile) -> list[Json]:
    """Return the files of messages as the search results of chat in a profile."""
    return [
        _shaped({"title": f.name, "url": "", "snippet": f.text, "source": "attachment"}, profile)
        for f in files
    ]


def _shaped(known: Json, profile: Profile) -> Json:
    return {k: known.get(k) for k in profile.result if profile.nulls or known.get(k) is not None}


def renumbered(answer: Answer, number: Callable[[int], int]) -> Answer:
    """Return `answer` with other numbers for its sources, unless they are those of the prompt."""
    if answer.numbered:
        return answer
    quotes = [replace(q, sources=tuple(map(number, q.sources))) for q in answer.quotes]
    return replace(answer, quotes=tuple(quotes))
