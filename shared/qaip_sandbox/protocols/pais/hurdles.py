"""What stands before an answer: models that are refused, and engines that are starting."""

from starlette.responses import Response

from qaip_sandbox._wire import Json, Refusal
from qaip_sandbox.service import Call
from qaip_sandbox.shelf import Shelf

from .engines import ENGINES
from .errors import engine_error, refused
from .switches import PAISSwitches

__all__ = ["check_model", "check_ready", "is_empty", "is_too_long"]

_REFUSED_MODELS = {
    "unknown-model": (404, "Unknown model endpoint requested."),
    "not-ready-model": (400, "Invalid model endpoint specified or model endpoint not ready."),
}
_COLD = "Error interacting with GenAI services"


class _Counts(Shelf[tuple[str, int], int]):
    """How many requests were hindered, by the name of a switch and by what it is set to.

    Thus those who ask for other numbers, or for none, do not disturb each other.
    """


def _hinders(call: Call, name: str) -> bool:
    """Count one more, and say whether it is one of those that the switch `name` hinders."""
    switches = call.switched(PAISSwitches)
    most: int = getattr(switches, name)
    counts = call.remembered(_Counts)
    if most:
        counts[name, most] = counts.get((name, most), 0) + 1
        return counts[name, most] <= most
    if name in switches.model_fields_set:
        for key in [key for key in counts if key[0] == name]:
            del counts[key]
    return False


def check_model(call: Call, model: str) -> None:
    """Refuse the two models that are there to be refused."""
    if model in _REFUSED_MODELS:
        raise refused(call, *_REFUSED_MODELS[model])


def check_ready(call: Call) -> None:
    """Refuse a request as long as the engine is starting."""
    if _hinders(call, "not_ready"):
        raise refused(call, *_REFUSED_MODELS["not-ready-model"])
    if _hinders(call, "cold_start"):
        fault = {"error_code": "AGENT_COMPLETION_FAILED", "msg": _COLD}
        raise refused(call, 502, _COLD, {"detail": [fault]})


def is_empty(call: Call) -> bool:
    """Say whether the engine is still so cold that its answer is empty."""
    return _hinders(call, "empty")


def is_too_long(call: Call, prompt: int, *, stream: bool) -> bool:
    """Say whether a prompt leaves no room for an answer; where that is an error, refuse it."""
    switches = call.switched(PAISSwitches)
    if prompt < switches.context:
        return False
    engine = ENGINES[switches.engine]
    if switches.overflow == "error" and stream and not engine.error:
        raise Refusal(Response(headers={"Content-Type": engine.stream_type}))
    if switches.overflow == "error":
        most = switches.context
        words = (
            f"You passed {prompt} input tokens. However, the model's context length is only "
            f"{most} tokens."
        )
        sizes = {"n_prompt_tokens": prompt, "n_ctx": most}
        facts: dict[str, dict[str, Json]] = {
            "vllm": {"param": "input_tokens"},
            "llama_server": {"type": "exceed_context_size_error", **sizes},
            "": {"type": "invalid_request_error", "code": "context_length_exceeded"},
        }
        raise engine_error(call, 400, words, facts)
    return True
