"""Fireworks: completions, chat completions, models, embeddings and ranking."""

from typing import cast

from starlette.responses import Response

from qaip_sandbox._wire import event
from qaip_sandbox.service import Call, Handler, Route, Service, bearer
from qaip_sandbox.switches import Switches

from .completing import chat, complete
from .errors import FAILURES, Flaw, envelope, refusal, telling
from .models import models
from .similarity import embeddings, rerank
from .switches import FireworksSwitches

__all__ = ["FIREWORKS", "FireworksSwitches"]

_KEY = "FIREWORKS_API_KEY"


def _authorize(call: Call, key_name: str) -> Response | None:
    if bearer(call.headers) == call.key(key_name):
        return None
    return _failed(401, call.switches, None)


def _failed(status: int, switches: Switches, message: str | None) -> Response:
    words, code = FAILURES.get(status) or FAILURES[status // 100 * 100]
    return refusal(Flaw(status, message or words, code), _own(switches))


def _error_event(switches: Switches, message: str | None) -> bytes:
    # A stream has no room for a page.
    form = _own(switches).envelope or "error"
    flaw = Flaw(500, message or FAILURES[500][0], "INTERNAL")
    return event(envelope(flaw, "error" if form == "html" else form))


def _own(switches: Switches) -> FireworksSwitches:
    return cast("FireworksSwitches", switches)


def _post(path: str, handler: Handler) -> Route:
    return Route("POST", path, telling(handler), _KEY)


FIREWORKS = Service(
    name="fireworks",
    base_path="/fireworks/inference/v1",
    base_url_name="FIREWORKS_API_BASE",
    keys={_KEY: "sandbox-fireworks-key"},
    routes=(
        _post("/completions", complete),
        _post("/chat/completions", chat),
        _post("/embeddings", embeddings),
        _post("/rerank", rerank),
        Route("GET", "/models", telling(models), _KEY),
    ),
    authorize=_authorize,
    failed=_failed,
    error_event=_error_event,
    ping=lambda _: b"",
    switches=FireworksSwitches,
)
