"""The forms of an answer of Fireworks, and what comes with it."""

import json
from typing import Any

import httpx
import pytest

MODEL = "accounts/sandbox/models/extractive"
QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts. The Solstice lamp draws 4 watts."
SCHEMA = {
    "type": "object",
    "properties": {"lamp": {"enum": ["Solstice", "Meridian"]}, "watts": {"type": "integer"}},
    "required": ["lamp", "watts"],
}
WRAPPED = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}


def ask(client: httpx.Client, question: Any = QUESTION, **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": question}]
    return client.post("/chat/completions", json={"model": MODEL, "messages": messages, **fields})


def content(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def grammar(text: str) -> dict[str, str]:
    return {"type": "grammar", "grammar": text}


@pytest.mark.parametrize(
    "form",
    [
        WRAPPED,
        {"type": "json_schema", "schema": SCHEMA},
        {"type": "json_object", "schema": SCHEMA},
    ],
)
def test_an_answer_conforms_to_a_schema(fireworks: httpx.Client, form: Any) -> None:
    assert content(ask(fireworks, response_format=form)) == '{"lamp":"Meridian","watts":9}'


def test_json_is_streamed_in_pieces(fireworks: httpx.Client, events: Any) -> None:
    found = events(ask(fireworks, response_format=WRAPPED, stream=True))
    parts = [event["choices"][0]["delta"].get("content", "") for event in found]
    assert json.loads("".join(parts)) == {"lamp": "Meridian", "watts": 9}
    assert len(parts) > 5


def test_a_text_completion_conforms_too(fireworks: httpx.Client) -> None:
    body = {"model": MODEL, "prompt": QUESTION, "response_format": WRAPPED, "max_tokens": 50}
    (choice,) = fireworks.post("/completions", json=body).json()["choices"]
    assert json.loads(choice["text"]) == {"lamp": "Meridian", "watts": 9}


def test_choices_quote_different_sentences(fireworks: httpx.Client) -> None:
    choices = ask(fireworks, response_format=WRAPPED, n=2).json()["choices"]
    found = [json.loads(choice["message"]["content"])["watts"] for choice in choices]
    assert found == [9, 4]


def test_any_json_has_the_keys_that_the_prompt_names(fireworks: httpx.Client) -> None:
    question = "Tell me a joke about cats. Return a JSON with 'setup' and 'punchline' keys."
    found = json.loads(content(ask(fireworks, question, response_format={"type": "json_object"})))
    assert list(found) == ["setup", "punchline"]
    assert all(isinstance(value, str) and value for value in found.values())


def test_any_json_is_the_answer_without_keys(fireworks: httpx.Client) -> None:
    found = content(ask(fireworks, response_format={"type": "json_object"}))
    assert json.loads(found) == {"answer": TEXT}


def test_the_text_form_is_no_form(fireworks: httpx.Client) -> None:
    assert content(ask(fireworks, response_format={"type": "text"})) == TEXT


@pytest.mark.parametrize(
    ("question", "rule", "found"),
    [
        ("Yes or no?", 'root ::= "yes" | "no"', "yes"),
        ("Say no.", 'root ::= "yes" | "no"', "no"),
        ("Hello!", '# a rule\nroot ::=\n  "\\u0041b" | "c" # of letters\n', "Ab"),
        (QUESTION, 'root ::= "Solstice" | " Meridian"', " Meridian"),
        ("4 watts: Meridian or Solstice?", 'root ::= "Meridian" | "Solstice"', "Solstice"),
    ],
)
def test_a_grammar_of_literals_chooses_one(
    fireworks: httpx.Client, question: str, rule: str, found: str
) -> None:
    assert content(ask(fireworks, question, response_format=grammar(rule))) == found


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"type": "xml"}, "field: 'response_format.type'"),
        ({"type": "json_schema"}, "Field required, field: 'response_format.json_schema'"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "json_schema.schema'"),
        ({"type": "json_schema", "json_schema": {"schema": 3}}, "valid dictionary"),
        ({"type": "json_schema", "schema": {"type": "text"}}, "JSON Schema not supported: 'text'"),
        ({"type": "json_object", "x": 1}, "Extra inputs are not permitted"),
        ({"type": "grammar"}, "Field required, field: 'response_format.grammar'"),
        (grammar("root ::= [0-9]+"), "Grammar not supported"),
        (grammar('start ::= "yes"'), "Grammar not supported"),
    ],
)
def test_a_form_that_is_none_is_refused(fireworks: httpx.Client, form: Any, told: str) -> None:
    response = ask(fireworks, response_format=form)
    assert response.status_code == 400
    assert told in response.json()["error"]["message"]


