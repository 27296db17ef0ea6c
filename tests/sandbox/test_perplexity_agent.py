"""Perplexity's agent call: what it answers, whole and streamed, and what it refuses."""

import json
import re
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

from .asking import settled

QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts.[1] The Solstice lamp draws 4 watts.[2]"
SEARCH = {"type": "web_search"}
BODY = {"model": "perplexity/sonar", "input": QUESTION, "tools": [SEARCH]}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def run(client: httpx.Client, switches: Any = None, **fields: Any) -> httpx.Response:
    headers = {"x-sandbox-switches": json.dumps(switches or {})}
    return client.post("/v1/responses", json={**BODY, **fields}, headers=headers)


def said(body: Any) -> str:
    parts = [p["text"] for i in body["output"] if i["type"] == "message" for p in i["content"]]
    return "".join(parts)


def results(body: Any) -> list[Any]:
    found = [item["results"] for item in body["output"] if item["type"] == "search_results"]
    return [result for item in found for result in item]


def told(events: list[Any]) -> list[str]:
    """The types of events, deltas only once."""
    kinds = [event["type"].removeprefix("response.") for event in events]
    return [k for n, k in enumerate(kinds) if k != "output_text.delta" or kinds[n - 1] != k]


def test_a_run_searches_and_cites_the_ids_of_its_results(perplexity: httpx.Client) -> None:
    response = run(perplexity)
    body = response.json()
    assert list(body) == sorted(body)
    assert (body["object"], body["status"], body["model"]) == (
        "response", "completed", "perplexity/sonar",
    )  # fmt: skip
    assert [item["type"] for item in body["output"]] == ["search_results", "message"]
    assert said(body) == TEXT
    for sentence, number in re.findall(r"([^\[\]]+)\[(\d+)\]", TEXT):
        (source,) = [r for r in results(body) if r["id"] == int(number)]
        assert sentence.strip() in source["snippet"]
    assert response.headers["x-request-id"] == body["id"].removeprefix("resp_")
    assert int(response.headers["x-ratelimit-remaining"]) > 0


def test_what_was_not_asked_is_echoed_as_the_service_does(perplexity: httpx.Client) -> None:
    body = run(perplexity, temperature=0.5, metadata={"a": 1}).json()
    assert (body["temperature"], body["top_p"], body["tool_choice"]) == (0.5, 1, "auto")
    assert (body["metadata"], body["truncation"], body["instructions"]) == ({"a": 1}, "", None)
    assert (body["tools"], body["text"]) == ([SEARCH], {"format": {"type": "text"}})
    assert (body["error"], body["store"], body["background"]) == (None, True, False)


def test_tools_are_echoed_as_they_were_sent_without_secrets(perplexity: httpx.Client) -> None:
    search = {**SEARCH, "filters": {"search_after_date_filter": "01/31/2020"}}
    mcp = {"type": "mcp", "server_label": "a", "server_url": "https://example.org"}
    secret = {"authorization": "secret", "headers": {"x-api-key": "secret"}}
    response = run(perplexity, tools=[search, {**mcp, **secret}])
    assert response.json()["tools"] == [search, mcp]
    assert "secret" not in response.text


