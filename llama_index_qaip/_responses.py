"""LlamaIndex's responses, whose sources are listed as the answer counts them."""

from __future__ import annotations

from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.schema import MetadataMode, NodeWithScore
from llama_index.core.utils import truncate_text

__all__ = ["CitedAsyncStreamingResponse", "CitedResponse", "CitedStreamingResponse"]


class _Listed:
    """Sources by their number, title and link: LlamaIndex shows an id that means nothing."""

    source_nodes: list[NodeWithScore]

    def get_formatted_sources(self, length: int = 100, trim_text: int = True) -> str:
        """Return the sources as text, one below the other; ``[n]`` is that of the answer.

        Parameters:
            length: characters of each passage, at least 1.
            trim_text: whether passages are cut to that length.
        """
        lines = []
        for number, scored in enumerate(self.source_nodes, start=1):
            about, passage = scored.node.metadata, scored.node.get_content(MetadataMode.NONE)
            page = f", p. {about['page_number']}" if "page_number" in about else ""
            name = about.get("title") or about.get("url") or scored.node_id
            link = f" ({url})" if (url := about.get("url", name)) != name else ""
            excerpt = truncate_text(" ".join(passage.split()), length) if trim_text else passage
            lines.append(f"[{number}] {name}{page}{link}{excerpt and ': '}{excerpt}")
        return "\n".join(lines)


class CitedResponse(_Listed, Response):
    """An answer with its sources."""


class CitedStreamingResponse(_Listed, StreamingResponse):
    """An answer that grows; its sources are there when it has been read to its end."""

    def get_response(self) -> Response:
        """Return the whole answer."""
        read = super().get_response()
        return CitedResponse(read.response, read.source_nodes, read.metadata)


class CitedAsyncStreamingResponse(_Listed, AsyncStreamingResponse):
    """An answer that grows, read without blocking; see `CitedStreamingResponse`."""

    async def get_response(self) -> Response:
        """Return the whole answer."""
        read = await super().get_response()
        return CitedResponse(read.response, read.source_nodes, read.metadata)
