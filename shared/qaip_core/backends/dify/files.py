"""Uploads to Dify: files that its apps shall look at.

Vendor page: https://docs.dify.ai/api-reference/files/file-upload
"""

from __future__ import annotations

import mimetypes
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from qaip_core.backend import Params, Wire
from qaip_core.backends.dify._files import LIMITS, DifyFile, HeldFile, decoded, type_of
from qaip_core.backends.dify._params import USER, Megabytes, User
from qaip_core.backends.dify._service import DIFY
from qaip_core.errors import InvalidParameterError
from qaip_core.operation import Errand, Operation, Upload
from qaip_core.reading import Reader, other_shape

__all__ = ["UPLOAD", "UploadParams", "upload_values", "uploads"]

_MB = 1024 * 1024
_OTHERS = 15
_PLAIN = "application/octet-stream"


class UploadParams(Params):
    """Parameters of an upload.

    Parameters:
        name: the file's name; its extension tells the service what it is.
        content: its bytes, in base64.
        media_type: such as "image/png"; told by the name where it is not given.
        user: the one who uses the file, 1 to 255 characters; "default-user" if not given.
        max_file_mb: the largest file, in MB, where a site has limits of its own.
    """

    name: str | None = None
    content: str | None = None
    media_type: str | None = None
    user: User | None = None
    max_file_mb: Megabytes | None = None


class _Uploaded(Wire):
    id: str
    name: str | None = None


_READER: Reader[_Uploaded] = Reader(_Uploaded, ("", "id"))


def _encode(params: dict[str, Any]) -> Upload:
    name, content = params["name"], decoded(params["content"])
    if not content:
        raise InvalidParameterError(f"{DIFY.title}: the file {name!r} is empty")
    _check_size(name, len(content), params.get("max_file_mb"))
    known = params.get("media_type") or mimetypes.guess_type(name)[0]
    return Upload(name, content, known or _PLAIN, {"user": params.get("user", USER)})


def _check_size(name: str, size: int, max_file_mb: float | None) -> None:
    limit = max_file_mb or LIMITS.get(type_of(name), _OTHERS)
    if size > limit * _MB:
        raise InvalidParameterError(
            f"{DIFY.title} takes such a file up to {limit:g} MB, and {name!r} has "
            f"{size / _MB:.1f} MB. If your site takes more, say so: max_file_mb=..."
        )


def _decode(body: Any) -> DifyFile:
    read = _READER.body(body, {})
    if not read.id:
        raise other_shape("a body", "id: it is empty", body)
    kind = type_of(read.name or "")
    return DifyFile(type=kind, transfer_method="local_file", upload_file_id=read.id)


UPLOAD = Operation(
    DIFY,
    "/files/upload",
    _decode,
    UploadParams,
    ("name", "content"),
    method="POST",
    encode=_encode,
    is_safe=False,
)


def upload_values(
    file: str | PathLike[str] | bytes, name: str | None, max_file_mb: float | None = None
) -> dict[str, Any]:
    """Return the parameters of an upload.

    Parameters:
        file: a path, or bytes.
        name: the file's name; that of the path where it is not given.
        max_file_mb: the largest file, in MB, where a site has limits of its own.

    Raises:
        InvalidParameterError: it is neither, or too large.
        OSError: the file cannot be read.
    """
    if isinstance(file, bytes):
        content = b64encode(file).decode()
        return {"name": name, "content": content, "max_file_mb": max_file_mb}
    if not isinstance(file, str | PathLike):
        raise InvalidParameterError(f"a file is a path or bytes, not {type(file).__name__}")
    name = name or Path(file).name
    _check_size(name, Path(file).stat().st_size, max_file_mb)
    content = b64encode(Path(file).read_bytes()).decode()
    return {"name": name, "content": content, "max_file_mb": max_file_mb}


def uploads(
    held: Sequence[dict[str, Any]], user: str, max_file_mb: float | None
) -> Iterator[Errand]:
    """Yield the uploads of files in a body, each of which ends with its id in the body."""
    for entry in held:
        file: HeldFile = entry["upload_file_id"]
        values: Mapping[str, Any] = {
            "name": file.name,
            "content": file.content,
            "media_type": file.media_type,
            "user": user,
            "max_file_mb": max_file_mb,
        }
        yield Errand(UPLOAD, values, partial(_put, entry), f"upload of {file.name!r}")


def _put(entry: dict[str, Any], uploaded: DifyFile) -> None:
    entry["upload_file_id"] = uploaded.upload_file_id
