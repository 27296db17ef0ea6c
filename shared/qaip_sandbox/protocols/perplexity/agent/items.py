"""The items of the agent's input: messages, calls of functions, and what these returned."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Tag

from qaip_sandbox._wire import Json

from .tools import Strict

__all__ = ["Input", "turns_of"]


def _image(url: str) -> str:
    if not url.startswith("data:") and len(url) > 2048:
        raise ValueError("must have at most 2048 characters")
    return url


class _Text(Strict):
    type: Literal["input_text"]
    text: str


class _Image(Strict):
    type: Literal["input_image"]
    image_url: Annotated[str, AfterValidator(_image)]


class _File(Strict):
    type: Literal["input_file"]
    file_url: str | None = None
    file_data: str | None = None
    filename: str | None = None


def _shape(value: Any) -> str:
    return "string" if isinstance(value, str) else "array"


def _kind(value: Any) -> Any:
    return value.get("type", "message") if isinstance(value, dict) else None


_Part = Annotated[
    Annotated[_Text, Tag("input_text")]
    | Annotated[_Image, Tag("input_image")]
    | Annotated[_File, Tag("input_file")],
    Discriminator(_kind),
]


class _Message(Strict):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[
        Annotated[str, Tag("string")] | Annotated[list[_Part], Tag("array")], Discriminator(_shape)
    ]

    def turn(self) -> Json:
        """Return the message as the protocols share it."""
        if isinstance(self.content, str):
            return {"role": self.role, "content": self.content}
        texts = [part.text for part in self.content if isinstance(part, _Text)]
        parts = [{"type": "text", "text": text} for text in texts]
        return {"role": self.role, "content": parts}


class _FunctionCall(Strict):
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None
    thought_signature: str | None = None

    def turn(self) -> Json:
        """Return the call as a message of the assistant."""
        return {"role": "assistant", "content": None, "call_id": self.call_id}


class _FunctionOutput(Strict):
    type: Literal["function_call_output"]
    call_id: str
    output: str
    name: str | None = None
    thought_signature: str | None = None

    def turn(self) -> Json:
        """Return the output as a message of a tool."""
        return {"role": "tool", "content": self.output, "answers": self.call_id}


_Item = Annotated[
    Annotated[_Message, Tag("message")]
    | Annotated[_FunctionCall, Tag("function_call")]
    | Annotated[_FunctionOutput, Tag("function_call_output")],
    Discriminator(_kind),
]

Input = Annotated[
    Annotated[str, Tag("string")] | Annotated[list[_Item], Tag("array")], Discriminator(_shape)
]
"""A question, or the items of a conversation."""


def turns_of(given: Input) -> list[Json]:
    """Return the input as messages that the protocols share."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return [item.turn() for item in given]
