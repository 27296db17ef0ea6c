"""The generations of Perplexity's chat, and its switches."""

import json
import re
from typing import Any

import httpx
import pytest

QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts.[1] The Solstice lamp draws 4 watts.[2]"
DATED = ["seed", "2025-07", "2025-08", "2025-11", "2026-01", "2026-06", "2026-09"]
FACTS = ["title", "url", "date", "last_updated", "snippet", "source", "place_metadata"]


def ask(
    client: httpx.Client, switches: dict[str, Any], question: str = QUESTION, **fields: Any
) -> httpx.Response:
    messages = [{"role": "user", "content": question}]
    return client.post(
        "/chat/completions",
        json={"model": "sonar", "messages": messages, **fields},
        headers={"x-sandbox-switches": json.dumps(switches)},
    )


@pytest.mark.parametrize("profile", DATED)
def test_every_profile_gives_the_same_text_whole_and_streamed(
    perplexity: httpx.Client, events: Any, profile: str
) -> None:
    body = ask(perplexity, {"profile": profile}).json()
    chunks = events(ask(perplexity, {"profile": profile}, stream=True))
    assert body["choices"][0]["message"]["content"] == TEXT
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == TEXT
    assert chunks[-1]["choices"] == body["choices"]
    assert chunks[-1]["usage"] == body["usage"]


@pytest.mark.parametrize("profile", DATED)
def test_keys_stand_in_the_order_of_the_profile(perplexity: httpx.Client, profile: str) -> None:
    body = ask(perplexity, {"profile": profile}).json()
    order = ["id", "model", "created", "usage", "citations", "search_results", "object", "choices"]
    choice = ["index", "message", "delta", "finish_reason"]
    if profile < "2026-01" or profile == "seed":
        choice = ["index", "finish_reason", "message", "delta"]
    if profile == "seed":
        order.remove("search_results")
    if profile == "2026-09":
        order, choice = sorted(order), sorted(choice)
    assert list(body) == order
    assert list(body["choices"][0]) == choice


@pytest.mark.parametrize(
    ("profile", "count"),
    [("2025-07", 4), ("2025-08", 5), ("2025-11", 6), ("2026-01", 6), ("2026-06", 6)],
)
def test_a_result_tells_more_in_later_profiles(
    perplexity: httpx.Client, profile: str, count: int
) -> None:
    (result, *_) = ask(perplexity, {"profile": profile}).json()["search_results"]
    assert list(result) == FACTS[:count]


def test_a_result_of_september_2026_is_sorted_and_has_a_place_of_null(
    perplexity: httpx.Client,
) -> None:
    (result, *_) = ask(perplexity, {"profile": "2026-09"}).json()["search_results"]
    assert list(result) == sorted(FACTS)
    assert result["place_metadata"] is None


@pytest.mark.parametrize(
    ("profile", "kinds", "waiting"),
    [
        ("seed", ("chat.completion", "chat.completion"), True),
        ("2025-08", ("chat.completion", "chat.completion"), True),
        ("2025-11", ("chat.completion.chunk", "chat.completion.done"), True),
        ("2026-01", ("chat.completion.chunk", "chat.completion.done"), False),
        ("2026-06", ("chat.completion.chunk", "chat.completion.done"), False),
        ("2026-09", ("chat.completion.chunk", "chat.completion.done"), True),
    ],
)
def test_chunks_name_their_kind_and_wait_for_a_reason_as_in_the_profile(
    perplexity: httpx.Client, events: Any, profile: str, kinds: tuple[str, str], waiting: bool
) -> None:
    *chunks, last = events(ask(perplexity, {"profile": profile}, stream=True))
    assert ({chunk["object"] for chunk in chunks}, last["object"]) == ({kinds[0]}, kinds[1])
    assert last["choices"][0]["finish_reason"] == "stop"
    for chunk in chunks:
        assert ("finish_reason" in chunk["choices"][0]) == waiting
        assert chunk["choices"][0].get("finish_reason") is None


