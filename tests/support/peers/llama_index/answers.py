"""Rows about what an answer says."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import ChatMessage

from support.fault_server import FaultServer, json_reply
from support.peers.asking import holds
from support.peers.check import Check, Group
from support.peers.llama_index.asking import (
    CHAT,
    CHATS,
    COMPLETE,
    COMPLETES,
    STREAM,
    STREAM_COMPLETE,
    Way,
    known,
    over,
    said,
    tells,
)
from support.peers.replies import SOURCES, Answer, ChatCompletions, Completions
from support.peers.subject import Subject

__all__ = ["GROUP"]

_THINKING = Answer(reasoning="The chronicle names the year. ")
_FOUR = (CHAT, STREAM, COMPLETE, STREAM_COMPLETE)
_STREAMS = (STREAM, STREAM_COMPLETE)


def _answers(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.served(subject))
    found = way.text(subject.chat_model(server))
    assert found == Answer().text, found


def _grows(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.served(subject))
    so_far = ""
    for response in way.all(subject.chat_model(server)):
        so_far += response.delta or ""
        assert way.said_by(response) == so_far
    assert so_far == Answer().text, so_far


# What OpenAI's users write to be told the counts of a stream; the others are told in any case.
_ASKING: dict[str, Any] = {"additional_kwargs": {"stream_options": {"include_usage": True}}}
_ASKED = ChatCompletions(usage="trailing")


def _asking(
    subject: Subject, server: FaultServer, way: Way, answer: Answer | None = None, **given: Any
) -> Any:
    """Return the whole response; OpenAI's service was asked for the counts."""
    if subject.id != "openai":
        return said(subject, server, way, answer, **given)
    server.replies(way.reply(_ASKED, answer))
    return way.ask(subject.chat_model(server, **_ASKING, **given))


def _counted(subject: Subject, server: FaultServer, way: Way) -> None:
    _is_counted(said(subject, server, way))


def _is_counted(response: Any) -> None:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    found = tuple(response.additional_kwargs.get(name) for name in names)
    assert found == (11, 7, 18), found


def _counter() -> TokenCountingHandler:
    return TokenCountingHandler(tokenizer=lambda text: [0] * 1000)  # estimates shall stand out


def _handled(subject: Subject, server: FaultServer, way: Way) -> None:
    counter = _counter()
    said(subject, server, way, callback_manager=CallbackManager([counter]))
    _is_exact(counter)


def _is_exact(counter: TokenCountingHandler) -> None:
    found = (counter.prompt_llm_token_count, counter.completion_llm_token_count)
    assert found == (11, 7), found


def _counted_if_asked(subject: Subject, server: FaultServer) -> None:
    assert subject.id == "openai", "the service does not wait to be asked"
    _is_counted(_asking(subject, server, STREAM))


def _handled_if_asked(subject: Subject, server: FaultServer) -> None:
    assert subject.id == "openai", "the service does not wait to be asked"
    counter = _counter()
    _asking(subject, server, STREAM, callback_manager=CallbackManager([counter]))
    _is_exact(counter)


def _last(subject: Subject, server: FaultServer, way: Way) -> None:
    found = known(_asking(subject, server, way))
    wanted = ["stop", 11, 7, *([0.00521, SOURCES[1]["url"]] if "sonar" in subject.traits else [])]
    missing = [value for value in wanted if not holds(found, value)]
    assert not missing, f"the last response does not tell {missing}"


def _details(subject: Subject, server: FaultServer, way: Way) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 3}}
    usage = {"reasoning_tokens": 3} if "sonar" in subject.traits else details
    assert holds(known(_asking(subject, server, way, Answer(usage=usage))), 3), "nowhere"


_MORE = Answer(
    more={"related_questions": ["Who lit it?"], "images": [{"image_url": "https://i.example"}]}
)


def _extras(subject: Subject, server: FaultServer, way: Way) -> None:
    found = known(said(subject, server, way, _MORE))
    assert holds(found, "Who lit it?"), "the further questions are lost"
    assert holds(found, "https://i.example"), "the images are lost"


def _thinks(subject: Subject, server: FaultServer, way: Way) -> None:
    blocks = said(subject, server, way, _THINKING).message.blocks
    kinds = [b.block_type for b in blocks if b.block_type in ("thinking", "text")]
    assert kinds == ["thinking", "text"], kinds
    assert blocks[0].content.strip() == _THINKING.reasoning.strip(), blocks[0]
    assert blocks[1].text.strip() == _THINKING.text, blocks[1]


def _thinking_delta(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.stream(_THINKING))
    responses = STREAM.all(subject.chat_model(server))
    thoughts = "".join(r.additional_kwargs.get("thinking_delta") or "" for r in responses)
    assert thoughts.strip() == _THINKING.reasoning.strip(), thoughts
    text = "".join(r.delta or "" for r in responses)
    assert text.strip() == _THINKING.text, text


def _think_apart(subject: Subject, server: FaultServer, way: Way) -> None:
    text = way.said_by(said(subject, server, way, _THINKING))
    assert text.strip() == Answer().text, text


_TOKEN: dict[str, Any] = {"token": "The", "logprob": -0.25, "bytes": [84], "top_logprobs": []}
_TOKEN["top_logprobs"] = [dict(_TOKEN)]
_WISH = {"logprobs": True, "top_logprobs": 1}
_PROBABLE = ChatCompletions(usage="finish", logprobs={"content": [_TOKEN]})
_OLDER = {"tokens": ["The"], "token_logprobs": [-0.25], "top_logprobs": [{"The": -0.25}]}