def test_a_chat_has_log_probabilities(fireworks: httpx.Client) -> None:
    (choice,) = ask(fireworks, logprobs=True, max_tokens=3).json()["choices"]
    tokens = [(entry["token"], entry["text_offset"]) for entry in choice["logprobs"]["content"]]
    assert tokens == [("The", 0), (" Meridian", 3), (" lamp", 12)]
    assert "logprobs" not in ask(fireworks).json()["choices"][0]


def test_a_streamed_chat_has_them_with_every_piece(fireworks: httpx.Client, events: Any) -> None:
    found = events(ask(fireworks, logprobs=True, max_tokens=3, stream=True))
    choices = [event["choices"][0] for event in found]
    whole = ask(fireworks, logprobs=True, max_tokens=3).json()["choices"][0]["logprobs"]
    parts = [part for choice in choices for part in choice.get("logprobs", {}).get("content", [])]
    assert parts == whole["content"]
    assert ["logprobs" in choice for choice in choices] == [False, True, True, True, False]


def test_the_metrics_come_in_the_body_when_asked_for(fireworks: httpx.Client) -> None:
    response = ask(fireworks, perf_metrics_in_response=True)
    metrics = response.json()["perf_metrics"]
    sent = {
        name.removeprefix("fireworks-"): value
        for name, value in response.headers.items()
        if name.startswith("fireworks-")
    }
    assert {name: str(value) for name, value in metrics.items()}.items() <= sent.items()
    assert metrics["prompt-tokens"] == 7
    assert "perf_metrics" not in ask(fireworks).json()


def test_a_stream_has_its_metrics_at_the_end(fireworks: httpx.Client, events: Any) -> None:
    *others, last = events(ask(fireworks, perf_metrics_in_response=True, stream=True))
    assert last["perf_metrics"]["prompt-tokens"] == 7
    assert last["choices"][0]["finish_reason"] == "stop"
    assert not any("perf_metrics" in event for event in others)


REASONING = "I look for sentences about these words: lamp, draw, watt."


@pytest.mark.parametrize(
    "fields",
    [{"reasoning_effort": "low"}, {"reasoning_effort": True}, {"thinking": {"type": "enabled"}}],
)
def test_a_reasoning_model_thinks_before_it_answers(fireworks: httpx.Client, fields: Any) -> None:
    (choice,) = ask(fireworks, **fields).json()["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "reasoning_content": REASONING,
        "content": TEXT,
    }


@pytest.mark.parametrize("effort", ["none", False, 0])
def test_without_an_effort_there_is_no_reasoning(fireworks: httpx.Client, effort: Any) -> None:
    (choice,) = ask(fireworks, reasoning_effort=effort).json()["choices"]
    assert "reasoning_content" not in choice["message"]


def test_reasoning_is_streamed_first(fireworks: httpx.Client, events: Any) -> None:
    found = events(ask(fireworks, reasoning_effort="low", stream=True))
    deltas = [event["choices"][0]["delta"] for event in found]
    kinds = list(dict.fromkeys(key for delta in deltas for key in delta))
    assert kinds == ["role", "reasoning_content", "content"]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == REASONING


def test_reasoning_uses_up_the_tokens(fireworks: httpx.Client) -> None:
    body = ask(fireworks, reasoning_effort="low", max_tokens=5).json()
    (choice,) = body["choices"]
    assert choice["message"]["reasoning_content"] == "I look for sentences about"
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")
    assert body["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
    ],
)
def test_pictures_change_no_answer(fireworks: httpx.Client, part: Any) -> None:
    assert content(ask(fireworks, [{"type": "text", "text": QUESTION}, part])) == TEXT


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"type": "text", "text": "x", "y": 1}, "Extra inputs are not permitted"),
        ({"type": "text"}, "Field required"),
        ({"type": "image_url", "image_url": {"url": "ftp://x"}}, "String should match pattern"),
        ({"type": "image_url", "image_url": {"url": 3}}, "valid string"),
        ({"type": "image_url", "image_url": "https://x"}, "valid dictionary"),
        ({"type": "input_audio", "input_audio": {}}, "'input_audio' found using 'type'"),
        ({"type": "file", "file": {}}, "'file' found using 'type'"),
        ({"text": "x"}, "Unable to extract tag"),
        ("x", "field: 'messages.0.content.0'"),
    ],
)
def test_other_parts_are_refused(fireworks: httpx.Client, part: Any, told: str) -> None:
    response = ask(fireworks, [part])
    assert response.status_code == 400
    assert told in response.json()["error"]["message"]
