"""The kinds of app that answer, and what their calls may hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, field_validator

from .bodies import Argument, uuid_or_empty
from .refusals import refusal
from .switches import DifySwitches

__all__ = ["CHAT", "COMPLETION", "WORKFLOW", "App", "check_kind", "mode_of"]


# The models are named as the service's own, because the texts of their errors name them.
class CompletionRequestPayload(BaseModel):
    """What the newer releases take for a completion app."""

    inputs: dict[str, Any]
    query: str = ""
    files: list[dict[str, Any]] | None = None
    response_mode: Literal["blocking", "streaming"] | None = None


class ChatRequestPayload(BaseModel):
    """What the newer releases take for a chat app."""

    inputs: dict[str, Any]
    query: str
    files: list[dict[str, Any]] | None = None
    response_mode: Literal["blocking", "streaming"] | None = None
    conversation_id: str | None = None
    auto_generate_name: bool = True

    @field_validator("conversation_id", mode="before")
    @classmethod
    def _is_uuid(cls, value: Any) -> str | None:
        try:
            return uuid_or_empty(value) or None
        except ValueError:
            raise ValueError("conversation_id must be a valid UUID") from None


class WorkflowRunPayload(BaseModel):
    """What the newer releases take for a workflow app."""

    inputs: dict[str, Any]
    files: list[dict[str, Any]] | None = None
    response_mode: Literal["blocking", "streaming"] | None = None


@dataclass(frozen=True, slots=True)
class App:
    """A kind of app: its fields, the apps that its path serves, and what others are told."""

    mode: str
    arguments: Sequence[Argument]
    model: type[BaseModel]
    serves: frozenset[str]
    refused: tuple[int, str, str]


_MODES = ("blocking", "streaming")
COMPLETION = App(
    "completion",
    (
        Argument("inputs", dict, "Input parameters for completion", required=True),
        Argument("query", str, default=""),
        Argument("files", list),
        Argument("response_mode", str, "Response mode", choices=_MODES, default="blocking"),
    ),
    CompletionRequestPayload,
    frozenset({"any", "completion"}),
    (400, "app_unavailable", "App unavailable, please check your app configurations."),
)
CHAT = App(
    "chat",
    (
        Argument("inputs", dict, "Input parameters for chat", required=True),
        Argument("query", str, "Chat query", required=True),
        Argument("files", list),
        Argument("response_mode", str, "Response mode", choices=_MODES, default="blocking"),
        Argument("conversation_id", uuid_or_empty, "Existing conversation ID"),
        Argument("auto_generate_name", bool, "Auto generate conversation name", default=True),
    ),
    ChatRequestPayload,
    frozenset({"any", "chat", "agent-chat", "advanced-chat"}),
    (400, "not_chat_app", "Please check if your app mode matches the right API route."),
)
WORKFLOW = App(
    "workflow",
    (
        Argument("inputs", dict, "Input parameters for workflow", required=True),
        Argument("files", list),
        Argument("response_mode", str, "Response mode", choices=_MODES, default="blocking"),
    ),
    WorkflowRunPayload,
    frozenset({"any", "workflow"}),
    (400, "not_workflow_app", "Please check if your app mode matches the right API route."),
)


def check_kind(switches: DifySwitches, app: App) -> None:
    """Check that the key belongs to an app of this kind.

    Raises:
        Refusal: it does not.
    """
    if switches.app not in app.serves:
        raise refusal(switches, *app.refused)


def mode_of(switches: DifySwitches) -> str:
    """Return the kind of the app, as it tells it."""
    return "completion" if switches.app == "any" else switches.app
