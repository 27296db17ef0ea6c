"""What LangChain offers around a model: its tries multiply with the core's, and no others."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from qaip_core import ServiceError
from support.fault_server import FaultServer, json_reply
from support.faults.subjects import LANGCHAIN, Subject

SOON = {"retry-after-ms": "1"}
MODELS: Sequence[Subject] = [
    s for s in LANGCHAIN if s.name.endswith("invoke") and "retriever" not in s.name
]
AROUND: Sequence[tuple[str, Callable[[Any, Any], Any], int, int]] = [
    # further tries multiply with the retries of each call ...
    ("with_retry", lambda m, _: again(m), 503, 2 * 2),
    # ... but are not made after what cannot pass
    ("with_retry", lambda m, _: again(m), 400, 1),
    ("with_retry", lambda m, _: again(m), 401, 1),
    ("with_fallbacks", lambda m, other: m.with_fallbacks([other]), 503, 2 * 2),
    ("with_fallbacks", lambda m, other: m.with_fallbacks([other]), 400, 2),
    ("with_config", lambda m, _: m.with_config(tags=["tea"]), 503, 2),
    ("in a chain", lambda m, _: m | str, 503, 2),
]


def again(model: Any) -> Any:
    return model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)


@pytest.mark.parametrize("subject", MODELS, ids=str)
@pytest.mark.parametrize(
    ("around", "status", "requests"),
    [pytest.param(*row, id=f"{name}, a status {row[1]}") for name, *row in AROUND],
)
async def test_around_a_model_retries_are_those_of_the_core(
    subject: Subject,
    around: Callable[[Any, Any], Any],
    status: int,
    requests: int,
    server: FaultServer,
) -> None:
    server.reset()
    server.replies(replace(json_reply({"message": "no"}, status), headers=SOON))
    first = subject.make(server.url, max_retries=1)
    second = subject.make(server.url, max_retries=1)
    async with first, second:
        asked = around(first, second)
        with pytest.raises(ServiceError):
            await asked.ainvoke("q") if subject.is_async else asked.invoke("q")
    first.close()
    second.close()
    assert len(server.requests) == requests


@pytest.mark.parametrize("subject", MODELS[::4], ids=str)
def test_with_retry_goes_by_the_error_not_by_its_class(
    subject: Subject, server: FaultServer
) -> None:
    server.reset()
    server.replies(json_reply({"message": "no"}, 501))
    with subject.make(server.url) as model, pytest.raises(ServiceError) as caught:
        again(model).invoke("q")
    assert not caught.value.is_retryable
    assert len(server.requests) == 1


@pytest.mark.parametrize("subject", [s for s in MODELS if s.name.startswith("Chat")], ids=str)
async def test_each_call_of_a_batch_has_its_own_budget(
    subject: Subject, server: FaultServer
) -> None:
    """Of text models, LangChain hands the first error to all questions of a batch."""
    server.reset()
    server.replies(replace(json_reply({"message": "no"}, 503), headers=SOON))
    async with subject.make(server.url, max_retries=2) as model:
        questions = ["q", "r", "s"]
        if subject.is_async:
            outcomes = await model.abatch(questions, return_exceptions=True)
        else:
            outcomes = model.batch(questions, return_exceptions=True)
            model.close()
    assert [type(outcome).__mro__.count(ServiceError) for outcome in outcomes] == [1, 1, 1]
    assert [outcome.attempts for outcome in outcomes] == [3, 3, 3]
    assert len(server.requests) == 9
