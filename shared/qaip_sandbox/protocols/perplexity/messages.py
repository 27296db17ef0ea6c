"""The messages of a chat: their parts, their order, and the files that they bring along."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

from .errors import refuse

__all__ = ["Attachment", "Message", "attachments", "check_order"]

_ALTERNATE = (
    "After the (optional) system message(s), user or tool message(s) should alternate with "
    "assistant message(s)."
)


_WEB = ("http://", "https://")


def _readable(url: str) -> str:
    try:
        urlsplit(url if url.startswith(_WEB) else "")
    except ValueError:
        raise ValueError("Input should be a valid URL") from None
    return url


def _address(url: str) -> str:
    if not url.startswith((*_WEB, "data:")):
        raise ValueError("Input should be an address of http, https or data")
    return _readable(url)


_Address = Annotated[str, AfterValidator(_address)]
# A file may also be bare base64, without a scheme before it.
_File = Annotated[str, Field(min_length=1), AfterValidator(_readable)]


class _TextPart(BaseModel):
    type: Literal["text"]
    text: str


class _Link(BaseModel):
    url: _Address


class _ImagePart(BaseModel):
    type: Literal["image_url"]
    image_url: _Link | _Address


class _FileLink(BaseModel):
    url: _File


class _FilePart(BaseModel):
    type: Literal["file_url"]
    file_url: _FileLink | _File
    file_name: str | None = None


class _PdfPart(BaseModel):
    type: Literal["pdf_url"]
    pdf_url: _FileLink | _File


class _Video(_Link):
    frame_interval: int | str | None = None


class _VideoPart(BaseModel):
    type: Literal["video_url"]
    video_url: _Video | _Address


_Part = Annotated[
    _TextPart | _ImagePart | _FilePart | _PdfPart | _VideoPart, Field(discriminator="type")
]


class Message(BaseModel):
    """One message of a chat."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message; its text is empty where it is not at hand."""

    name: str
    text: str


def attachments(messages: Sequence[Message]) -> tuple[Attachment, ...]:
    """Return the files of all messages, in order."""
    return tuple(_attached(messages))


def _attached(messages: Sequence[Message]) -> Iterator[Attachment]:
    for message in messages:
        for part in message.content if isinstance(message.content, list) else []:
            if isinstance(part, _FilePart):
                yield _attachment(part.file_url, part.file_name)
            elif isinstance(part, _PdfPart):
                yield _attachment(part.pdf_url, None)


def _attachment(link: _FileLink | str, name: str | None) -> Attachment:
    url = link if isinstance(link, str) else link.url
    path = urlsplit(url).path if url.startswith(_WEB) else ""
    return Attachment(name or path.rpartition("/")[2] or "attachment", _text(url))


def _text(url: str) -> str:
    try:
        text = base64.b64decode(url, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
    return "" if text.startswith("%PDF") or "\0" in text else text


def check_order(roles: Sequence[str]) -> None:
    """Check that the roles alternate, after the system's, and that the user is last.

    Raises:
        Refusal: they do not.
    """
    first = next((n for n, role in enumerate(roles) if role != "system"), len(roles))
    asking = [role in {"user", "tool"} for role in roles[first:]]
    if "system" in roles[first:] or any(
        asks == (place % 2 == 1) for place, asks in enumerate(asking)
    ):
        raise refuse(_ALTERNATE, "invalid_message")
    if not asking or not asking[-1]:
        raise refuse("Last message must have role `user`.", "invalid_message")
