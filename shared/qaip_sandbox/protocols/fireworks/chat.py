"""A request for a chat completion: messages, tools, and which of them to call."""

from typing import Annotated, Any, Literal

from pydantic import Field

from .errors import invalid
from .sampling import Sampling, Strict

__all__ = ["Chat", "Function", "Named"]

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Address = Annotated[str, Field(pattern=r"^(?:https?:|data:)")]


class _TextPart(Strict):
    type: Literal["text"]
    text: str


class _Link(Strict):
    url: _Address
    detail: Literal["auto", "low", "high"] | None = None


class _ImagePart(Strict):
    type: Literal["image_url"]
    image_url: _Link


class _VideoPart(Strict):
    type: Literal["video_url"]
    video_url: _Link


_Part = Annotated[_TextPart | _ImagePart | _VideoPart, Field(discriminator="type")]


class _Called(Strict):
    name: str
    arguments: str


class _ToolCall(Strict):
    id: str
    type: Literal["function"]
    function: _Called


class _Message(Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


class Function(Strict):
    """What a tool does when it is called."""

    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Strict):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function


class _FunctionName(Strict):
    name: str


class Named(Strict):
    """The choice of one tool by its name."""

    type: Literal["function"]
    function: _FunctionName


class Chat(Sampling):
    """A request for a chat completion."""

    messages: Annotated[list[_Message], Field(min_length=1)]
    tools: list[Tool] | None = None
    # The last type of a union is the one whose fault is reported: that of a string says most.
    tool_choice: Named | Literal["auto", "none", "required", "any"] | None = None
    parallel_tool_calls: bool | None = None
    prompt_truncate_len: int | None = None
    safe_tokenization: bool | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None

    def check(self) -> None:
        """Check what the fields say of one another.

        Raises:
            Flaw: a tool is chosen or answered that there is not.
        """
        names = [tool.function.name for tool in self.tools or []]
        choice = self.tool_choice
        if isinstance(choice, Named) and choice.function.name not in names:
            raise invalid(
                f"tool_choice names {choice.function.name!r}, which is not one of the tools"
            )
        if choice in ("required", "any") and not names:
            raise invalid(f"tool_choice is {choice!r}, but there are no tools")
        calls: set[str] = set()
        for place, message in enumerate(self.messages):
            calls.update(call.id for call in message.tool_calls or [])
            if message.role == "tool" and message.tool_call_id not in calls:
                raise invalid(
                    "tool_call_id does not match a tool call of an earlier message, "
                    f"field: 'messages.{place}.tool_call_id', value: {message.tool_call_id!r}"
                )
