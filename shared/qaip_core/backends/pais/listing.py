"""What a site of VMware Private AI Services holds: models, agents, knowledge bases.

Lists come a page at a time. Vendor page:
https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import Field

from qaip_core.backend import Params, T, Wire
from qaip_core.backends.pais._service import PAIS, control_base
from qaip_core.operation import Operation
from qaip_core.reading import Count, Reader, finite
from qaip_core.types import ModelInfo

__all__ = [
    "ACTIVE_INDEXING",
    "AGENTS",
    "DATA_SOURCES",
    "DOCUMENTS",
    "INDEXES",
    "INDEXINGS",
    "KNOWLEDGE_BASES",
    "MODELS",
    "ListParams",
    "Page",
    "Reaches",
    "Resource",
    "all_of",
    "all_of_async",
    "of_type",
]

_MOST = 100
"""Entries of one page; the service's own number is not documented."""


@dataclass(frozen=True, slots=True)
class Resource:
    """An agent, a knowledge base, an index, a document, or an indexing.

    Parameters:
        id: what it is called in requests.
        name: what people call it; of a document, its file.
        description: in words, where there is one.
        status: how it stands, as the service writes it.
        metadata: everything else that the service says of it, by its names.
    """

    id: str
    name: str | None = None
    description: str | None = None
    status: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Parameters:
        entries: those of this page.
        last_id: the id after which the next page begins; None where there is nothing.
        has_more: whether there is one.
    """

    entries: Sequence[Resource]
    last_id: str | None = None
    has_more: bool = False


class ListParams(Params):
    """Which part of a list is wanted.

    Parameters:
        after: the id after which it begins.
        limit: how many entries at most, at least 1.
        order: "asc" or "desc".
        name: only those of this name.
    """

    after: str | None = None
    limit: int | None = Field(default=None, ge=1)
    order: Literal["asc", "desc"] | None = None
    name: str | None = None


class _BaseParams(ListParams):
    knowledge_base_id: str | None = None


class _IndexParams(_BaseParams):
    index_id: str | None = None


class _Entry(Wire, extra="allow"):
    id: str | None = None
    name: str | None = None
    origin_name: str | None = None
    description: str | None = None
    status: str | None = None
    state: str | None = None

    def resource(self) -> Resource | None:
        """Return what it says; None without an id, since nothing could be done with it."""
        if not self.id:
            return None
        more = {"origin_name": self.origin_name, "state": self.state, **(self.model_extra or {})}
        known: dict[str, Any] = finite({k: v for k, v in more.items() if v is not None})
        name = self.name or self.origin_name
        return Resource(self.id, name, self.description, self.status or self.state, known)


class _Entries(Wire):
    data: list[_Entry | None]
    has_more: bool | None = None
    last_id: str | None = None


class _Meta(Wire, extra="allow"):
    n_ctx: Count | None = None


class _Model(Wire, extra="allow"):
    """An entry of the list of models; some engines behind the gateway add a ``meta``."""

    id: str | None = None
    created: int | None = None
    owned_by: str | None = None
    meta: _Meta | None = None

    def info(self) -> ModelInfo | None:
        """Return what it says; None without an id, since nothing could be asked of it."""
        if not self.id:
            return None
        more: dict[str, Any] = finite(self.model_extra or {})
        context = None
        if self.meta:
            context, more["meta"] = self.meta.n_ctx, finite(self.meta.model_dump())
        return ModelInfo(self.id, self.created, self.owned_by or None, context, more)


class _Models(Wire):
    data: list[_Model | None]


_LIST: Reader[_Entries] = Reader(_Entries, ("", "data"))
_ONE: Reader[_Entry] = Reader(_Entry, ("",))
_MODELS: Reader[_Models] = Reader(_Models, ("", "data"))


def _page(body: Any) -> Page:
    read = _LIST.body(body, {})
    found = [resource for entry in read.data if entry and (resource := entry.resource())]
    last = read.last_id or (found[-1].id if found else None)
    return Page(found, last, bool(read.has_more))


def _one(body: Any) -> Resource | None:
    return None if body is None else _ONE.body(body, {}).resource()


def _models(body: Any) -> list[ModelInfo]:
    read = _MODELS.body(body, {})
    return [info for model in read.data if model and (info := model.info())]


_OF_BASE = "/knowledge-bases/{knowledge_base_id}/indexes"
_OF_INDEX = f"{_OF_BASE}/{{index_id}}"
_INDEX = ("knowledge_base_id", "index_id")

MODELS = Operation(backend=PAIS, path="/models", decode=_models)
AGENTS = Operation(backend=PAIS, path="/agents", decode=_page, params=ListParams)
KNOWLEDGE_BASES = Operation(
    backend=PAIS, path="/knowledge-bases", decode=_page, params=ListParams, base=control_base
)
DATA_SOURCES = Operation(
    backend=PAIS, path="/data-sources", decode=_page, params=ListParams, base=control_base
)
INDEXES = Operation(
    backend=PAIS,
    path=_OF_BASE,
    decode=_page,
    params=_BaseParams,
    required=_INDEX[:1],
    base=control_base,
)
DOCUMENTS = Operation(
    backend=PAIS,
    path=f"{_OF_INDEX}/documents",
    decode=_page,
    params=_IndexParams,
    required=_INDEX,
    base=control_base,
)
INDEXINGS = Operation(
    backend=PAIS,
    path=f"{_OF_INDEX}/indexings",
    decode=_page,
    params=_IndexParams,
    required=_INDEX,
    base=control_base,
)
ACTIVE_INDEXING = Operation(
    backend=PAIS,
    path=f"{_OF_INDEX}/active-indexing",
    decode=_one,
    params=_IndexParams,
    required=_INDEX,
    base=control_base,
    may_be_empty=True,
)


class Reaches(Protocol):
    """What reaches a service: every class of the frameworks, and their parts."""

    def fetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Return what an operation answers."""
        ...

    async def afetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Do what `fetch` does, without blocking."""
        ...


def _all(values: Mapping[str, Any]) -> Generator[dict[str, Any], Page, list[Resource]]:
    """Ask for page after page, until there is no more, or nothing new in one."""
    found: dict[str, Resource] = {}
    after = None
    while True:
        page = yield {"limit": _MOST, **values, "after": after}
        new = {entry.id: entry for entry in page.entries if entry.id not in found}
        found |= new
        after = page.last_id
        if not (page.has_more and new and after):
            return list(found.values())


def all_of(reach: Reaches, operation: Operation[Page], **values: Any) -> list[Resource]:
    """Return a whole list.

    Parameters:
        reach: what reaches the service.
        operation: the list.
        values: its parameters by their Python names.

    Raises:
        ServiceError: see `qaip_core.errors`.
    """
    steps = _all(values)
    wanted = next(steps)
    while True:
        page = reach.fetch(operation, wanted)
        try:
            wanted = steps.send(page)
        except StopIteration as stop:
            return list(stop.value)


async def all_of_async(reach: Reaches, operation: Operation[Page], **values: Any) -> list[Resource]:
    """Do what `all_of` does, without blocking."""
    steps = _all(values)
    wanted = next(steps)
    while True:
        page = await reach.afetch(operation, wanted)
        try:
            wanted = steps.send(page)
        except StopIteration as stop:
            return list(stop.value)


def of_type(models: Sequence[ModelInfo], model_type: str | None) -> list[ModelInfo]:
    """Return the models of a type; all for None."""
    wanted = model_type and model_type.upper()
    return [m for m in models if wanted in (None, str(m.metadata.get("model_type")).upper())]