def test_usage_counts_tokens_searches_and_cost(perplexity: httpx.Client) -> None:
    usage = run(perplexity).json()["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (7, 16, 23)
    assert usage["tool_calls_details"] == {"search_web": {"cost_usd": 0.005, "invocation": 1}}
    assert usage["cost"]["total_cost"] == 0.005023
    assert usage["cost"]["currency"] == "USD"


def test_both_paths_are_the_same_call(perplexity: httpx.Client) -> None:
    assert said(perplexity.post("/v1/agent", json=BODY).json()) == TEXT


def test_a_bare_model_never_searches(perplexity: httpx.Client) -> None:
    body = run(perplexity, tools=None).json()
    assert [item["type"] for item in body["output"]] == ["message"]
    assert "could not find" in said(body)
    assert "tool_calls_details" not in body["usage"]


@pytest.mark.parametrize("fields", [{"tool_choice": "none"}, {"max_tool_calls": 0}])
def test_tools_can_be_forbidden(perplexity: httpx.Client, fields: Any) -> None:
    assert not results(run(perplexity, **fields).json())


@pytest.mark.parametrize("fields", [{"preset": "low"}, {"effort": "fast", "preset": "high"}])
def test_a_bundle_searches_with_a_model_of_its_own(
    perplexity: httpx.Client, events: Any, fields: Any
) -> None:
    fields = {**fields, "model": None, "tools": None}
    body = run(perplexity, **fields).json()
    assert (said(body), body["model"]) == (TEXT, "openai/gpt-6-luna")
    assert body["tools"] == [SEARCH]
    created = events(run(perplexity, stream=True, **fields))[0]["response"]
    assert created["model"] == fields.get("effort", fields["preset"])


def test_the_first_of_several_models_answers(perplexity: httpx.Client) -> None:
    body = run(perplexity, models=["openai/gpt-6-luna", "xai/grok"], model="perplexity/sonar")
    assert body.json()["model"] == "openai/gpt-6-luna"


def test_a_search_keeps_to_its_filters_and_its_size(perplexity: httpx.Client) -> None:
    def found(**more: Any) -> int:
        return len(results(run(perplexity, tools=[{**SEARCH, **more}]).json()))

    assert found(max_results=1) == 1
    assert found(filters={"search_domain_filter": ["sandbox.invalid"]}) == 2
    assert found(filters={"search_domain_filter": ["-sandbox.invalid"]}) == 0
    assert found(filters={"last_updated_before_filter": "01/01/2001"}) == 0


def test_several_searches_have_ids_out_of_order_and_with_gaps(perplexity: httpx.Client) -> None:
    body = run(perplexity, {"agent": "multi"}).json()
    ids = [result["id"] for result in results(body)]
    assert [item["type"] for item in body["output"]] == ["search_results"] * 3 + ["message"]
    assert ids != sorted(ids)
    assert len(set(ids)) == len(ids) < max(ids)
    assert said(body) == re.sub(r"\[(\d)\]", r"[web:\1]", TEXT)
    for number in map(int, re.findall(r"\[web:(\d+)\]", said(body))):
        (source,) = [r for r in results(body) if r["id"] == number]
        assert "lamp draws" in source["snippet"]
    assert body["usage"]["tool_calls_details"]["search_web"]["invocation"] == 3


def test_several_searches_may_find_nothing(perplexity: httpx.Client) -> None:
    body = run(perplexity, {"agent": "multi"}, input="Who painted the Mona Lisa?").json()
    assert "could not find" in said(body)


@pytest.fixture
def page(perplexity: httpx.Client) -> str:
    url: str = results(run(perplexity).json())[0]["url"]
    return url


@pytest.mark.parametrize("agent", ["single", "multi"])
def test_the_numbers_of_a_prompt_stay_those_of_the_prompt(
    perplexity: httpx.Client, agent: str
) -> None:
    prompt = (
        "Answer from the sources below and cite them.\n\n"
        "Source 1:\nA refund reaches the buyer's account in 5 working days.\n\n"
        "Source 2:\nThe Solstice lamp draws 4 watts.\n\n"
        "Query: Which lamp draws 4 watts?\nAnswer: "
    )
    body = run(perplexity, {"agent": agent}, input=prompt).json()
    assert said(body) == "The Solstice lamp draws 4 watts.[2]"


def test_a_page_is_fetched_and_cited_without_an_id(perplexity: httpx.Client, page: str) -> None:
    question = f"How many watts does the lamp in {page} draw?"
    body = run(perplexity, input=question, tools=[{"type": "fetch_url"}]).json()
    fetched, message = body["output"]
    assert (fetched["type"], message["type"]) == ("fetch_url_results", "message")
    (content,) = fetched["contents"]
    assert (content["url"], content["title"]) == (page, "lamps.txt")
    assert said(body) == "The Meridian lamp draws 9 watts.[web:0]"
    whole = run(perplexity, input=page.partition("#")[0], tools=[{"type": "fetch_url"}]).json()
    assert "Solstice" in whole["output"][0]["contents"][0]["snippet"]


def test_an_unknown_page_has_no_contents(perplexity: httpx.Client) -> None:
    body = run(perplexity, input="See https://example.org.", tools=[{"type": "fetch_url"}]).json()
    assert body["output"][0]["contents"] == []
    assert "could not find" in said(body)


def test_a_run_may_have_nothing_to_fetch(perplexity: httpx.Client) -> None:
    body = run(perplexity, tools=[{"type": "fetch_url"}, SEARCH]).json()
    assert [item["type"] for item in body["output"]] == ["search_results", "message"]


def test_a_run_can_search_and_fetch(perplexity: httpx.Client, page: str) -> None:
    tools = [SEARCH, {"type": "fetch_url"}]
    body = run(perplexity, input=f"{QUESTION} {page}", tools=tools).json()
    kinds = [item["type"] for item in body["output"]]
    assert kinds == ["search_results", "fetch_url_results", "message"]
    assert said(body) == TEXT


def test_a_stream_has_the_events_of_the_service_in_order(
    perplexity: httpx.Client, events: Any
) -> None:
    response = run(perplexity, stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "[DONE]" not in response.text
    assert not re.search(r"^event:", response.text, re.MULTILINE)
    found = events(response)
    assert told(found) == [
        "created", "in_progress", "output_item.added", "reasoning.search_queries",
        "reasoning.search_results", "output_item.done", "output_item.added", "output_text.delta",
        "output_text.done", "output_item.done", "completed",
    ]  # fmt: skip
    numbers = [event["sequence_number"] for event in found]
    assert numbers == sorted(set(numbers))
    assert numbers != list(range(len(numbers)))
    call, message = (e["item"] for e in found if e["type"] == "response.output_item.added")
    assert (call["type"], call["name"]) == ("function_call", "search_web")
    assert json.loads(call["arguments"]) == {"queries": [QUESTION]}
    assert (message["content"], message["status"]) == (None, "completed")
    begun = found[0]["response"]
    assert (begun["status"], begun["output"], begun["usage"]) == ("in_progress", [], None)
    ended = found[-1]["response"]
    assert ended["output"] == [e["item"] for e in found if e["type"].endswith("item.done")]
    assert said(ended) == TEXT


def test_the_markers_of_a_stream_are_split(perplexity: httpx.Client, events: Any) -> None:
    found = events(run(perplexity, stream=True))
    deltas = [e["delta"] for e in found if e["type"] == "response.output_text.delta"]
    assert "".join(deltas) == TEXT
    assert not any(re.search(r"\[\d+\]", delta) for delta in deltas)


def test_a_stream_can_lack_its_deltas(perplexity: httpx.Client, events: Any) -> None:
    found = events(run(perplexity, {"deltas": False}, stream=True))
    assert "output_text.delta" not in told(found)
    (done,) = [e for e in found if e["type"] == "response.output_text.done"]
    assert done["text"] == TEXT


def test_a_stream_tells_of_thoughts_pages_and_skills(
    perplexity: httpx.Client, events: Any, page: str
) -> None:
    found = events(
        run(
            perplexity,
            stream=True,
            input=f"How many watts? {page}",
            tools=[{"type": "fetch_url"}],
            reasoning={"effort": "low"},
            skills=[{"type": "builtin", "name": "office"}],
        )
    )
    assert told(found)[:9] == [
        "created", "in_progress", "skill.loaded", "reasoning.started", "output_item.added",
        "reasoning.fetch_url_queries", "reasoning.fetch_url_results", "output_item.done",
        "reasoning.stopped",
    ]  # fmt: skip


def test_usage_can_be_left_out_of_a_stream(perplexity: httpx.Client, events: Any) -> None:
    left_out = events(run(perplexity, stream=True, stream_options={"include_usage": False}))
    assert left_out[-1]["response"]["usage"] is None
    assert events(run(perplexity, stream=True))[-1]["response"]["usage"]["total_tokens"] == 23


def test_a_blank_line_keeps_a_stream_alive(docs: Any) -> None:
    from qaip_sandbox import Sandbox

    with Sandbox(docs, tokens_per_second=20, ping_every=0.02) as sandbox:
        headers = {"authorization": f"Bearer {sandbox.env['PERPLEXITY_API_KEY']}"}
        url = sandbox.env["PERPLEXITY_BASE_URL"] + "/v1/agent"
        body = {**BODY, "stream": True, "max_output_tokens": 16}
        with httpx.stream("POST", url, json=body, headers=headers, verify=False) as response:
            assert any(part.startswith(b"\n\n") or part == b"\n" for part in response.iter_raw())


SCHEMA = {
    "type": "object",
    "properties": {"lamp": {"type": "string"}, "watts": {"type": "integer"}},
    "required": ["lamp", "watts"],
}


def test_an_answer_conforms_to_a_schema(perplexity: httpx.Client) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "lamp", "schema": SCHEMA}}
    body = run(perplexity, response_format=form).json()
    assert json.loads(said(body)) == {"lamp": "The Meridian lamp draws 9 watts.", "watts": 9}
    assert body["text"] == {"format": {"type": "text"}}


