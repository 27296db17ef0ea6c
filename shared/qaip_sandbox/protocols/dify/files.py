"""Files: uploads, and what a call may do with them."""

import logging
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response

from qaip_sandbox._wire import Json, request_id
from qaip_sandbox.documents import NAMESPACE
from qaip_sandbox.service import Call

from .past import Past
from .profiles import profile_of
from .refusals import crash, invalid, refusal, told
from .switches import DifySwitches

__all__ = ["LIMITS", "MOST_IMAGES", "check_files", "upload"]

MOST_IMAGES = 3
LIMITS: Mapping[str, int] = {"image": 10, "video": 100, "audio": 50, "other": 15}
"""The largest file of each kind, in MB."""

_MB = 1024 * 1024
_NOBODY = "DEFAULT-USER"
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("jpg", "jpeg", "png", "webp", "gif", "svg"), "image"),
    **dict.fromkeys(("mp4", "mov", "mpeg", "webm"), "video"),
    **dict.fromkeys(("mp3", "m4a", "wav", "amr", "mpga"), "audio"),
}
_METHODS = ("remote_url", "local_file", "tool_file")

# Who sends a broken form is answered; a library does not also print it, unless it is told to log.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class _Upload:
    name: str
    media_type: str
    size: int


async def upload(call: Call) -> Response:
    """Take a file in; only its name is kept."""
    switches = call.switched(DifySwitches)
    user, files = await _parts(call)
    if "file" not in files:
        raise refusal(switches, 400, "no_file_uploaded", "Please upload your file.")
    if len(files) > 1:
        raise refusal(switches, 400, "too_many_files", "Only one file is allowed.")
    given = files["file"]
    if not given.media_type:
        raise refusal(switches, 415, "unsupported_file_type", "File type not allowed.")
    if not given.name:
        message = "The specified filename does not exist."
        raise refusal(switches, 400, "filename_not_exists_error", message)
    extension = PurePosixPath(given.name).suffix.lstrip(".").lower()
    if given.size > LIMITS[_KINDS.get(extension, "other")] * _MB:
        # The service forgets to fill its message in.
        raise refusal(switches, 413, "file_too_large", "File size exceeded. {message}")
    return told(switches, _described(call, given, extension, user), 201)


def _described(call: Call, given: _Upload, extension: str, user: str) -> Json:
    id_ = request_id()
    call.remembered(Past).files[id_] = given.name
    profile = profile_of(call.switched(DifySwitches))
    preview: Json = {"preview_url": None} if profile.links else {}
    source = f"https://sandbox.invalid/files/{id_}/file-preview"
    return {
        "id": id_,
        "name": given.name,
        "size": given.size,
        "extension": extension,
        "mime_type": given.media_type,
        "created_by": str(uuid.uuid5(NAMESPACE, user)),
        "created_at": int(time.time()),
        **preview,
        **({"source_url": source} if profile.signs_uploads else {}),
    }


async def _parts(call: Call) -> tuple[str, dict[str, _Upload]]:
    """Return the user and the files of a form by their fields; a broken form has none."""
    if not call.headers.get("content-type", "").startswith("multipart/form-data"):
        return _NOBODY, {}
    try:
        form = await MultiPartParser(call.headers, _once(call.raw)).parse()
    except (MultiPartException, KeyError):
        return _NOBODY, {}
    files = {
        name: _Upload(value.filename or "", value.content_type or "", value.size or 0)
        for name, value in form.multi_items()
        if isinstance(value, UploadFile)
    }
    await form.close()
    user = form.get("user")
    return (user if isinstance(user, str) and user else _NOBODY), files


async def _once(raw: bytes) -> AsyncGenerator[bytes, None]:
    yield raw


def check_files(switches: DifySwitches, files: Sequence[Json] | None, past: Past) -> None:
    """Check the files of a call; an app that looks at none takes everything.

    Raises:
        Refusal: one is unknown, or there are too many.
    """
    if not switches.vision or not files:
        return
    for file in files:
        if not isinstance(file, dict):
            raise crash(switches)
        _check_file(switches, file, past)
    if len([file for file in files if file.get("type") == "image"]) > MOST_IMAGES:
        message = f"Number of image files exceeds the maximum limit {MOST_IMAGES}"
        raise invalid(switches, message)


def _check_file(switches: DifySwitches, file: dict[str, Json], past: Past) -> None:
    method = file.get("transfer_method")
    if method not in _METHODS:
        raise invalid(switches, f"No matching enum found for value '{method}'")
    if method == "remote_url" and not file.get("url"):
        raise invalid(switches, "Invalid file url")
    if method == "local_file" and str(file.get("upload_file_id")) not in past.files:
        raise invalid(switches, "Invalid upload file")
