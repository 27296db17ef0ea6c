"""The interface of the Fireworks client 0.6, for code that was written for it.

::

    from qaip_core.fireworks_api import ChatCompletion, Completion, Model

    Completion.create(model, "Say hi").choices[0].text
    for chunk in ChatCompletion.create(model, messages=[...], stream=True): ...
    await Completion.acreate(model, "Say hi")
    Model.list().data

Key and base URL are read from ``FIREWORKS_API_KEY`` and ``FIREWORKS_API_BASE`` at every call.
Below the interface is this package's core, so that some things are better than they were:
refusals that may pass (429, 5xx, no connection) are repeated twice, a stream that breaks off or
reports an error raises, every error has a class, connections are pooled.

Vendor page: https://docs.fireworks.ai/api-reference/introduction
"""

from qaip_core.fireworks_api import errors, log
from qaip_core.fireworks_api.completions import BaseCompletion, ChatCompletion, Completion
from qaip_core.fireworks_api.errors import (
    APITimeoutError,
    AuthenticationError,
    BadGatewayError,
    FireworksError,
    InternalServerError,
    InvalidRequestError,
    PermissionError,  # noqa: A004 -- the name that the client's users catch
    RateLimitError,
    ServiceUnavailableError,
)
from qaip_core.fireworks_api.models import (
    ChatCompletionResponse,
    ChatCompletionResponseChoice,
    ChatCompletionResponseStreamChoice,
    ChatCompletionStreamResponse,
    ChatMessage,
    Choice,
    CompletionResponse,
    CompletionResponseStreamChoice,
    CompletionStreamResponse,
    DeltaMessage,
    ListModelsResponse,
    LogProbs,
    Model,
    ToolCall,
    ToolCallFunction,
    UsageInfo,
)

__all__ = [
    "APITimeoutError",
    "AuthenticationError",
    "BadGatewayError",
    "BaseCompletion",
    "ChatCompletion",
    "ChatCompletionResponse",
    "ChatCompletionResponseChoice",
    "ChatCompletionResponseStreamChoice",
    "ChatCompletionStreamResponse",
    "ChatMessage",
    "Choice",
    "Completion",
    "CompletionResponse",
    "CompletionResponseStreamChoice",
    "CompletionStreamResponse",
    "DeltaMessage",
    "FireworksError",
    "InternalServerError",
    "InvalidRequestError",
    "ListModelsResponse",
    "LogProbs",
    "Model",
    "PermissionError",
    "RateLimitError",
    "ServiceUnavailableError",
    "ToolCall",
    "ToolCallFunction",
    "UsageInfo",
    "errors",
    "log",
]
