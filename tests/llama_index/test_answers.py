"""Every service's wire reaches LlamaIndex whole: by chat and complete, streamed, sync, async."""

from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import CitationBlock, TextBlock, ThinkingBlock
from llama_index.core.llms import ChatMessage, ChatResponse

from llama_index_qaip import ServiceError, ServiceLLM
from support.fault_server import FaultServer
from support.wire import WireCase, cases

from .conftest import FORMS, given_to, llm_of

SPOKEN = [case for case in cases() if (case.service, case.operation) in FORMS]
CASES = [(case, form) for case in SPOKEN for form in FORMS[case.service, case.operation][1]]

every_case = pytest.mark.parametrize(
    ("case", "form"), CASES, ids=[f"{case.id}-{form}" for case, form in CASES]
)
both = pytest.mark.parametrize("mode", ["sync", "async"])


async def ask(llm: ServiceLLM, case: WireCase, form: str, mode: str, seen: list[Any]) -> None:
    """Put every response into `seen`, so that those before an error are known too."""
    name = ("a" if mode == "async" else "") + ("stream_" if case.stream else "") + form
    asked: Any = [ChatMessage("q")] if form == "chat" else "q"
    answer = getattr(llm, name)(asked, **given_to(case))
    if mode == "async":
        answer = await answer
    if not case.stream:
        seen.append(answer)
    elif mode == "async":
        async for response in answer:
            seen.append(response)  # noqa: PERF401 -- an error must not lose them
    else:
        seen.extend(answer)


@both
@every_case
async def test_answer(
    case: WireCase, form: str, mode: str, server: FaultServer, make: Callable[..., ServiceLLM]
) -> None:
    server.replies(case.reply(sizes=None if case.stream else 64))
    llm = make(llm_of(case))
    seen: list[Any] = []
    if case.expected["error"] is None:
        await ask(llm, case, form, mode, seen)
        check_answer(case, form, seen)
    else:
        with pytest.raises(ServiceError) as caught:
            await ask(llm, case, form, mode, seen)
        check_error(case, caught.value, seen)
    await llm.aclose()


def check_answer(case: WireCase, form: str, seen: list[Any]) -> None:
    expected, last = case.expected, seen[-1]
    text = last.message.content if form == "chat" else last.text
    assert text == expected["text"]
    if case.stream:
        joined = "".join(response.delta for response in seen)
        replaced = "replaced_text" in last.additional_kwargs
        assert joined.endswith(text) if replaced else joined == text
        thought = "".join(r.additional_kwargs.get("thinking_delta", "") for r in seen)
        assert thought == (expected["reasoning"] or "")
        assert len({id(response) for response in seen}) == len(seen)
    check_facts(case, last)
    if form == "chat":
        check_message(case, last)
    else:
        assert last.additional_kwargs.get("thinking") == expected["reasoning"]


def check_facts(case: WireCase, last: Any) -> None:
    expected, facts = case.expected, last.additional_kwargs
    assert facts.get("finish_reason") == expected["finish_reason"]
    assert facts.get("id") == expected["id"]
    assert type(last.raw) is dict
    usage = expected["usage"]
    assert facts.get("prompt_tokens") == (usage["input_tokens"] if usage else None)
    assert facts.get("completion_tokens") == (usage["output_tokens"] if usage else None)
    assert facts.get("total_tokens") == (usage["total_tokens"] if usage else None)
    if usage:
        told = last.raw["usage"]  # LlamaIndex's counters read either name
        assert told.get("prompt_tokens", told.get("input_tokens")) == usage["input_tokens"]
    wanted = expected["citations"]
    assert [c["text"] for c in facts["citations"]] == [c.get("text", "") for c in wanted]
    for citation, want in zip(facts["citations"], wanted, strict=True):
        assert citation["id"] == want.get("wire_id", citation["id"])
        assert citation.get("url") == want.get("url")
        assert citation.get("score") == want.get("score")


def check_message(case: WireCase, last: ChatResponse) -> None:
    message, expected = last.message, case.expected
    signed = b'"thought_signature"' in case.body  # of a call, which has no place for it
    assert [*message.additional_kwargs] == ["thought_signatures"] * signed
    kinds = [type(block) for block in message.blocks]
    assert kinds[0] is (ThinkingBlock if expected["reasoning"] else TextBlock)
    assert kinds.count(TextBlock) == 1
    if expected["reasoning"]:
        assert message.blocks[0].content == expected["reasoning"]  # type: ignore[union-attr]
    blocks = [block for block in message.blocks if isinstance(block, CitationBlock)]
    for block, citation in zip(blocks, last.additional_kwargs["citations"], strict=True):
        assert block.source == citation.get("source", citation["id"])
        assert block.cited_content == TextBlock(text=citation["text"])
        place = block.additional_location_info
        first = citation["spans"][0] if citation["spans"] else [None, None]
        assert [place.get("start_index"), place.get("end_index")] == first
        assert place.get("page_number") == citation.get("page_number")
    assert ChatMessage.model_validate_json(message.model_dump_json()) == message


def check_error(case: WireCase, error: ServiceError, seen: list[Any]) -> None:
    failure = case.expected["error"]
    assert failure is not None
    assert failure["message"] in str(error)
    assert error.service == case.service
    assert error.status == (failure.get("body_status") or failure["status"] or error.status)
    assert error.partial_text == (case.expected["partial"] or "")
    if case.stream and failure["status"] is None and not error.partial_text:
        assert not any(response.delta for response in seen)
