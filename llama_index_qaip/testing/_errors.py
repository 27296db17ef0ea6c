"""Facts about failures: typed, told once, never taken for an answer."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

import time
import traceback
from typing import Any, ClassVar

import pytest

from llama_index_qaip.testing._bench import (
    KEY,
    Bench,
    every_call,
    every_stream,
    every_whole,
    text_of,
)
from llama_index_qaip.testing._contract import Contract, good_practice, needs
from llama_index_qaip.testing._script import FAULT, Answer, Refusal

__all__ = ["ErrorFacts", "check_error"]

_RAW = {"aiohttp", "builtins", "httpcore", "httpx", "httpx2", "json", "pydantic", "pydantic_core"}
_RAW |= {"requests", "tenacity", "urllib3"}
_PAGE = "<html><title>Sign in</title></html>"
_SOON = {"retry-after-ms": "20", "retry-after": "0.02"}
_FAILURES: dict[str, Refusal | Answer] = {
    "401": Refusal(401),
    "503": Refusal(503),
    "a page with status 502": Refusal(502, page=_PAGE),
    "a page in place of an answer": Refusal(200, page=_PAGE),
    "cut": Answer(end="cut"),
    "malformed": Answer(end="malformed"),
}


class ErrorFacts(Contract):
    """What a caller is told when a call fails.

    Attributes:
        helps: a part of what the message of a refused key says; "" takes the service's own words.
    """

    helps: ClassVar[str] = ""

    @pytest.mark.parametrize("kind", _FAILURES)
    @every_call
    def test_every_failure_raises(self, bench: Bench, call: str, kind: str) -> None:
        bench.service.answers(_FAILURES[kind])
        failure = bench.fails(bench.make(), call)
        assert isinstance(failure.error, self.error_class)

    @pytest.mark.parametrize("kind", _FAILURES)
    @pytest.mark.parametrize("call", ["chat", "acomplete", "astream_chat", "stream_complete"])
    @good_practice
    def test_every_failure_is_of_the_package_s_own_kind(
        self, bench: Bench, call: str, kind: str
    ) -> None:
        bench.service.answers(_FAILURES[kind])
        check_error(self, bench.fails(bench.make(), call).error)

    @every_call
    @good_practice
    def test_a_refused_key_is_told_once_with_status_and_request_id(
        self, bench: Bench, call: str
    ) -> None:
        bench.service.answers(Refusal(401, headers={"x-request-id": "req-81"}))
        error = bench.fails(bench.make(**self._retries(2)), call).error
        assert len(bench.service.requests) == 1
        assert getattr(error, self.status_attribute) == 401
        assert (self.helps or FAULT) in str(error)
        if self.request_id_attribute:
            assert getattr(error, self.request_id_attribute) == "req-81"

    @every_call
    @good_practice
    def test_no_error_tells_the_key(self, bench: Bench, call: str) -> None:
        bench.service.answers(Refusal(401, f"The key {KEY} is unknown."))
        error = bench.fails(bench.make(), call).error
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert KEY not in "".join([*told.format(), str(error), repr(error), repr(vars(error))])

    @every_call
    @needs(good_practice=True, max_retries_field=True)
    def test_a_busy_service_is_asked_again(self, bench: Bench, call: str) -> None:
        busy = Refusal(503, headers=_SOON)
        bench.service.answers(busy, busy, self.answer())
        begin = time.monotonic()
        answer = bench.last(call, llm=bench.make(**self._retries(2)))
        assert text_of(answer) == self.answer().text
        assert len(bench.service.requests) == 3
        assert time.monotonic() - begin < 0.8, "the service said: again in 0.02 s"

    @every_whole
    @needs(good_practice=True, max_retries_field=True)
    def test_a_busy_service_is_asked_no_more_than_max_retries_says(
        self, bench: Bench, call: str
    ) -> None:
        bench.service.answers(Refusal(503, headers=_SOON))
        error = bench.fails(bench.make(**self._retries(1)), call).error
        assert len(bench.service.requests) == 2
        assert getattr(error, self.status_attribute) == 503

    @every_whole
    @needs(good_practice=True, retry_after_attribute=True)
    def test_a_wait_of_an_hour_is_left_to_the_caller(self, bench: Bench, call: str) -> None:
        bench.service.answers(Refusal(429, headers={"retry-after": "3600"}))
        error = bench.fails(bench.make(**self._retries(2)), call).error
        assert len(bench.service.requests) == 1
        assert getattr(error, self.retry_after_attribute) == 3600

    @pytest.mark.parametrize(
        ("status", "again"), [(401, False), (400, False), (429, True), (503, True)]
    )
    @needs(good_practice=True, retryable_attribute=True)
    def test_an_error_says_whether_to_try_again(
        self, bench: Bench, status: int, again: bool
    ) -> None:
        bench.service.answers(Refusal(status))
        error = bench.fails(bench.make(), "chat").error
        assert getattr(error, self.retryable_attribute) is again

    @every_stream
    def test_a_stream_that_is_cut_raises_with_what_had_come(self, bench: Bench, call: str) -> None:
        self._check_broken(bench, call, "cut")

    @every_stream
    @good_practice
    def test_a_stream_without_its_end_raises_with_what_had_come(
        self, bench: Bench, call: str
    ) -> None:
        """The connection ends as it should: only the service's own protocol tells."""
        self._check_broken(bench, call, "short")

    @every_stream
    @needs(reports_errors_in_streams=True)
    def test_an_error_in_a_stream_raises_with_what_had_come(self, bench: Bench, call: str) -> None:
        error = self._check_broken(bench, call, "error")
        assert FAULT in str(error)

    @every_stream
    def test_an_event_that_cannot_be_read_raises_with_what_had_come(
        self, bench: Bench, call: str
    ) -> None:
        self._check_broken(bench, call, "malformed")

    @pytest.mark.parametrize("end", ["silence", "pings"])
    @every_stream
    @needs(good_practice=True, idle_field=True)
    def test_a_stream_without_content_raises_after_its_limit(
        self, bench: Bench, call: str, end: str
    ) -> None:
        begin = time.monotonic()
        self._check_broken(bench, call, end, **{self.idle_field: 0.1})
        assert 0.1 <= time.monotonic() - begin < 1.0

    def _check_broken(self, bench: Bench, call: str, end: Any, **fields: Any) -> Exception:
        bench.service.answers(self.answer(end=end))
        failure = bench.fails(bench.make(**fields), call)
        assert isinstance(failure.error, self.error_class)
        assert failure.seen, "what had come was not shown"
        assert text_of(failure.seen[-1]) == self.answer().text
        if self.partial_attribute and self.good_practice:
            assert getattr(failure.error, self.partial_attribute) == self.answer().text
        assert len(bench.service.requests) == 1
        return failure.error

    def _retries(self, times: int) -> dict[str, int]:
        return {self.max_retries_field: times} if self.max_retries_field else {}


def check_error(contract: Contract, error: BaseException) -> None:
    """Check that an error is of the package's own kind."""
    assert isinstance(error, contract.error_class)
    raw = type(error).__module__.partition(".")[0]
    assert raw not in _RAW, f"{type(error).__name__} of {raw} says nothing about the service"
