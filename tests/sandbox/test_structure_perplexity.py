"""What Perplexity sends, recorded, beside what the sandbox sends: the same structure."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from support.structure import differences, recorded, served, unexplained

WIRE = Path(__file__).parents[3] / "shared" / "wire" / "perplexity"
QUESTION = "Which lamp draws how many watts?"

JUNE: dict[str, Any] = {"profile": "2026-06", "undated": True}
SEPTEMBER: dict[str, Any] = {"profile": "2026-09", "undated": True}
DATED: dict[str, Any] = {"profile": "2026-06"}

UNKNOWN = {
    "body: .search_results[].last_updated: not always recorded*": "of a file it is always known",
    "body: .search_results[]: order of keys*": "its first result has no date, which so comes last",
}

CASES: dict[str, tuple[dict[str, Any], Mapping[str, str]]] = {
    "basic_0": (JUNE, {}),
    "citations_0": (JUNE, {}),
    "citations_stream_0": (JUNE, {}),
    "error_400_prompt_too_long_0": (JUNE, {}),
    "error_401_0": (JUNE, {}),
    "json_schema_0": (SEPTEMBER, {}),
    "multi_turn_0": (JUNE, {}),
    "multi_turn_1": (JUNE, {}),
    "raw_response_0": (JUNE, UNKNOWN),
    "short_stream_0": (JUNE, {}),
    "system_prompt_0": (JUNE, {}),
    "text_attachment_0": (JUNE, {}),
    "text_attachment_1": (DATED, {}),
}


def kind(event: Any) -> str:
    return str(event["object"])


def about_lamps(request: Any) -> Any:
    """Ask what the documents answer; a text that stands for a long one is one."""
    for message in request["messages"]:
        if message["content"] == "<MASSIVE_TEXT>":
            message["content"] = "word " * 30_000
    request["messages"][-1]["content"] = QUESTION
    return request


@pytest.mark.parametrize("case", CASES)
def test_a_recording_and_the_sandbox_have_the_same_structure(sandbox: Sandbox, case: str) -> None:
    if not (WIRE / case).is_dir():
        pytest.skip(f"no recordings beside the project: {WIRE} is missing")
    switches, reasons = CASES[case]
    key = "wrong" if case.startswith("error_401") else sandbox.env["PERPLEXITY_API_KEY"]
    request = json.loads((WIRE / case / "request.json").read_text("utf-8"))
    response = httpx.post(
        sandbox.env["PERPLEXITY_BASE_URL"] + "/chat/completions",
        json=about_lamps(request),
        headers={"authorization": f"Bearer {key}", "x-sandbox-switches": json.dumps(switches)},
        verify=False,
    )
    found = differences(
        recorded(WIRE / case),
        served(response),
        kind=kind,
        headers=("content-type", "cache-control", "x-request-id"),
    )
    assert unexplained(found, reasons) == []


def test_every_recording_is_compared() -> None:
    if not WIRE.is_dir():
        pytest.skip(f"no recordings beside the project: {WIRE} is missing")
    assert {folder.name for folder in WIRE.iterdir()} == CASES.keys()
