"""Facts that a reader of the code doubted."""

import pickle
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from qaip_core import AsyncClient, Client, Connection, errors
from qaip_core.backends import dify, pais, perplexity, qaip
from support.backends import ENDPOINTS, KEY, NEEDED, settings
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

MODEL = {"model": "m"}
ANSWER = json_reply(
    {"choices": [{"message": {"role": "assistant", "content": "tea"}, "finish_reason": "stop"}]}
)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def test_what_stays_on_this_machine_takes_no_proxy(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        server.replies(ANSWER)
        client = Client(settings(perplexity.CHAT, server.url))
        assert client.complete(perplexity.CHAT, "q", MODEL).text == "tea"
        assert proxy.requests == []
        client.close()


def test_a_qaip_stream_that_breaks_after_its_finish_reason_is_incomplete(
    server: FaultServer,
) -> None:
    line = b'{"choices":[{"index":0,"message":{"content":"tea"},"finish_reason":"stop"}]}\n'
    body = [line, b'{"citations":[{"url":"https://tea.exam']
    server.replies(Reply(content_type="text/plain", body=body))
    client = Client(settings(qaip.COMPLETIONS, server.url))
    with pytest.raises(errors.IncompleteStreamError) as caught:
        list(client.stream(qaip.COMPLETIONS, "q", {}))
    assert caught.value.partial_text == "tea"
    client.close()


def test_an_overflow_is_not_repeated_whatever_its_status(server: FaultServer) -> None:
    server.replies(json_reply({"error": {"message": "Context size has been exceeded."}}, 500))
    client = Client(settings(pais.CHAT, server.url, max_retries=2))
    with pytest.raises(errors.ContextOverflowError) as caught:
        client.complete(pais.CHAT, "q", MODEL)
    assert not caught.value.is_retryable
    assert len(server.requests) == 1
    client.close()


def test_a_run_error_is_not_repeated_whatever_its_status(server: FaultServer) -> None:
    server.replies(sse_reply('{"type":"RUN_ERROR","message":"no","status":500}'))
    client = Client(settings(qaip.COMPLETIONS, server.url, max_retries=2))
    with pytest.raises(errors.ServerReportedError):
        list(client.stream(qaip.COMPLETIONS, "q", {}))
    assert len(server.requests) == 1
    client.close()


def test_the_key_is_in_no_frame_of_a_traceback() -> None:
    with FaultServer() as gone:
        url = gone.url
    client = Client(settings(perplexity.CHAT, url))
    with pytest.raises(errors.ServiceConnectionError) as caught:
        client.complete(perplexity.CHAT, "q", MODEL)
    seen: BaseException | None = caught.value
    while seen is not None:
        trace = seen.__traceback__
        while trace is not None:
            assert KEY not in [v for v in trace.tb_frame.f_locals.values() if isinstance(v, str)]
            trace = trace.tb_next
        seen = seen.__cause__
    client.close()


def test_a_run_whose_stream_fell_silent_is_stopped(server: FaultServer) -> None:
    piece = '{"event":"message","task_id":"t1","message_id":"m1","answer":"te"}'
    server.replies(replace(sse_reply(piece), end="hang"), json_reply({"result": "success"}))
    client = Client(settings(dify.COMPLETION, server.url, stream_idle_timeout=0.2))
    with pytest.raises(errors.ServiceTimeoutError):
        list(client.stream(dify.COMPLETION, "q", {}))
    assert server.requests[-1].path == "/completion-messages/t1/stop"
    client.close()


def test_a_complete_answer_survives_silence_after_it(server: FaultServer) -> None:
    chunk = '{"choices":[{"index":0,"delta":{"content":"tea"},"finish_reason":"stop"}]}'
    server.replies(replace(sse_reply(chunk), end="hang"))
    client = Client(settings(perplexity.CHAT, server.url, stream_idle_timeout=0.2))
    assert "".join(i.text for i in client.stream(perplexity.CHAT, "q", MODEL)) == "tea"
    client.close()


def test_a_broken_connection_is_the_cause_of_an_incomplete_stream(server: FaultServer) -> None:
    chunk = '{"choices":[{"index":0,"delta":{"content":"te"}}]}'
    server.replies(sse_reply(chunk, end="reset"))
    client = Client(settings(perplexity.CHAT, server.url))
    with pytest.raises(errors.IncompleteStreamError) as caught:
        list(client.stream(perplexity.CHAT, "q", MODEL))
    assert caught.value.__cause__ is not None
    client.close()


def test_long_messages_of_a_service_are_cut(server: FaultServer) -> None:
    server.replies(json_reply({"error": {"message": "tea " * 9999}}, 500))
    client = Client(settings(pais.CHAT, server.url))
    with pytest.raises(errors.ServerError) as caught:
        client.complete(pais.CHAT, "q", MODEL)
    assert len(str(caught.value)) < 600
    client.close()


def test_a_typo_in_the_stream_options_is_refused(server: FaultServer) -> None:
    client = Client(settings(pais.CHAT, server.url))
    with pytest.raises(errors.InvalidParameterError, match="include_usag"):
        client.complete(pais.CHAT, "q", {**MODEL, "stream_options": {"include_usag": True}})


def test_usage_without_counts_is_no_usage(server: FaultServer) -> None:
    body: dict[str, Any] = {**ANSWER_BODY, "usage": {"search_context_size": "low"}}
    server.replies(json_reply(body))
    client = Client(settings(perplexity.CHAT, server.url))
    answer = client.complete(perplexity.CHAT, "q", MODEL)
    assert answer.usage is None
    assert answer.metadata["search_context_size"] == "low"
    client.close()


ANSWER_BODY = {"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]}


def test_a_pickled_connection_holds_no_key() -> None:
    assert KEY.encode() not in pickle.dumps(Connection(api_key=SecretStr(KEY)))


def test_a_key_callable_may_return_a_hidden_key(server: FaultServer) -> None:
    server.replies(ANSWER)
    given: Any = lambda: SecretStr("hidden-key-1")  # noqa: E731
    known = Connection(api_key=given, base_url=server.url).settings(perplexity.PERPLEXITY)
    client = Client(known)
    client.complete(perplexity.CHAT, "q", MODEL)
    assert server.requests[0].headers["authorization"] == "Bearer hidden-key-1"
    client.close()


def test_one_client_serves_many_loops_at_once(server: FaultServer) -> None:
    import asyncio

    server.replies(ANSWER)
    endpoint = ENDPOINTS["perplexity", "chat"]
    client = AsyncClient(settings(endpoint, server.url))
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(4):
                asyncio.run(client.complete(endpoint, "q", MODEL))
        except BaseException as error:  # noqa: BLE001 -- shown by the test's own thread
            failures.append(error)

    pace = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(pace)
    assert failures == []


@pytest.mark.parametrize("media", ["text/html", "text/plain"])
@pytest.mark.parametrize("name", ENDPOINTS, ids=" ".join)
def test_a_page_is_no_answer(server: FaultServer, name: tuple[str, str], media: str) -> None:
    page = b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
    server.replies(Reply(content_type=media, body=[page[:5], page[5:]]))
    endpoint = ENDPOINTS[name]
    client = Client(settings(endpoint, server.url))
    with pytest.raises(errors.MalformedResponseError, match="Sign in"):
        list(client.stream(endpoint, "q", NEEDED.get(name, {})))
    client.close()
