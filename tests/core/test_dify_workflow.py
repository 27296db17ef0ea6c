"""Dify's workflow apps: what a run sends, what it gives out, and how it fails."""

import json
from collections.abc import Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from qaip_core import AsyncClient, Client, Completion, ServiceError, errors
from qaip_core.backends.dify.workflow import EVENTS, RUN
from qaip_core.framing import Event
from qaip_core.types import add_up
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

RUN_ID, TASK = "c2a8b4d6-7e1f-4093-a5b2-6d4e8f0c1a37", "a7d0e6c2-91f4-4b3a-8c5d-2e6f1a9b7c30"
OUTPUTS = {"text": "Once a minute.", "count": 1}


def event(name: str, **data: Any) -> str:
    return json.dumps({"event": name, "workflow_run_id": RUN_ID, "task_id": TASK, "data": data})


def ended(status: str = "succeeded", **more: Any) -> str:
    known = {"outputs": OUTPUTS, "error": None, "elapsed_time": 0.5, "total_tokens": 16}
    return event("workflow_finished", status=status, **{**known, "total_steps": 2, **more})


STARTED = event("workflow_started", inputs={"query": "q"})
NODE = event("node_started", node_id="n1", title="LLM", node_type="llm")
PIECES = [event("text_chunk", text=text) for text in ("Once ", "a ", "minute.")]
STREAM = [STARTED, "", NODE, *PIECES, event("weather", text="sunny"), ended()]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def streamed(*events: str, end: Any = "clean") -> Reply:
    return sse_reply(*[e or b"event: ping\n\n" for e in events], end=end)


def run(server: FaultServer, reply: Reply, **values: Any) -> Completion:
    server.replies(reply)
    with closing(Client(settings(RUN, server.url))) as client:
        return client.complete(RUN, "", values)


def whole(status: str = "succeeded", **more: Any) -> Reply:
    data = json.loads(ended(status, **more))["data"]
    return json_reply({"workflow_run_id": RUN_ID, "task_id": TASK, "data": data})


def test_a_run_sends_its_variables(server: FaultServer) -> None:
    file = {"type": "document", "transfer_method": "local_file", "upload_file_id": "f1"}
    run(server, streamed(*STREAM), variables={"query": "q", "plan": file}, user="keeper")
    (request,) = server.requests
    assert request.path == "/workflows/run"
    assert request.json() == {
        "inputs": {"query": "q", "plan": file},
        "response_mode": "streaming",
        "user": "keeper",
    }


def test_a_run_gives_out_text_as_it_comes_and_outputs_at_the_end(server: FaultServer) -> None:
    server.replies(streamed(*STREAM))
    with closing(Client(settings(RUN, server.url))) as client:
        increments = list(client.stream(RUN, "", {}))
    assert [i.text for i in increments] == ["Once ", "a ", "minute.", ""]
    answer = add_up(increments)
    assert (answer.text, answer.finish_reason, answer.id) == ("Once a minute.", "stop", RUN_ID)
    assert answer.metadata == {
        "outputs": OUTPUTS,
        "status": "succeeded",
        "task_id": TASK,
        "workflow_run_id": RUN_ID,
        "elapsed_time": 0.5,
        "total_tokens": 16,
        "total_steps": 2,
    }
    assert answer.usage is None  # a sum alone is no usage


def test_a_whole_run_says_the_same(server: FaultServer) -> None:
    answer = run(server, whole(), response_mode="blocking")
    assert server.requests[0].json()["response_mode"] == "blocking"
    assert answer.metadata == run(server, streamed(*STREAM)).metadata


async def test_async_runs_say_the_same(server: FaultServer) -> None:
    server.replies(streamed(*STREAM))
    client = AsyncClient(settings(RUN, server.url))
    answer = await client.complete(RUN, "", {})
    assert (answer.text, answer.metadata["outputs"]) == ("Once a minute.", OUTPUTS)
    await client.close()


def test_all_that_happens_can_be_told(server: FaultServer) -> None:
    server.replies(streamed(*STREAM))
    with closing(Client(settings(EVENTS, server.url))) as client:
        told = [i.metadata["event"]["event"] for i in client.stream(EVENTS, "", {})]
    assert told == [
        "workflow_started",
        "node_started",
        *["text_chunk"] * 3,
        "weather",
        "workflow_finished",
    ]


