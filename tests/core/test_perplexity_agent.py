"""Perplexity's agent in the core: what is sent, what is read, and what is refused before."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, Completion, Message, Span, ToolCall
from qaip_core.backends.perplexity import agent_input
from qaip_core.backends.perplexity.agent import (
    AGENT,
    CANCEL,
    RETRIEVE,
    START,
    PerplexityAgentParams,
    started,
)
from qaip_core.errors import (
    BadRequestError,
    IncompleteStreamError,
    InvalidParameterError,
    MalformedResponseError,
    NotFoundError,
    ServerReportedError,
)
from qaip_core.operation import Operation
from qaip_core.types import UNMARKED, ServerTool, add_up
from support.backends import settings
from support.fault_server import FaultServer, json_reply, sse_reply

MODEL = {"model": "perplexity/sonar", "web_search": False}
SEARCH = {"type": "web_search"}
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
NESTED = {"type": "function", "function": WEATHER}
FLAT = {"type": "function", **WEATHER}
FOUND = {"id": 7, "url": "https://a.example", "title": "A", "snippet": "Tea.", "source": "web"}
SEARCHED = {"type": "search_results", "queries": ["tea"], "results": [FOUND]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
EMPTY: dict[str, Any] = {}


def said(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}


def response(*output: Any, status: str = "completed", **more: Any) -> dict[str, Any]:
    known = {"id": "resp_1", "model": "perplexity/sonar", "created_at": 1790000000, "error": None}
    return {**known, "status": status, "output": list(output), "usage": None, **more}


def events(*told: tuple[str, dict[str, Any]]) -> list[str]:
    return [
        json.dumps({"type": f"response.{kind}", "sequence_number": n, **fields})
        for n, (kind, fields) in enumerate(told)
    ]


def delta(text: str) -> tuple[str, dict[str, Any]]:
    return "output_text.delta", {"item_id": "m", "output_index": 1, "delta": text}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def client(server: FaultServer) -> Iterator[Client]:
    with closing(Client(settings(AGENT, server.url))) as made:
        yield made


def sent(client: Client, server: FaultServer, prompt: Any = "q", **values: Any) -> Any:
    server.replies(json_reply(response(said("Tea."))))
    client.complete(AGENT, prompt, values)
    body = server.requests[-1].json()
    return {k: v for k, v in body.items() if k not in ("input", "model")}


def asked(client: Client, server: FaultServer, *turns: Message) -> Any:
    server.replies(json_reply(response(said("Tea."))))
    client.complete(AGENT, turns, MODEL)
    return server.requests[-1].json()["input"]


def answered(client: Client, server: FaultServer, *output: Any, **more: Any) -> Completion:
    server.replies(json_reply(response(*output, **more)))
    return client.complete(AGENT, "q", MODEL)


# What is sent.


def test_a_prompt_and_a_model_are_all_that_is_sent(client: Client, server: FaultServer) -> None:
    server.replies(json_reply(response(said("Tea."))))
    client.complete(AGENT, "Why?", {"model": "perplexity/sonar"})
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/agent")
    assert request.json() == {"input": "Why?", "model": "perplexity/sonar"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"web_search": True}, {"tools": [SEARCH]}),
        ({"web_search": False}, {}),
        ({"web_search": {"max_results": 3}}, {"tools": [{**SEARCH, "max_results": 3}]}),
        (
            {"web_search": {"filters": {"search_after_date_filter": "2026-03-31"}}},
            {"tools": [{**SEARCH, "filters": {"search_after_date_filter": "03/31/2026"}}]},
        ),
        ({"tools": [NESTED]}, {"tools": [FLAT]}),
        ({"tools": [FLAT]}, {"tools": [FLAT]}),
        ({"tools": [NESTED], "web_search": True}, {"tools": [SEARCH, FLAT]}),
        (
            {"tools": [{**SEARCH, "max_results": 2}], "web_search": True},
            {"tools": [{**SEARCH, "max_results": 2}]},
        ),
        (
            {"server_tools": [{"type": "fetch_url", "max_urls": 2}], "tools": [NESTED]},
            {"tools": [{"type": "fetch_url", "max_urls": 2}, FLAT]},
        ),
        ({"tools": []}, {}),
        (
            {"server_tools": [NESTED, {"type": "fetch_url"}, {**FLAT, "name": "other"}]},
            {"tools": [{"type": "fetch_url"}, FLAT, {**FLAT, "name": "other"}]},
        ),
        ({"tool_choice": "any"}, {"tool_choice": "required"}),
        ({"tool_choice": {"type": "web_search"}}, {"tool_choice": {"type": "web_search"}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
            {"tool_choice": {"name": "weather"}},
        ),
        (
            {"tool_choice": {"type": "function", "name": "weather"}},
            {"tool_choice": {"name": "weather"}},
        ),
        ({"max_tokens": 16}, {"max_output_tokens": 16}),
        ({"max_output_tokens": 20}, {"max_output_tokens": 20}),
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        ({"reasoning": {"effort": "max"}}, {"reasoning": {"effort": "max"}}),
        ({"request_metadata": {"team": "a"}}, {"metadata": {"team": "a"}}),
        ({"previous_response_id": "resp_0"}, {"previous_response_id": "resp_0"}),
        ({"extra_body": {"new": 1}}, {"new": 1}),
        ({"stop": ["."]}, {}),
        ({"response_format": {"type": "text"}}, {"response_format": {"type": "text"}}),
        ({"response_format": SCHEMA}, {"response_format": SCHEMA}),
    ],
)
def test_a_parameter_is_sent_as_the_service_writes_it(
    client: Client, server: FaultServer, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert sent(client, server, **{**MODEL, **given}) == expected


def test_several_mcp_servers_are_all_sent(client: Client, server: FaultServer) -> None:
    servers = [{"type": "mcp", "server_label": label} for label in ("a", "b")]
    assert sent(client, server, **MODEL, server_tools=servers) == {"tools": servers}


def test_a_stream_is_asked_for(client: Client, server: FaultServer) -> None:
    server.replies(sse_reply(*events(("completed", {"response": response(said("Tea."))}))))
    with closing(client.stream(AGENT, "q", MODEL)) as increments:
        assert add_up(list(increments)).text == "Tea."
    assert server.requests[-1].json()["stream"] is True


def test_turns_become_items(client: Client, server: FaultServer) -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://a.example/i.png"}},
        {"type": "file_url", "file_url": {"url": "https://a.example/a.pdf"}, "file_name": "a.pdf"},
        {"type": "file_url", "file_url": {"url": "QUJD"}},
    ]
    items = asked(
        client, server,
        Message("system", "Be brief."),
        Message("user", parts),
        Message("assistant", "A cup."),
        Message("user", "Sure?"),
    )  # fmt: skip
    assert items == [
        {"type": "message", "role": "system", "content": "Be brief."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is it?"},
                {"type": "input_image", "image_url": "https://a.example/i.png"},
                {
                    "type": "input_file",
                    "file_url": "https://a.example/a.pdf",
                    "filename": "a.pdf",
                },
                {"type": "input_file", "file_data": "QUJD"},
            ],
        },
        {"type": "message", "role": "assistant", "content": "A cup."},
        {"type": "message", "role": "user", "content": "Sure?"},
    ]


def test_a_call_and_its_result_go_back_with_their_signature(
    client: Client, server: FaultServer
) -> None:
    call = ToolCall("weather", "{}", "call_1", signature="c2ln")
    items = asked(
        client, server,
        Message("user", "Rain?"),
        Message("assistant", "", tool_calls=[call]),
        Message("tool", "no", tool_call_id="call_1"),
    )  # fmt: skip
    about = {"call_id": "call_1", "name": "weather", "thought_signature": "c2ln"}
    assert items[1:] == [
        {"type": "function_call", "arguments": "{}", **about},
        {"type": "function_call_output", "output": "no", **about},
    ]


def test_a_result_whose_call_was_left_out_is_sent_as_it_is(
    client: Client, server: FaultServer
) -> None:
    items = asked(client, server, Message("tool", "no", tool_call_id="call_1"))
    assert items == [{"type": "function_call_output", "call_id": "call_1", "output": "no"}]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "one of model, models, effort and preset"),
        ({"model": "sonar"}, "model='perplexity/sonar', web_search=True"),
        ({"model": "sonar-deep-research"}, "effort='medium'"),
        ({"model": "perplexity/sonar-pro"}, "effort='low'"),
        ({"models": ["sonar-pro"]}, "effort='low'"),
        ({"models": [f"a/{n}" for n in range(6)]}, "at most 5"),
        ({"model": "anthropic/claude"}, "max_tokens"),
        ({"models": ["a/b", "anthropic/claude"]}, "max_tokens"),
        ({**MODEL, "max_tokens": 15}, "16"),
        ({**MODEL, "max_steps": 101}, "100"),
        ({**MODEL, "temperature": 2.1}, "2"),
        ({**MODEL, "web_search": {"max_results": 51}}, "50"),
        ({**MODEL, "web_search": {"search_domain_filter": ["a.example"]}}, "'filters': {"),
        ({**MODEL, "web_search": {"max_result": 5}}, "not permitted"),
        ({**MODEL, "search_domain_filter": ["a.example"]}, 'web_search={"filters": {"search_do'),
        ({**MODEL, "search_context_size": "low"}, 'web_search={"search_context_size": ...}'),
        ({**MODEL, "background": True}, "start()"),
        ({**MODEL, "tool_choice": {}}, "tool_choice"),
        ({**MODEL, "web_search": {"filters": {"search_recency_filter": "eon"}}}, "'year'"),
        ({**MODEL, "tools": [{"type": "fetch_url", "max_urls": 11}]}, "10"),
        ({**MODEL, "tools": [{"type": "web_serch"}]}, "web_search"),
        ({**MODEL, "tools": ["web_search"]}, "web_search"),
        ({**MODEL, "tools": [{"type": "function", "name": "search_web"}]}, "search_web"),
        ({**MODEL, "tool_choice": "weather"}, "tool_choice"),
        ({**MODEL, "reasoning": {}, "reasoning_effort": "low"}, "exclude"),
        ({**MODEL, "response_format": {"type": "regex"}}, "json_schema"),
        (
            {
                **MODEL,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": {"type": "array"}},
                },
            },
            "objects",
        ),
        ({**MODEL, "effort": "huge"}, "effort"),
        ({**MODEL, "top_k": 3}, "top_k"),
    ],
)
def test_what_would_be_refused_is_refused_before_it_is_sent(
    client: Client, server: FaultServer, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        client.complete(AGENT, "q", given)
    assert words in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "video_url", "video_url": {"url": "https://a.example/v"}}, "video_url"),
        ({"type": "image_url", "image_url": {"url": "https://a.example/" + "x" * 2048}}, "2048"),
        ({"type": "image_url"}, "no url"),
    ],
)
def test_a_part_that_would_be_refused_is_refused_before_it_is_sent(
    client: Client, server: FaultServer, part: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        client.complete(AGENT, [Message("user", [part])], MODEL)
    assert server.requests == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, 1),
        ({"web_search": True}, 0),
        ({"web_search": False}, 0),
        ({"tools": [NESTED]}, 0),
        ({"effort": "low"}, 0),
    ],
)
def test_a_model_that_cannot_search_is_told_of_once(
    client: Client,
    server: FaultServer,
    caplog: pytest.LogCaptureFixture,
    given: dict[str, Any],
    told: int,
) -> None:
    agent_input._tell_that_nothing_is_searched.cache_clear()
    server.replies(json_reply(response(said("Tea."))))
    with caplog.at_level(logging.WARNING, "qaip_core"):
        for _ in range(2):
            client.complete(AGENT, "q", {"model": "perplexity/sonar", **given})
    assert ["web_search=True" in record.message for record in caplog.records] == [True] * told


# What is read.


def test_markers_name_ids_of_results_never_places(client: Client, server: FaultServer) -> None:
    other = {**FOUND, "id": 2, "url": "https://b.example"}
    nameless = {k: v for k, v in FOUND.items() if k != "id"}
    answer = answered(
        client, server,
        {**SEARCHED, "results": [FOUND, other]},
        {**SEARCHED, "results": [nameless]},
        said("Tea.[7] [1] [3] [web:2][web:9][2](https://c.example)"),
    )  # fmt: skip
    assert [c.spans for c in answer.citations] == [(Span(4, 7),), (Span(16, 23),), ()]
    assert [c.marker for c in answer.citations] == [7, 2, UNMARKED]
    assert [c.rank for c in answer.citations] == [1, 2, 3]
    assert "marker" not in answer.citations[2].facts()


def test_a_marker_with_a_prefix_names_no_place_where_there_are_no_numbers() -> None:
    from qaip_core import Citation
    from qaip_core.citations import resolve_markers

    (citation,) = resolve_markers("a[web:1]", [Citation("x", rank=1)])
    assert citation.spans == ()


def test_annotations_give_the_places_that_markers_do_not(
    client: Client, server: FaultServer
) -> None:
    message = said("Tea is hot. So is soup.")
    note = {"type": "url_citation", "url": FOUND["url"], "start_index": 0, "end_index": 11}
    beyond = {**note, "start_index": 20, "end_index": 99}
    message["content"][0]["annotations"] = [note, beyond, {"type": "other"}, None]
    answer = answered(client, server, SEARCHED, message)
    assert [c.spans for c in answer.citations] == [(Span(0, 11),)]


def test_what_the_service_did_is_told(client: Client, server: FaultServer) -> None:
    page = {"title": "A", "url": "https://a.example", "snippet": "Tea."}
    answer = answered(
        client, server,
        SEARCHED,
        {"type": "fetch_url_results", "contents": [page]},
        {"type": "sandbox_results", "stdout": "4"},
        said("Tea.[7]"),
    )  # fmt: skip
    assert answer.server_tools == (
        ServerTool("resp_1_0", "web_search", {"queries": ["tea"]}, [FOUND]),
        ServerTool("resp_1_1", "fetch_url", {"urls": ["https://a.example"]}, [page]),
        ServerTool("resp_1_2", "sandbox", {}, {"stdout": "4"}),
    )


def test_a_stream_tells_what_the_service_did_with_the_first_text_and_once(
    client: Client, server: FaultServer
) -> None:
    late = {**SEARCHED, "queries": ["more"]}
    told = events(
        ("created", {"response": response(status="in_progress")}),
        ("output_item.done", {"output_index": 0, "item": SEARCHED}),
        delta("Tea."), delta("[7"), delta("]"),
        ("output_item.done", {"output_index": 2, "item": late}),
        ("completed", {"response": response(SEARCHED, said("Tea.[7]"), late)}),
    )  # fmt: skip
    server.replies(sse_reply(*told))
    with closing(client.stream(AGENT, "q", MODEL)) as stream:
        increments = list(stream)
    assert [[t.id for t in i.server_tools] for i in increments] == [
        ["resp_1_0"], [], [], ["resp_1_2"],
    ]  # fmt: skip
    assert [i.text for i in increments] == ["Tea.", "[7", "]", ""]
    total = add_up(increments)
    assert [t.id for t in total.server_tools] == ["resp_1_0", "resp_1_2"]
    assert total.citations[0].spans == (Span(4, 7),)
    assert increments[0].id == total.id == "resp_1"


def test_a_call_of_a_function_is_told_once(client: Client, server: FaultServer) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
    second = {**call, "call_id": "c2", "thought_signature": "c2ln"}
    told = events(
        ("output_item.added", {"output_index": 0, "item": call}),
        ("output_item.done", {"output_index": 0, "item": call}),
        ("completed", {"response": response(call, second)}),
    )
    server.replies(sse_reply(*told))
    with closing(client.stream(AGENT, "q", MODEL)) as stream:
        increments = list(stream)
    assert [len(i.choice.tool_calls) for i in increments] == [1, 1]
    total = add_up(increments)
    assert total.choice.tool_calls == (
        ToolCall("weather", "{}", "c1", 0),
        ToolCall("weather", "{}", "c2", 1, "c2ln"),
    )
    assert total.finish_reason == "tool_calls"


def test_cost_and_calls_are_metadata_and_counts_are_usage(
    client: Client, server: FaultServer
) -> None:
    usage = {
        "input_tokens": 5,
        "output_tokens": 3,
        "total_tokens": 8,
        "input_tokens_details": {"cache_read_input_tokens": 2, "cache_creation_input_tokens": 1},
        "cost": {"currency": "USD", "total_cost": 0.005},
        "tool_calls_details": {"search_web": {"invocation": 1, "cost_usd": 0.005}},
    }
    answer = answered(client, server, said("Tea."), usage=usage, service_tier="fast")
    assert answer.usage is not None
    assert answer.usage.as_counts() == {
        "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
    }  # fmt: skip
    assert (answer.usage.cached_tokens, answer.usage.cache_written_tokens) == (2, 1)
    assert answer.metadata == {
        "cost": usage["cost"],
        "tool_calls_details": usage["tool_calls_details"],
        "status": "completed",
        "service_tier": "fast",
    }
    assert answer.raw is not None
    assert answer.raw["usage"]["input_tokens"] == 5


@pytest.mark.parametrize(
    ("status", "details", "reason"),
    [
        ("incomplete", {"reason": "max_output_tokens"}, "length"),
        ("incomplete", {"reason": "content_filter"}, "content_filter"),
        ("incomplete", None, "incomplete"),
        ("resting", None, "resting"),
    ],
)
def test_why_an_answer_ended_is_said_in_known_words_where_there_are_some(
    client: Client, server: FaultServer, status: str, details: Any, reason: str
) -> None:
    answer = answered(client, server, said("T"), status=status, incomplete_details=details)
    assert answer.finish_reason == reason


def test_stop_sequences_cut_here(client: Client, server: FaultServer) -> None:
    server.replies(json_reply(response(said("Tea. Soup."))))
    assert client.complete(AGENT, "q", {**MODEL, "stop": [" Soup"]}).text == "Tea."


def test_what_cannot_be_read_beside_the_answer_is_noted(
    client: Client, server: FaultServer
) -> None:
    odd = {**SEARCHED, "results": [5, FOUND, {**FOUND, "id": "x", "title": 3}]}
    answer = answered(client, server, odd, {"type": 4}, said("Tea.[7]"), created_at="soon")
    assert [c.title for c in answer.citations] == ["A", "3"]
    assert answer.metadata["malformed"] == [
        "output.0.results.0", "output.0.results.2.id", "output.1.type", "created_at",
    ]  # fmt: skip


def test_a_stream_that_is_cut_hands_over_what_has_come(client: Client, server: FaultServer) -> None:
    told = events(
        ("created", {"response": response(status="in_progress")}),
        ("output_item.done", {"output_index": 0, "item": SEARCHED}),
        delta("Tea.[7]"),
    )
    server.replies(sse_reply(*told))
    with pytest.raises(IncompleteStreamError) as caught:
        list(client.stream(AGENT, "q", MODEL))
    partial = caught.value.partial
    assert partial is not None
    assert (partial.text, partial.id) == ("Tea.[7]", "resp_1")
    assert partial.citations[0].spans == (Span(4, 7),)
    assert [tool.name for tool in partial.server_tools] == ["web_search"]


@pytest.mark.parametrize("field", ["delta", "text"])
def test_text_of_another_type_is_an_error(client: Client, server: FaultServer, field: str) -> None:
    kind = {"delta": "output_text.delta", "text": "output_text.done"}[field]
    server.replies(sse_reply(*events((kind, {field: 7}))))
    with pytest.raises(MalformedResponseError, match=field):
        list(client.stream(AGENT, "q", MODEL))


def test_text_may_follow_a_call_and_a_call_text(client: Client, server: FaultServer) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
    working = {**call, "name": "fetch_url", "call_id": "c0"}  # the service's own
    told = events(
        ("output_item.done", {"output_index": 0, "item": working}),
        ("output_item.done", {"output_index": 1, "item": call}),
        ("output_text.done", {"output_index": 2, "text": "I look."}),
        ("output_item.done", {"output_index": 3, "item": {**call, "call_id": "c2"}}),
        ("completed", {"response": response(working, None, call, said("I look."))}),
    )
    server.replies(sse_reply(*told, "[DONE]"))
    with closing(client.stream(AGENT, "q", MODEL)) as stream:
        total = add_up(list(stream))
    assert total.text == "I look."
    assert [made.id for made in total.choice.tool_calls] == ["c1", "c2"]


def call_of(name: str, place: int) -> tuple[str, dict[str, Any]]:
    known = {"type": "function_call", "call_id": f"call_{name}", "name": name, "arguments": "{}"}
    return "output_item.done", {"output_index": place, "item": known}


@pytest.mark.parametrize("done", [(0, 1), (1, 0), (1,), (0,), ()])
def test_calls_that_are_done_in_another_order_are_all_there(
    client: Client, server: FaultServer, done: tuple[int, ...]
) -> None:
    calls = [call_of("first", 0), call_of("second", 1)]
    whole = response(*(told["item"] for _, told in calls))
    told = [("created", {"response": response(status="in_progress")})]
    told += [*(calls[n] for n in done), ("completed", {"response": whole})]
    server.replies(sse_reply(*events(*told)))
    answer = add_up(client.stream(AGENT, "q", MODEL))
    assert sorted(call.name for call in answer.choice.tool_calls) == ["first", "second"]
    assert {call.arguments for call in answer.choice.tool_calls} == {"{}"}


def test_calls_without_an_id_are_told_apart_by_what_they_ask(
    client: Client, server: FaultServer
) -> None:
    calls = [call_of("first", 0), call_of("second", 1)]
    for _, told in calls:
        del told["item"]["call_id"]
    whole = response(*(told["item"] for _, told in calls))
    server.replies(sse_reply(*events(*calls, ("completed", {"response": whole}))))
    answer = add_up(client.stream(AGENT, "q", MODEL))
    assert [call.name for call in answer.choice.tool_calls] == ["first", "second"]


def test_a_stream_without_a_beginning_tells_once_what_the_service_did(
    client: Client, server: FaultServer
) -> None:
    found = ("output_item.done", {"output_index": 0, "item": SEARCHED})
    whole = response(SEARCHED, said("Tea."))
    server.replies(sse_reply(*events(found, delta("Tea."), ("completed", {"response": whole}))))
    answer = add_up(client.stream(AGENT, "q", MODEL))
    assert len(answer.server_tools) == 1


def test_events_that_say_nothing_add_nothing(client: Client, server: FaultServer) -> None:
    told = events(
        delta(""),
        ("output_item.done", {"output_index": 0, "item": None}),
        ("output_text.done", {"output_index": 1, "text": None}),
        delta("Tea. "),
        ("completed", {"response": response(said("Tea."))}),
    )
    server.replies(sse_reply("null", *told))
    with closing(client.stream(AGENT, "q", MODEL)) as stream:
        increments = list(stream)
    assert [i.text for i in increments] == ["Tea. ", ""]  # white space that went is no other text
    assert not increments[-1].replaces


@pytest.mark.parametrize(
    "event",
    [
        '{"error": {"message": "gone"}}',
        '{"detail": "gone"}',
        '{"message": "gone"}',
        '{"type": "error", "message": "gone"}',
        '{"type": "error", "error": {"message": "gone"}}',
        '{"type": "response.failed", "response": {"error": {"message": "gone"}}}',
        '{"type": "response.failed", "error": "gone"}',
        b'event: error\ndata: {"message": "gone"}\n\n',
    ],
)
def test_an_error_in_the_midst_is_raised_however_it_is_written(
    client: Client, server: FaultServer, event: str | bytes
) -> None:
    server.replies(sse_reply(*events(delta("Tea.")), event))
    with pytest.raises(ServerReportedError, match="gone") as caught:
        list(client.stream(AGENT, "q", MODEL))
    assert caught.value.partial_text == "Tea."


def test_a_run_may_fail_without_a_reason(client: Client, server: FaultServer) -> None:
    server.replies(sse_reply(*events(("failed", {}))))
    with pytest.raises(ServerReportedError, match="without a reason"):
        list(client.stream(AGENT, "q", MODEL))


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"error": {"message": "gone"}}, ServerReportedError, "gone"),
        ({"error": {"message": "gone"}, "output": 5}, ServerReportedError, "gone"),
        ({"detail": "gone"}, ServerReportedError, "gone"),
        ({"output": 5}, MalformedResponseError, "output"),
        ([], MalformedResponseError, "another shape"),
        (response(said("Tea."), error={"message": "gone"}), ServerReportedError, "gone"),
    ],
)
def test_a_body_that_is_no_answer_is_an_error(
    client: Client, server: FaultServer, body: Any, kind: type[Exception], words: str
) -> None:
    server.replies(json_reply(body))
    with pytest.raises(kind, match=words):
        client.complete(AGENT, "q", MODEL)


def test_how_a_model_is_called_for_want_of_its_name() -> None:
    def label(**given: Any) -> str:
        return PerplexityAgentParams(**given).model_label

    assert label() == "perplexity"
    assert label(effort="low") == "low"
    assert label(models=["a/b", "c/d"], effort="low") == "a/b"


# Runs that the service keeps.


def test_a_run_in_the_background_is_started_and_read_later(
    client: Client, server: FaultServer
) -> None:
    server.replies(json_reply(response(status="queued")))
    run = client.fetch(START, started("q", {**MODEL, "stop": ["x"]}, {"new": 1}))
    assert (run.id, run.status, run.done, run.answer) == ("resp_1", "queued", False, None)
    assert server.requests[-1].json() == {
        "input": "q", "model": "perplexity/sonar", "background": True, "new": 1,
    }  # fmt: skip
    server.replies(json_reply(response(SEARCHED, said("Tea.[7]"))))
    run = client.fetch(RETRIEVE, {"response_id": "resp_1"})
    assert (server.requests[-1].method, server.requests[-1].path) == ("GET", "/v1/agent/resp_1")
    assert run.done
    assert run.answer is not None
    assert run.answer.citations[0].spans == (Span(4, 7),)


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelling"])
def test_a_run_is_not_done_until_it_says_so(
    client: Client, server: FaultServer, status: str
) -> None:
    server.replies(json_reply(response(status=status)))
    run = client.fetch(RETRIEVE, {"response_id": "resp_1"})
    assert (run.status, run.done, run.answer) == (status, False, None)


def test_a_run_that_was_cancelled_keeps_what_it_had(client: Client, server: FaultServer) -> None:
    server.replies(json_reply({"response_id": "resp_1", "status": "cancelling"}))
    assert client.fetch(CANCEL, {"response_id": "resp_1"}) == "cancelling"
    assert server.requests[-1].path == "/v1/agent/resp_1/cancel"
    server.replies(json_reply(response(SEARCHED, status="cancelled")))
    run = client.fetch(RETRIEVE, {"response_id": "resp_1"})
    assert (run.status, run.done) == ("cancelled", True)
    assert run.answer is not None
    assert run.answer.citations[0].title == "A"


def test_a_cancellation_may_say_nothing_but_has_to_be_one(
    client: Client, server: FaultServer
) -> None:
    server.replies(json_reply({}), json_reply([]))
    assert client.fetch(CANCEL, {"response_id": "resp_1"}) == "cancelling"
    with pytest.raises(MalformedResponseError):
        client.fetch(CANCEL, {"response_id": "resp_1"})


def test_a_run_that_failed_is_an_error(client: Client, server: FaultServer) -> None:
    server.replies(json_reply(response(status="failed", error={"message": "no luck"})))
    with pytest.raises(ServerReportedError, match="no luck"):
        client.fetch(RETRIEVE, {"response_id": "resp_1"})


@pytest.mark.parametrize("operation", [RETRIEVE, CANCEL])
async def test_a_run_that_is_not_kept_is_not_found(
    server: FaultServer, operation: Operation[Any]
) -> None:
    body = {"error": {"message": "resource not found", "type": "not_found", "code": 404}}
    server.replies(json_reply(body, 404))
    client = AsyncClient(settings(AGENT, server.url))
    with pytest.raises(NotFoundError, match="resource not found"):
        await client.fetch(operation, {"response_id": "resp_1"})
    await client.close()


def test_a_body_that_names_no_run_is_none(client: Client, server: FaultServer) -> None:
    server.replies(json_reply(response(said("Tea."), id=None)))
    with pytest.raises(MalformedResponseError, match="names no run"):
        client.fetch(RETRIEVE, {"response_id": "resp_1"})


def test_a_run_in_the_background_has_to_be_kept() -> None:
    with pytest.raises(InvalidParameterError, match="store"):
        started("q", {**MODEL, "store": False}, None)


def test_a_run_is_not_started_twice_for_want_of_an_answer(
    client: Client, server: FaultServer
) -> None:
    server.replies(json_reply({"error": {"message": "bad", "type": "invalid_request"}}, 400))
    with pytest.raises(BadRequestError):
        client.fetch(START, started("q", MODEL, EMPTY))
    assert len(server.requests) == 1
    assert not START.is_safe
