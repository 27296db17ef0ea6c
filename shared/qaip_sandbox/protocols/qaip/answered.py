"""An answer of Qaip, before it takes any of its forms."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from qaip_sandbox._wire import Json
from qaip_sandbox.answers import Answer
from qaip_sandbox.documents import Chunk

from .filters import file_type
from .request import Completion, LaterCompletion
from .switches import QaipSwitches
from .turns import Turn

__all__ = ["Answered", "content"]

_FOUR = ("url", "text", "file_type", "page_number")
_SPARE = frozenset(["file_type", "source_type", "keywords", "source_id"])


def content(chunk: Chunk, switches: QaipSwitches) -> Json:
    """Return a chunk as a citation or as a result of a search."""
    found = {
        "id": chunk.id,
        "text": chunk.text,
        "url": chunk.url,
        "title": chunk.document.title,
        "timestamp": chunk.document.modified,
        "file_type": file_type(chunk),
        "page_number": chunk.page_number,
        "source_type": "local_file",
        "keywords": [chunk.heading] if chunk.heading else [],
        "source_id": chunk.document.id,
    }
    return {k: v for k, v in found.items() if not (switches.sparse and k in _SPARE)}


@dataclass(slots=True)
class Answered:
    """The texts of an answer, in pieces, with all that comes with them."""

    request: Completion
    switches: QaipSwitches
    turn: Turn
    texts: Sequence[Sequence[str]]
    found: Answer
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def later(self) -> bool:
        """Whether it has what was added after the seed."""
        return self.switches.profile == "later"

    @property
    def chunks(self) -> list[Json]:
        """What the answer was taken from."""
        all_fields = [content(hit.chunk, self.switches) for hit in self.found.hits]
        if self.later:
            return all_fields
        return [{k: chunk[k] for k in _FOUR if k in chunk} for chunk in all_fields]

    @property
    def citations(self) -> list[Json] | None:
        """The citations, None where they are not wanted."""
        return self.chunks if self.request.citation else None

    @property
    def retrieved(self) -> list[Json] | None:
        """The chunks that were retrieved, None where they are not wanted."""
        request = self.request
        wanted = isinstance(request, LaterCompletion) and request.include_retrieved
        return self.chunks if wanted else None

    @property
    def grounding(self) -> Json:
        """The sources from the web, where there are any."""
        request = self.request
        wanted = isinstance(request, LaterCompletion) and request.grounding
        if not (wanted and self.switches.grounding and self.found.hits):
            return {}
        question = request.messages[-1].content
        sources = {hit.chunk.document.url: hit.chunk.document.title for hit in self.found.hits}
        return {
            "web_citations": [{"title": title, "url": url} for url, title in sources.items()],
            "web_search_queries": [question],
            "search_suggestion": '<div class="container">Search suggestions</div>',
        }

    def whole(self) -> Json:
        """Return the answer as one object."""
        choices = [self._choice(index, "".join(text)) for index, text in enumerate(self.texts)]
        return {"created": self.created, "choices": choices, **self._extras()}

    def _choice(self, index: int, text: str) -> Json:
        cited = {} if self.citations is None else {"citations": self.citations}
        return {
            "index": index,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
            **cited,
            **self.grounding,
        }

    def _extras(self) -> Json:
        if not self.later:
            return {}
        return {**self.turn.ids(), "retrieved": self.retrieved, "redacted_input": None}
