"""The suite itself: no fact is idle, and a defect is told by the fact that names it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.llms import ChatResponse

from llama_index_qaip import Perplexity
from llama_index_qaip.testing import (
    Answer,
    Bench,
    Contract,
    LLMContract,
    Loopback,
    OpenAIDialect,
    QueryEngineContract,
    Refusal,
    Request,
    RetrieverContract,
    needs,
)

from . import test_conformance
from .test_conformance import TestPerplexity as Whole

OURS = [kind for name, kind in vars(test_conformance).items() if name.startswith("Test")]


def facts(contract: type) -> set[str]:
    """Return the names of all tests that a contract and its bases state."""
    return {name for base in contract.__mro__ for name in vars(base) if name.startswith("test_")}


@pytest.mark.parametrize("contract", [LLMContract, RetrieverContract, QueryEngineContract])
def test_every_fact_is_tested_for_one_of_our_services(contract: type) -> None:
    heirs = [kind for kind in OURS if issubclass(kind, contract)]
    tested = {name for name in facts(contract) for kind in heirs if callable(getattr(kind, name))}
    assert tested == facts(contract)


class Optional(Contract):
    flag = False

    @needs(flag=True)
    def test_with(self) -> None: ...

    @needs(flag=False)
    def test_without(self) -> None: ...


class On(Optional):
    flag = True


class OffAgain(On):
    flag = False


@pytest.mark.parametrize(("kind", "on"), [(On, True), (OffAgain, False)])
def test_facts_that_do_not_apply_are_not_collected(kind: type, on: bool) -> None:
    assert callable(getattr(kind, "test_with")) is on  # noqa: B009 -- it may be None
    assert callable(getattr(kind, "test_without")) is not on  # noqa: B009


class Chatty(Perplexity):
    """Answers with metadata in the message."""

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        answer = super().chat(messages, **kwargs)
        answer.message.additional_kwargs = {"citations": []}
        return answer


class Deaf(Perplexity):
    """Says that a stream was complete, whatever happened to it."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        try:
            yield from super().stream_chat(messages, **kwargs)
        except Exception:  # noqa: BLE001
            return


class Hasty(Perplexity):
    """Asks before it is read."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        return iter(list(super().stream_chat(messages, **kwargs)))


class Same(Perplexity):
    """Gives one object again and again."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        first = None
        for response in super().stream_chat(messages, **kwargs):
            first = first or response
            first.message, first.delta = response.message, response.delta
            yield first


class Blocking(Perplexity):
    """Waits in the loop."""

    async def achat(self, messages: Any, **kwargs: Any) -> Any:
        return self.chat(messages, **kwargs)


class Open(Perplexity):
    """Shows its key."""

    def __repr__(self) -> str:
        return f"Open({self.api_key.get_secret_value()})"  # type: ignore[union-attr]


class Doubled(Perplexity):
    """Asks by another of its public methods."""

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        super().complete(prompt, formatted, **kwargs)
        return super().complete(prompt, formatted, **kwargs)


DEFECTS: list[tuple[type[Perplexity], str, tuple[str, ...]]] = [
    (Chatty, "test_a_message_keeps_its_additional_kwargs_empty", ("chat",)),
    (Chatty, "test_an_answer_adds_nothing_but_its_text_to_the_next_prompt", ("chat",)),
    (Deaf, "test_a_stream_that_is_cut_raises_with_what_had_come", ("stream_chat",)),
    (Deaf, "test_an_error_in_a_stream_raises_with_what_had_come", ("stream_chat",)),
    (Hasty, "test_a_stream_is_requested_when_it_is_read_and_once", ("stream_chat",)),
    (Same, "test_each_response_is_an_object_of_its_own", ("stream_chat",)),
    (Blocking, "test_an_async_call_does_not_block_the_loop", ("achat",)),
    (Open, "test_the_key_is_in_no_form_of_the_object", ("repr",)),
    (Doubled, "test_a_call_has_one_start_and_one_end_event", ("complete",)),
    (Doubled, "test_a_rate_limiter_is_asked_once", ("complete",)),
]


@pytest.fixture
def bench_of() -> Iterator[Callable[[type[Perplexity]], Bench]]:
    made: list[Bench] = []
    with Loopback(Whole.dialect()) as service:

        def bench(kind: type[Perplexity]) -> Bench:
            contract = type("Contract", (Whole,), {"kind": kind})()
            made.append(Bench(contract.make, service))
            return made[-1]

        yield bench
        for each in made:
            each.close()


@pytest.mark.parametrize(("kind", "fact", "how"), DEFECTS, ids=str)
def test_a_defect_fails_its_fact(
    kind: type[Perplexity],
    fact: str,
    how: tuple[str, ...],
    bench_of: Callable[[type[Perplexity]], Bench],
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, AttributeError)):
        getattr(Whole(), fact)(bench_of(kind), *how)


class Broken(OpenAIDialect):
    def whole(self, answer: Answer, request: Request) -> Any:
        raise LookupError("a slip of the pen")


def test_a_fault_of_a_dialect_is_told_to_who_asks() -> None:
    with Loopback(Broken()) as service:
        reply = service.reply(Request("/", {}, {}, 0))
        service.answers(Answer())
        fault = service.reply(Request("/", {}, {}, 0))
    assert reply.status == 501
    assert fault.status == 500
    assert b"a slip of the pen" in fault.body[0]


def test_a_script_is_followed_and_its_last_answer_repeated() -> None:
    with Loopback(OpenAIDialect()) as service:
        service.answers(Refusal(503), Refusal(429))
        request = Request("/", {}, {"prompt": "q"}, 0)
        assert [service.reply(request).status for _ in range(3)] == [503, 429, 429]
        service.reset()
        assert service.requests == []
        assert service.reply(request).status == 501


PAGE = (Path(__file__).parents[3] / "docs/conformance.md").read_text("utf-8")


def test_the_example_of_the_page_is_a_contract_that_is_kept() -> None:
    (code,) = re.findall(r"<!-- example: own -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    example = names["TestMyLLM"]
    with Loopback(example.dialect()) as service:
        bench = Bench(example().make, service)
        example().test_deltas_join_to_the_text(bench, "stream_chat")
        service.reset()
        example().test_an_answer_is_its_text(bench, "acomplete")
        service.reset()
        example().test_sources_are_plain_data_in_additional_kwargs(bench, "achat")
        bench.close()


@pytest.mark.parametrize("contract", [LLMContract, RetrieverContract, QueryEngineContract])
def test_the_page_lists_every_fact_and_every_flag(contract: type) -> None:
    said = {
        n.removeprefix("test_").replace("_s_", "'s_").replace("_", " ") for n in facts(contract)
    }
    flags = {
        f for base in contract.__mro__ for f, kind in vars(base).get("__annotations__", {}).items()
    }
    assert {fact for fact in said if f"\n- {fact}" not in PAGE} == set()
    assert {flag for flag in flags - {"dialect"} if f"`{flag}`" not in PAGE} == set()
