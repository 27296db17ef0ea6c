"""Answers of LangChain's models, chains and agents, to be looked at."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)

from langchain_qaip._reading import OF_CHAINS, Reading, text_of
from langchain_qaip.errors import InvalidParameterError
from qaip_core.rendering import CitedAnswer, notebook, showing
from qaip_core.rendering.numbering import named_by_place, named_by_search
from qaip_core.types import source_id

__all__ = ["ashow", "cited", "load_ipython_extension", "show", "unload_ipython_extension"]

_TAKEN = (
    "a message, a list of Documents, the dict of a RAG chain (answer and context, or result and "
    "source_documents), or the state of an agent (messages)"
)


def cited(answer: Any) -> CitedAnswer:
    """Return an answer with its sources in a form that shows itself.

    Parameters:
        answer: a message of a model, or the sum of its chunks; a list of Documents; the dict that
            a RAG chain returns (``answer`` and ``context``, or ``result`` and
            ``source_documents``); or the state of an agent (``messages``), whose sources are
            those of its last message, else the Documents that its tools found.

    Returns:
        What ``print``, a notebook and `rich` show with its sources; ``.markdown()`` and
        ``.html()`` write it so.

    Raises:
        InvalidParameterError: it is nothing of these.
    """
    if isinstance(answer, CitedAnswer):
        return answer
    if isinstance(answer, BaseMessage):
        return _of_message(answer)
    if isinstance(answer, Mapping):
        return _of_state(answer)
    if isinstance(answer, Sequence) and answer and all(map(_is_document, answer)):
        return CitedAnswer("", _of_documents(answer))
    if isinstance(answer, list) and not answer:
        return CitedAnswer("")
    raise _wrong("cited()", answer)


def show(answer: Any) -> Any:
    """Show an answer with its sources: in a terminal, in a notebook, or as plain text.

    Parameters:
        answer: what `cited` takes; or a stream of a model, a chain, or an agent with
            ``stream_mode="messages"``: text is shown as it grows, sources when it has ended.

    Returns:
        What the pieces of a stream add up to; None for an answer that was whole.

    Raises:
        InvalidParameterError: it is nothing of these.
        Exception: whatever ends a stream too early; what had arrived stays, marked as incomplete.
    """
    if isinstance(answer, Iterator):
        return showing.follow(answer, Reading(cited))
    showing.show(cited(answer))
    return None


async def ashow(answer: Any) -> Any:
    """Show an answer whose stream is read without blocking, such as ``chat.astream(...)``.

    All else is as with `show`.
    """
    if inspect.isawaitable(answer):
        answer = await answer
    if isinstance(answer, AsyncIterator):
        return await showing.afollow(answer, Reading(cited))
    return show(answer)


def load_ipython_extension(shell: Any) -> None:
    """Let answers that cite show themselves in a notebook: ``%load_ext langchain_qaip``."""
    notebook.register(shell, [AIMessage], cited)


def unload_ipython_extension(shell: Any) -> None:
    """Show answers as before."""
    notebook.unregister(shell, [AIMessage])


def _of_message(message: BaseMessage) -> CitedAnswer:
    text = message.response_metadata.get("replaced_text") or text_of(message)
    kept = message.additional_kwargs.get("citations")
    if isinstance(kept, list) and kept:
        if all(isinstance(citation, Mapping) and "id" in citation for citation in kept):
            return CitedAnswer(text, kept)
        if all(isinstance(citation, str) for citation in kept):
            results = message.additional_kwargs.get("search_results") or ()
            return CitedAnswer(text, named_by_place(text, _of_links(kept, results)))
    return CitedAnswer(text, [*_of_annotations(message)])


def _of_links(links: Sequence[str], results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the sources of a message of langchain-perplexity, which keeps links and results."""
    # These are models of the vendor's client until the message has been stored.
    plain = (dict(found) for found in results if found)
    known = {found.get("url"): found for found in plain}
    about = [known.get(link, {}) for link in links]
    return [
        {**facts, "url": link, "id": link, "text": facts.get("snippet")}
        for link, facts in zip(links, about, strict=True)
    ]


