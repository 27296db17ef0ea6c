"""What a model can do, as LangChain's agents and middleware ask it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qaip_core import ModelInfo
from qaip_core.backend import Endpoint

__all__ = ["listed_facts", "profile"]

_MEDIA = {
    "image_inputs": "image_url",
    "image_url_inputs": "image_url",
    "pdf_inputs": "file_url",
    "video_inputs": "video_url",
}
# What a service's list of models says, by LangChain's names.
_LISTED = {
    "supports_tools": ("tool_calling", "tool_choice", "tool_call_streaming"),
    "supports_image_input": ("image_inputs", "image_url_inputs"),
}


def profile(endpoint: Endpoint, model: str | None) -> dict[str, Any]:
    """Return what is known of a model behind an endpoint without asking the service.

    Where the service hosts models of many kinds, what it takes besides text differs from model
    to model and is left out.
    """
    context = endpoint.context_of(model)
    tools = endpoint.takes("tools")
    media = {} if endpoint.models else {k: v in endpoint.parts for k, v in _MEDIA.items()}
    return {
        **({"max_input_tokens": context} if context else {}),
        "text_inputs": True,
        "text_outputs": True,
        "audio_inputs": False,
        **media,
        "image_outputs": False,
        "audio_outputs": False,
        "video_outputs": False,
        "tool_calling": tools,
        "tool_choice": tools,
        "tool_call_streaming": tools,
        "structured_output": "json_schema" in endpoint.formats,
        "temperature": endpoint.takes("temperature"),
    }


def listed_facts(model: ModelInfo) -> dict[str, Any]:
    """Return what the service's list of models says of one of them."""
    said: Mapping[str, Any] = model.metadata
    known = {key: said[key] for key in _LISTED if said.get(key) is not None}
    facts = {name: value for key, value in known.items() for name in _LISTED[key]}
    if model.context_length:
        facts["max_input_tokens"] = model.context_length
    return {"name": model.id, **facts}
