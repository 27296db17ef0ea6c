"""Fireworks AI: chat completions, text completions, the list of models.

Vendor page: https://docs.fireworks.ai/api-reference/introduction
"""

from collections.abc import Mapping
from typing import Any

from qaip_core.backends._openai import (
    ChunkDecoder,
    Shape,
    WireChunk,
    chat,
    completions,
    decode_whole,
)
from qaip_core.backends._prompts import parts_of
from qaip_core.backends.fireworks._service import FIREWORKS
from qaip_core.backends.fireworks.models import MODELS
from qaip_core.backends.fireworks.params import FireworksChatParams, FireworksTextParams
from qaip_core.types import Completion, Message

__all__ = ["CHAT", "TEXT"]

_WHOLE_TOKENS = 4096
"""Above this the service answers streams only."""


class _Chunk(WireChunk, total=False):
    perf_metrics: dict[str, Any] | None
    raw_output: dict[str, Any] | None


_SHAPE = Shape(_Chunk, FIREWORKS.rules, ("perf_metrics", "raw_output"))


_PARTS = frozenset({"image_url", "video_url"})


def _turn(message: Message) -> dict[str, Any]:
    content = parts_of(message, FIREWORKS.title, _PARTS)
    turn: dict[str, Any] = {"role": message.role, "content": content}
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id or f"call_{call.index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return turn


def _must_stream(params: Mapping[str, Any]) -> bool:
    tokens = params.get("max_tokens") or params.get("max_completion_tokens") or 0
    return isinstance(tokens, int) and tokens > _WHOLE_TOKENS


# As the service's list of models gave them; it may know more by now: see `listed`.
_CONTEXTS = {
    "deepseek-r1-0528": 163_840,
    "deepseek-v3-0324": 163_840,
    "deepseek-v3p1": 163_840,
    "deepseek-v3p1-terminus": 163_840,
    "glm-4p5": 131_072,
    "glm-4p6": 202_752,
    "gpt-oss-120b": 131_072,
    "gpt-oss-20b": 131_072,
    "kimi-k2-instruct": 131_072,
    "kimi-k2-instruct-0905": 262_144,
    "llama-v3p1-8b-instruct": 131_072,
    "llama-v3p1-70b-instruct": 131_072,
    "llama-v3p1-405b-instruct": 131_072,
    "llama-v3p3-70b-instruct": 131_072,
    "llama4-maverick-instruct-basic": 1_048_576,
    "llama4-scout-instruct-basic": 1_048_576,
    "minimax-m2": 131_072,
    "qwen3-235b-a22b": 131_072,
    "qwen3-235b-a22b-instruct-2507": 262_144,
    "qwen3-235b-a22b-thinking-2507": 262_144,
    "qwen3-8b": 40_960,
    "qwen3-coder-480b-a35b-instruct": 262_144,
}


def _decode(body: Any) -> Completion:
    answer = decode_whole(_SHAPE, body)
    if any(not _DETAILS.isdisjoint(part) for part in (body, *body["choices"])):
        from qaip_core.backends.fireworks.details import with_details

        return with_details(answer, body)
    return answer


def _decoder(params: Mapping[str, Any]) -> ChunkDecoder:
    if params.get("return_token_ids") or params.get("raw_output"):
        from qaip_core.backends.fireworks.details import DetailedDecoder

        return DetailedDecoder(params, _SHAPE)
    return ChunkDecoder(params, _SHAPE)


_DETAILS = frozenset({"prompt_token_ids", "raw_output", "token_ids"})


TEXT = completions(
    FIREWORKS,
    _SHAPE,
    FireworksTextParams,
    must_stream=_must_stream,
    contexts=_CONTEXTS,
    decode=_decode,
    decoder=_decoder,
)
CHAT = chat(
    FIREWORKS,
    _SHAPE,
    FireworksChatParams,
    _turn,
    must_stream=_must_stream,
    parts=_PARTS,
    formats=frozenset({"json_object", "json_schema", "grammar"}),
    models=MODELS,
    contexts=_CONTEXTS,
    decode=_decode,
    decoder=_decoder,
)
