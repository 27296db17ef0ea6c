"""The list of models: the one that the sandbox has."""

from starlette.responses import Response

from qaip_sandbox._wire import json_response
from qaip_sandbox.service import Call

from .errors import Flaw
from .switches import FireworksSwitches

__all__ = ["models"]

_KEYS = {
    "bare": ("id", "object", "created"),
    "owned": ("id", "object", "owned_by", "created"),
}


async def models(call: Call) -> Response:
    """List the models."""
    switches = call.switched(FireworksSwitches)
    told = switches.models or switches.facts.models
    if told == "failing":
        raise Flaw(500, "Error listing deployed models", "INTERNAL")
    since = max((document.modified for document in call.library.documents), default=0)
    model = {
        "id": "accounts/sandbox/models/extractive",
        "object": "model",
        "owned_by": "sandbox",
        "created": since,
        "kind": "CUSTOM_MODEL",
        "supports_chat": True,
        "supports_image_input": True,
        "supports_tools": True,
        "context_length": switches.context,
    }
    told_of = {key: model[key] for key in _KEYS.get(told, model)}
    return json_response({"object": "list", "data": [told_of]})
