"""The profiles and the switches of Fireworks."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import FireworksSwitches, Sandbox

MODEL = "accounts/sandbox/models/extractive"
QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts. The Solstice lamp draws 4 watts."
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
CALLING = {"messages": [{"role": "user", "content": "add 3"}], "tools": [TOOL]}
INCLUDED = {"stream_options": {"include_usage": True}}
PROFILES = ("classic", "2025", "2026")


def switched(switches: dict[str, Any]) -> dict[str, str]:
    return {"x-sandbox-switches": json.dumps(switches)}


def chat(client: httpx.Client, switches: dict[str, Any], /, **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": MODEL, "messages": messages, **fields}
    return client.post("/chat/completions", json=body, headers=switched(switches))


def complete(client: httpx.Client, switches: dict[str, Any], /, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": QUESTION, "max_tokens": 100, **fields}
    return client.post("/completions", json=body, headers=switched(switches))


def message(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]


def test_a_switch_that_there_is_not_is_refused_with_a_list_of_those_there_are(
    fireworks: httpx.Client,
) -> None:
    response = chat(fireworks, {"profil": "2025"})
    assert response.status_code == 400
    assert "usage_of_choices" in response.json()["error"]


def test_the_default_is_the_newest_profile() -> None:
    assert FireworksSwitches().profile == "2026"


@pytest.mark.parametrize(("profile", "limit"), [("classic", 200), ("2025", 2048), ("2026", 2048)])
def test_a_chat_has_as_many_tokens_as_its_profile_allows(
    fireworks: httpx.Client, profile: str, limit: int
) -> None:
    strict = {"context_length_exceeded_behavior": "error"}
    for context, status in ((limit + 7, 200), (limit + 6, 400)):
        answer = chat(fireworks, {"profile": profile, "context": context}, **strict)
        assert answer.status_code == status


def test_the_effective_limit_stands_in_the_headers(fireworks: httpx.Client) -> None:
    for profile in ("2025", "2026"):
        headers = chat(fireworks, {"profile": profile}).headers
        assert json.loads(headers["fireworks-sampling-options"])["max_tokens"] == 2048


@pytest.mark.parametrize(("profile", "dashes"), [("classic", 4), ("2025", 4), ("2026", 0)])
def test_the_ids_of_chats_are_those_of_the_profile(
    fireworks: httpx.Client, profile: str, dashes: int
) -> None:
    ident = chat(fireworks, {"profile": profile}).json()["id"].removeprefix("chatcmpl-")
    assert ident.count("-") == dashes
    assert len(ident.replace("-", "")) == 32


def test_older_profiles_count_no_cached_tokens(fireworks: httpx.Client) -> None:
    for profile in ("classic", "2025"):
        usage = chat(fireworks, {"profile": profile}).json()["usage"]
        assert list(usage) == ["prompt_tokens", "total_tokens", "completion_tokens"]


def test_as_many_tokens_are_cached_as_the_switch_says(fireworks: httpx.Client) -> None:
    for cached, told in ((3, 3), (100, 7)):
        response = chat(fireworks, {"cached": cached})
        assert response.json()["usage"]["prompt_tokens_details"] == {"cached_tokens": told}
        assert response.headers["fireworks-cached-prompt-tokens"] == str(told)


@pytest.mark.parametrize("profile", PROFILES)
def test_an_answer_has_the_headers_of_its_profile(fireworks: httpx.Client, profile: str) -> None:
    headers = chat(fireworks, {"profile": profile}, max_tokens=5, temperature=0.5).headers
    assert headers["fireworks-prompt-tokens"] == "7"
    assert float(headers["fireworks-server-processing-time"]) > 0
    assert ("fireworks-middleware-version" in headers) == (profile != "classic")
    if profile != "classic":
        options = json.loads(headers["fireworks-sampling-options"])
        assert (options["max_tokens"], options["temperature"], options["top_p"]) == (5, 0.5, 1.0)
    new = ("x-request-id", "x-ratelimit-over-limit", "fireworks-cached-prompt-tokens")
    assert [name in headers for name in new] == [profile == "2026"] * 3


def test_the_rate_headers_take_off_what_was_used(fireworks: httpx.Client) -> None:
    response = chat(fireworks, {})
    used = {
        name: int(response.headers[f"x-ratelimit-limit-{name}"])
        - int(response.headers[f"x-ratelimit-remaining-{name}"])
        for name in ("requests", "tokens-prompt", "tokens-generated")
    }
    usage = response.json()["usage"]
    assert used == {
        "requests": 1,
        "tokens-prompt": usage["prompt_tokens"],
        "tokens-generated": usage["completion_tokens"],
    }
    assert response.headers["x-ratelimit-over-limit"] == "no"


def test_a_stream_tells_the_time_to_its_first_token(fireworks: httpx.Client) -> None:
    headers = chat(fireworks, {}, stream=True).headers
    assert "fireworks-server-time-to-first-token" in headers
    assert "fireworks-server-processing-time" not in headers


def test_the_figures_tell_how_fast_the_sandbox_is(docs: Path) -> None:
    with Sandbox(docs, first_token=0.02, tokens_per_second=1000) as slow:
        base = {"authorization": f"Bearer {slow.env['FIREWORKS_API_KEY']}"}
        with httpx.Client(
            base_url=slow.env["FIREWORKS_API_BASE"], headers=base, verify=False
        ) as client:
            whole = chat(client, {}).headers
            first = chat(client, {}, stream=True).headers
    assert float(whole["fireworks-server-processing-time"]) == pytest.approx(0.034)
    assert float(first["fireworks-server-time-to-first-token"]) == pytest.approx(0.021)


def test_only_the_newest_profile_refuses_unknown_fields(fireworks: httpx.Client) -> None:
    for profile in PROFILES:
        response = complete(fireworks, {"profile": profile}, best_of=2)
        assert response.status_code == (400 if profile == "2026" else 200)


@pytest.mark.parametrize("strict", [True, False])
def test_unknown_fields_can_be_refused_or_ignored(fireworks: httpx.Client, strict: bool) -> None:
    switches = {"profile": "classic" if strict else "2026", "strict": strict}
    for fields in ({"best_of": 2}, {"response_format": {"type": "text", "x": 1}}):
        assert complete(fireworks, switches, **fields).status_code == (400 if strict else 200)
    named = [{"role": "user", "content": QUESTION, "name": "x"}]
    assert chat(fireworks, switches, messages=named).status_code == (400 if strict else 200)


def test_what_is_wrong_is_refused_even_where_unknown_fields_are_ignored(
    fireworks: httpx.Client,
) -> None:
    assert complete(fireworks, {"strict": False}, temperature=3).status_code == 400
    assert complete(fireworks, {"strict": False}, prompt=None).status_code == 400


def test_an_old_profile_ignores_the_fields_that_came_later(fireworks: httpx.Client) -> None:
    later = {"reasoning_effort": "low", "raw_output": True, "perf_metrics_in_response": True}
    body = chat(fireworks, {"profile": "classic"}, **later, return_token_ids=True).json()
    assert set(body) == {"id", "object", "created", "model", "choices", "usage"}
    assert set(body["choices"][0]) == {"index", "message", "finish_reason"}
    assert set(body["choices"][0]["message"]) == {"role", "content"}
    refused = chat(fireworks, {"profile": "classic", "strict": True}, **later)
    assert "field: 'reasoning_effort', value: 'low'" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("usage", "fields", "found"),
    [
        ("finish", {}, ["finish"]),
        ("finish", INCLUDED, ["finish"]),
        ("trailing", {}, []),
        ("trailing", INCLUDED, ["trailing"]),
        ("both", {}, ["finish"]),
        ("both", INCLUDED, ["finish", "trailing"]),
        ("none", INCLUDED, []),
    ],
)
def test_the_usage_of_a_stream_stands_where_the_switch_says(
    fireworks: httpx.Client, events: Any, usage: str, fields: Any, found: list[str]
) -> None:
    parts = events(chat(fireworks, {"usage": usage}, stream=True, **fields))
    given = ["finish" if part["choices"] else "trailing" for part in parts if part["usage"]]
    assert given == found
    totals = {part["usage"]["total_tokens"] for part in parts if part["usage"]}
    assert totals <= {21}


def test_a_trailing_chunk_may_lack_its_choices(fireworks: httpx.Client, events: Any) -> None:
    switches = {"usage": "trailing", "trailing_choices": "missing"}
    *others, last = events(complete(fireworks, switches, stream=True, **INCLUDED))
    assert list(last) == ["id", "object", "created", "model", "usage"]
    assert all("choices" in part for part in others)


@pytest.mark.parametrize("way", ["cumulative", "equal"])
def test_several_finish_reasons_count_up_or_equal(
    fireworks: httpx.Client, events: Any, way: str
) -> None:
    parts = events(chat(fireworks, {"usage_of_choices": way}, stream=True, n=2))
    counts = [part["usage"]["completion_tokens"] for part in parts if part["usage"]]
    assert counts == ([14, 28] if way == "cumulative" else [28, 28])


def test_a_stream_can_end_without_done(fireworks: httpx.Client) -> None:
    assert "[DONE]" not in chat(fireworks, {"done": False}, stream=True).text


def test_the_last_piece_can_come_with_the_finish_reason(
    fireworks: httpx.Client, events: Any
) -> None:
    switches = {"finish_text": True}
    *_, text = events(complete(fireworks, switches, stream=True, logprobs=1))
    assert (text["choices"][0]["text"], text["choices"][0]["finish_reason"]) == (".", "stop")
    assert text["choices"][0]["logprobs"]["tokens"] == ["."]
    parts = events(chat(fireworks, switches, stream=True))
    assert (parts[-1]["choices"][0]["delta"], parts[-1]["usage"] is None) == (
        {"content": "."},
        False,
    )
    deltas = [part["choices"][0]["delta"] for part in parts]
    assert "".join(delta.get("content", "") for delta in deltas) == TEXT
    *_, empty = events(complete(fireworks, switches, stream=True, max_tokens=0))
    assert (empty["choices"][0]["text"], empty["choices"][0]["finish_reason"]) == ("", "length")


@pytest.mark.parametrize(
    ("switches", "text"),
    [
        ({}, "The Meridian lamp draws 9"),
        ({"stop_word": "kept"}, "The Meridian lamp draws 9 watts"),
        ({"profile": "classic"}, "The Meridian lamp draws 9 watts"),
        ({"profile": "classic", "stop_word": "cut"}, "The Meridian lamp draws 9"),
    ],
)
def test_a_stop_word_is_kept_or_cut(fireworks: httpx.Client, switches: Any, text: str) -> None:
    (choice,) = complete(fireworks, switches, stop=["lamp of", " watts", "."]).json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == (text, "stop")
    assert message(chat(fireworks, switches, stop=" watts"))["content"] == text


def test_a_kept_stop_word_that_does_not_occur_ends_nothing(fireworks: httpx.Client) -> None:
    (choice,) = complete(fireworks, {"stop_word": "kept"}, stop=["xyz"]).json()["choices"]
    assert choice["text"] == TEXT


def test_content_can_be_missing(fireworks: httpx.Client, events: Any) -> None:
    switches = {"content": "missing"}
    assert message(chat(fireworks, switches)) == {"role": "assistant"}
    parts = events(chat(fireworks, switches, stream=True))
    assert [part["choices"][0]["delta"] for part in parts] == [{"role": "assistant"}, {}]


def test_a_call_can_stand_in_the_content(fireworks: httpx.Client) -> None:
    (choice,) = chat(fireworks, {"calls": "content"}, **CALLING).json()["choices"]
    assert list(choice["message"]) == ["role", "content"]
    assert json.loads(choice["message"]["content"]) == {
        "type": "function",
        "name": "add",
        "parameters": {"a": 3},
    }
    assert choice["finish_reason"] == "stop"


def test_a_classic_call_is_one_piece_beside_a_null_content(
    fireworks: httpx.Client, events: Any
) -> None:
    switches = {"profile": "classic"}
    whole = message(chat(fireworks, switches, **CALLING))
    assert list(whole) == ["role", "content", "tool_calls"]
    assert whole["content"] is None
    (called,) = whole["tool_calls"]
    assert list(called) == ["index", "id", "type", "function"]
    parts = events(chat(fireworks, switches, stream=True, **CALLING))
    deltas = [part["choices"][0]["delta"] for part in parts]
    (streamed,) = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert streamed["function"] == called["function"] == {"name": "add", "arguments": '{"a":3}'}


def test_only_the_newest_calls_have_a_name_beside_their_function(fireworks: httpx.Client) -> None:
    for profile in ("2025", "2026"):
        (called,) = message(chat(fireworks, {"profile": profile}, **CALLING))["tool_calls"]
        assert ("name" in called) == (profile == "2026")


def test_reasoning_can_stand_in_the_content(fireworks: httpx.Client) -> None:
    told = message(chat(fireworks, {"reasoning": "content"}, reasoning_effort="low"))
    assert list(told) == ["role", "content"]
    thoughts, _, text = told["content"].partition("\n</think>\n\n")
    assert thoughts.startswith("<think>\nI look for sentences")
    assert text == TEXT


def test_the_cap_on_whole_answers_can_be_moved_or_lifted(fireworks: httpx.Client) -> None:
    for cap, wanted, status in ((10, 11, 400), (10, 10, 200), (None, 100_000, 200)):
        answer = complete(fireworks, {"longest_whole": cap}, max_tokens=wanted)
        assert answer.status_code == status
    assert complete(fireworks, {}, max_tokens=100_000, stream=True).status_code == 200


def test_an_answer_is_cut_where_the_context_ends(fireworks: httpx.Client) -> None:
    body = complete(fireworks, {"context": 10}).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["total_tokens"] == 10


@pytest.mark.parametrize(
    ("context", "fields", "told"),
    [
        (7, {}, 7),
        (3, {}, 7),
        (20, {"context_length_exceeded_behavior": "error", "max_tokens": 14}, 21),
    ],
)
def test_a_prompt_that_leaves_no_room_is_too_long(
    fireworks: httpx.Client, context: int, fields: Any, told: int
) -> None:
    response = complete(fireworks, {"context": context}, **fields)
    assert response.status_code == 400
    assert response.json()["error"] == {
        "object": "error",
        "type": "invalid_request_error",
        "code": "invalid_request_error",
        "message": f"The prompt is too long: {told}, model maximum context length: {context}",
    }


def test_the_models_tell_their_context(fireworks: httpx.Client) -> None:
    (model,) = fireworks.get("/models", headers=switched({"context": 99})).json()["data"]
    assert model["context_length"] == 99


@pytest.mark.parametrize(
    ("switches", "keys"),
    [
        ({"models": "bare"}, ["id", "object", "created"]),
        ({"profile": "classic"}, ["id", "object", "owned_by", "created"]),
        ({"profile": "classic", "models": "bare"}, ["id", "object", "created"]),
    ],
)
def test_old_models_have_few_facts(fireworks: httpx.Client, switches: Any, keys: list[str]) -> None:
    (model,) = fireworks.get("/models", headers=switched(switches)).json()["data"]
    assert list(model) == keys


def test_the_list_of_models_can_fail(fireworks: httpx.Client) -> None:
    response = fireworks.get("/models", headers=switched({"models": "failing"}))
    assert response.status_code == 500
    assert response.json()["error"]["message"] == "Error listing deployed models"


@pytest.mark.parametrize(
    ("envelope", "refused"),
    [
        ("fault", {"fault": {"faultstring": "Invalid ApiKey"}}),
        ("string", {"error": "The API key you provided is invalid."}),
        ("detail", {"detail": "The API key you provided is invalid."}),
    ],
)
def test_an_error_comes_in_the_chosen_envelope(
    sandbox: Sandbox, envelope: str, refused: Any
) -> None:
    url = sandbox.env["FIREWORKS_API_BASE"] + "/models"
    response = httpx.get(url, headers=switched({"envelope": envelope}), verify=False)
    assert response.status_code == 401
    found = response.json()
    if envelope == "fault":
        assert found["fault"].pop("detail") == {"errorcode": "oauth.v2.InvalidApiKey"}
    assert found == refused


@pytest.mark.parametrize("envelope", ["error", "fault", "string", "detail", "html"])
def test_bad_input_is_told_in_every_envelope(fireworks: httpx.Client, envelope: str) -> None:
    response = complete(fireworks, {"envelope": envelope}, temperature=3)
    assert response.status_code == 400
    html = envelope == "html"
    assert response.headers["content-type"].startswith("text/html" if html else "application/json")
    assert ("<h1>400 Bad Request</h1>" if html else "'temperature'") in response.text


def test_a_classic_key_is_refused_in_the_classic_way(sandbox: Sandbox) -> None:
    url = sandbox.env["FIREWORKS_API_BASE"] + "/models"
    response = httpx.get(url, headers=switched({"profile": "classic"}), verify=False)
    assert response.json()["fault"]["faultstring"] == "Invalid ApiKey"
    assert "x-request-id" not in response.headers


@pytest.mark.parametrize(
    ("envelope", "told"),
    [
        (None, {"error": {"message": "Oh!", "code": "INTERNAL", "type": "error"}}),
        ("string", {"error": "Oh!"}),
        ("detail", {"detail": "Oh!"}),
        ("html", {"error": {"message": "Oh!", "code": "INTERNAL", "type": "error"}}),
    ],
)
def test_an_error_in_a_stream_comes_in_the_envelope_too(
    fireworks: httpx.Client, events: Any, envelope: str | None, told: Any
) -> None:
    headers = switched({"envelope": envelope}) | {"x-sandbox-fault": "error; message=Oh!"}
    body = {"model": MODEL, "prompt": QUESTION, "stream": True}
    *_, last = events(fireworks.post("/completions", json=body, headers=headers))
    assert last == told


def failing(client: httpx.Client, status: int, **switches: Any) -> httpx.Response:
    headers = {"x-sandbox-fault": f"status; code={status}", **switched(switches)}
    return client.get("/models", headers=headers)


FAILURES = {
    401: "UNAUTHORIZED",
    402: "PAYMENT_REQUIRED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    412: "PRECONDITION_FAILED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "too_many_requests",
    500: "INTERNAL",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    520: "UNKNOWN",
    524: "GATEWAY_TIMEOUT",
    529: "OVERLOADED",
    599: "INTERNAL",
}


@pytest.mark.parametrize(("status", "code"), FAILURES.items())
def test_every_failure_has_words_and_a_code(
    fireworks: httpx.Client, status: int, code: str
) -> None:
    response = failing(fireworks, status)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == code
    assert error["message"] not in ("", "The service has failed")


def test_the_engine_refuses_in_a_shape_of_its_own(fireworks: httpx.Client) -> None:
    assert failing(fireworks, 429).json() == {
        "error": {
            "object": "error",
            "type": "too_many_requests",
            "code": "too_many_requests",
            "message": "rate limit exceeded, please try again later",
        }
    }
    assert failing(fireworks, 400).json() == {
        "error": {
            "object": "error",
            "type": "invalid_request_error",
            "message": "The request can not be served",
        }
    }


def test_what_cannot_be_processed_is_told_in_a_list(fireworks: httpx.Client) -> None:
    message = "The request body has fields that can not be used"
    assert failing(fireworks, 422).json() == {
        "detail": [{"loc": ["body"], "msg": message, "type": "value_error"}]
    }
    assert failing(fireworks, 422, envelope="string").json() == {"error": message}
