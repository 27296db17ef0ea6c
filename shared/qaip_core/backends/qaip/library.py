"""What is in a library of Qaip: its tags, and single passages.

Vendor page: https://docs.qaip.com (API reference, Tags, Contents)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from qaip_core.backend import Params, Wire
from qaip_core.backends.qaip._service import QAIP, Content
from qaip_core.backends.qaip.conversations import Fetches
from qaip_core.backends.qaip.params import Id
from qaip_core.errors import MalformedResponseError
from qaip_core.operation import Operation
from qaip_core.reading import Notes, Reader, ranked
from qaip_core.types import Citation

__all__ = ["CONTENT", "TAGS", "Library", "Tag"]

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of the library.

    Parameters:
        id: what ``tag_ids`` may hold.
        name: what ``tag_names`` may hold.
        description: what it is for.
    """

    id: str
    name: str
    description: str = ""


class _Tag(Wire):
    id: str
    name: str
    description: str | None = None


class _Tags(Wire):
    tags: list[_Tag | None] | None = None


_TAGS: Reader[_Tags] = Reader(_Tags, {""})
_CONTENT: Reader[Content] = Reader(Content, {"", "text"})


def _decode_tags(body: Any) -> list[Tag]:
    notes: Notes = {}
    listed = ranked(_TAGS.body(body, notes).tags, notes, "tags")
    return [Tag(tag.id, tag.name, tag.description or "") for _, tag in listed]


def _decode_content(body: Any) -> Citation:
    found = _CONTENT.body(body, {})
    if found.id is None and found.text is None:
        raise MalformedResponseError("the body holds no passage", body=body)
    return found.citation(1)


class _Asked(Params):
    content_id: Id | None = None
    principal_id: str | None = None
    authz_policy: str | None = None


TAGS = Operation(QAIP, "/tags", _decode_tags)
CONTENT = Operation(QAIP, "/contents/{content_id}", _decode_content, _Asked, ("content_id",))


class Library(Generic[P]):
    """The tags and passages of a library; every method has an async twin, ``a...``.

    Parameters:
        owner: the object by which the service is reached.
        shape: makes of a passage what the framework calls one.
        principal_id: that of the owner.
    """

    def __init__(
        self, owner: Fetches, shape: Callable[[Citation], P], principal_id: str | None = None
    ) -> None:
        self._owner = owner
        self._shape = shape
        self._principal_id = principal_id

    def tags(self) -> list[Tag]:
        """Return all tags. The call is cheap: it also shows whether a key is good.

        Raises:
            ServiceError: see the errors of your framework's package.

        Source: https://docs.qaip.com (API reference, Tags)
        """
        return self._owner.fetch(TAGS)

    async def atags(self) -> list[Tag]:
        """Do what `tags` does, without blocking."""
        return await self._owner.afetch(TAGS)

    def content(
        self,
        content_id: str,
        *,
        principal_id: str | None = None,
        authz_policy: str | None = None,
    ) -> P:
        """Return one passage.

        Parameters:
            content_id: the id of a citation or of what a search has found; a UUID.
            principal_id: the end user on whose behalf it is read; by default the owner's.
            authz_policy: reserved by the vendor.

        Raises:
            InvalidParameterError: the id is no UUID.
            NotFoundError: there is none of that id.
            ServiceError: see the errors of your framework's package.

        Source: https://docs.qaip.com (API reference, Contents)
        """
        asked = self._asked(content_id, principal_id, authz_policy)
        return self._shape(self._owner.fetch(CONTENT, asked))

    async def acontent(
        self,
        content_id: str,
        *,
        principal_id: str | None = None,
        authz_policy: str | None = None,
    ) -> P:
        """Do what `content` does, without blocking."""
        asked = self._asked(content_id, principal_id, authz_policy)
        return self._shape(await self._owner.afetch(CONTENT, asked))

    def _asked(
        self, content_id: str, principal_id: str | None, policy: str | None
    ) -> dict[str, Any]:
        principal = self._principal_id if principal_id is None else principal_id
        return {"content_id": content_id, "principal_id": principal, "authz_policy": policy}
