"""The conversations that Qaip stores: every completion makes one, or goes on with one.

Vendor page: https://docs.qaip.com (API reference, Conversations)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Protocol

from qaip_core.backend import T
from qaip_core.backends.qaip.stored import (
    CHANGE,
    CHANGE_OF_PRINCIPAL,
    DELETE,
    LIST,
    READ,
    Conversation,
    Listed,
    StoredMessage,
)
from qaip_core.errors import InvalidParameterError
from qaip_core.operation import Operation

__all__ = ["Conversation", "Conversations", "Fetches", "StoredMessage"]

_PAGE = 20


class Fetches(Protocol):
    """What reaches the service: any object of this package's classes for Qaip."""

    def fetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Return what an operation answers."""
        ...

    async def afetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Do what `fetch` does, without blocking."""
        ...


class Conversations:
    """The conversations that the service has stored; every method has an async twin, ``a...``.

    A conversation belongs to the principal that its first completion named, or to nobody; it is
    found only under the same. Where a call names none, it is the ``principal_id`` of the owner.

    Parameters:
        owner: the object by which the service is reached.
        principal_id: that of the owner.
    """

    def __init__(self, owner: Fetches, principal_id: str | None = None) -> None:
        self._owner = owner
        self._principal_id = principal_id

    def list(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        principal_id: str | None = None,
        all_principals: bool | None = None,
    ) -> Listed:
        """Return conversations without their messages, the latest first.

        Parameters:
            limit: how many at most, at least 1; the service's default is not known.
            offset: how many to leave out at the front, at least 0.
            principal_id: the end user to whom they belong.
            all_principals: whether to list those of all end users.

        Raises:
            ServiceError: see the errors of your framework's package.

        Source: https://docs.qaip.com (API reference, Conversations)
        """
        return self._owner.fetch(LIST, self._page(limit, offset, principal_id, all_principals))

    async def alist(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        principal_id: str | None = None,
        all_principals: bool | None = None,
    ) -> Listed:
        """Do what `list` does, without blocking."""
        page = self._page(limit, offset, principal_id, all_principals)
        return await self._owner.afetch(LIST, page)

    def list_all(
        self, *, principal_id: str | None = None, all_principals: bool | None = None
    ) -> Iterator[Conversation]:
        """Yield all conversations, page by page; see `list`."""
        pages = _Pages(self._page(_PAGE, 0, principal_id, all_principals))
        while not pages.ended:
            yield from pages.new(self._owner.fetch(LIST, pages.values))

    async def alist_all(
        self, *, principal_id: str | None = None, all_principals: bool | None = None
    ) -> AsyncIterator[Conversation]:
        """Do what `list_all` does, without blocking."""
        pages = _Pages(self._page(_PAGE, 0, principal_id, all_principals))
        while not pages.ended:
            for found in pages.new(await self._owner.afetch(LIST, pages.values)):
                yield found

    def read(
        self, conversation_id: str, *, leaf_id: str | None = None, principal_id: str | None = None
    ) -> Conversation:
        """Return a conversation with the messages of its current path, and their sources.

        Parameters:
            conversation_id: as it stands in the metadata of every answer.
            leaf_id: the message in which another path ends; nothing is changed by that.
            principal_id: the end user to whom it belongs.

        Raises:
            NotFoundError: there is none, or it is another principal's.
            ServiceError: see the errors of your framework's package.

        Source: https://docs.qaip.com (API reference, Conversations)
        """
        return self._owner.fetch(READ, self._named(conversation_id, principal_id, leaf_id=leaf_id))

    async def aread(
        self, conversation_id: str, *, leaf_id: str | None = None, principal_id: str | None = None
    ) -> Conversation:
        """Do what `read` does, without blocking."""
        named = self._named(conversation_id, principal_id, leaf_id=leaf_id)
        return await self._owner.afetch(READ, named)

    def change(
        self,
        conversation_id: str,
        *,
        title: str | None = None,
        current_leaf_id: str | None = None,
        principal_id: str | None = None,
    ) -> None:
        """Give a conversation another title, or make another of its paths the current one.

        Parameters:
            conversation_id: which one.
            title: the new title.
            current_leaf_id: the message in which the path ends.
            principal_id: the end user to whom it belongs.

        Raises:
            InvalidParameterError: nothing is to be changed.
            NotFoundError: there is none, or it is another principal's.
            ServiceError: see the errors of your framework's package.

        Source: https://docs.qaip.com (API reference, Conversations)
        """
        self._owner.fetch(*self._change(conversation_id, title, current_leaf_id, principal_id))

    async def achange(
        self,
        conversation_id: str,
        *,
        title: str | None = None,
        current_leaf_id: str | None = None,
        principal_id: str | None = None,
    ) -> None:
        """Do what `change` does, without blocking."""
        change = self._change(conversation_id, title, current_leaf_id, principal_id)
        await self._owner.afetch(*change)

    def rename(self, conversation_id: str, title: str, *, principal_id: str | None = None) -> None:
        """Give a conversation another title; see `change`."""
        self.change(conversation_id, title=title, principal_id=principal_id)

    async def arename(
        self, conversation_id: str, title: str, *, principal_id: str | None = None
    ) -> None:
        """Do what `rename` does, without blocking."""
        await self.achange(conversation_id, title=title, principal_id=principal_id)

    def delete(self, conversation_id: str, *, principal_id: str | None = None) -> None:
        """Delete a conversation.

        Parameters:
            conversation_id: which one.
            principal_id: the end user to whom it belongs.

        Raises:
            NotFoundError: there is none, or it is another principal's.
            ServiceError: see the errors of your framework's package.

        Source: https://docs.qaip.com (API reference, Conversations)
        """
        self._owner.fetch(DELETE, self._named(conversation_id, principal_id))

    async def adelete(self, conversation_id: str, *, principal_id: str | None = None) -> None:
        """Do what `delete` does, without blocking."""
        await self._owner.afetch(DELETE, self._named(conversation_id, principal_id))

    def _page(
        self,
        limit: int | None,
        offset: int | None,
        principal_id: str | None,
        all_principals: bool | None,
    ) -> dict[str, Any]:
        own = None if all_principals else self._principal_id
        return {
            "limit": limit,
            "offset": offset,
            "principal_id": own if principal_id is None else principal_id,
            "all_principals": all_principals,
        }

    def _named(self, conversation_id: str, principal_id: str | None, **more: Any) -> dict[str, Any]:
        principal = self._principal_id if principal_id is None else principal_id
        return {"conversation_id": conversation_id, "principal_id": principal, **more}

    def _change(
        self,
        conversation_id: str,
        title: str | None,
        leaf_id: str | None,
        principal_id: str | None,
    ) -> tuple[Operation[None], dict[str, Any]]:
        if title is None and leaf_id is None:
            raise InvalidParameterError("nothing to change: pass title or current_leaf_id")
        named = self._named(conversation_id, principal_id, title=title, current_leaf_id=leaf_id)
        whose = CHANGE if named["principal_id"] is None else CHANGE_OF_PRINCIPAL
        return whose, named


class _Pages:
    """Which page of the list is next; a short one, or one with nothing new, is the last."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.ended = False
        self._known: set[str] = set()

    def new(self, found: Listed) -> Listed:
        fresh = [c for c in found if c.id not in self._known]
        self._known.update(c.id for c in fresh)
        self.ended = len(found) < self.values["limit"] or not fresh
        self.values = {**self.values, "offset": self.values["offset"] + len(found)}
        return fresh
