from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

MODEL = "sandbox-extractive"
QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts. The Solstice lamp draws 4 watts."
MESSAGES = [{"role": "user", "content": QUESTION}]


def complete(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post("/completions", json={"model": MODEL, "prompt": QUESTION, **fields})


def chat(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post("/chat/completions", json={"model": MODEL, "messages": MESSAGES, **fields})


def test_a_completion_is_the_answer_without_markers(pais: httpx.Client) -> None:
    body = complete(pais).json()
    assert body["choices"] == [{"finish_reason": "stop", "index": 0, "text": TEXT}]
    assert body["object"] == "text_completion"
    assert body["usage"] == {"completion_tokens": 14, "prompt_tokens": 7, "total_tokens": 21}


def test_a_chat_completion_is_a_message(pais: httpx.Client) -> None:
    body = chat(pais).json()
    assert body["choices"][0]["message"] == {"content": TEXT, "role": "assistant"}
    assert body["object"] == "chat.completion"


def test_a_stream_has_crlf_and_text_on_the_finish_chunk(pais: httpx.Client, events: Any) -> None:
    response = complete(pais, stream=True)
    assert response.text.endswith("\r\n\r\ndata: [DONE]\r\n\r\n")
    choices = [event["choices"][0] for event in events(response)]
    assert "".join(choice["text"] for choice in choices) == TEXT
    assert choices[-1] == {"finish_reason": "stop", "index": 0, "text": "."}
    assert {choice["finish_reason"] for choice in choices[:-1]} == {None}


def test_a_chat_stream_begins_with_the_role(pais: httpx.Client, events: Any) -> None:
    found = events(chat(pais, stream=True))
    assert found[0]["choices"][0]["delta"] == {"content": "", "role": "assistant"}
    assert "".join(event["choices"][0]["delta"]["content"] for event in found) == TEXT


def test_usage_is_an_extra_chunk_when_asked_for(pais: httpx.Client, events: Any) -> None:
    *chunks, last = events(complete(pais, stream=True, stream_options={"include_usage": True}))
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 21)
    assert not any("usage" in chunk for chunk in chunks)
    assert not any("usage" in chunk for chunk in events(complete(pais, stream=True)))


def test_n_choices_interleave(pais: httpx.Client, events: Any) -> None:
    texts = [choice["text"] for choice in complete(pais, n=2).json()["choices"]]
    choices = [event["choices"][0] for event in events(complete(pais, n=2, stream=True))]
    assert [choice["index"] for choice in choices[:4]] == [0, 1, 0, 1]
    for index, text in enumerate(texts):
        assert "".join(c["text"] for c in choices if c["index"] == index) == text


def test_stop_words_and_limits_end_the_text(pais: httpx.Client) -> None:
    stopped = complete(pais, stop=[" watts"]).json()["choices"][0]
    assert (stopped["text"], stopped["finish_reason"]) == ("The Meridian lamp draws 9", "stop")
    cut = complete(pais, max_tokens=2).json()["choices"][0]
    assert (cut["text"], cut["finish_reason"]) == ("The Meridian", "length")


def test_unknown_fields_are_ignored(pais: httpx.Client) -> None:
    assert complete(pais, seed=7, top_p=0.5, best_of=3).status_code == 200


def test_a_slow_stream_is_kept_alive_by_comments(docs: Path) -> None:
    with Sandbox(docs, tokens_per_second=20, ping_every=0.02) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.env['PAIS_API_KEY']}"}
        with httpx.Client(
            base_url=sandbox.env["PAIS_BASE_URL"], headers=headers, verify=False
        ) as client:
            assert "\r\n\r\n: ping - " in complete(client, stream=True, max_tokens=3).text


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (
            {"prompt": "x"},
            {"type": "missing", "loc": ["body", "model"], "msg": "Field required",
             "input": {"prompt": "x"}},
        ),
        (
            {"model": "m", "prompt": "x", "temperature": 3},
            {"type": "less_than_equal", "loc": ["body", "temperature"],
             "msg": "Input should be less than or equal to 2", "input": 3, "ctx": {"le": 2.0}},
        ),
        (
            {"model": "m", "prompt": "x", "temperature": None},
            {"type": "float_type", "loc": ["body", "temperature"],
             "msg": "Input should be a valid number", "input": None},
        ),
        (
            {"model": "m", "prompt": "x", "n": 0},
            {"type": "greater_than_equal", "loc": ["body", "n"],
             "msg": "Input should be greater than or equal to 1", "input": 0, "ctx": {"ge": 1}},
        ),
        (
            {"model": "m", "prompt": "x", "n": 1.5},
            {"type": "int_from_float", "loc": ["body", "n"],
             "msg": "Input should be a valid integer, got a number with a fractional part",
             "input": 1.5},
        ),
        (
            {"model": "m", "prompt": "x", "stop": "END"},
            {"type": "list_type", "loc": ["body", "stop"],
             "msg": "Input should be a valid list", "input": "END"},
        ),
        (
            {"model": "m", "prompt": ["x"]},
            {"type": "string_type", "loc": ["body", "prompt"],
             "msg": "Input should be a valid string", "input": ["x"]},
        ),
        (
            {"model": "m", "prompt": "x", "stream": "maybe"},
            {"type": "bool_parsing", "loc": ["body", "stream"],
             "msg": "Input should be a valid boolean, unable to interpret input",
             "input": "maybe"},
        ),
        (
            [1, 2],
            {"type": "model_attributes_type", "loc": ["body"],
             "msg": "Input should be a valid dictionary or object to extract fields from",
             "input": [1, 2]},
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused_as_fastapi_does(pais: httpx.Client, body: Any, fault: Any) -> None:
    response = pais.post("/completions", json=body)
    assert response.status_code == 422
    assert response.json() == {"detail": [fault]}


def test_an_empty_stop_list_is_too_short(pais: httpx.Client) -> None:
    (fault,) = complete(pais, stop=[]).json()["detail"]
    assert (fault["type"], fault["ctx"]["min_length"]) == ("too_short", 1)


def test_several_faults_are_listed(pais: httpx.Client) -> None:
    faults = pais.post("/completions", json={"n": 0}).json()["detail"]
    assert sorted(fault["loc"][1] for fault in faults) == ["model", "n", "prompt"]


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (
            b'{"model":"m","prompt":"x",}',
            422,
            [{"type": "json_invalid", "loc": ["body", 26], "msg": "JSON decode error", "input": {},
              "ctx": {"error": "Expecting property name enclosed in double quotes"}}],
        ),
        (
            b"",
            422,
            [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}],
        ),
        (b'"\xff"', 400, "There was an error parsing the body"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_json_is_refused(
    pais: httpx.Client, content: bytes, status: int, detail: Any
) -> None:
    headers = {"Content-Type": "application/json"}
    response = pais.post("/completions", content=content, headers=headers)
    assert (response.status_code, response.json()) == (status, {"detail": detail})


def test_without_a_content_type_the_body_is_no_object(pais: httpx.Client) -> None:
    (fault,) = pais.post("/completions", content=b"{}").json()["detail"]
    assert (fault["type"], fault["input"]) == ("model_attributes_type", "{}")


@pytest.mark.parametrize(
    ("model", "status", "detail"),
    [
        ("unknown-model", 404, "Unknown model endpoint requested."),
        (
            "not-ready-model",
            400,
            "Invalid model endpoint specified or model endpoint not ready.",
        ),
    ],
)
def test_two_models_are_refused(pais: httpx.Client, model: str, status: int, detail: str) -> None:
    for response in (complete(pais, model=model), chat(pais, model=model)):
        assert (response.status_code, response.json()) == (status, {"detail": detail})


def test_the_models_are_listed(pais: httpx.Client) -> None:
    models = {model["id"]: model for model in pais.get("/models").json()["data"]}
    types = {name: model["model_type"] for name, model in models.items()}
    assert types == {MODEL: "COMPLETIONS", "sandbox-embeddings": "EMBEDDINGS"}
    assert models[MODEL]["model_engine"] == "VLLM"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_a_missing_or_wrong_token_is_refused(sandbox: Sandbox, headers: dict[str, str]) -> None:
    response = httpx.get(sandbox.env["PAIS_BASE_URL"] + "/models", headers=headers, verify=False)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


def test_other_paths_and_methods_are_refused(pais: httpx.Client) -> None:
    assert pais.get("/nothing").json() == {"detail": "Not Found"}
    wrong = pais.get("/completions")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json() == {"detail": "Method Not Allowed"}