def _logprobs(subject: Subject, server: FaultServer, way: Way, **wish: Any) -> None:
    server.replies(way.reply(_PROBABLE))
    model = subject.chat_model(server, **(wish or _WISH))
    responses = [r for r in way.all(model) if r.logprobs]
    assert responses, "no logprobs"
    _probable(responses[0])
    assert server.requests[0].json().get("logprobs") is True


def _further_logprobs(subject: Subject, server: FaultServer) -> None:
    _logprobs(subject, server, CHAT, **subject.by("further", _WISH))


def _text_logprobs(subject: Subject, server: FaultServer) -> None:
    server.replies(Completions({**_OLDER, "text_offset": [0]}).whole())
    wish = _WISH if subject.id == "openai" else {"logprobs": 1}
    response = subject.text_model(server, **wish).complete("Once")
    assert response.logprobs, "no logprobs"
    _probable(response)


def _probable(response: Any) -> None:
    found = response.logprobs[0]
    first = found[0] if isinstance(found, list) else found
    assert (first.token, first.logprob) == ("The", -0.25), first


def _null_content(subject: Subject, server: FaultServer) -> None:
    body = subject.wire.body(Answer(pieces=("",)))
    body["choices"][0]["message"]["content"] = None
    server.replies(json_reply(body))
    message = subject.chat_model(server).chat([ChatMessage("q")]).message
    assert not message.content


def _prompt_clean(subject: Subject, server: FaultServer, way: Way) -> None:
    """`messages_to_prompt` writes a message's own `additional_kwargs` into the prompt."""
    message = said(subject, server, way).message
    prompt = messages_to_prompt([message])
    assert prompt.splitlines() == [f"assistant: {Answer().text}", "assistant: "], prompt


def _dumped(subject: Subject, server: FaultServer, way: Way) -> None:
    response = said(subject, server, way)
    again = type(response).model_validate_json(response.model_dump_json())
    assert way.said_by(again) == Answer().text


def _perf(subject: Subject, server: FaultServer, way: Way) -> None:
    answer = Answer(more={"perf_metrics": {"server-processing-time": 0.177}})
    assert holds(known(said(subject, server, way, answer)), 0.177)


_SONAR = frozenset({"sonar"})
_PERPLEXITY = frozenset({"perplexity"})

GROUP = Group(
    "Answers",
    (
        Check(
            "answers",
            "All eight calls answer",
            over(_answers, *CHATS, *COMPLETES),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "grows",
            "Each response of a stream holds all before it, and its `delta`",
            over(_grows, *_STREAMS),
        ),
        Check(
            "finish_reason",
            "`finish_reason`",
            over(tells("stop"), *_FOUR),
            defect_of=_PERPLEXITY,
            note="Anywhere in the last response, `raw` included.",
        ),
        Check(
            "last",
            "The last response of a stream tells all",
            over(_last, *_STREAMS),
            defect_of=frozenset({"openai", "perplexity"}),
            note="`finish_reason`, token counts, cost and sources, as far as the service sends "
            "them; of OpenAI the counts were asked for (`stream_options`). End events and "
            "handlers see this response only.",
        ),
        Check(
            "usage",
            "Token counts in `additional_kwargs`",
            over(_counted, CHAT, COMPLETE),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "usage_stream",
            "... at the end of a stream",
            over(_counted, *_STREAMS),
            otherwise={"with `stream_options`": _counted_if_asked},
            defect_of=_PERPLEXITY,
            note="OpenAI's service reports them in a stream only if it is asked to.",
        ),
        Check(
            "token_counter",
            "`TokenCountingHandler` counts what the service counted",
            over(_handled, CHAT, COMPLETE),
        ),
        Check(
            "token_counter_stream",
            "... in a stream too",
            over(_handled, *_STREAMS),
            otherwise={"with `stream_options`": _handled_if_asked},
            defect_of=_PERPLEXITY,
        ),
        Check("usage_details", "Reasoning tokens", over(_details)),
        Check(
            "id",
            "The service's id of the answer",
            over(tells(Answer().id), *_FOUR),
        ),
        Check(
            "cost",
            "The service's cost",
            over(tells(0.00521), *_FOUR),
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check("extras", "Images and further questions", over(_extras), needs=_SONAR),
        Check("perf_metrics", "`perf_metrics`", over(_perf), needs=frozenset({"fireworks"})),
        Check(
            "thinking",
            "Reasoning as a `ThinkingBlock`",
            over(_thinks),
            defect_of=_PERPLEXITY,
            note="From `reasoning_content`, or from a leading `<think>` block where the service "
            "sends that.",
        ),
        Check(
            "thinking_delta",
            "... as `thinking_delta` while it streams",
            {"": _thinking_delta},
            defect_of=_PERPLEXITY,
        ),
        Check(
            "thinking_apart",
            "... and not in the text",
            over(_think_apart, CHAT, STREAM, COMPLETE),
            needs=_SONAR,
            defect_of=_PERPLEXITY,
        ),
        Check(
            "logprobs",
            "`logprobs`",
            over(_logprobs),
            needs=frozenset({"tokens"}),
            otherwise={"whole, by `additional_kwargs`": _further_logprobs},
        ),
        Check(
            "text_logprobs",
            "... of a text completion",
            {"": _text_logprobs},
            needs=frozenset({"text endpoint"}),
        ),
        Check("null_content", "An answer whose content is null", {"": _null_content}),
        Check(
            "prompt_clean",
            "Later prompts hold nothing but its text",
            over(_prompt_clean),
            note="`messages_to_prompt` of the answer's message.",
        ),
        Check("dumped", "Responses survive JSON", over(_dumped, *_FOUR)),
    ),
)
