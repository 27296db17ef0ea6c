"""Rows about what an answer says beside its text."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.block_translators import get_translator

from support.fault_server import FaultServer, json_reply
from support.peers.asking import holds
from support.peers.check import Check, Group, Part
from support.peers.langchain.asking import STREAM, WHOLE, Way, answered, over, said
from support.peers.replies import Answer, Responses, saying
from support.peers.subject import Subject

__all__ = ["GROUP"]

_THINKING = Answer(reasoning="The chronicle names the year. ")


def _fact(look: Callable[[Any], Any], expected: Any) -> dict[str, Part]:
    """Return the parts of a row that looks at one fact of a message, whole and streamed."""

    def fact(subject: Subject, server: FaultServer, way: Way) -> None:
        found = look(said(subject, server, way))
        assert found == expected, f"{found!r}, not {expected!r}"

    return over(fact)


def _metadata(name: str) -> Callable[[Any], Any]:
    return lambda message: message.response_metadata.get(name)


def _usage_callback(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire))
    with get_usage_metadata_callback() as counted:
        way.ask(subject.chat_model(server))
    assert [u["input_tokens"] for u in counted.usage_metadata.values()] == [11]


def _details(subject: Subject, server: FaultServer, way: Way) -> None:
    """Cached and reasoning tokens, as each service reports them."""
    chat = {
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    sonar = {"reasoning_tokens": 3, "citation_tokens": 9, "num_search_queries": 2}
    usage = sonar if "sonar" in subject.traits else chat
    found = said(subject, server, way, Answer(usage=usage)).usage_metadata
    assert found["output_token_details"].get("reasoning") == 3, found
    if usage is chat:
        assert found["input_token_details"].get("cache_read") == 5, found


def _provider(subject: Subject, server: FaultServer, way: Way) -> None:
    assert said(subject, server, way).response_metadata.get("model_provider")


def _translator(subject: Subject, server: FaultServer) -> None:
    provider = said(subject, server, WHOLE).response_metadata.get("model_provider")
    assert provider, "no model_provider"
    assert get_translator(provider), f"no translator for {provider!r}"


def _id(subject: Subject, server: FaultServer, way: Way) -> None:
    message = said(subject, server, way)
    assert holds([message.id, message.response_metadata], Answer().id), message.id


def _created(subject: Subject, server: FaultServer, way: Way) -> None:
    message = said(subject, server, way)
    assert holds(message.response_metadata, Answer().created)


def _is_reasoned(message: Any) -> None:
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds == ["reasoning", "text"], kinds
    reasoning, text = message.content_blocks
    assert reasoning["reasoning"].strip() == _THINKING.reasoning.strip(), reasoning
    assert text["text"].strip() == _THINKING.text, text


def _reasoned(subject: Subject, server: FaultServer, way: Way) -> None:
    _is_reasoned(said(subject, server, way, _THINKING))


def _reasoned_by_responses(subject: Subject, server: FaultServer) -> None:
    assert subject.id == "openai", "no Responses API"
    for way in (WHOLE, STREAM):
        server.replies(way.reply(Responses(), _THINKING))
        model = subject.chat_model(server, use_responses_api=True, output_version="responses/v1")
        _is_reasoned(way.ask(model))


def _while_streaming(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.stream(_THINKING))
    kinds = [
        block["type"]
        for chunk in subject.chat_model(server).stream("q")
        for block in chunk.content_blocks
    ]
    assert "reasoning" in kinds, "no chunk is reasoning"
    assert kinds == sorted(kinds), f"mixed: {kinds}"


def _while_streaming_by_responses(subject: Subject, server: FaultServer) -> None:
    assert subject.id == "openai", "no Responses API"
    server.replies(Responses().stream(_THINKING))
    model = subject.chat_model(server, use_responses_api=True, output_version="responses/v1")
    kinds = [block["type"] for chunk in model.stream("q") for block in chunk.content_blocks]
    assert "reasoning" in kinds, "no chunk is reasoning"
    assert kinds == sorted(kinds), f"mixed: {kinds}"


def _replayed(subject: Subject, server: FaultServer) -> None:
    message = said(subject, server, WHOLE, _THINKING)
    body_of = subject.chat_model(server)
    body_of.invoke([HumanMessage("q"), message, HumanMessage("and now?")])
    turn = server.requests[1].json()["messages"][1]
    assert turn.get("reasoning_content") == _THINKING.reasoning, turn


def _null_content(subject: Subject, server: FaultServer) -> None:
    body = subject.wire.body(Answer(pieces=("",)))
    body["choices"][0]["message"]["content"] = None
    server.replies(json_reply(body))
    assert subject.chat_model(server).invoke("q").text == ""


def _one_block(subject: Subject, server: FaultServer, way: Way) -> None:
    message = said(subject, server, way, output_version="v1")
    texts = [block for block in message.content if block["type"] == "text"]
    assert [block["text"] for block in texts] == [Answer().text], texts


def _cost(subject: Subject, server: FaultServer, way: Way) -> None:
    message = said(subject, server, way)
    found = [message.response_metadata, message.additional_kwargs]
    assert holds(found, 0.00521), "the total cost is nowhere"


def _extras(subject: Subject, server: FaultServer, way: Way) -> None:
    more = {"related_questions": ["Who lit it?"], "images": [{"image_url": "https://i.example"}]}
    message = said(subject, server, way, Answer(more=more))
    found = [message.response_metadata, message.additional_kwargs]
    assert holds(found, "Who lit it?"), "the further questions are lost"
    assert holds(found, "https://i.example"), "the images are lost"


def _perf(subject: Subject, server: FaultServer, way: Way) -> None:
    answer = Answer(more={"perf_metrics": {"server-processing-time": 0.177}})
    message = said(subject, server, way, answer)
    assert holds([message.response_metadata, message.additional_kwargs], 0.177)


def _response_headers(subject: Subject, server: FaultServer, way: Way) -> None:
    reply = replace(way.reply(subject.wire), headers={"x-ratelimit-remaining-requests": "599"})
    server.replies(reply)
    message = way.ask(subject.chat_model(server))
    assert holds(message.response_metadata, "599"), "the rate limit's header is nowhere"


def _generations(subject: Subject, server: FaultServer) -> None:
    body = subject.wire.body(saying("Amber"))
    (choice,) = body["choices"]
    second = {**choice, "index": 1, "message": {"role": "assistant", "content": "Blue"}}
    server.replies(json_reply({**body, "choices": [choice, second]}))
    model = subject.chat_model(server, n=2)
    ((first, other),) = model.generate([[HumanMessage("q")]]).generations
    assert (first.text, other.text) == ("Amber", "Blue")


def _tool_call_kept(subject: Subject, server: FaultServer) -> None:
    """A message of another model with blocks in its content can be handed on."""
    turn = AIMessage([{"type": "text", "text": "Look."}, {"type": "thinking", "thinking": "hm"}])
    prompt = [HumanMessage("q"), turn, HumanMessage("and?")]
    body = answered(subject.chat_model(server), subject.wire.whole(), server, prompt=prompt)
    sent = json.dumps(body["messages"][1])
    assert "Look." in sent, sent
    assert "thinking" not in sent, sent


_FIREWORKS = frozenset({"fireworks"})
_SONAR = frozenset({"sonar"})

GROUP = Group(
    "Answers",
    (
        Check("usage_callback", "LangChain's usage callback counts it", over(_usage_callback)),
        Check("usage_details", "Cached and reasoning tokens", over(_details)),
        Check(
            "finish_reason",
            "`finish_reason`",
            _fact(_metadata("finish_reason"), "stop"),
            defect_of=frozenset({"perplexity"}),
        ),
        Check(
            "message_id",
            "The service's id of the answer",
            over(_id),
            defect_of=frozenset({"perplexity"}),
            note="As the message's id or in its metadata.",
        ),
        Check(
            "model_name",
            "`model_name` as the service gives it",
            _fact(_metadata("model_name"), "echo-model"),
        ),
        Check("created", "Time of creation", over(_created)),
        Check("model_provider", "`model_provider`", over(_provider)),
        Check("translator", "A content-block translator of its own", {"": _translator}),
        Check(
            "cost",
            "The service's cost",
            over(_cost),
            needs=_SONAR,
            defect_of=frozenset({"perplexity"}),
            note="Mid-stream chunks carry the integer 0, the last one a float.",
        ),
        Check("extras", "Images and further questions", over(_extras), needs=_SONAR),
        Check(
            "perf_metrics", "`perf_metrics`", over(_perf), needs=_FIREWORKS, defect_of=_FIREWORKS
        ),
        Check(
            "response_headers",
            "Rate-limit headers of the response",
            over(_response_headers),
            needs=frozenset({"n"}),
            defect_of=_FIREWORKS,
        ),
        Check(
            "reasoning",
            "Reasoning as a content block",
            over(_reasoned),
            otherwise={"Responses API only": _reasoned_by_responses},
            note="From `reasoning_content`, or from a leading `<think>` block where the service "
            "sends that: exactly one reasoning block and one text block.",
        ),
        Check(
            "reasoning_stream",
            "... while it streams",
            {"": _while_streaming},
            otherwise={"Responses API only": _while_streaming_by_responses},
            note="Chunk by chunk, all reasoning before the text.",
        ),
        Check(
            "reasoning_replayed",
            "Reasoning is sent back with the history",
            {"": _replayed},
            needs=frozenset({"reasoning field"}),
        ),
        Check(
            "foreign_blocks",
            "History of another model is cleaned",
            {"": _tool_call_kept},
            note="A `thinking` block in an earlier AI message is not sent.",
        ),
        Check(
            "null_content",
            "An answer whose content is null",
            {"": _null_content},
            defect_of=frozenset({"perplexity"}),
        ),
        Check("v1_one_block", '`output_version="v1"`: one text block', over(_one_block)),
        Check(
            "two_answers", "`n=2` through `generate`", {"": _generations}, needs=frozenset({"n"})
        ),
    ),
)
