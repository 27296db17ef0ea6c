"""What Fireworks sends, recorded, beside what the sandbox sends: the same structure.

No text completion of Fireworks is recorded. Those of another service, whose shape its documents
describe, are compared in its place, with what the documents say otherwise allowed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from support.structure import Answer, differences, recorded, served, unexplained

WIRE = Path(__file__).parents[3] / "shared" / "wire"
HEADERS = (
    "content-type",
    "fireworks-middleware-version",
    "fireworks-prompt-tokens",
    "fireworks-sampling-options",
    "fireworks-server-processing-time",
    "fireworks-server-time-to-first-token",
    "fireworks-speculation-generated-tokens",
    "fireworks-cached-prompt-tokens",
    "x-request-id",
    "x-ratelimit-limit-requests",
)

_ORDER = {"*choices[]: order of keys*": "its documents have finish_reason before logprobs"}
WHOLE = {
    **_ORDER,
    "*usage: order of keys*": "its recorded chats have the total in the middle",
    "framing: final newline*": "its recorded chats end without one",
}
INDENTED = {**WHOLE, "framing: spaces*": "its recorded chats are compact"}
STREAMED = {
    **_ORDER,
    "*order of keys: id,object,created,choices,model*": "its documents have the model first",
    "*.usage: extra": "its recorded chats have it in every event, null but for the last",
    "headers: content-type: recorded *": "its recorded chats are event streams with a charset",
}
SPACED = {**STREAMED, "framing: spaces*": "its recorded chats are compact"}

CASES: dict[str, Mapping[str, str]] = {
    "fireworks/chat_nonstream": {},
    "fireworks/chat_stream": {},
    "openai_completions/completion.0": INDENTED,
    "openai_completions/completion_async.0": WHOLE,
    "openai_completions/completion_streamed.0": SPACED,
    "openai_completions/completion_truncation.0": INDENTED,
    "openai_completions/post_1dd33b11": STREAMED,
    "openai_completions/post_4eee919c": STREAMED,
    "openai_completions/post_6e95e620": STREAMED,
    "openai_completions/post_8899bb88": INDENTED,
    "openai_completions/post_8af08079": STREAMED,
}


def kind(event: Any) -> str:
    (choice,) = event["choices"]
    delta = choice.get("delta")
    if choice["finish_reason"]:
        return "end"
    return "text" if delta is None else "delta of " + ",".join(delta)


def ask(sandbox: Sandbox, profile: str, request: Any) -> Answer:
    path = "/chat/completions" if "messages" in request else "/completions"
    headers = {
        "authorization": f"Bearer {sandbox.env['FIREWORKS_API_KEY']}",
        "x-sandbox-switches": json.dumps({"profile": profile}),
    }
    response = httpx.post(
        sandbox.env["FIREWORKS_API_BASE"] + path, json=request, headers=headers, verify=False
    )
    return served(response)


@pytest.mark.parametrize("case", CASES)
def test_a_recording_and_the_sandbox_have_the_same_structure(sandbox: Sandbox, case: str) -> None:
    folder = WIRE / case
    if not folder.is_dir():
        pytest.skip(f"no recordings beside the project: {folder.parent} is missing")
    request = json.loads((folder / "request.json").read_text("utf-8"))
    request["stream"] = (folder / "body.sse").exists()  # one recorded request does not tell it
    ours = case.startswith("fireworks/")
    found = differences(
        recorded(folder),
        ask(sandbox, "2025", request),
        kind=kind,
        headers=HEADERS if ours else ("content-type",),
    )
    assert unexplained(found, CASES[case]) == []
