"""What an answer of Fireworks consists of, before it has a shape."""

from collections.abc import Sequence
from dataclasses import dataclass

from qaip_sandbox._wire import compact
from qaip_sandbox.answers import Generation, generate

__all__ = ["Budget", "Choice", "ToolCall", "as_text", "thought"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, with its arguments as JSON in pieces."""

    id: str
    name: str
    arguments: tuple[str, ...]

    @property
    def json(self) -> str:
        """The arguments as a whole."""
        return "".join(self.arguments)


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an answer: a text, or calls of tools.

    `generation` is the text, and tells why the choice ended; `prompt` are the tokens that it
    answers; `echo` is what comes before it of them, `reasoning` what comes before it in the chat
    shape.
    """

    generation: Generation
    prompt: tuple[str, ...] = ()
    echo: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()

    @property
    def count(self) -> int:
        """The tokens of the choice."""
        arguments = sum(len(call.arguments) for call in self.calls)
        return len(self.reasoning) + len(self.generation.pieces) + arguments

    @property
    def parts(self) -> list[str]:
        """The pieces of the text, the echo's first."""
        return [*self.echo, *self.generation.pieces]

    @property
    def raw(self) -> str:
        """What the model has written, before anything of it was given a field of its own."""
        thoughts = thought("".join(self.reasoning)) if self.reasoning else ""
        return thoughts + self.generation.text + as_text(self.calls)


def thought(text: str) -> str:
    """Return reasoning as it stands before an answer."""
    return f"<think>\n{text}\n</think>\n\n"


def as_text(calls: Sequence[ToolCall]) -> str:
    """Return calls of tools as the JSON that a model writes, one on each line."""
    return "\n".join(
        f'{{"type":"function","name":{_quoted(call.name)},"parameters":{call.json}}}'
        for call in calls
    )


def _quoted(value: str) -> str:
    return compact(value).decode()


class Budget:
    """The tokens that one choice may use; `spent` says that they were too few for the last text.

    Args:
        tokens: How many there are, 0 or more.
        keeps_stop_word: Whether the word that ends a text is part of it.
    """

    def __init__(self, tokens: int, *, keeps_stop_word: bool) -> None:
        self._left = tokens
        self._keeps = keeps_stop_word
        self.spent = False

    def spend(self, text: str, stop: Sequence[str] = ()) -> Generation:
        """Return as much of `text` as the tokens that are left allow."""
        if self._keeps:
            text, stop = _through(text, stop), ()
        generation = generate(text, stop, self._left)
        self._left -= len(generation.pieces)
        self.spent = generation.finish_reason == "length"
        return generation


def _through(text: str, stop: Sequence[str]) -> str:
    """Return `text` up to the end of the stop word that comes first."""
    ends = [(text.find(word), len(word)) for word in stop if word and word in text]
    return text[: sum(min(ends))] if ends else text
