"""Files of Dify: what may be uploaded, and what a call may do with it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from sandbox.dify_asking import complete

PICTURE = ("chart.PNG", b"\x89PNG", "image/png")
MB = 1024 * 1024
VISION = {"vision": True}


def upload(client: httpx.Client, *, user: str | None = "u", **files: Any) -> httpx.Response:
    return client.post("/files/upload", files=files, data={"user": user} if user else {})


def test_an_uploaded_file_is_described(dify: httpx.Client) -> None:
    response = upload(dify, file=PICTURE)
    body = response.json()
    assert response.status_code == 201
    assert {k: body[k] for k in ("name", "size", "extension", "mime_type", "preview_url")} == {
        "name": "chart.PNG", "size": 4, "extension": "png", "mime_type": "image/png",
        "preview_url": None,
    }  # fmt: skip
    assert body["created_by"] == upload(dify, file=PICTURE).json()["created_by"]
    assert body["created_by"] != upload(dify, file=PICTURE, user=None).json()["created_by"]


@pytest.mark.parametrize(
    ("profile", "more"),
    [("0.15", []), ("1.8", ["preview_url"]), ("1.9", ["preview_url", "source_url"])],
)
def test_releases_describe_a_file_with_more_and_more(
    dify: httpx.Client, profile: str, more: list[str]
) -> None:
    headers = {"x-sandbox-switches": f'{{"profile": "{profile}"}}'}
    body = dify.post("/files/upload", files={"file": PICTURE}, headers=headers).json()
    assert list(body)[7:] == more


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({"other": PICTURE}, 400, "no_file_uploaded"),
        ({"file": PICTURE, "second": PICTURE}, 400, "too_many_files"),
        ({"file": ("", b"x", "image/png")}, 400, "no_file_uploaded"),
        ({"file": ("x.bin", b"x", "")}, 415, "unsupported_file_type"),
        ({"file": ("x.png", bytes(10 * MB + 1), "image/png")}, 413, "file_too_large"),
        ({"file": ("x.txt", bytes(15 * MB + 1), "text/plain")}, 413, "file_too_large"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_upload_is_refused(
    dify: httpx.Client, files: dict[str, Any], status: int, code: str
) -> None:
    response = upload(dify, **files)
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "application/json"}, {"Content-Type": "multipart/form-data"}],
    ids=["json", "no boundary"],
)
def test_an_upload_is_a_form(dify: httpx.Client, headers: dict[str, str]) -> None:
    response = dify.post("/files/upload", content=b"{}", headers=headers)
    assert response.json()["code"] == "no_file_uploaded"


@pytest.mark.parametrize("boundary", ["x", "", "y" * 300], ids=len)
@pytest.mark.parametrize("form", [b"no form", b"--x\r\n\xff@: y\r\n\r\nz\r\n--x--\r\n"])
def test_a_broken_form_is_refused_without_a_word_on_the_terminal(
    dify: httpx.Client,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    form: bytes,
    boundary: str,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as where nobody asked for a log
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    response = dify.post("/files/upload", content=form, headers=headers)
    assert response.json()["code"] == "no_file_uploaded"
    assert capfd.readouterr().err == ""


def test_a_file_needs_a_name(dify: httpx.Client) -> None:
    form = (
        "--x\r\n"
        'Content-Disposition: form-data; name="file"; filename=""\r\n'
        "Content-Type: image/png\r\n\r\npicture\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = dify.post("/files/upload", content=form.encode(), headers=headers)
    assert response.json()["code"] == "filename_not_exists_error"


def test_a_larger_sound_is_taken(dify: httpx.Client) -> None:
    assert upload(dify, file=("x.mp3", bytes(15 * MB + 1), "audio/mpeg")).status_code == 201


def local(id_: Any) -> dict[str, Any]:
    return {"type": "image", "transfer_method": "local_file", "upload_file_id": id_}


REMOTE = {"type": "image", "transfer_method": "remote_url", "url": "https://sandbox.invalid/x.png"}


@pytest.mark.parametrize(
    ("files", "status", "message"),
    [
        ([REMOTE], 200, None),
        ([REMOTE] * 3, 200, None),
        ([REMOTE] * 4, 400, "Number of image files exceeds the maximum limit 3"),
        ([{**REMOTE, "url": ""}], 400, "Invalid file url"),
        ([local("x")], 400, "Invalid upload file"),
        ([{**REMOTE, "transfer_method": "pigeon"}], 400, None),
        (["x"], 500, "Internal Server Error"),
    ],
)
def test_an_app_that_sees_checks_its_files(
    dify: httpx.Client, files: list[Any], status: int, message: str | None
) -> None:
    response = complete(dify, VISION, files=files)
    assert response.status_code == status
    assert message in (None, response.json().get("message"))
    assert complete(dify, files=files).status_code == 200


def test_any_user_may_use_an_uploaded_file(dify: httpx.Client) -> None:
    id_ = upload(dify, file=PICTURE, user="someone").json()["id"]
    assert complete(dify, VISION, files=[local(id_)], user="other").status_code == 200


@pytest.fixture
def guarded(docs: Path) -> Iterator[httpx.Client]:
    with Sandbox(docs, token="a-token-of-the-sandbox") as sandbox:
        headers = {"Authorization": "Bearer a-token-of-the-sandbox"}
        with httpx.Client(
            verify=False, base_url=sandbox.env["DIFY_BASE_URL"], headers=headers
        ) as client:
            yield client


def test_a_token_opens_uploads_too(guarded: httpx.Client) -> None:
    assert upload(guarded, file=PICTURE).status_code == 201