def test_instructions_are_orders(perplexity: httpx.Client) -> None:
    orders = f"Answer with JSON of this schema: {json.dumps(SCHEMA)}"
    assert json.loads(said(run(perplexity, instructions=orders).json()))["watts"] == 9


def test_parts_and_roles_are_read(perplexity: httpx.Client) -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"type": "message", "role": "assistant", "content": "Hello."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": QUESTION},
                {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 3000},
                {"type": "input_file", "file_url": "https://example.org/a.pdf"},
            ],
        },
    ]
    assert said(run(perplexity, input=items).json()) == TEXT


def test_a_function_is_called_and_its_result_answers(perplexity: httpx.Client, events: Any) -> None:
    question = "What is the weather in Paris?"
    body = run(perplexity, input=question, tools=[WEATHER, SEARCH]).json()
    (call,) = body["output"]
    assert (call["type"], call["name"], body["status"]) == (
        "function_call", "get_weather", "completed",
    )  # fmt: skip
    assert json.loads(call["arguments"]) == {"city": "Paris"}
    result = {
        "type": "function_call_output",
        "call_id": call["call_id"],
        "output": "It is sunny in Paris.",
    }
    items = [{"role": "user", "content": question}, call, result]
    again = run(perplexity, input=items, tools=[WEATHER, SEARCH]).json()
    assert said(again) == "It is sunny in Paris."
    continued = run(
        perplexity, input=[result], tools=[WEATHER], previous_response_id=body["id"]
    ).json()
    assert said(continued) == "It is sunny in Paris."