@pytest.mark.parametrize(
    ("profile", "first", "last"),
    [
        ("seed", None, None),
        ("2025-07", None, None),
        ("2025-08", None, 0.005),
        ("2026-01", None, 0.005),
        ("2026-06", 0, 0.00503),
        ("2026-09", 0, 0.00503),
    ],
)
def test_the_cost_is_told_as_in_the_profile(
    perplexity: httpx.Client, events: Any, profile: str, first: float | None, last: float | None
) -> None:
    chunks = events(ask(perplexity, {"profile": profile}, stream=True))
    costs = [chunk["usage"].get("cost", {"total_cost": None}) for chunk in chunks]
    assert (costs[0]["total_cost"], costs[-1]["total_cost"]) == (first, last)
    assert "request_cost" not in costs[0]
    assert ("search_context_size" in chunks[0]["usage"]) == (profile != "seed")


@pytest.mark.parametrize(("profile", "spaced"), [("2025-11", True), ("2026-01", False)])
def test_json_became_compact_in_january_2026(
    perplexity: httpx.Client, profile: str, spaced: bool
) -> None:
    text = ask(perplexity, {"profile": profile}, stream=True).text
    assert text.startswith('data: {"id": "' if spaced else 'data: {"id":"')


def test_september_2026_escapes_the_characters_of_html(perplexity: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"a": {"const": "<b> & 5"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    response = ask(perplexity, {"profile": "2026-09"}, response_format=form)
    assert "\\u003cb\\u003e \\u0026 5" in response.text
    assert json.loads(response.json()["choices"][0]["message"]["content"]) == {"a": "<b> & 5"}


@pytest.mark.parametrize("profile", DATED)
def test_only_september_2026_names_its_requests(perplexity: httpx.Client, profile: str) -> None:
    response = ask(perplexity, {"profile": profile})
    assert ("x-request-id" in response.headers) == (profile == "2026-09")


@pytest.mark.parametrize("profile", ["2025-11", "2026-06", "2026-09"])
def test_a_concise_stream_has_its_sources_at_two_ends(
    perplexity: httpx.Client, events: Any, profile: str
) -> None:
    whole = ask(perplexity, {"profile": profile}).json()
    chunks = events(ask(perplexity, {"profile": profile}, stream=True, stream_mode="concise"))
    thinking, thought, *middle, done = chunks
    assert [chunk["object"] for chunk in (thinking, thought, done)] == [
        "chat.reasoning", "chat.reasoning.done", "chat.completion.done",
    ]  # fmt: skip
    assert {chunk["object"] for chunk in middle} == {"chat.completion.chunk"}
    (step,) = thinking["choices"][0]["delta"]["reasoning_steps"]
    assert step["web_search"]["search_keywords"] == [QUESTION]
    results = whole["search_results"]
    assert step["web_search"]["search_results"] == results
    assert thought["search_results"] == done["search_results"] == results
    assert all("search_results" not in c and "usage" not in c for c in (thinking, *middle))
    assert all(list(c["choices"][0]) in (["index", "delta"], ["delta", "index"]) for c in middle)
    assert "".join(c["choices"][0]["delta"]["content"] for c in middle) == TEXT
    assert done["choices"] == whole["choices"]
    assert done["usage"] == whole["usage"]


def test_a_profile_without_the_concise_mode_streams_in_full(
    perplexity: httpx.Client, events: Any
) -> None:
    response = ask(perplexity, {"profile": "2025-08"}, stream=True, stream_mode="concise")
    assert all("message" in chunk["choices"][0] for chunk in events(response))


def test_a_concise_stream_without_a_search_does_not_begin_with_one(
    perplexity: httpx.Client, events: Any
) -> None:
    response = ask(perplexity, {}, stream=True, stream_mode="concise", disable_search=True)
    assert {e["object"] for e in events(response)} == {
        "chat.completion.chunk", "chat.completion.done",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("switches", "thinks"),
    [
        ({"profile": "seed"}, True),
        ({"profile": "2026-01"}, True),
        ({"profile": "2026-06"}, False),
        ({"profile": "2026-06", "think": True}, True),
        ({"profile": "2026-01", "think": False}, False),
    ],
)
def test_a_reasoning_model_shows_its_thought_as_in_the_profile(
    perplexity: httpx.Client, switches: Any, thinks: bool
) -> None:
    body = ask(perplexity, switches, model="sonar-reasoning-pro").json()
    content = body["choices"][0]["message"]["content"]
    assert bool(re.fullmatch(r"<think>\n.+\n</think>\n\n.+", content)) == thinks
    assert content.endswith(TEXT)
    plain = ask(perplexity, switches).json()["choices"][0]["message"]["content"]
    assert plain == TEXT


def test_a_thought_stands_before_json_too(perplexity: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"watts": {"type": "integer"}}, "required": ["watts"]}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    switches, model = {"think": True}, "sonar-reasoning"
    body = ask(perplexity, switches, model=model, response_format=form).json()
    assert body["choices"][0]["message"]["content"].endswith('</think>\n\n{"watts":9}')


def test_deep_research_counts_what_it_has_read_and_thought(perplexity: httpx.Client) -> None:
    usage = ask(perplexity, {}, model="sonar-deep-research").json()["usage"]
    assert usage["num_search_queries"] == 1
    assert usage["citation_tokens"] > 0
    assert 0 < usage["reasoning_tokens"] < usage["completion_tokens"]
    cost = usage["cost"]
    assert cost["search_queries_cost"] == 0.005
    assert {"citation_tokens_cost", "reasoning_tokens_cost"} <= cost.keys()
    assert cost["total_cost"] == pytest.approx(sum(cost.values()) - cost["total_cost"])


@pytest.mark.parametrize(
    ("switches", "page"),
    [
        ({"profile": "seed"}, True),
        ({"profile": "2026-01"}, True),
        ({"profile": "2026-06"}, False),
        ({"profile": "2026-06", "html_401": True}, True),
        ({"profile": "2025-07", "html_401": False}, False),
    ],
)
def test_a_wrong_key_gets_a_page_or_json_as_in_the_profile(
    perplexity: httpx.Client, switches: Any, page: bool
) -> None:
    perplexity.headers["authorization"] = "Bearer wrong"
    response = ask(perplexity, switches)
    assert response.status_code == 401
    assert response.headers["content-type"].startswith("text/html" if page else "application/json")
    assert ("<title>401 Authorization Required</title>" in response.text) == page


def test_lines_can_end_in_another_way(perplexity: httpx.Client) -> None:
    switches = {"line_ending": "lf", "done": True, "event_lines": True}
    text = ask(perplexity, switches, stream=True).text
    assert "\r" not in text
    assert text.startswith('event: message\ndata: {"id"')
    assert text.endswith("}\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize(("ending", "end"), [("crlf", "\r\n"), ("lf", "\n")])
def test_an_error_in_a_stream_ends_its_lines_in_the_same_way(
    perplexity: httpx.Client, ending: str, end: str
) -> None:
    perplexity.headers["x-sandbox-fault"] = "error; after=1; message=Oh"
    text = ask(perplexity, {"line_ending": ending}, stream=True).text
    first, error, rest = text.split(2 * end)
    assert (json.loads(error.removeprefix("data: "))["error"]["message"], rest) == ("Oh", "")
    assert json.loads(first.removeprefix("data: "))["object"] == "chat.completion.chunk"


@pytest.mark.parametrize(
    ("when", "having"), [("every", "first middle last"), ("first", "first"), ("late", "last")]
)
def test_a_stream_has_its_sources_when_the_switch_says_so(
    perplexity: httpx.Client, events: Any, when: str, having: str
) -> None:
    chunks = events(ask(perplexity, {"citations": when}, stream=True))
    places = {"first": chunks[0], "middle": chunks[1], "last": chunks[-1]}
    for key in ("citations", "search_results"):
        assert [name for name, chunk in places.items() if key in chunk] == having.split()
    assert "citations" in ask(perplexity, {"citations": when}).json()


def test_citations_can_be_null_or_missing(perplexity: httpx.Client) -> None:
    null = ask(perplexity, {"citations": "null"}).json()
    missing = ask(perplexity, {"citations": "missing"}).json()
    assert (null["citations"], "citations" in missing) == (None, False)
    assert len(null["search_results"]) == len(missing["search_results"]) == 2


@pytest.mark.parametrize(("profile", "how"), [("2026-06", "absent"), ("2026-09", None)])
def test_every_second_result_can_lack_its_date(
    perplexity: httpx.Client, profile: str, how: str | None
) -> None:
    body = ask(perplexity, {"profile": profile, "undated": True}).json()
    first, second = (result.get("date", "absent") for result in body["search_results"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", first)
    assert second == how


@pytest.mark.parametrize(
    "field", [{"temperature": 0}, {"top_p": 1}, {"top_k": 0}, {"presence_penalty": -2}]
)
def test_the_ends_of_the_ranges_can_be_refused(
    perplexity: httpx.Client, field: dict[str, Any]
) -> None:
    assert ask(perplexity, {}, **field).status_code == 200
    refused = ask(perplexity, {"strict_ranges": True}, **field)
    assert refused.status_code == 400
    assert next(iter(field)) in refused.json()["error"]["message"]


def test_unknown_fields_can_be_refused(perplexity: httpx.Client) -> None:
    refused = ask(perplexity, {"strict_fields": True}, x=1)
    assert refused.json()["error"]["message"].startswith('["At body -> x: ')
    several: dict[str, Any] = {"zeta": 1, "alpha": 1, "y": 1, "b": 1, "model_dump": 1}
    message = ask(perplexity, {"strict_fields": True}, **several).json()["error"]["message"]
    assert [fault.split(":")[0] for fault in json.loads(message)] == [
        f"At body -> {name}" for name in several
    ]
    assert ask(perplexity, {"strict_fields": True}, stream_options={}).status_code == 200


def test_too_many_requests_can_tell_the_limits(perplexity: httpx.Client) -> None:
    perplexity.headers["x-sandbox-fault"] = "status; code=429"
    bare, told = ask(perplexity, {}), ask(perplexity, {"rate_limit_headers": True})
    assert bare.json()["error"]["type"] == "request_rate_limit_exceeded"
    assert "x-ratelimit-reset" not in bare.headers
    assert (told.headers["x-ratelimit-remaining"], told.status_code) == ("0", 429)
    assert int(told.headers["x-ratelimit-reset"]) > 0


FAILURES = {
    400: "bad_request",
    401: "invalid_api_key",
    402: "insufficient_credits",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    412: "precondition_failed",
    413: "request_too_large",
    415: "unsupported_media_type",
    418: "bad_request",
    422: "unprocessable_entity",
    429: "request_rate_limit_exceeded",
    500: "internal_error",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
    520: "bad_gateway",
    524: "gateway_timeout",
    529: "service_unavailable",
    599: "internal_error",
}


@pytest.mark.parametrize(("code", "kind"), FAILURES.items())
def test_every_failure_has_words_and_a_type(perplexity: httpx.Client, code: int, kind: str) -> None:
    perplexity.headers["x-sandbox-fault"] = f"status; code={code}"
    response = ask(perplexity, {})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["type"]) == (code, code, kind)
    assert (error["message"] == "resource not found") == (code == 404)


def test_a_refused_key_is_a_page_where_the_profile_has_one(perplexity: httpx.Client) -> None:
    perplexity.headers["x-sandbox-fault"] = "status; code=401"
    assert ask(perplexity, {"profile": "2025-11"}).headers["content-type"].startswith("text/html")
    perplexity.headers["x-sandbox-fault"] = "status; code=401; message=Oh!"
    assert ask(perplexity, {"profile": "2025-11"}).json()["error"]["message"] == "Oh!"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/async/chat/completions"),
        ("GET", "/async/chat/completions"),
        ("GET", "/async/chat/completions/1"),
    ],
)
def test_what_was_asynchronous_is_gone(perplexity: httpx.Client, method: str, path: str) -> None:
    error = perplexity.request(method, path).json()["error"]
    assert (error["code"], error["type"]) == (403, "chat_completions_not_available")
