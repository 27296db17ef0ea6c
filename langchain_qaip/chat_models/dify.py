"""The chat model of Dify's completion apps."""

from __future__ import annotations

from langchain_qaip._chat import ChatModel
from langchain_qaip._citing import Citing
from qaip_core.backends.dify import COMPLETION, DifyParams
from qaip_core.backends.dify._calls import AppCalls

__all__ = ["ChatDify"]


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

    endpoint = COMPLETION
