"""JSON from the services that have no structured output but understand a prompt."""

import json
from typing import Any

import httpx
import pytest

from qaip_sandbox.protocols._tasks import Task, task_of, task_of_text

QUESTION = "How long does a refund take?"
SENTENCE = "A refund reaches the buyer's account in 5 working days."
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["answer", "days"],
}
DOUBLED = json.dumps(SCHEMA).replace("{", "{{").replace("}", "}}")
ORDER = (
    "Answer with one JSON object and nothing else. It must conform to this JSON Schema:\n"
    f"```json\n{json.dumps(SCHEMA)}\n```\n"
)
SYSTEM = [{"role": "system", "content": ORDER}, {"role": "user", "content": QUESTION}]
BARE = [{"role": "user", "content": QUESTION}]


def _qaip(client: httpx.Client, messages: list[Any]) -> httpx.Response:
    return client.post("/completions", json={"messages": messages})


def _chat(client: httpx.Client, messages: list[Any]) -> httpx.Response:
    return client.post("/chat/completions", json={"model": "sonar", "messages": messages})


def _dify(client: httpx.Client, messages: list[Any]) -> httpx.Response:
    text = "\n".join(message["content"] for message in messages)
    return client.post("/completion-messages", json={"inputs": {"query": text}, "user": "u"})


def text_of(body: Any) -> str:
    return str(body["answer"] if "answer" in body else body["choices"][0]["message"]["content"])


def sources_of(body: Any) -> Any:
    for found in (body, body.get("metadata", {}), body.get("choices", [{}])[0]):
        for key in ("citations", "retriever_resources"):
            if key in found:
                return found[key]
    return []


SERVICES = {"qaip": _qaip, "fireworks": _chat, "pais": _chat, "perplexity": _chat, "dify": _dify}
each_service = pytest.mark.parametrize("service", SERVICES)


@each_service
def test_a_schema_in_the_prompt_is_obeyed(service: str, request: Any) -> None:
    client = request.getfixturevalue(service)
    found = json.loads(text_of(SERVICES[service](client, SYSTEM).json()))
    assert found["days"] == 5
    assert found["answer"].startswith(SENTENCE)
    assert "[1]" not in found["answer"]


@each_service
def test_the_sources_are_those_of_the_bare_question(service: str, request: Any) -> None:
    client = request.getfixturevalue(service)
    asked = [sources_of(SERVICES[service](client, messages).json()) for messages in (SYSTEM, BARE)]
    assert asked[0] == asked[1]


def test_qaip_streams_the_json(qaip: httpx.Client) -> None:
    lines = qaip.post("/completions", json={"messages": SYSTEM, "stream": True}).text.splitlines()
    parts = [json.loads(line)["choices"][0]["message"]["content"] for line in lines]
    assert json.loads("".join(parts))["days"] == 5


def test_pais_streams_the_json_of_n_choices(pais: httpx.Client, events: Any) -> None:
    body = {"model": "m", "messages": SYSTEM, "n": 2}
    texts = ["", ""]
    for event in events(pais.post("/chat/completions", json={**body, "stream": True})):
        texts[event["choices"][0]["index"]] += event["choices"][0]["delta"]["content"]
    assert [json.loads(text)["days"] for text in texts] == [5, 5]
    whole = pais.post("/chat/completions", json=body).json()["choices"]
    assert [choice["message"]["content"] for choice in whole] == texts


def test_pais_completes_a_prompt_with_json(pais: httpx.Client) -> None:
    body = {"model": "m", "prompt": f"{QUESTION}\n\n{ORDER}"}
    (choice,) = pais.post("/completions", json=body).json()["choices"]
    assert json.loads(choice["text"])["days"] == 5


def test_dify_streams_the_json(dify: httpx.Client, events: Any) -> None:
    body = {"inputs": {"query": ORDER + QUESTION}, "user": "u", "response_mode": "streaming"}
    found = events(dify.post("/completion-messages", json=body))
    text = "".join(event.get("answer", "") for event in found)
    assert json.loads(text)["days"] == 5


def test_perplexity_streams_the_json(perplexity: httpx.Client, events: Any) -> None:
    body = {"model": "sonar", "messages": SYSTEM, "stream": True}
    last = events(perplexity.post("/chat/completions", json=body))[-1]
    assert json.loads(last["choices"][0]["message"]["content"])["days"] == 5


def test_a_schema_that_nothing_fits_is_not_obeyed(qaip: httpx.Client) -> None:
    schema = {**SCHEMA, "properties": {"answer": {"enum": []}}}
    content = f"{QUESTION}\n{json.dumps(schema)}"
    body = qaip.post("/completions", json={"messages": [{"role": "user", "content": content}]})
    assert text_of(body.json()).startswith(f"{SENTENCE}[1]")


@pytest.mark.parametrize(
    "prompt",
    [
        f"{ORDER}\n{QUESTION}",
        f"{ORDER}{QUESTION}",
        f"{QUESTION}\n\n{ORDER}",
        f"{QUESTION}\n{ORDER}",
        f"{QUESTION} {ORDER}",
        f"{QUESTION}\n\nReply in this form:\n{json.dumps(SCHEMA, indent=2)}",
        f"{QUESTION}\n```\n{json.dumps(SCHEMA)}\n```\nAdd nothing to the JSON.",
        f"{QUESTION}\n\nFollow this schema:\n{DOUBLED}\n\nAdd nothing to the JSON.",
        f'For {{"properties": {{"x": ["y"]}}}} no JSON.\n{json.dumps(SCHEMA)}\n{QUESTION}',
    ],
)
def test_the_question_is_what_is_left(prompt: str) -> None:
    assert task_of_text(prompt) == Task(QUESTION, SCHEMA)


def test_a_question_about_json_is_still_one() -> None:
    prompt = "Put what the handbook says of refunds into this JSON:"
    assert task_of_text(f"{prompt}\n{json.dumps(SCHEMA)}") == Task(prompt, SCHEMA)


@pytest.mark.parametrize(
    "prompt",
    [
        "{",
        '{"properties": 3, "type": "object"}',
        '{"properties": {"a": 3}, "type": "object"}',
        '{"properties": {}, "type": "array"}',
        '{"a": {"type": "object"}}',
        '{"properties": {' * 2000,
    ],
)
def test_other_json_is_no_schema(prompt: str) -> None:
    assert task_of_text(prompt) == Task(prompt)


def test_the_last_schema_counts() -> None:
    other = json.dumps({"type": "object", "properties": {"x": {}}})
    assert task_of_text(f"{other}\n{ORDER}").schema == SCHEMA


def test_the_last_question_is_asked() -> None:
    earlier = [
        {"role": "user", "content": "Is it 7?"},
        {"role": "assistant", "content": "No."},
    ]
    assert task_of([SYSTEM[0], *earlier, *BARE]) == Task(QUESTION, SCHEMA)


def test_a_schema_of_an_earlier_question_is_over() -> None:
    earlier = {"role": "user", "content": ORDER}
    assert task_of([earlier, {"role": "assistant", "content": "{}"}, *BARE]) == Task(QUESTION)
