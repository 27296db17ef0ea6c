"""How PAIS lets in and refuses, and how its engines fail."""

from collections.abc import Callable, Mapping, Sequence

from starlette.responses import Response

from qaip_sandbox._wire import Json, Refusal, event, json_response, request_id
from qaip_sandbox.service import Call, bearer
from qaip_sandbox.shelf import Shelf
from qaip_sandbox.switches import Switches

from .engines import ENGINES
from .statuses import status_of
from .switches import PAISSwitches

__all__ = ["authorize", "engine_error", "error_event", "failed", "ping", "refused", "unprocessable"]

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def _vllm(status: int, message: str) -> Json:
    kind = status_of(status).vllm
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def _llama_server(status: int, message: str) -> Json:
    kind = status_of(status).llama_server
    if status == 503:  # while it loads, another part of it answers
        return {"error": {"message": message, "type": kind, "code": status}}
    return {"error": {"code": status, "message": message, "type": kind}}


def _pais(status: int, message: str) -> Json:
    return {"detail": [{"error_code": status_of(status).code, "msg": message}]}


_BODIES: Mapping[str, Callable[[int, str], Json]] = {
    "fastapi": lambda _, message: {"detail": message},
    "pais": _pais,
    "vllm": _vllm,
    "llama_server": _llama_server,
}


def _refusal(
    switches: PAISSwitches, status: int, message: str | None = None, body: Json = None
) -> Response:
    """Return a refusal in its own words or in `message`; `body` takes the place of FastAPI's."""
    words = status_of(status).words
    headers = {"X-Request-ID": request_id(), **(_CHALLENGE if status == 401 else {})}
    if switches.errors == "empty":
        return Response(status_code=status, headers=headers)
    if switches.errors == "html":
        page = f"<html><body><h1>{status} {words}</h1></body></html>"
        return Response(page, status, headers, "text/html")
    if body is None or switches.errors not in ("fastapi", "pais"):
        body = _BODIES[switches.errors](status, message or words)
    response = json_response(body, status, headers)
    if switches.errors == "llama_server":
        response.headers["Content-Type"] = ENGINES["llama_server"].whole_type
    return response


def refused(call: Call, status: int, message: str, body: Json = None) -> Refusal:
    """Return what a handler raises to refuse."""
    return Refusal(_refusal(call.switched(PAISSwitches), status, message, body))


def unprocessable(call: Call, faults: Sequence[Json]) -> Refusal:
    """Return the refusal of a request that does not have the right form."""
    switches = call.switched(PAISSwitches)
    shown = [_pais_fault(fault) for fault in faults] if switches.errors == "pais" else list(faults)
    first = faults[0]
    words = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    # vLLM and llama.cpp know no 422.
    status = 400 if switches.errors in ("vllm", "llama_server") else 422
    return Refusal(_refusal(switches, status, words, {"detail": shown}))


def _pais_fault(fault: Json) -> Json:
    return {
        "error_code": "VALIDATION_ERROR",
        "loc": fault["loc"],
        "msg": fault["msg"],
        "value": fault["input"],
    }


def engine_error(
    call: Call, status: int, message: str, facts: Mapping[str, Mapping[str, Json]] | None = None
) -> Refusal:
    """Return a refusal by the engine, which the gateway passes on as it is.

    `facts` are further keys of the error, by the engine's shape of errors.
    """
    engine = ENGINES[call.switched(PAISSwitches).engine]
    body = _BODIES[engine.error or "vllm"](status, message)
    body["error"] |= (facts or {}).get(engine.error, {})
    headers = {"X-Request-ID": request_id(), "Content-Type": engine.whole_type}
    return Refusal(Response(engine.write(body), status, headers))


class _Uses(Shelf[str, int]):
    """How often each token was used."""


def authorize(call: Call, key_name: str) -> Response | None:
    """Return the refusal of a call without a good token, or None."""
    switches = call.switched(PAISSwitches)
    if switches.auth == "none":
        return None
    token, key = bearer(call.headers), call.key(key_name)
    if switches.auth == "static" and token == key:
        return None
    words = "Invalid access token" if token else "Not authenticated"
    if switches.auth == "expiring" and token and token.startswith(key):
        uses = call.remembered(_Uses)
        uses[token] = uses.get(token, 0) + 1
        if uses[token] <= switches.requests_per_token:
            return None
        words = "The access token has expired"
    return _refusal(switches, 401, words)


def failed(status: int, switches: Switches, message: str | None) -> Response:
    """Return any other failure."""
    return _refusal(PAISSwitches.chosen(switches), status, message)


def error_event(switches: Switches, message: str | None) -> bytes:
    """Return the failure of an engine in the middle of a stream; llama-cpp-python just ends."""
    chosen = PAISSwitches.chosen(switches)
    engine = ENGINES[chosen.engine]
    words = message or "The engine has failed."
    newline = engine.newline if chosen.framing == "own" else "\r\n"
    if not engine.error:
        return b""
    found = event(_BODIES[engine.error](500, words), newline)
    return found + b"data: [DONE]" + 2 * newline.encode() if engine.done_after_error else found


def ping(switches: Switches) -> bytes:
    """Return a keep-alive, empty where the engine sends none."""
    chosen = PAISSwitches.chosen(switches)
    gateway = chosen.framing == "gateway"
    engine = ENGINES["gateway" if gateway else chosen.engine]
    words = engine.ping()
    return (words + 2 * engine.newline).encode() if words else b""
