"""The figures of an answer: in its headers, and in its body for those who ask."""

import json
from collections.abc import Mapping, Sequence

from qaip_sandbox._wire import Json
from qaip_sandbox.physics import Physics
from qaip_sandbox.text import pieces

from .choice import Choice
from .sampling import Sampling
from .switches import FireworksSwitches

__all__ = ["headers", "metrics"]

_SECONDS = 0.001
_DEFAULTS = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "repetition_penalty": 1.0,
    "mirostat_target": None,
    "mirostat_lr": 0.1,
}
# What an account may use in a minute, and what of an answer is taken from it.
_LIMITS = {
    "requests": 6_000,
    "tokens-prompt": 600_000,
    "tokens-generated": 60_000,
    "tokens-cache-adjusted-prompt": 600_000,
}


def metrics(
    request: Sampling,
    switches: FireworksSwitches,
    physics: Physics,
    prompt: int,
    choices: Sequence[Choice],
) -> dict[str, Json]:
    """Return the figures of an answer, named as in its headers, but for their prefix.

    Args:
        request: What it answers.
        switches: How the service behaves.
        physics: How fast it is.
        prompt: The tokens of all prompts.
        choices: What it says.
    """
    found: dict[str, Json] = {"prompt-tokens": prompt}
    if switches.facts.details:
        found["cached-prompt-tokens"] = min(switches.cached, prompt)
    if switches.facts.sampling_header:
        found["speculation-generated-tokens"] = 0
    guess = request.guess
    if guess:
        found["speculation-prompt-tokens"] = len(_tokens(guess))
        found["speculation-prompt-matched-tokens"] = max(_matched(guess, c) for c in choices)
    first = round(physics.first_token + _SECONDS, 3)
    if request.stream:
        found["server-time-to-first-token"] = first
    rate, count = physics.tokens_per_second, sum(choice.count for choice in choices)
    between = max(count - 1, 0) / rate if rate else 0.0
    found["server-processing-time"] = round(first + between, 3)
    return found


def headers(
    request: Sampling,
    switches: FireworksSwitches,
    figures: Mapping[str, Json],
    limit: int,
    generated: int,
) -> dict[str, str]:
    """Return the headers of an answer, without those that only a whole one can have.

    Args:
        request: What it answers.
        switches: How the service behaves.
        figures: What `metrics` tells.
        limit: The tokens that each choice may have.
        generated: The tokens that all have, 0 for a stream that only begins.
    """
    late = ("server-processing-time", "speculation-prompt-matched-tokens")
    found = {
        f"fireworks-{name}": str(value)
        for name, value in figures.items()
        if not (request.stream and name in late)
    }
    if switches.facts.sampling_header:
        found["fireworks-middleware-version"] = "v2"
        found["fireworks-sampling-options"] = _options(request, limit)
    if switches.facts.details:
        adjusted = figures["prompt-tokens"] - figures["cached-prompt-tokens"]
        found |= _rates((1, figures["prompt-tokens"], generated, adjusted))
    return found


def _options(request: Sampling, limit: int) -> str:
    given = request.model_dump(include=set(_DEFAULTS), exclude_none=True)
    return json.dumps({"max_tokens": limit, **_DEFAULTS, **given})


def _rates(used: Sequence[int]) -> dict[str, str]:
    found: dict[str, str] = {}
    for (name, limit), count in zip(_LIMITS.items(), used, strict=True):
        found[f"x-ratelimit-limit-{name}"] = str(limit)
        found[f"x-ratelimit-remaining-{name}"] = str(max(limit - count, 0))
    return {**found, "x-ratelimit-over-limit": "no"}


def _tokens(guess: str | list[int]) -> list[str]:
    return pieces(guess) if isinstance(guess, str) else [str(number) for number in guess]


def _matched(guess: str | list[int], choice: Choice) -> int:
    """Count the tokens at the beginning of a guess that the choice begins with, too."""
    same = [a == b for a, b in zip(_tokens(guess), choice.generation.pieces, strict=False)]
    return (*same, False).index(False)
