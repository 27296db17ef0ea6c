"""What can be chosen about PAIS: releases, engines, tokens, refusals and odd answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

MODEL = "sandbox-extractive"
QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts. The Solstice lamp draws 4 watts."
MESSAGES = [{"role": "user", "content": QUESTION}]


def headers(**switches: Any) -> dict[str, str]:
    return {"x-sandbox-switches": json.dumps(switches)}


def complete(client: httpx.Client, switches: Any = None, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": QUESTION, **fields}
    return client.post("/completions", json=body, headers=headers(**(switches or {})))


def chat(client: httpx.Client, switches: Any = None, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": MESSAGES, **fields}
    return client.post("/chat/completions", json=body, headers=headers(**(switches or {})))


@pytest.fixture
def own(docs: Path) -> Iterator[tuple[Sandbox, httpx.Client]]:
    """A sandbox whose counters nobody else moves."""
    with Sandbox(docs) as sandbox:
        token = {"Authorization": f"Bearer {sandbox.env['PAIS_API_KEY']}"}
        with httpx.Client(
            base_url=sandbox.env["PAIS_BASE_URL"], headers=token, verify=False
        ) as client:
            yield sandbox, client


ASKED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def test_9_0_has_no_stream_options(pais: httpx.Client) -> None:
    assert '"usage"' in complete(pais, **ASKED).text
    assert '"usage"' not in complete(pais, {"profile": "9.0"}, **ASKED).text


@pytest.mark.parametrize("profile", ["9.0", "seed", "9.1.1"])
@pytest.mark.parametrize(
    "fields",
    [
        {"top_p": 3},
        {"top_k": 0},
        {"presence_penalty": -3},
        {"frequency_penalty": 3},
        {"max_completion_tokens": 0},
        {"response_format": {"type": "xml"}},
    ],
)
def test_only_9_1_1_looks_at_later_fields(pais: httpx.Client, profile: str, fields: Any) -> None:
    status = complete(pais, {"profile": profile}, **fields).status_code
    assert status == (422 if profile == "9.1.1" else 200)


def test_9_1_1_has_another_limit_and_structured_answers(pais: httpx.Client) -> None:
    later = {"profile": "9.1.1"}
    cut = complete(pais, later, max_completion_tokens=2).json()["choices"][0]
    assert cut["text"] == "The Meridian"
    schema = {"type": "object", "properties": {"watts": {"type": "integer"}}, "required": ["watts"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    text = chat(pais, later, response_format=wanted).json()["choices"][0]["message"]["content"]
    assert isinstance(json.loads(text)["watts"], int)
    text = chat(pais, later, response_format={"type": "json_object"}).json()["choices"][0]
    assert TEXT.startswith(json.loads(text["message"]["content"])["answer"][:20])


def test_unknown_fields_can_be_forbidden(pais: httpx.Client) -> None:
    response = complete(pais, {"forbid": True}, top_p=0.5, n=0)
    assert response.status_code == 422
    faults = response.json()["detail"]
    assert [(fault["type"], fault["loc"]) for fault in faults] == [
        ("greater_than_equal", ["body", "n"]),
        ("extra_forbidden", ["body", "top_p"]),
    ]
    assert complete(pais, {"forbid": True, "profile": "9.1.1"}, top_p=0.5).status_code == 200


def test_vllm_stops_a_text_after_16_tokens(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"The lamp is {'very ' * 30}bright.", "utf-8")
    question = "Is the lamp bright?"
    with (
        Sandbox(tmp_path, pais={"engine": "vllm", "auth": "none"}) as sandbox,
        httpx.Client(base_url=sandbox.env["PAIS_BASE_URL"], verify=False) as client,
    ):
        text = complete(client, prompt=question).json()
        talk = chat(client, messages=[{"role": "user", "content": question}]).json()
    assert (text["choices"][0]["finish_reason"], text["usage"]["completion_tokens"]) == (
        "length",
        16,
    )
    assert talk["choices"][0]["finish_reason"] == "stop"


def test_vllm_ends_a_stream_with_the_last_text(pais: httpx.Client, events: Any) -> None:
    response = complete(pais, {"engine": "vllm"}, stream=True, max_tokens=3)
    assert response.text.endswith("\n\ndata: [DONE]\n\n")
    assert "\r" not in response.text
    found = events(response)
    assert list(found[0]) == ["id", "object", "created", "model", "choices", "usage"]
    assert {chunk["usage"] for chunk in found} == {None}
    last = found[-1]["choices"][0]
    assert (last["text"], last["finish_reason"], last["stop_reason"]) == (" lamp", "length", None)


def test_vllm_tells_the_stop_word_and_wants_a_stream_for_its_options(pais: httpx.Client) -> None:
    switches = {"engine": "vllm"}
    choice = complete(pais, switches, stop=["Solstice", " watts"]).json()["choices"][0]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", " watts")
    response = complete(pais, switches, stream_options={"include_usage": True})
    assert (response.status_code, response.json()["error"]["type"]) == (400, "BadRequestError")


def test_llama_cpp_python_gives_one_choice_and_no_usage(pais: httpx.Client, events: Any) -> None:
    switches = {"engine": "llama_cpp_python"}
    assert len(complete(pais, switches, n=3).json()["choices"]) == 1
    found = events(complete(pais, switches, **ASKED))
    assert not any("usage" in chunk for chunk in found)
    assert found[-1]["choices"][0]["text"] == ""


def test_llama_server_takes_few_choices(pais: httpx.Client) -> None:
    switches = {"engine": "llama_server"}
    assert complete(pais, switches, n=4).status_code == 200
    refused = complete(pais, switches, n=5)
    assert list(refused.json()["error"]) == ["code", "message", "type"]


def test_the_gateway_can_write_events_anew(pais: httpx.Client) -> None:
    response = complete(pais, {"engine": "vllm", "framing": "gateway"}, stream=True)
    assert response.text.endswith("\r\n\r\ndata: [DONE]\r\n\r\n")


@pytest.mark.parametrize(
    ("engine", "status", "error"),
    [
        ("gateway", 400, {"code": 400, "type": "BadRequestError"}),
        ("vllm", 400, {"code": 400, "type": "BadRequestError"}),
        ("llama_server", 400, {"type": "exceed_context_size_error", "n_ctx": 5}),
        ("llama_cpp_python", 400, {"code": "context_length_exceeded"}),
        ("openai", 400, {"param": "input_tokens"}),
    ],
)
def test_a_prompt_can_be_too_long(
    pais: httpx.Client, engine: str, status: int, error: dict[str, Any]
) -> None:
    response = complete(pais, {"engine": engine, "context": 5})
    assert response.status_code == status
    found = response.json()["error"]
    assert {name: found[name] for name in error} == error
    assert "context length" in found["message"]


def test_llama_cpp_python_sends_no_event_at_all_after_an_overflow(pais: httpx.Client) -> None:
    response = complete(pais, {"engine": "llama_cpp_python", "context": 5}, stream=True)
    assert (response.status_code, response.content) == (200, b"")


def test_an_overflow_can_be_an_empty_answer(pais: httpx.Client) -> None:
    choice = complete(pais, {"context": 5, "overflow": "empty"}).json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("", "length")
    room = complete(pais, {"context": 10}).json()["choices"][0]
    assert (room["text"], room["finish_reason"]) == ("The Meridian lamp", "length")


def test_a_stream_can_end_in_four_ways(pais: httpx.Client, events: Any) -> None:
    whole = events(complete(pais, stream=True))
    unfinished = events(complete(pais, {"ending": "unfinished"}, stream=True))
    assert len(unfinished) == len(whole)
    assert {chunk["choices"][0]["finish_reason"] for chunk in unfinished} == {None}
    interrupted = complete(pais, {"ending": "interrupted"}, stream=True)
    assert len(events(interrupted)) == len(whole) // 2
    assert interrupted.text.endswith("data: [DONE]\r\n\r\n")
    assert complete(pais, {"ending": "done"}, stream=True).text == "data: [DONE]\r\n\r\n"


def test_usage_can_be_told_always_or_never(pais: httpx.Client, events: Any) -> None:
    assert events(complete(pais, {"usage": "always"}, stream=True))[-1]["usage"]
    never = {"usage": "never"}
    assert not any("usage" in chunk for chunk in events(complete(pais, never, **ASKED)))
    never["engine"] = "llama_server"
    assert not any("usage" in chunk for chunk in events(complete(pais, never, stream=True)))


def test_chunks_can_be_as_odd_as_the_samples(pais: httpx.Client, events: Any) -> None:
    odd = {
        "without_id": True,
        "without_created": True,
        "first_index": 6,
        "chunk_object": "chat.completion",
    }
    for chunk in events(chat(pais, odd, stream=True)):
        assert chunk["choices"][0]["index"] == 6
        assert chunk["object"] == "chat.completion"
        assert not {"id", "created"} & chunk.keys()
    assert not {"id", "created"} & complete(pais, odd).json().keys()


def test_a_model_is_not_ready_then_cold_then_empty_then_there(
    own: tuple[Sandbox, httpx.Client],
) -> None:
    sandbox, client = own
    sandbox.switch(pais={"not_ready": 2, "cold_start": 1, "empty": 1})
    statuses = [complete(client).status_code for _ in range(3)]
    assert statuses == [400, 400, 502]
    assert [complete(client).json()["choices"][0]["text"] for _ in range(2)] == ["", TEXT]
    sandbox.switch(pais={"not_ready": 0, "cold_start": 0})
    assert complete(client).status_code == 200
    sandbox.switch(pais={"not_ready": 1, "cold_start": 1})
    assert "not ready" in complete(client).json()["detail"]
    cold = complete(client)
    assert (cold.status_code, cold.json()["detail"][0]["error_code"]) == (
        502, "AGENT_COMPLETION_FAILED"
    )  # fmt: skip


def test_a_token_expires_after_some_requests_and_another_one_is_good(
    own: tuple[Sandbox, httpx.Client],
) -> None:
    sandbox, client = own
    sandbox.switch(pais={"auth": "expiring", "requests_per_token": 2})
    token = sandbox.env["PAIS_API_KEY"]

    def status(bearer: str) -> int:
        headers = {"Authorization": f"Bearer {bearer}"}
        return client.get("/models", headers=headers).status_code

    assert [status(token) for _ in range(3)] == [200, 200, 401]
    assert [status(f"{token}-2") for _ in range(3)] == [200, 200, 401]
    assert status("other") == 401


def test_without_auth_no_token_is_looked_at(sandbox: Sandbox) -> None:
    url = sandbox.env["PAIS_BASE_URL"] + "/models"
    assert httpx.get(url, headers=headers(auth="none"), verify=False).status_code == 200
    assert httpx.get(url, verify=False).json() == {"detail": "Not authenticated"}


@pytest.mark.parametrize(
    ("errors", "status", "body"),
    [
        ("fastapi", 422, None),
        ("pais", 422, {"detail": [{
            "error_code": "VALIDATION_ERROR", "loc": ["body", "n"],
            "msg": "Input should be greater than or equal to 1", "value": 0}]}),
        ("vllm", 400, {"error": {
            "message": "body.n: Input should be greater than or equal to 1",
            "type": "BadRequestError", "param": None, "code": 400}}),
        ("llama_server", 400, {"error": {
            "code": 400, "message": "body.n: Input should be greater than or equal to 1",
            "type": "invalid_request_error"}}),
    ],
)  # fmt: skip
def test_refusals_have_many_shapes(pais: httpx.Client, errors: str, status: int, body: Any) -> None:
    response = complete(pais, {"errors": errors}, n=0)
    assert response.status_code == status
    assert body is None or response.json() == body


@pytest.mark.parametrize(("errors", "kind"), [("empty", ""), ("html", "text/html; charset=utf-8")])
def test_a_refusal_need_not_be_json(pais: httpx.Client, errors: str, kind: str) -> None:
    response = complete(pais, {"errors": errors}, model="unknown-model")
    assert response.status_code == 404
    assert response.headers.get("content-type", "") == kind
    assert bool(response.content) == (errors == "html")


def test_a_failure_at_a_gateway_has_its_error_code(pais: httpx.Client) -> None:
    pais.headers["x-sandbox-fault"] = "status; code=429; retry_after=1"
    response = complete(pais, {"errors": "pais"})
    detail = [{"error_code": "TOO_MANY_REQUESTS", "msg": "Too Many Requests"}]
    assert (response.status_code, response.json()) == (429, {"detail": detail})


@pytest.mark.parametrize(
    ("engine", "end"),
    [
        ("gateway", '"code":500}}\r\n\r\n'),
        ("vllm", '"code":500}}\n\ndata: [DONE]\n\n'),
        ("llama_server", '"type":"server_error"}}\n\n'),
    ],
)
def test_an_engine_fails_in_its_own_way(pais: httpx.Client, engine: str, end: str) -> None:
    pais.headers["x-sandbox-fault"] = "error; after=2"
    assert complete(pais, {"engine": engine}, stream=True).text.endswith(end)


def test_embeddings_are_unit_vectors_whose_cosines_mean_something(pais: httpx.Client) -> None:
    texts = ["The lamp draws nine watts.", "How many watts does the lamp draw?", "Annual leave"]
    body = {"input": texts, "model": "sandbox-embeddings", "encoding_format": "base64"}
    found = pais.post("/embeddings", json=body).json()
    first, second, third = (item["embedding"] for item in found["data"])
    assert [item["index"] for item in found["data"]] == [0, 1, 2]

    def cosine(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert cosine(first, first) == pytest.approx(1)
    assert cosine(first, second) > 0.5 > cosine(first, third)
    assert found["usage"] == {"prompt_tokens": 16, "total_tokens": 16}
    alone = pais.post("/embeddings", json=body | {"input": texts[0]}).json()["data"]
    assert [item["embedding"] for item in alone] == [first]


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"model": MODEL}, 400), ({"model": "unknown-model"}, 404), ({"input": 5}, 422)],
)
def test_what_cannot_be_embedded_is_refused(pais: httpx.Client, fields: Any, status: int) -> None:
    body = {"input": "x", "model": "sandbox-embeddings", **fields}
    assert pais.post("/embeddings", json=body).status_code == status
