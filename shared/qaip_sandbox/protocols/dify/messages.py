"""What a user does with earlier answers: rate them, list them, name their conversations."""

import uuid
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from qaip_sandbox._wire import Json
from qaip_sandbox.service import Call

from .bodies import Argument, fields_of, json_body, user_of
from .kinds import CHAT, check_kind
from .past import Conversation, Message, Past
from .profiles import profile_of
from .refusals import invalid, not_found, nowhere, told
from .switches import DifySwitches

__all__ = ["conversations", "feedback", "messages", "rename"]

_Listed = TypeVar("_Listed", Message, Conversation)
_PAGE = 20
_MOST = 100
_DIGITS = 20  # of numbers that are worth reading
_NOBODY = "DEFAULT-USER"


class MessageFeedbackPayload(BaseModel):
    """What the newer releases take as a rating."""

    rating: Literal["like", "dislike"] | None = None
    content: str | None = None


class ConversationRenamePayload(BaseModel):
    """What the newer releases take as a name."""

    name: str | None = None
    auto_generate: bool = False


_RATING = (
    Argument("rating", str, choices=("like", "dislike", None)),
    Argument("content", str),
)
_NAMING = (Argument("name", str), Argument("auto_generate", bool, default=False))


async def feedback(call: Call) -> Response:
    """Rate a message, or take the rating back."""
    switches = call.switched(DifySwitches)
    body = json_body(call)
    user = user_of(switches, body)
    if not _is_uuid(call.parameters["message_id"]):
        return nowhere(switches)
    fields = fields_of(switches, body, _RATING, MessageFeedbackPayload)
    message = call.remembered(Past).messages.get(call.parameters["message_id"])
    if message is None or message.user != user:
        raise not_found(call, switches, "Message Not Exists.")
    if fields["rating"] is None and message.rating is None:
        raise invalid(switches, "rating cannot be None when feedback not exists")
    message.rating = fields["rating"]
    return told(switches, {"result": "success"})


async def messages(call: Call) -> Response:
    """List the messages of a conversation, the oldest of a page first."""
    switches, user = _reader(call)
    wanted = _asked_for(switches, call, "conversation_id")
    conversation = call.remembered(Past).conversations.get(wanted)
    if conversation is None or conversation.user != user:
        raise not_found(call, switches, "Conversation Not Exists.")
    past = [m for m in call.remembered(Past).messages.values() if m.conversation == wanted]
    page, more = _page(call, past[::-1], "first_id")
    return told(switches, _listing(call, [_message(switches, m) for m in page[::-1]], more=more))


async def conversations(call: Call) -> Response:
    """List a user's conversations, the latest first."""
    switches, user = _reader(call)
    mine = [c for c in call.remembered(Past).conversations.values() if c.user == user]
    page, more = _page(call, mine[::-1], "last_id")
    return told(switches, _listing(call, [_conversation(c) for c in page], more=more))


async def rename(call: Call) -> Response:
    """Give a conversation another name."""
    switches = call.switched(DifySwitches)
    body = json_body(call)
    user = user_of(switches, body)
    check_kind(switches, CHAT)
    fields = fields_of(switches, body, _NAMING, ConversationRenamePayload)
    found = call.remembered(Past).conversations.get(call.parameters["conversation_id"])
    if found is None or found.user != user:
        raise not_found(call, switches, "Conversation Not Exists.")
    if not fields["auto_generate"]:
        found.name = fields["name"] or found.name
    call.remembered(Past).renew(found)
    return told(switches, _conversation(found))


def _reader(call: Call) -> tuple[DifySwitches, str]:
    switches = call.switched(DifySwitches)
    check_kind(switches, CHAT)
    return switches, call.parameters.get("user") or _NOBODY


def _asked_for(switches: DifySwitches, call: Call, name: str) -> str:
    given = call.parameters.get(name, "")
    if not _is_uuid(given):
        raise invalid(switches, f"{given} is not a valid uuid." if given else f"{name} is missing")
    return given


def _is_uuid(text: str) -> bool:
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def _limit(call: Call) -> int:
    given = call.parameters.get("limit", "")
    if not given.isdecimal():
        return _PAGE
    return min(max(int(given), 1), _MOST) if len(given) < _DIGITS else _MOST


def _page(call: Call, items: Sequence[_Listed], after: str) -> tuple[Sequence[_Listed], bool]:
    """Return the items behind the one that a parameter names, and whether there are more."""
    last = call.parameters.get(after)
    ids = [item.id for item in items]
    rest = items[ids.index(last) + 1 :] if last in ids else items
    return rest[: _limit(call)], len(rest) > _limit(call)


def _listing(call: Call, data: list[Json], *, more: bool) -> Json:
    return {"limit": _limit(call), "has_more": more, "data": data}


def _message(switches: DifySwitches, message: Message) -> dict[str, Any]:
    parent: Json = {} if profile_of(switches).restful else {"parent_message_id": None}
    return {
        "id": message.id,
        "conversation_id": message.conversation,
        **parent,
        "inputs": message.inputs,
        "query": message.query,
        "answer": message.answer,
        "message_files": [],
        "feedback": {"rating": message.rating} if message.rating else None,
        "retriever_resources": message.resources,
        "created_at": message.created,
        "agent_thoughts": [],
        "status": "normal",
        "error": None,
    }


def _conversation(conversation: Conversation) -> Json:
    return {
        "id": conversation.id,
        "name": conversation.name,
        "inputs": conversation.inputs,
        "status": "normal",
        "introduction": "",
        "created_at": conversation.created,
        "updated_at": conversation.updated,
    }
