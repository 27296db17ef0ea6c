"""Files for Dify: what a prompt holds is uploaded first, and its id is sent."""

import base64
import io
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, Message, errors
from qaip_core.backend import Endpoint
from qaip_core.backends.dify import COMPLETION, DifyFile
from qaip_core.backends.dify._files import type_of
from qaip_core.backends.dify.chat import CHAT
from qaip_core.backends.dify.files import UPLOAD, upload_values
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply
from support.wire import cases

ANSWERS = {
    "/chat-messages": next(c for c in cases("dify") if c.name == "chat_stream"),
    "/completion-messages": next(c for c in cases("dify") if c.name == "stream_1_9"),
}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
MB = 1024 * 1024
each_app = pytest.mark.parametrize("endpoint", [CHAT, COMPLETION], ids=["chat", "completion"])


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def taken(number: int = 1, name: str = "a.png") -> Reply:
    return json_reply({"id": f"file-{number}", "name": name, "size": 8}, 201)


def asked(server: FaultServer, endpoint: Endpoint, *parts: Any, **values: Any) -> Any:
    """What is sent for a question with these parts."""
    server.replies(ANSWERS[endpoint.path].reply())
    turn = Message("user", [{"type": "text", "text": "Look:"}, *parts])
    with closing(Client(settings(endpoint, server.url))) as client:
        client.complete(endpoint, [turn], values)
    return server.requests[-1].json()


def link(kind: str, url: str, **more: Any) -> dict[str, Any]:
    return {"type": f"{kind}_url", f"{kind}_url": {"url": url}, **more}


def data(media_type: str, content: str = PNG) -> str:
    return f"data:{media_type};base64,{content}"


