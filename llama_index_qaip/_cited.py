"""Answers of LlamaIndex's LLMs, engines and agents, to be looked at."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine.types import StreamingAgentChatResponse
from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.schema import MetadataMode, NodeWithScore

from llama_index_qaip._responses import (
    CitedAsyncStreamingResponse,
    CitedResponse,
    CitedStreamingResponse,
)
from llama_index_qaip.errors import InvalidParameterError
from qaip_core.rendering import CitedAnswer, notebook, showing
from qaip_core.rendering.numbering import named_by_place, named_by_search

__all__ = ["ashow", "cited", "load_ipython_extension", "show", "unload_ipython_extension"]

_TAKEN = (
    "the response of a query engine, a chat engine, an agent or an LLM, or a list of nodes with "
    "scores"
)
_SHOWN = (Response, ChatResponse, CompletionResponse)


def cited(answer: Any) -> CitedAnswer:
    """Return an answer with its sources in a form that shows itself.

    Parameters:
        answer: the response of a query engine (a streaming one is read to its end), of a chat
            engine or an agent, or of an LLM's ``chat`` or ``complete``; or a list of nodes.

    Returns:
        What ``print``, a notebook and `rich` show with its sources; ``.markdown()`` and
        ``.html()`` write it so.

    Raises:
        InvalidParameterError: it is nothing of these.
        ServiceError: a stream broke off.
    """
    if isinstance(answer, CitedAnswer):
        return answer
    if isinstance(answer, StreamingResponse):
        answer = answer.get_response()
    if isinstance(answer, ChatResponse):
        return CitedAnswer(answer.message.content or "", _kept(answer) or ())
    if isinstance(answer, CompletionResponse):
        return CitedAnswer(answer.text, _kept(answer) or ())
    unread = isinstance(answer, AsyncStreamingResponse) and answer.response_txt is None
    if unread or _is_async_chat(answer):
        raise _wrong(answer)
    if hasattr(answer, "source_nodes"):
        return _of_response(answer)
    if isinstance(getattr(answer, "response", None), ChatMessage):
        return _of_agent(answer)
    if isinstance(answer, list) and all(isinstance(node, NodeWithScore) for node in answer):
        return CitedAnswer("", [*map(_of_node, answer)])
    raise _wrong(answer)


def show(answer: Any) -> Any:
    """Show an answer with its sources: in a terminal, in a notebook, or as plain text.

    Parameters:
        answer: what `cited` takes, or a stream of an LLM, such as ``llm.stream_chat(...)``: the
            text of what streams is shown as it grows, its sources when it has ended.

    Returns:
        The whole answer of a stream; None for an answer that was whole.

    Raises:
        InvalidParameterError: it is nothing of these.
        Exception: whatever ends a stream too early; what had arrived stays, marked as incomplete.
    """
    streams = isinstance(answer, StreamingResponse | StreamingAgentChatResponse)
    if streams and not _is_async_chat(answer):
        return showing.follow(iter(answer.response_gen), _Tokens(answer))
    if isinstance(answer, Iterator):
        return showing.follow(answer, _Reading())
    showing.show(cited(answer))
    return None


async def ashow(answer: Any) -> Any:
    """Show an answer whose stream is read without blocking, such as ``llm.astream_chat(...)``.

    All else is as with `show`.
    """
    if inspect.isawaitable(answer):
        answer = await answer
    if isinstance(answer, AsyncStreamingResponse) or _is_async_chat(answer):
        return await showing.afollow(answer.async_response_gen(), _Tokens(answer))
    if isinstance(answer, AsyncIterator):
        return await showing.afollow(answer, _Reading())
    return show(answer)


def load_ipython_extension(shell: Any) -> None:
    """Let answers that cite show themselves in a notebook: ``%load_ext llama_index_qaip``."""
    notebook.register(shell, _SHOWN, cited)


def unload_ipython_extension(shell: Any) -> None:
    """Show answers as before."""
    notebook.unregister(shell, _SHOWN)


class _Reading:
    """The responses of a stream: each holds all before it."""

    def __init__(self) -> None:
        self._last: ChatResponse | CompletionResponse | None = None
        self._text = ""

    def add(self, piece: Any) -> str:
        before, self._text, self._last = self._text, self._said(piece), piece
        delta = piece.delta or ""
        # To compare all of the text each time would cost more the longer it is.
        if delta and len(self._text) == len(before) + len(delta):
            return str(delta)
        if self._text.startswith(before):
            return self._text[len(before) :]
        return showing.Replaced(self._text)

    def _said(self, piece: Any) -> str:
        if isinstance(piece, ChatResponse):
            return piece.message.content or ""
        if isinstance(piece, CompletionResponse):
            return piece.text
        hint = ": give it the response itself, not its response_gen" * isinstance(piece, str)
        raise InvalidParameterError(
            "show() takes streams of chat or completion responses, not of "
            f"{type(piece).__name__}{hint}"
        )

    def whole(self) -> ChatResponse | CompletionResponse | None:
        return self._last

    def cited(self) -> CitedAnswer:
        return CitedAnswer("") if self._last is None else cited(self._last)


class _Tokens:
    """The text of an engine's response, piece by piece.

    Parameters:
        response: its sources are there when the text has ended.
    """

    def __init__(self, response: Any) -> None:
        self._response = response
        self._texts: list[str] = []

    def add(self, piece: str) -> str:
        self._texts.append(piece)
        return piece

    def whole(self) -> Response:
        response, text = self._response, "".join(self._texts)
        if isinstance(response, CitedStreamingResponse):
            return response.get_response()
        if isinstance(response, CitedAsyncStreamingResponse):
            text = response.response_txt or text
            return CitedResponse(text, response.source_nodes, response.metadata)
        # A chat engine copies the sources before an answer that streams has begun.
        tools = [tool.raw_output for tool in getattr(response, "sources", ())]
        found = [node for raw in tools for node in getattr(raw, "source_nodes", ())]
        metadata = getattr(response, "metadata", None)
        return Response(text, response.source_nodes or found, metadata)

    def cited(self) -> CitedAnswer:
        return cited(self.whole())


def _is_async_chat(answer: Any) -> bool:
    return isinstance(answer, StreamingAgentChatResponse) and answer.achat_stream is not None


def _kept(answer: Any) -> list[Mapping[str, Any]] | None:
    """Return the citations that an answer of this package keeps; None for another one's."""
    kept = getattr(answer, "additional_kwargs", None) or getattr(answer, "metadata", None) or {}
    found = kept.get("citations")
    ours = isinstance(found, list) and all(isinstance(c, Mapping) and "id" in c for c in found)
    return found if ours else None


