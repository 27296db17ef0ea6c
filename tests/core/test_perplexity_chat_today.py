"""Perplexity's chat completions as gateways serve them today, their end, and what follows them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from qaip_core import AsyncClient, Client, Completion, Connection, ModelInfo, errors
from qaip_core.backends.perplexity import CHAT
from qaip_core.backends.perplexity.agent_params import PerplexityAgentParams
from qaip_core.backends.perplexity.migration import as_agent
from qaip_core.backends.perplexity.models import MODELS
from qaip_core.types import add_up
from qaip_sandbox import Sandbox
from support.backends import settings
from support.fault_server import FaultServer, json_reply, sse_reply
from support.wire import WireCase, cases

DOCS = Path(__file__).parent.parent / "sandbox" / "docs"
ANSWER: Mapping[str, Any] = {
    "id": "c-1",
    "model": "sonar",
    "choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
}
RETIRED = {
    "error": {"message": "Gone.", "type": "chat_completions_not_available", "code": 403},
}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(DOCS) as running:
        yield running


def ask(server: FaultServer, **values: Any) -> Completion:
    server.replies(json_reply(ANSWER))
    with closing(Client(settings(CHAT, server.url))) as client:
        return client.complete(CHAT, "q", {"model": "sonar", **values})


def stream(server: FaultServer, name: str) -> tuple[Completion, WireCase]:
    (case,) = (case for case in cases("perplexity") if case.name == name)
    server.replies(case.reply())
    values = {"model": "sonar-pro", "stream_mode": "concise"}
    with closing(Client(settings(CHAT, server.url))) as client:
        return add_up(list(client.stream(CHAT, "q", values))), case


TODAY: Mapping[str, Any] = {
    "stream_mode": "concise",
    "search_mode": "sec",
    "reasoning_effort": "minimal",
    "search_recency_filter": "year",
    "search_domain_filter": ["bees.example", "-ads.example"],
    "search_language_filter": ["en"],
    "search_after_date_filter": "3/1/2024",
    "last_updated_before_filter": "12/31/2026",
    "language_preference": "de",
    "disable_search": False,
    "enable_search_classifier": True,
    "return_images": True,
    "image_domain_filter": ["-stock.example"],
    "image_format_filter": ["png"],
    "web_search_options": {
        "search_context_size": "high",
        "search_type": "auto",
        "user_location": {
            "country": "US",
            "region": "California",
            "city": "Davis",
            "latitude": 38.5,
            "longitude": -121.7,
        },
        "image_results_enhanced_relevance": True,
    },
    "response_format": {"type": "regex", "regex": {"regex": "[0-9]+"}},
}


def test_every_parameter_of_today_is_sent_as_it_is(server: FaultServer) -> None:
    ask(server, **TODAY)
    turns = [{"role": "user", "content": "q"}]
    assert server.requests[-1].json() == {"model": "sonar", **TODAY, "messages": turns}


@pytest.mark.parametrize("known", [{}, {"snippet": None}, {"title": None}])
@pytest.mark.parametrize("named", [True, False])
def test_every_attachment_is_a_source_of_its_own(
    server: FaultServer, known: dict[str, Any], named: bool
) -> None:
    attached = [{"url": "", "source": "attachment", **known} for _ in range(2)]
    if named:
        attached = [{**one, "title": f"{n}.pdf"} for n, one in enumerate(attached)]
    server.replies(json_reply({**ANSWER, "search_results": attached}))
    with closing(Client(settings(CHAT, server.url))) as client:
        first, second = client.complete(CHAT, "q", {"model": "sonar"}).citations
    assert first.id != second.id


def test_what_is_not_said_about_the_search_is_not_sent(server: FaultServer) -> None:
    ask(server, web_search_options={"user_location": {"country": "DE"}})
    sent = server.requests[-1].json()["web_search_options"]
    assert sent == {"user_location": {"country": "DE"}}


def test_a_day_may_be_a_date(server: FaultServer) -> None:
    ask(server, search_before_date_filter=date(2026, 3, 31))
    assert server.requests[-1].json()["search_before_date_filter"] == "03/31/2026"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"stream_mode": "brief"}, "stream_mode"),
        ({"web_search_options": {"search_context_size": "huge"}}, "search_context_size"),
        ({"web_search_options": {"search_type": "slow"}}, "search_type"),
        ({"web_search_options": {"contextsize": "low"}}, "contextsize"),
        ({"web_search_options": {"user_location": {"country": "Germany"}}}, "country"),
        ({"web_search_options": {"user_location": {"latitude": 91}}}, "latitude"),
        ({"web_search_options": {"user_location": {"longitude": -181}}}, "longitude"),
        ({"web_search_options": {"user_location": {"town": "Davis"}}}, "town"),
        ({"search_after_date_filter": "31/12/2025"}, "MM/DD/YYYY"),
        ({"response_format": {"type": "json_object"}}, "json_schema"),
        ({"presence_penalty": 1, "frequency_penalty": 1}, "exclude each other"),
    ],
    ids=lambda v: str(v)[:50],
)
def test_what_the_service_would_refuse_is_not_sent(
    server: FaultServer, values: dict[str, Any], told: str
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=told):
        ask(server, **values)
    assert server.requests == []


@pytest.mark.parametrize(
    "name", ["stream_concise", "stream_concise_steps", "stream_concise_steps_late"]
)
def test_the_steps_before_an_answer_are_its_reasoning(server: FaultServer, name: str) -> None:
    answer, case = stream(server, name)
    assert answer.choice.reasoning == case.expected["reasoning"]
    steps = case.expected.get("extras", {}).get("reasoning_steps")
    assert steps is None or answer.metadata["reasoning_steps"] == steps
    assert "malformed" not in answer.metadata


def test_a_whole_answer_has_its_steps_too(server: FaultServer) -> None:
    (case,) = (c for c in cases("perplexity") if c.name == "whole_reasoning_steps")
    server.replies(case.reply())
    with closing(Client(settings(CHAT, server.url))) as client:
        answer = client.complete(CHAT, "q", {"model": "sonar-pro"})
    assert answer.metadata["reasoning_steps"] == case.expected.get("extras", {})["reasoning_steps"]


def test_a_step_that_cannot_be_read_is_noted(server: FaultServer) -> None:
    answer, _ = stream(server, "stream_concise_steps_malformed")
    assert answer.metadata["malformed"] == [
        "choices.0.delta.reasoning_steps.0",
        "choices.0.delta.reasoning_steps.1.thought",
    ]


def streamed(server: FaultServer, *deltas: dict[str, Any]) -> Completion:
    choices = [{"index": 0, "delta": delta} for delta in deltas]
    choices[-1]["finish_reason"] = "stop"
    server.replies(sse_reply(*(json.dumps({"choices": [choice]}) for choice in choices)))
    with closing(Client(settings(CHAT, server.url))) as client:
        return add_up(list(client.stream(CHAT, "q", {"model": "sonar"})))


def step(thought: str) -> dict[str, Any]:
    return {"reasoning_steps": [{"thought": thought}]}


def test_a_step_may_come_with_the_first_text(server: FaultServer) -> None:
    said = ({**step("Begin.")}, {"content": "One", **step("Go on.")}, {"content": " two"})
    answer = streamed(server, *said, {"content": ""})
    assert (answer.text, answer.choice.reasoning) == ("One two", "Begin.\nGo on.")


def test_what_is_thought_within_the_text_stays_among_the_steps(server: FaultServer) -> None:
    pieces = [{"content": f" {n}", **step(f"Count {n}.")} for n in range(9)]
    answer = streamed(server, {"content": "Numbers:"}, *pieces, {"content": ""})
    assert (answer.text, answer.choice.reasoning) == ("Numbers: 0 1 2 3 4 5 6 7 8", "")
    steps = [{"thought": f"Count {n}."} for n in range(9)]
    assert answer.metadata["reasoning_steps"] == steps


@pytest.mark.parametrize("none", [None, [], [{"type": "web_search"}]])
def test_where_nothing_is_thought_there_is_no_reasoning(server: FaultServer, none: Any) -> None:
    pieces = [{"content": f" {n}", "reasoning_steps": none} for n in range(9)]
    answer = streamed(server, *pieces, {"content": ""})
    assert (answer.text, answer.choice.reasoning) == (" 0 1 2 3 4 5 6 7 8", "")


def test_an_event_without_a_choice_thinks_nothing(server: FaultServer) -> None:
    events = [
        {"choices": [], **step("Lost.")},
        {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]},
    ]
    server.replies(sse_reply(*map(json.dumps, events)))
    with closing(Client(settings(CHAT, server.url))) as client:
        answer = add_up(list(client.stream(CHAT, "q", {"model": "sonar"})))
    assert (answer.text, answer.choice.reasoning) == ("Yes.", "")


def test_a_whole_answer_that_tells_of_no_steps_has_none(server: FaultServer) -> None:
    message = {**ANSWER["choices"][0]["message"], "reasoning_steps": None}
    server.replies(json_reply({**ANSWER, "choices": [{"message": message}]}))
    with closing(Client(settings(CHAT, server.url))) as client:
        answer = client.complete(CHAT, "q", {"model": "sonar"})
    assert (answer.text, answer.choice.reasoning, answer.metadata) == ("Yes.", "", {})


def test_what_a_cut_answer_had_found_is_kept(server: FaultServer) -> None:
    with pytest.raises(errors.IncompleteStreamError) as caught:
        stream(server, "err_concise_cut")
    partial = caught.value.partial
    assert partial is not None
    assert [c.url for c in partial.citations] == [
        "https://hives.example/heat",
        "https://hives.example/winter",
    ]
    assert partial.choice.reasoning.startswith("Look for heat in hives.")


@pytest.mark.parametrize("profile", ["2025-11", "2026-06", "2026-09"])
def test_a_concise_stream_says_what_a_full_one_says(sandbox: Sandbox, profile: str) -> None:
    sandbox.switch(perplexity={"profile": profile})
    url, key = sandbox.env["PERPLEXITY_BASE_URL"], sandbox.env["PERPLEXITY_API_KEY"]
    known = Connection(api_key=SecretStr(key), base_url=url).settings(CHAT.backend)
    with closing(Client(known)) as client:
        full, concise = (
            add_up(list(client.stream(CHAT, "Which lamp?", {"model": "sonar", **more})))
            for more in ({}, {"stream_mode": "concise"})
        )
    assert (concise.text, concise.citations) == (full.text, full.citations)
    assert (concise.finish_reason, concise.usage) == (full.finish_reason, full.usage)
    assert (full.choice.reasoning, bool(concise.choice.reasoning)) == ("", True)


def test_the_end_names_both_successors_where_no_class_asked(server: FaultServer) -> None:
    server.replies(json_reply(RETIRED, 403))
    client = Client(settings(CHAT, server.url))
    with closing(client), pytest.raises(errors.EndpointRetiredError) as caught:
        client.complete(CHAT, "q", {"model": "sonar"})
    assert "ChatPerplexityAgent for LangChain, PerplexityAgent for LlamaIndex" in str(caught.value)


MOVED: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    (
        {"model": "sonar-pro", "max_tokens": 99, "temperature": 0.5, "top_p": 0.9},
        {"effort": "low", "max_tokens": 99, "temperature": 0.5, "top_p": 0.9},
        [],
    ),
    (
        {
            "model": "sonar",
            "search_domain_filter": ["a.example"],
            "search_after_date_filter": "01/02/2026",
            "web_search_options": {
                "search_context_size": "high",
                "search_type": "fast",
                "user_location": {"country": "US"},
            },
        },
        {
            "model": "perplexity/sonar",
            "web_search": {
                "search_context_size": "high",
                "user_location": {"country": "US"},
                "search_type": "fast",
                "filters": {
                    "search_domain_filter": ["a.example"],
                    "search_after_date_filter": "01/02/2026",
                },
            },
        },
        [],
    ),
    (
        {"model": "sonar-pro", "disable_search": True, "search_recency_filter": "day"},
        {"model": "perplexity/sonar", "web_search": False},
        ["search_recency_filter"],
    ),
    (
        {"model": "sonar", "response_format": {"type": "text"}, "reasoning_effort": "high"},
        {
            "model": "perplexity/sonar",
            "web_search": True,
            "response_format": {"type": "text"},
            "reasoning_effort": "high",
        },
        [],
    ),
    (
        {
            "model": "sonar",
            "max_tokens": 3,
            "top_k": 4,
            "search_mode": "sec",
            "stream_mode": "concise",
            "response_format": {"type": "regex"},
            "web_search_options": {"search_type": "pro"},
        },
        {"model": "perplexity/sonar", "web_search": True},
        [
            "max_tokens",
            "response_format",
            "search_mode",
            "stream_mode",
            "top_k",
            "web_search_options.search_type",
        ],
    ),
]


@pytest.mark.parametrize(("chat", "agent", "left"), MOVED, ids=lambda v: str(v)[:40])
def test_parameters_move_to_where_the_agent_has_them(
    chat: dict[str, Any], agent: dict[str, Any], left: list[str]
) -> None:
    assert as_agent(chat) == (agent, left)
    PerplexityAgentParams(**agent)


LISTED = {
    "object": "list",
    "data": [
        {
            "id": "perplexity/sonar",
            "object": "model",
            "created": 0,
            "owned_by": "perplexity",
            "pricing": {"input": 0.25, "output": 2.5, "unit": "usd_per_million_tokens"},
        },
        {"id": "openai/gpt-6-luna", "created": 1790000000},
        {"object": "model"},
        7,
    ],
}


def test_models_are_listed_with_their_prices(server: FaultServer) -> None:
    server.replies(json_reply(LISTED))
    with closing(Client(settings(MODELS, server.url))) as client:
        first, second = client.fetch(MODELS)
    request = server.requests[-1]
    assert (request.method, request.path, request.body) == ("GET", "/v1/models", b"")
    assert first == ModelInfo(
        "perplexity/sonar",
        owned_by="perplexity",
        metadata={
            "object": "model",
            "pricing": {"input": 0.25, "output": 2.5, "unit": "usd_per_million_tokens"},
        },
    )
    assert (second.id, second.created) == ("openai/gpt-6-luna", 1790000000)


@pytest.mark.parametrize("body", [{}, {"data": None}, []])
async def test_a_list_of_another_shape_is_an_error(server: FaultServer, body: Any) -> None:
    server.replies(json_reply(body))
    client = AsyncClient(settings(MODELS, server.url))
    with pytest.raises(errors.MalformedResponseError):
        await client.fetch(MODELS)
    await client.close()
