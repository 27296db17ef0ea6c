import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

QUESTION = "How long does a refund take?"
SENTENCE = "A refund reaches the buyer's account in 5 working days."
MESSAGES = [{"role": "user", "content": QUESTION}]


def switched(**switches: Any) -> dict[str, str]:
    return {"x-sandbox-switches": json.dumps(switches)}


def ask(client: httpx.Client, switches: Any = None, **fields: Any) -> httpx.Response:
    headers = switched(**switches) if switches else None
    return client.post("/completions", json={"messages": MESSAGES, **fields}, headers=headers)


def choice(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]


def test_an_answer_quotes_and_cites(qaip: httpx.Client) -> None:
    found = choice(ask(qaip))
    assert found["message"]["content"].startswith(f"{SENTENCE}[1]")
    assert SENTENCE in found["citations"][0]["text"]
    assert found["finish_reason"] == "stop"


def test_a_later_citation_has_every_field(qaip: httpx.Client, sandbox: Sandbox) -> None:
    citation = choice(ask(qaip))["citations"][0]
    chunk = next(chunk for chunk in sandbox.chunks if chunk.id == citation["id"])
    assert citation == {
        "id": chunk.id,
        "text": chunk.text,
        "url": "https://sandbox.invalid/docs/handbook/returns.md#refunds",
        "title": "Returns",
        "timestamp": chunk.document.modified,
        "file_type": "md",
        "page_number": 0,
        "source_type": "local_file",
        "keywords": ["Refunds"],
        "source_id": chunk.document.id,
    }


def test_a_seed_citation_has_four_fields(docs: Path) -> None:
    with Sandbox(docs, qaip={"profile": "seed"}) as sandbox:
        headers = {"x-api-key": sandbox.env["QAIP_API_KEY"]}
        with httpx.Client(
            base_url=sandbox.env["QAIP_BASE_URL"], headers=headers, verify=False
        ) as client:
            body = ask(client).json()
            refused = ask(client, limit=1)
    assert set(body) == {"created", "choices"}
    assert list(body["choices"][0]["citations"][0]) == ["url", "text", "file_type", "page_number"]
    assert refused.status_code == 400


def test_responses_have_their_ids(qaip: httpx.Client) -> None:
    response = ask(qaip)
    assert response.headers["x-request-id"]
    assert response.headers["x-conversation-id"] == response.json()["conversation_id"]


def test_the_last_user_message_is_the_question(qaip: httpx.Client) -> None:
    messages = [
        {"role": "user", "content": "How many watts?"},
        {"role": "assistant", "content": "9"},
        *MESSAGES,
    ]
    assert choice(ask(qaip, messages=messages))["message"]["content"].startswith(SENTENCE)


def test_citations_can_be_left_out(qaip: httpx.Client) -> None:
    assert "citations" not in choice(ask(qaip, citation=False))


def test_a_plain_stream_is_lines_of_json_with_citations_on_the_last(qaip: httpx.Client) -> None:
    response = ask(qaip, stream=True)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    choices = [json.loads(line)["choices"][0] for line in response.text.split("\n") if line]
    whole = choice(ask(qaip))
    assert "".join(c["message"]["content"] for c in choices) == whole["message"]["content"]
    assert [c["finish_reason"] for c in choices[:-1]] == [None] * (len(choices) - 1)
    assert not any("citations" in c for c in choices[:-1])
    assert choices[-1]["citations"] == whole["citations"]
    assert choices[-1]["finish_reason"] == "stop"


