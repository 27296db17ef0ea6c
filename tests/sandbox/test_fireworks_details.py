"""What an answer of Fireworks tells besides its text: token ids, probabilities, raw output."""

import json
import math
from typing import Any

import httpx
import pytest

MODEL = "accounts/sandbox/models/extractive"
QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts. The Solstice lamp draws 4 watts."


def ask(client: httpx.Client, path: str, profile: str = "2026", /, **fields: Any) -> httpx.Response:
    asked = {"prompt": QUESTION, "max_tokens": 100}
    if path == "/chat/completions":
        asked = {"messages": [{"role": "user", "content": QUESTION}]}
    headers = {"x-sandbox-switches": json.dumps({"profile": profile})}
    return client.post(path, json={"model": MODEL, **asked, **fields}, headers=headers)


def choice(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    (found,) = response.json()["choices"]
    return found


PATHS = pytest.mark.parametrize("path", ["/completions", "/chat/completions"])


@PATHS
@pytest.mark.parametrize("profile", ["classic", "2025", "2026"])
def test_the_legacy_object_comes_for_a_number(
    fireworks: httpx.Client, path: str, profile: str
) -> None:
    found = choice(ask(fireworks, path, profile, logprobs=3, max_tokens=2))["logprobs"]
    assert list(found) == ["tokens", "token_logprobs", "top_logprobs", "text_offset", "token_ids"]
    assert (found["tokens"], found["text_offset"]) == (["The", " Meridian"], [0, 3])
    assert [len(top) for top in found["top_logprobs"]] == [3, 3]
    assert len(set(found["token_ids"])) == 2


@PATHS
@pytest.mark.parametrize("profile", ["2025", "2026"])
def test_the_new_object_comes_for_true(fireworks: httpx.Client, path: str, profile: str) -> None:
    asked = {"logprobs": True, "top_logprobs": 5, "max_tokens": 2}
    first, second = choice(ask(fireworks, path, profile, **asked))["logprobs"]["content"]
    assert (first["token"], first["bytes"]) == ("The", [84, 104, 101])
    assert second["text_offset"] == 3
    assert len(first["top_logprobs"]) == 5
    assert first["top_logprobs"][0]["token_id"] == first["token_id"]
    assert ("sampling_logprob" in first) == (profile == "2026")


def test_the_classic_service_knows_the_legacy_object_only(fireworks: httpx.Client) -> None:
    found = choice(ask(fireworks, "/chat/completions", "classic", logprobs=True))["logprobs"]
    assert "".join(found["tokens"]) == TEXT


def test_probabilities_sum_up_to_less_than_one(fireworks: httpx.Client) -> None:
    found = choice(ask(fireworks, "/completions", logprobs=5, max_tokens=1))["logprobs"]
    (top,) = found["top_logprobs"]
    assert len(top) == 5
    assert max(top, key=lambda token: top[token]) == "The"
    assert sum(map(math.exp, top.values())) < 1


def test_without_alternatives_none_are_told(fireworks: httpx.Client) -> None:
    assert choice(ask(fireworks, "/completions", logprobs=0))["logprobs"]["top_logprobs"] is None
    (new, *_) = choice(ask(fireworks, "/completions", logprobs=True))["logprobs"]["content"]
    assert new["top_logprobs"] == []


def test_a_streamed_text_has_the_same_probabilities(fireworks: httpx.Client, events: Any) -> None:
    parts = events(ask(fireworks, "/completions", logprobs=2, stream=True, echo=True))
    objects = [part["choices"][0]["logprobs"] for part in parts]
    assert objects[-1] is None
    joined: dict[str, list[Any]] = {}
    for found in objects[:-1]:
        for name, values in found.items():
            joined.setdefault(name, []).extend(values)
    assert joined == choice(ask(fireworks, "/completions", logprobs=2, echo=True))["logprobs"]


def test_the_last_tokens_of_a_prompt_can_be_echoed(fireworks: httpx.Client) -> None:
    echoed = {count: choice(ask(fireworks, "/completions", echo_last=count)) for count in (0, 2, 9)}
    assert echoed[0]["text"] == TEXT
    assert echoed[2]["text"] == f" watts?{TEXT}"
    assert echoed[9]["text"] == f"{QUESTION}{TEXT}"
    assert ask(fireworks, "/completions", echo_last=-1).status_code == 400


def test_a_chat_can_be_echoed_too(fireworks: httpx.Client) -> None:
    body = ask(fireworks, "/chat/completions", echo=True).json()
    assert body["choices"][0]["message"]["content"] == f"{QUESTION}{TEXT}"
    assert body["usage"]["completion_tokens"] == 14


def test_a_text_has_token_ids_for_its_prompt_and_for_itself(
    fireworks: httpx.Client, events: Any
) -> None:
    whole = choice(ask(fireworks, "/completions", return_token_ids=True))
    assert (len(whole["prompt_token_ids"]), len(whole["token_ids"])) == (7, 14)
    parts = events(ask(fireworks, "/completions", return_token_ids=True, stream=True))
    choices = [part["choices"][0] for part in parts]
    assert ["prompt_token_ids" in c for c in choices] == [True] + [False] * 14
    assert choices[0]["prompt_token_ids"] == whole["prompt_token_ids"]
    assert [n for c in choices for n in c.get("token_ids", [])] == whole["token_ids"]


def test_a_chat_has_the_ids_of_its_prompt_beside_the_choices(
    fireworks: httpx.Client, events: Any
) -> None:
    body = ask(fireworks, "/chat/completions", return_token_ids=True).json()
    assert (len(body["prompt_token_ids"]), len(body["choices"][0]["token_ids"])) == (7, 14)
    parts = events(ask(fireworks, "/chat/completions", return_token_ids=True, stream=True))
    assert parts[0]["prompt_token_ids"] == body["prompt_token_ids"]
    assert not any("prompt_token_ids" in part for part in parts[1:])
    ids = [n for part in parts for n in part["choices"][0].get("token_ids", [])]
    assert ids == body["choices"][0]["token_ids"]


def test_equal_tokens_have_equal_ids(fireworks: httpx.Client) -> None:
    found = choice(ask(fireworks, "/completions", return_token_ids=True, echo=True, logprobs=0))
    pairs = zip(found["logprobs"]["tokens"], found["logprobs"]["token_ids"], strict=True)
    assert len(set(pairs)) == len(set(found["logprobs"]["tokens"]))
    assert set(found["token_ids"]) < set(found["logprobs"]["token_ids"])


@PATHS
def test_the_raw_output_shows_prompt_and_completion(fireworks: httpx.Client, path: str) -> None:
    asked = {"raw_output": True, "logprobs": 1}
    raw = choice(ask(fireworks, path, **asked))["raw_output"]
    assert (raw["prompt_fragments"], raw["completion"]) == ([QUESTION], TEXT)
    assert (len(raw["prompt_token_ids"]), len(raw["completion_token_ids"])) == (7, 14)
    assert len(raw["completion_logprobs"]["content"]) == 14


def test_the_raw_output_has_the_reasoning_where_the_model_wrote_it(
    fireworks: httpx.Client,
) -> None:
    asked = {"raw_output": True, "reasoning_effort": "low"}
    found = choice(ask(fireworks, "/chat/completions", **asked))
    thoughts = found["message"]["reasoning_content"]
    assert found["raw_output"]["completion"] == f"<think>\n{thoughts}\n</think>\n\n{TEXT}"


@PATHS
def test_a_stream_has_the_raw_output_with_the_finish_reason(
    fireworks: httpx.Client, events: Any, path: str
) -> None:
    *others, last = events(ask(fireworks, path, "2025", raw_output=True, stream=True))
    raw = last["choices"][0]["raw_output"]
    assert list(raw) == ["prompt_fragments", "prompt_token_ids", "completion"]
    assert raw["completion"] == TEXT
    assert not any("raw_output" in part["choices"][0] for part in others)


def test_the_choice_that_is_nearest_to_a_guess_counts(fireworks: httpx.Client) -> None:
    body = ask(fireworks, "/completions", n=2).json()
    tokens = []
    for found in body["choices"]:
        headers = ask(fireworks, "/completions", n=2, prediction=found["text"]).headers
        tokens.append(int(headers["fireworks-speculation-prompt-matched-tokens"]))
        assert headers["fireworks-speculation-prompt-tokens"] == str(tokens[-1])
    assert min(tokens) > 0


@pytest.mark.parametrize(
    ("guess", "told", "matched"),
    [
        ({"prediction": {"type": "content", "content": "The Meridian sun"}}, 3, 2),
        ({"prediction": TEXT}, 14, 14),
        ({"speculation": "Perhaps the lamp"}, 3, 0),
        ({"speculation": [1, 2]}, 2, 0),
    ],
)
def test_a_guess_is_counted(
    fireworks: httpx.Client, events: Any, guess: Any, told: int, matched: int
) -> None:
    headers = ask(fireworks, "/completions", **guess).headers
    assert headers["fireworks-speculation-prompt-tokens"] == str(told)
    assert headers["fireworks-speculation-prompt-matched-tokens"] == str(matched)
    streamed = ask(fireworks, "/completions", stream=True, perf_metrics_in_response=True, **guess)
    assert "fireworks-speculation-prompt-matched-tokens" not in streamed.headers
    metrics = events(streamed)[-1]["perf_metrics"]
    assert metrics["speculation-prompt-matched-tokens"] == matched
    assert "server-processing-time" in metrics
