"""Our own classes, rightly used, are acquitted whatever happens to their requests."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import langchain_qaip
import llama_index_qaip
from qaip_core import ServiceError
from qaip_sandbox import Sandbox
from qaip_sandbox.faults import fault_of
from qaip_sandbox.judging import Judge

from .asking import QUESTION, SERVICES

FAULTS = [
    "status; code=400",
    "status; code=401",
    "status; code=404",
    "status; code=422",
    "status; code=429; retry_after=0.02",
    "status; code=429; retry_after=500",
    "status; code=503; retry_after=0.02; times=3",
    "page; code=200",
    "truncate",
    "truncate; after=0",
    "truncate; after=99",
    "disconnect",
    "disconnect; after=0",
    "stall",
    "stall; seconds=0.01",
    "pings; every=0.02",
    "corrupt",
    "drip; size=60; every=0",
    "error",
]

# Where the service names no wait, a retry comes after some tenths of a second.
SLOW = ["status; code=500", "status; code=503; retry_after=0", "page"]

MODEL = {"model": "sonar"}
CLASSES: list[tuple[type[Any], str]] = [
    (langchain_qaip.ChatQaip, "qaip"),
    (langchain_qaip.QaipLLM, "qaip"),
    (langchain_qaip.ChatFireworks, "fireworks"),
    (langchain_qaip.FireworksLLM, "fireworks"),
    (langchain_qaip.ChatPAIS, "pais"),
    (langchain_qaip.PAISLLM, "pais"),
    (langchain_qaip.ChatPerplexity, "perplexity"),
    (langchain_qaip.PerplexityLLM, "perplexity"),
    (langchain_qaip.ChatDify, "dify"),
    (langchain_qaip.DifyLLM, "dify"),
    (llama_index_qaip.Qaip, "qaip"),
    (llama_index_qaip.Fireworks, "fireworks"),
    (llama_index_qaip.PAIS, "pais"),
    (llama_index_qaip.Perplexity, "perplexity"),
    (llama_index_qaip.Dify, "dify"),
]


def name(kind: tuple[type[Any], str]) -> str:
    return f"{kind[0].__module__.partition('_')[0]}-{kind[0].__name__}"


@pytest.fixture(scope="module")
def box(docs: Path) -> Iterator[Sandbox]:
    with Sandbox(docs) as running:
        yield running


@pytest.fixture(scope="module")
def model(box: Sandbox, request: pytest.FixtureRequest) -> Iterator[Any]:
    cls, service = request.param
    base, secret, *_ = SERVICES[service]
    given = {} if service in ("qaip", "dify") else MODEL
    made = cls(
        api_key=box.env[secret],
        base_url=box.env[base],
        timeout=0.8,
        stream_idle_timeout=0.4,
        max_retries=2,
        **given,
    )
    yield made
    made.close()


every_class = pytest.mark.parametrize("model", CLASSES, ids=name, indirect=True)


def texts(model: Any, *, stream: bool) -> Iterator[str]:
    """Ask, and yield the text as it comes."""
    if isinstance(model, llama_index_qaip.ServiceLLM):
        if stream:
            yield from (part.delta or "" for part in model.stream_complete(QUESTION))
        else:
            yield model.complete(QUESTION).text
    elif stream:
        yield from (part if isinstance(part, str) else part.text for part in model.stream(QUESTION))
    else:
        answer = model.invoke(QUESTION)
        yield answer if isinstance(answer, str) else answer.text


def matrix() -> Iterator[Any]:
    """Yield every fault for every service, whole and streamed, its classes taking turns."""
    turns = {service: [k for k in CLASSES if k[1] == service] for service in SERVICES}
    for service, kinds in turns.items():
        for number, (fault, stream) in enumerate(product(FAULTS, (False, True))):
            kind = kinds[number % len(kinds)]
            marks = f"{service}-{name(kind)}-{fault}-{'streamed' if stream else 'whole'}"
            yield pytest.param(kind, fault, stream, id=marks)


@pytest.mark.parametrize(("model", "fault", "stream"), list(matrix()), indirect=["model"])
def test_every_fault_is_borne_well(box: Sandbox, model: Any, fault: str, stream: bool) -> None:
    acquitted(box, model, fault, stream=stream)


@pytest.mark.parametrize("model", [CLASSES[0], CLASSES[-1]], ids=name, indirect=True)
@pytest.mark.parametrize("fault", SLOW)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_so_is_every_slow_one(box: Sandbox, model: Any, fault: str, stream: bool) -> None:
    acquitted(box, model, fault, stream=stream)


@every_class
@pytest.mark.parametrize("fault", ["truncate", "stall", "status; code=429; retry_after=0.02"])
async def test_async_use_is_acquitted_too(box: Sandbox, model: Any, fault: str) -> None:
    box.faults.clear()
    box.faults.add(fault_of(fault))
    async with box.judge(linger=0.3) as judge:
        with suppress(Exception):
            async with judge.call() as call:
                call.returned("".join([text async for text in async_texts(model)]))
    judge.verdict.check()
    await model.aclose()


@every_class
async def test_leaving_a_stream_early_leaves_none_open(box: Sandbox, model: Any) -> None:
    box.faults.clear()
    box.faults.add(fault_of("stall; after=4"))
    async with (
        box.judge(linger=0.3) as judge,
        judge.call() as call,
        aclosing(async_texts(model)) as parts,
    ):
        call.returned(await anext(parts), part=True)
    judge.verdict.check()
    await model.aclose()


@pytest.mark.parametrize("model", [CLASSES[0], CLASSES[-1]], ids=name, indirect=True)
@pytest.mark.parametrize(
    "fault",
    [
        "status; code=503; retry_after=0.05; times=9",
        "page; times=5",
        "status; code=401; times=5",
        "disconnect; times=5",
    ],
)
async def test_calls_at_the_same_time_are_acquitted(box: Sandbox, model: Any, fault: str) -> None:
    box.faults.clear()
    box.faults.add(fault_of(fault))

    async def once(judge: Judge) -> None:
        with suppress(Exception):
            async with judge.call() as call:
                call.returned("".join([text async for text in async_texts(model)]))

    async with box.judge() as judge:
        await asyncio.gather(*(once(judge) for _ in range(9)))
    judge.verdict.check()
    assert "calls-overlapped" in str(judge.verdict)
    await model.aclose()


async def async_texts(model: Any) -> AsyncGenerator[str, None]:
    """Ask for a stream, and yield the text as it comes."""
    if isinstance(model, llama_index_qaip.ServiceLLM):
        async with aclosing(await model.astream_complete(QUESTION)) as parts:
            async for part in parts:
                yield part.delta or ""
    else:
        async with aclosing(model.astream(QUESTION)) as chunks:
            async for chunk in chunks:
                yield chunk if isinstance(chunk, str) else chunk.text


def acquitted(box: Sandbox, model: Any, fault: str, *, stream: bool) -> None:
    box.faults.clear()
    box.faults.add(fault_of(fault))
    judge = box.judge(linger=0.3)
    with suppress(Exception), judge.call() as call:
        call.returned("".join(texts(model, stream=stream)))
    judge.verdict.check()
    assert judge.verdict.requests >= 1


OWN_FAILURES = {
    "dify": (langchain_qaip.ChatDify, {"failure": "crash", "failure_after": 2}),
    "pais": (langchain_qaip.ChatPAIS, {"ending": "unfinished"}),
}


@pytest.mark.parametrize("service", OWN_FAILURES)
def test_who_raises_when_the_service_itself_fails_is_acquitted(docs: Path, service: str) -> None:
    cls, switches = OWN_FAILURES[service]
    base, secret, *_ = SERVICES[service]
    model = MODEL if service == "pais" else {}
    with Sandbox(docs, **{service: switches}) as sandbox:
        made = cls(api_key=sandbox.env[secret], base_url=sandbox.env[base], max_retries=0, **model)
        with sandbox.judge() as judge, suppress(ServiceError), judge.call() as call:
            call.returned("".join(texts(made, stream=True)))
        made.close()
    assert judge.verdict.ok, judge.verdict
