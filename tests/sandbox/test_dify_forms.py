"""The form of Dify's app: which values it takes, in which words it refuses the others."""

import json
from typing import Any

import httpx
import pytest

from sandbox.dify_asking import QUESTION, SENTENCE, chat, complete, streamed, text_of

FORM = [
    {"variable": "topic", "type": "text-input", "required": True, "max_length": 20},
    {"variable": "more", "type": "paragraph"},
    {"variable": "tone", "type": "select", "options": ["formal", "casual"], "default": "formal"},
    {"variable": "count", "type": "number"},
    {"variable": "brief", "type": "checkbox"},
    {"variable": "scan", "type": "file", "required": True},
    {"variable": "scans", "type": "file-list"},
]
TONES = "['formal', 'casual']"

GOOD: list[dict[str, Any]] = [
    {},
    {"topic": ""},
    {"topic": "x" * 20},
    {"more": "y" * 5000},
    {"tone": "casual"},
    {"tone": None},
    {"count": 5},
    {"count": 1.5},
    {"count": "12"},
    {"count": " 1.5 "},
    {"count": ""},
    {"count": True},
    {"brief": True},
    {"scan": "no file", "scans": 5},
    {"unknown": {"a": 1}},
]
BAD: list[tuple[dict[str, Any], str]] = [
    ({"topic": None}, "topic is required in input form"),
    ({"topic": 5}, "(type 'text-input') topic in input form must be a string"),
    ({"topic": "x" * 21}, "topic in input form must be less than 20 characters"),
    ({"more": ["x"]}, "(type 'paragraph') more in input form must be a string"),
    ({"tone": 5}, "(type 'select') tone in input form must be a string"),
    ({"tone": ""}, f"tone in input form must be one of the following: {TONES}"),
    ({"tone": "rude"}, f"tone in input form must be one of the following: {TONES}"),
    ({"count": "1e3"}, "count in input form must be a valid number"),
    ({"count": "nan"}, "count in input form must be a valid number"),
    ({"count": []}, "count in input form must be a valid number"),
    ({"brief": "true"}, "brief in input form must be a valid boolean value"),
    ({"brief": 1}, "brief in input form must be a valid boolean value"),
]


@pytest.mark.parametrize("values", GOOD, ids=str)
def test_a_form_takes(dify: httpx.Client, values: dict[str, Any]) -> None:
    response = complete(dify, {"form": FORM}, inputs={"topic": "refund", **values})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(("values", "message"), BAD, ids=str)
def test_a_form_refuses(dify: httpx.Client, values: dict[str, Any], message: str) -> None:
    response = complete(dify, {"form": FORM}, inputs={"topic": "refund", **values})
    body = {"code": "invalid_param", "message": message, "status": 400}
    assert (response.status_code, response.json()) == (400, body)


@pytest.mark.parametrize(
    ("value", "status"), [("Yes", 200), ("off", 200), ("1", 200), (0, 200), ("maybe", 400)]
)
def test_newer_releases_read_words_as_flags(dify: httpx.Client, value: Any, status: int) -> None:
    switches = {"profile": "1.16", "form": FORM}
    response = complete(dify, switches, inputs={"topic": "refund", "brief": value})
    assert response.status_code == status


def test_a_required_variable_is_refused_even_with_a_default(dify: httpx.Client) -> None:
    form = [{"variable": "query", "required": True, "default": QUESTION}]
    assert complete(dify, {"form": form}, inputs={}).status_code == 400


@pytest.mark.parametrize(("profile", "answered"), [("1.9", False), ("1.16", True)])
def test_a_default_counts_in_newer_releases_only(
    dify: httpx.Client, profile: str, answered: bool
) -> None:
    switches = {"profile": profile, "form": [{"variable": "query", "default": QUESTION}]}
    answer = complete(dify, switches, inputs={}).json()["answer"]
    assert answer.startswith(SENTENCE) == answered


def test_a_form_without_a_query_asks_what_its_texts_say(dify: httpx.Client) -> None:
    form = [{"variable": "a"}, {"variable": "b", "type": "text-input"}]
    inputs = {"a": "How long does", "b": "a refund take?"}
    assert text_of(streamed(dify, {"form": form}, inputs=inputs)).startswith(SENTENCE)


def test_nul_characters_are_dropped(dify: httpx.Client) -> None:
    answer = complete(dify, inputs={"query": "How long does a re\0fund take?"}).json()["answer"]
    assert answer.startswith(SENTENCE)


def test_the_form_is_described(dify: httpx.Client) -> None:
    headers = {"x-sandbox-switches": json.dumps({"form": FORM})}
    (topic, _, tone, *_) = dify.get("/parameters", headers=headers).json()["user_input_form"]
    assert topic == {
        "text-input": {
            "label": "topic", "variable": "topic", "required": True, "default": "",
            "max_length": 20,
        }
    }  # fmt: skip
    assert list(tone["select"]) == ["label", "variable", "required", "options", "default"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "scan is required in input form"),
        ({"scan": "x"}, "scan in input form must be a file"),
        ({"scan": {}, "scans": {}}, "scans in input form must be a list of files"),
        ({"scan": {}, "scans": [{}]}, None),
    ],
)
def test_only_chat_apps_look_at_files_of_a_form(
    dify: httpx.Client, values: dict[str, Any], message: str | None
) -> None:
    response = chat(dify, {"form": FORM}, inputs={"topic": "refund", **values})
    assert response.json().get("message") == message


def test_a_chat_app_has_no_variables_unless_they_are_changed(dify: httpx.Client) -> None:
    headers = {"x-sandbox-switches": '{"app": "chat"}'}
    assert dify.get("/parameters", headers=headers).json()["user_input_form"] == []
    assert chat(dify).status_code == 200
