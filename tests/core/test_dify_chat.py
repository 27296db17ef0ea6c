"""Dify's chat apps: what a conversation sends and reads, and how it is stopped."""

import json
from collections.abc import Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, Completion, Message, errors
from qaip_core.backends.dify import COMPLETION
from qaip_core.backends.dify.chat import CHAT
from qaip_core.types import add_up
from support.backends import settings
from support.fault_server import FaultServer, json_reply, sse_reply
from support.wire import WireCase, cases

CONVERSATION = "5e1f7a90-2c3b-4d64-b8a1-9f0e6d7c2b15"
CASES = {case.name: case for case in cases("dify")}
HISTORY = [
    Message("system", "Be brief."),
    Message("user", "How high is it?"),
    Message("assistant", "30 m."),
    Message("user", "And how old?"),
]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def sent(server: FaultServer, prompt: Any = "q", **values: Any) -> Any:
    """What is sent for a prompt."""
    server.replies(CASES["chat_stream"].reply())
    with closing(Client(settings(CHAT, server.url))) as client:
        client.complete(CHAT, prompt, values)
    return server.requests[-1].json()


def streamed(server: FaultServer, case: WireCase) -> list[Completion]:
    server.replies(case.reply())
    with closing(Client(settings(CHAT, server.url))) as client:
        return list(client.stream(CHAT, "q", {}))


def test_a_new_conversation_sends_the_query_and_no_id(server: FaultServer) -> None:
    assert sent(server, "How high is it?") == {
        "inputs": {},
        "query": "How high is it?",
        "response_mode": "streaming",
        "user": "default-user",
    }
    assert server.requests[-1].path == "/chat-messages"


def test_all_parameters_stand_where_the_service_reads_them(server: FaultServer) -> None:
    body = sent(
        server,
        variables={"tone": "dry"},
        conversation_id=CONVERSATION,
        auto_generate_name=False,
        user="keeper",
        files=[{"type": "image", "transfer_method": "remote_url", "url": "https://x.example/y"}],
        check_inputs=False,
        stop_on_close=False,
        max_file_mb=3,
    )
    assert body == {
        "inputs": {"tone": "dry"},
        "query": "q",
        "conversation_id": CONVERSATION,
        "auto_generate_name": False,
        "response_mode": "streaming",
        "user": "keeper",
        "files": [{"type": "image", "transfer_method": "remote_url", "url": "https://x.example/y"}],
    }


def test_a_history_is_written_into_the_first_query_of_a_new_conversation(
    server: FaultServer,
) -> None:
    assert sent(server, HISTORY)["query"] == (
        "System: Be brief.\nUser: How high is it?\nAssistant: 30 m.\nUser: And how old?\nAssistant:"
    )
    templates = {"turn_template": "{role}> {text}", "prompt_template": "{earlier}\n{question}"}
    assert sent(server, HISTORY[1:], **templates)["query"] == (
        "User> How high is it?\nAssistant> 30 m.\nAnd how old?"
    )


@pytest.mark.parametrize("known", [CONVERSATION, CONVERSATION.replace("-", "")])
def test_a_conversation_that_goes_on_gets_what_the_user_said_last(
    server: FaultServer, known: str
) -> None:
    body = sent(server, HISTORY, conversation_id=known)
    assert (body["query"], body["conversation_id"]) == ("And how old?", known)


def test_no_turn_after_the_last_answer_is_lost(server: FaultServer) -> None:
    more = [*HISTORY, Message("system", "Be kind."), Message("user", "In years?")]
    assert sent(server, more, conversation_id=CONVERSATION)["query"] == "And how old?\nIn years?"


@pytest.mark.parametrize("last", [HISTORY[:3], [HISTORY[0]]], ids=["answer", "system"])
def test_a_conversation_goes_on_with_the_user(server: FaultServer, last: list[Message]) -> None:
    with (
        closing(Client(settings(CHAT, server.url))) as client,
        pytest.raises(errors.InvalidParameterError, match="what the user says"),
    ):
        client.complete(CHAT, last, {"conversation_id": CONVERSATION})
    assert not server.requests


def test_an_empty_id_begins_a_conversation(server: FaultServer) -> None:
    body = sent(server, HISTORY, conversation_id="")
    assert body["conversation_id"] == ""
    assert body["query"].startswith("System: Be brief.")


