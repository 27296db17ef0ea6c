"""The sandbox's PAIS has the structure of recorded engines, and of a gateway before one."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from support.structure import differences, recorded, served, unexplained

WIRE = Path(__file__).parents[3] / "shared/wire"
QUESTION = "Which lamp draws how many watts?"
STOP = [" 4 watts"]

ORIGINS: Mapping[str, Mapping[str, Any]] = {
    "gateway_over_llama_server": {"engine": "llama_server", "framing": "gateway"},
    "llama_server": {"engine": "llama_server"},
    "llama_cpp_python": {"engine": "llama_cpp_python"},
    "openai_completions": {"engine": "openai"},
}
"""The switches for all recordings of a folder."""

NO_LIST = "PAIS takes one prompt, so an engine behind it never sees a list"
OWN_MODELS = "the gateway lists the models of PAIS, whichever engine is behind it"
OTHER_AUTH = "the gateway lets in, not the engine"

SKIPPED: Mapping[str, str] = {
    "gateway_over_llama_server/embeddings": "this gateway has no such call, PAIS has",
    "llama_server/embeddings": "embeddings come from another engine",
    "llama_cpp_python/embeddings": "embeddings come from another engine",
    "llama_cpp_python/b_embeddings": "embeddings come from another engine",
    "llama_server/models": OWN_MODELS,
    "llama_cpp_python/models": OWN_MODELS,
    "llama_server/d_loading_health": "PAIS has no such call",
    "llama_server/stream_prompt_list2": NO_LIST,
    "llama_cpp_python/stream_prompt_list2": NO_LIST,
    "openai_completions/post_48ee296c": NO_LIST,
    "gateway_over_llama_server/stream_unicode": "its gateway has cut an event at U+2028",
    "openai_completions/completion_error.0": OTHER_AUTH,
    "openai_completions/completion_stream_wrong_api_key.0": OTHER_AUTH,
}


@dataclass(frozen=True)
class Case:
    """How a recording is replayed: with which switches, fault and changed fields."""

    switches: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fault: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])


OVERFLOW = Case({"context": 2})
LOADING = Case({"errors": "llama_server"}, "status; code=503")

CASES: Mapping[str, Case] = {
    "gateway_over_llama_server/err_context_overflow_prompt": OVERFLOW,
    "gateway_over_llama_server/err_context_overflow_prompt_stream": OVERFLOW,
    "llama_server/err_context_overflow_prompt": OVERFLOW,
    "llama_server/err_context_overflow_prompt_stream": OVERFLOW,
    "llama_cpp_python/err_context_overflow_prompt_stream": OVERFLOW,
    "llama_cpp_python/b_long_overflow_stream": OVERFLOW,
    "gateway_over_llama_server/unknown_model": Case(fields={"model": "unknown-model"}),
    "llama_server/d_loading_completions": LOADING,
    "llama_server/d_loading_models": LOADING,
    "llama_server/d_loading_stream": LOADING,
    "llama_server/d_server_sigterm_mid_stream": Case(fault="truncate; after=3"),
    "llama_server/e_midstream_error_1": Case(fault="error; after=3"),
    "llama_server/e_chat_midstream_error_1": Case(fault="error; after=3"),
    "openai_completions/completion_streamed.0": Case(fields={"stream": True}),
    "openai_completions/post_8899bb88": Case(fields={"prompt": QUESTION}),
    "llama_cpp_python/b_auth_none": Case({"auth": "static"}),
    "llama_cpp_python/b_auth_wrong": Case({"auth": "static"}),
    "llama_cpp_python/b_interrupted_stream_first": Case({"ending": "interrupted"}),
    "llama_cpp_python/b_ping_slow_prompt_stream": Case(
        fault="pings; after=0; seconds=0.02; every=0.01"
    ),
}

OLD = "an older form of this service; the sandbox has the one of most recordings"
TURNS = "in an engine one choice is done before the other; here both end together"
ALLOWED: Mapping[str, Mapping[str, str]] = {
    **{
        f"{engine}/stream_n2": {
            "order: recorded text end text end [DONE], served text end [DONE]": TURNS
        }
        for engine in ("gateway_over_llama_server", "llama_server")
    },
    "openai_completions/completion_async.0": {
        "framing: spaces: recorded compact, served spaced": OLD,
    },
    "openai_completions/completion_streamed.0": {
        "framing: spaces: recorded spaced, served compact": OLD,
        "order: *": "the recording has one of the two choices that were asked for",
        "headers: content-type: recorded application/json, served text/event-stream": OLD,
    },
}


def names() -> Iterator[str]:
    for origin in ORIGINS:
        for folder in sorted((WIRE / origin).glob("*/")):
            yield f"{origin}/{folder.name}"


@pytest.fixture(scope="module")
def client(docs: Path) -> Iterator[httpx.Client]:
    with (
        Sandbox(docs) as sandbox,
        httpx.Client(base_url=sandbox.env["PAIS_BASE_URL"], verify=False) as found,
    ):
        yield found


def replay(client: httpx.Client, name: str) -> httpx.Response:
    case = CASES.get(name, Case())
    about = json.loads((WIRE / name / "request.json").read_text("utf-8"))
    # Some recordings hold the body alone, with nulls that FastAPI would not take.
    alone = {k: v for k, v in about.items() if v is not None}
    body = about["body"] if "path" in about else alone
    raw = about.get("raw_body")
    switches = {"auth": "none", **ORIGINS[name.partition("/")[0]], **case.switches}
    headers = {"x-sandbox-switches": json.dumps(switches)}
    if case.fault:
        headers["x-sandbox-fault"] = case.fault
    path = about.get("path", "/v1/completions").removeprefix("/api/v1/compatibility/openai")
    path = path.removeprefix("/v1")
    content = json.dumps({**ours(body), **case.fields} if isinstance(body, dict) else body)
    if about.get("method", "POST") == "GET":
        return client.get(path, headers=headers)
    sent = content.encode() if raw is None else raw.encode("latin-1")
    return client.post(path, content=sent, headers={**headers, "content-type": "application/json"})


def ours(body: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for something that the documents answer, in the form that PAIS takes."""
    changed = dict(body)
    if isinstance(changed.get("prompt"), str):
        changed["prompt"] = QUESTION
    if "messages" in changed:
        changed["messages"] = [{"role": "user", "content": QUESTION}]
    if "stop" in changed:
        changed["stop"] = STOP
    return changed


def kind(value: Any) -> str:
    if "error" in value:
        return "error"
    if not value["choices"]:
        return "usage"
    choice = value["choices"][0]
    return (
        "end"
        if choice["finish_reason"]
        else "start"
        if "role" in choice.get("delta", {})
        else "text"
    )


@pytest.mark.skipif(not WIRE.exists(), reason=f"no recordings at {WIRE.name}")
@pytest.mark.parametrize("name", [name for name in names() if name not in SKIPPED])
def test_an_answer_has_the_structure_of_the_recorded_one(client: httpx.Client, name: str) -> None:
    found = differences(recorded(WIRE / name), served(replay(client, name)), kind=kind)
    assert unexplained(found, ALLOWED.get(name, {})) == []


def test_the_tables_name_recordings() -> None:
    if WIRE.exists():
        assert CASES.keys() | SKIPPED.keys() | ALLOWED.keys() <= set(names())
