"""What the items of a run of Perplexity's agent say: text, calls, sources, tools that were used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import Any, ClassVar

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backend import Wire
from qaip_core.backends.perplexity._service import Result
from qaip_core.backends.perplexity.agent_tools import RESERVED
from qaip_core.reading import Notes, Reader, finite, ranked
from qaip_core.types import UNMARKED, Citation, ServerTool, Span, ToolCall, source_id

__all__ = ["Output"]


class _Note(TypedDict, total=False):
    """A place of the text that rests on a source; none was ever seen in an answer."""

    type: str | None
    url: str | None
    title: str | None
    start_index: int | None
    end_index: int | None


class _Part(TypedDict, total=False):
    type: str | None
    text: str | None
    annotations: list[_Note | None] | None


class _Message(TypedDict, total=False):
    content: list[_Part] | None


class _Called(TypedDict, total=False):
    name: str | None
    arguments: str | None
    call_id: str | None
    id: str | None
    thought_signature: str | None


class _Found(Result):
    id: int | None = None


class _Search(Wire):
    queries: list[str | None] | None = None
    results: list[_Found | None] | None = None


class _Page(Wire):
    url: str | None = None
    title: str | None = None
    snippet: str | None = None


class _Pages(Wire):
    contents: list[_Page | None] | None = None


_MESSAGE: Reader[_Message] = Reader(
    _Message, ("", "content", "content.*", "content.*.type", "content.*.text")
)
_CALLED: Reader[_Called] = Reader(_Called, ("", "name", "arguments", "call_id"))
_SEARCH: Reader[_Search] = Reader(_Search)
_PAGES: Reader[_Pages] = Reader(_Pages)


_PREFIXES = ("sandbox_", "mcp_")
"""How the types of the items begin that two of the service's tools leave."""


@dataclass
class Output:
    """The items of one run, added up in their order.

    Parameters:
        run_id: the id of the run.
        notes: takes the paths of what cannot be read.
    """

    run_id: str
    notes: Notes
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    tools: dict[int, ServerTool] = field(default_factory=dict)
    _found: list[Citation] = field(default_factory=list)
    _marked: list[_Note] = field(default_factory=list)

    def add(self, index: int, item: Mapping[str, Any] | None) -> None:
        """Take an item; those of unknown types, and what says nothing, are left out.

        Parameters:
            index: its place among the items.
            item: as it is on the wire.

        Raises:
            MalformedResponseError: it is of another shape where it carries the answer.
        """
        if item is None:
            return
        kind = item.get("type")
        if not isinstance(kind, str):
            self.notes[f"output.{index}.type"] = None
        elif read := self._READERS.get(kind):
            read(self, index, item)
        elif kind.startswith(_PREFIXES):
            self._use(index, kind.partition("_")[0], {}, _without(item, "type"))

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The sources, in the order of the items, with the places that the service names."""
        known = [replaced(c, rank=n) for n, c in enumerate(self._found, start=1)]
        places: dict[str | None, int] = {}
        for place, citation in enumerate(known):
            places.setdefault(citation.url, place)
        spans: dict[int, list[Span]] = {}
        for note in self._marked:
            url, start, end = note.get("url"), note.get("start_index"), note.get("end_index")
            if not url or note.get("type") != "url_citation":
                continue
            place = places.setdefault(url, len(known))
            if place == len(known):
                title = note.get("title")
                own = source_id(url, None, None)
                known.append(Citation(own, url, title=title, rank=place + 1, marker=UNMARKED))
            if start is not None and end is not None and 0 <= start < end <= len(self.text):
                spans.setdefault(place, []).append(Span(start, end))
        return tuple(
            replaced(citation, spans=tuple(spans[place])) if place in spans else citation
            for place, citation in enumerate(known)
        )

    def _message(self, index: int, item: Mapping[str, Any]) -> None:
        read = _MESSAGE.body(item, self.notes, f"output.{index}.")
        for part in read.get("content") or ():
            if part.get("type") in ("output_text", None):
                before = len(self.text)
                self.text += part.get("text") or ""
                self._marked += [_moved(n, before) for n in part.get("annotations") or () if n]

    def _call(self, index: int, item: Mapping[str, Any]) -> None:
        read = _CALLED.body(item, self.notes, f"output.{index}.")
        name = read.get("name") or ""
        if name in RESERVED:  # a tool of the service, as it stands while that works
            return
        self.calls.append(
            ToolCall(
                name,
                read.get("arguments") or "",
                read.get("call_id") or read.get("id"),
                len(self.calls),
                read.get("thought_signature"),
            )
        )

    def _search(self, index: int, item: Mapping[str, Any]) -> None:
        at = f"output.{index}."
        read = _SEARCH.body(item, self.notes, at)
        for _, result in ranked(read.results, self.notes, f"{at}results"):
            marker = UNMARKED if result.id is None else result.id
            found = result.citation(len(self._found) + 1)
            self._found.append(replaced(found, marker=marker))
        queries = [query for query in read.queries or () if query]
        name = "people_search" if item["type"] == "people_search_results" else "web_search"
        self._use(index, name, {"queries": queries} if queries else {}, item.get("results"))

    def _fetched(self, index: int, item: Mapping[str, Any]) -> None:
        at = f"output.{index}."
        read = _PAGES.body(item, self.notes, at)
        urls = []
        for _, page in ranked(read.contents, self.notes, f"{at}contents"):
            url = page.url or None
            urls += [url] if url else []
            own = source_id(url, page.snippet, None)
            self._found.append(
                Citation(own, url, title=page.title, text=page.snippet, marker=UNMARKED)
            )
        self._use(index, "fetch_url", {"urls": urls}, item.get("contents"))

    def _images(self, index: int, item: Mapping[str, Any]) -> None:
        asked = {k: v for k, v in item.items() if k == "queries" and v}
        self._use(index, "image_search", asked, item.get("results"))

    def _finance(self, index: int, item: Mapping[str, Any]) -> None:
        self._use(index, "finance_search", {}, _without(item, "type"))

    def _use(self, index: int, name: str, arguments: dict[str, Any], output: Any) -> None:
        tool_id = f"{self.run_id}_{index}"
        self.tools[index] = ServerTool(tool_id, name, arguments, finite(output))

    _READERS: ClassVar[Mapping[str, Callable[..., None]]] = {
        "message": _message,
        "function_call": _call,
        "search_results": _search,
        "people_search_results": _search,
        "fetch_url_results": _fetched,
        "image_search_results": _images,
        "finance_results": _finance,
    }


def _without(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in item.items() if k != name}


def _moved(note: _Note, by: int) -> _Note:
    """Return a note on a part of the text as one on all of it."""
    start, end = note.get("start_index"), note.get("end_index")
    return {
        **note,
        "start_index": None if start is None else start + by,
        "end_index": None if end is None else end + by,
    }