@pytest.mark.parametrize("known", ["x", "5e1f7a90", "5e1f7a90-2c3b-4d64-b8a1-9f0e6d7c2b1g"])
def test_an_id_that_is_none_is_refused_here(server: FaultServer, known: str) -> None:
    with (
        closing(Client(settings(CHAT, server.url))) as client,
        pytest.raises(errors.InvalidParameterError, match=r"conversation_id.*UUID"),
    ):
        client.complete(CHAT, "q", {"conversation_id": known})
    assert not server.requests


@pytest.mark.parametrize("name", ["chat_stream", "chat_stream_agent", "chat_stream_flow"])
def test_the_ids_are_there_with_the_first_text(server: FaultServer, name: str) -> None:
    first, *_, last = streamed(server, CASES[name])
    for increment in (first, last):
        assert increment.metadata["conversation_id"] == CONVERSATION
        assert increment.metadata["message_id"] == first.id
        assert increment.metadata["task_id"]


def test_whole_and_streamed_answers_name_the_conversation_alike(server: FaultServer) -> None:
    increments = streamed(server, CASES["chat_stream"])
    server.replies(CASES["chat_blocking"].reply())
    with closing(Client(settings(CHAT, server.url))) as client:
        whole = client.complete(CHAT, "q", {"response_mode": "blocking"})
    assert server.requests[-1].json()["response_mode"] == "blocking"
    assert whole.metadata == add_up(increments).metadata
    assert whole.citations == increments[-1].citations


def test_thoughts_of_an_agent_are_kept_once_each(server: FaultServer) -> None:
    answer = add_up(streamed(server, CASES["chat_stream_agent"]))
    assert answer.metadata["agent_thoughts"] == [
        {
            "position": 1,
            "thought": "Once ",
            "tool": "clock",
            "tool_input": '{"lamp": 1}',
            "observation": "60 s",
        }
    ]


def test_a_flow_tells_of_its_run(server: FaultServer) -> None:
    known = add_up(streamed(server, CASES["chat_stream_flow"])).metadata
    assert known["workflow_run_id"] == "c2a8b4d6-7e1f-4093-a5b2-6d4e8f0c1a37"
    assert known["workflow"] == {
        "status": "succeeded",
        "elapsed_time": 0.5,
        "total_tokens": 16,
        "total_steps": 2,
    }


def test_an_error_in_the_stream_knows_the_conversation(server: FaultServer) -> None:
    with pytest.raises(errors.ServerReportedError) as caught:
        streamed(server, CASES["err_chat_mid_stream"])
    assert caught.value.partial is not None
    assert caught.value.partial.metadata["conversation_id"] == CONVERSATION


@pytest.mark.parametrize("end", [[], [{"event": "message_end", "metadata": {}}]], ids=len)
def test_a_flow_that_failed_gives_no_answer(server: FaultServer, end: list[Any]) -> None:
    ids = {"task_id": "t", "conversation_id": CONVERSATION, "workflow_run_id": "r"}
    failed = {"status": "failed", "error": "The lamp is broken."}
    said = {"event": "message", "answer": "Once ", **ids}
    events = [said, {"event": "workflow_finished", "data": failed, **ids}, *end]
    server.replies(sse_reply(*map(json.dumps, events)))
    with (
        closing(Client(settings(CHAT, server.url))) as client,
        pytest.raises(errors.ServerReportedError, match=r"The lamp is broken\.") as caught,
    ):
        client.complete(CHAT, "q", {})
    assert (caught.value.code, caught.value.is_retryable) == ("workflow_failed", False)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Once "


THOUGHT = {"event": "agent_thought", "id": "t", "tool": "mail", "observation": "sent"}
NODE = {"event": "node_finished", "workflow_run_id": "r", "data": {"title": "Mail"}}


@pytest.mark.parametrize("before", [THOUGHT, NODE], ids=["agent", "flow"])
def test_what_an_agent_or_a_flow_has_done_is_not_done_again(
    server: FaultServer, before: Any
) -> None:
    error = {"event": "error", "code": "internal_server_error", "status": 500}
    server.replies(sse_reply(json.dumps(before), json.dumps(error)), CASES["chat_stream"].reply())
    with (
        closing(Client(settings(CHAT, server.url, max_retries=2))) as client,
        pytest.raises(errors.ServerReportedError) as caught,
    ):
        client.complete(CHAT, "q", {})
    assert (caught.value.attempts, caught.value.is_retryable) == (1, False)


