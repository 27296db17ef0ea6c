"""Failures are of our family and of LangChain's, and say what had arrived and what to do."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core import exceptions as theirs
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage

from langchain_qaip import errors as ours
from qaip_core import errors as core
from qaip_core.flow import IncompleteAnswerWarning
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, html_reply, json_reply, sse_reply

from .models import BY_ID, CHATS, MODELS, QUESTION, Kind, every, merged, named

PERPLEXITY = named("perplexity")
LATER = [kind for kind in CHATS if kind.cls.endpoint.kind]
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["invoke", "stream"])


def plain(status: int, **headers: str) -> Callable[[], Reply]:
    return lambda: json_reply({"message": "Said the service."}, status, **headers)


def page(status: int) -> Callable[[], Reply]:
    return lambda: html_reply(status)


def reset() -> Reply:
    return Reply(raw=b"", end="reset")


def stalled() -> Reply:
    return Reply(delay=5)


@dataclass(frozen=True)
class Failure:
    """What happens, our class, LangChain's, and whether it is worth another try."""

    name: str
    reply: Callable[[], Reply]
    cls: type[core.ServiceError]
    family: type[Exception]
    again: bool


FAILURES = [
    Failure("400", plain(400), ours.BadRequestError, theirs.ModelInvalidRequestError, again=False),
    Failure(
        "401", plain(401), ours.AuthenticationError, theirs.ModelAuthenticationError, again=False
    ),
    Failure(
        "402", plain(402), ours.PaymentRequiredError, theirs.ModelPermissionDeniedError, again=False
    ),
    Failure(
        "403",
        plain(403),
        ours.PermissionDeniedError,
        theirs.ModelPermissionDeniedError,
        again=False,
    ),
    Failure("404", plain(404), ours.NotFoundError, theirs.ModelNotFoundError, again=False),
    Failure("409", plain(409), ours.ConflictError, theirs.ModelAPIError, again=True),
    Failure(
        "422",
        plain(422),
        ours.UnprocessableEntityError,
        theirs.ModelInvalidRequestError,
        again=False,
    ),
    Failure("429", plain(429), ours.RateLimitError, theirs.ModelRateLimitError, again=True),
    Failure("500", plain(500), ours.ServerError, theirs.ModelAPIError, again=True),
    Failure("503", plain(503), ours.ServerError, theirs.ModelAPIError, again=True),
    Failure("502 page", page(502), ours.ServerError, theirs.ModelAPIError, again=True),
    Failure("200 page", page(200), ours.MalformedResponseError, theirs.ModelAPIError, again=False),
    Failure("reset", reset, ours.ServiceConnectionError, theirs.ModelConnectionError, again=True),
    Failure("timeout", stalled, ours.ServiceTimeoutError, theirs.ModelTimeoutError, again=True),
]
every_failure = pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)


async def ask(model: Any, *, sync: bool, streaming: bool, prompt: Any = "q") -> list[Any]:
    if streaming:
        return list(model.stream(prompt)) if sync else [c async for c in model.astream(prompt)]
    return [model.invoke(prompt) if sync else await model.ainvoke(prompt)]


@both_ways
@both_lanes
@every_failure
@every([PERPLEXITY, *LATER])
async def test_a_failure_is_of_both_families(
    kind: Kind, failure: Failure, sync: bool, streaming: bool, server: FaultServer
) -> None:
    server.replies(failure.reply())
    async with kind.at(server.url, timeout=0.15) as model:
        with pytest.raises(failure.family) as caught:
            await ask(model, sync=sync, streaming=streaming)
    error = caught.value
    assert type(error) is failure.cls
    assert isinstance(error, core.ServiceError | theirs.ModelError)
    assert error.is_retryable is failure.again
    assert len(server.requests) == 1


@both_ways
@both_lanes
@every(MODELS)
async def test_a_refused_connection_names_the_address(
    kind: Kind, sync: bool, streaming: bool
) -> None:
    with FaultServer() as gone:
        url = gone.url
    async with kind.at(url) as model:
        with pytest.raises(ours.ServiceConnectionError, match=url) as caught:
            await ask(model, sync=sync, streaming=streaming)
    assert isinstance(caught.value, theirs.ModelConnectionError | core.ServiceConnectionError)
    assert caught.value.is_retryable


