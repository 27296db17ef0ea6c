"""The journal tells what a request asked, and whether its answer was sent, whatever came of it."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Fault, Physics, Sandbox, Stall, Status
from qaip_sandbox.asked import asked

from .asking import QUESTION, SERVICES, address, body, keyed, settled

USER = {"role": "user", "content": "Old?"}
PARTS = [{"type": "input_text", "text": "A?"}, {"type": "image"}, "B?"]

BODIES: list[tuple[Any, str]] = [
    ({"messages": [USER, {"role": "user", "content": "New?"}, {"role": "assistant"}]}, "New?"),
    ({"messages": [USER, {"role": "user", "content": PARTS}]}, "A?\nB?"),
    ({"input": "A?"}, "A?"),
    ({"input": [USER]}, "Old?"),
    ({"input": ["A?", "B?"]}, "A?\nB?"),
    ({"query": "A?", "inputs": {"query": "B?"}}, "A?"),
    ({"query": "", "inputs": {"query": "B?", "tone": "kind"}}, "B?"),
    ({"inputs": {"topic": "A?", "size": 3, "tone": "kind"}}, "A?\nkind"),
    ({"prompt": "A?"}, "A?"),
]
NONE: list[Any] = [
    *(None, 3, "A?", [], {}, {"inputs": 3}, {"query": 3}, {"input": {"a": 1}}),
    *({"messages": None}, {"messages": [3]}, {"messages": [{"role": "user"}]}),
]


@pytest.mark.parametrize(("given", "question"), BODIES)
def test_a_body_tells_its_question(given: Any, question: str) -> None:
    assert asked(given) == question


@pytest.mark.parametrize("given", NONE, ids=repr)
def test_a_body_of_any_other_shape_asks_nothing(given: Any) -> None:
    assert asked(given) == ""


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("fault", ["status", "page", "disconnect; after=0", "truncate", ""])
def test_a_request_has_its_question_also_where_it_was_refused(
    sandbox: Sandbox, service: str, fault: str
) -> None:
    headers = keyed(sandbox, service) | ({"x-sandbox-fault": fault} if fault else {})
    try:
        httpx.post(
            address(sandbox, service), json=body(service, stream=False), headers=headers,
            verify=False,
        )  # fmt: skip
    except httpx.RemoteProtocolError:
        assert fault.startswith("disconnect")
    assert settled(sandbox).question == QUESTION
    shown = httpx.get(f"{sandbox.url}/_sandbox/requests?limit=1", verify=False).json()
    assert shown[0]["question"] == QUESTION


CLIENT = """
import json, sys, urllib.request
url, headers, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode(), json.loads(headers))
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print("asking", flush=True)
opener.open(request).read()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process")
@pytest.mark.parametrize(
    ("stream", "fault"),
    [(False, None), (True, None), (False, Stall()), (True, Stall())],
    ids=["whole", "streamed", "whole in its middle", "streamed in its middle"],
)
@pytest.mark.parametrize("service", ["qaip", "perplexity"])
def test_an_answer_to_a_process_that_was_killed_is_aborted(
    docs: Path, service: str, stream: bool, fault: Fault | None
) -> None:
    with Sandbox(docs, first_token=0.0 if fault else 0.6) as sandbox:
        sandbox.faults.add(*([fault] if fault else []))
        headers = httpx.Headers(keyed(sandbox, service) | {"content-type": "application/json"})
        given = httpx.Request("POST", "http://x", json=body(service, stream=stream)).content
        shown = httpx.Response(200, json=dict(headers)).text
        command = [sys.executable, "-c", CLIENT, address(sandbox, service), shown, given.decode()]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            wait_for(lambda: bool(sandbox._world.journal.running))
            time.sleep(0.1)
            process.kill()
        record = settled(sandbox)
        assert (record.state, record.question) == ("aborted", QUESTION)
        assert not fault or record.sent


def wait_for(what: Any) -> None:
    deadline = time.monotonic() + 5
    while not what() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert what()


async def test_a_whole_answer_whose_client_did_not_wait_was_never_sent(docs: Path) -> None:
    with Sandbox(docs) as sandbox:
        sandbox.physics = Physics(first_token=0.2)
        async with httpx.AsyncClient(headers=keyed(sandbox, "pais"), verify=False) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.post(
                    address(sandbox, "pais"), json=body("pais", stream=False), timeout=0.05
                )
        record = settled(sandbox)
        assert (record.state, record.status, record.sent) == ("aborted", 0, 0)
        assert record.said


def test_the_journal_keeps_as_many_requests_as_it_shall(docs: Path) -> None:
    with Sandbox(docs, journal=3) as sandbox:
        sandbox.faults.add(Status(times=None))
        for service in SERVICES:
            given, headers = body(service, stream=False), keyed(sandbox, service)
            httpx.post(address(sandbox, service), json=given, headers=headers, verify=False)
        settled(sandbox)
        assert [record.number for record in sandbox.requests] == [3, 4, 5]
    with pytest.raises(ValueError, match="1 record or more"):
        Sandbox(docs, journal=0)