def test_a_function_call_comes_whole_in_a_stream(perplexity: httpx.Client, events: Any) -> None:
    fields = {"input": "What is the weather in Paris?", "tools": [WEATHER], "stream": True}
    found = events(run(perplexity, **fields))
    assert told(found) == [
        "created", "in_progress", "output_item.added", "output_item.done", "completed",
    ]  # fmt: skip
    assert json.loads(found[3]["item"]["arguments"]) == {"city": "Paris"}


def test_a_call_is_in_the_journal_without_words(sandbox: Sandbox, perplexity: httpx.Client) -> None:
    question = "What is the weather in Paris?"
    run(perplexity, input=question, tools=[WEATHER])
    assert [(one.question, one.text) for one in settled(sandbox).said] == [(question, "")]


def test_a_call_can_leave_its_run_waiting(perplexity: httpx.Client) -> None:
    switches = {"pending_call": "requires_action"}
    body = run(perplexity, switches, input="The weather in Paris?", tools=[WEATHER]).json()
    assert body["status"] == "requires_action"


@pytest.mark.parametrize(
    ("choice", "kinds"),
    [
        ("auto", ["search_results", "message"]),
        ("required", ["function_call"]),
        ({"name": "get_weather"}, ["function_call"]),
        ({"type": "web_search"}, ["search_results", "message"]),
    ],
)
def test_a_tool_can_be_chosen(perplexity: httpx.Client, choice: Any, kinds: list[str]) -> None:
    body = run(perplexity, tools=[WEATHER, SEARCH], tool_choice=choice).json()
    assert [item["type"] for item in body["output"]] == kinds


