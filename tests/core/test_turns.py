"""A prompt becomes what each service takes, or is refused before it is sent."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from qaip_core import Message, Prompt, ToolCall, errors
from qaip_core.backend import Endpoint
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip

SYSTEM = Message("system", "Be brief.")
USER = Message("user", "Tea?")
ANSWER = Message("assistant", "Yes.", reasoning="It is four o'clock.")
PARTS = Message("user", [{"type": "text", "text": "Te"}, {"type": "text", "text": "a?"}])
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.example/tea.png"}}
PICTURE = Message("user", [{"type": "text", "text": "Tea?"}, IMAGE])
CALL = Message("assistant", "", tool_calls=[ToolCall("brew", '{"n":1}', "c1")])
RESULT = Message("tool", "hot", tool_call_id="c1")


def body(endpoint: Endpoint, prompt: Prompt, **params: Any) -> dict[str, Any]:
    return endpoint.encode(prompt, params, False)  # noqa: FBT003 -- the endpoint's own signature


TEXTS: list[tuple[Prompt, str]] = [
    ("Tea?", "Tea?"),
    ([USER], "Tea?"),
    ([PARTS], "Tea?"),
    ([SYSTEM, USER, ANSWER], "System: Be brief.\nUser: Tea?\nAssistant: Yes.\nAssistant:"),
]


@pytest.mark.parametrize(("prompt", "text"), TEXTS)
def test_a_service_of_texts_gets_one_text(prompt: Prompt, text: str) -> None:
    assert body(pais.TEXT, prompt)["prompt"] == text
    assert body(fireworks.TEXT, prompt)["prompt"] == text
    assert body(dify.COMPLETION, prompt)["inputs"] == {"query": text}


@pytest.mark.parametrize("endpoint", [pais.CHAT, qaip.COMPLETIONS])
def test_a_service_of_plain_turns_gets_roles_and_texts(endpoint: Endpoint) -> None:
    assert body(endpoint, "Tea?")["messages"] == [{"role": "user", "content": "Tea?"}]
    assert body(endpoint, [SYSTEM, PARTS])["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Tea?"},
    ]


def test_perplexity_gets_systems_first_and_turns_that_alternate() -> None:
    prompt = [USER, PICTURE, SYSTEM, ANSWER, SYSTEM, USER]
    assert body(perplexity.CHAT, prompt)["messages"] == [
        {"role": "system", "content": "Be brief.\n\nBe brief."},
        {"role": "user", "content": [{"type": "text", "text": "Tea?"}, *PICTURE.content]},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Tea?"},
    ]


@pytest.mark.parametrize("prompt", [[ANSWER, USER], [USER, ANSWER], [SYSTEM]])
def test_perplexity_talks_begin_and_end_with_the_user(prompt: list[Message]) -> None:
    with pytest.raises(errors.InvalidParameterError, match="end with the user"):
        body(perplexity.CHAT, prompt)


def test_perplexity_does_not_get_back_what_its_model_thought() -> None:
    thought = Message("assistant", "<think>\nFour?\n</think>\n\nYes.")
    messages = body(perplexity.CHAT, [USER, thought, USER])["messages"]
    assert messages[1] == {"role": "assistant", "content": "Yes."}


def test_dify_writes_a_conversation_by_its_templates() -> None:
    templates = {"turn_template": "<{role}> {text}", "prompt_template": "{earlier}\n--\n{question}"}
    talk = body(dify.COMPLETION, [USER, ANSWER, USER], **templates)
    assert talk["inputs"]["query"] == "<User> Tea?\n<Assistant> Yes.\n--\nTea?"
    assert body(dify.COMPLETION, [USER], **templates)["inputs"]["query"] == "Tea?"


@pytest.mark.parametrize(
    "template",
    ["no name", "{other}", "{text.__class__}", "{", "{}", "{role}", "{text:d}", "{text!x}"],
)
def test_a_template_that_cannot_be_filled_is_refused(template: str) -> None:
    with pytest.raises(errors.InvalidParameterError, match="turn_template"):
        dify.COMPLETION.check({"turn_template": template})


@pytest.mark.parametrize("name", ["", "two words", "x" * 65])
def test_fireworks_functions_need_a_sound_name(name: str) -> None:
    tool = {"type": "function", "function": {"name": name}}
    with pytest.raises(errors.InvalidParameterError, match="no function name"):
        fireworks.CHAT.check({"model": "m", "tools": [tool]})


def test_fireworks_gets_everything() -> None:
    assert body(fireworks.CHAT, [PICTURE, CALL, RESULT, ANSWER])["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Tea?"}, IMAGE]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "brew", "arguments": '{"n":1}'},
                }
            ],
        },
        {"role": "tool", "content": "hot", "tool_call_id": "c1"},
        {"role": "assistant", "content": "Yes.", "reasoning_content": "It is four o'clock."},
    ]


REFUSED: list[tuple[Endpoint, Message, str]] = [
    *[
        (e, m, "tool")
        for e in (pais.CHAT, perplexity.CHAT, qaip.COMPLETIONS)
        for m in (CALL, RESULT)
    ],
    *[(e, PICTURE, "image_url") for e in (pais.CHAT, pais.TEXT, qaip.COMPLETIONS)],
]


@pytest.mark.parametrize(("endpoint", "message", "match"), REFUSED)
def test_what_a_service_does_not_take_is_refused(
    endpoint: Endpoint, message: Message, match: str
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=match) as caught:
        body(endpoint, [message])
    assert endpoint.backend.title in str(caught.value)


def test_dify_gets_inputs_and_a_user() -> None:
    params = dify.COMPLETION.check(
        {
            "inputs": {"tone": "dry"},
            "input_key": "question",
            "user": "u7",
            "files": [{"type": "image", "transfer_method": "remote_url", "url": "https://x/y"}],
        }
    )
    assert dify.COMPLETION.encode("Tea?", params, True) == {  # noqa: FBT003 -- as above
        "inputs": {"tone": "dry", "question": "Tea?"},
        "response_mode": "streaming",
        "user": "u7",
        "files": [{"type": "image", "transfer_method": "remote_url", "url": "https://x/y"}],
    }


DAYS: list[tuple[Any, int]] = [
    (1_740_000_000, 1_740_000_000),
    (date(2025, 3, 1), 1_740_787_200),
    (datetime(2025, 3, 1, 1, 0, tzinfo=UTC), 1_740_790_800),
    (datetime(2025, 3, 1, 1, 0), 1_740_790_800),  # what users write
    (datetime(2025, 3, 1, 3, 0, tzinfo=timezone(timedelta(hours=2))), 1_740_790_800),
    ("2025-03-01", 1_740_787_200),
    ("2025-03-01T03:00:00+02:00", 1_740_790_800),
    ("1740790800", 1_740_790_800),
]


@pytest.mark.parametrize(("given", "seconds"), DAYS)
def test_a_day_is_unix_seconds(given: Any, seconds: int) -> None:
    assert qaip.COMPLETIONS.check({"date_from": given}) == {"date_from": seconds}