@each_app
@pytest.mark.parametrize(
    ("part", "kind"),
    [
        (link("image", "https://x.example/a?b=c"), "image"),
        (link("video", "https://x.example/a"), "video"),
        (link("file", "https://x.example/a.PDF"), "document"),
        (link("file", "https://x.example/song.mp3?x=1"), "audio"),
        (link("file", "https://x.example/a.tar.zst"), "custom"),
        (link("file", "https://x.example/download"), "document"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_link_is_sent_as_it_is(
    server: FaultServer, endpoint: Endpoint, part: dict[str, Any], kind: str
) -> None:
    body = asked(server, endpoint, part)
    url = part[part["type"]]["url"]
    assert body["files"] == [{"type": kind, "transfer_method": "remote_url", "url": url}]
    assert len(server.requests) == 1
    assert "Look:" in (body.get("query") or body["inputs"]["query"])


@each_app
def test_bytes_are_uploaded_by_the_same_user_before_the_call(
    server: FaultServer, endpoint: Endpoint
) -> None:
    server.replies(taken())
    body = asked(server, endpoint, link("image", data("image/png")), user="keeper")
    upload, call = server.requests
    assert (upload.method, upload.path) == ("POST", "/files/upload")
    assert call.path == endpoint.path
    form = upload.body
    assert b'name="user"\r\n\r\nkeeper\r\n' in form
    assert b'name="file"; filename="image.png"\r\nContent-Type: image/png' in form
    assert b"\r\n\r\n\x89PNG\r\n\x1a\n\r\n" in form
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert upload.headers["authorization"] == call.headers["authorization"]
    assert body["files"] == [
        {"type": "image", "transfer_method": "local_file", "upload_file_id": "file-1"}
    ]


@pytest.mark.parametrize(
    ("part", "name", "kind"),
    [
        (link("image", data("image/jpeg")), "image.jpg", "image"),
        (link("video", data("video/mp4")), "video.mp4", "video"),
        (link("file", PNG, file_name="plan.docx"), "plan.docx", "document"),
        (link("file", PNG, file_name="talk.WAV"), "talk.WAV", "audio"),
        (link("file", PNG, file_name="clip.mov"), "clip.mov", "video"),
        (link("file", PNG, file_name="scan.webp"), "scan.webp", "image"),
        (link("file", PNG, file_name="data.parquet"), "data.parquet", "custom"),
        (link("file", PNG), "file.png", "image"),
        (link("file", base64.b64encode(b"%PDF-1.7 \xff\0").decode()), "file.pdf", "document"),
        (link("file", base64.b64encode("Tée".encode()).decode()), "file.txt", "document"),
        (link("file", data("application/pdf")), "file.pdf", "document"),
        (link("pdf", base64.b64encode(b"%PDF-1.7 \xff").decode()), "file.pdf", "document"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_file_has_a_name_and_a_type(
    server: FaultServer, part: dict[str, Any], name: str, kind: str
) -> None:
    server.replies(taken())
    body = asked(server, CHAT, part)
    assert f'filename="{name}"'.encode() in server.requests[0].body
    assert body["files"][0]["type"] == kind


def test_several_files_keep_their_order_behind_those_of_the_parameters(
    server: FaultServer,
) -> None:
    server.replies(taken(1), taken(2))
    known = DifyFile(type="image", transfer_method="local_file", upload_file_id="file-0")
    parts = [link("image", data("image/png")), link("image", "https://x.example/b.png")]
    body = asked(server, CHAT, *parts, link("file", PNG), files=[known])
    ids = [file.get("upload_file_id") or file["url"] for file in body["files"]]
    assert ids == ["file-0", "file-1", "https://x.example/b.png", "file-2"]


async def test_async_calls_upload_too(server: FaultServer) -> None:
    server.replies(taken(), ANSWERS["/chat-messages"].reply())
    turn = Message("user", [link("image", data("image/png"))])
    client = AsyncClient(settings(CHAT, server.url))
    answer = await client.complete(CHAT, [turn], {})
    assert answer.text == "Once a minute."
    assert server.requests[1].json()["files"][0]["upload_file_id"] == "file-1"
    await client.close()


async def test_async_streams_upload_too(server: FaultServer) -> None:
    server.replies(taken(), ANSWERS["/chat-messages"].reply())
    turn = Message("user", [link("image", data("image/png"))])
    client = AsyncClient(settings(CHAT, server.url))
    assert [i async for i in client.stream(CHAT, [turn], {})][-1].last
    assert b"\x89PNG" in server.requests[0].body
    await client.close()


def test_an_upload_is_not_repeated_with_the_call(server: FaultServer) -> None:
    server.replies(taken(), json_reply({}, 503), ANSWERS["/chat-messages"].reply())
    turn = Message("user", [link("image", data("image/png"))])
    with closing(Client(settings(CHAT, server.url, max_retries=1))) as client:
        client.complete(CHAT, [turn], {})
    assert [r.path for r in server.requests] == ["/files/upload", *["/chat-messages"] * 2]


def test_what_an_upload_fails_with_ends_the_call(server: FaultServer) -> None:
    body = {"code": "file_too_large", "message": "File size exceeded. {message}", "status": 413}
    server.replies(json_reply(body, 413))
    with pytest.raises(errors.BadRequestError, match="413") as caught:
        asked(server, CHAT, link("image", data("image/png")))
    assert caught.value.code == "file_too_large"
    assert str(caught.value).startswith("upload of 'image.png': ")
    assert str(caught.value).startswith(caught.value.message)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (link("file", base64.b64encode(b"\0\1\2").decode()), "file name"),
        (link("file", base64.b64encode(b"caf\xe9").decode()), "file name"),
        (link("file", ""), "http"),
        (link("image", "ftp://x.example/a.png"), "http"),
        (link("image", data("image/png", "?")), "base64"),
        (link("image", data("image/png", "")), "bytes"),
        (link("image", data("image/png\r\nx: y"), file_name="a.png"), "media type"),
        (link("image", data("image/\xe9"), file_name="a.png"), "media type"),
        (link("image", data("image/png"), file_name="caf\udce9.png"), "another name"),
        ({"type": "image_url", "image_url": None}, "http"),
        ({"type": "audio_url", "audio_url": {"url": "https://x"}}, "audio_url"),
    ],
    ids=[
        "unknown",
        "latin",
        "nothing",
        "scheme",
        "no-base64",
        "empty",
        "header",
        "no-ascii",
        "name",
        "null",
        "audio",
    ],
)
def test_what_cannot_be_a_file_is_refused_here(
    server: FaultServer, part: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=words):
        asked(server, CHAT, part)
    assert not server.requests


@pytest.mark.parametrize(
    ("name", "limit"), [("a.png", 10), ("a.pdf", 15), ("a.mp3", 50), ("a.bin", 15)]
)
def test_a_file_over_the_limit_is_refused_here(server: FaultServer, name: str, limit: int) -> None:
    content = base64.b64encode(bytes(limit * MB + 1)).decode()
    with pytest.raises(errors.InvalidParameterError, match=f"up to {limit} MB.*max_file_mb"):
        asked(server, CHAT, link("file", content, file_name=name))
    assert not server.requests


def test_a_site_may_have_limits_of_its_own(server: FaultServer) -> None:
    big = link("file", base64.b64encode(bytes(MB)).decode(), file_name="a.pdf")
    with pytest.raises(errors.InvalidParameterError, match=r"up to 0.5 MB"):
        asked(server, CHAT, big, max_file_mb=0.5)
    server.reset()
    server.replies(taken())
    assert asked(server, CHAT, big, max_file_mb=1)["files"]


def test_bytes_with_a_name_become_a_file(server: FaultServer) -> None:
    server.replies(taken(name="talk.mp3"))
    with closing(Client(settings(UPLOAD, server.url))) as client:
        file = client.fetch(UPLOAD, upload_values(b"abc", "talk.mp3"))
    assert file == DifyFile(type="audio", transfer_method="local_file", upload_file_id="file-1")
    assert b'name="user"\r\n\r\ndefault-user' in server.requests[0].body
    assert b"Content-Type: audio/mpeg" in server.requests[0].body


def test_a_path_becomes_a_file(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"# A")
    server.replies(taken(name="a.md"))
    with closing(Client(settings(UPLOAD, server.url))) as client:
        assert client.fetch(UPLOAD, upload_values(tmp_path / "a.md", None)).type == "document"
    assert b'filename="a.md"' in server.requests[0].body


def test_a_path_of_a_file_over_the_limit_is_not_even_read(tmp_path: Path) -> None:
    (tmp_path / "a.md").touch()
    os.truncate(tmp_path / "a.md", 64 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(errors.InvalidParameterError, match=r"up to 15 MB.* has 64\.0 MB"):
            upload_values(tmp_path / "a.md", None)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_an_empty_file_or_one_without_a_name_is_refused(server: FaultServer) -> None:
    with closing(Client(settings(UPLOAD, server.url))) as client:
        with pytest.raises(errors.InvalidParameterError, match="empty"):
            client.fetch(UPLOAD, upload_values(b"", "a.md"))
        with pytest.raises(errors.InvalidParameterError, match="name"):
            client.fetch(UPLOAD, upload_values(b"x", None))
    assert not server.requests


@pytest.mark.parametrize("file", [io.BytesIO(b"x"), None, 3], ids=["stream", "none", "number"])
def test_a_file_is_a_path_or_bytes(file: Any) -> None:
    with pytest.raises(errors.InvalidParameterError, match="a path or bytes"):
        upload_values(file, "a.md")


@pytest.mark.parametrize("body", [{"name": "a.png"}, {"id": ""}, {"id": None}, []])
def test_an_upload_without_an_id_is_malformed(server: FaultServer, body: Any) -> None:
    server.replies(json_reply(body, 201))
    with pytest.raises(errors.MalformedResponseError, match="another shape"):
        asked(server, CHAT, link("image", data("image/png")))


@pytest.mark.parametrize("method", ["remote_url", "local_file"])
def test_a_file_is_somewhere(server: FaultServer, method: str) -> None:
    with pytest.raises(errors.InvalidParameterError, match=f"{method} needs"):
        asked(server, CHAT, files=[{"type": "image", "transfer_method": method}])


@pytest.mark.parametrize(
    ("name", "kind"), [("A.JPEG", "image"), ("x.svg", "image"), ("x", "custom"), ("", "custom")]
)
def test_the_extension_tells_the_type(name: str, kind: str) -> None:
    assert type_of(name) == kind
