"""Qaip: answers from indexed documents, with their sources.

Vendor page: https://docs.qaip.com (API reference, Completions)

Streams are asked for as AG-UI events, which the vendor documents, or as plain text, whose lines
it does not. The decoder decides by what arrives: events, lines of JSON (pieces or cumulative),
or raw text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qaip_core.backend import Endpoint
from qaip_core.backends._prompts import as_turns, turn
from qaip_core.backends.qaip._answers import (
    READER,
    SaidChoice,
    Sources,
    content_of,
    facts_of,
    is_error,
    with_web,
)
from qaip_core.backends.qaip._service import QAIP
from qaip_core.backends.qaip._stream import Decoder
from qaip_core.backends.qaip.params import QaipParams
from qaip_core.errors import InvalidParameterError, MalformedResponseError
from qaip_core.framing import SSE, Framing, Sniffer, Whole
from qaip_core.reading import Notes, finite, noted, seconds
from qaip_core.report import stream_error
from qaip_core.types import Choice, Completion, Prompt

__all__ = ["COMPLETIONS"]

_LOCAL = frozenset({"stream_content", "stream_protocol"})
_NEEDS = (
    ("parent_message_id", "conversation_id"),
    ("regenerate", "parent_message_id"),
    ("include_redacted_input", "redaction_policy_id"),
)
"""Parameters that mean nothing without another."""

_NOT_PLAIN = ("include_retrieved", "include_redacted_input")


def _decode(body: Any) -> Completion:
    notes: Notes = {}
    answer = READER.body(body, notes)
    if is_error(answer):
        raise stream_error(body, QAIP.rules)
    choices = answer.get("choices")
    if not choices:
        raise MalformedResponseError("the body holds no choices", body=body)
    sources = Sources()
    sources.add(answer.get("citations"), notes, "citations")
    for place, choice in enumerate(choices):
        sources.add(choice.get("citations"), notes, f"choices.{place}.citations")
    created = seconds(answer.get("created"), notes, "created")
    facts = facts_of(answer)
    citations = with_web(sources.citations(), facts, notes, "choices.0.")
    return Completion(
        [_whole_choice(place, choice) for place, choice in enumerate(choices)],
        created=created,
        citations=citations,
        metadata=noted(facts, notes),
        raw=finite(body),
    )


def _whole_choice(place: int, choice: SaidChoice) -> Choice:
    index = choice.get("index")
    reason = choice.get("finish_reason") or None
    return Choice(content_of(choice)[0], place if index is None else index, "", reason)


def _framing(media_type: str) -> Framing:
    if media_type == "application/json":  # the service ignored the wish for a stream
        return Whole()
    return SSE() if media_type == "text/event-stream" else Sniffer(lines=True)


def _encode(prompt: Prompt, params: dict[str, Any], stream: bool) -> dict[str, Any]:
    for name, needed in _NEEDS:
        if params.get(name) and not params.get(needed):
            raise InvalidParameterError(f"{QAIP.title}: {name} needs {needed}")
    if stream and params.get("stream_protocol") == "plain":
        for name in _NOT_PLAIN:
            if params.get(name):
                raise InvalidParameterError(
                    f"{QAIP.title}: a plain stream cannot carry what {name} asks for; "
                    'stream_protocol="events" can'
                )
    body = {k: v for k, v in params.items() if k not in _LOCAL}
    messages = [turn(m, QAIP.title) for m in as_turns(prompt)]
    return {**body, "messages": messages, **({"stream": True} if stream else {})}


def _accept(params: Mapping[str, Any]) -> str:
    """Return the header by which the service chooses the form of a stream."""
    wants_events = params.get("stream_protocol", "events") == "events"
    return "text/event-stream" if wants_events else "application/json"


COMPLETIONS = Endpoint(
    backend=QAIP,
    path="/completions",
    params=QaipParams,
    encode=_encode,
    decode=_decode,
    decoder=Decoder,
    framing=_framing,
    accept=_accept,
    cites=True,
    model="qaip",
)
