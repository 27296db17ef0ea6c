"""Chat models of the five services.

All of them take, beside their own parameters, those of `qaip_core.connection.Connection`
(``api_key``, ``base_url``, ``timeout``, ``max_retries``, ...) and LangChain's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import ModelProfile

from langchain_qaip._chat import ChatModel
from langchain_qaip._profiles import listed_facts
from langchain_qaip.errors import as_langchain
from qaip_core import ModelInfo
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip
from qaip_core.backends.dify import DifyParams
from qaip_core.backends.fireworks import FireworksChatParams
from qaip_core.backends.pais import PaisParams
from qaip_core.backends.perplexity import PerplexityParams
from qaip_core.backends.qaip import QaipParams

if TYPE_CHECKING:
    from langchain_qaip.retrievers import CitationRetriever

__all__ = ["ChatDify", "ChatFireworks", "ChatPAIS", "ChatPerplexity", "ChatQaip"]


class _Citing(ChatModel):
    """A chat model whose service answers with sources."""

    def as_retriever(self, *, k: int | None = None, **kwargs: Any) -> CitationRetriever:
        """Return a retriever of the sources of this model's answers.

        Parameters:
            k: how many sources to return at most, at least 1; None for all.
            kwargs: those of LangChain's retrievers, such as ``tags``.
        """
        from langchain_qaip.retrievers import CitationRetriever

        return CitationRetriever(model=self, k=k, **kwargs)


class ChatQaip(QaipParams, _Citing):
    """Answers from the documents that are indexed in Qaip, with their sources.

    Parameters:
        api_key: or the environment variable QAIP_API_KEY.
        base_url: or QAIP_BASE_URL.

    The others are those of `QaipParams` (``tag_names``, ``file_types``, ``domains``, ...). The
    service has no model, temperature, max_tokens or stop and reports no usage: the first three
    are not sent, ``stop`` cuts the answer here.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.qaip.com
    """

    endpoint = qaip.COMPLETIONS


class ChatFireworks(FireworksChatParams, ChatModel):
    """Chats with a model on Fireworks.

    Parameters:
        model: such as "accounts/fireworks/models/llama-v3p1-8b-instruct".
        api_key: or the environment variable FIREWORKS_API_KEY.
        base_url: or FIREWORKS_API_BASE, with or without /v1.

    The others are those of `FireworksChatParams`. Above 4096 ``max_tokens`` the service only
    streams: whole answers are then put together here.

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


class ChatPAIS(PaisParams, ChatModel):
    """Chats with a model of VMware Private AI Services.

    Parameters:
        model: the id of a model endpoint of the site.
        base_url: or the environment variable PAIS_BASE_URL; the host is enough.
        api_key: an access token, or a callable that returns one (tokens are short-lived); or
            PAIS_API_KEY. Sites without authentication need none.

    The others are those of `PaisParams`.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
    """

    endpoint = pais.CHAT


class ChatPerplexity(PerplexityParams, _Citing):
    """Answers from the web through Perplexity's chat completions, with sources and offsets.

    Perplexity itself ended this call on 2026-09-27 (`EndpointRetiredError`); gateways that
    still serve it are reached with ``base_url``.

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


class ChatDify(DifyParams, _Citing):
    """Runs a Dify completion app, with the sources of its knowledge base.

    The messages are written one below the other into the app's input variable. Sources come
    only if "Citations and Attributions" is switched on in the app.

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