def test_functions_that_are_named_are_called_side_by_side(perplexity: httpx.Client) -> None:
    other = {**WEATHER, "name": "get_time", "description": "Tells the time of a city."}
    fields = {"input": "Use get_time and get_weather.", "tools": [WEATHER, other]}
    names = [item["name"] for item in run(perplexity, **fields).json()["output"]]
    assert names == ["get_time", "get_weather"]
    (one,) = run(perplexity, parallel_tool_calls=False, **fields).json()["output"]
    assert one["name"] in names


def test_too_few_tokens_leave_a_run_incomplete(perplexity: httpx.Client, events: Any) -> None:
    switches, fields = {"agent": "multi"}, {"max_output_tokens": 16}
    body = run(perplexity, switches, **fields).json()
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert body["usage"]["output_tokens"] == 16
    found = events(run(perplexity, switches, stream=True, **fields))
    assert told(found)[-1] == "incomplete"


@pytest.mark.parametrize(
    ("terminal", "text"),
    [
        ("incomplete", "The Meridian lamp draws 9 watts.[1]"),
        ("failed", ""),
        ("cancelled", ""),
    ],
)
def test_a_run_ends_as_the_switch_says(
    perplexity: httpx.Client, events: Any, terminal: str, text: str
) -> None:
    response = run(perplexity, {"terminal": terminal})
    body = response.json()
    assert (response.status_code, body["status"]) == (200, terminal)
    assert said(body) == text
    assert (body["error"] is None) == (terminal != "failed")
    last = events(run(perplexity, {"terminal": terminal}, stream=True))[-1]
    assert last["type"] == f"response.{terminal}"
    assert last.get("error", {"message": 1}).keys() >= {"message"}
    if terminal == "cancelled":
        assert body["incomplete_details"] == {"reason": "cancelled"}
        assert body["usage"] is None
        assert results(body)


def test_a_stream_can_lack_its_end(perplexity: httpx.Client, events: Any) -> None:
    found = events(run(perplexity, {"terminal": "none"}, stream=True))
    assert told(found)[-1] == "output_item.done"
    assert run(perplexity, {"terminal": "none"}).json()["status"] == "completed"


def message(**content: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [content]}]}