def test_an_event_stream_speaks_ag_ui(qaip: httpx.Client, events: Any) -> None:
    response = qaip.post(
        "/completions",
        json={"messages": MESSAGES, "stream": True, "include_retrieved": True},
        headers={"Accept": "text/event-stream"},
    )
    found = events(response)
    kinds = [event["type"] for event in found]
    assert (kinds[0], kinds[-1]) == ("RUN_STARTED", "RUN_FINISHED")
    assert [event["name"] for event in found if event["type"] == "CUSTOM"] == [
        "citations",
        "retrieved",
    ]
    text = "".join(event.get("delta", "") for event in found)
    assert text == found[-1]["result"]["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"tags": ["handbook"]}, True),
        ({"tags": ["people"]}, False),
        ({"tags": ["people", "handbook"]}, True),
        ({"tags": ["people", "handbook"], "tag_filter_logic": "AND"}, False),
        ({"source_types": ["local_file"]}, True),
        ({"source_types": ["crawl", "notion"]}, False),
        ({"file_types": ["md"]}, True),
        ({"file_types": ["txt", "pdf"]}, False),
        ({"domains": ["handbook/returns"]}, True),
        ({"domains": ["elsewhere.example"]}, False),
        ({"date_from": 1735639200}, True),
        ({"date_from": 32503680000}, False),
        ({"date_to": 32503680000}, True),
    ],
)
def test_filters_are_honoured(qaip: httpx.Client, fields: Any, found: bool) -> None:
    urls = [citation["url"] for citation in choice(ask(qaip, **fields))["citations"]]
    assert any("returns.md#refunds" in url for url in urls) == found


def test_date_to_is_the_time_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("A refund takes 5 days.")
    os.utime(tmp_path / "a.md", (1750000000, 1750000000))
    with Sandbox(tmp_path) as sandbox:
        headers = {"x-api-key": sandbox.env["QAIP_API_KEY"]}
        with httpx.Client(
            base_url=sandbox.env["QAIP_BASE_URL"], headers=headers, verify=False
        ) as client:
            assert choice(ask(client, date_to=1750000000))["citations"]
            assert not choice(ask(client, date_to=1749999999))["citations"]


def test_tag_ids_are_those_of_the_tag_list(qaip: httpx.Client) -> None:
    ids = {tag["name"]: tag["id"] for tag in qaip.get("/tags").json()["tags"]}
    assert set(ids) == {"handbook", "people", "日本語"}
    assert choice(ask(qaip, tag_ids=[ids["handbook"]]))["citations"]
    assert not choice(ask(qaip, tag_ids=[ids["people"]]))["citations"]


def test_the_limit_is_the_number_of_citations(qaip: httpx.Client) -> None:
    messages = [{"role": "user", "content": "Which lamp draws how many watts?"}]
    assert len(choice(ask(qaip, messages=messages))["citations"]) == 2
    assert len(choice(ask(qaip, messages=messages, limit=1))["citations"]) == 1


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_missing_or_wrong_key_is_refused(sandbox: Sandbox, key: str | None) -> None:
    headers = {"x-api-key": key} if key else {}
    url = sandbox.env["QAIP_BASE_URL"] + "/completions"
    response = httpx.post(url, json={"messages": MESSAGES}, headers=headers, verify=False)
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": []}, "messages: List should have at least 1 item"),
        ({"messages": None}, "messages: "),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: "),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content: "),
        ({"temperature": 0.5}, "temperature: Extra inputs are not permitted"),
        ({"source_types": ["fax"]}, "source_types.0: "),
        ({"file_types": ["exe"]}, "file_types.0: "),
        ({"date_from": 1735639199}, "date_from: "),
        ({"date_to": 1735639200.5}, "date_to: "),
        ({"stream": "yes"}, "stream: "),
        ({"tags": None}, "tags: "),
        ({"limit": 0}, "limit: "),
        ({"conversation_id": "x"}, "conversation_id: "),
        ({"parent_message_id": "0" * 32}, "parent_message_id: it needs the conversation_id"),
        ({"conversation_id": "0" * 32, "regenerate": True}, "regenerate: it needs the parent"),
    ],
)
def test_bad_input_is_refused(qaip: httpx.Client, fields: Any, message: str) -> None:
    response = ask(qaip, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)


def test_a_body_that_is_not_json_is_refused(qaip: httpx.Client) -> None:
    assert qaip.post("/completions", content=b"{").status_code == 400


