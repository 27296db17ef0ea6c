"""The agents of PAIS: citations, and sessions that remember."""

import json
from typing import Any

import httpx
import pytest

QUESTION = "How long does a refund take?"
SENTENCE = "A refund reaches the buyer's account in 5 working days."
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def agent(pais: httpx.Client) -> str:
    return str(pais.get("/agents").json()["data"][0]["id"])


def chat(client: httpx.Client, agent: str, switches: Any = None, **fields: Any) -> httpx.Response:
    question = fields.pop("question", QUESTION)
    return client.post(
        f"/agents/{agent}/chat/completions",
        json={"messages": [{"role": "user", "content": question}], **fields},
        headers={"x-sandbox-switches": json.dumps(switches or {})},
    )


def test_there_is_an_agent_for_all_documents_and_one_for_each_folder(pais: httpx.Client) -> None:
    listed = pais.get("/agents").json()
    assert [found["name"] for found in listed["data"]] == ["documents", "handbook", "日本語"]
    assert (listed["object"], listed["has_more"]) == ("list", False)
    one = listed["data"][0]
    assert pais.get(f"/agents/{one['id']}").json() == one
    assert pais.get("/assistants").json() == listed
    assert pais.get(f"/agents/{NOBODY}").status_code == 404


def test_an_agent_cites(pais: httpx.Client, agent: str) -> None:
    body = chat(pais, agent).json()
    assert list(body) == [
        "choices", "created", "id", "index_context_info", "model", "object", "usage"
    ]  # fmt: skip
    assert body["choices"][0]["message"]["content"].startswith(SENTENCE)
    source = body["index_context_info"][0]
    assert SENTENCE in source["text"]
    facts = source["metadata"]
    assert facts["origin_name"] == "returns.md"
    assert facts["origin_ref"].endswith("/docs/handbook/returns.md")
    assert facts["media_type"] == "text/markdown"
    assert 0 < facts["score"] <= 1


def test_an_agent_knows_only_its_own_folder(pais: httpx.Client) -> None:
    agents = {found["name"]: found["id"] for found in pais.get("/agents").json()["data"]}
    assert chat(pais, agents["handbook"]).json()["index_context_info"]
    assert chat(pais, agents["日本語"]).json()["index_context_info"] == []


def test_an_agent_completes_a_prompt_too(pais: httpx.Client, agent: str) -> None:
    body = pais.post(f"/assistants/{agent}/completions", json={"prompt": QUESTION}).json()
    assert body["object"] == "text_completion"
    assert body["choices"][0]["text"].startswith(SENTENCE)
    assert body["index_context_info"]


@pytest.mark.parametrize("citations", ["last", "first", "every"])
def test_a_stream_has_its_citations_on_chosen_chunks(
    pais: httpx.Client, agent: str, events: Any, citations: str
) -> None:
    response = chat(pais, agent, {"citations": citations}, stream=True, create_session=True)
    start, *found = events(response)
    assert start["choices"][0]["delta"] == {"content": "", "role": "assistant"}
    last = len(found) - 1
    wanted = {"last": {last}, "first": {0}, "every": set(range(last + 1))}[citations]
    assert {n for n, chunk in enumerate(found) if "index_context_info" in chunk} == wanted
    assert {n for n, chunk in enumerate(found) if "session_id" in chunk} == wanted


def test_a_session_remembers_what_was_said(pais: httpx.Client, agent: str) -> None:
    assert "session_id" not in chat(pais, agent).json()
    first = chat(pais, agent, create_session=True).json()
    session = first["session_id"]
    second = chat(pais, agent, store_in_session=session, question="And a lamp?").json()
    assert second["session_id"] == session
    alone = chat(pais, agent, question="And a lamp?").json()
    assert second["usage"]["prompt_tokens"] > alone["usage"]["prompt_tokens"]


def test_of_a_long_session_the_latest_messages_stay(pais: httpx.Client, agent: str) -> None:
    messages = [{"role": "user", "content": "lamp"}] * 400
    first = chat(pais, agent, messages=messages, create_session=True).json()
    second = chat(pais, agent, store_in_session=first["session_id"]).json()
    assert second["usage"]["prompt_tokens"] < first["usage"]["prompt_tokens"]


def test_a_session_belongs_to_its_agent(pais: httpx.Client, agent: str) -> None:
    session = chat(pais, agent, create_session=True).json()["session_id"]
    other = pais.get("/agents").json()["data"][1]["id"]
    for response in (
        chat(pais, other, store_in_session=session),
        chat(pais, agent, store_in_session=NOBODY),
        chat(pais, NOBODY),
    ):
        assert response.status_code == 404
        assert "invalid Session ID" in response.json()["detail"]


def test_a_completion_in_a_session_goes_on_with_it(pais: httpx.Client, agent: str) -> None:
    url = f"/agents/{agent}/completions"
    first = pais.post(url, json={"prompt": QUESTION, "create_session": True}).json()
    body = {"prompt": QUESTION, "store_in_session": first["session_id"]}
    second = pais.post(url, json=body).json()
    assert second["object"] == "text_completion"
    assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("model", "status"), [("", 200), ("sandbox-extractive", 200), ("another", 400)]
)
def test_the_model_is_the_agent_s_own(
    pais: httpx.Client, agent: str, model: str, status: int
) -> None:
    response = chat(pais, agent, model=model)
    assert response.status_code == status
    if status == 400:
        assert response.json() == {"detail": "Unexpected model in completions message"}


@pytest.mark.parametrize("fields", [{"messages": []}, {"store_in_session": "x"}, {"n": 0}])
def test_a_bad_chat_is_unprocessable(pais: httpx.Client, agent: str, fields: Any) -> None:
    assert chat(pais, agent, **fields).status_code == 422


def test_an_agent_answers_as_the_gateway_whatever_the_engine(
    pais: httpx.Client, agent: str
) -> None:
    body = chat(pais, agent, {"engine": "llama_server"}).json()
    assert "timings" not in body
    assert body["index_context_info"]
