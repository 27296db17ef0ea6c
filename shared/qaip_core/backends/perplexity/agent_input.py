"""From turns and parameters to the body of a request to Perplexity's agent."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from qaip_core.backends._prompts import as_turns, parts_of, text_of
from qaip_core.backends.perplexity._service import PERPLEXITY
from qaip_core.backends.perplexity.agent_tools import merged
from qaip_core.errors import InvalidParameterError
from qaip_core.types import Message, Part, Prompt, ToolCall

__all__ = ["PARTS", "encode", "items", "sent"]

logger = logging.getLogger("qaip_core")

PARTS = frozenset({"image_url", "file_url"})
"""The kinds of content that a turn may hold besides text."""

_BUNDLES = ("effort", "preset")
_MAX_LINK = 2048
_SERVICE = "Perplexity's agent"


def encode(prompt: Prompt, params: dict[str, Any], stream: bool) -> dict[str, Any]:
    """Return the body of a request.

    Raises:
        InvalidParameterError: no model is named, or something in it would be refused.
    """
    body = {**sent(params), "input": prompt if isinstance(prompt, str) else items(prompt)}
    return {**body, "stream": True} if stream else body


def sent(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters as the service takes them: tools in one list, reasoning in one place.

    Raises:
        InvalidParameterError: no model is named, or one that needs more.
    """
    search, served = params.pop("web_search", None), params.pop("server_tools", ())
    models = params.get("models") or [params.get("model")]
    if not any((*models, *map(params.get, _BUNDLES))):
        raise InvalidParameterError(
            f"{_SERVICE} needs one of model, models, effort and preset: pass "
            'model="perplexity/sonar", web_search=True, or effort="low"'
        )
    if "max_output_tokens" not in params and any(str(m).startswith("anthropic/") for m in models):
        raise InvalidParameterError("models of Anthropic need max_tokens: pass max_tokens=...")
    tools = merged(search, served, params.pop("tools", ()))
    if not tools and search is None and not any(map(params.get, _BUNDLES)):
        _tell_that_nothing_is_searched()
    if effort := params.pop("reasoning_effort", None):
        params["reasoning"] = {"effort": effort}
    return {**params, "tools": tools} if tools else params


@functools.cache  # once for a program, which may ask a hundred thousand questions
def _tell_that_nothing_is_searched() -> None:
    logger.warning(
        "%s does not search: a model alone has no tools. Pass web_search=True for answers "
        "from the web with sources, web_search=False if this is meant.",
        _SERVICE,
    )


def items(prompt: Prompt) -> list[dict[str, Any]]:
    """Return turns as the items of an input.

    Raises:
        InvalidParameterError: a turn holds what the service does not take.
    """
    called: dict[str, ToolCall] = {}
    return [item for turn in as_turns(prompt) for item in _items(turn, called)]


def _items(turn: Message, called: dict[str, ToolCall]) -> Iterator[dict[str, Any]]:
    """Yield the items of a turn; calls are kept, since their results tell of them again."""
    if turn.role == "tool":
        yield _result(turn, called)
        return
    content = parts_of(turn, PERPLEXITY.title, PARTS)
    if content or not turn.tool_calls:
        said = content if isinstance(content, str) else [_part(part) for part in content]
        yield {"type": "message", "role": turn.role, "content": said}
    for call in turn.tool_calls:
        call_id = call.id or f"call_{call.index}"
        called[call_id] = call
        yield {
            "type": "function_call",
            "call_id": call_id,
            "name": call.name,
            "arguments": call.arguments,
            **_signed(call),
        }


def _result(turn: Message, called: Mapping[str, ToolCall]) -> dict[str, Any]:
    call_id = turn.tool_call_id or ""
    call = called.get(call_id)
    more = {"name": call.name, **_signed(call)} if call else {}
    output = text_of(turn, PERPLEXITY.title)
    return {"type": "function_call_output", "call_id": call_id, "output": output, **more}


def _signed(call: ToolCall) -> dict[str, Any]:
    return {"thought_signature": call.signature} if call.signature else {}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case {"type": "text"}:
            return {"type": "input_text", "text": str(part.get("text", ""))}
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            if len(url) > _MAX_LINK and not url.startswith("data:"):
                raise InvalidParameterError(
                    f"{_SERVICE} takes links to images of at most {_MAX_LINK} characters"
                )
            return {"type": "input_image", "image_url": url}
        case {"type": "file_url", "file_url": {"url": str(held)} | str(held)}:
            place = "file_url" if held.startswith(("http://", "https://")) else "file_data"
            named = {"filename": part["file_name"]} if part.get("file_name") else {}
            return {"type": "input_file", place: held, **named}
    raise InvalidParameterError(f"an incomplete part, of type {part.get('type')!r}: it has no url")
