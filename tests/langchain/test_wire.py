"""What a service sends is what LangChain's users get: every wire fixture, whole and streamed."""

from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core import exceptions as theirs
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import GenerationChunk, LLMResult

from langchain_qaip import documents
from langchain_qaip import errors as ours
from qaip_core import errors as core
from support.fault_server import FaultServer
from support.wire import WireCase

from .models import CASES, Kind, merged, of_case

# Several answers are not streamed as one: see test_choices.py.
FIT = [case for case in CASES if not (case.stream and case.request.get("n", 1) > 1)]
SOUND = [case for case in FIT if not case.expected["error"]]
BROKEN = [case for case in FIT if case.expected["error"]]
# What the service takes back cannot be taken back from chunks that were handed out.
TAKEN_BACK = {
    "stream_message_replace_early",
    "stream_message_replace_late",
    "agent_stream_other_text",
}
KINDS: Mapping[str, tuple[type[Exception], type[Exception], type[Exception]]] = {
    "bad_request": (core.BadRequestError, ours.BadRequestError, theirs.ModelInvalidRequestError),
    "authentication": (
        core.AuthenticationError,
        ours.AuthenticationError,
        theirs.ModelAuthenticationError,
    ),
    "permission": (
        core.PermissionDeniedError,
        ours.PermissionDeniedError,
        theirs.ModelPermissionDeniedError,
    ),
    "not_found": (core.NotFoundError, ours.NotFoundError, theirs.ModelNotFoundError),
    "unprocessable": (
        core.UnprocessableEntityError,
        ours.UnprocessableEntityError,
        theirs.ModelInvalidRequestError,
    ),
    "rate_limit": (core.RateLimitError, ours.RateLimitError, theirs.ModelRateLimitError),
    "context_length": (
        core.ContextOverflowError,
        ours.ContextOverflowError,
        theirs.ContextOverflowError,
    ),
    "server": (core.ServerError, ours.ServerError, theirs.ModelAPIError),
    "server_reported_in_stream": (
        core.ServerReportedError,
        ours.ServerReportedError,
        theirs.ModelAPIError,
    ),
    "incomplete": (core.IncompleteStreamError, ours.IncompleteStreamError, theirs.ModelAPIError),
    "malformed": (core.MalformedResponseError, ours.MalformedResponseError, theirs.ModelAPIError),
    "retired": (
        core.EndpointRetiredError,
        ours.EndpointRetiredError,
        theirs.ModelPermissionDeniedError,
    ),
    "model_not_ready": (core.ModelNotReadyError, ours.ModelNotReadyError, theirs.ModelAPIError),
    "payment_required": (
        core.PaymentRequiredError,
        ours.PaymentRequiredError,
        theirs.ModelPermissionDeniedError,
    ),
    "precondition": (
        core.PreconditionFailedError,
        ours.PreconditionFailedError,
        theirs.ModelPermissionDeniedError,
    ),
}


def spoken(cases: list[WireCase], *, chat: bool) -> pytest.MarkDecorator:
    fits = [(of_case(case, chat=chat), case) for case in cases]
    params = [pytest.param(kind, case, id=case.id) for kind, case in fits if kind]
    return pytest.mark.parametrize(("kind", "case"), params)


def made(kind: Kind, case: WireCase, server: FaultServer) -> Any:
    server.replies(case.reply(sizes=61))
    given: dict[str, Any] = {}
    if "model" in kind.params:
        given["model"] = case.request.get("model", "m")
    if kind.service == "dify" and not case.stream:
        given["response_mode"] = "blocking"
    if case.request.get("n", 1) > 1:
        given["n"] = case.request["n"]
    return kind.at(server.url, **given)


async def asked(model: Any, case: WireCase, *, sync: bool) -> Any:
    """Return the answer to a question, streamed where the fixture is a stream."""
    if case.stream:
        chunks = model.stream("q") if sync else model.astream("q")
        return merged(list(chunks) if sync else [c async for c in chunks])
    return model.invoke("q") if sync else await model.ainvoke("q")


async def generated(model: Any, case: WireCase, *, sync: bool) -> tuple[str, Mapping[str, Any]]:
    """Return text and generation_info of a text LLM's answer."""
    if case.stream:
        chunks: list[GenerationChunk] = (
            list(model._stream("q")) if sync else [c async for c in model._astream("q")]
        )
        total = merged(chunks)
        return total.text, total.generation_info
    result: LLMResult = model.generate(["q"]) if sync else await model.agenerate(["q"])
    generation = result.generations[0][0]
    return generation.text, generation.generation_info or {}


def usage_of(message: AIMessage) -> dict[str, int] | None:
    """Return the counts in the words of the fixtures."""
    usage = message.usage_metadata
    if usage is None:
        return None
    known: dict[str, Any] = {
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "cached_tokens": usage.get("input_token_details", {}).get("cache_read"),
        "reasoning_tokens": usage.get("output_token_details", {}).get("reasoning"),
    }
    return {name: count for name, count in known.items() if count is not None}


