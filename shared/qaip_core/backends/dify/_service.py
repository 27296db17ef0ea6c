"""Dify as a service: where it is, and what its errors mean."""

from __future__ import annotations

from qaip_core.backend import Backend
from qaip_core.errors import RateLimitError
from qaip_core.report import Rule

__all__ = ["DIFY"]

_PATHS = ("/completion-messages", "/chat-messages", "/workflows/run")
_KINDS = (
    "Is the app published, and of the kind that is called? Completion (text generator) apps: "
    "ChatDify, DifyLLM, Dify; chat and agent apps: ChatDifyConversation, DifyConversation; "
    "workflow apps: DifyWorkflow."
)
_BUSY = "The app serves as many requests as it may: try again, or raise its limit."


def _root(url: str) -> str:
    """Return the base URL of one that ends with a call's path."""
    for path in _PATHS:
        url = url.removesuffix(path)
    return url


DIFY = Backend(
    name="dify",
    title="Dify",
    base_url="https://api.dify.ai/v1",
    key_env=("DIFY_API_KEY",),
    url_env=("DIFY_BASE_URL",),
    docs="the app's page, API access",
    key_begins="app-",
    normalise_url=_root,
    rules=(
        Rule(RateLimitError, status=(400,), text="^too many requests", hint=_BUSY),
        Rule(RateLimitError, code=("too_many_requests", "rate_limit_error"), retry=True),
        Rule(status=(504, 524), retry=False, hint="The run may still go on, and be billed."),
        Rule(
            code=("completion_request_error",),
            retry=False,
            hint="This is what the app's model provider said; see the app's model settings.",
        ),
        Rule(
            code=("app_unavailable", "not_chat_app", "not_workflow_app"),
            hint=_KINDS,
            anchor="the-wrong-kind-of-dify-app",
        ),
        Rule(
            RateLimitError,
            status=(403,),
            text="request rate limit",
            hint="The knowledge bases of this plan are asked too often: try again later.",
        ),
        Rule(
            status=(404,),
            text="^conversation not exists",
            hint="It is unknown, or another user's: is user=... the one that began it?",
        ),
    ),
)
