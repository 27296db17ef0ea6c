import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts.[1] The Solstice lamp draws 4 watts.[2]"
MESSAGES = [{"role": "user", "content": QUESTION}]


def ask(client: httpx.Client, **fields: Any) -> httpx.Response:
    body = {"model": "sonar", "messages": MESSAGES, **fields}
    return client.post("/chat/completions", json=body)


def client_of(sandbox: Sandbox) -> httpx.Client:
    headers = {"Authorization": f"Bearer {sandbox.env['PERPLEXITY_API_KEY']}"}
    return httpx.Client(base_url=sandbox.env["PERPLEXITY_BASE_URL"], headers=headers, verify=False)


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client for a file of the first of March 2024."""
    path = tmp_path_factory.mktemp("dated") / "a.md"
    path.write_text("The Meridian lamp draws 9 watts.")
    day = datetime(2024, 3, 1, 12, tzinfo=UTC).timestamp()
    os.utime(path, (day, day))
    with Sandbox(path.parent) as sandbox, client_of(sandbox) as client:
        yield client


def test_an_answer_has_the_shape_of_june_2026(perplexity: httpx.Client) -> None:
    body = ask(perplexity).json()
    assert list(body) == [
        "id", "model", "created", "usage", "citations", "search_results", "object", "choices",
    ]  # fmt: skip
    assert body["object"] == "chat.completion"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": TEXT},
            "delta": {"role": "assistant", "content": ""},
            "finish_reason": "stop",
        }
    ]


def test_markers_count_the_citations(perplexity: httpx.Client) -> None:
    body = ask(perplexity).json()
    results = body["search_results"]
    assert body["citations"] == [result["url"] for result in results]
    for sentence, number in re.findall(r"([^\[\]]+)\[(\d+)\]", TEXT):
        assert sentence.strip() in results[int(number) - 1]["snippet"]


def test_a_search_result_tells_title_and_dates(perplexity: httpx.Client) -> None:
    result = ask(perplexity).json()["search_results"][0]
    assert list(result) == ["title", "url", "date", "last_updated", "snippet", "source"]
    assert (result["title"], result["source"]) == ("lamps.txt", "web")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])


def test_usage_has_a_cost(perplexity: httpx.Client) -> None:
    assert ask(perplexity).json()["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 16,
        "total_tokens": 23,
        "search_context_size": "low",
        "cost": {
            "input_tokens_cost": 0.00001,
            "output_tokens_cost": 0.00002,
            "request_cost": 0.005,
            "total_cost": 0.00503,
        },
    }


def test_a_stream_repeats_sources_and_the_text_so_far(
    perplexity: httpx.Client, events: Any
) -> None:
    response = ask(perplexity, stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.text.endswith("}\r\n\r\n")
    assert "[DONE]" not in response.text
    *chunks, last = events(response)
    whole = ask(perplexity).json()
    text = ""
    for count, chunk in enumerate(chunks, 1):
        (choice,) = chunk["choices"]
        text += choice["delta"]["content"]
        assert choice["message"]["content"] == text
        assert "finish_reason" not in choice
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["usage"]["completion_tokens"] == count
        assert chunk["usage"]["cost"]["total_cost"] == 0
        assert chunk["search_results"] == whole["search_results"]
    assert text == TEXT
    assert last["object"] == "chat.completion.done"
    assert last["choices"] == whole["choices"]
    assert last["usage"] == whole["usage"]


def test_a_marker_is_never_split(perplexity: httpx.Client, events: Any) -> None:
    for chunk in events(ask(perplexity, stream=True)):
        delta = chunk["choices"][0]["delta"]["content"]
        assert delta.count("[") == delta.count("]")


def test_the_seed_profile_is_spaced_and_without_search_results(docs: Path, events: Any) -> None:
    with Sandbox(docs, perplexity={"profile": "seed"}) as sandbox, client_of(sandbox) as client:
        response = ask(client, stream=True)
    assert response.text.startswith('data: {"id": "')
    first, last = events(response)[0], events(response)[-1]
    assert list(first) == [
        "id", "model", "created", "usage", "citations", "object", "choices",
    ]  # fmt: skip
    assert list(first["choices"][0]) == ["index", "finish_reason", "message", "delta"]
    assert first["choices"][0]["finish_reason"] is None
    assert len(first["usage"]) == 3
    assert (last["object"], last["choices"][0]["finish_reason"]) == ("chat.completion", "stop")


def test_the_retired_profile_refuses_valid_keys(docs: Path) -> None:
    with Sandbox(docs, perplexity={"profile": "retired"}) as sandbox, client_of(sandbox) as client:
        response = ask(client)
        wrong = httpx.post(response.url, json={}, verify=False)
    assert response.status_code == 403
    assert response.json()["error"]["type"] == "chat_completions_not_available"
    assert wrong.status_code == 401


@pytest.mark.parametrize("path", ["/v1/sonar", "/v1/chat/completions"])
def test_the_call_has_aliases(perplexity: httpx.Client, path: str) -> None:
    body = {"model": "sonar", "messages": MESSAGES}
    assert perplexity.post(path, json=body).json()["choices"][0]["message"]["content"] == TEXT


def test_max_tokens_cuts_the_answer(perplexity: httpx.Client) -> None:
    (choice,) = ask(perplexity, max_tokens=2).json()["choices"]
    assert choice["message"]["content"] == "The Meridian"
    assert choice["finish_reason"] == "length"


def test_extras_come_when_asked_for(perplexity: httpx.Client) -> None:
    messages = [{"role": "user", "content": "How long does a refund take?"}]
    body = ask(
        perplexity, messages=messages, return_images=True, return_related_questions=True
    ).json()
    assert body["images"] == []
    assert body["related_questions"][0] == "What is Refunds?"


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        (["sandbox.invalid"], True),
        (["invalid"], True),
        (["https://sandbox.invalid/docs/lamps"], True),
        (["sandbox.invalid/docs/handbook"], False),
        (["example.org"], False),
        (["andbox.invalid"], False),
        (["-example.org"], True),
        (["-andbox.invalid"], True),
        (["-sandbox.invalid"], False),
        (["sandbox.invalid", "-sandbox.invalid/docs/lamps"], False),
    ],
)
def test_domains_are_allowed_and_denied(
    perplexity: httpx.Client, entries: list[str], found: bool
) -> None:
    assert bool(ask(perplexity, search_domain_filter=entries).json()["citations"]) == found


def test_recency_is_the_age_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The Meridian lamp draws 9 watts.")
    old = time.time() - 2 * 86400
    os.utime(tmp_path / "a.md", (old, old))
    with Sandbox(tmp_path) as sandbox, client_of(sandbox) as client:
        assert not ask(client, search_recency_filter="day").json()["citations"]
        assert ask(client, search_recency_filter="week").json()["citations"]


def test_without_search_there_are_no_sources(perplexity: httpx.Client) -> None:
    body = ask(perplexity, disable_search=True).json()
    assert (body["citations"], body["search_results"]) == ([], [])


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"search_after_date_filter": "03/01/2024"}, True),
        ({"search_after_date_filter": "3/2/2024"}, False),
        ({"last_updated_after_filter": "03/02/2024"}, False),
        ({"search_before_date_filter": "03/01/2024"}, True),
        ({"search_before_date_filter": "02/29/2024"}, False),
        ({"last_updated_before_filter": "02/29/2024"}, False),
        (
            {
                "search_before_date_filter": "12/31/2024",
                "last_updated_before_filter": "02/29/2024",
            },
            False,
        ),
        (
            {
                "search_before_date_filter": "02/29/2024",
                "last_updated_before_filter": "12/31/2024",
            },
            False,
        ),
        (
            {
                "search_after_date_filter": "03/02/2024",
                "last_updated_after_filter": "01/01/2024",
            },
            False,
        ),
        (
            {
                "search_after_date_filter": "01/01/2024",
                "last_updated_before_filter": "12/31/2024",
            },
            True,
        ),
    ],
)
def test_dates_are_those_of_the_file(dated: httpx.Client, fields: Any, found: bool) -> None:
    assert bool(ask(dated, **fields).json()["citations"]) == found


def test_later_parameters_are_accepted(perplexity: httpx.Client) -> None:
    fields = {
        "search_mode": "academic",
        "reasoning_effort": "low",
        "search_language_filter": ["en"],
        "language_preference": "en",
        "enable_search_classifier": True,
        "image_format_filter": ["png"],
        "image_domain_filter": ["example.org"],
        "stream_mode": "full",
        "web_search_options": {"search_type": "pro", "user_location": {"country": "DE"}},
    }
    assert ask(perplexity, **fields).json()["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize("model", ["sonar-pro", "sonar-deep-research"])
def test_the_model_is_the_one_asked_for(perplexity: httpx.Client, model: str) -> None:
    assert ask(perplexity, model=model).json()["model"] == model


SCHEMA = {
    "type": "object",
    "properties": {"lamp": {"type": "string"}, "watts": {"type": "integer"}},
    "required": ["lamp", "watts"],
}


@pytest.mark.parametrize("more", [{}, {"name": "lamp", "strict": True}])
def test_an_answer_conforms_to_a_schema(perplexity: httpx.Client, more: Any) -> None:
    form = {"type": "json_schema", "json_schema": {"schema": SCHEMA, **more}}
    body = ask(perplexity, response_format=form).json()
    assert json.loads(body["choices"][0]["message"]["content"]) == {
        "lamp": "The Meridian lamp draws 9 watts.",
        "watts": 9,
    }
    assert body["citations"] == ask(perplexity).json()["citations"]


def test_a_form_of_text_is_text(perplexity: httpx.Client) -> None:
    body = ask(perplexity, response_format={"type": "text"}).json()
    assert body["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": "data:image/png;base64,AAAA"},
        {"type": "video_url", "video_url": {"url": "https://example.org/a", "frame_interval": 1}},
    ],
)
def test_images_and_videos_change_no_answer(perplexity: httpx.Client, part: Any) -> None:
    content = [{"type": "text", "text": QUESTION}, part]
    body = ask(perplexity, messages=[{"role": "user", "content": content}]).json()
    assert body["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize(
    ("part", "name", "text"),
    [
        (
            {"type": "file_url", "file_url": {"url": "SGVsbG8u"}, "file_name": "a.txt"},
            "a.txt",
            "Hello.",
        ),
        ({"type": "file_url", "file_url": {"url": "JVBERi0="}}, "attachment", ""),
        ({"type": "file_url", "file_url": "https://example.org/d/a.docx?b=c"}, "a.docx", ""),
        ({"type": "pdf_url", "pdf_url": {"url": "https://example.org/a.pdf"}}, "a.pdf", ""),
    ],
)
def test_a_file_is_the_first_result_and_no_citation(
    perplexity: httpx.Client, part: Any, name: str, text: str
) -> None:
    content = [{"type": "text", "text": QUESTION}, part]
    body = ask(perplexity, messages=[{"role": "user", "content": content}]).json()
    first, *others = body["search_results"]
    assert first == {"title": name, "url": "", "snippet": text, "source": "attachment"}
    assert body["citations"] == [result["url"] for result in others]
    answer = body["choices"][0]["message"]["content"]
    assert answer == TEXT.replace("[2]", "[3]").replace("[1]", "[2]")


def test_a_file_leaves_the_numbers_of_a_prompt_alone(perplexity: httpx.Client) -> None:
    prompt = (
        "Answer from the sources below.\n\nSource 1:\nThe Solstice lamp draws 4 watts.\n\n"
        "Query: Which lamp draws 4 watts?\nAnswer: "
    )
    part = {"type": "file_url", "file_url": "https://example.org/a.docx"}
    content = [{"type": "text", "text": prompt}, part]
    body = ask(perplexity, messages=[{"role": "user", "content": content}]).json()
    answer = body["choices"][0]["message"]["content"]
    assert answer == "The Solstice lamp draws 4 watts.[1]"
    assert body["search_results"][0]["source"] == "web"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text"},
        {"type": "image_url", "image_url": {"url": "ftp://example.org"}},
        {"type": "image_url", "image_url": "AAAA"},
        {"type": "image_url", "image_url": {"url": "https://[::1"}},
        {"type": "file_url", "file_url": {"url": ""}},
        {"type": "file_url", "file_url": "http://[::1"},
        {"type": "file_url", "file_url": {"url": "http://a]b"}},
        {"type": "pdf_url", "pdf_url": {"url": "https://[::1/a.pdf"}},
        {"type": "pdf_url"},
        {"type": "input_audio", "input_audio": {}},
        {"text": "x"},
    ],
)
def test_other_parts_are_refused(perplexity: httpx.Client, part: Any) -> None:
    error = ask(perplexity, messages=[{"role": "user", "content": [part]}]).json()["error"]
    assert error["message"].startswith('["At body -> messages -> 0 -> content')


def test_unknown_fields_are_ignored(perplexity: httpx.Client) -> None:
    assert ask(perplexity, stream_options={"include_usage": True}, x=1).status_code == 200


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"temperature": 2.1}, "bad_request", '["At body -> temperature: Input should be less'),
        ({"top_p": -0.1}, "bad_request", '["At body -> top_p: '),
        ({"top_k": 2049}, "bad_request", '["At body -> top_k: '),
        ({"max_tokens": 0}, "bad_request", '["At body -> max_tokens: '),
        ({"presence_penalty": 2.5}, "bad_request", '["At body -> presence_penalty: '),
        ({"messages": []}, "bad_request", '["At body -> messages: '),
        ({"search_recency_filter": "decade"}, "bad_request", '["At body -> search_recency'),
        ({"search_domain_filter": ["a"] * 21}, "bad_request", '["At body -> search_domain'),
        ({"stop": ["x"]}, "bad_request", "Custom stop words not supported."),
        ({"tools": [{}]}, "bad_request", "Tool calling is not supported for this model"),
        ({"frequency_penalty": 0}, "invalid_parameter", "Frequency penalty must satisfy p > 0."),
        (
            {"frequency_penalty": 1, "presence_penalty": 1},
            "invalid_parameter",
            "Cannot set both presence_penalty and frequency_penalty.",
        ),
        ({"model": "unknown-model"}, "invalid_model", "Invalid model 'unknown-model'."),
        ({"response_format": {"type": "json_schema"}}, "bad_request", '["At body -> response'),
        ({"response_format": {"type": "json_object"}}, "bad_request", '["At body -> response'),
        (
            {"response_format": {"type": "regex", "regex": {"regex": "a"}}},
            "bad_request",
            '["At body -> response_format: The sandbox writes no text',
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": []}}}},
            "bad_request",
            '["At body -> response_format -> json_schema -> schema: one of its enums',
        ),
        ({"stream_mode": "brief"}, "bad_request", '["At body -> stream_mode: '),
        ({"search_mode": "news"}, "bad_request", '["At body -> search_mode: '),
        (
            {"search_after_date_filter": "2024-03-01"},
            "bad_request",
            '["At body -> search_after_date_filter: Value error, Input should be a date',
        ),
        ({"search_before_date_filter": 3}, "bad_request", '["At body -> search_before_date'),
    ],
)
def test_bad_input_is_refused(
    perplexity: httpx.Client, fields: Any, kind: str, message: str
) -> None:
    response = ask(perplexity, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["type"]) == (400, 400, kind)
    assert error["message"].startswith(message)


def test_a_list_of_faults_is_json_in_a_string(perplexity: httpx.Client) -> None:
    message = ask(perplexity, temperature=3, top_p=3).json()["error"]["message"]
    assert len(json.loads(message)) == 2


@pytest.mark.parametrize("roles", ["u", "su", "ssu", "uau", "suauat", "t"])
def test_messages_in_order_are_accepted(perplexity: httpx.Client, roles: str) -> None:
    assert ask(perplexity, messages=spell(roles)).status_code == 200


@pytest.mark.parametrize("roles", ["uu", "a", "usu", "uaau", "ua", "s", "au"])
def test_messages_out_of_order_are_refused(perplexity: httpx.Client, roles: str) -> None:
    response = ask(perplexity, messages=spell(roles))
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_message"


@pytest.mark.parametrize(
    ("model", "count", "fits"),
    [("sonar", 130_000, False), ("sonar-pro", 130_000, True), ("sonar-pro", 200_000, False)],
)
def test_messages_that_are_too_long_for_a_model_are_refused(
    perplexity: httpx.Client, model: str, count: int, fits: bool
) -> None:
    messages = [{"role": "system", "content": "." * count}, *MESSAGES]
    response = ask(perplexity, messages=messages, model=model)
    assert response.status_code == (200 if fits else 400)
    assert fits or response.json()["error"]["type"] == "too_many_prompt_tokens"


def spell(roles: str) -> list[dict[str, str]]:
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return [{"role": names[letter], "content": "x"} for letter in roles]


def test_a_body_that_is_not_json_is_refused(perplexity: httpx.Client) -> None:
    assert perplexity.post("/chat/completions", content=b"{").status_code == 400


def test_a_wrong_key_is_refused(sandbox: Sandbox) -> None:
    url = sandbox.env["PERPLEXITY_BASE_URL"] + "/chat/completions"
    response = httpx.post(url, headers={"Authorization": "Bearer wrong"}, verify=False)
    message = "Invalid API key provided. Ensure your API key is correct and active."
    assert response.status_code == 401
    assert response.json() == {
        "error": {"message": message, "type": "invalid_api_key", "code": 401}
    }


def test_other_paths_and_methods_are_refused(perplexity: httpx.Client) -> None:
    assert perplexity.post("/nothing").json()["error"]["code"] == 404
    assert perplexity.get("/chat/completions").json()["error"]["code"] == 405


def test_a_slow_stream_is_kept_alive_by_comments(docs: Path) -> None:
    with (
        Sandbox(docs, tokens_per_second=20, ping_every=0.02) as sandbox,
        client_of(sandbox) as client,
    ):
        assert "\r\n\r\n: ping - " in ask(client, stream=True, max_tokens=3).text
