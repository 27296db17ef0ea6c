"""`Embedding` and `Ranking`: what the classes of both frameworks have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from qaip_core.errors import InvalidParameterError, MalformedResponseError
from qaip_core.operation import Operation
from qaip_core.service import Connected
from qaip_core.vectors import Embedded, Reranked, joined

__all__ = ["Embedding", "Ranking"]


class _Asking(Connected):
    """Asks one operation, with the parameters of the object."""

    operation: ClassVar[Operation[Any]]

    @property
    def _action(self) -> Operation[Any]:
        return self.operation

    def _asked(self, call: Mapping[str, Any], **of_call: Any) -> dict[str, Any]:
        """Return the parameters of one request: the object's, overlaid by the call's own.

        Raises:
            InvalidParameterError: one is unknown or out of range.
        """
        asked = {**self._overlaid(call), **of_call}
        extra = self._extra(asked)
        asked.pop("extra_body", None)
        self.operation.check(asked)
        return {**asked, "extra_body": extra}


class Embedding(_Asking):
    """Turns texts into vectors, in batches.

    A class of it mixes in the parameters of its operation, without the ``input``::

        class FireworksEmbeddings(FireworksEmbeddingParams, Embedding): operation = EMBEDDINGS
    """

    operation: ClassVar[Operation[Embedded]]

    @property
    def _limits(self) -> tuple[int, int]:
        """How many texts one request holds, and how many requests are under way at once."""
        raise NotImplementedError

    @property
    def _of_query(self) -> Mapping[str, Any]:
        """What a query is embedded with, unlike other texts."""
        return {}

    def embed(self, texts: Sequence[str], **call: Any) -> Embedded:
        """Return the vectors of texts, in their order, with what they have cost.

        Parameters:
            texts: none of them empty; without any, nothing is sent.
            call: parameters of the service, for this call.

        Raises:
            InvalidParameterError: a text is empty, or a parameter unknown or out of range.
            MalformedResponseError: not every text has a vector.
            ServiceError: see `qaip_core.errors`; nothing of a failed call is kept.
        """
        asked = self._batches(texts, call)
        batches = [self._checked(batch, self.fetch(self.operation, batch)) for batch in asked]
        return joined(batches)

    async def aembed(self, texts: Sequence[str], **call: Any) -> Embedded:
        """Do what `embed` does, without blocking; some batches are under way at once."""
        bound = asyncio.Semaphore(self._limits[1])

        async def one(batch: dict[str, Any]) -> Embedded:
            async with bound:
                return self._checked(batch, await self.afetch(self.operation, batch))

        tasks = [asyncio.ensure_future(one(batch)) for batch in self._batches(texts, call)]
        try:
            return joined(await asyncio.gather(*tasks))
        finally:
            for task in tasks:  # after a failure, what is left would be billed for nothing
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _batches(self, texts: Sequence[str], call: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the parameters of each request; all are checked before the first is sent."""
        if isinstance(texts, str):
            raise InvalidParameterError("texts is one string: pass a list of them")
        if not texts:
            return []
        whole, size = self._asked(call, input=list(texts)), self._limits[0]
        starts = range(0, len(texts), size)
        return [{**whole, "input": whole["input"][start : start + size]} for start in starts]

    def _checked(self, batch: Mapping[str, Any], found: Embedded) -> Embedded:
        sent, came = len(batch["input"]), len(found.vectors)
        if sent != came:
            service = self.operation.backend.name
            raise MalformedResponseError(f"{came} vectors came for {sent} texts", service=service)
        return found


class Ranking(_Asking):
    """Puts documents into the order in which they fit a query.

    A class of it mixes in the parameters of its operation, without query and documents.
    """

    operation: ClassVar[Operation[Reranked]]

    def rank(self, query: str, documents: Sequence[str], **call: Any) -> Reranked:
        """Return the places of documents, best first, with their scores and what they have cost.

        Parameters:
            query: what they are to fit.
            documents: their texts, in a list; without any, nothing is sent.
            call: parameters of the service, for this call.

        Raises:
            InvalidParameterError: a parameter is unknown or out of range.
            MalformedResponseError: the service ranks what was not sent.
            ServiceError: see `qaip_core.errors`.
        """
        asked = self._of(query, documents, call)
        return self._placed(self.fetch(self.operation, asked), asked) if asked else Reranked(())

    async def arank(self, query: str, documents: Sequence[str], **call: Any) -> Reranked:
        """Do what `rank` does, without blocking."""
        asked = self._of(query, documents, call)
        if not asked:
            return Reranked(())
        return self._placed(await self.afetch(self.operation, asked), asked)

    def _of(self, query: str, documents: Sequence[str], call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a request; empty where none is needed."""
        if isinstance(documents, str):
            raise InvalidParameterError("documents is one string: pass a list of them")
        return self._asked(call, query=query, documents=list(documents)) if documents else {}

    def _placed(self, found: Reranked, asked: Mapping[str, Any]) -> Reranked:
        places, sent = [one.index for one in found.places], len(asked["documents"])
        if len(set(places)) < len(places) or any(place >= sent for place in places):
            service = self.operation.backend.name
            fault = f"{len(places)} places came for {sent} documents, not each of them once"
            raise MalformedResponseError(fault, service=service)
        return replace(found, places=found.places[: asked.get("top_n")])