@both_ways
@both_lanes
@every(MODELS)
async def test_a_wrong_key_is_an_authentication_error(
    kind: Kind, sync: bool, streaming: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as right:
        url = right.base_url
    async with kind.at(url) as model:
        with pytest.raises(theirs.ModelAuthenticationError) as caught:
            await ask(model, sync=sync, streaming=streaming)
    assert isinstance(caught.value, core.AuthenticationError)
    assert caught.value.status == 401
    assert kind.key_env in str(caught.value)


def test_an_incomplete_answer_can_be_kept_with_a_warning(server: FaultServer) -> None:
    case = BY_ID["perplexity/err_stream_cut"]
    server.replies(case.reply())
    with (
        PERPLEXITY.at(server.url, on_incomplete="warn") as model,
        pytest.warns(IncompleteAnswerWarning, match="end mark"),
    ):
        total = merged(model.stream("q"))
    assert total.text == case.expected["partial"]
    assert total.response_metadata["incomplete"] is True


@both_ways
async def test_a_retired_call_names_the_way_out(streaming: bool, server: FaultServer) -> None:
    server.replies(BY_ID["perplexity/err_retired"].reply())
    async with PERPLEXITY.at(server.url) as model:
        with pytest.raises(ours.EndpointRetiredError, match="Agent API") as caught:
            await ask(model, sync=False, streaming=streaming)
    assert isinstance(caught.value, theirs.ModelPermissionDeniedError)
    assert "base_url" in str(caught.value)


def test_a_prompt_that_is_too_long_is_a_context_overflow(server: FaultServer) -> None:
    kind = next(kind for kind in CHATS if kind.service == "fireworks")
    server.replies(BY_ID["fireworks/err_context_overflow"].reply())
    with kind.at(server.url) as model, pytest.raises(theirs.ContextOverflowError) as caught:
        model.invoke("q")
    assert isinstance(caught.value, core.ContextOverflowError)


def test_the_error_keeps_what_the_service_said(server: FaultServer) -> None:
    body = {"error": {"message": "Slow down.", "code": "slow"}}
    server.replies(json_reply(body, 429, retry_after="7", x_request_id="r-1"))
    with (
        PERPLEXITY.at(server.url) as model,
        pytest.raises(ours.RateLimitError, match=r"Slow down\.") as caught,
    ):
        model.invoke("q")
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (429, "slow", 7)
    assert (error.request_id, error.service, error.attempts) == ("r-1", "perplexity", 1)
    assert error.body == body


@both_lanes
@every(CHATS)
async def test_a_fallback_takes_over(kind: Kind, sync: bool, server: FaultServer) -> None:
    with FaultServer() as broken:
        broken.replies(json_reply({}, 500))
        server.replies(kind.reply(stream=True) if kind.streams_whole else kind.reply(stream=False))
        async with kind.at(broken.url) as first, kind.at(server.url) as second:
            model = first.with_fallbacks([second])
            (answer,) = await ask(model, sync=sync, streaming=False)
            server.replies(kind.reply(stream=True))
            chunks = await ask(model, sync=sync, streaming=True)
        assert len(broken.requests) == 2
    assert answer.text
    assert merged(chunks).text == answer.text
    assert len(server.requests) == 2


@both_lanes
async def test_a_fallback_can_be_chosen_by_langchains_class(
    sync: bool, server: FaultServer
) -> None:
    server.replies(json_reply({}, 429), PERPLEXITY.reply(stream=False))
    async with PERPLEXITY.at(server.url) as first, PERPLEXITY.at(server.url) as second:
        model = first.with_fallbacks([second], exceptions_to_handle=(theirs.ModelRateLimitError,))
        (answer,) = await ask(model, sync=sync, streaming=False)
    assert answer.text


@pytest.mark.parametrize(("own", "theirs_", "sent"), [(0, 3, 3), (1, 1, 2), (1, 2, 4)])
def test_retries_multiply_only_as_the_user_says(
    own: int, theirs_: int, sent: int, server: FaultServer
) -> None:
    server.replies(json_reply({}, 503, retry_after_ms="1"))
    with PERPLEXITY.at(server.url, max_retries=own) as model:
        again = model.with_retry(stop_after_attempt=theirs_, wait_exponential_jitter=False)
        with pytest.raises(ours.ServerError):
            again.invoke("q")
    assert len(server.requests) == sent


def test_with_retry_does_not_repeat_what_another_class_names(server: FaultServer) -> None:
    server.replies(json_reply({}, 401))
    with PERPLEXITY.at(server.url) as model:
        again = model.with_retry(retry_if_exception_type=(theirs.ModelRateLimitError,))
        with pytest.raises(theirs.ModelAuthenticationError):
            again.invoke("q")
    assert len(server.requests) == 1


@both_lanes
@every(CHATS)
async def test_our_own_retry_answers(kind: Kind, sync: bool, server: FaultServer) -> None:
    whole = kind.reply(stream=kind.streams_whole)
    server.replies(json_reply({}, 429, retry_after_ms="1"), whole)
    async with kind.at(server.url, max_retries=1) as model:
        (answer,) = await ask(model, sync=sync, streaming=False)
    assert answer.text
    assert len(server.requests) == 2


class Failures(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seen: list[BaseException] = []

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self.seen.append(error)


@both_ways
@both_lanes
@every(CHATS)
async def test_callbacks_see_the_same_error(
    kind: Kind, sync: bool, streaming: bool, server: FaultServer
) -> None:
    server.replies(json_reply({}, 500))
    handler = Failures()
    async with kind.at(server.url, callbacks=[handler]) as model:
        with pytest.raises(ours.ServerError) as caught:
            await ask(model, sync=sync, streaming=streaming)
    assert handler.seen == [caught.value]


@every(CHATS)
async def test_one_failure_in_a_batch_can_be_returned(kind: Kind, server: FaultServer) -> None:
    server.replies(json_reply({}, 500), kind.reply(stream=kind.streams_whole))
    async with kind.at(server.url) as model:
        results: list[Any] = await model.abatch(
            ["a", "b"], {"max_concurrency": 1}, return_exceptions=True
        )
    assert isinstance(results[0], ours.ServerError)
    assert isinstance(results[1], BaseMessage)


@every(MODELS)
def test_an_error_is_neither_raw_json_nor_http_nor_validation(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(Reply(body=b'{"choices": 7, "answer": []}'))
    with kind.at(server.url) as model, pytest.raises(ours.MalformedResponseError) as caught:
        model.invoke("q")
    shown = "".join(traceback.format_exception_only(caught.value))
    assert shown.startswith("langchain_qaip.errors.MalformedResponseError")


def test_every_error_of_the_core_has_one_of_ours() -> None:
    abstract = {"ServiceError", "TransportError", "StatusError", "AnswerError", "for_status"}
    assert set(core.__all__) - abstract <= set(ours.__all__)


def test_an_error_of_a_stream_without_content_is_a_timeout(server: FaultServer) -> None:
    server.replies(sse_reply(b": ping\n\n", end="hang"))
    with (
        PERPLEXITY.at(server.url, stream_idle_timeout=0.1) as model,
        pytest.raises(theirs.ModelTimeoutError),
    ):
        list(model.stream(QUESTION))
