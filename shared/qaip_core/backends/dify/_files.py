"""Files for Dify's apps: links, files uploaded before, and those that a prompt holds."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, model_validator

from qaip_core.backends._prompts import parts_of
from qaip_core.backends.dify._service import DIFY
from qaip_core.errors import InvalidParameterError
from qaip_core.types import Message, Part, Prompt

__all__ = [
    "LIMITS",
    "PARTS",
    "DifyFile",
    "FileType",
    "HeldFile",
    "apart",
    "decoded",
    "held_in",
    "type_of",
]

FileType: TypeAlias = Literal["image", "document", "audio", "video", "custom"]

PARTS = frozenset({"file_url", "image_url", "pdf_url", "video_url"})
"""The kinds of content, besides text, that become files."""

LIMITS: Mapping[str, int] = {"image": 10, "audio": 50, "video": 100}
"""The largest file of each type, in MB, unless a site has limits of its own."""

_EXTENSIONS: Mapping[FileType, str] = {
    "image": "jpg jpeg png gif webp svg",
    "document": "txt md mdx markdown pdf html htm xlsx xls vtt properties doc docx csv eml msg "
    "pptx ppt xml epub",
    "audio": "mp3 m4a wav amr mpga",
    "video": "mp4 mov mpeg webm",
}
_TYPES: Mapping[str, FileType] = {e: t for t, many in _EXTENSIONS.items() for e in many.split()}
# What a file without a name begins with; a name is made of it, for the extension's sake.
_MAGIC: Mapping[bytes, str] = {b"%PDF-": "pdf", b"\x89PNG": "png", b"\xff\xd8\xff": "jpg"}


class DifyFile(BaseModel, extra="forbid", defer_build=True):
    """A file for an app: a link, or one uploaded before (``upload`` of the classes returns it).

    Parameters:
        type: what it is to the app.
        transfer_method: "remote_url" with ``url``, "local_file" with ``upload_file_id``.
        url: where the service finds it.
        upload_file_id: its id, from the upload.
    """

    type: FileType
    transfer_method: Literal["remote_url", "local_file"]
    url: str | None = None
    upload_file_id: str | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> DifyFile:
        place = "url" if self.transfer_method == "remote_url" else "upload_file_id"
        if not getattr(self, place):
            raise ValueError(f"{self.transfer_method} needs {place}")
        return self


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file that a prompt holds; it stands in a body until it is uploaded.

    Parameters:
        name: its name, whose extension tells the service what it is.
        content: its bytes, in base64.
        media_type: such as "image/png"; None to tell it by the name.
    """

    name: str
    content: str = field(repr=False)
    media_type: str | None = None


def type_of(name: str) -> FileType:
    """Return what a file is to an app, by its name."""
    return _TYPES.get(name.rpartition(".")[2].lower(), "custom")


def apart(prompt: Prompt) -> tuple[Prompt, list[dict[str, Any]]]:
    """Return a prompt without its files, and the files as they stand in a body.

    Raises:
        InvalidParameterError: a part is of a kind that the service does not take, or unreadable.
    """
    if isinstance(prompt, str) or all(isinstance(turn.content, str) for turn in prompt):
        return prompt, []
    files = [file for turn in prompt for file in _files(turn)]
    return [_textual(turn) for turn in prompt], files


def _textual(turn: Message) -> Message:
    content = parts_of(turn, DIFY.title, PARTS)
    if isinstance(content, str) or all(part["type"] == "text" for part in content):
        return turn
    return replace(turn, content="\n".join(p["text"] for p in content if p["type"] == "text"))


def _files(turn: Message) -> Iterator[dict[str, Any]]:
    content = parts_of(turn, DIFY.title, PARTS)
    for part in content if not isinstance(content, str) else ():
        if part["type"] != "text":
            yield _file(part)


def _file(part: Part) -> dict[str, Any]:
    kind = part["type"].removesuffix("_url").replace("pdf", "file")
    url = str((part[part["type"]] or {}).get("url") or "")
    if url.startswith(("http://", "https://")):
        name = unquote(urlsplit(url).path)
        known = type_of(name) if "." in name.rpartition("/")[2] else "document"
        return {
            "type": known if kind == "file" else kind,
            "transfer_method": "remote_url",
            "url": url,
        }
    held = _held(kind, url, part.get("file_name"))
    return {
        "type": type_of(held.name) if kind == "file" else kind,
        "transfer_method": "local_file",
        "upload_file_id": held,
    }


def _held(kind: str, url: str, name: str | None) -> HeldFile:
    head, comma, content = url.rpartition(",")
    media_type = head.removeprefix("data:").partition(";")[0] if comma else None
    if not content or "://" in url or (comma and not head.startswith("data:")):
        raise InvalidParameterError(f"{DIFY.title}: a {kind} needs an http(s) link, or bytes")
    if name and "." in name:
        return HeldFile(name, content, media_type)
    extension = _extension(media_type) or _told_by(content)
    if not extension:
        raise InvalidParameterError(
            f"{DIFY.title} tells a file by its extension: give the {kind} block a file name"
        )
    return HeldFile(f"{name or kind}.{extension}", content, media_type)


def _extension(media_type: str | None) -> str | None:
    import mimetypes  # for the few prompts with files

    return (mimetypes.guess_extension(media_type or "") or "").removeprefix(".") or None


def _told_by(content: str) -> str | None:
    """Return the extension of a file without a name or media type, by how it begins."""
    start = decoded(content[:64], whole=False)
    known = next((e for magic, e in _MAGIC.items() if start.startswith(magic)), None)
    if known is None and b"\0" not in start:
        try:
            decoded(content).decode()
        except UnicodeDecodeError:
            return None
        return "txt"
    return known


def decoded(content: str, *, whole: bool = True) -> bytes:
    """Return the bytes of base64.

    Raises:
        InvalidParameterError: it is none.
    """
    kept = "".join(content.split())
    try:
        return base64.b64decode(kept if whole else kept[: len(kept) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidParameterError(f"{DIFY.title}: a file's bytes are not base64") from None


def held_in(body: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the files in a body that are still to be uploaded."""
    files = body.get("files") or ()
    return [f for f in files if isinstance(f.get("upload_file_id"), HeldFile)]
