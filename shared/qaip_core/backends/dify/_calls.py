"""What the classes of both frameworks can do besides answering.

The operations are imported when they are used: most applications only ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from os import PathLike

    from qaip_core.backend import T
    from qaip_core.backends.dify._files import DifyFile
    from qaip_core.backends.dify.app import DifyInfo, DifyParameters
    from qaip_core.backends.dify.conversations import Conversation, Page, Past
    from qaip_core.operation import Operation

__all__ = ["AppCalls", "ConversationCalls"]


class _Reaches:
    """What `qaip_core.service.Connected` gives."""

    if TYPE_CHECKING:
        user: str | None
        max_file_mb: float | None

        def fetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T: ...

        async def afetch(
            self, operation: Operation[T], values: Mapping[str, Any] | None = None
        ) -> T: ...


class AppCalls(_Reaches):
    """What every app takes besides questions."""

    def info(self) -> DifyInfo:
        """Return the app's name and kind (GET /info).

        Raises:
            ServiceError: the service refuses, or cannot be reached.
        """
        from qaip_core.backends.dify.app import INFO

        return self.fetch(INFO)

    async def ainfo(self) -> DifyInfo:
        """Do what `info` does, without blocking."""
        from qaip_core.backends.dify.app import INFO

        return await self.afetch(INFO)

    def parameters(self) -> DifyParameters:
        """Return the app's variables, and what it can do (GET /parameters).

        Raises:
            ServiceError: the service refuses, or cannot be reached.
        """
        from qaip_core.backends.dify.app import PARAMETERS

        return self.fetch(PARAMETERS)

    async def aparameters(self) -> DifyParameters:
        """Do what `parameters` does, without blocking."""
        from qaip_core.backends.dify.app import PARAMETERS

        return await self.afetch(PARAMETERS)

    def upload(
        self,
        file: str | PathLike[str] | bytes,
        *,
        name: str | None = None,
        user: str | None = None,
    ) -> DifyFile:
        """Upload a file for later calls (POST /files/upload).

        Parameters:
            file: a path, or bytes.
            name: the file's name, whose extension tells the service what it is; bytes need one.
            user: who uses the file; the object's own user where it is not given.

        Returns:
            What to pass in ``files``.

        Raises:
            InvalidParameterError: it is empty, too large, or has no name.
            OSError: the file cannot be read.
            ServiceError: the service refuses it, or cannot be reached.
        """
        from qaip_core.backends.dify.files import UPLOAD, upload_values

        values = upload_values(file, name, self.max_file_mb)
        return self.fetch(UPLOAD, {**values, "user": user or self.user})

    async def aupload(
        self,
        file: str | PathLike[str] | bytes,
        *,
        name: str | None = None,
        user: str | None = None,
    ) -> DifyFile:
        """Do what `upload` does, without waiting for the service; a path is read at once."""
        from qaip_core.backends.dify.files import UPLOAD, upload_values

        values = upload_values(file, name, self.max_file_mb)
        return await self.afetch(UPLOAD, {**values, "user": user or self.user})

    def feedback(
        self,
        message_id: str,
        rating: Literal["like", "dislike"] | None,
        content: str | None = None,
        *,
        user: str | None = None,
    ) -> None:
        """Rate an answer (POST /messages/{message_id}/feedbacks).

        Parameters:
            message_id: the answer's id, as its metadata has it.
            rating: "like" or "dislike"; None takes a rating back.
            content: words to it.
            user: who asked; the object's own user where it is not given.

        Raises:
            NotFoundError: the answer is unknown, or another user's.
            ServiceError: see `qaip_core.errors`.
        """
        from qaip_core.backends.dify.app import FEEDBACK

        self.fetch(FEEDBACK, self._rated(message_id, rating, content, user))

    async def afeedback(
        self,
        message_id: str,
        rating: Literal["like", "dislike"] | None,
        content: str | None = None,
        *,
        user: str | None = None,
    ) -> None:
        """Do what `feedback` does, without blocking."""
        from qaip_core.backends.dify.app import FEEDBACK

        await self.afetch(FEEDBACK, self._rated(message_id, rating, content, user))

    def _rated(
        self, message_id: str, rating: str | None, content: str | None, user: str | None
    ) -> dict[str, Any]:
        told = {"rating": rating or "none", "content": content, "user": user or self.user}
        return {"message_id": message_id, **told}


class ConversationCalls(AppCalls):
    """What an app takes whose conversations the service keeps."""

    def conversations(
        self,
        *,
        last_id: str | None = None,
        limit: int | None = None,
        sort_by: str | None = None,
        user: str | None = None,
    ) -> Page[Conversation]:
        """Return a user's conversations, the latest first (GET /conversations).

        Parameters:
            last_id: the last conversation of the page before.
            limit: how many at most, 1 to 100; the service's default is 20.
            sort_by: "created_at" or "updated_at", with "-" before it for the latest first.
            user: whose; the object's own user where it is not given.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        from qaip_core.backends.dify.conversations import CONVERSATIONS

        asked = {"last_id": last_id, "limit": limit, "sort_by": sort_by}
        return self.fetch(CONVERSATIONS, {**asked, "user": user or self.user})

    async def aconversations(
        self,
        *,
        last_id: str | None = None,
        limit: int | None = None,
        sort_by: str | None = None,
        user: str | None = None,
    ) -> Page[Conversation]:
        """Do what `conversations` does, without blocking."""
        from qaip_core.backends.dify.conversations import CONVERSATIONS

        asked = {"last_id": last_id, "limit": limit, "sort_by": sort_by}
        return await self.afetch(CONVERSATIONS, {**asked, "user": user or self.user})

    def messages(
        self,
        conversation_id: str,
        *,
        first_id: str | None = None,
        limit: int | None = None,
        user: str | None = None,
    ) -> Page[Past]:
        """Return what was said in a conversation, the oldest of a page first (GET /messages).

        Parameters:
            conversation_id: the conversation.
            first_id: the first message of the page that comes after.
            limit: how many at most, 1 to 100; the service's default is 20: the latest.
            user: whose; the object's own user where it is not given.

        Raises:
            NotFoundError: the conversation is unknown, or another user's.
            ServiceError: see `qaip_core.errors`.
        """
        from qaip_core.backends.dify.conversations import MESSAGES

        asked = {"first_id": first_id, "limit": limit, "user": user or self.user}
        return self.fetch(MESSAGES, {"conversation_id": conversation_id, **asked})

    async def amessages(
        self,
        conversation_id: str,
        *,
        first_id: str | None = None,
        limit: int | None = None,
        user: str | None = None,
    ) -> Page[Past]:
        """Do what `messages` does, without blocking."""
        from qaip_core.backends.dify.conversations import MESSAGES

        asked = {"first_id": first_id, "limit": limit, "user": user or self.user}
        return await self.afetch(MESSAGES, {"conversation_id": conversation_id, **asked})

    def rename(
        self, conversation_id: str, name: str | None = None, *, user: str | None = None
    ) -> Conversation:
        """Give a conversation a name (POST /conversations/{conversation_id}/name).

        Parameters:
            conversation_id: the conversation.
            name: its name; None lets the service find one.
            user: whose; the object's own user where it is not given.

        Raises:
            NotFoundError: the conversation is unknown, or another user's.
            ServiceError: see `qaip_core.errors`.
        """
        from qaip_core.backends.dify.conversations import RENAME

        return self.fetch(RENAME, self._named(conversation_id, name, user))

    async def arename(
        self, conversation_id: str, name: str | None = None, *, user: str | None = None
    ) -> Conversation:
        """Do what `rename` does, without blocking."""
        from qaip_core.backends.dify.conversations import RENAME

        return await self.afetch(RENAME, self._named(conversation_id, name, user))

    def _named(self, conversation_id: str, name: str | None, user: str | None) -> dict[str, Any]:
        given = {"auto_generate": True} if name is None else {"name": name}
        return {"conversation_id": conversation_id, **given, "user": user or self.user}
