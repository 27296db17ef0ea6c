"""What a run says, step by step: its pieces, what is taken back, and what it costs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from qaip_sandbox.answers import generate

from .failures import failure_of
from .profiles import profile_of
from .switches import DifySwitches

__all__ = ["PRESET", "REPLACE", "TEXT", "Script", "heard", "script_of"]

TEXT = "message"
REPLACE = "message_replace"
PRESET = "This cannot be answered here."
"""What moderation says in place of an answer."""

_DRAFT = "Let me look that up. "
_THOUGHTS = ("<think>", "The documents ", "say it.", "</think>\n\n")


@dataclass(frozen=True, slots=True)
class Script:
    """The steps of an answer: names of events with their text, and the text that remains.

    `completion` is how many tokens it is billed as; None where the run counts as cut short.
    `modelled` is off where no model was asked.
    """

    steps: tuple[tuple[str, str], ...]
    text: str
    completion: int | None
    modelled: bool = True


def heard(steps: Iterable[tuple[str, str]]) -> str:
    """Return the text that is left after these steps."""
    text = ""
    for name, piece in steps:
        text = piece if name == REPLACE else text + piece
    return text


def script_of(switches: DifySwitches, text: str) -> Script:
    """Return how `text` is said under these switches: up to its failure, where it fails."""
    script = _meant(switches, text)
    if failure_of(switches) is None:
        return script
    said = script.steps[: switches.failure_after]
    return replace(script, steps=said, text=heard(said))


def _meant(switches: DifySwitches, text: str) -> Script:
    if switches.moderation == "input":
        return Script(tuple((TEXT, c) for c in PRESET), PRESET, 0, modelled=False)
    script = _plain(switches, text)
    if switches.moderation != "off":
        return _moderated(switches, script)
    return _redrafted(switches, script) if switches.replace != "never" else script


def _plain(switches: DifySwitches, text: str) -> Script:
    pieces = () if switches.empty else generate(text).pieces
    if switches.separators:
        pieces = (*pieces, "\u2028\u2029\x85")
    if switches.think:
        pieces = (*_THOUGHTS, *pieces)
    steps = tuple((TEXT, piece) for piece in (*pieces, ""))  # a model's last chunk has no text
    return Script(steps, "".join(pieces), len(pieces))


def _moderated(switches: DifySwitches, script: Script) -> Script:
    times = 2 if profile_of(switches).closes_twice else 1
    if switches.moderation == "harmless":
        # Only the release that repeats itself also confirms what it lets pass.
        closing = ((REPLACE, script.text),) * (times - 1)
        return replace(script, steps=script.steps + closing)
    said = script.steps[: max(1, len(script.steps) // 2)]
    return Script((*said, *((REPLACE, PRESET),) * times), PRESET, None)


def _redrafted(switches: DifySwitches, script: Script) -> Script:
    draft = ((TEXT, _DRAFT),)
    if switches.replace == "late":
        return replace(script, steps=(*draft, *script.steps, (REPLACE, script.text)))
    (_, first), *rest = script.steps
    return replace(script, steps=(*draft, (REPLACE, first), *rest))
