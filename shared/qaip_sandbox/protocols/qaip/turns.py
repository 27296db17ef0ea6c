"""The turn that a completion adds to a conversation."""

from collections.abc import Sequence
from dataclasses import dataclass

from qaip_sandbox._wire import Json
from qaip_sandbox.service import Call
from qaip_sandbox.text import pieces

from .conversations import Conversation, Conversations, Node
from .errors import refused
from .filters import Filters
from .request import Completion, LaterCompletion
from .switches import QaipSwitches

__all__ = ["Turn", "begin"]


@dataclass(slots=True)
class Turn:
    """A question in its conversation; `messages` is what the model is told."""

    conversation: Conversation
    messages: Sequence[Json]
    question: Node | None
    again: str | None = None
    """The question that is answered again, which is not stored again."""
    answer: Node | None = None

    def ids(self) -> Json:
        """Return what identifies the turn; null for what was not stored."""
        stored = self.question.id if self.question else self.again
        return {
            "conversation_id": self.conversation.id,
            "user_message_id": stored,
            "assistant_message_id": self.answer.id if self.answer else None,
        }

    def store(self, call: Call, text: str, citations: Json, extras: Json) -> None:
        """Store the turn with its answer, unless the conversation is full."""
        conversation = self.conversation
        if conversation.full:
            self.question = None
            return
        if self.question:
            conversation.add(self.question)
        parent = self.question.id if self.question else self.again
        self.answer = conversation.add(Node("assistant", text, parent, citations, extras=extras))
        call.remembered(Conversations).keep(conversation)


def begin(call: Call, request: Completion) -> Turn:
    """Return the turn that a request begins; one that has no place in a conversation is refused."""
    messages = [message.model_dump() for message in request.messages]
    asked = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
    snapshot = request.model_dump(include=set(_FILTERS), exclude_unset=True, mode="json")
    if not isinstance(request, LaterCompletion) or request.conversation_id is None:
        principal = request.principal_id if isinstance(request, LaterCompletion) else None
        conversation = call.remembered(Conversations).begin(asked, principal)
        return Turn(conversation, messages, Node("user", asked, None, snapshot=snapshot))
    conversation = _known(call, request)
    parent = str(request.parent_message_id or "") or conversation.leaf
    if parent is not None and parent not in conversation.nodes:
        raise refused(call, 400, "parent_message_id: not a message of the conversation")
    history = conversation.path(parent)
    if request.regenerate:
        if history[-1].role != "user":
            raise refused(call, 400, "regenerate: parent_message_id must be a user message")
        return Turn(conversation, _fitting(call, request, history), None, parent)
    question = Node("user", asked, parent, snapshot=snapshot)
    return Turn(conversation, _fitting(call, request, [*history, question]), question)


_FILTERS = Filters.model_fields.keys() | LaterCompletion.model_fields.keys() - {
    "messages", "stream", "citation", "conversation_id", "parent_message_id", "regenerate",
}  # fmt: skip


def _known(call: Call, request: LaterCompletion) -> Conversation:
    wanted = str(request.conversation_id)
    found = call.remembered(Conversations).find(wanted, request.principal_id)
    if found is None:
        raise refused(call, 404, "Unknown conversation.")
    return found


def _fitting(call: Call, request: LaterCompletion, path: Sequence[Node]) -> list[Json]:
    """Return a path as messages, without its oldest turns where it is too long."""
    room = call.switched(QaipSwitches).history
    kept: list[Json] = []
    for node in reversed(path):
        room -= len(pieces(node.content))
        # The latest question stays, however long it is.
        if room < 0 and kept:
            if request.truncation == "disabled":
                raise refused(call, 400, "The conversation is too long for the model.")
            break
        kept.insert(0, {"role": node.role, "content": node.content})
    return kept
