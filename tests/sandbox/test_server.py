import asyncio
import gc
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

BODY = {"messages": [{"role": "user", "content": "Which lamp draws how many watts?"}]}
STREAM = BODY | {"stream": True}


def headers(sandbox: Sandbox) -> dict[str, str]:
    return {"x-api-key": sandbox.env["QAIP_API_KEY"]}


def completions(sandbox: Sandbox) -> str:
    return sandbox.env["QAIP_BASE_URL"] + "/completions"


def test_the_environment_points_every_client_at_the_sandbox(sandbox: Sandbox) -> None:
    assert {name: value.removeprefix(sandbox.url) for name, value in sandbox.env.items()} == {
        "QAIP_BASE_URL": "/qaip/api/v1",
        "QAIP_API_KEY": "sandbox-qaip-key",
        "FIREWORKS_API_BASE": "/fireworks/inference/v1",
        "FIREWORKS_API_KEY": "sandbox-fireworks-key",
        "PAIS_BASE_URL": "/pais/api/v1/compatibility/openai/v1",
        "PAIS_API_KEY": "sandbox-pais-token",
        "PERPLEXITY_BASE_URL": "/perplexity",
        "PERPLEXITY_API_KEY": "pplx-sandbox-key",
        "DIFY_BASE_URL": "/dify/v1",
        "DIFY_API_KEY": "app-sandbox-key",
        "DIFY_DATASET_API_KEY": "dataset-sandbox-key",
    }


def test_the_root_lists_the_services(sandbox: Sandbox) -> None:
    assert httpx.get(sandbox.url, verify=False).json()["dify"] == sandbox.env["DIFY_BASE_URL"]


def test_a_path_outside_the_services_is_not_found(sandbox: Sandbox) -> None:
    assert httpx.get(sandbox.url + "/nothing", verify=False).status_code == 404


def test_the_journal_tells_what_was_asked_but_not_the_key(docs: Path) -> None:
    with Sandbox(docs) as sandbox:
        httpx.post(completions(sandbox), json=BODY, headers=headers(sandbox), verify=False)
        httpx.get(
            sandbox.env["DIFY_BASE_URL"] + "/info",
            headers={"Authorization": "Bearer no"},
            verify=False,
        )
    first, second = sandbox.requests
    assert (first.service, first.method, first.status) == ("qaip", "POST", 200)
    assert (first.path, first.body, first.state) == ("/qaip/api/v1/completions", BODY, "complete")
    assert (second.service, second.status, second.body) == ("dify", 401, None)
    assert not {"x-api-key", "authorization"} & {*first.headers, *second.headers}


def test_a_sandbox_starts_and_stops_within_half_a_second(docs: Path) -> None:
    begin = time.perf_counter()
    with Sandbox(docs):
        started = time.perf_counter()
    assert started - begin < 0.5
    assert time.perf_counter() - started < 0.5


def test_a_pooled_connection_does_not_delay_the_stop(docs: Path) -> None:
    sandbox = Sandbox(docs).start()
    with httpx.Client(headers=headers(sandbox), verify=False) as client:
        client.post(completions(sandbox), json=BODY)
        begin = time.perf_counter()
        sandbox.stop()
        assert time.perf_counter() - begin < 0.5


def test_a_stop_cuts_running_streams(docs: Path) -> None:
    sandbox = Sandbox(docs, tokens_per_second=0.2).start()
    with (
        httpx.Client(headers=headers(sandbox), verify=False) as client,
        client.stream("POST", completions(sandbox), json=STREAM) as response,
    ):
        lines = response.iter_bytes()
        next(lines)
        begin = time.perf_counter()
        sandbox.stop()
        assert time.perf_counter() - begin < 0.5
        with pytest.raises(httpx.TransportError):
            list(lines)
    assert sandbox.requests[0].state == "aborted"


