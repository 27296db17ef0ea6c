"""LlamaIndex's responses: sources as the answer counts them, and reading that ends well."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.llms import ChatResponse
from llama_index.core.schema import MetadataMode, NodeWithScore
from llama_index.core.utils import truncate_text

from llama_index_qaip._answers import is_whole
from llama_index_qaip._sources import as_nodes
from llama_index_qaip.errors import IncompleteStreamError

__all__ = ["CitedAsyncStreamingResponse", "CitedResponse", "CitedStreamingResponse"]


class _Listed:
    """Sources by their number, title and link: LlamaIndex shows an id that means nothing."""

    source_nodes: list[NodeWithScore]

    def get_formatted_sources(self, length: int = 100, trim_text: int = True) -> str:
        """Return the sources as text, one below the other; ``[n]`` is that of the answer.

        Parameters:
            length: characters of each passage, at least 4 (the last three are dots).
            trim_text: whether passages are cut to that length.

        Returns:
            A line for each source: number, title, page, link, passage. Empty without sources.
        """
        lines = []
        for place, scored in enumerate(self.source_nodes, start=1):
            about, passage = scored.node.metadata, scored.node.get_content(MetadataMode.NONE)
            page = f", p. {about['page_number']}" if "page_number" in about else ""
            name = about.get("title") or about.get("url") or scored.node_id
            link = f" ({url})" if (url := about.get("url", name)) != name else ""
            excerpt = truncate_text(" ".join(passage.split()), length) if trim_text else passage
            number = about.get("marker", about.get("rank", place))
            lines.append(f"[{number}] {name}{page}{link}{excerpt and ': '}{excerpt}")
        return "\n".join(lines)


class _Read:
    """An answer as far as it has been read; nodes and metadata are in the user's hands."""

    def __init__(self) -> None:
        self.text = ""
        self.nodes: list[NodeWithScore] = []
        # Never empty: LlamaIndex's router would put an empty one of its own in its place.
        self.metadata: dict[str, Any] = {"citations": []}
        self.ended = False
        self._error: Exception | None = IncompleteStreamError("the answer was not read to its end")

    def add(self, answer: ChatResponse) -> str:
        """Take what an answer says, and return its new text.

        In a stream the last one says all: also the text, parts of which may have been withdrawn.
        """
        if is_whole(answer):
            self.text = answer.message.content or ""
            self.metadata.update(answer.additional_kwargs)
            self.nodes.extend(as_nodes(self.metadata["citations"]))
        return answer.delta or ""

    def tokens(self, answers: Generator[ChatResponse, None, None]) -> Generator[str, None, None]:
        """Yield the text of a stream."""
        try:
            with closing(answers):
                for answer in answers:
                    if delta := self.add(answer):
                        yield delta
            self._error = None
        except Exception as error:
            self._error = error
            raise
        finally:
            self.ended = True

    def end(self, error: Exception | None = None) -> None:
        """Take the end of a stream, or what ended it."""
        self._error, self.ended = error, True

    def whole(self) -> CitedResponse:
        """Return the answer, which has been read.

        Raises:
            ServiceError: what ended its stream too early; the reader himself may have left it.
        """
        if self._error is not None:
            raise self._error
        return CitedResponse(self.text, self.nodes, self.metadata)


class _Tokens(AsyncGenerator[str, None]):
    """The text of a stream, piece by piece.

    No generator function, for the reason that `GrowingAsync` gives.
    """

    def __init__(self, read: _Read, answers: AsyncGenerator[ChatResponse, None]) -> None:
        self._read, self._answers = read, answers

    async def __anext__(self) -> str:
        try:
            while not (delta := self._read.add(await anext(self._answers))):
                pass
        except StopAsyncIteration:
            if not self._read.ended:
                self._read.end()
            raise
        except Exception as error:
            self._read.end(error)
            raise
        return delta

    async def asend(self, value: None) -> str:  # noqa: ARG002 -- nothing can be told to a stream
        return await anext(self)

    async def athrow(self, *error: Any) -> str:
        self._read.ended = True
        await self._answers.aclose()
        raise error[0]


class CitedResponse(_Listed, Response):
    """An answer with its sources."""

    @classmethod
    def of(cls, answer: ChatResponse) -> CitedResponse:
        """Return a whole answer of an LLM."""
        read = _Read()
        read.add(answer)
        return cls(read.text, read.nodes, read.metadata)


class _Streamed(_Listed):
    """What both growing answers have in common."""

    _read: _Read
    response_txt: str | None

    def _told(self) -> CitedResponse:
        """Return the answer, which has been read, and let LlamaIndex's methods know it."""
        whole = self._read.whole()
        self.response_txt = whole.response
        return whole


class CitedStreamingResponse(_Streamed, StreamingResponse):
    """An answer that grows; its sources are there when it has been read to its end."""

    def __init__(self, answers: Generator[ChatResponse, None, None]) -> None:
        self._read = _Read()
        super().__init__(self._read.tokens(answers), self._read.nodes, self._read.metadata)

    def __str__(self) -> str:
        return str(self.get_response())

    def get_response(self) -> Response:
        """Return the whole answer, however much of it was read before.

        Raises:
            ServiceError: the stream broke off, now or earlier.
        """
        for _ in self.response_gen:
            pass
        return self._told()

    def print_response_stream(self) -> None:
        """Print the answer as it grows; all at once if it has been read.

        Raises:
            ServiceError: the stream broke off, now or earlier.
        """
        if self._read.ended:
            self._told()
        super().print_response_stream()


class CitedAsyncStreamingResponse(_Streamed, AsyncStreamingResponse):
    """An answer that grows, read without blocking; see `CitedStreamingResponse`.

    One reader at a time: a second one waits until the first has ended, or has left.
    """

    def __init__(self, answers: AsyncGenerator[ChatResponse, None]) -> None:
        self._read = _Read()
        super().__init__(_Tokens(self._read, answers), self._read.nodes, self._read.metadata)

    async def _yield_response(self) -> AsyncGenerator[str, None]:
        """Yield the text; what LlamaIndex's methods read by, all of them."""
        async with self._lock:
            if self._read.ended:
                yield self._told().response or ""
                return
            async with aclosing(self.response_gen) as tokens:
                async for text in tokens:
                    yield text
            self._told()

    async def get_response(self) -> Response:
        """Return the whole answer, however much of it was read before.

        Raises:
            ServiceError: the stream broke off, now or earlier, or was left.
        """
        async with self._lock:
            async for _ in self.response_gen:
                pass
        return self._told()
