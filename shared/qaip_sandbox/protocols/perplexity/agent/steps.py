"""The steps of the agent that are not the client's: searches, and pages that it fetches."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from qaip_sandbox._wire import Json, compact
from qaip_sandbox.answers import Answer
from qaip_sandbox.documents import Chunk
from qaip_sandbox.index import Filter
from qaip_sandbox.protocols.perplexity.sources import facts
from qaip_sandbox.service import Library
from qaip_sandbox.text import terms

from .functions import new_id

__all__ = ["Step", "fetched", "identified", "searches", "without_urls"]

_URL = re.compile(r"https?://[^\s<>\"')\]]*[^\s<>\"')\].,;:!?]")
_COMPLETED = (1, 2, 0)  # in which order searches that begin together are done
_IDS = 10
_READ = 20_000


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the tool and its arguments, the item that it leaves, and what a stream tells.

    `ids` are the ids of the results by the ids of their chunks; `texts` what was read.
    """

    name: str
    arguments: Json
    item: Json
    told: tuple[tuple[str, Json], ...]
    ids: Mapping[str, int] = field(default_factory=dict[str, int])
    texts: tuple[str, ...] = ()
    item_id: str = field(default_factory=lambda: new_id("fc"))
    call_id: str = field(default_factory=lambda: new_id("call"))

    @property
    def called(self) -> Json:
        """The call of the tool as an item, the same whenever it is told."""
        return {
            "type": "function_call",
            "name": self.name,
            "id": self.item_id,
            "call_id": self.call_id,
            "arguments": compact(self.arguments).decode(),
            "status": "completed",
        }


def searches(
    library: Library, question: str, answer: Answer, allowed: Filter, limit: int, *, multi: bool
) -> tuple[Step, ...]:
    """Return the searches for `question` in the order in which they are done.

    Args:
        library: The documents.
        question: What is asked.
        answer: The answer; the first search has found its sources.
        allowed: Which chunks may be found.
        limit: The largest number of results of a search.
        multi: Whether there are three searches, with the ids of their results out of order.
    """
    chunks = [hit.chunk for hit in answer.hits]
    if not multi:
        return (_search(question, chunks, 1),)
    words = " ".join(term.stem for term in terms(question))
    queries = [words, *(f"{chunk.document.title} {words}" for chunk in chunks[:1])]
    found = [(question, chunks)]
    for query in (queries * 2)[:2]:
        hits = library.index.search(query, limit, allowed)
        found.append((query, [hit.chunk for hit in hits]))
    apart = max(_IDS, limit)
    return tuple(_search(*found[place], place * apart + 1) for place in _COMPLETED)


def identified(steps: Sequence[Step], answer: Answer) -> Callable[[int], int]:
    """Return which result id a source of `answer` has, by its number."""
    # The search that began first has found the sources, and its ids are the lowest.
    ids = min((step.ids for step in steps), key=lambda ids: min(ids.values(), default=0))
    return lambda number: ids[answer.hits[number - 1].chunk.id]


def fetched(library: Library, question: str, most: int) -> Step | None:
    """Return the step that fetches the documents whose addresses are in `question`, if any are."""
    urls = list(dict.fromkeys(_URL.findall(question)))[:most]
    if not urls:
        return None
    pages = [page for url in urls for page in _pages(library, url)]
    contents = [{"title": title, "url": url, "snippet": text} for title, url, text in pages]
    return Step(
        "fetch_url",
        {"urls": urls},
        {"type": "fetch_url_results", "contents": contents},
        (("fetch_url_queries", {"urls": urls}), ("fetch_url_results", {"contents": contents})),
        texts=tuple(text for _, _, text in pages),
    )


def without_urls(text: str) -> str:
    """Return `text` without the addresses in it."""
    return _URL.sub("", text).strip()


def _search(query: str, chunks: Sequence[Chunk], first: int) -> Step:
    results = [{"id": number, **facts(chunk)} for number, chunk in enumerate(chunks, first)]
    return Step(
        "search_web",
        {"queries": [query]},
        {"type": "search_results", "queries": [query], "results": results},
        (("search_queries", {"queries": [query]}), ("search_results", {"results": results})),
        {chunk.id: number for number, chunk in enumerate(chunks, first)},
    )


def _pages(library: Library, url: str) -> list[tuple[str, str, str]]:
    for document in library.documents:
        if document.url == url:
            return [(document.title, url, document.text[:_READ])]
        for chunk in document.chunks() if url.startswith(document.url) else []:
            if chunk.url == url:
                return [(document.title, url, chunk.text)]
    return []
