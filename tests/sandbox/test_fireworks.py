from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

MODEL = "accounts/sandbox/models/extractive"
QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts. The Solstice lamp draws 4 watts."


def complete(client: httpx.Client, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": QUESTION, "max_tokens": 100, **fields}
    return client.post("/completions", json=body)


def chat(client: httpx.Client, **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": QUESTION}]
    return client.post("/chat/completions", json={"model": MODEL, "messages": messages, **fields})


def test_a_completion_is_the_answer_without_markers(fireworks: httpx.Client) -> None:
    body = complete(fireworks).json()
    assert list(body) == ["id", "object", "created", "model", "choices", "usage"]
    assert body["choices"] == [
        {"text": TEXT, "index": 0, "finish_reason": "stop", "logprobs": None}
    ]
    assert (body["object"], body["model"]) == ("text_completion", MODEL)


def test_usage_counts_words_and_punctuation(fireworks: httpx.Client) -> None:
    assert complete(fireworks).json()["usage"] == {
        "prompt_tokens": 7,
        "total_tokens": 21,
        "completion_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_a_completion_without_a_limit_ends_after_16_tokens(fireworks: httpx.Client) -> None:
    body = {"model": MODEL, "prompt": "lamp battery hours watts"}
    answer = fireworks.post("/completions", json=body).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 16


def test_a_chat_completion_is_a_message(fireworks: httpx.Client) -> None:
    body = chat(fireworks).json()
    assert body["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    ]
    assert body["id"].startswith("chatcmpl-")


def test_the_request_id_is_the_id_of_the_body(fireworks: httpx.Client) -> None:
    response = chat(fireworks)
    assert response.headers["x-request-id"] == response.json()["id"]


def test_text_parts_are_read(fireworks: httpx.Client) -> None:
    parts = [{"type": "text", "text": QUESTION}]
    body = chat(fireworks, messages=[{"role": "user", "content": parts}]).json()
    assert body["choices"][0]["message"]["content"] == TEXT


def test_a_stream_ends_with_usage_and_done(fireworks: httpx.Client, events: Any) -> None:
    response = complete(fireworks, stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.text.endswith("\n\ndata: [DONE]\n\n")
    found = events(response)
    assert "".join(event["choices"][0]["text"] for event in found) == TEXT
    assert {event["usage"] for event in found[:-1]} == {None}
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["usage"]["total_tokens"] == 21
    assert len({(event["id"], event["created"]) for event in found}) == 1


def test_a_chat_stream_begins_with_the_role(fireworks: httpx.Client, events: Any) -> None:
    deltas = [event["choices"][0]["delta"] for event in events(chat(fireworks, stream=True))]
    assert (deltas[0], deltas[-1]) == ({"role": "assistant"}, {})
    assert "".join(delta.get("content", "") for delta in deltas) == TEXT


def test_n_choices_differ_and_interleave(fireworks: httpx.Client, events: Any) -> None:
    whole = complete(fireworks, n=2).json()
    texts = [choice["text"] for choice in whole["choices"]]
    assert texts[0] != texts[1]
    choices = [event["choices"][0] for event in events(complete(fireworks, n=2, stream=True))]
    assert [choice["index"] for choice in choices[:4]] == [0, 1, 0, 1]
    for index, text in enumerate(texts):
        assert "".join(c["text"] for c in choices if c["index"] == index) == text


def test_the_last_usage_of_a_stream_is_that_of_all_choices(
    fireworks: httpx.Client, events: Any
) -> None:
    prompts = [QUESTION, "nothing"]
    usages = [e["usage"] for e in events(complete(fireworks, prompt=prompts, stream=True))]
    given = [usage for usage in usages if usage]
    assert len(given) == 2
    assert given[-1] == complete(fireworks, prompt=prompts).json()["usage"]


def test_every_prompt_of_a_list_is_answered(fireworks: httpx.Client) -> None:
    body = complete(fireworks, prompt=[QUESTION, "Who painted the Mona Lisa?"], n=2).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert body["choices"][2]["text"].startswith("I could not find")


@pytest.mark.parametrize(("prompt", "count"), [([1, 2], 1), ([[1], [2, 3]], 2)])
def test_prompts_of_token_ids_have_no_answer(
    fireworks: httpx.Client, prompt: Any, count: int
) -> None:
    texts = [choice["text"] for choice in complete(fireworks, prompt=prompt).json()["choices"]]
    assert len(texts) == count
    assert all(text.startswith("I could not find") for text in texts)


def test_echo_puts_the_prompt_first(fireworks: httpx.Client) -> None:
    body = complete(fireworks, echo=True, max_tokens=2).json()
    assert body["choices"][0]["text"] == f"{QUESTION}The Meridian"
    assert body["usage"]["completion_tokens"] == 2


def test_a_stop_word_is_not_part_of_the_text(fireworks: httpx.Client) -> None:
    (choice,) = complete(fireworks, stop=[" watts"]).json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("The Meridian lamp draws 9", "stop")
    (again,) = complete(fireworks, stop=" watts").json()["choices"]
    assert again == choice


def test_log_probabilities_come_for_every_token(fireworks: httpx.Client) -> None:
    (choice,) = complete(fireworks, logprobs=1, max_tokens=3).json()["choices"]
    assert choice["logprobs"]["tokens"] == ["The", " Meridian", " lamp"]
    assert choice["logprobs"]["text_offset"] == [0, 3, 12]
    (new,) = complete(fireworks, logprobs=True, max_tokens=1).json()["choices"]
    assert new["logprobs"]["content"][0]["token"] == "The"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"best_of": None}, "Extra inputs are not permitted, field: 'best_of', value: None"),
        ({"n": 0}, "Input should be greater than or equal to 1, field: 'n', value: 0"),
        ({"temperature": 2.1}, "Input should be less than or equal to 2, field: 'temperature'"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "List should have at most 4 items"),
        ({"stream": "yes"}, "Input should be a valid boolean"),
        ({"prompt": []}, ""),
        ({"max_completion_tokens": 5}, "Only one of max_tokens"),
        ({"max_tokens": 4097}, "Requests with max_tokens > 4096 must have stream=true"),
        (
            {"response_format": {"type": "xml"}},
            "Input should be 'text', 'json_object', 'json_schema'",
        ),
        ({"thinking": {}}, "Field required, field: 'thinking.type'"),
        (
            {"thinking": {"type": "disabled"}, "reasoning_effort": "low"},
            "Only one of thinking and reasoning_effort may be set",
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1023}},
            "field: 'thinking.budget_tokens', value: 1023",
        ),
        ({"reasoning_effort": "hardly"}, "field: 'reasoning_effort', value: 'hardly'"),
        ({"prediction": {"type": "x", "content": "y"}}, "Input should be 'content'"),
        ({"images": ["data:image/png;base64,AAAA"]}, "The number of images must be"),
    ],
)
def test_bad_input_is_refused(fireworks: httpx.Client, fields: Any, message: str) -> None:
    response = complete(fireworks, **fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["object"], error["type"]) == ("error", "invalid_request_error")
    assert message in error["message"]


