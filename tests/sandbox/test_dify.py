import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

QUESTION = "How long does a refund take?"
SENTENCE = "A refund reaches the buyer's account in 5 working days."


def ask(client: httpx.Client, **fields: Any) -> httpx.Response:
    body = {"inputs": {"query": QUESTION}, "user": "u", **fields}
    return client.post("/completion-messages", json=body)


def test_a_blocking_answer_is_spaced_json_with_ascii_escapes(dify: httpx.Client) -> None:
    response = ask(dify, inputs={"query": "保証期間は何年ですか？"}, response_mode="blocking")
    assert response.text.startswith('{"event": "message", "task_id": "')
    assert response.text.endswith("}")
    assert response.text.isascii()
    assert response.json()["answer"].startswith("保証期間は購入日から2年間です。[1]")


def test_an_absent_response_mode_is_blocking(dify: httpx.Client) -> None:
    body = ask(dify).json()
    assert (body["event"], body["mode"]) == ("message", "completion")
    assert body["answer"].startswith(f"{SENTENCE}[1]")
    assert body["id"] == body["message_id"]


def test_a_source_has_every_field(dify: httpx.Client, sandbox: Sandbox) -> None:
    resource = ask(dify).json()["metadata"]["retriever_resources"][0]
    chunk = next(chunk for chunk in sandbox.chunks if chunk.id == resource["segment_id"])
    assert resource == {
        "position": 1,
        "dataset_id": resource["dataset_id"],
        "dataset_name": "Sandbox documents",
        "document_id": chunk.document.id,
        "document_name": "returns.md",
        "data_source_type": "upload_file",
        "segment_id": chunk.id,
        "retriever_from": "api",
        "score": resource["score"],
        "hit_count": None,
        "word_count": None,
        "segment_position": None,
        "index_node_hash": None,
        "content": chunk.text,
        "page": None,
        "doc_metadata": {"source_url": chunk.url},
        "title": None,
    }
    assert 0 < resource["score"] <= 1


def test_prices_are_decimal_strings(dify: httpx.Client) -> None:
    usage = ask(dify).json()["metadata"]["usage"]
    assert isinstance(usage["total_price"], str)
    assert Decimal(usage["total_price"]) == (
        Decimal("0.0000005") * usage["prompt_tokens"]
        + Decimal("0.0000015") * usage["completion_tokens"]
    )
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert isinstance(usage["latency"], float)


def test_a_stream_ends_with_the_metadata(dify: httpx.Client, events: Any) -> None:
    response = ask(dify, response_mode="streaming")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "[DONE]" not in response.text
    *messages, end = events(response)
    whole = ask(dify).json()
    assert {message["event"] for message in messages} == {"message"}
    assert "".join(message["answer"] for message in messages) == whole["answer"]
    assert messages[-1]["answer"] == ""
    assert list(messages[0]) == [
        "event", "message_id", "created_at", "task_id", "id", "answer", "from_variable_selector",
    ]  # fmt: skip
    assert list(end) == [
        "event", "message_id", "created_at", "task_id", "id", "metadata", "files",
    ]  # fmt: skip
    assert end["metadata"]["retriever_resources"] == whole["metadata"]["retriever_resources"]
    assert len({event["task_id"] for event in [*messages, end]}) == 1


def test_a_stream_is_compact_raw_utf8(dify: httpx.Client) -> None:
    response = ask(dify, inputs={"query": "保証期間"}, response_mode="streaming")
    assert '"answer":"保"' in response.text


def test_a_slow_stream_has_ping_events(docs: Path) -> None:
    with Sandbox(docs, tokens_per_second=20, ping_every=0.02) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.env['DIFY_API_KEY']}"}
        with httpx.Client(
            base_url=sandbox.env["DIFY_BASE_URL"], headers=headers, verify=False
        ) as client:
            response = ask(client, inputs={"query": "Hello"}, response_mode="streaming")
    assert "\n\nevent: ping\n\n" in response.text


@pytest.mark.parametrize(("user", "stops"), [("u", True), ("other", False)])
def test_only_the_same_user_stops_a_run(docs: Path, user: str, stops: bool) -> None:
    with Sandbox(docs, tokens_per_second=33) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.env['DIFY_API_KEY']}"}
        with httpx.Client(
            base_url=sandbox.env["DIFY_BASE_URL"], headers=headers, verify=False
        ) as client:
            found = list(run_and_stop(client, user))
    usage = found[-1]["metadata"]["usage"]
    assert found[-1]["event"] == "message_end"
    assert (usage["total_tokens"] == 0) == stops
    assert (len(found) < 10) == stops


