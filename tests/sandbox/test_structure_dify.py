"""What Dify sent, recorded from its own servers, beside what the sandbox sends: the same structure.

The recorded questions have no answer in the documents of the tests, so another one is asked.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from support.structure import Answer, differences, recorded, served, unexplained

WIRE = Path(__file__).parents[3] / "shared" / "wire"
HEADERS = (
    "content-type",
    "access-control-allow-origin",
    "www-authenticate",
    "x-version",
    "x-env",
)
PROFILES = {
    "v0.15.3": "0.15",
    "v1.8.0": "1.8",
    "v1.9.0": "1.9",
    "v1.9.0_max_execution_4s": "1.9",
}
QUESTION = "保証期間は何年ですか？"
FORM = [
    {"variable": "query", "required": True},
    {"variable": "name", "type": "text-input", "max_length": 8},
    {"variable": "tone", "type": "select", "options": ["formal", "casual"]},
    {"variable": "count", "type": "number"},
]
Asking = Callable[["Site", dict[str, Any], Mapping[str, Any]], httpx.Response]


@pytest.fixture(scope="module")
def slow(docs: Path) -> Iterator[Sandbox]:
    with Sandbox(docs, tokens_per_second=20, first_token=0.05, ping_every=0.02) as sandbox:
        yield sandbox


@dataclass(frozen=True)
class Site:
    """A sandbox, and how a recorded request is sent there."""

    sandbox: Sandbox

    def headers(self, path: str, switches: Mapping[str, Any]) -> dict[str, str]:
        name = "DIFY_DATASET_API_KEY" if "/datasets/" in path else "DIFY_API_KEY"
        return {
            "authorization": f"Bearer {self.sandbox.env[name]}",
            "x-sandbox-switches": json.dumps(switches),
        }

    def send(
        self, request: Mapping[str, Any], switches: Mapping[str, Any], **more: Any
    ) -> httpx.Response:
        path = request["path"].removeprefix("/v1")
        headers = self.headers(path, switches)
        if "raw_body" in request:
            told = {k.lower(): v for k, v in request["headers"].items()}
            if "content-type" in told:
                headers["content-type"] = told["content-type"]
            content = {"content": request["raw_body"].encode("latin-1")}
        else:
            content = {"json": request["body"]} if request.get("body") is not None else {}
        given: dict[str, Any] = {**content, **more, "headers": headers | more.get("headers", {})}
        url = self.sandbox.env["DIFY_BASE_URL"] + path
        with httpx.Client(verify=False) as client:
            return client.request(request["method"], url, **given)

    def dataset(self) -> str:
        body = {"inputs": {"query": QUESTION}, "user": "u"}
        said = self.send({"method": "POST", "path": "/completion-messages", "body": body}, {})
        return str(said.json()["metadata"]["retriever_resources"][0]["dataset_id"])


def plainly(site: Site, request: dict[str, Any], switches: Mapping[str, Any]) -> httpx.Response:
    return site.send(request, switches)


def with_a_question(
    site: Site, request: dict[str, Any], switches: Mapping[str, Any]
) -> httpx.Response:
    body = request["body"]
    if "/datasets/" in request["path"]:
        request["path"] = f"/v1/datasets/{site.dataset()}/retrieve"
        body["query"] = QUESTION
    elif "/chat-messages" in request["path"]:
        body["query"] = QUESTION
    else:
        body["inputs"]["query"] = QUESTION
    return site.send(request, switches)


def at_our_dataset(
    site: Site, request: dict[str, Any], switches: Mapping[str, Any]
) -> httpx.Response:
    request["path"] = f"/v1/datasets/{site.dataset()}/retrieve"
    return site.send(request, switches)


def with_key(key: str) -> Asking:
    def ask(site: Site, request: dict[str, Any], switches: Mapping[str, Any]) -> httpx.Response:
        return site.send(request, switches, headers={"authorization": key})

    return ask


def hung_up(site: Site, request: dict[str, Any], switches: Mapping[str, Any]) -> httpx.Response:
    request["body"]["inputs"]["query"] = QUESTION
    return site.send(request, switches, headers={"x-sandbox-fault": "truncate; after=10"})


def continued(site: Site, request: dict[str, Any], switches: Mapping[str, Any]) -> httpx.Response:
    body = request["body"] | {"response_mode": "blocking", "conversation_id": ""}
    first = site.send(request | {"body": body}, switches).json()
    request["body"]["conversation_id"] = first["conversation_id"]
    return with_a_question(site, request, switches)


def beside_another(
    site: Site, request: dict[str, Any], switches: Mapping[str, Any]
) -> httpx.Response:
    url = site.sandbox.env["DIFY_BASE_URL"] + "/completion-messages"
    body = {"inputs": {"query": QUESTION}, "user": "u2", "response_mode": "streaming"}
    headers = site.headers(url, switches)
    with (
        httpx.Client(verify=False) as client,
        client.stream("POST", url, json=body, headers=headers) as live,
    ):
        assert live.status_code == 200
        return site.send(request, switches)


def stopped(site: Site, request: dict[str, Any], switches: Mapping[str, Any]) -> httpx.Response:
    url = site.sandbox.env["DIFY_BASE_URL"] + "/completion-messages"
    body = request["body"] | {"inputs": {"query": QUESTION}}
    headers = site.headers(url, switches)
    with (
        httpx.Client(verify=False) as client,
        client.stream("POST", url, json=body, headers=headers) as live,
    ):
        text, task = b"", ""
        for chunk in live.iter_bytes():
            text += chunk
            if not task and b"task_id" in text:
                line = next(x for x in text.split(b"\n") if x.startswith(b"data: "))
                task = json.loads(line.removeprefix(b"data: "))["task_id"]
                stop = {"method": "POST", "path": f"/v1/completion-messages/{task}/stop"}
                site.send(stop | {"body": {"user": body["user"]}}, switches)
        return httpx.Response(live.status_code, headers=live.headers, content=text)


def too_large(site: Site, request: dict[str, Any], switches: Mapping[str, Any]) -> httpx.Response:
    del request["raw_body"]
    picture = bytes(10 * 1024 * 1024 + 1)
    return site.send(request, switches, files={"file": ("big.png", picture, "image/png")})


@dataclass(frozen=True)
class Case:
    """How a recording is repeated: with which switches, by whom, and what may differ."""

    switches: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ask: Asking = with_a_question
    slow: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])


BARE = Case({"citations": False})
AS_IT_IS = Case(ask=plainly)
OF_FORM = Case({"form": FORM}, plainly)
FEW = {"citations": False, "empty": True, "separators": True}
KEYWORDS = {"economy": True}

CASES: dict[str, Case] = {
    "v0.15.3/bad_key": Case(ask=with_key("Bearer app-wrong")),
    "v0.15.3/completion_blocking": BARE,
    "v0.15.3/completion_streaming": BARE,
    "v0.15.3/concurrency_second_streaming": Case({"concurrency": 1}, beside_another, slow=True),
    "v0.15.3/ds_no_hits": Case(KEYWORDS, at_our_dataset),
    "v0.15.3/ds_query_only": Case(KEYWORDS),
    "v0.15.3/get_info": AS_IT_IS,
    "v0.15.3/kb_cite_streaming": Case(KEYWORDS),
    "v0.15.3/missing_inputs": AS_IT_IS,
    "v0.15.3/model_429_streaming": Case({"failure": "rate_limit"}),
    "v0.15.3/modout_streaming_ok": Case({"citations": False, "moderation": "harmless"}),
    "v0.15.3/modout_streaming_replace": Case({"citations": False, "moderation": "output"}),
    "v0.15.3/slow_stream_ping": Case(FEW, slow=True),
    "v0.15.3/stop_running": Case({"citations": False}, stopped, slow=True),
    "v1.8.0/completion_streaming": BARE,
    "v1.8.0/stream_unicode_separators": Case({"citations": False, "separators": True}),
    "v1.9.0/api_disabled": Case({"api": "disabled"}, plainly),
    "v1.9.0/bad_key": Case(ask=with_key("Bearer app-wrong")),
    "v1.9.0/blocking_unicode_separators": Case({"citations": False, "separators": True}),
    "v1.9.0/body_no_ctype": AS_IT_IS,
    "v1.9.0/body_not_json": AS_IT_IS,
    "v1.9.0/chat_blocking": Case(),
    "v1.9.0/chat_streaming": BARE,
    "v1.9.0/chat_streaming_continue": Case(ask=continued),
    "v1.9.0/chat_unknown_conv": AS_IT_IS,
    "v1.9.0/client_hangup": Case(ask=hung_up),
    "v1.9.0/completion_blocking": BARE,
    "v1.9.0/completion_no_response_mode": BARE,
    "v1.9.0/completion_response_mode_null": AS_IT_IS,
    "v1.9.0/completion_streaming": BARE,
    "v1.9.0/concurrency_second_blocking": Case({"concurrency": 1}, beside_another, slow=True),
    "v1.9.0/concurrency_second_streaming": Case({"concurrency": 1}, beside_another, slow=True),
    "v1.9.0/ds_bad_key": Case(ask=with_key("Bearer app-sandbox-key")),
    "v1.9.0/ds_full_model": Case(),
    "v1.9.0/ds_no_hits": Case(ask=at_our_dataset),
    "v1.9.0/ds_partial_top_k": Case(),
    "v1.9.0/ds_qa": Case({**KEYWORDS, "knowledge": "qa"}),
    "v1.9.0/ds_query_251": Case(ask=at_our_dataset),
    "v1.9.0/ds_query_only": Case(KEYWORDS),
    "v1.9.0/ds_unknown": AS_IT_IS,
    "v1.9.0/file_upload_ok": AS_IT_IS,
    "v1.9.0/file_upload_too_large": Case(ask=too_large),
    "v1.9.0/form_ok": BARE,
    "v1.9.0/get_info": AS_IT_IS,
    "v1.9.0/get_info_chat": Case({"app": "chat"}, plainly),
    "v1.9.0/get_parameters": OF_FORM,
    "v1.9.0/image_local_streaming": BARE,
    "v1.9.0/input_bad_select": OF_FORM,
    "v1.9.0/input_number_for_string": OF_FORM,
    "v1.9.0/input_too_long": OF_FORM,
    "v1.9.0/kb_cite_blocking": Case(),
    "v1.9.0/kb_cite_streaming": Case(),
    "v1.9.0/kb_nocite_streaming": BARE,
    "v1.9.0/kbext_streaming": Case({"knowledge": "external"}),
    "v1.9.0/kbqa_streaming": Case({"knowledge": "qa"}),
    "v1.9.0/missing_inputs": AS_IT_IS,
    "v1.9.0/missing_required_input_streaming": AS_IT_IS,
    "v1.9.0/missing_user": AS_IT_IS,
    "v1.9.0/model_401_blocking": Case({"failure": "bad_model_key"}),
    "v1.9.0/model_429_blocking": Case({"failure": "rate_limit"}),
    "v1.9.0/model_429_streaming": Case({"failure": "rate_limit"}),
    "v1.9.0/model_500_streaming": Case({"failure": "unavailable"}),
    "v1.9.0/model_midstream_cut_streaming": Case({"failure": "bad_model_key", "failure_after": 3}),
    "v1.9.0/modin_streaming": Case({"moderation": "input"}),
    "v1.9.0/modout_streaming_replace": Case({"citations": False, "moderation": "output"}),
    "v1.9.0/no_authorization": Case(ask=with_key("")),
    "v1.9.0/noprov_streaming": Case({"failure": "no_provider"}),
    "v1.9.0/slow_first_ping": Case(FEW, slow=True),
    "v1.9.0/slow_stream_ping": Case(FEW, slow=True),
    "v1.9.0/stop_other_user_call": AS_IT_IS,
    "v1.9.0/stop_running": Case({"citations": False}, stopped, slow=True),
    "v1.9.0/stop_running_call": AS_IT_IS,
    "v1.9.0/stream_think": Case({"citations": False, "think": True}),
    "v1.9.0/stream_unicode_separators": Case({"citations": False, "separators": True}),
    "v1.9.0/unknown_route": AS_IT_IS,
    "v1.9.0/wrong_app_mode_streaming": Case({"app": "chat"}, plainly),
    "v1.9.0/wrong_response_mode": AS_IT_IS,
    "v1.9.0_max_execution_4s/timeout_blocking_slow": Case(
        {"citations": False, "max_execution": 0.01}, slow=True
    ),
    "v1.9.0_max_execution_4s/timeout_slow_streaming": Case(
        {"citations": False, "max_execution": 0.2}, slow=True
    ),
    "v1.9.0_max_execution_4s/timeout_streaming": Case(
        {"citations": False, "max_execution": 0.2}, slow=True
    ),
}


def folder_of(case: str) -> Path:
    folder = WIRE / case
    if not folder.exists():
        pytest.skip(f"no recordings beside the project: {folder} is missing")
    return folder


def kind(event: Any) -> str:
    return f"{event['event']}{' of a file' if 'url' in event else ''}"


@pytest.mark.parametrize("name", CASES)
def test_a_recording_and_the_sandbox_have_the_same_structure(
    sandbox: Sandbox, slow: Sandbox, name: str
) -> None:
    folder, case = folder_of(f"dify_server/{name}"), CASES[name]
    request = json.loads((folder / "request.json").read_text("utf-8"))
    switches = {"profile": PROFILES[name.partition("/")[0]], **case.switches}
    recording = recorded(folder)
    ours = served(case.ask(Site(slow if case.slow else sandbox), request, switches))
    found = differences(recording, ours, kind=kind, headers=HEADERS)
    assert unexplained(found, case.reasons) == []
    assert ours.headers["x-version"] == recording.headers["x-version"]
    ping = b"event: ping\n\n"
    assert case.slow or (ping in ours.body) == (ping in recording.body)


def test_every_recording_is_compared() -> None:
    folder = folder_of("dify_server")
    assert {f"{c.parent.name}/{c.name}" for c in folder.glob("*/*")} == CASES.keys()


SAMPLES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "completion_blocking_example.json": ({"profile": "0.15", "citations": False}, {}),
    "completion_stream_example.sse": (
        {"profile": "0.15", "citations": False},
        {
            "message: .id: extra": "the page leaves it out; servers have it",
            "message: .from_variable_selector: extra": "the page leaves it out; servers have it",
            "message_end: .created_at: extra": "the page leaves it out; servers have it",
            "message_end: .files: extra": "the page leaves it out; servers have it",
            "*: .: order of keys: *": "servers have the message id and the time first",
        },
    ),
    "stream_server_converters.sse": (
        {"text_event": "message_file", "file": True, "replace": "late", "tts": "after"},
        {
            "events: message: missing": "all the text is labelled as a file's, or none",
            "*.page: recorded integer, served null": "servers never fill it in for such apps",
            "*.title: recorded string, served null": "servers never fill it in for such apps",
            "*.doc_metadata.source: missing": "what a document's metadata holds is its owner's",
            "*.doc_metadata.source_url: extra": "what a document's metadata holds is its owner's",
            "order: *": "the sample strings events of several kinds of runs together",
            "*.files: recorded null, served list": "a picture is listed at the end too",
        },
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_documented_sample_and_the_sandbox_have_the_same_structure(
    sandbox: Sandbox, name: str
) -> None:
    switches, reasons = SAMPLES[name]
    body = folder_of("dify") / name
    mode = "streaming" if name.endswith(".sse") else "blocking"
    given = {"inputs": {"query": QUESTION}, "user": "u", "response_mode": mode}
    request = {"method": "POST", "path": "/completion-messages", "body": given}
    ours = served(Site(sandbox).send(request, switches))
    # A sample has no head, and its JSON was made to be read.
    sample = Answer(200, {"content-type": ours.headers["content-type"]}, body.read_bytes())
    found = differences(sample, ours, kind=kind)
    assert unexplained(found, reasons) == []


DOCUMENTED = {
    "app_unavailable": {"app": "workflow"},
    "provider_not_initialize": {"failure": "no_credentials"},
    "provider_quota_exceeded": {"failure": "no_quota"},
    "model_currently_not_support": {"failure": "unsupported_model"},
    "completion_request_error": {"failure": "unavailable"},
    "invalid_param": {"failure": "no_model"},
    "internal_server_error": {"failure": "crash"},
}
OF_OTHER_RELEASES = {"too_many_requests"}  # no release since 0.14.1 sends it; the fault does


def test_every_documented_error_can_be_had(sandbox: Sandbox) -> None:
    documented = json.loads((folder_of("dify") / "error_examples.json").read_text("utf-8"))
    found: dict[str, tuple[int, set[str]]] = {}
    for code, switches in DOCUMENTED.items():
        body = {"inputs": {"query": QUESTION}, "user": "u"}
        request = {"method": "POST", "path": "/completion-messages", "body": body}
        response = Site(sandbox).send(request, switches)
        assert response.json()["code"] == code
        found[code] = (response.status_code, set(response.json()))
    assert found == {
        code: (int(status), set(example["value"]))
        for status, examples in documented.items()
        for code, example in examples.items()
        if code not in OF_OTHER_RELEASES
    }