@pytest.mark.parametrize("status", ["failed", "stopped"])
@pytest.mark.parametrize("mode", ["streaming", "blocking"])
def test_a_run_that_did_not_end_well_is_an_error(
    server: FaultServer, status: str, mode: str
) -> None:
    more = {"error": "The lamp is broken.", "outputs": {"text": "Once "}}
    reply = (
        whole(status, **more)
        if mode == "blocking"
        else streamed(STARTED, PIECES[0], ended(status, **more))
    )
    with pytest.raises(errors.ServerReportedError, match=r"The lamp is broken\.") as caught:
        run(server, reply, response_mode=mode)
    error = caught.value
    assert (error.code, error.is_retryable) == (f"workflow_{status}", False)
    assert error.body["data"]["outputs"] == {"text": "Once "}
    assert error.partial is not None
    assert error.partial.text == ("Once " if mode == "streaming" else "")
    assert error.partial.metadata["outputs"] == {"text": "Once "}
    assert error.partial.metadata["workflow_run_id"] == RUN_ID


def test_what_a_run_has_done_is_not_done_again(server: FaultServer) -> None:
    error = {"event": "error", "code": "internal_server_error", "status": 500}
    server.replies(streamed(STARTED, NODE, json.dumps(error)), streamed(*STREAM))
    with (
        closing(Client(settings(RUN, server.url, max_retries=2))) as client,
        pytest.raises(errors.ServerReportedError) as caught,
    ):
        client.complete(RUN, "", {})
    assert (caught.value.attempts, caught.value.is_retryable) == (1, False)


def test_a_run_that_has_not_begun_is_asked_for_again(server: FaultServer) -> None:
    error = {"event": "error", "code": "rate_limit_error", "status": 429}
    server.replies(streamed(json.dumps(error)), streamed(*STREAM))
    with closing(Client(settings(RUN, server.url, max_retries=1))) as client:
        assert client.complete(RUN, "", {}).text == "Once a minute."


def test_a_whole_run_that_has_not_ended_has_no_outputs(server: FaultServer) -> None:
    with pytest.raises(errors.ServerReportedError, match="has not ended") as caught:
        run(server, whole("running", outputs=None), response_mode="blocking")
    assert caught.value.code == "workflow_running"
    assert caught.value.partial is not None
    assert caught.value.partial.metadata["workflow_run_id"] == RUN_ID


def test_a_failure_without_a_reason_is_told_as_one(server: FaultServer) -> None:
    with pytest.raises(
        errors.ServerReportedError, match="the run failed, and the service gives no"
    ):
        run(server, streamed(ended("failed", outputs=None)))


@pytest.mark.parametrize("status", ["partial-succeeded", "paused", None])
def test_other_statuses_are_told_and_are_no_failure(
    server: FaultServer, status: str | None
) -> None:
    answer = run(server, streamed(ended(status)))  # type: ignore[arg-type]  # as servers may
    assert answer.metadata.get("status") == status
    assert answer.metadata["outputs"] == OUTPUTS


def test_an_error_event_is_an_error(server: FaultServer) -> None:
    failed = json.dumps({"event": "error", "code": "internal_server_error", "status": 500})
    with pytest.raises(errors.ServerReportedError) as caught:
        run(server, streamed(STARTED, PIECES[0], failed))
    assert (caught.value.status, caught.value.partial_text) == (500, "Once ")


def test_what_says_nothing_is_skipped(server: FaultServer) -> None:
    pings = [b"event: ping\ndata: x\n\n", '{"event": "ping"}', "null"]
    server.replies(sse_reply(*pings, STARTED, event("text_chunk", text=""), *PIECES, ended()))
    with closing(Client(settings(RUN, server.url))) as client:
        assert client.complete(RUN, "", {}).text == "Once a minute."


@pytest.mark.parametrize(
    "failure",
    [
        b'event: error\ndata: {"message": "Overloaded."}\n\n',
        '{"error": "Overloaded."}',
        '{"detail": "Overloaded."}',
    ],
    ids=["named", "error", "detail"],
)
def test_an_error_of_a_gateway_is_an_error(server: FaultServer, failure: str | bytes) -> None:
    with pytest.raises(errors.ServerReportedError, match="Overloaded"):
        run(server, sse_reply(STARTED, failure))


