"""The chat model of Perplexity's chat completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from langchain_qaip._chat import ChatModel
from langchain_qaip._citing import Citing
from qaip_core.backends.perplexity import CHAT, PerplexityParams
from qaip_core.backends.perplexity._classes import Retired

if TYPE_CHECKING:
    from langchain_qaip.perplexity import ChatPerplexityAgent

__all__ = ["ChatPerplexity"]


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

    endpoint = CHAT
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
