"""What Qaip offers beside its answers: search, and extraction."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import reduce
from operator import and_, or_
from typing import Any, ClassVar

from llama_index.core.llms import ChatResponse, CompletionResponse
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.types import BasePydanticProgram
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from pydantic import BaseModel, ConfigDict, PydanticUserError, ValidationError, field_serializer

from llama_index_qaip._searching import SearchRetriever
from llama_index_qaip._sources import as_nodes
from llama_index_qaip.errors import InvalidOutputError, InvalidParameterError
from qaip_core.backend import faults
from qaip_core.backends.qaip.conversations import Conversation, StoredMessage
from qaip_core.backends.qaip.extract import EXTRACT, ExtractParams, extraction
from qaip_core.backends.qaip.filters import Filter, where
from qaip_core.backends.qaip.library import Library, Tag
from qaip_core.backends.qaip.retrieved import retrieved
from qaip_core.backends.qaip.search import SEARCH, Pages, SearchParams
from qaip_core.operation import Operation
from qaip_core.service import Connected, Found
from qaip_core.types import Citation

__all__ = [
    "Conversation",
    "Filter",
    "QaipExtractor",
    "QaipSearchRetriever",
    "StoredMessage",
    "Tag",
    "library",
    "retrieved_nodes",
    "to_filter",
    "where",
]


class QaipSearchRetriever(SearchParams, SearchRetriever):
    """Finds passages of the documents that are indexed in Qaip.

    A node's id is that of the passage; the service gives no scores. LlamaIndex's `retrieve` takes
    no filters of one call: `search_all` does.

    Parameters:
        similarity_top_k: nodes to return at most, at least 1; sent as ``limit``.
        api_key: the key; read from ``QAIP_API_KEY`` where it is not given. Its scope must include
            knowledge:read.
        base_url: where the service is; ``QAIP_BASE_URL``, else the vendor's address.

    The others are those of `SearchParams` (``limit``, ``offset``, ``source_group_id``) and
    `FilterParams` (``tag_names``, ``file_types``, ``source_metadata``, ...).

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.

    Source: https://docs.qaip.com (API reference, Search)
    """

    operation: ClassVar[Operation[Found]] = SEARCH
    count_name: ClassVar[str] = "limit"

    def search_all(
        self, query: str, *, most: int | None = None, **call: Any
    ) -> Iterator[NodeWithScore]:
        """Yield all nodes that the service finds, page by page.

        Each page is one request, of ``limit`` (or ``similarity_top_k``, else 10) passages; it is
        sent when it is needed. The service names no end: see
        `qaip_core.backends.qaip.search.Pages`.

        Parameters:
            query: what is looked for.
            most: nodes to yield at most, at least 1; None for all.
            call: parameters of the service, for this search.

        Raises:
            InvalidParameterError: a parameter is unknown or out of range.
            ServiceError: see `llama_index_qaip.errors`.
        """
        pages = Pages(self._first(query, call), most)
        while (values := pages.wanted) is not None:
            found = pages.new(self.fetch(self.operation, values))
            yield from as_nodes(passage.as_dict() for passage in found)

    async def asearch_all(
        self, query: str, *, most: int | None = None, **call: Any
    ) -> AsyncIterator[NodeWithScore]:
        """Do what `search_all` does, without blocking."""
        pages = Pages(self._first(query, call), most)
        while (values := pages.wanted) is not None:
            found = pages.new(await self.afetch(self.operation, values))
            for node in as_nodes(passage.as_dict() for passage in found):
                yield node

    @property
    def library(self) -> Library[TextNode]:
        """The tags of the library, and single passages of it."""
        return library(self, self.principal_id)

    def _first(self, query: str, call: Mapping[str, Any]) -> dict[str, Any]:
        return self.asked(query, None if call.get("limit") else self.similarity_top_k, call)


class QaipExtractor(ExtractParams, Connected, BasePydanticProgram[Any]):
    """Extracts an object of a class from the documents that are indexed in Qaip.

    ``QaipExtractor(output_cls=Person)("Who keeps the lighthouse?")`` reads the passages that the
    service finds, and returns a ``Person``. Nothing says from which passages it was taken: the
    service does not.

    Parameters:
        output_cls: the class, a pydantic model.
        api_key: the key; read from ``QAIP_API_KEY`` where it is not given. Its scope must include
            knowledge:read.
        base_url: where the service is; ``QAIP_BASE_URL``, else the vendor's address.

    The others are those of `ExtractParams` (``limit``, ``use_related``, ...) and `FilterParams`
    (``tag_names``, ``file_types``, ...); a call may overrule them.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.

    Source: https://docs.qaip.com (API reference, Extract)
    """

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=True,
    )

    def __init__(self, **data: Any) -> None:
        if "output_cls" in data:
            data["object_schema"] = data.pop("output_cls")
        super().__init__(**data)
        self._schema()

    @field_serializer("object_schema", when_used="json")
    def _as_json(self, _class: Any) -> dict[str, Any]:
        """Return the class as the schema that it stands for: JSON knows no classes."""
        return self._schema()

    @property
    def _action(self) -> Operation[Any]:
        return EXTRACT

    @property
    def output_cls(self) -> type[BaseModel]:
        """The class of the objects."""
        found: type[BaseModel] = self.object_schema
        return found

    def __call__(self, prompt: str | None = None, **call: Any) -> BaseModel:
        """Return an object of the class.

        Parameters:
            prompt: what to look for; None for the service's own prompt.
            call: parameters of the service, for this call.

        Raises:
            InvalidOutputError: the service's object breaks the class.
            ServiceError: see `llama_index_qaip.errors`.
        """
        return self._object(self.fetch(EXTRACT, self._asked(prompt, call)))

    async def acall(self, prompt: str | None = None, **call: Any) -> BaseModel:
        """Do what a call does, without blocking."""
        return self._object(await self.afetch(EXTRACT, self._asked(prompt, call)))

    def _schema(self) -> dict[str, Any]:
        try:
            return self.output_cls.model_json_schema()
        except (AttributeError, PydanticUserError) as error:
            raise InvalidParameterError(
                f"QaipExtractor needs output_cls, a pydantic class of objects, not "
                f"{self.object_schema!r:.100}"
            ) from error

    def _asked(self, prompt: str | None, call: Mapping[str, Any]) -> dict[str, Any]:
        return extraction(vars(self), self._schema(), prompt, call)

    def _object(self, found: dict[str, Any]) -> BaseModel:
        try:
            return self.output_cls.model_validate_json(json.dumps(found))
        except ValidationError as error:
            raise InvalidOutputError(
                f"the service's object is no {self.output_cls.__name__}: {faults(error)}",
                body=found,
            ) from error


_OPERATORS: Mapping[FilterOperator, str] = {
    FilterOperator.EQ: "__eq__",
    FilterOperator.NE: "__ne__",
    FilterOperator.GT: "__gt__",
    FilterOperator.GTE: "__ge__",
    FilterOperator.LT: "__lt__",
    FilterOperator.LTE: "__le__",
}


def to_filter(filters: MetadataFilters) -> Filter:
    """Return LlamaIndex's metadata filters as conditions of Qaip.

    The type of a key is that of its value: str, int or float.

    Parameters:
        filters: comparisons, ``IN``, ``NIN`` and ``CONTAINS`` (the last for ``metadata_filter``
            only), joined by AND or OR, and groups of them.

    Raises:
        InvalidParameterError: Qaip has no such condition, or there is none at all.
    """
    parts = [
        to_filter(part) if isinstance(part, MetadataFilters) else _condition(part)
        for part in filters.filters
    ]
    return _joined(parts, filters.condition)


def _condition(part: MetadataFilter) -> Filter:
    value: Any = part.value
    if part.operator is FilterOperator.CONTAINS:
        kind: Any = list[int] if isinstance(value, int) else list[str]
        return where(part.key, kind).contains(value)
    if part.operator in (FilterOperator.IN, FilterOperator.NIN) and isinstance(value, list):
        is_in = part.operator is FilterOperator.IN
        one = FilterOperator.EQ if is_in else FilterOperator.NE
        parts = [_compared(part.key, one, item) for item in value]
        return _joined(parts, FilterCondition.OR if is_in else FilterCondition.AND)
    return _compared(part.key, part.operator, value)


def _compared(key: str, operator: FilterOperator, value: Any) -> Filter:
    name = _OPERATORS.get(operator)
    if name is None or not isinstance(value, str | int | float):
        raise InvalidParameterError(
            f"Qaip has no condition {operator.value!r} with {value!r:.60} (key {key!r})"
        )
    found: Filter = getattr(where(key, type(value)), name)(value)
    return found


def _joined(parts: list[Filter], condition: FilterCondition | None) -> Filter:
    if not parts or condition not in (None, FilterCondition.AND, FilterCondition.OR):
        raise InvalidParameterError(
            "Qaip joins conditions, at least one, with AND or OR: there is no NOT"
        )
    return reduce(or_ if condition is FilterCondition.OR else and_, parts)


def library(owner: Connected, principal_id: str | None = None) -> Library[TextNode]:
    """Return the tags and passages of a library, passages as nodes.

    Parameters:
        owner: an object of one of the classes for Qaip.
        principal_id: the end user on whose behalf passages are read.
    """
    return Library(owner, _node, principal_id)


def _node(passage: Citation) -> TextNode:
    node: Any = as_nodes([passage.as_dict()])[0].node
    found: TextNode = node
    return found


def retrieved_nodes(response: ChatResponse | CompletionResponse) -> list[NodeWithScore]:
    """Return all passages that were retrieved for an answer, cited or not, as nodes.

    Parameters:
        response: an answer of `Qaip` to a call with ``include_retrieved=True``.
    """
    found = retrieved(response.additional_kwargs)
    return as_nodes(passage.as_dict() for passage in found)