@pytest.mark.parametrize(
    ("said", "suspicious"),
    [
        ({}, True),
        ({"annotation_reply": {"id": "a", "account": {"name": "Ann"}}}, False),
    ],
    ids=["run", "annotation"],
)
def test_an_answer_that_a_person_wrote_costs_nothing_and_is_not_suspicious(
    server: FaultServer, said: Any, suspicious: bool
) -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    ids = {"message_id": "m", "task_id": "t", "conversation_id": CONVERSATION}
    text = {"event": "message", "answer": "Yes.", **ids}
    end = {"event": "message_end", "metadata": {"usage": usage, **said}, **ids}
    whole = {**end, "event": "message", "answer": "Yes."}
    with closing(Client(settings(CHAT, server.url))) as client:
        server.replies(sse_reply(json.dumps(text), json.dumps(end)), json_reply(whole))
        for mode in ("streaming", "blocking"):
            answer = client.complete(CHAT, "q", {"response_mode": mode})
            assert ("suspicious" in answer.metadata) is suspicious, mode


def endless() -> Any:
    body = CASES["chat_stream"].body.split(b"\n\n")[0] + b"\n\n"
    return sse_reply(body, end="hang")


def stops(server: FaultServer) -> list[tuple[str, Any]]:
    server.wait_requests(2, 2)
    return [(r.path, r.json()) for r in server.requests[1:]]


def test_leaving_a_stream_stops_the_run(server: FaultServer) -> None:
    server.replies(endless(), json_reply({"result": "success"}))
    with closing(Client(settings(CHAT, server.url))) as client:
        stream = client.stream(CHAT, "q", {"user": "keeper"})
        next(stream)
        stream.close()
        path = "/chat-messages/a7d0e6c2-91f4-4b3a-8c5d-2e6f1a9b7c30/stop"
        assert stops(server) == [(path, {"user": "keeper"})]


async def test_leaving_an_async_stream_stops_the_run(server: FaultServer) -> None:
    server.replies(endless(), json_reply({"result": "success"}))
    client = AsyncClient(settings(CHAT, server.url))
    async with aclosing(client.stream(CHAT, "q", {})) as stream:
        await anext(stream)
    assert [path for path, _ in stops(server)] == [
        "/chat-messages/a7d0e6c2-91f4-4b3a-8c5d-2e6f1a9b7c30/stop"
    ]
    await client.close()


def test_a_run_goes_on_if_that_is_wanted(server: FaultServer) -> None:
    server.replies(endless())
    with closing(Client(settings(CHAT, server.url))) as client:
        stream = client.stream(CHAT, "q", {"stop_on_close": False})
        next(stream)
        stream.close()
        assert not server.wait_requests(2, 0.3)


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETION])
@pytest.mark.parametrize("code", ["app_unavailable", "not_chat_app", "not_workflow_app"])
def test_another_kind_of_app_is_told_with_the_class_to_use(
    server: FaultServer, endpoint: Any, code: str
) -> None:
    server.replies(json_reply({"code": code, "message": "No.", "status": 400}, 400))
    with (
        closing(Client(settings(endpoint, server.url))) as client,
        pytest.raises(errors.BadRequestError, match=r"ChatDifyConversation.*DifyWorkflow"),
    ):
        client.complete(endpoint, "q", {})


@pytest.mark.parametrize("tail", ["", "/chat-messages", "/completion-messages", "/workflows/run"])
def test_the_base_url_may_be_that_of_a_call(server: FaultServer, tail: str) -> None:
    server.replies(CASES["chat_stream"].reply())
    with closing(Client(settings(CHAT, server.url + "/v1" + tail))) as client:
        client.complete(CHAT, "q", {})
    assert server.requests[-1].path == "/v1/chat-messages"


def test_recorded_chats_are_read_to_their_end(server: FaultServer) -> None:
    from support.recordings import WIRE

    folders = sorted(WIRE.glob("dify_server/*/chat_*"))
    if not folders:
        pytest.skip(f"no recordings at {WIRE}")
    for folder in folders:
        response = json.loads((folder / "response.json").read_bytes())
        (path,) = folder.glob("body.*")
        body, is_stream = path.read_bytes(), path.suffix == ".sse"
        if response["status"] != 200:
            continue
        replied = json_reply(json.loads(body)) if not is_stream else sse_reply(body)
        server.replies(replied)
        mode = {} if is_stream else {"response_mode": "blocking"}
        with closing(Client(settings(CHAT, server.url))) as client:
            answer = client.complete(CHAT, "q", mode)
        assert answer.text.startswith("Hello World! Grüße"), folder
        assert answer.metadata["conversation_id"], folder
        assert answer.usage is not None
