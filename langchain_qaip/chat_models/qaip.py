"""The chat model of Qaip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_qaip._chat import ChatModel
from langchain_qaip._citing import Citing
from qaip_core.backends.qaip import COMPLETIONS, QaipParams

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from qaip_core.backends.qaip.conversations import Conversations
    from qaip_core.backends.qaip.library import Library

__all__ = ["ChatQaip"]


class ChatQaip(QaipParams, Citing, ChatModel):
    """Answers from the documents that are indexed in Qaip, with their sources.

    Parameters:
        api_key: or the environment variable QAIP_API_KEY.
        base_url: or QAIP_BASE_URL.

    The others are those of `QaipParams` (``conversation_id``, ``grounding``, ...) and its
    `FilterParams` (``tag_names``, ``file_types``, ``domains``, ...). The service has no model,
    temperature, max_tokens or stop and reports no usage: the first three are not sent, ``stop``
    cuts the answer here.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.qaip.com
    """

    endpoint = COMPLETIONS

    @property
    def conversations(self) -> Conversations:
        """The conversations that the service has stored: list, read, change, delete."""
        from qaip_core.backends.qaip.conversations import Conversations

        return Conversations(self, self.principal_id)

    @property
    def library(self) -> Library[Document]:
        """The tags of the library, and single passages of it."""
        from langchain_qaip.qaip import library

        return library(self, self.principal_id)
