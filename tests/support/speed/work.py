"""What one event and one call cost in each way of asking, counted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from support.faults.speech import Speech
from support.faults.subjects import Subject
from support.speed.asked import STREAMED, WHOLE, Asked, answered, asked, changing, streamed
from support.speed.canned import Canned
from support.speed.counting import Counted

__all__ = ["CALLS", "EVENTS", "Case", "Work", "measure", "work_of_events"]

_STEADY = 10, 40  # the events from which on and up to which a stream is in its steady state


@dataclass(frozen=True)
class Work:
    """What an event or a call costs; see `support.speed.counting.Counted`.

    instructions: by function, of those that run at least one.
    """

    instructions: Mapping[str, float]
    calls: float
    anywhere: float
    dear: Mapping[str, float]

    @property
    def total(self) -> float:
        """All instructions in our packages."""
        return sum(self.instructions.values())

    def by_module(self) -> "Work":
        """Return the same by modules: a call runs through so many functions."""
        modules: Counter[str] = Counter()
        for name, count in self.instructions.items():
            modules[name.partition(":")[0]] += count  # type: ignore[assignment]
        return replace(self, instructions=dict(modules))

    def largest(self, count: int) -> Iterator[str]:
        """Tell which functions cost most."""
        for name, most in _sorted(self.instructions)[:count]:
            yield f"{most:6.0f} {name}"

    def grown(self, then: "Work", count: int) -> Iterator[str]:
        """Tell what has grown most since an earlier count, by functions or by modules."""
        kept_by_module = not any(":" in name for name in then.instructions)
        now = self.by_module() if kept_by_module else self
        more = {name: n - then.instructions.get(name, 0) for name, n in now.instructions.items()}
        for name, grown in _sorted({name: n for name, n in more.items() if n > 0})[:count]:
            yield f"{grown:+6.0f} {name}, now {now.instructions[name]:.0f}"
            if kept_by_module:
                its = {f: n for f, n in self.instructions.items() if f.startswith(f"{name}:")}
                yield "       most of it in " + ", ".join(
                    f"{function.partition(':')[2]} {n:.0f}" for function, n in _sorted(its)[:4]
                )


def _sorted(counts: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(counts.items(), key=lambda item: -item[1])


class Case(NamedTuple):
    """A way of asking, and how its service writes the stream; None for one whole answer."""

    subject: Subject
    speech: Speech | None = None

    @property
    def name(self) -> str:
        alone = self.speech is None or [self.speech] == self.subject.speeches
        return self.subject.name if alone else f"{self.subject.name}, {self.speech}"


_CHANGING = (  # events that are all alike may be read in a shorter way
    "fireworks chat.stream",
    "pais completions.stream async",
    "perplexity chat.stream",
    "ChatFireworks.stream",
    "ChatPerplexity.astream",
    "PerplexityLLM.stream",
    "Fireworks.astream_chat",
    "Perplexity.stream_complete",
)
EVENTS: Sequence[Case] = [
    *(Case(s, speech) for s in STREAMED for speech in s.speeches),
    *(Case(s, changing(s.speeches[0])) for s in STREAMED if s.name in _CHANGING),
]
CALLS: Sequence[Case] = [Case(s) for s in WHOLE]


def measure(case: Case, server: Canned) -> Work:
    """Count the work of one event in the middle of a stream, or of one whole call."""
    with asked(case.subject, server) as asking:
        if case.speech:
            (work,) = work_of_events(asking, streamed(case.speech, 50), _STEADY)
            return work
        with Counted() as counted:
            asking.ask(answered(case.subject))
        return _each(counted, 1)


def work_of_events(asking: Asked, answer: bytes, *windows: tuple[int, int]) -> list[Work]:
    """Count the work of an event within each window, from one piece to another, of a stream."""
    found = [Counted() for _ in windows]
    starts = {first: counted for (first, _), counted in zip(windows, found, strict=True)}
    stops = {last: counted for (_, last), counted in zip(windows, found, strict=True)}

    def look(number: int) -> None:
        if number in stops:
            stops[number].__exit__()
        if number in starts:
            starts[number].__enter__()

    asking.ask(answer, look)
    return [_each(c, last - first) for c, (first, last) in zip(found, windows, strict=True)]


def _each(counted: Counted, count: int) -> Work:
    def each(counts: Mapping[str, int]) -> dict[str, float]:
        found = {name: round(n / count, 1) for name, n in sorted(counts.items())}
        return {name: n for name, n in found.items() if n}

    return Work(
        each(counted.instructions),
        round(counted.calls / count, 1),
        round(counted.anywhere / count, 1),
        each(counted.dear),
    )