def searching(**more: Any) -> dict[str, Any]:
    return {"tools": [{**SEARCH, **more}]}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"input": ""}, "validation failed: input cannot be empty"),
        ({"input": []}, "input array cannot be empty"),
        ({"input": 3}, "invalid request body: input"),
        ({"model": "sonar"}, 'validation failed: model "sonar" is not supported'),
        ({"model": "perplexity/sonar-pro"}, "validation failed: model"),
        ({"model": None}, "validation failed: one of model, models, preset and effort"),
        ({"preset": "huge"}, 'validation failed: preset "huge" is not supported'),
        ({"models": ["a/b"] * 6}, "validation failed: models must have at most 5 entries"),
        ({"model": "anthropic/claude"}, "max_output_tokens is required when using Anthropic"),
        ({"max_steps": 0}, "validation failed: max steps must be at least 1"),
        ({"max_steps": 101}, "validation failed: max steps must be at most 100"),
        ({"max_output_tokens": 15}, "validation failed: max output tokens must be at least 16"),
        ({"temperature": 2.5}, "validation failed: temperature must be at most 2"),
        ({"top_p": "x"}, "invalid request body: top_p: "),
        ({"tool_choice": "any"}, "validation failed: tool choice must be one of: none auto"),
        (
            searching(filters={"search_recency_filter": "decade"}),
            "validation failed: tools[0]: search recency filter must be one of: hour day week "
            "month year",
        ),
        (
            searching(filters={"search_domain_filter": ["https://example.org"]}),
            "validation failed: tools[0]: search domain filter: must not have a scheme",
        ),
        (
            searching(filters={"search_after_date_filter": "2024-01-01"}),
            "validation failed: tools[0]: search after date filter: Input should be a date",
        ),
        (searching(max_results=51), "validation failed: tools[0]: max results must be at most 50"),
        (
            searching(search_context_size="low", max_tokens=5),
            "validation failed: tools[0]: search context size and max tokens exclude each other",
        ),
        ({"tools": [{"type": "x"}]}, "validation failed: tools[0]: type must be one of: web_"),
        (
            {"tools": [{"type": "function"}]},
            "validation failed: tools[0]: name is required",
        ),
        (
            {"tools": [{"type": "function", "name": "search_web"}]},
            'validation failed: tools[0]: function name "search_web" is reserved',
        ),
        (
            {"tools": [{**WEATHER, "parameters": {"enum": []}}], "tool_choice": "required"},
            "invalid",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "json_schema.schema must have a root type of 'object' (got 'none')",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "schema": {
                            "type": "object",
                            "properties": {"a": {"type": "odd"}},
                            "required": ["a"],
                        }
                    },
                }
            },
            "invalid request",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
            "validation failed: no function call with the call_id 'c'",
        ),
        ({"input": [{"role": "tool", "content": "x"}]}, "validation failed: input[0]: role must"),
        ({"input": ["x"]}, "invalid request body: "),
        (message(type="text", text="x"), "validation failed: input[0]: type must be one of"),
        (
            message(type="input_image", image_url="https://example.org/" + "a" * 2048),
            "validation failed: input[0]: image url: must have at most 2048 characters",
        ),
        ({"previous_response_id": "resp_x"}, "invalid request"),
        ({"background": True, "store": False}, "validation failed: background requires store"),
    ],
)
def test_bad_input_is_refused(perplexity: httpx.Client, fields: Any, words: str) -> None:
    response = run(perplexity, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, 400)
    assert error["type"] in ("invalid_request", "invalid_parameter")
    assert error["message"].startswith(words)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"stop": ["x"]}, "stop"),
        ({"text": {"format": {"type": "json_schema"}}}, "text"),
        (searching(depth=1), "depth"),
        (searching(filters={"search_mode": "web"}), "search_mode"),
        ({"input": [{"role": "user", "content": "x", "name": "y"}]}, "name"),
        ({"stream_options": {"include": True}}, "include"),
    ],
)
def test_unknown_fields_are_refused_at_every_depth(
    perplexity: httpx.Client, fields: Any, name: str
) -> None:
    error = run(perplexity, **fields).json()["error"]
    assert error["message"] == f'invalid request body: json: unknown field "{name}"'
    assert error["param"] == name


def test_a_body_without_input_or_json_is_refused(perplexity: httpx.Client) -> None:
    error = perplexity.post("/v1/agent", json={"model": "perplexity/sonar"}).json()["error"]
    assert error["message"] == "input array cannot be empty"
    assert perplexity.post("/v1/agent", content=b"{").status_code == 400
    assert perplexity.post("/v1/agent", content=b"3").status_code == 400


def test_the_agent_outlives_the_retirement_of_chat(perplexity: httpx.Client) -> None:
    assert said(run(perplexity, {"profile": "retired"}).json()) == TEXT
