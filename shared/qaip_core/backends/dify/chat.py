"""Dify's chat, agent and chatflow apps, whose conversations the service keeps.

Vendor page: https://docs.dify.ai/api-reference/chat/send-chat-message
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import AfterValidator

from qaip_core.backend import Endpoint
from qaip_core.backends._prompts import as_turns, text_of
from qaip_core.backends.dify._answers import Decoder, decode
from qaip_core.backends.dify._files import PARTS, apart
from qaip_core.backends.dify._params import (
    DifyAppParams,
    cancel,
    errands,
    must_stream,
    shared,
    written,
)
from qaip_core.backends.dify._service import DIFY
from qaip_core.errors import InvalidParameterError
from qaip_core.types import Message, Prompt

__all__ = ["CHAT", "ConversationId", "DifyConversationParams"]


def _known(value: str) -> str:
    """Refuse what the service would not know, and say where an id comes from."""
    if value:
        try:
            UUID(value)
        except ValueError:
            raise ValueError('it is a UUID, as an answer\'s metadata has it, or ""') from None
    return value


ConversationId: TypeAlias = Annotated[str, AfterValidator(_known)]


class DifyConversationParams(DifyAppParams):
    """Parameters of a chat, agent or chatflow app; the rest is set in the app itself.

    The service keeps the conversation. With a ``conversation_id`` it knows what was said before,
    and only what the user said last is sent. Without one a conversation begins, whose id comes
    with the answer; messages of an earlier one, if there are, are written into its first query,
    as `DifyAppParams.prompt_template` says.

    Parameters:
        conversation_id: the conversation that goes on, a UUID; "" or nothing for a new one.
        auto_generate_name: whether a new conversation gets a name of its own; the service's
            default is True.

    The others are those of `DifyAppParams`: variables, turn_template, prompt_template, user,
    files, max_file_mb, response_mode, stop_on_close, check_inputs. ``variables`` count when a
    conversation begins. A ``user`` sees only conversations of that name.
    """

    conversation_id: ConversationId | None = None
    auto_generate_name: bool | None = None


def _encode(prompt: Prompt, params: dict[str, Any], stream: bool) -> dict[str, Any]:
    going_on = bool(params.get("conversation_id"))
    query, files = _said_last(prompt, params) if going_on else written(prompt, params)
    own = {k: v for k, v in params.items() if k in ("conversation_id", "auto_generate_name")}
    inputs = params.get("inputs", {})
    return {"inputs": inputs, "query": query, **own, **shared(params, files, stream=stream)}


def _said_last(prompt: Prompt, params: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Return what the user said after the last answer: the service knows all that was before."""
    said: list[Message] = []
    for turn in reversed(as_turns(prompt)):
        if turn.role == "assistant":
            break
        if turn.role == "user":
            said.insert(0, turn)
    if not said:
        raise InvalidParameterError(
            "the conversation goes on with what the user says: end the messages with that"
        )
    texts, files = apart(said)
    query = "\n".join(text_of(turn, DIFY.title) for turn in as_turns(texts))
    return query, [*params.get("files", ()), *files]


CHAT = Endpoint(
    backend=DIFY,
    path="/chat-messages",
    params=DifyConversationParams,
    encode=_encode,
    decode=decode,
    decoder=Decoder,
    kind="conversation",
    cites=True,
    markers=False,  # the text is the app's model's; a [1] in it may mean anything
    parts=PARTS,
    model="dify",
    must_stream=must_stream,
    errands=partial(errands, ("chat", "agent-chat", "advanced-chat")),
    cancel=partial(cancel, "/chat-messages"),
)
