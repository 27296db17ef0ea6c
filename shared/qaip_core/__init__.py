"""The core that both framework packages share: HTTP, wire formats, citations. No framework."""

from qaip_core.client import AsyncClient, Client
from qaip_core.connection import Connection, Settings
from qaip_core.errors import ServiceError
from qaip_core.types import (
    Choice,
    Citation,
    Completion,
    Message,
    ModelInfo,
    Prompt,
    ServerTool,
    Span,
    ToolCall,
    Usage,
)

__all__ = [
    "AsyncClient",
    "Choice",
    "Citation",
    "Client",
    "Completion",
    "Connection",
    "Message",
    "ModelInfo",
    "Prompt",
    "ServerTool",
    "ServiceError",
    "Settings",
    "Span",
    "ToolCall",
    "Usage",
]