def run_and_stop(client: httpx.Client, user: str) -> Iterator[dict[str, Any]]:
    body = {"inputs": {"query": QUESTION}, "user": "u", "response_mode": "streaming"}
    with client.stream("POST", "/completion-messages", json=body) as response:
        for line in response.iter_lines():
            if not line:
                continue
            event = json.loads(line.removeprefix("data: "))
            if event["event"] == "message" and event["answer"] == "A":
                path = f"/completion-messages/{event['task_id']}/stop"
                assert client.post(path, json={"user": user}).json() == {"result": "success"}
            yield event


def test_stopping_an_unknown_run_succeeds_silently(dify: httpx.Client) -> None:
    response = dify.post("/completion-messages/x/stop", json={"user": "u"})
    assert response.text == '{"result": "success"}\n'


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"inputs": {"query": "x"}}, "Arg user must be provided."),
        ({"user": ""}, "Arg user must be provided."),
        ({"inputs": {}, "user": "u"}, "query is required in input form"),
        ({"inputs": None, "user": "u"}, "query is required in input form"),
        (
            {"inputs": {"query": 5}, "user": "u"},
            "(type 'paragraph') query in input form must be a string",
        ),
    ],
)
def test_bad_parameters_are_refused(dify: httpx.Client, body: Any, error: str) -> None:
    response = dify.post("/completion-messages", json=body)
    assert response.status_code == 400
    assert (
        response.text
        == json.dumps({"code": "invalid_param", "message": error, "status": 400}) + "\n"
    )


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        (
            {},
            {"inputs": "Input parameters for completion Missing required parameter in the "
             "JSON body"},
        ),
        (
            {"inputs": {"query": "x"}, "response_mode": None},
            {"response_mode": "Response mode The value 'None' is not a valid choice for "
             "'response_mode'."},
        ),
        (
            {"inputs": {"query": "x"}, "response_mode": "batch"},
            {"response_mode": "Response mode The value 'batch' is not a valid choice for "
             "'response_mode'."},
        ),
    ],
)  # fmt: skip
def test_bad_shapes_are_refused(dify: httpx.Client, fields: Any, errors: Any) -> None:
    response = dify.post("/completion-messages", json={"user": "u", **fields})
    assert response.status_code == 400
    assert response.json() == {"errors": errors, "message": "Input payload validation failed"}


@pytest.mark.parametrize(
    "fields", [{"inputs": "x"}, {"inputs": 5}, {"files": 5}, {"response_mode": []}]
)
def test_bad_types_are_refused(dify: httpx.Client, fields: Any) -> None:
    assert ask(dify, **fields).json()["message"] == "Input payload validation failed"


def test_a_null_query_is_refused_later_than_other_bad_types(dify: httpx.Client) -> None:
    body = {"code": "invalid_param", "message": "query must be a string", "status": 400}
    assert ask(dify, query=None).json() == body


@pytest.mark.parametrize("fields", [{"inputs": []}, {"query": 5}, {"files": "x"}, {"files": None}])
def test_what_can_be_converted_counts(dify: httpx.Client, fields: Any) -> None:
    refused = "query is required in input form" if "inputs" in fields else None
    assert ask(dify, **fields).json().get("message") == refused


def test_undeclared_inputs_are_dropped(dify: httpx.Client) -> None:
    assert ask(dify, inputs={"query": QUESTION, "tone": 5}).status_code == 200


def test_the_top_level_query_is_asked_too(dify: httpx.Client) -> None:
    body = ask(dify, inputs={"query": ""}, query=QUESTION).json()
    assert body["answer"].startswith(SENTENCE)


def test_a_long_user_and_a_list_as_body_are_server_errors(dify: httpx.Client) -> None:
    body = {"message": "Internal Server Error", "code": "unknown", "status": 500}
    assert ask(dify, user="u" * 256).json() == body
    assert dify.post("/completion-messages", json=[]).json() == body


