"""What people do that is nearly right works, or is refused in words that help."""

import json
from typing import Any

import httpx
import pytest
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, ToolMessage

from langchain_qaip import ChatDify, ChatQaip, CitationRetriever, documents
from langchain_qaip.errors import (
    RETRYABLE,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    InvalidParameterError,
    RequestTimeoutError,
    ServerError,
)
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply, sse_reply

from .models import CHATS, CITING, KEY, MODELS, QUESTION, Kind, every, merged

NOWHERE = "http://127.0.0.1:1"


def tries(kind: Kind, server: FaultServer, status: int, error: Any) -> int:
    """Return how many requests `with_retry` makes of a failing call."""
    server.replies(*[json_reply({"message": "no"}, status)] * 3)
    with kind.at(server.url) as model, pytest.raises(error):
        model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False).invoke("q")
    return len(server.requests)


@every(MODELS)
def test_with_retry_does_not_repeat_what_cannot_pass(kind: Kind, server: FaultServer) -> None:
    assert tries(kind, server, 401, AuthenticationError) == 1


@every(CHATS)
@pytest.mark.parametrize("status", [409, 500, 503])
def test_with_retry_repeats_what_may_pass(kind: Kind, status: int, server: FaultServer) -> None:
    stays = status == 409 and kind.service == "qaip"  # its conversation has moved on
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tenacity.nap.time.sleep", lambda _seconds: None)
        asked = tries(kind, server, status, (ServerError, ConflictError))
    assert asked == (1 if stays else 3)


def test_a_service_that_gave_up_waiting_is_asked_again() -> None:
    assert issubclass(RequestTimeoutError, RETRYABLE)


@every(CITING)
def test_documents_come_from_the_content_alone_too(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox, output_version="v1") as model:
        answer = model.invoke(QUESTION)
    assert documents(AIMessage(answer.content)) == documents(answer) != []


@pytest.mark.parametrize("wrong", ["text", None, [], {}])
def test_documents_takes_a_message(wrong: Any) -> None:
    with pytest.raises(InvalidParameterError, match="one message"):
        documents(wrong)


@every(CITING)
def test_blocks_that_are_changed_leave_the_message_alone(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        answer = model.invoke(QUESTION)
    notes: Any = answer.content_blocks[-1]
    notes["annotations"][0]["title"] = "other"
    assert "other" not in str(answer.content_blocks)


def test_a_developer_speaks_as_the_system(server: FaultServer) -> None:
    server.replies(json_reply({"choices": [{"message": {"content": "Yes."}}]}))
    with ChatQaip(api_key=KEY, base_url=server.url) as model:
        model.invoke([ChatMessage("Be brief.", role="developer"), HumanMessage("Tea?")])
    assert server.requests[0].json()["messages"][0]["role"] == "system"


def test_a_role_that_nobody_takes_is_named() -> None:
    with pytest.raises(InvalidParameterError, match="'critic'"):
        ChatQaip(api_key=KEY).invoke([ChatMessage("No.", role="critic")])


@every(MODELS)
@pytest.mark.parametrize("name", ["timeout", "max_retries", "api_key", "streaming"])
def test_what_belongs_to_the_object_is_refused_in_a_call(kind: Kind, name: str) -> None:
    with pytest.raises(ModelInvalidRequestError, match="set on the object"):
        kind.at(NOWHERE).invoke("q", **{name: 1})


@every(MODELS)
def test_a_slip_of_the_pen_is_recognised(kind: Kind) -> None:
    with pytest.raises(InvalidParameterError, match="Did you mean 'temperature'"):
        kind.at(NOWHERE).invoke("q", temprature=1)


@every(MODELS)
def test_no_number_of_retries_is_the_default(kind: Kind) -> None:
    assert kind.at(NOWHERE, max_retries=None).max_retries == 2


@every(MODELS)
def test_a_client_of_the_other_kind_is_refused(kind: Kind) -> None:
    with pytest.raises(ConfigurationError, match="http_client"):
        kind.at(NOWHERE, http_client=httpx.AsyncClient(verify=False))
    with (
        httpx.Client(verify=False) as client,
        pytest.raises(ConfigurationError, match="http_async_client"),
    ):
        kind.at(NOWHERE, http_async_client=client)


@pytest.mark.parametrize("name", ["variables", "inputs"])
def test_dify_variables_go_by_both_names(name: str) -> None:
    given: dict[str, Any] = {name: {"tone": "dry"}}
    assert ChatDify(api_key=KEY, **given).variables == {"tone": "dry"}


@pytest.mark.parametrize("k", [0, "2", 1.5])
def test_a_number_of_sources_is_a_whole_number(k: Any) -> None:
    with pytest.raises(InvalidParameterError, match="k must be"):
        CitationRetriever(model=ChatQaip(api_key=KEY)).invoke("q", k=k)


def test_a_cut_call_goes_back_as_the_model_wrote_it(server: FaultServer) -> None:
    (fireworks,) = [kind for kind in CHATS if kind.service == "fireworks"]
    function = {"name": "f", "arguments": '{"a": "q\\"'}
    call = {"index": 0, "id": "c1", "type": "function", "function": function}
    events = [({"tool_calls": [call]}, None), ({}, "length")]
    chunks = [{"choices": [{"index": 0, "delta": d, "finish_reason": f}]} for d, f in events]
    server.replies(sse_reply(*map(json.dumps, chunks)), fireworks.reply(stream=False))
    with fireworks.at(server.url) as model:
        said = merged(model.stream("q"))
        model.invoke(["q", said, ToolMessage("It was cut.", tool_call_id="c1")])
    assert said.tool_calls == []
    called = server.requests[1].json()["messages"][1]["tool_calls"][0]
    assert called["function"] == function


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="'inputs' is another name of 'variables'"):
        ChatDify(api_key=KEY, inputs={"a": 1}, variables={"b": 2})  # type: ignore[call-arg]


def test_sources_without_an_id_are_not_one() -> None:
    notes = [{"type": "citation", "url": url} for url in ("u", "v", "w")]
    message = AIMessage([{"type": "text", "text": "x", "annotations": notes}])
    assert [found.metadata["url"] for found in documents(message)] == ["u", "v", "w"]


@every(CHATS)
def test_stop_sequences_may_be_said_in_a_call(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        whole = model.invoke("q")
        server.replies(kind.reply(stream=kind.streams_whole))
        word = str(whole.text).split()[1]
        sent = model.invoke("q", stop_sequences=[word])
    served_there = "stop" in server.requests[-1].json()
    assert served_there or word not in str(sent.text)
