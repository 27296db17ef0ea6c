"""The conversations that Qaip stores."""

import json
from typing import Any

import httpx
import pytest

QUESTION = "How long does a refund take?"
OTHER = "Which lamp draws how many watts?"
NOBODY = "00000000-0000-4000-8000-000000000000"


def ask(client: httpx.Client, question: str = QUESTION, **fields: Any) -> Any:
    messages = [{"role": "user", "content": question}]
    response = client.post("/completions", json={"messages": messages, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def refused(client: httpx.Client, **fields: Any) -> int:
    messages = [{"role": "user", "content": QUESTION}]
    return client.post("/completions", json={"messages": messages, **fields}).status_code


def read(client: httpx.Client, wanted: str, **query: str) -> Any:
    return client.get(f"/conversations/{wanted}", params=query).json()


def test_a_turn_is_stored_with_its_citations(qaip: httpx.Client) -> None:
    said = ask(qaip, tags=["handbook"], include_retrieved=True)
    found = read(qaip, said["conversation_id"])
    question, answer = found["active_path"]
    assert (question["id"], answer["id"]) == (said["user_message_id"], said["assistant_message_id"])
    assert (question["role"], question["content"]) == ("user", QUESTION)
    assert question["filter_snapshot"] == {"tags": ["handbook"], "include_retrieved": True}
    assert answer["parent_id"] == question["id"]
    assert answer["citations"] == said["choices"][0]["citations"]
    assert answer["assistant_metadata"]["retrieved"] == said["retrieved"]
    assert found["title"] == QUESTION
    assert found["current_leaf_id"] == answer["id"]
    assert [node["id"] for node in found["tree"]] == [question["id"], answer["id"]]


def test_a_streamed_turn_is_stored_too(qaip: httpx.Client) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    response = qaip.post(
        "/completions",
        json={"messages": messages, "stream": True},
        headers={"x-sandbox-switches": '{"citations": "none"}'},
    )
    found = read(qaip, response.headers["x-conversation-id"])
    assert found["active_path"][-1]["citations"]


def test_a_conversation_goes_on_with_the_latest_question_alone(qaip: httpx.Client) -> None:
    first = ask(qaip)["conversation_id"]
    messages = [{"role": role, "content": OTHER} for role in ("system", "user", "user")]
    body = {"messages": messages, "conversation_id": first}
    second = qaip.post("/completions", json=body).json()
    assert second["conversation_id"] == first
    assert "watts" in second["choices"][0]["message"]["content"]
    path = read(qaip, first)["active_path"]
    assert [node["role"] for node in path] == ["user", "assistant"] * 2
    assert path[2]["content"] == OTHER


def test_a_branch_leaves_the_other_one_alone(qaip: httpx.Client) -> None:
    first = ask(qaip)
    wanted = first["conversation_id"]
    ask(qaip, conversation_id=wanted)
    root = first["assistant_message_id"]
    branch = ask(qaip, OTHER, conversation_id=wanted, parent_message_id=root)
    found = read(qaip, wanted)
    assert len(found["tree"]) == 6
    assert found["active_path"][2]["content"] == OTHER
    assert found["active_path"][2]["parent_id"] == root
    assert len(read(qaip, wanted, leaf_id=root)["active_path"]) == 2
    assert read(qaip, wanted)["current_leaf_id"] == branch["assistant_message_id"]


def test_an_answer_can_be_generated_again(qaip: httpx.Client) -> None:
    first = ask(qaip)
    wanted, question = first["conversation_id"], first["user_message_id"]
    again = ask(qaip, conversation_id=wanted, parent_message_id=question, regenerate=True)
    assert again["user_message_id"] == question
    nodes = read(qaip, wanted)["tree"]
    assert [node["parent_id"] for node in nodes] == [None, question, question]
    answer = first["assistant_message_id"]
    assert refused(qaip, conversation_id=wanted, parent_message_id=answer, regenerate=True) == 400


def test_what_does_not_belong_together_is_refused(qaip: httpx.Client) -> None:
    wanted = ask(qaip)["conversation_id"]
    assert refused(qaip, conversation_id=NOBODY) == 404
    assert refused(qaip, conversation_id=wanted, parent_message_id=NOBODY) == 400
    assert refused(qaip, conversation_id=wanted, principal_id="someone") == 404
    assert qaip.get(f"/conversations/{wanted}", params={"leaf_id": NOBODY}).status_code == 400
    assert qaip.get(f"/conversations/{NOBODY}").status_code == 404
    assert qaip.get("/conversations/x").status_code == 400


def test_a_history_that_is_too_long_is_cut_or_refused(qaip: httpx.Client) -> None:
    wanted = ask(qaip)["conversation_id"]
    qaip.headers["x-sandbox-switches"] = json.dumps({"history": 5})
    assert refused(qaip, conversation_id=wanted, truncation="disabled") == 400
    assert ask(qaip, conversation_id=wanted, truncation="auto")["choices"]


def test_the_latest_question_stays_however_long_it_is(qaip: httpx.Client) -> None:
    wanted = ask(qaip)["conversation_id"]
    qaip.headers["x-sandbox-switches"] = json.dumps({"history": 1})
    said = ask(qaip, OTHER, conversation_id=wanted)
    assert "watts" in said["choices"][0]["message"]["content"]


def test_conversations_are_listed_by_principal_the_latest_first(qaip: httpx.Client) -> None:
    first, second = (ask(qaip, principal_id="ann")["conversation_id"] for _ in range(2))

    def listed(**query: Any) -> list[str]:
        found = qaip.get("/conversations", params=query).json()["conversations"]
        return [conversation["id"] for conversation in found]

    assert listed(principal_id="ann") == [second, first]
    ask(qaip, principal_id="ann", conversation_id=first)
    assert listed(principal_id="ann") == [first, second]
    assert listed(principal_id="ann", limit=1, offset=1) == [second]
    assert first not in listed()
    assert first in listed(all_principals="true")


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"offset": "-1"}, {"principal_id": "a", "all_principals": "true"}],
)
def test_a_bad_list_is_refused(qaip: httpx.Client, query: dict[str, str]) -> None:
    assert qaip.get("/conversations", params=query).status_code == 400


def test_a_conversation_can_be_renamed_and_switched(qaip: httpx.Client) -> None:
    said = ask(qaip)
    url, question = f"/conversations/{said['conversation_id']}", said["user_message_id"]
    changed = qaip.patch(url, json={"title": "Refunds", "current_leaf_id": question}).json()
    assert (changed["title"], changed["current_leaf_id"]) == ("Refunds", question)
    assert len(qaip.get(url).json()["active_path"]) == 1
    assert qaip.patch(url, json={"current_leaf_id": NOBODY}).status_code == 400
    assert qaip.patch(url, json={"name": "x"}).status_code == 400


def test_a_deleted_conversation_is_gone(qaip: httpx.Client) -> None:
    url = f"/conversations/{ask(qaip)['conversation_id']}"
    deleted = qaip.delete(url)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert qaip.get(url).status_code == 404
    assert qaip.delete(url).status_code == 404


def test_a_long_question_makes_a_short_title(qaip: httpx.Client) -> None:
    said = ask(qaip, "How long " + "very " * 30 + "long?")
    assert len(read(qaip, said["conversation_id"])["title"]) == 60