def _of_response(response: Any) -> CitedAnswer:
    text = str(response)
    citations = _kept(response)
    if citations is not None:
        return CitedAnswer(text, citations)
    return CitedAnswer(text, named_by_place(text, [*map(_of_node, response.source_nodes)]))


def _of_agent(output: Any) -> CitedAnswer:
    """Return an agent's answer with the sources that its tools found."""
    text = output.response.content or ""
    outputs = [getattr(call, "tool_output", None) for call in getattr(output, "tool_calls", ())]
    raws = (getattr(output, "raw_output", None) for output in outputs)
    return CitedAnswer(text, named_by_search(text, map(_of_tool, raws)))


def _of_tool(raw: Any) -> list[Mapping[str, Any]]:
    return _kept(raw) or [*map(_of_node, getattr(raw, "source_nodes", ()))]


def _of_node(scored: NodeWithScore) -> dict[str, Any]:
    text = scored.node.get_content(MetadataMode.NONE)
    return {**scored.node.metadata, "spans": (), "id": scored.node_id, "text": text}


def _wrong(value: Any) -> InvalidParameterError:
    hint = ""
    streams = isinstance(value, AsyncIterator | AsyncStreamingResponse) or _is_async_chat(value)
    if streams or inspect.isawaitable(value):
        hint = ": what is async, await ashow(...) shows"
    elif isinstance(value, Iterator):
        hint = ": show(...) reads streams"
    elif isinstance(value, ChatMessage):
        hint = ": the sources are in the response that holds it"
    what = type(value).__name__
    if isinstance(value, list) and value:
        what = f"a list of {type(value[0]).__name__}"
    return InvalidParameterError(f"cited() takes {_TAKEN}, not {what}{hint}")