def _of_annotations(message: BaseMessage) -> Iterator[dict[str, Any]]:
    """Yield what a message's annotations say of the sources, each with the place that cites it.

    Where its content is several texts and an annotation has no place, the whole text cites: so
    Anthropic's do.
    """
    texts = [block for block in message.content_blocks if block["type"] == "text"]
    begin = 0
    for block in texts:
        end = begin + len(block["text"])
        for note in cast("Sequence[Any]", block.get("annotations") or ()):
            if note.get("type") != "citation":
                continue
            span = [note.get("start_index"), note.get("end_index")]
            if all(isinstance(place, int) for place in span):
                spans = [[begin + place for place in span]]
            else:
                spans = [[begin, end]] if len(texts) > 1 else []
            text = note.get("cited_text") or ""
            named = {name: note[name] for name in ("url", "title") if note.get(name)}
            same = note.get("id") or source_id(note.get("url"), text or note.get("title"), None)
            yield {**(note.get("extras") or {}), **named, "id": same, "text": text, "spans": spans}
        begin = end


def _of_state(state: Mapping[str, Any]) -> CitedAnswer:
    if isinstance(state.get("messages"), list | tuple):
        return _of_messages(state["messages"])
    for said, found in OF_CHAINS:
        if said in state:
            own = _of_message(state[said]) if isinstance(state[said], BaseMessage) else None
            if own and own.citations:
                return own
            text = text_of(state[said])
            return CitedAnswer(text, named_by_place(text, _of_documents(state.get(found))))
    raise _wrong("cited()", state)


def _of_messages(messages: Sequence[Any]) -> CitedAnswer:
    """Return the last answer of an agent, with what it found since it was asked."""
    asked = max((n for n, m in enumerate(messages) if isinstance(m, HumanMessage)), default=-1)
    latest = messages[asked + 1 :]
    answers = [message for message in latest if isinstance(message, AIMessage)]
    if not answers:
        raise InvalidParameterError(
            "the agent has not answered yet: no message of the model follows the last question"
        )
    answer = _of_message(answers[-1])
    if answer.citations:
        return answer
    searches = (_of_documents(m.artifact) for m in latest if isinstance(m, ToolMessage))
    return CitedAnswer(answer.text, named_by_search(answer.text, searches))


def _is_document(value: Any) -> bool:
    """Tell a Document; a checkpointer gives them back as plain dicts."""
    return isinstance(value, Document) or (isinstance(value, Mapping) and "page_content" in value)


def _of_documents(found: Any) -> list[dict[str, Any]]:
    """Return the Documents among what a retriever or a tool found, as citations."""
    listed = found if isinstance(found, list | tuple) else [found]
    documents = (
        document.model_dump() if isinstance(document, Document) else document
        for document in filter(_is_document, listed)
    )
    return [
        {
            **(document.get("metadata") or {}),
            "spans": (),
            "id": document.get("id") or source_id(None, document["page_content"], None),
            "text": document["page_content"],
        }
        for document in documents
    ]


def _wrong(where: str, value: Any) -> InvalidParameterError:
    if isinstance(value, Mapping):
        what = f"a dict with {', '.join(map(repr, value)) or 'nothing in it'}"
    elif isinstance(value, list) and value:
        what = f"a list of {type(value[0]).__name__}"
    else:
        what = type(value).__name__
    hint = ""
    if isinstance(value, AsyncIterator) or inspect.isawaitable(value):
        hint = ": what is async, await ashow(...) shows"
    elif isinstance(value, Iterator):
        hint = ": show(...) reads streams"
    return InvalidParameterError(f"{where} takes {_TAKEN}, not {what}{hint}")
