"""What services say, in the protocol of each."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from llama_index_qaip.testing import Answer, Call, Dialect, OpenAIDialect, Request
from support.fault_server import Reply, json_reply, sse_reply

from .conformance.agents import AgentDialect, ConversationDialect, PAISAgentDialect

__all__ = ["sent_turns", "spoken"]

_DIALECTS: Mapping[str, Dialect] = {
    "perplexity-agent": AgentDialect(),
    "pais-agent": PAISAgentDialect(),
    "dify-conversation": ConversationDialect(),
}
_OTHERS = OpenAIDialect()


def spoken(
    service: str,
    form: str,
    text: str = "",
    finish: str = "stop",
    *,
    calls: Iterable[Call] = (),
    size: int = 5,
) -> Reply:
    """Return an answer of a service.

    Parameters:
        form: "whole" or "streamed".
        size: characters of a piece.
    """
    dialect = _DIALECTS.get(service, _OTHERS)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    answer = Answer(pieces=pieces, calls=tuple(calls), finish=finish)
    asked = Request("/", {}, {}, 0)
    if form == "whole":
        return json_reply(dialect.whole(answer, asked))
    events = [*dialect.growing(answer, asked), *dialect.ending(answer, asked)]
    return sse_reply(*(e if isinstance(e, str) else json.dumps(e) for e in events))


def sent_turns(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the turns of a request: who speaks, and what."""
    turns = body.get("messages") or body.get("input") or []
    return [(turn["role"], turn["content"]) for turn in turns if "role" in turn]
