"""Rows about text LLMs: a prompt in, a text out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from langchain_core import exceptions as theirs

from support.fault_server import FaultServer, sse_reply
from support.peers.asking import error_of, holds
from support.peers.check import Check, Group
from support.peers.langchain.asking import WAYS, Way, over
from support.peers.replies import Answer, Completions, refusal
from support.peers.subject import Subject

__all__ = ["GROUP"]

_LOGPROBS = {"tokens": ["The"], "token_logprobs": [-0.25], "top_logprobs": [], "text_offset": [0]}


def _streams(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.text_wire.stream())
    pieces = list(subject.text_model(server).stream("Once"))
    assert "".join(pieces) == Answer().text
    assert len([piece for piece in pieces if piece]) >= 2, "it came as one piece"


def _cut(subject: Subject, server: FaultServer) -> None:
    server.replies(sse_reply(*subject.text_wire.events(Answer(finish=None))))
    model = subject.text_model(server)
    error_of(lambda: list(model.stream("Once")))
    assert server.requests[0].json().get("stream"), "it did not ask for a stream"


def _facts(subject: Subject, server: FaultServer, way: Way, **given: Any) -> Any:
    """All that is known of an answer: what a callback or a caller of generate() sees."""
    server.replies(way.reply(subject.text_wire))
    model = subject.text_model(server, **given)
    if way.streaming:
        return [chunk.generation_info for chunk in model._stream("Once")]
    result = model.generate(["Once"])
    return [result.llm_output, result.generations[0][0].generation_info]


def _finish(subject: Subject, server: FaultServer, way: Way) -> None:
    assert holds(_facts(subject, server, way), "stop"), "no finish_reason"


def _usage(subject: Subject, server: FaultServer, way: Way) -> None:
    assert holds(_facts(subject, server, way), Answer().prompt_tokens), "no token counts"


def _logprobs(subject: Subject, server: FaultServer) -> None:
    server.replies(Completions(_LOGPROBS).whole())
    model = subject.text_model(server, logprobs=1)
    result = model.generate(["Once"])
    assert server.requests[0].json().get("logprobs") == 1, "logprobs was not asked for"
    assert holds(result.generations[0][0].generation_info, -0.25)


def _further(subject: Subject, server: FaultServer) -> None:
    way = {
        "openai": {"extra_body": {"min_p": 0.1}},
        "fireworks": {"model_kwargs": {"min_p": 0.1}},
    }.get(subject.id, {"min_p": 0.1})
    server.replies(Completions().whole())
    subject.text_model(server, **way).invoke("Once")
    assert server.requests[0].json().get("min_p") == 0.1, "min_p was not sent"


def _rate_limit(subject: Subject, server: FaultServer) -> None:
    server.replies(refusal(429, "slower"))
    model = subject.text_model(server)
    error = error_of(lambda: model.invoke("Once"))
    assert isinstance(error, theirs.ModelRateLimitError), type(error)


def _says(subject: Subject, server: FaultServer) -> None:
    server.replies(refusal(400, "n is out of range"))
    model = subject.text_model(server)
    error = error_of(lambda: asyncio.run(model.ainvoke("Once")))
    assert "n is out of range" in str(error), error


def _repeated(subject: Subject, server: FaultServer) -> None:
    busy = replace(refusal(503, "busy"), headers={"retry-after-ms": "20"})
    server.replies(busy, subject.text_wire.whole())
    assert subject.text_model(server, max_retries=1).invoke("Once") == Answer().text


_FIREWORKS = frozenset({"fireworks"})
_TOKENS = frozenset({"tokens"})

GROUP = Group(
    "Text LLMs",
    (
        Check(
            "text_stream",
            "Streams",
            {"": _streams},
            defect_of=_FIREWORKS,
            note="langchain-perplexity has no text LLM.",
        ),
        Check(
            "text_cut",
            "A stream that is cut raises",
            {"": _cut},
            defect_of=frozenset({"openai", "fireworks"}),
        ),
        Check("text_finish", "`finish_reason`", over(_finish, *WAYS), defect_of=_FIREWORKS),
        Check("text_usage", "Token counts", over(_usage, *WAYS), defect_of=_FIREWORKS),
        Check("text_logprobs", "`logprobs`", {"": _logprobs}, needs=_TOKENS, defect_of=_FIREWORKS),
        Check(
            "text_further",
            "Further parameters of the service",
            {"": _further},
            needs=_TOKENS,
            defect_of=_FIREWORKS,
        ),
        Check(
            "text_429",
            "429 is LangChain's `ModelRateLimitError`",
            {"": _rate_limit},
            defect_of=_FIREWORKS,
        ),
        Check(
            "text_async_error",
            "An async error says what the service said",
            {"": _says},
            defect_of=_FIREWORKS,
        ),
        Check("text_retries", "503 is repeated", {"": _repeated}, defect_of=_FIREWORKS),
    ),
)
