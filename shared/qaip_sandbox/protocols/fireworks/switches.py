"""What can be chosen about Fireworks: its profile, and the switches beside it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from qaip_sandbox.switches import Switches

__all__ = ["Envelope", "FireworksSwitches", "Profile"]

Envelope = Literal["error", "fault", "string", "detail", "html"]
Facts = Literal["bare", "owned", "full"]


class FireworksSwitches(Switches):
    """How Fireworks behaves. A switch that is None is as the profile has it.

    Args:
        profile: How it was at a time. "classic": the 0.x clients' days, UUIDs as ids, 200 tokens
            of chat, unknown fields ignored, the stop word kept; its list of models tells the owner
            too, as clients of that time fail without one. "2025": 2,048 tokens of chat, facts of
            models, both kinds of log-probabilities. "2026": `chatcmpl-` ids, rate and cache
            figures, unknown fields refused.
        usage: Where a stream tells it: with the finish reason, in a trailing chunk that has no
            choices, in both, or nowhere. The trailing chunk comes only to requests with
            `stream_options.include_usage`.
        usage_of_choices: What each of several finish reasons tells: what all choices have used
            so far ("cumulative"), or in all ("equal").
        trailing_choices: Whether the trailing chunk has an empty list of choices, or no such key.
        done: Whether a stream ends with `[DONE]`.
        finish_text: Whether the finish reason comes with the last piece of the text.
        stop_word: Whether the word that stops an answer is part of it.
        content: "missing" leaves the key `content` out of every message, with the text.
        calls: Whether calls of tools have a field of their own, or stand as JSON in the content.
        reasoning: Whether it has a field of its own, or stands in the content as `<think>`.
        strict: Whether unknown fields of a request are refused; else they are ignored.
        longest_whole: The largest `max_tokens` without a stream, 1 or more; None for no limit.
        context: The tokens that a prompt and its answer may have together, 1 or more.
        cached: How many tokens of each prompt are told to come from a cache, 0 or more.
        models: What a list of models tells of each: "bare" (three fields), "owned" (the owner
            too), "full"; "failing" is status 500.
        envelope: How an error is told: an object or a string in "error", an Apigee "fault", a
            FastAPI "detail", or an HTML page.
    """

    profile: Literal["classic", "2025", "2026"] = "2026"
    usage: Literal["finish", "trailing", "both", "none"] = "finish"
    usage_of_choices: Literal["cumulative", "equal"] = "cumulative"
    trailing_choices: Literal["empty", "missing"] = "empty"
    done: bool = True
    finish_text: bool = False
    stop_word: Literal["cut", "kept"] | None = None
    content: Literal["sent", "missing"] = "sent"
    calls: Literal["field", "content"] = "field"
    reasoning: Literal["field", "content"] = "field"
    strict: bool | None = None
    longest_whole: Annotated[int, Field(ge=1)] | None = 4096
    context: Annotated[int, Field(ge=1)] = 131072
    cached: Annotated[int, Field(ge=0)] = 0
    models: Literal["bare", "owned", "full", "failing"] | None = None
    envelope: Envelope | None = None

    @property
    def facts(self) -> "Profile":
        """What the profile consists of."""
        return _PROFILES[self.profile]

    @property
    def refuses_unknown(self) -> bool:
        """Whether unknown fields are refused."""
        return self.facts.strict if self.strict is None else self.strict

    @property
    def keeps_stop_word(self) -> bool:
        """Whether a stop word is part of the answer."""
        return (self.stop_word or self.facts.stop_word) == "kept"


@dataclass(frozen=True, slots=True)
class Profile:
    """What the service was at a time.

    `chat_tokens` are those of a chat without a limit; `newer` are fields of requests that it did
    not know yet. `calls_at_once` says that a call of a tool is streamed in one piece, in messages
    whose content is null; `details` that answers have what was added in 2026: token ids, cached
    tokens, rate limits, request ids.
    """

    chat_tokens: int
    strict: bool
    stop_word: Literal["cut", "kept"]
    models: Facts
    unauthorised: Envelope
    newer: frozenset[str] = frozenset()
    calls_at_once: bool = False
    only_legacy_logprobs: bool = False
    sampling_header: bool = True
    ranking: Literal["results", "data"] = "results"
    details: bool = False


_NEW_IN_2026 = frozenset({"return_token_ids"})
_NEW_IN_2025 = frozenset(
    {"perf_metrics_in_response", "raw_output", "reasoning_effort", "reasoning_history", "thinking"}
)

_PROFILES = {
    "classic": Profile(
        chat_tokens=200,
        strict=False,
        stop_word="kept",
        models="owned",
        unauthorised="fault",
        newer=_NEW_IN_2025 | _NEW_IN_2026,
        calls_at_once=True,
        only_legacy_logprobs=True,
        sampling_header=False,
    ),
    "2025": Profile(
        chat_tokens=2048,
        strict=False,
        stop_word="cut",
        models="full",
        unauthorised="error",
        newer=_NEW_IN_2026,
    ),
    "2026": Profile(
        chat_tokens=2048,
        strict=True,
        stop_word="cut",
        models="full",
        unauthorised="error",
        ranking="data",
        details=True,
    ),
}
