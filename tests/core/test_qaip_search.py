"""Qaip's search, its pages, tags, passages and extraction: what is sent, and what is read."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from qaip_core import AsyncClient, Citation, Client, errors
from qaip_core.backends import qaip
from qaip_core.backends.qaip.extract import EXTRACT, extraction
from qaip_core.backends.qaip.library import CONTENT, TAGS, Library, Tag
from qaip_core.backends.qaip.search import SEARCH, SEARCH_AS_SENT, Pages
from qaip_core.operation import Operation
from qaip_core.service import Service
from support.backends import KEY, settings
from support.fault_server import FaultServer, Reply, json_reply
from support.wire import WireCase, cases

ID = "1f6b2c8e-0d47-4c1a-9b35-6a7e8f901201"
FIXTURES: Mapping[tuple[str, str], Operation[Any]] = {
    ("qaip", "search"): SEARCH,
    ("qaip", "contents"): CONTENT,
}
CASES = [case for case in cases() if (case.service, case.operation) in FIXTURES]


class Asking(qaip.QaipParams, Service):
    endpoint = qaip.COMPLETIONS


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def ask(server: FaultServer, operation: Operation[Any], values: dict[str, Any]) -> Any:
    with closing(Client(settings(operation, server.url))) as client:
        return client.fetch(operation, values)


def answer(server: FaultServer, operation: Operation[Any], body: Any, **values: Any) -> Any:
    server.replies(json_reply(body))
    return ask(server, operation, values)


def shown(found: Citation) -> dict[str, Any]:
    facts = {"url": found.url, "title": found.title, "text": found.text}
    more = {"page_number": found.page_number, "file_type": found.metadata.get("file_type")}
    return {k: v for k, v in {**facts, **more, "wire_id": found.id}.items() if v is not None}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_a_body_means_what_its_fixture_says(case: WireCase, server: FaultServer) -> None:
    operation = FIXTURES[case.service, case.operation]
    values = {"query": "q"} if operation is SEARCH else {"content_id": ID}
    server.replies(case.reply(), case.reply())
    client = AsyncClient(settings(operation, server.url))
    found, again = ask(server, operation, values), await client.fetch(operation, values)
    await client.close()
    assert found == again
    listed = found if operation is SEARCH else (found,)
    for passage, wanted in zip(listed, case.expected["citations"], strict=True):
        assert shown(passage) == {"wire_id": passage.id, **wanted}
        assert passage.score is None


def test_every_filter_of_a_search_is_sent(server: FaultServer) -> None:
    group = {"filters": [{"key": "a", "operator": "eq", "type": "integer", "val": 1}]}
    values = {
        "query": "q", "limit": 3, "offset": 6, "source_group_id": ID, "tag_ids": [],
        "tag_filter_logic": "AND", "source_types": ["crawl"], "file_types": ["oga"],
        "date_from": 1735639200, "domains": [], "chunk_metadata": group, "use_postfilter": False,
        "principal_id": "someone", "authz_policy": "default",
    }  # fmt: skip
    assert answer(server, SEARCH, {"results": []}, **values, tag_names=["a"]) == ()
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/search")
    assert request.json() == {**values, "tags": ["a"]}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"limit": 0}, "limit"),
        ({"offset": -1}, "offset"),
        ({"source_group_id": "crawl"}, "source_group_id: .*not a UUID"),
        ({"date_from": 1}, "date_from: .*none before 2024-12-31T10:00Z"),
        ({"date_to": "2024-12-31"}, "date_to: .*none before 2024-12-31T10:00Z"),
        ({"date_to": "someday"}, "date_to: .*such as 2026-01-31"),
        ({"date_to": 1750000000.5}, "date_to: Input should be a valid integer"),
        ({"conversation_id": ID}, "no parameter 'conversation_id'"),
        ({"query": None}, "needs 'query'"),
    ],
)
def test_a_search_that_would_be_refused_is_refused_here(
    values: dict[str, Any], says: str, server: FaultServer
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=says):
        ask(server, SEARCH, {"query": "q", **values})
    assert not server.requests


def test_what_cannot_be_read_among_results_leaves_a_gap(server: FaultServer) -> None:
    found = answer(
        server, SEARCH, {"results": [{"id": "a", "text": "A"}, 7, {"id": "c"}]}, query="q"
    )
    assert [(c.id, c.text, c.rank) for c in found] == [("a", "A", 1), ("c", None, 3)]


@pytest.mark.parametrize("body", [[], {}, {"results": None}, {"results": [{"text": 7}]}, "no"])
def test_a_search_of_another_shape_is_an_error(body: Any, server: FaultServer) -> None:
    for operation in (SEARCH, SEARCH_AS_SENT):
        with pytest.raises(errors.MalformedResponseError):
            answer(server, operation, body, query="q")


def test_a_search_is_repeated_after_a_lost_answer_since_it_changes_nothing(
    server: FaultServer,
) -> None:
    server.replies(Reply(end="reset"), json_reply({"results": []}))
    with closing(Client(settings(SEARCH, server.url, max_retries=1))) as client:
        assert client.fetch(SEARCH, {"query": "q"}) == ()
    assert len(server.requests) == 2


def test_results_as_sent_keep_nulls_and_page_0(server: FaultServer) -> None:
    sent = {"id": "a", "text": "A", "url": "u", "title": None, "page_number": 0}
    (found,) = answer(server, SEARCH_AS_SENT, {"results": [sent]}, query="q")
    assert found.metadata == {"id": "a", "url": "u", "title": None, "page_number": 0}


# Pages


def page(*ids: str) -> list[Citation]:
    return [Citation(name, rank=rank) for rank, name in enumerate(ids, start=1)]


def test_pages_follow_each_other_until_a_short_one() -> None:
    pages = Pages({"query": "q", "limit": 2})
    assert pages.wanted == {"query": "q", "limit": 2, "offset": 0}
    assert [c.rank for c in pages.new(page("a", "b"))] == [1, 2]
    assert pages.wanted == {"query": "q", "limit": 2, "offset": 2}
    assert [(c.id, c.rank) for c in pages.new(page("c"))] == [("c", 3)]
    assert pages.wanted is None


def test_a_short_page_proves_nothing_where_filters_come_after_the_search() -> None:
    pages = Pages({"limit": 2, "use_postfilter": True})
    pages.new(page("a"))
    assert pages.wanted is not None
    assert pages.new([]) == []
    assert pages.wanted is None


def test_a_service_that_repeats_a_page_does_not_keep_us_for_ever() -> None:
    pages = Pages({"limit": 2})
    pages.new(page("a", "b"))
    assert pages.new(page("a", "b")) == []
    assert pages.wanted is None


def test_no_more_are_asked_for_than_are_wanted() -> None:
    pages = Pages({}, most=3)
    assert pages.wanted == {"limit": 3, "offset": 0}
    pages = Pages({"limit": 2, "offset": 4}, most=3)
    assert [c.rank for c in pages.new(page("a", "b"))] == [5, 6]
    assert [c.id for c in pages.new(page("c", "d"))] == ["c"]
    assert pages.wanted is None


@pytest.mark.parametrize("most", [0, -1, "3"])
def test_most_is_a_number_from_1(most: Any) -> None:
    with pytest.raises(errors.InvalidParameterError, match="most must be"):
        Pages({}, most)


# Tags, passages, extraction


def test_tags_are_listed(server: FaultServer) -> None:
    body = {"tags": [{"id": "1", "name": "tea", "description": None}, 7]}
    assert answer(server, TAGS, body) == [Tag("1", "tea")]
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/tags")
    assert answer(server, TAGS, {}) == []


def test_a_passage_is_read_by_its_id(server: FaultServer) -> None:
    body = {"id": ID, "text": "Leaves.", "url": "u", "page_number": 0}
    found = answer(server, CONTENT, body, content_id=ID, principal_id="a b")
    assert (found.id, found.text, found.page_number) == (ID, "Leaves.", None)
    assert server.requests[0].path == f"/contents/{ID}?principal_id=a+b"


@pytest.mark.parametrize("body", [{}, [], {"text": 7}, {"detail": "x"}])
def test_a_passage_of_another_shape_is_an_error(body: Any, server: FaultServer) -> None:
    with pytest.raises(errors.MalformedResponseError):
        answer(server, CONTENT, body, content_id=ID)


def test_an_id_that_is_no_uuid_is_not_sent(server: FaultServer) -> None:
    with pytest.raises(errors.InvalidParameterError, match=r"content_id: .*not a UUID"):
        ask(server, CONTENT, {"content_id": "../tags"})
    assert not server.requests


def test_an_extraction_sends_its_schema_and_filters(server: FaultServer) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    values = {"prompt": "p", "limit": 2, "use_related": True, "file_types": ["md"]}
    related = {"limit": 3, "tag_names": ["a"]}
    found = answer(
        server, EXTRACT, {"created": 1, "result": {"name": "Ann"}},
        schema=schema, related_filter=related, **values,
    )  # fmt: skip
    assert found == {"name": "Ann"}
    sent = {**values, "schema": schema, "related_filter": {"limit": 3, "tags": ["a"]}}
    assert server.requests[0].path == "/extract"
    assert server.requests[0].json() == sent


@pytest.mark.parametrize("body", [{}, [], {"result": None}, {"result": "Ann"}])
def test_an_extraction_of_another_shape_is_an_error(body: Any, server: FaultServer) -> None:
    with pytest.raises(errors.MalformedResponseError, match="no object as its result"):
        answer(server, EXTRACT, body, schema={})


@pytest.mark.parametrize(
    ("values", "says"),
    [({}, "needs 'object_schema'"), ({"schema": {}, "related_filter": {"limit": 0}}, "limit")],
)
def test_an_extraction_that_would_be_refused_is_refused_here(
    values: dict[str, Any], says: str, server: FaultServer
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=says):
        ask(server, EXTRACT, values)


async def test_a_library_shapes_its_passages_and_knows_its_principal(server: FaultServer) -> None:
    body = {"id": ID, "text": "Leaves."}
    server.replies(*[json_reply(body)] * 2, *[json_reply({"tags": []})] * 2)
    async with Asking(api_key=KEY, base_url=server.url, max_retries=0) as owner:
        library = Library(owner, lambda passage: passage.text, "me")
        assert library.content(ID) == "Leaves."
        assert await library.acontent(ID, principal_id="you", authz_policy="default") == "Leaves."
        assert library.tags() == await library.atags() == []
    paths = [request.path for request in server.requests]
    assert paths[:2] == [
        f"/contents/{ID}?principal_id=me",
        f"/contents/{ID}?principal_id=you&authz_policy=default",
    ]


def test_a_call_overrules_an_extractor() -> None:
    fields = {"limit": 2, "offset": None, "extra_body": {"x": 1}}
    call = {"limit": 3, "offset": None, "extra_body": {"y": 2}}
    asked = extraction(fields, {"type": "object"}, "", call)
    assert asked == {
        "limit": 3, "object_schema": {"type": "object"}, "prompt": None,
        "extra_body": {"x": 1, "y": 2},
    }  # fmt: skip