def test_an_unknown_field_of_a_message_is_refused(fireworks: httpx.Client) -> None:
    response = chat(fireworks, messages=[{"role": "user", "content": "x", "name": "y"}])
    assert "field: 'messages.0.name', value: 'y'" in response.json()["error"]["message"]


def test_a_body_that_is_not_json_is_refused(fireworks: httpx.Client) -> None:
    assert fireworks.post("/completions", content=b'{"n": NaN}').status_code == 400


def test_an_unknown_model_is_not_found(fireworks: httpx.Client) -> None:
    response = complete(fireworks, model="accounts/sandbox/models/unknown-model")
    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "message": "Model not found, inaccessible, and/or not deployed",
            "param": "model",
            "code": "NOT_FOUND",
            "type": "error",
        }
    }


def test_the_models_are_listed(fireworks: httpx.Client) -> None:
    body = fireworks.get("/models").json()
    assert (body["object"], body["data"][0]["id"]) == ("list", MODEL)


def test_a_wrong_key_is_refused(sandbox: Sandbox) -> None:
    url = sandbox.env["FIREWORKS_API_BASE"] + "/models"
    response = httpx.get(url, headers={"Authorization": "Bearer wrong"}, verify=False)
    assert response.status_code == 401
    message = "The API key you provided is invalid."
    assert response.json() == {
        "error": {"message": message, "code": "UNAUTHORIZED", "type": "error"}
    }


def test_other_paths_and_methods_are_refused(fireworks: httpx.Client) -> None:
    assert fireworks.post("/v1/completions").json()["error"]["code"] == "NOT_FOUND"
    assert fireworks.get("/completions").status_code == 405
