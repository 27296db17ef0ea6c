"""Dify as a service: where it is, and what its errors mean."""

from __future__ import annotations

from qaip_core.backend import Backend
from qaip_core.errors import RateLimitError
from qaip_core.report import Rule

__all__ = ["DIFY"]

_BUSY = "The app serves as many requests as it may: try again, or raise its limit."

DIFY = Backend(
    name="dify",
    title="Dify",
    base_url="https://api.dify.ai/v1",
    key_env=("DIFY_API_KEY",),
    url_env=("DIFY_BASE_URL",),
    docs="the app's page, API access",
    normalise_url=lambda url: url.removesuffix("/completion-messages"),
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
            code=("app_unavailable",),
            hint="Is the key one of a completion (text generator) app, and is it published?",
        ),
    ),
)