@pytest.mark.parametrize(
    ("redaction", "status", "code"),
    [
        ("unknown", 422, "UNKNOWN_REDACTION_POLICY"),
        ("unavailable", 503, "REDACTION_UNAVAILABLE"),
        ("failed", 503, "REDACTION_FAILED"),
    ],
)
def test_no_redaction_policy_works(
    qaip: httpx.Client, redaction: str, status: int, code: str
) -> None:
    qaip.headers.update(switched(redaction=redaction))
    response = ask(qaip, redaction_policy_id="x")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert ask(qaip, redaction_policy_id=None).status_code == 200


def test_an_answer_can_have_no_choice_or_two(qaip: httpx.Client) -> None:
    assert ask(qaip, switches={"choices": 0}).json()["choices"] == []
    two = ask(qaip, switches={"choices": 2}).json()["choices"]
    assert [choice["index"] for choice in two] == [0, 1]


def test_sparse_citations_and_results_lack_what_the_samples_lack(qaip: httpx.Client) -> None:
    qaip.headers.update(switched(sparse=True))
    fields = ["id", "text", "url", "title", "timestamp", "page_number"]
    assert list(choice(ask(qaip))["citations"][0]) == fields
    results = qaip.post("/search", json={"query": "refund"}).json()["results"]
    assert list(results[0]) == fields


def test_what_was_retrieved_is_told_only_on_demand(qaip: httpx.Client) -> None:
    assert ask(qaip).json()["retrieved"] is None
    body = ask(qaip, include_retrieved=True, citation=False).json()
    assert body["retrieved"][0]["url"].endswith("returns.md#refunds")
    assert "citations" not in body["choices"][0]
    messages = [{"role": "user", "content": "xyzzy"}]
    assert ask(qaip, include_retrieved=True, messages=messages).json()["retrieved"] == []


def test_the_web_is_searched_only_if_the_model_can_and_the_request_wants(
    qaip: httpx.Client,
) -> None:
    assert "web_citations" not in choice(ask(qaip, grounding=True))
    qaip.headers.update(switched(grounding=True))
    assert "web_citations" not in choice(ask(qaip))
    found = choice(ask(qaip, grounding=True))
    assert list(found["web_citations"][0]) == ["title", "url"]
    assert found["web_search_queries"] == [QUESTION]
    assert found["search_suggestion"]


@pytest.mark.parametrize(
    ("errors", "body"),
    [
        ("typed", {"error": {"type": "not_found_error", "message": "Unknown content id."}}),
        ("plain", {"error": {"message": "Unknown content id."}}),
        ("message", {"message": "Unknown content id."}),
        ("text", {"error": "Unknown content id."}),
    ],
)
def test_refusals_have_several_shapes(qaip: httpx.Client, errors: str, body: Any) -> None:
    url = "/contents/00000000-0000-4000-8000-000000000000"
    response = qaip.get(url, headers=switched(errors=errors))
    assert (response.status_code, response.json()) == (404, body)


def test_every_call_can_be_redirected(qaip: httpx.Client) -> None:
    response = qaip.get("/tags", headers=switched(redirect="https://elsewhere.invalid/"))
    assert response.status_code == 307
    assert response.headers["location"] == "https://elsewhere.invalid/"


def test_search_pages_through_the_chunks(qaip: httpx.Client) -> None:
    def search(**fields: int) -> list[str]:
        body = {"query": "return shipping refund lamp", **fields}
        results = qaip.post("/search", json=body).json()["results"]
        return [result["id"] for result in results]

    assert search(limit=1) + search(limit=1, offset=1) == search(limit=2)


def test_a_chunk_can_be_fetched_by_its_id(qaip: httpx.Client) -> None:
    citation = choice(ask(qaip))["citations"][0]
    assert qaip.get(f"/contents/{citation['id']}").json() == citation


def test_a_content_id_must_be_a_known_uuid(qaip: httpx.Client) -> None:
    assert qaip.get("/contents/x").status_code == 400
    assert qaip.get("/contents/00000000-0000-4000-8000-000000000000").status_code == 404


def test_other_paths_and_methods_are_refused(qaip: httpx.Client) -> None:
    assert qaip.get("/nothing").json()["error"]["type"] == "not_found_error"
    assert qaip.get("/completions").status_code == 405
