"""Stored conversations of Qaip: what is sent, what is read, and how pages follow each other."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from qaip_core import errors
from qaip_core.backends import qaip
from qaip_core.backends.qaip.conversations import Conversations
from qaip_core.service import Service
from support.backends import KEY
from support.fault_server import FaultServer, Reply, json_reply

ID = "9d0a7f4e-3c61-4f8b-a2d5-7e1b0c9f8a01"
LEAF = "9d0a7f4e-3c61-4f8b-a2d5-7e1b0c9f8a03"
SOURCE = {"id": "c-1", "url": "https://tea.example", "text": "Leaves.", "page_number": 2}
BRIEF = {"id": ID, "title": "Tea", "principal_id": None, "created_at": "2026-11-01T00:00:00Z"}
DETAIL = {
    **BRIEF,
    "current_leaf_id": "m2",
    "active_path": [
        {"id": "m1", "role": "user", "content": "When?", "filter_snapshot": {"limit": 3}},
        {"id": "m2", "role": "assistant", "content": "In spring.", "parent_id": "m1",
         "citations": [SOURCE, 7], "assistant_metadata": {"finish_reason": "stop"}, "new": 1},
    ],
    "tree": [{"id": "m1", "role": "user"}, {"id": "m2", "role": "assistant", "parent_id": "m1"}],
}  # fmt: skip


class Asking(qaip.QaipParams, Service):
    endpoint = qaip.COMPLETIONS


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture
async def owner(server: FaultServer) -> AsyncIterator[Asking]:
    async with Asking(api_key=KEY, base_url=server.url, max_retries=0) as asking:
        yield asking


def of(owner: Asking, principal: str | None = None) -> Conversations:
    return Conversations(owner, principal)


async def test_a_conversation_is_read_with_its_path_and_sources(
    owner: Asking, server: FaultServer
) -> None:
    server.replies(json_reply(DETAIL), json_reply(DETAIL))
    found = of(owner).read(ID, leaf_id=LEAF)
    assert found == await of(owner).aread(ID, leaf_id=LEAF)
    assert {request.path for request in server.requests} == {f"/conversations/{ID}?leaf_id={LEAF}"}
    assert (found.id, found.title, found.current_leaf_id) == (ID, "Tea", "m2")
    asked, said = found.messages
    assert (asked.role, asked.content, asked.parent_id) == ("user", "When?", None)
    assert asked.metadata == {"filter_snapshot": {"limit": 3}}
    assert (said.content, said.parent_id) == ("In spring.", "m1")
    assert [(c.id, c.text, c.page_number) for c in said.citations] == [("c-1", "Leaves.", 2)]
    assert said.metadata == {"assistant_metadata": {"finish_reason": "stop"}}
    assert found.citations == said.citations
    assert [(m.id, m.parent_id) for m in found.tree] == [("m1", None), ("m2", "m1")]


async def test_a_conversation_without_an_answer_has_no_sources(
    owner: Asking, server: FaultServer
) -> None:
    server.replies(json_reply({"id": ID}))
    found = of(owner).read(ID)
    assert (found.messages, found.tree, found.citations) == ((), (), ())


async def test_conversations_are_listed(owner: Asking, server: FaultServer) -> None:
    listed = json_reply({"conversations": [BRIEF]})
    server.replies(listed, listed)
    found = of(owner).list(limit=2, offset=4, principal_id="someone")
    assert found == await of(owner).alist(limit=2, offset=4, principal_id="someone")
    assert [(c.id, c.title, c.created_at) for c in found] == [(ID, "Tea", "2026-11-01T00:00:00Z")]
    asked = "/conversations?limit=2&offset=4&principal_id=someone"
    assert {request.path for request in server.requests} == {asked}


async def test_the_principal_is_that_of_the_owner_unless_a_call_names_another(
    owner: Asking, server: FaultServer
) -> None:
    own = of(owner, "me")
    server.replies(*[json_reply({"conversations": []})] * 3, json_reply(DETAIL))
    own.list()
    own.list(principal_id="you")
    own.list(all_principals=True)
    own.read(ID)
    assert [request.path for request in server.requests] == [
        "/conversations?principal_id=me",
        "/conversations?principal_id=you",
        "/conversations?all_principals=true",
        f"/conversations/{ID}?principal_id=me",
    ]


async def test_one_principal_and_all_exclude_each_other(owner: Asking, server: FaultServer) -> None:
    with pytest.raises(errors.InvalidParameterError, match="exclude each other"):
        of(owner).list(principal_id="me", all_principals=True)
    assert not server.requests


def listing(first: int, count: int) -> Reply:
    return json_reply({"conversations": [{"id": f"k{n}"} for n in range(first, first + count)]})


async def test_all_conversations_are_listed_page_by_page(
    owner: Asking, server: FaultServer
) -> None:
    server.replies(listing(0, 20), listing(20, 3), listing(0, 20), listing(20, 3))
    found = [c.id for c in of(owner).list_all()]
    assert found == [f"k{n}" for n in range(23)]
    assert found == [c.id async for c in of(owner).alist_all()]
    paths = [request.path for request in server.requests]
    assert paths[:2] == ["/conversations?limit=20&offset=0", "/conversations?limit=20&offset=20"]
    assert paths[2:] == paths[:2]


async def test_a_service_that_repeats_a_page_does_not_keep_us_for_ever(
    owner: Asking, server: FaultServer
) -> None:
    server.replies(listing(0, 20), listing(0, 20))
    assert len(list(of(owner).list_all())) == 20


async def test_a_conversation_is_changed(owner: Asking, server: FaultServer) -> None:
    server.replies(*[json_reply(BRIEF)] * 3)
    of(owner).change(ID, title="Leaves")
    await of(owner).achange(ID, current_leaf_id=LEAF)
    of(owner, "a b").change(ID, title="Leaves")
    assert [(r.method, r.path, r.json()) for r in server.requests] == [
        ("PATCH", f"/conversations/{ID}", {"title": "Leaves"}),
        ("PATCH", f"/conversations/{ID}", {"current_leaf_id": LEAF}),
        ("PATCH", f"/conversations/{ID}?principal_id=a%20b", {"title": "Leaves"}),
    ]


async def test_a_change_of_nothing_is_refused(owner: Asking, server: FaultServer) -> None:
    with pytest.raises(errors.InvalidParameterError, match="title or current_leaf_id"):
        of(owner).change(ID)
    assert not server.requests


async def test_a_conversation_is_deleted(owner: Asking, server: FaultServer) -> None:
    gone = Reply(status=204, content_type=None, framing="length")
    server.replies(gone, gone)
    of(owner).delete(ID)
    await of(owner, "me").adelete(ID)
    assert [(r.method, r.path) for r in server.requests] == [
        ("DELETE", f"/conversations/{ID}"),
        ("DELETE", f"/conversations/{ID}?principal_id=me"),
    ]


async def test_a_conversation_of_another_principal_is_not_found(
    owner: Asking, server: FaultServer
) -> None:
    server.replies(json_reply({"message": "Unknown conversation."}, 404))
    with pytest.raises(errors.NotFoundError, match="Unknown conversation"):
        of(owner).read(ID)


@pytest.mark.parametrize("wrong", ["", "latest", "../tags"])
async def test_an_id_that_is_no_uuid_is_not_sent(
    wrong: str, owner: Asking, server: FaultServer
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=r"conversation_id: .*not a UUID"):
        of(owner).delete(wrong)
    assert not server.requests


@pytest.mark.parametrize(
    "body",
    [[], {}, {"id": ID, "active_path": [{"id": "m1"}]}, {"id": ID, "active_path": [7]}],
)
async def test_a_conversation_of_another_shape_is_an_error(
    body: Any, owner: Asking, server: FaultServer
) -> None:
    server.replies(json_reply(body))
    with pytest.raises(errors.MalformedResponseError):
        of(owner).read(ID)


@pytest.mark.parametrize("body", [[], {}, {"conversations": [{"title": "x"}]}])
async def test_a_list_of_another_shape_is_an_error(
    body: Any, owner: Asking, server: FaultServer
) -> None:
    server.replies(json_reply(body))
    with pytest.raises(errors.MalformedResponseError):
        of(owner).list()
