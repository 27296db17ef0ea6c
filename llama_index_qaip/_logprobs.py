"""Log probabilities of both formats: that of chat completions, and the older one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import LogProb

__all__ = ["to_logprobs"]


def to_logprobs(sent: Any) -> list[list[LogProb]] | None:
    """Return the alternatives at each token; the token alone where none were asked for.

    Parameters:
        sent: as it stands on the wire; None, and what is of neither format, gives None.
    """
    try:
        return _read(sent)
    except (AttributeError, TypeError, ValueError):  # an answer is not given up for them
        return None


def _read(sent: Any) -> list[list[LogProb]] | None:
    match sent:
        case {"content": [*tokens]}:
            return [[_entry(t) for t in token.get("top_logprobs") or [token]] for token in tokens]
        case {"tokens": [*tokens], "token_logprobs": [*values], **rest}:
            tops: Any = rest.get("top_logprobs")
            return _older(tops or [{t: v} for t, v in zip(tokens, values, strict=False)])
    return None


def _entry(token: Mapping[str, Any]) -> LogProb:
    return LogProb(
        token=token.get("token") or "",
        logprob=token.get("logprob") or 0.0,
        bytes=token.get("bytes") or [],
    )


def _older(tops: Sequence[Mapping[str, float | None] | None]) -> list[list[LogProb]]:
    """The first token of a text has no probability: it is null on the wire."""
    return [
        [LogProb(token=t, logprob=v or 0.0, bytes=list(t.encode())) for t, v in (top or {}).items()]
        for top in tops
    ]
