"""The models that the agent call offers."""

from starlette.responses import Response

from qaip_sandbox._wire import Json, json_response
from qaip_sandbox.service import Call

__all__ = ["PRESETS", "PRESET_MODEL", "models", "supported"]

PRESET_MODEL = "openai/gpt-6-luna"
"""The model that every preset runs."""

PRESETS = frozenset(
    {
        "fast", "low", "medium", "high", "xhigh", "wide-research",
        "fast-search", "pro-search", "deep-research",
    }
)  # fmt: skip
"""The names of bundles of a model, a prompt and tools."""

_LISTED = ("perplexity/sonar", PRESET_MODEL)
_PRICES = {"input": 1.0, "output": 1.0, "cache_read": 0.1, "unit": "usd_per_million_tokens"}


def supported(name: str) -> bool:
    """Say whether the agent runs the model `name`: any but those that Perplexity never had."""
    provider, _, model = name.partition("/")
    return bool(provider and model) and (provider != "perplexity" or name in _LISTED)


async def models(_: Call) -> Response:
    """Answer with the list of models."""
    return json_response({"object": "list", "data": [_model(name) for name in _LISTED]})


def _model(name: str) -> Json:
    provider = name.partition("/")[0]
    about = {"id": name, "object": "model", "created": 0, "owned_by": provider}
    return {**about, "pricing": _PRICES}
