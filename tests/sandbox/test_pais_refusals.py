"""How PAIS refuses: every status in every shape, requests out of bounds, engines that start."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

MODEL = "sandbox-extractive"
QUESTION = "Which lamp draws how many watts?"


def complete(client: httpx.Client, switches: Any = None, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": QUESTION, **fields}
    headers = {"x-sandbox-switches": json.dumps(switches or {})}
    return client.post("/completions", json=body, headers=headers)


def failed(client: httpx.Client, status: int, errors: str) -> httpx.Response:
    switches = json.dumps({"errors": errors})
    headers = {"x-sandbox-fault": f"status; code={status}", "x-sandbox-switches": switches}
    return client.get("/models", headers=headers)


@pytest.fixture
def own(docs: Path) -> Iterator[httpx.Client]:
    """A client of a sandbox whose counters nobody else moves."""
    with (
        Sandbox(docs, pais={"auth": "none"}) as sandbox,
        httpx.Client(base_url=sandbox.env["PAIS_BASE_URL"], verify=False) as client,
    ):
        yield client


BAD = "BadRequestError", "invalid_request_error"
BROKEN = "InternalServerError", "server_error"


@pytest.mark.parametrize(
    ("status", "words", "code", "types"),
    [
        (400, "Bad Request", "BAD_REQUEST", BAD),
        (401, "Unauthorized", "UNAUTHORIZED", ("AuthenticationError", "authentication_error")),
        (402, "Payment Required", "PAYMENT_REQUIRED", BAD),
        (403, "Forbidden", "FORBIDDEN", ("PermissionDeniedError", "permission_error")),
        (404, "Not Found", "NOT_FOUND", ("NotFoundError", "not_found_error")),
        (409, "Conflict", "CONFLICT", ("ConflictError", "invalid_request_error")),
        (418, "I'm a Teapot", "BAD_REQUEST", BAD),
        (429, "Too Many Requests", "TOO_MANY_REQUESTS",
         ("RateLimitError", "invalid_request_error")),
        (500, "Internal Server Error", "INTERNAL_ERROR", BROKEN),
        (502, "Bad Gateway", "AGENT_COMPLETION_FAILED", BROKEN),
        (503, "Service Unavailable", "SERVICE_UNAVAILABLE",
         ("InternalServerError", "unavailable_error")),
        (529, "The site is overloaded", "SERVICE_UNAVAILABLE", BROKEN),
        (599, "Error", "INTERNAL_ERROR", BROKEN),
    ],
)  # fmt: skip
def test_a_status_has_its_words_in_every_shape(
    pais: httpx.Client, status: int, words: str, code: str, types: tuple[str, str]
) -> None:
    def body(errors: str) -> Any:
        response = failed(pais, status, errors)
        assert response.status_code == status
        return response.json()

    assert body("fastapi") == {"detail": words}
    assert body("pais") == {"detail": [{"error_code": code, "msg": words}]}
    engines = [body(engine)["error"] for engine in ("vllm", "llama_server")]
    assert tuple(error["type"] for error in engines) == types
    assert {error["message"] for error in engines} == {words}
    assert f"<h1>{status} {words}</h1>" in failed(pais, status, "html").text


@pytest.mark.parametrize("errors", ["fastapi", "pais", "empty", "html", "vllm"])
def test_every_401_asks_for_a_token(pais: httpx.Client, errors: str) -> None:
    assert failed(pais, 401, errors).headers["www-authenticate"] == "Bearer"
    assert "www-authenticate" not in failed(pais, 403, errors).headers


def test_too_many_choices_are_unprocessable(pais: httpx.Client) -> None:
    (fault,) = complete(pais, n=129).json()["detail"]
    assert (fault["type"], fault["loc"], fault["ctx"]) == (
        "less_than_equal", ["body", "n"], {"le": 128}
    )  # fmt: skip
    assert len(complete(pais, n=128, max_tokens=1).json()["choices"]) == 128


@pytest.mark.parametrize(("top_p", "status"), [(0, 200), (1, 200), (1.1, 422), (-0.1, 422)])
def test_top_p_is_a_share(pais: httpx.Client, top_p: float, status: int) -> None:
    assert complete(pais, {"profile": "9.1.1"}, top_p=top_p).status_code == status


def test_too_many_texts_are_not_embedded(pais: httpx.Client) -> None:
    body = {"input": ["x"] * 2049, "model": "sandbox-embeddings"}
    response = pais.post("/embeddings", json=body)
    assert response.status_code == 422
    assert "too_long" in {fault["type"] for fault in response.json()["detail"]}


def test_numbers_beyond_all_bounds_are_numbers(pais: httpx.Client, sandbox: Sandbox) -> None:
    assert complete(pais, max_tokens=2**70, seed=2**70).status_code == 200
    control = sandbox.env["PAIS_BASE_URL"].replace("/compatibility/openai/v1", "/control")
    base = pais.get(f"{control}/knowledge-bases").json()["data"][0]["id"]
    path = f"{control}/knowledge-bases/{base}/indexes"
    search = f"{path}/{pais.get(path).json()['data'][0]['id']}/search"
    assert pais.post(search, json={"text": "lamp", "top_k": 2**70}).json()["chunks"]
    page = pais.get(path, params={"offset": str(2**70)})
    assert (page.status_code, page.json()["data"]) == (200, [])


@pytest.mark.parametrize(
    ("switch", "hindered"), [("not_ready", 400), ("cold_start", 502), ("empty", 200)]
)
def test_nobody_else_moves_the_counter_of_a_switch(
    own: httpx.Client, switch: str, hindered: int
) -> None:
    def ready(wanted: Any) -> bool:
        response = complete(own, wanted)
        assert response.status_code in (200, hindered)
        return response.status_code == 200 and bool(response.json()["choices"][0]["text"])

    assert not ready({switch: 3})
    assert ready({})  # another client, which knows nothing of the switch
    assert not ready({switch: 3})
    assert [ready({switch: 1}) for _ in range(2)] == [False, True]  # and one with its own number
    assert [ready({switch: 3}) for _ in range(2)] == [False, True]
    assert ready({switch: 0})
    assert [ready({switch: 1}) for _ in range(2)] == [False, True]


@pytest.mark.parametrize(("framing", "newline"), [("own", b"\n"), ("gateway", b"\r\n")])
def test_a_failure_in_a_stream_has_the_line_ends_of_the_stream(
    pais: httpx.Client, framing: str, newline: bytes
) -> None:
    pais.headers["x-sandbox-fault"] = "error; after=2"
    switches = {"engine": "vllm", "framing": framing}
    content = complete(pais, switches, stream=True).content
    assert content.endswith(b'"code":500}}' + 2 * newline + b"data: [DONE]" + 2 * newline)
    assert content.replace(newline, b"").count(b"\n") == 0


def test_llama_server_counts_the_tokens_of_one_choice(pais: httpx.Client, events: Any) -> None:
    switches, stop = {"engine": "llama_server"}, ["Solstice"]
    alone = complete(pais, switches, stop=stop).json()
    both = complete(pais, switches, stop=stop, n=2).json()
    assert both["usage"] == alone["usage"]
    assert both["timings"]["predicted_n"] == alone["usage"]["completion_tokens"]
    chunks = events(complete(pais, switches, stop=stop, n=2, stream=True))
    for choice in both["choices"]:
        own = [chunk for chunk in chunks if chunk["choices"][0]["index"] == choice["index"]]
        texts = [text for chunk in own if (text := chunk["choices"][0]["text"])]
        assert "".join(texts) == choice["text"]
        assert own[-1]["usage"]["completion_tokens"] == len(texts)
        told = {chunk["timings"]["predicted_n"] for chunk in own if "timings" in chunk}
        assert told == {len(texts)}
    gateway = [complete(pais, n=n).json()["usage"]["completion_tokens"] for n in (1, 2)]
    assert gateway[1] == 2 * gateway[0]