def test_an_event_without_a_name_is_malformed(server: FaultServer) -> None:
    with pytest.raises(errors.MalformedResponseError, match="event: Field required"):
        run(server, streamed(json.dumps({"data": {"text": "Once "}}), ended()))


def test_a_run_that_is_cut_is_not_complete(server: FaultServer) -> None:
    with pytest.raises(errors.IncompleteStreamError) as caught:
        run(server, streamed(STARTED, *PIECES))
    assert caught.value.partial_text == "Once a minute."
    assert caught.value.partial is not None
    assert caught.value.partial.metadata["task_id"] == TASK


@pytest.mark.parametrize(
    "body", [{}, [], {"data": 7}, {"data": {"outputs": 7}}, {"code": "x", "message": "No."}]
)
def test_a_whole_body_without_a_run_is_an_error(server: FaultServer, body: Any) -> None:
    with pytest.raises((errors.MalformedResponseError, errors.ServerReportedError)):
        run(server, json_reply(body), response_mode="blocking")


@pytest.mark.parametrize("data", [None, {"status": "succeeded", "outputs": "x"}, {"status": 1}])
@pytest.mark.parametrize("mode", ["streaming", "blocking"])
def test_outputs_of_another_type_are_malformed(server: FaultServer, data: Any, mode: str) -> None:
    body = {"event": "workflow_finished", "workflow_run_id": RUN_ID, "data": data}
    reply = json_reply(body) if mode == "blocking" else streamed(STARTED, json.dumps(body))
    with pytest.raises(errors.MalformedResponseError):
        run(server, reply, response_mode=mode)


@pytest.mark.parametrize("text", ['{"text": 7}', '{"text": ["a"]}'])
def test_text_of_another_type_is_malformed(server: FaultServer, text: str) -> None:
    odd = json.dumps({"event": "text_chunk", "data": json.loads(text)})
    with pytest.raises(errors.MalformedResponseError):
        run(server, streamed(odd, ended()))


def test_leaving_a_run_stops_it(server: FaultServer) -> None:
    server.replies(streamed(STARTED, PIECES[0], end="hang"), json_reply({"result": "success"}))
    with closing(Client(settings(RUN, server.url))) as client:
        stream = client.stream(RUN, "", {"user": "keeper"})
        next(stream)
        stream.close()
        assert server.wait_requests(2, 2)
    stop = server.requests[1]
    assert (stop.path, stop.json()) == (f"/workflows/tasks/{TASK}/stop", {"user": "keeper"})


async def test_leaving_an_async_run_stops_it(server: FaultServer) -> None:
    server.replies(streamed(STARTED, PIECES[0], end="hang"), json_reply({"result": "success"}))
    client = AsyncClient(settings(EVENTS, server.url))
    async with aclosing(client.stream(EVENTS, "", {})) as stream:
        await anext(stream)
    assert server.wait_requests(2, 2)
    assert server.requests[1].path == f"/workflows/tasks/{TASK}/stop"
    await client.close()


NAMES = st.sampled_from(
    ["event", "data", "text", "status", "outputs", "task_id", "workflow_run_id", "error", "code"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)
BODIES = st.dictionaries(NAMES, JSON, max_size=5)
KINDS = st.sampled_from(["text_chunk", "workflow_finished", "node_finished", "error", "x"])


many = examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(body=BODIES)
def test_any_body_is_a_run_or_our_error(body: Any) -> None:
    try:
        answer = RUN.decode(json.loads(json.dumps(body)))
    except ServiceError:
        return
    json.dumps([answer.metadata, answer.raw], allow_nan=False)


@many
@given(events=st.lists(st.tuples(KINDS, BODIES), max_size=3))
@pytest.mark.parametrize("endpoint", [RUN, EVENTS], ids=["run", "events"])
def test_any_event_is_read_or_our_error(endpoint: Any, events: Any) -> None:
    decoder = endpoint.decoder({})
    try:
        for kind, body in events:
            decoder.feed(Event(json.dumps({**body, "event": kind}).encode()))
        decoder.finish(cut=False)
    except ServiceError:
        pass
    json.dumps(decoder.rest().metadata, allow_nan=False)
