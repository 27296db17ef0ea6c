"""Facts about answers while they grow, and about the connections that bring them."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from llama_index.core.callbacks import CallbackManager

from llama_index_qaip.testing._bench import (
    STREAMS,
    Bench,
    asked,
    every_call,
    every_stream,
    text_of,
)
from llama_index_qaip.testing._contract import Contract, good_practice, needs
from llama_index_qaip.testing._recording import Handler

__all__ = ["StreamFacts"]

_WIRES: dict[str, dict[str, Any]] = {
    "line separators inside": {"pieces": ("one\u2028two", "\u0085three")},
    "CRLF": {"newline": b"\r\n"},
    "a byte order mark": {"bom": True},
    "cut anywhere": {"pieces": ("drei–", "vier\U0001f5fc"), "sizes": 3},
}
"""One trouble each, so that a fault fails the case that is named after it."""
_LEAVING = [(how, call) for call in STREAMS for how in ("close", "break")] + [
    ("cancel", "astream_chat"),
    ("cancel", "astream_complete"),
]


class StreamFacts(Contract):
    """How an answer grows, and what is freed when its reader leaves.

    Attributes:
        pools_connections: whether two calls in a row come by one connection.
    """

    pools_connections: ClassVar[bool] = True

    @every_stream
    def test_deltas_join_to_the_text(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        seen = bench.ask(call)
        assert "".join(response.delta or "" for response in seen) == text_of(seen[-1])
        assert text_of(seen[-1]) == self.answer().text

    @every_stream
    def test_each_response_holds_all_text_so_far(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        so_far = ""
        for response in bench.ask(call):
            so_far += response.delta or ""
            assert (text_of(response) or "") == so_far

    @every_stream
    def test_each_response_is_an_object_of_its_own(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        seen = bench.ask(call)
        assert len({id(response) for response in seen}) == len(seen) >= len(self.answer().pieces)
        messages = [id(r.message) for r in seen if "chat" in call]
        assert len(set(messages)) == len(messages)
        # Of a response that changed later, the text would no longer be what had come by then.
        lengths = [len(text_of(response) or "") for response in seen]
        assert lengths == sorted(lengths)
        assert lengths[0] < lengths[-1]

    @every_stream
    def test_an_answer_is_shown_while_it_grows(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(pieces=("The lamp ",), end="silence"))
        first = bench.first(bench.make(), call, asked(call))
        assert first is not None, "nothing came before the end"
        assert text_of(first) == "The lamp "

    @pytest.mark.parametrize("call", ["stream_chat", "astream_chat", "astream_complete"])
    @pytest.mark.parametrize("wire", _WIRES)
    def test_text_survives(self, bench: Bench, call: str, wire: str) -> None:
        answer = self.answer(**_WIRES[wire])
        bench.service.answers(answer)
        assert text_of(bench.last(call)) == answer.text

    @every_stream
    @good_practice
    def test_a_stream_is_requested_when_it_is_read(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        llm = bench.make()
        bench.unread(llm, call, asked(call))
        assert bench.service.requests == []
        bench.ask(call, llm=llm)
        assert len(bench.service.requests) == 1, "the one that was left was asked for late"

    @pytest.mark.parametrize(("how", "call"), _LEAVING)
    def test_leaving_a_stream_frees_its_connection(self, bench: Bench, how: str, call: str) -> None:
        bench.service.answers(self.answer(end="silence"))
        assert bench.frees(how, bench.make(), call, asked(call))

    @pytest.mark.parametrize("call", ["achat", "acomplete"])
    def test_cancelling_a_call_frees_its_connection(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(end="silence"))
        assert bench.frees("cancel", bench.make(), call, asked(call))

    @every_stream
    @good_practice
    def test_a_handler_that_keeps_all_keeps_no_connection(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(end="silence"))
        llm = bench.make(callback_manager=CallbackManager([Handler()]))
        assert bench.frees("break", llm, call, asked(call))

    @every_call
    @needs(good_practice=True, pools_connections=True)
    def test_two_calls_share_a_connection(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        llm = bench.make()
        for _ in range(2):
            bench.ask(call, llm=llm)
        assert len({request.connection for request in bench.service.requests}) == 1