def test_a_client_that_hangs_up_ends_its_stream(docs: Path) -> None:
    with Sandbox(docs, tokens_per_second=20) as sandbox:
        url = completions(sandbox)
        with httpx.stream(
            "POST", url, json=STREAM, headers=headers(sandbox), verify=False
        ) as response:
            next(response.iter_bytes())
        deadline = time.monotonic() + 1
        while sandbox.requests[0].state == "open" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sandbox.requests[0].state == "aborted"


def test_a_stop_leaves_no_thread_and_no_socket(docs: Path) -> None:
    before = threading.active_count()
    with Sandbox(docs) as sandbox:
        address = ("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    gc.collect()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=1)


def test_a_stopped_sandbox_starts_again(docs: Path) -> None:
    sandbox = Sandbox(docs)
    for _ in range(2):
        with sandbox:
            assert httpx.get(sandbox.url, verify=False).status_code == 200


def test_a_stop_may_be_repeated(docs: Path) -> None:
    with Sandbox(docs) as sandbox:
        sandbox.stop()


def test_a_running_sandbox_cannot_be_started(docs: Path) -> None:
    with Sandbox(docs) as sandbox, pytest.raises(RuntimeError, match="running already"):
        sandbox.start()


def test_a_sandbox_has_no_address_before_its_start(docs: Path) -> None:
    with pytest.raises(RuntimeError, match="started"):
        _ = Sandbox(docs).url


@pytest.mark.parametrize("arguments", [{"jitter": -1}, {"ping_every": 0}, {"port": 65536}])
def test_numbers_have_ranges(docs: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|should be"):
        Sandbox(docs, **arguments)


def test_a_port_in_use_is_an_error(docs: Path, sandbox: Sandbox) -> None:
    taken = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Sandbox(docs, port=taken).start()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        Sandbox(tmp_path / "missing").start()


def test_an_empty_folder_answers_that_nothing_was_found(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        body = httpx.post(
            completions(sandbox), json=BODY, headers=headers(sandbox), verify=False
        ).json()
    assert body["choices"][0]["message"]["content"].startswith("I could not find")
    assert body["choices"][0]["citations"] == []


async def test_a_sandbox_is_an_async_context_manager(docs: Path) -> None:
    async with (
        Sandbox(docs) as sandbox,
        httpx.AsyncClient(headers=headers(sandbox), verify=False) as client,
    ):
        url = completions(sandbox)
        answers = await asyncio.gather(*(client.post(url, json=BODY) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}


def test_the_pace_is_the_time_between_pieces(docs: Path) -> None:
    with Sandbox(docs, tokens_per_second=50) as sandbox:
        begin = time.perf_counter()
        body = httpx.post(completions(sandbox), json=STREAM, headers=headers(sandbox), verify=False)
        assert time.perf_counter() - begin >= 0.02 * (len(body.text.splitlines()) - 1)


def test_small_writes_are_not_held_back(docs: Path) -> None:
    with Sandbox(docs) as sandbox, httpx.Client(headers=headers(sandbox), verify=False) as client:
        client.post(completions(sandbox), json=STREAM)
        begin = time.perf_counter()
        for _ in range(10):
            client.post(completions(sandbox), json=STREAM)
        assert time.perf_counter() - begin < 0.5


def test_pieces_are_sent_when_they_are_ready(docs: Path) -> None:
    with Sandbox(docs, tokens_per_second=50) as sandbox:
        url = completions(sandbox)
        with httpx.stream(
            "POST", url, json=STREAM, headers=headers(sandbox), verify=False
        ) as response:
            assert len(list(response.iter_raw())) > 10


def test_the_log_says_which_documents_could_not_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a\nb.txt").write_bytes(b"\0")
    (tmp_path / ".git").mkdir()
    with Sandbox(tmp_path):
        assert caplog.messages == ["not read: a\N{REPLACEMENT CHARACTER}b.txt: binary content"]


def test_who_watches_the_progress_is_not_told_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_bytes(b"\0")
    with Sandbox(tmp_path, progress=lambda *_: None) as sandbox:
        assert [one.path for one in sandbox.refused] == ["a.txt"]
    assert caplog.messages == []
