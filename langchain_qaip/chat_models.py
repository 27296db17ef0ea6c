"""Chat models of the five services.

All of them take, beside their own parameters, those of `qaip_core.connection.Connection`
(``api_key``, ``base_url``, ``timeout``, ``max_retries``, ...) and LangChain's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from langchain_core.language_models import ModelProfile

from langchain_qaip._chat import ChatModel
from langchain_qaip._citing import Citing, OfASite
from langchain_qaip._profiles import listed_facts
from langchain_qaip.errors import as_langchain
from qaip_core import ModelInfo
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip
from qaip_core.backends.dify import DifyParams
from qaip_core.backends.dify._calls import AppCalls
from qaip_core.backends.fireworks import FireworksChatParams
from qaip_core.backends.fireworks.account import Account
from qaip_core.backends.pais import PaisParams
from qaip_core.backends.pais._lists import ListsModels
from qaip_core.backends.perplexity import PerplexityParams
from qaip_core.backends.perplexity._classes import Retired
from qaip_core.backends.qaip import QaipParams

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from langchain_qaip.perplexity import ChatPerplexityAgent
    from qaip_core.backends.qaip.conversations import Conversations
    from qaip_core.backends.qaip.library import Library

__all__ = ["ChatDify", "ChatFireworks", "ChatPAIS", "ChatPerplexity", "ChatQaip"]


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

    endpoint = qaip.COMPLETIONS

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


class ChatFireworks(FireworksChatParams, Account, ChatModel):
    """Chats with a model on Fireworks.

    Parameters:
        model: such as "accounts/fireworks/models/llama-v3p1-8b-instruct".
        api_key: or the environment variable FIREWORKS_API_KEY.
        base_url: or FIREWORKS_API_BASE, with or without /v1.
        session_affinity: a name of the conversation, without spaces; requests that share one go
            to the same replica, whose cache has their beginning.

    The others are those of `FireworksChatParams`. `list_models` tells what the service has. Above
    4096 ``max_tokens`` the service only streams: whole answers are then put together here.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.fireworks.ai/api-reference/post-chatcompletions
    """

    endpoint = fireworks.CHAT

    def load_profile(self) -> ModelProfile:
        """Ask the service what the model can do (context size, tools, images), and keep it.

        Returns:
            `profile`, to which the service's list of models (GET /models) adds its facts.

        Raises:
            NotFoundError: the list does not hold the model.
        """
        with as_langchain():
            return self._profiled(self.client.fetch(fireworks.MODELS))

    async def aload_profile(self) -> ModelProfile:
        """Do what `load_profile` does, without blocking."""
        with as_langchain():
            return self._profiled(await self.async_client.fetch(fireworks.MODELS))

    def _profiled(self, models: list[ModelInfo]) -> ModelProfile:
        listed = fireworks.listed(models, self.model)
        self.profile = cast("ModelProfile", {**(self.profile or {}), **listed_facts(listed)})
        return self.profile


class ChatPAIS(PaisParams, ListsModels, OfASite, ChatModel):
    """Chats with a model of VMware Private AI Services.

    Parameters:
        model: the id of a model endpoint of the site; ``list_models("COMPLETIONS")`` tells which
            there are.
        base_url: or the environment variable PAIS_BASE_URL; the host is enough.
        api_key: an access token, or a callable that returns one (tokens are short-lived); or
            PAIS_API_KEY. Sites without authentication need none.

    The others are those of `PaisParams`. A ``response_format`` that is set on the object is sent,
    for sites of release 9.1.1; `with_structured_output` asks in words, which any site serves.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
    """

    endpoint = pais.CHAT


class ChatPerplexity(PerplexityParams, Retired, Citing, ChatModel):
    """Answers from the web through Perplexity's chat completions, with sources and offsets.

    Perplexity itself ended this call on 2026-09-27: `ChatPerplexityAgent` takes its place, and
    the error (`EndpointRetiredError`) says what to write. Gateways that still serve it are
    reached with ``base_url``.

    Parameters:
        model: such as "sonar".
        api_key: or the environment variable PERPLEXITY_API_KEY, or PPLX_API_KEY.
        base_url: or PERPLEXITY_BASE_URL.

    The others are those of `PerplexityParams`. The service takes no stop sequences: ``stop``
    cuts the answer here.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.perplexity.ai/api-reference/chat-completions-post
    """

    endpoint = perplexity.CHAT
    successor: ClassVar[str] = "ChatPerplexityAgent"

    def as_agent(self) -> ChatPerplexityAgent:
        """Return the `ChatPerplexityAgent` that does what this object does.

        Model and filters are translated as Perplexity says; key, address, timeouts and the
        like are the same.

        Warns:
            UserWarning: something has no equivalent, and is left out.
        """
        from langchain_qaip.perplexity import ChatPerplexityAgent

        return ChatPerplexityAgent(**self._successor(ChatPerplexityAgent))


class ChatDify(DifyParams, AppCalls, Citing, ChatModel):
    """Runs a Dify completion app, with the sources of its knowledge base.

    The messages are written one below the other into the app's input variable. Sources come
    only if "Citations and Attributions" is switched on in the app. Images, videos and documents
    among the messages are sent as files; bytes are uploaded first. For chat and agent apps there
    is `ChatDifyConversation`, for workflow apps `DifyWorkflow`.

    Parameters:
        api_key: the app's key, or the environment variable DIFY_API_KEY.
        base_url: or DIFY_BASE_URL; it includes /v1.

    The others are those of `DifyParams`. Model and sampling are set in the app: model,
    temperature and max_tokens are not sent, ``stop`` cuts the answer here.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.dify.ai/api-reference/completion/create-completion-message
    """

    endpoint = dify.COMPLETION