def test_a_body_must_be_json_by_name_and_by_nature(dify: httpx.Client) -> None:
    assert dify.post("/completion-messages", content=b"{}").status_code == 415
    headers = {"Content-Type": "application/json"}
    response = dify.post("/completion-messages", content=b"hello", headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Authorization header must be provided and start with 'Bearer'"),
        ({"Authorization": "Bearer app-wrong"}, "Access token is invalid"),
        ({"Authorization": "Bearer dataset-sandbox-key"}, "Access token is invalid"),
    ],
)
def test_a_missing_or_wrong_key_is_refused(
    sandbox: Sandbox, headers: dict[str, str], message: str
) -> None:
    response = httpx.get(sandbox.env["DIFY_BASE_URL"] + "/info", headers=headers, verify=False)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="api"'
    assert response.json() == {"code": "unauthorized", "message": message, "status": 401}


def test_the_scheme_of_the_key_has_no_case(sandbox: Sandbox) -> None:
    headers = {"Authorization": f"bearer {sandbox.env['DIFY_API_KEY']}"}
    assert (
        httpx.get(sandbox.env["DIFY_BASE_URL"] + "/info", headers=headers, verify=False).status_code
        == 200
    )


def test_the_app_describes_itself(dify: httpx.Client) -> None:
    assert dify.get("/info").json()["mode"] == "completion"
    parameters = dify.get("/parameters").json()
    assert parameters["retriever_resource"] == {"enabled": True}
    assert parameters["user_input_form"][0]["paragraph"]["variable"] == "query"


def test_every_response_tells_the_version(dify: httpx.Client) -> None:
    for response in (dify.get("/info"), dify.get("/nothing"), ask(dify), ask(dify, user="")):
        assert response.headers["x-version"] == "1.9.0"


def test_an_unknown_path_is_an_html_page(dify: httpx.Client) -> None:
    response = dify.get("/nothing")
    assert (response.status_code, response.headers["content-type"]) == (
        404,
        "text/html; charset=utf-8",
    )


def test_a_wrong_method_is_refused(dify: httpx.Client) -> None:
    assert dify.get("/completion-messages").json()["code"] == "method_not_allowed"


def dataset_id(dify: httpx.Client) -> str:
    return str(ask(dify).json()["metadata"]["retriever_resources"][0]["dataset_id"])


def test_the_knowledge_base_can_be_searched(dify: httpx.Client, dify_dataset: httpx.Client) -> None:
    path = f"/datasets/{dataset_id(dify)}/retrieve"
    body = dify_dataset.post(path, json={"query": QUESTION}).json()
    assert body["query"] == {"content": QUESTION}
    record = body["records"][0]
    assert SENTENCE in record["segment"]["content"]
    assert record["segment"]["document"]["name"] == "returns.md"


@pytest.mark.parametrize(
    ("model", "status", "count"),
    [
        ({}, 200, 2),
        ({"top_k": 1}, 500, None),
        ({"top_k": 1, "reranking_enable": False, "score_threshold_enabled": False}, 200, 1),
        ({"top_k": "1", "reranking_enable": False, "score_threshold_enabled": False}, 400, None),
        (
            {"reranking_enable": False, "score_threshold_enabled": True, "score_threshold": 1.1},
            200,
            0,
        ),
    ],
)
def test_a_retrieval_model_is_whole_or_absent(
    dify: httpx.Client, dify_dataset: httpx.Client, model: Any, status: int, count: int | None
) -> None:
    body = {"query": "Which lamp draws how many watts?", "retrieval_model": model}
    response = dify_dataset.post(f"/datasets/{dataset_id(dify)}/retrieve", json=body)
    assert response.status_code == status
    if count is not None:
        assert len(response.json()["records"]) == count


@pytest.mark.parametrize("query", ["", "x" * 251])
def test_a_query_has_up_to_250_characters(
    dify: httpx.Client, dify_dataset: httpx.Client, query: str
) -> None:
    response = dify_dataset.post(f"/datasets/{dataset_id(dify)}/retrieve", json={"query": query})
    assert response.json()["message"] == "Query is required and cannot exceed 250 characters"


def test_an_unknown_knowledge_base_is_not_found(dify_dataset: httpx.Client) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    response = dify_dataset.post(f"/datasets/{unknown}/retrieve", json={"query": "x"})
    assert response.json() == {
        "code": "not_found",
        "message": "Dataset not found.",
        "status": 404,
    }


def test_only_an_id_leads_to_a_knowledge_base(dify_dataset: httpx.Client) -> None:
    response = dify_dataset.post("/datasets/x/retrieve", json={"query": "x"})
    assert (response.status_code, response.headers["content-type"]) == (
        404,
        "text/html; charset=utf-8",
    )
