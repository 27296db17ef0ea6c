"""The chat model of Fireworks."""

from __future__ import annotations

from typing import cast

from langchain_core.language_models import ModelProfile

from langchain_qaip._chat import ChatModel
from langchain_qaip._profiles import listed_facts
from langchain_qaip.errors import as_langchain
from qaip_core import ModelInfo
from qaip_core.backends import fireworks
from qaip_core.backends.fireworks import FireworksChatParams
from qaip_core.backends.fireworks.account import Account

__all__ = ["ChatFireworks"]


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
