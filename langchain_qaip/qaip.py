"""What Qaip offers beside its chat: search, the published retriever, extraction."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import field_serializer

from langchain_qaip._connected import Translated
from langchain_qaip._messages import to_documents
from langchain_qaip._schemas import to_json_schema
from langchain_qaip._searching import SearchRetriever
from langchain_qaip._structured import StructuredOutputParser
from langchain_qaip.errors import InvalidParameterError, as_langchain
from qaip_core.backends.qaip.conversations import Conversation, StoredMessage
from qaip_core.backends.qaip.extract import EXTRACT, ExtractParams, extraction
from qaip_core.backends.qaip.filters import Filter, where
from qaip_core.backends.qaip.library import Library, Tag
from qaip_core.backends.qaip.retrieved import retrieved
from qaip_core.backends.qaip.search import SEARCH, SEARCH_AS_SENT, Pages, SearchParams
from qaip_core.operation import Operation
from qaip_core.service import Found
from qaip_core.types import Citation

__all__ = [
    "Conversation",
    "Filter",
    "QAIPRetriever",
    "QaipExtractor",
    "QaipSearchRetriever",
    "StoredMessage",
    "Tag",
    "library",
    "retrieved_documents",
    "where",
]


class QaipSearchRetriever(SearchParams, SearchRetriever):
    """Finds passages of the documents that are indexed in Qaip.

    Every filter may be given to the constructor, and to one call: `invoke("tea", file_types=
    ["pdf"])`. A Document's id is that of the passage; the service gives no scores.

    Parameters:
        k: Documents to return at most, at least 1; sent as ``limit``.
        api_key: or the environment variable QAIP_API_KEY; its scope must include knowledge:read.
        base_url: or QAIP_BASE_URL.

    The others are those of `SearchParams` (``limit``, ``offset``, ``source_group_id``) and
    `FilterParams` (``tag_names``, ``file_types``, ``source_metadata``, ...).

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.qaip.com (API reference, Search)
    """

    operation: ClassVar[Operation[Found]] = SEARCH
    count_name: ClassVar[str] = "limit"

    def search_all(self, query: str, *, most: int | None = None, **call: Any) -> Iterator[Document]:
        """Yield all Documents that the service finds, page by page.

        Each page is one request, of ``limit`` (or ``k``, else 10) passages; it is sent when it is
        needed. The service names no end: see `qaip_core.backends.qaip.search.Pages`.

        Parameters:
            query: what is looked for.
            most: Documents to yield at most, at least 1; None for all.
            call: parameters of the service, for this search.

        Raises:
            InvalidParameterError: a parameter is unknown or out of range.
            ServiceError: see `langchain_qaip.errors`.
        """
        with as_langchain():
            pages = Pages(self._first(query, call), most)
            while (values := pages.wanted) is not None:
                found = pages.new(self.fetch(self.operation, values))
                yield from self._documents(found, None, call)

    async def asearch_all(
        self, query: str, *, most: int | None = None, **call: Any
    ) -> AsyncIterator[Document]:
        """Do what `search_all` does, without blocking."""
        with as_langchain():
            pages = Pages(self._first(query, call), most)
            while (values := pages.wanted) is not None:
                found = pages.new(await self.afetch(self.operation, values))
                for document in self._documents(found, None, call):
                    yield document

    @property
    def library(self) -> Library[Document]:
        """The tags of the library, and single passages of it."""
        return library(self, self.principal_id)

    def _first(self, query: str, call: Mapping[str, Any]) -> dict[str, Any]:
        return self.asked(query, None if call.get("limit") else self.k, call)


class QAIPRetriever(QaipSearchRetriever):
    """Takes the place of the retriever of the package langchain-qaip.

    The calls of that class (``tag_ids``, ``source_types``, ``file_types``, ``date_from``,
    ``date_to``, ``domains``, ``limit``, ``offset`` for each call) give the same Documents: their
    metadata holds all that the service sends of a passage, ``id``, nulls and page 0 included, and
    what the Documents of this package have besides. What that class takes and drops works here:
    filters and ``base_url`` of the constructor, ``tags`` and all other filters of a call. What it
    leaves out, such as retries, typed errors, native async and Document.id, is there.

    Parameters: those of `QaipSearchRetriever`.

    Source: the package langchain-qaip, version 0.1.5
    """

    operation: ClassVar[Operation[Found]] = SEARCH_AS_SENT

    def asked(self, query: str, count: int | None, call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of one search, those of the call by the published names, too."""
        named = {_OF_CALLS.get(name, name): value for name, value in call.items()}
        return super().asked(query, count, named)

    def _documents(
        self,
        found: Found,
        count: int | None,
        call: Mapping[str, Any],  # noqa: ARG002 -- for subclasses
    ) -> list[Document]:
        return [_as_published(passage) for passage in found][:count]


