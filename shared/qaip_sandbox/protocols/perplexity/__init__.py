"""Perplexity: chat completions in their generations, and the agent and search calls."""

from qaip_sandbox.service import Handler, Route, Service

from .agent import cancel, create, retrieve
from .chat import chat
from .errors import authorize, error_event, failed, ping, retired
from .models import models
from .search import search
from .switches import PerplexitySwitches

__all__ = ["PERPLEXITY", "PerplexitySwitches"]

_KEY = "PERPLEXITY_API_KEY"
_AGENT = ("/v1/agent", "/v1/responses")


def _posts(handler: Handler, *paths: str) -> tuple[Route, ...]:
    return tuple(Route("POST", path, handler, _KEY) for path in paths)


def _gets(handler: Handler, *paths: str) -> tuple[Route, ...]:
    return tuple(Route("GET", path, handler, _KEY) for path in paths)


PERPLEXITY = Service(
    name="perplexity",
    base_path="/perplexity",
    base_url_name="PERPLEXITY_BASE_URL",
    keys={_KEY: "pplx-sandbox-key"},
    routes=(
        *_posts(chat, "/chat/completions", "/v1/chat/completions", "/v1/sonar"),
        *_posts(create, *_AGENT),
        *_gets(retrieve, *(f"{path}/{{response_id}}" for path in _AGENT)),
        *_posts(cancel, *(f"{path}/{{response_id}}/cancel" for path in _AGENT)),
        *_posts(search, "/search"),
        *_gets(models, "/v1/models"),
        *_posts(retired, "/async/chat/completions", "/v1/async/sonar"),
        *_gets(
            retired,
            "/async/chat/completions",
            "/async/chat/completions/{request_id}",
            "/v1/async/sonar",
            "/v1/async/sonar/{request_id}",
        ),
    ),
    authorize=authorize,
    failed=failed,
    error_event=error_event,
    ping=ping,
    switches=PerplexitySwitches,
)
