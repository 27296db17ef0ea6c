"""The operations on stored conversations."""

from starlette.responses import Response

from qaip_sandbox._wire import json_response, request_id
from qaip_sandbox.service import Call

from .conversations import Conversation, Conversations
from .errors import refused
from .request import Page, Renaming, checked, id_of, parse
from .switches import QaipSwitches

__all__ = ["change", "forget", "listed", "read"]


async def listed(call: Call) -> Response:
    """Answer with the conversations of a principal, the latest first."""
    _check_profile(call)
    page = checked(Page, call.parameters, call)
    found = call.remembered(Conversations).page(
        page.principal_id, page.offset, page.limit, everyone=page.all_principals
    )
    return json_response({"conversations": found}, headers={"X-Request-ID": request_id()})


async def read(call: Call) -> Response:
    """Answer with a conversation and its messages."""
    conversation = _known(call)
    leaf = call.parameters.get("leaf_id", conversation.leaf)
    _check_leaf(call, conversation, leaf)
    return json_response(conversation.detail(leaf), headers={"X-Request-ID": request_id()})


async def change(call: Call) -> Response:
    """Give a conversation another title, or make another branch the current one."""
    conversation = _known(call)
    wanted = parse(Renaming, call)
    if wanted.current_leaf_id is not None:
        leaf = str(wanted.current_leaf_id)
        _check_leaf(call, conversation, leaf)
        conversation.leaf = leaf
    if wanted.title is not None:
        conversation.title = wanted.title
    conversation.touch()
    call.remembered(Conversations).keep(conversation)
    return json_response(conversation.brief(), headers={"X-Request-ID": request_id()})


async def forget(call: Call) -> Response:
    """Delete a conversation."""
    call.remembered(Conversations).drop(_known(call))
    return Response(status_code=204, headers={"X-Request-ID": request_id()})


def _check_profile(call: Call) -> None:
    if call.switched(QaipSwitches).profile == "seed":
        raise refused(call, 404)


def _known(call: Call) -> Conversation:
    _check_profile(call)
    principal = call.parameters.get("principal_id")
    found = call.remembered(Conversations).find(id_of(call), principal)
    if found is None:
        raise refused(call, 404, "Unknown conversation.")
    return found


def _check_leaf(call: Call, conversation: Conversation, leaf: str | None) -> None:
    if leaf is not None and leaf not in conversation.nodes:
        raise refused(call, 400, "The leaf is not a message of the conversation.")
