"""Perplexity's Search API: what is sent, what is read, and what is refused before it is sent."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

import pytest

from qaip_core import AsyncClient, Citation, Client, errors
from qaip_core.backends.perplexity.search import SEARCH, SearchArguments, arguments, as_text
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply
from support.wire import WireCase, cases

SUN = {"title": "Sun compass", "url": "https://bees.example/sun", "snippet": "They read the sun."}
DANCE = {"title": "Dance", "url": "https://bees.example/dance", "snippet": "A dance tells."}
EMPTY = {"id": "s-1", "results": []}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def search(server: FaultServer, body: Any = EMPTY, /, **values: Any) -> list[Citation]:
    server.replies(body if isinstance(body, Reply) else json_reply(body))
    with closing(Client(settings(SEARCH, server.url))) as client:
        found = client.fetch(SEARCH, {"query": "bees", **values})
    return list(found)


def sent(server: FaultServer) -> Any:
    return server.requests[-1].json()


SEARCHES = [case for case in cases("perplexity") if case.operation == "search"]


@pytest.mark.parametrize("case", SEARCHES, ids=lambda c: c.name)
def test_a_fixture_of_the_wire_is_read_in_its_order(server: FaultServer, case: WireCase) -> None:
    found = search(server, case.reply())
    assert [(c.title, c.url, c.text, c.date) for c in found] == [
        (c.get("title"), c.get("url"), c.get("text"), c.get("date"))
        for c in case.expected["citations"]
    ]
    assert [c.rank for c in found] == [*range(1, len(found) + 1)]
    assert {c.score for c in found} == {None}
    assert {c.metadata["search_id"] for c in found} == {case.expected["id"]}


async def test_it_is_read_the_same_without_blocking(server: FaultServer) -> None:
    blocking = search(server, {**EMPTY, "results": [SUN]})
    client = AsyncClient(settings(SEARCH, server.url))
    found = await client.fetch(SEARCH, {"query": "bees"})
    assert list(found) == blocking
    await client.close()


def test_a_search_sends_its_query_and_nothing_else(server: FaultServer) -> None:
    search(server)
    request = server.requests[-1]
    assert (request.method, request.path, sent(server)) == ("POST", "/search", {"query": "bees"})


EVERYTHING: Mapping[str, Any] = {
    "max_results": 20,
    "max_tokens": 1_000_000,
    "max_tokens_per_page": 1,
    "country": "US",
    "search_domain_filter": ["bees.example", "-ads.example"],
    "search_language_filter": ["en", "de"],
    "search_recency_filter": "year",
    "search_after_date_filter": "3/1/2024",
    "search_before_date_filter": "03/31/2026",
    "last_updated_after_filter": "01/01/2025",
    "last_updated_before_filter": "12/31/2026",
    "search_mode": "academic",
    "search_type": "people",
    "display_server_time": True,
}


def test_every_filter_is_sent_as_it_is(server: FaultServer) -> None:
    search(server, EMPTY, **EVERYTHING)
    assert sent(server) == {"query": "bees", **EVERYTHING}


@pytest.mark.parametrize(
    "day", [date(2026, 3, 1), datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01", "03/01/2026"]
)
def test_a_day_may_be_a_date_or_a_text(server: FaultServer, day: Any) -> None:
    search(server, EMPTY, search_after_date_filter=day)
    assert sent(server)["search_after_date_filter"] == "03/01/2026"


def test_the_dates_have_the_names_of_the_other_package_too(server: FaultServer) -> None:
    search(server, EMPTY, search_after_date="01/02/2026", search_before_date=date(2026, 2, 3))
    assert sent(server) == {
        "query": "bees",
        "search_after_date_filter": "01/02/2026",
        "search_before_date_filter": "02/03/2026",
    }


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_results": 0}, "max_results"),
    ({"max_results": 21}, "less than or equal to 20"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1_000_001}, "max_tokens"),
    ({"max_tokens_per_page": 0}, "max_tokens_per_page"),
    ({"country": "USA"}, "country"),
    ({"search_domain_filter": ["https://bees.example"]}, "without its scheme"),
    ({"search_domain_filter": ["-"]}, "without its scheme"),
    ({"search_domain_filter": ["x.example"] * 21}, "20"),
    ({"search_language_filter": ["english"]}, "search_language_filter"),
    ({"search_language_filter": ["en"] * 21}, "20"),
    ({"search_recency_filter": "decade"}, "search_recency_filter"),
    ({"search_after_date_filter": "31/12/2025"}, "MM/DD/YYYY"),
    ({"last_updated_before_filter": "2025-02-30"}, "MM/DD/YYYY"),
    ({"search_mode": "news"}, "search_mode"),
    ({"search_type": "slow"}, "search_type"),
    ({"search_context_size": "huge"}, "search_context_size"),
    ({"search_context_size": "low", "max_tokens": 9}, "excludes max_tokens"),
    ({"search_context_size": "low", "max_tokens_per_page": 9}, "excludes max_tokens"),
    ({"query": ""}, "query"),
    ({"query": None}, "needs 'query'"),
    ({"more_queries": ["a", "b", "c", "d", "e"]}, "more_queries"),
    ({"more_queries": [""]}, "more_queries"),
    ({"search_domains_filter": ["a.example"]}, "Did you mean 'search_domain_filter'?"),
]


@pytest.mark.parametrize(("values", "told"), REFUSED, ids=lambda v: str(v)[:40])
def test_what_the_service_would_refuse_is_not_sent(
    server: FaultServer, values: dict[str, Any], told: str
) -> None:
    with pytest.raises(errors.InvalidParameterError, match="Perplexity") as caught:
        search(server, EMPTY, **values)
    assert told in str(caught.value)
    assert server.requests == []


def test_further_queries_go_along_with_the_first(server: FaultServer) -> None:
    search(server, EMPTY, more_queries=["wasps", "ants"])
    assert sent(server) == {"query": ["bees", "wasps", "ants"]}


def test_a_list_for_each_query_becomes_one_with_ranks_throughout(server: FaultServer) -> None:
    flat = search(server, {"id": "s", "results": [SUN, DANCE]}, more_queries=["dance"])
    nested = search(server, {"id": "s", "results": [[SUN], [DANCE]]}, more_queries=["dance"])
    assert nested == flat
    assert [c.rank for c in nested] == [1, 2]


def test_a_page_has_the_same_id_whenever_it_is_found(server: FaultServer) -> None:
    first, _ = search(server, {"id": "s-1", "results": [SUN, DANCE]})
    _, second = search(server, {"id": "s-2", "results": [DANCE, SUN]})
    assert first.id == second.id


def test_the_search_s_own_id_and_time_are_said_with_each_page(server: FaultServer) -> None:
    body = {"id": "s-7", "results": [SUN, DANCE], "server_time": "2026-11-22T10:00:00Z"}
    said = {"search_id": "s-7", "server_time": "2026-11-22T10:00:00Z"}
    assert [dict(c.metadata) for c in search(server, body)] == [said, said]


def test_what_is_not_said_stands_nowhere(server: FaultServer) -> None:
    (page,) = search(server, {"results": [{"url": "https://bees.example"}]})
    assert page.metadata == {}
    assert (page.title, page.text, page.date, page.score) == (None, None, None, None)


@pytest.mark.parametrize("broken", [7, None, "x", {"url": {}}])
def test_a_page_that_cannot_be_read_costs_only_itself(server: FaultServer, broken: Any) -> None:
    found = search(server, {"id": 3, "results": [SUN, broken, DANCE]})
    assert [(c.url, c.rank) for c in found if c.url] == [(SUN["url"], 1), (DANCE["url"], 3)]
    assert {c.metadata["search_id"] for c in found} == {"3"}


@pytest.mark.parametrize("body", [{}, {"results": None}, {"results": "x"}, [], 7])
def test_a_body_of_another_shape_is_an_error(server: FaultServer, body: Any) -> None:
    with pytest.raises(errors.MalformedResponseError):
        search(server, body)


def test_an_error_in_a_success_is_reported(server: FaultServer) -> None:
    with pytest.raises(errors.ServerReportedError, match="out of order"):
        search(server, {"error": {"message": "out of order", "code": 500}})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
    ],
)
def test_a_refusal_is_typed(server: FaultServer, status: int, kind: type[Exception]) -> None:
    fault = {"error": {"message": "no", "type": "some_type", "code": status}}
    with pytest.raises(errors.StatusError) as caught:
        search(server, json_reply(fault, status))
    assert type(caught.value) is kind
    assert (caught.value.service, caught.value.code) == ("perplexity", "some_type")


def test_a_search_that_may_have_been_billed_is_not_repeated(server: FaultServer) -> None:
    server.replies(Reply(raw=b""), json_reply(EMPTY))
    client = Client(settings(SEARCH, server.url, max_retries=2))
    with closing(client), pytest.raises(errors.ServiceConnectionError):
        client.fetch(SEARCH, {"query": "bees"})
    assert len(server.requests) == 1


def test_pages_become_a_text_that_a_model_can_cite() -> None:
    pages = [
        ({"title": "Sun", "url": "https://a.example", "date": "2026-01-02"}, "They fly."),
        ({"url": "https://b.example"}, ""),
        ({}, "Nothing is known of it."),
    ]
    assert as_text(pages) == (
        "[1] Sun\nhttps://a.example (2026-01-02)\nThey fly.\n\n"
        "[2]\nhttps://b.example\n\n"
        "[3]\nNothing is known of it."
    )
    assert as_text([]) == "Nothing was found."


def test_a_model_is_told_of_what_is_left_to_choose() -> None:
    told = arguments(frozenset({"search_mode", "search_domain_filter"})).model_json_schema()
    everything = SearchArguments.model_json_schema()["properties"]
    assert everything.keys() - told["properties"].keys() == {"search_mode", "search_domain_filter"}
    assert told["required"] == ["query"]
    assert arguments(frozenset()) is SearchArguments
    json.dumps(told)