def sources_of(message: AIMessage) -> list[dict[str, Any]]:
    """Return the sources in the words of the fixtures."""
    names = ("url", "title", "page_number", "score", "date", "file_type")
    return [
        {k: d.metadata[k] for k in names if k in d.metadata}
        | ({"text": d.page_content} if d.page_content else {})
        for d in documents(message)
    ]


def unique(citations: list[Any]) -> list[dict[str, Any]]:
    """Return the expected sources; what a service names twice is one Document."""
    found: list[dict[str, Any]] = []
    for citation in citations:
        known = {k: v for k, v in citation.items() if k != "wire_id"}
        if known not in found:
            found.append(known)
    return found


def check_message(message: AIMessage, case: WireCase) -> None:
    expected = case.expected
    facts = message.response_metadata
    if case.name in TAKEN_BACK and case.stream:
        assert facts["replaced_text"] == expected["text"]
    else:
        assert str(message.text) == expected["text"]
    assert message.additional_kwargs.get("reasoning_content") == expected["reasoning"]
    assert facts.get("finish_reason") == expected["finish_reason"]
    wanted = expected["usage"]
    seen: dict[str, Any] | None = usage_of(message)
    assert (seen and {k: seen.get(k) for k in wanted or seen}) == wanted
    assert sources_of(message) == unique(list(expected["citations"]))
    ids = [c["wire_id"] for c in expected["citations"] if "wire_id" in c]
    assert [d.id for d in documents(message) if d.id in ids] == list(dict.fromkeys(ids))
    if expected["id"]:
        assert message.id == expected["id"]
    else:
        assert (message.id or "").startswith("lc_run-")
    assert facts["model_name"] == (expected["model"] or case.request.get("model", case.service))


@spoken(SOUND, chat=True)
async def test_a_chat_model_says_what_the_wire_says(
    kind: Kind, case: WireCase, server: FaultServer
) -> None:
    async with made(kind, case, server) as model:
        for sync in (True, False):
            message = await asked(model, case, sync=sync)
            assert isinstance(message, AIMessageChunk if case.stream else AIMessage)
            check_message(message, case)


@spoken([case for case in SOUND if case.service == "dify" and case.stream], chat=True)
async def test_a_whole_answer_of_dify_says_what_its_stream_says(
    kind: Kind, case: WireCase, server: FaultServer
) -> None:
    async with made(kind, case, server) as model:
        assert model.invoke("q").text == case.expected["text"]
        assert (await model.ainvoke("q")).text == case.expected["text"]


@spoken(SOUND, chat=False)
async def test_a_text_llm_says_what_the_wire_says(
    kind: Kind, case: WireCase, server: FaultServer
) -> None:
    async with made(kind, case, server) as model:
        for sync in (True, False):
            text, info = await generated(model, case, sync=sync)
            check_generation(text, info, case)


def check_generation(text: str, info: Mapping[str, Any], case: WireCase) -> None:
    expected = case.expected
    taken_back = case.name in TAKEN_BACK and case.stream
    assert (info["replaced_text"] if taken_back else text) == expected["text"]
    assert info.get("finish_reason") == expected["finish_reason"]
    assert info.get("reasoning_content") == expected["reasoning"]
    assert info.get("id") == expected["id"]
    counts = info.get("token_usage")
    wanted = expected["usage"]
    assert (counts and counts["total_tokens"]) == (wanted and wanted["total_tokens"])
    assert [c["text"] for c in info.get("citations", [])] == [
        c.get("text", "") for c in expected["citations"]
    ]


@spoken(BROKEN, chat=True)
async def test_a_failure_of_a_chat_model_is_of_both_families(
    kind: Kind, case: WireCase, server: FaultServer
) -> None:
    failure = case.expected["error"]
    assert failure is not None
    classes = KINDS[failure["kind"]]
    async with made(kind, case, server) as model:
        for sync in (True, False):
            with pytest.raises(classes[1]) as caught:
                await asked(model, case, sync=sync)
            error: Any = caught.value
            assert all(isinstance(error, cls) for cls in classes)
            assert failure["message"] in str(error)
            assert error.partial_text == (case.expected["partial"] or "")
    assert len(server.requests) == 2


@spoken(BROKEN, chat=False)
async def test_a_failure_of_a_text_llm_is_of_both_families(
    kind: Kind, case: WireCase, server: FaultServer
) -> None:
    failure = case.expected["error"]
    assert failure is not None
    classes = KINDS[failure["kind"]]
    async with made(kind, case, server) as model:
        with pytest.raises(classes[1]) as caught:
            await asked(model, case, sync=False)
    assert all(isinstance(caught.value, cls) for cls in classes)
