"""What a client sees of each fault, and what the journal says of it, on every service."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import (
    Corrupt,
    Disconnect,
    Drip,
    ErrorEvent,
    Fault,
    OnlyPings,
    Page,
    Record,
    Sandbox,
    Stall,
    Status,
    Truncate,
)
from qaip_sandbox.names import SERVICE_NAMES, ServiceName
from qaip_sandbox.protocols import SERVICES as PROTOCOLS

from .asking import ANSWER, SERVICES, address, body, keyed, settled

of_every_service = pytest.mark.parametrize("service", SERVICES)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
PINGING = [service for service in SERVICES if service != "fireworks"]


class Asker:
    """Asks a service, with a fault, as a plain HTTP client."""

    def __init__(self, sandbox: Sandbox, http: httpx.Client) -> None:
        self.sandbox = sandbox
        self.http = http
        self.seen = b""

    def __call__(
        self, service: str, *, stream: bool, fault: Fault | str | None = None, timeout: float = 5
    ) -> httpx.Response:
        """Return the head of the answer; `seen` is the body, as far as it came."""
        self.seen = b""
        headers = keyed(self.sandbox, service)
        if fault is not None:
            headers["x-sandbox-fault"] = (
                fault if isinstance(fault, str) else fault.model_dump_json()
            )
        given = body(service, stream=stream)
        url = address(self.sandbox, service)
        with self.http.stream("POST", url, json=given, headers=headers, timeout=timeout) as answer:
            for piece in answer.iter_raw():
                self.seen += piece
        return answer

    def record(self) -> Record:
        return settled(self.sandbox)


@pytest.fixture(scope="module")
def ask(sandbox: Sandbox) -> Iterator[Asker]:
    with httpx.Client(verify=False) as http:
        yield Asker(sandbox, http)


def events(raw: bytes) -> list[bytes]:
    return [part for part in raw.replace(b"\r\n", b"\n").split(b"\n\n") if part]


@of_every_service
@whole_and_streamed
def test_a_status_comes_in_the_service_s_shape(ask: Asker, service: str, stream: bool) -> None:
    answer = ask(
        service, stream=stream, fault=Status(code=429, retry_after=1.5, message="Slow down")
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1.5")
    assert "Slow down" in json.dumps(json.loads(ask.seen))
    record = ask.record()
    assert (record.fault, record.status, record.retry_after) == ("status", 429, "1.5")
    assert (record.state, record.streamed, record.said) == ("complete", False, [])
    assert record.started <= record.first_byte <= record.ended


@of_every_service
@whole_and_streamed
def test_a_page_is_html(ask: Asker, service: str, stream: bool) -> None:
    answer = ask(service, stream=stream, fault=Page(code=502))
    assert (answer.status_code, ask.seen[:9]) == (502, b"<!doctype")
    assert answer.headers["content-type"].startswith("text/html")
    assert (ask.record().fault, ask.record().status) == ("page", 502)


@of_every_service
def test_a_truncated_stream_ends_in_order_after_some_events(ask: Asker, service: str) -> None:
    ask(service, stream=True, fault=Truncate(after=3))
    assert len(events(ask.seen)) == 3
    record = ask.record()
    assert (record.fault, record.hit, record.told, record.state) == (
        "truncate", True, True, "complete",
    )  # fmt: skip
    assert (record.frames, record.sent, record.streamed) == (3, len(ask.seen), True)


@of_every_service
def test_a_truncated_whole_answer_is_half_of_one(ask: Asker, service: str) -> None:
    answer = ask(service, stream=False, fault=Truncate())
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(ask.seen)
    assert (ask.record().hit, ask.record().told) == (True, False)


@of_every_service
@whole_and_streamed
def test_nothing_is_left_of_an_answer_that_is_truncated_at_its_start(
    ask: Asker, service: str, stream: bool
) -> None:
    assert ask(service, stream=stream, fault=Truncate(after=0)).status_code == 200
    assert ask.seen == b""


@of_every_service
@whole_and_streamed
def test_a_disconnect_breaks_the_transfer(ask: Asker, service: str, stream: bool) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        ask(service, stream=stream, fault=Disconnect())
    assert ask.seen
    record = ask.record()
    assert (record.state, record.fault, record.hit) == ("aborted", "disconnect", True)
    assert record.sent == len(ask.seen)


@of_every_service
@whole_and_streamed
async def test_a_disconnect_breaks_the_transfer_of_an_async_client(
    sandbox: Sandbox, service: str, stream: bool
) -> None:
    headers = keyed(sandbox, service) | {"x-sandbox-fault": "disconnect"}
    async with httpx.AsyncClient(headers=headers, verify=False) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            await http.post(address(sandbox, service), json=body(service, stream=stream))


@of_every_service
@whole_and_streamed
def test_a_disconnect_at_the_start_sends_no_head(
    ask: Asker, service: str, stream: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        ask(service, stream=stream, fault=Disconnect(after=0))
    record = ask.record()
    assert (record.status, record.state, record.first_byte) == (0, "aborted", 0.0)
    assert record.body == body(service, stream=stream)
    assert capfd.readouterr().err == ""


@of_every_service
@whole_and_streamed
def test_a_stalled_answer_is_freed_when_its_client_goes(
    ask: Asker, service: str, stream: bool
) -> None:
    headers = keyed(ask.sandbox, service) | {"x-sandbox-fault": "stall"}
    url, given = address(ask.sandbox, service), body(service, stream=stream)
    with ask.http.stream("POST", url, json=given, headers=headers) as answer:
        assert next(answer.iter_raw())
    record = ask.record()
    assert (record.state, record.fault, record.streamed) == ("aborted", "stall", True)
    assert ask.sandbox._world.journal.running == set()


def test_a_stalled_answer_is_silent(ask: Asker) -> None:
    with pytest.raises(httpx.ReadTimeout):
        ask("qaip", stream=True, fault=Stall(), timeout=0.3)
    assert len(events(ask.seen)) == 2
    assert ask.record().state == "aborted"


@of_every_service
@whole_and_streamed
def test_a_stall_that_ends_delays_the_answer(ask: Asker, service: str, stream: bool) -> None:
    begin = time.perf_counter()
    ask(service, stream=stream, fault=Stall(seconds=0.05))
    assert time.perf_counter() - begin >= 0.05
    assert whole(service, ask.seen, stream=stream)


@pytest.mark.parametrize("service", PINGING)
def test_pings_come_before_the_stream_goes_on(ask: Asker, service: str) -> None:
    ask(service, stream=True)
    usual = ask.record().frames
    ask(service, stream=True, fault=OnlyPings(every=0.01, seconds=0.03))
    assert ask.record().frames >= usual + 3
    assert whole(service, ask.seen, stream=True)


@pytest.mark.parametrize(
    ("service", "stream"), [(s, False) for s in SERVICES] + [("fireworks", True)]
)
def test_where_no_keep_alive_exists_there_is_silence(
    ask: Asker, service: str, stream: bool
) -> None:
    ask(service, stream=stream, fault=OnlyPings(every=0.01, seconds=0.02))
    assert whole(service, ask.seen, stream=stream)


@of_every_service
def test_pings_go_on_for_as_long_as_the_client_stays(sandbox: Sandbox, service: str) -> None:
    headers = keyed(sandbox, service) | {"x-sandbox-fault": "pings; every=0.01"}
    url, given = address(sandbox, service), body(service, stream=True)
    begin = time.monotonic()
    with httpx.stream("POST", url, json=given, headers=headers, verify=False) as answer:
        for _ in answer.iter_raw():
            if service == "fireworks" or time.monotonic() - begin > 0.04:
                break
    assert settled(sandbox).state == "aborted"


@of_every_service
def test_a_corrupt_stream_has_one_broken_event(ask: Asker, service: str) -> None:
    ask(service, stream=True)
    count = len(events(ask.seen))
    ask(service, stream=True, fault=Corrupt(after=1))
    broken = [part for part in events(ask.seen) if b"\xff\xfe" in part]
    assert (len(events(ask.seen)), len(broken)) == (count, 1)
    assert events(ask.seen)[1] == broken[0]


@of_every_service
def test_a_corrupt_whole_answer_is_no_text(ask: Asker, service: str) -> None:
    ask(service, stream=False, fault=Corrupt())
    with pytest.raises(UnicodeDecodeError):
        json.loads(ask.seen)
    assert ask.record().hit


@of_every_service
@whole_and_streamed
def test_a_drip_sends_small_pieces(ask: Asker, service: str, stream: bool) -> None:
    ask(service, stream=stream, fault=Drip(size=40, every=0))
    assert ask.record().frames >= len(ask.seen) / 40
    assert whole(service, ask.seen, stream=stream)


@of_every_service
def test_an_error_event_is_the_last_one(ask: Asker, service: str) -> None:
    assert ask(service, stream=True, fault=ErrorEvent(message="Out of memory")).status_code == 200
    last = events(ask.seen)[-1]
    assert b"Out of memory" in last
    assert json.loads(last.removeprefix(b"data: "))
    record = ask.record()
    assert (record.fault, record.hit, record.state) == ("error", True, "complete")


@of_every_service
def test_an_error_in_a_whole_answer_is_a_status(ask: Asker, service: str) -> None:
    assert ask(service, stream=False, fault=ErrorEvent(message="Out of memory")).status_code == 500
    assert b"Out of memory" in ask.seen


@of_every_service
@whole_and_streamed
def test_a_refusal_stays_one_where_an_error_is_asked_for(
    sandbox: Sandbox, service: str, stream: bool
) -> None:
    given = body(service, stream=stream)
    headers = {"x-sandbox-fault": "error"}
    answer = httpx.post(address(sandbox, service), json=given, headers=headers, verify=False)
    assert answer.status_code in {401, 403}
    assert not settled(sandbox).hit


CUTS = [Truncate, Disconnect, Stall, OnlyPings, Corrupt, ErrorEvent]


@of_every_service
@pytest.mark.parametrize("kind", CUTS)
def test_a_fault_after_the_last_event_changes_nothing(
    ask: Asker, service: str, kind: type[Any]
) -> None:
    ask(service, stream=True, fault=kind(after=99))
    assert whole(service, ask.seen, stream=True)
    assert (ask.record().hit, ask.record().fault) == (False, kind().kind)


@pytest.mark.parametrize("service", ["fireworks", "pais"])
def test_what_follows_the_end_mark_is_no_loss(ask: Asker, service: str) -> None:
    ask(service, stream=True)
    ask(service, stream=True, fault=Truncate(after=len(events(ask.seen)) - 1))
    assert not ask.record().hit
    assert b"[DONE]" not in ask.seen


@pytest.mark.parametrize(("more", "whole"), [(0, False), (1, True)])
def test_several_choices_have_ended_when_each_has(
    sandbox: Sandbox, ask: Asker, more: int, whole: bool
) -> None:
    url, headers = address(sandbox, "fireworks"), keyed(sandbox, "fireworks")
    given = body("fireworks", stream=True) | {"n": 2}
    usual = events(ask.http.post(url, json=given, headers=headers).content)
    ends = [n for n, part in enumerate(usual, 1) if b'"finish_reason":"' in part]
    assert len(ends) == 2
    fault = Truncate(after=ends[more]).model_dump_json()
    ask.http.post(url, json=given, headers=headers | {"x-sandbox-fault": fault})
    assert ask.record().hit is not whole


def whole(service: str, seen: bytes, *, stream: bool) -> bool:
    """Say whether an answer is all there."""
    text = seen.decode()
    if not stream:
        return ANSWER in json.dumps(json.loads(text))
    mark = {"qaip": "RUN_FINISHED", "dify": "message_end"}.get(service, '"finish_reason":"stop"')
    return mark in text and events(seen)[-1].count(b"data:") == 1


@of_every_service
def test_a_fault_is_had_in_four_ways(ask: Asker, service: ServiceName) -> None:
    ask.sandbox.faults.add(Status(code=503, service=service))
    assert ask(service, stream=True).status_code == 503
    queue = f"{ask.sandbox.url}/_sandbox/faults"
    told = ask.http.post(queue, json={"kind": "status", "code": 504, "service": service})
    assert (told.status_code, told.json()[0]["code"]) == (200, 504)
    assert ask(service, stream=True).status_code == 504
    assert (
        ask(service, stream=True, fault="status; code=500; retry_after=7").headers["retry-after"]
        == "7"
    )
    assert ask(service, stream=True, fault='{"kind": "status", "code": 502}').status_code == 502
    assert ask(service, stream=True).status_code == 200


def test_a_fault_waits_for_its_service_its_path_and_its_turn(docs: Path) -> None:
    with Sandbox(docs) as sandbox, httpx.Client(verify=False) as http:
        ask = Asker(sandbox, http)
        sandbox.faults.add(
            Page(service="dify"), Status(path="/completions", times=2), Page(code=500)
        )
        assert len(sandbox.faults) == 4
        assert [ask("qaip", stream=False).status_code for _ in range(4)] == [503, 503, 500, 200]
        assert [fault.service for fault in sandbox.faults.waiting] == ["dify"]
        assert httpx.delete(f"{sandbox.url}/_sandbox/faults", verify=False).status_code == 204
        assert ask("dify", stream=False).status_code == 200


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("nonsense", "truncate"),
        ("status; code=99", "code"),
        ("stall; speed=1", "speed"),
        ("stall; service=perplexty", "'perplexity'"),
        ('{"kind": "status", "retry_after": "1\\r\\nx-evil: 1"}', "retry_after"),
        ('{"kind": "status", "retry_after": "\\u65e5"}', "retry_after"),
        ("status; retry_after=-1", "retry_after"),
    ],
)
def test_a_fault_that_does_not_exist_is_refused_in_words(ask: Asker, given: str, why: str) -> None:
    assert ask("qaip", stream=False, fault=given).status_code == 400
    assert why in json.loads(ask.seen)["error"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [(1234567, "1234567"), (0.02, "0.02"), (0, "0"), (1e9, "1000000000"), ("soon", "soon")],
)
def test_a_retry_after_is_sent_as_it_is_meant(ask: Asker, given: float | str, sent: str) -> None:
    answer = ask("qaip", stream=False, fault=Status(code=429, retry_after=given))
    assert answer.headers["retry-after"] == sent


def test_a_fault_is_for_a_service_that_exists() -> None:
    assert {service.name for service in PROTOCOLS} == set(SERVICE_NAMES)
    with pytest.raises(ValueError, match="service"):
        Status.model_validate({"service": "perplexty"})


def test_many_faults_may_be_queued_at_once_or_none(ask: Asker) -> None:
    queue = f"{ask.sandbox.url}/_sandbox/faults"
    bad = ask.http.post(queue, json=[{"kind": "page"}, {"kind": "status", "code": 1}])
    assert (bad.status_code, ask.http.get(queue).json()) == (400, [])
    assert len(ask.http.post(queue, json=["page; code=500", {"kind": "stall"}]).json()) == 2
    ask.http.delete(queue)


@pytest.mark.parametrize("fault", ["stall", "pings", "drip; every=1", "stall; after=0"])
def test_a_stop_ends_a_stalled_answer_at_once(docs: Path, fault: str) -> None:
    sandbox = Sandbox(docs).start()
    headers = keyed(sandbox, "qaip") | {"x-sandbox-fault": fault}
    url, given = address(sandbox, "qaip"), body("qaip", stream=True)
    with httpx.stream("POST", url, json=given, headers=headers, verify=False) as answer:
        begin = time.perf_counter()
        sandbox.stop()
        assert time.perf_counter() - begin < 3
        with pytest.raises(httpx.TransportError):
            answer.read()
    assert sandbox.requests[0].state == "aborted"


async def test_clients_that_leave_stalled_streams_leave_nothing_behind(docs: Path) -> None:
    async with Sandbox(docs) as sandbox, httpx.AsyncClient(verify=False) as http:
        loop = sandbox._server._loop  # type: ignore[union-attr]
        assert loop

        async def leave(service: str) -> None:
            headers = keyed(sandbox, service) | {"x-sandbox-fault": "stall; after=1"}
            url, given = address(sandbox, service), body(service, stream=True)
            async with http.stream("POST", url, json=given, headers=headers) as answer:
                await anext(answer.aiter_raw())

        before = len(asyncio.all_tasks(loop))
        await asyncio.gather(*(leave(service) for service in SERVICES for _ in range(4)))
        async for _ in moments():
            if len(asyncio.all_tasks(loop)) <= before:
                break
        assert len(asyncio.all_tasks(loop)) <= before
        assert {record.state for record in sandbox.requests} == {"aborted"}
        assert sandbox._world.journal.running == set()


async def moments() -> AsyncIterator[None]:
    """Yield a hundred times, within a second."""
    for _ in range(100):
        yield
        await asyncio.sleep(0.01)
