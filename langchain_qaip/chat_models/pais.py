"""The chat model of VMware Private AI Services."""

from __future__ import annotations

from langchain_qaip._chat import ChatModel
from langchain_qaip._citing import OfASite
from qaip_core.backends.pais import CHAT, PaisParams
from qaip_core.backends.pais._lists import ListsModels

__all__ = ["ChatPAIS"]


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

    endpoint = CHAT