_OF_CALLS: Mapping[str, str] = {"tags": "tag_names", "metadata": "reserved_metadata"}
"""The published class's names, which LangChain owns on objects, but not in calls."""


def _as_published(passage: Citation) -> Document:
    facts = {**passage.facts(), **passage.metadata}
    return Document(id=passage.id, page_content=passage.text or "", metadata=facts)


class QaipExtractor(ExtractParams, Translated, RunnableSerializable[Any, Any]):
    """Extracts an object of a schema from the documents that are indexed in Qaip.

    ``QaipExtractor(schema=Person).invoke("Who keeps the lighthouse?")`` reads the passages that
    the service finds, and returns a ``Person``. Like every Runnable it can be batched, piped and
    awaited. Nothing says from which passages the object was taken: the service does not.

    Parameters:
        schema: a pydantic class (v2 or v1), a TypedDict, a JSON Schema or an OpenAI function.
        api_key: or the environment variable QAIP_API_KEY; its scope must include knowledge:read.
        base_url: or QAIP_BASE_URL.

    The others are those of `ExtractParams` (``limit``, ``use_related``, ...) and `FilterParams`
    (``tag_names``, ``file_types``, ...); a call may overrule them.

    Raises:
        InvalidParameterError: there is no schema, or it is none of objects.
        OutputParserException: (from a call) the service's object breaks the class.
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.qaip.com (API reference, Extract)
    """

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        with as_langchain():
            self._described()

    @field_serializer("object_schema", when_used="json")
    def _as_json(self, schema: Any) -> dict[str, Any]:
        """Return a class as the schema that it stands for: JSON knows no classes."""
        return to_json_schema(schema)

    @property
    def _action(self) -> Operation[Any]:
        return EXTRACT

    def invoke(
        self,
        input: str | PromptValue | None = None,  # noqa: A002 -- LangChain's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return an object of the schema.

        Parameters:
            input: what to look for, a text or a prompt; None or "" for the service's own prompt.
            config: LangChain's.
            kwargs: parameters of the service, for this call.
        """
        return self._call_with_config(self._extract, input, config, **kwargs)

    async def ainvoke(
        self,
        input: str | PromptValue | None = None,  # noqa: A002 -- LangChain's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Do what `invoke` does, without blocking."""
        return await self._acall_with_config(self._aextract, input, config, **kwargs)

    def _extract(self, prompt: Any, /, **call: Any) -> Any:
        with as_langchain():
            return self._object(self.fetch(EXTRACT, self._asked(prompt, call)))

    async def _aextract(self, prompt: Any, /, **call: Any) -> Any:
        with as_langchain():
            return self._object(await self.afetch(EXTRACT, self._asked(prompt, call)))

    def _described(self) -> dict[str, Any]:
        if self.object_schema is None:
            raise InvalidParameterError("QaipExtractor needs a schema: pass schema=...")
        return to_json_schema(self.object_schema)

    def _asked(self, prompt: Any, call: Mapping[str, Any]) -> dict[str, Any]:
        text = prompt.to_string() if isinstance(prompt, PromptValue) else prompt
        if text is not None and not isinstance(text, str):
            raise InvalidParameterError(
                f"QaipExtractor takes a text or a prompt, not {type(prompt).__name__}"
            )
        return extraction(vars(self), self._described(), text, call)

    def _object(self, found: dict[str, Any]) -> Any:
        parser = StructuredOutputParser.of(self.object_schema, self._described())
        return parser.parse(json.dumps(found))


def library(owner: Translated, principal_id: str | None = None) -> Library[Document]:
    """Return the tags and passages of a library, passages as Documents.

    Parameters:
        owner: an object of one of the classes for Qaip.
        principal_id: the end user on whose behalf passages are read.
    """
    return Library(owner, lambda passage: to_documents([passage])[0], principal_id)


def retrieved_documents(message: BaseMessage) -> list[Document]:
    """Return all passages that were retrieved for an answer, cited or not, as Documents.

    Parameters:
        message: an answer of `ChatQaip` to a call with ``include_retrieved=True``.
    """
    return to_documents(retrieved(message.response_metadata))
