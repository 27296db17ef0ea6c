"""What one call of the soak asks, and what it is answered: all drawn from seed and number."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from support.fault_server import cut
from support.faults.speech import Speech
from support.faults.subjects import SUBJECTS, Subject

if TYPE_CHECKING:
    from soak.faults import Plan

__all__ = ["MARK", "Case", "Frame", "Leaving", "draw_case"]

MARK = "tea.example/"
"""What stands before a call's number in the addresses of its sources."""

_WORDS = (
    "tea", "茶", "чай", "τσάι", "🍵", "naïve", '"quoted"', "back\\slash", "two\nlines", "e\u0301",
    "between\u2028lines", "next\x85line", "[1]", "[9]", "<think>", "data: x", "a" * 300,
)  # fmt: skip
_MOST_PIECES = 60
_ASKED = [s for s in SUBJECTS if s.operation != "workflows"]  # a run takes no prompt
_BY_LANE = {a: [s for s in _ASKED if s.is_async is a] for a in (False, True)}


class Frame(NamedTuple):
    """One frame of a stream: its bytes, the text that it adds, whether it completes the answer."""

    data: bytes
    text: str = ""
    ends: bool = False


class Leaving(NamedTuple):
    """How a caller leaves early, and when: after so many pieces, or milliseconds."""

    way: str
    after: int


@dataclass
class Case:
    """One call.

    number: its own, which is in its prompt, its answer and its sources.
    subject: the way of asking.
    speech: how its service writes this answer.
    texts: the pieces of the answer.
    leaving: how the caller leaves early; None for one who stays.
    plans: what the server did, request by request.
    held_up: whether an event loop of the soak stood still in the meantime, since the processors
        were too busy: then a timeout says nothing.
    """

    number: int
    subject: Subject
    speech: Speech
    texts: Sequence[str]
    leaving: Leaving | None = None
    plans: "list[Plan]" = field(default_factory=list)
    held_up: bool = False

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def question(self) -> str:
        return f"q {self.number}"

    def frames(self, *, late: bool = False) -> list[Frame]:
        """A complete answer; ``late`` puts the last text on the frame that ends it."""
        s, texts = self.speech, list(self.texts)
        last = texts.pop() if late else ""
        said = [Frame(s.piece(text), text) for text in texts]
        after = [Frame(data) for data in (s.usage(), s.done) if data]
        return [*said, Frame(s.end(last), last, ends=True), *after]

    def body(self) -> bytes:
        """A whole answer."""
        return self.speech.answer(*self.texts, stream=False).body  # type: ignore[return-value]

    def pieces(self, body: bytes, rng: Random, most: int) -> list[bytes]:
        """The bytes in chunks that care for no frame."""
        return cut(body, sizes=max(rng.randint(1, 200), len(body) // most + 1))


def draw_case(seed: int, number: int, *, is_async: bool) -> Case:
    """Return the call of a number: the same for the same seed."""
    rng = Random(f"{seed}-{number}")
    subject = rng.choice(_BY_LANE[is_async])
    known = subject.speeches if subject.wants_stream else list(subject.speeches)[:1]
    sources = [_source(number, place) for place in range(rng.randint(1, 4))]
    speech = rng.choice(known).citing(sources)
    count = min(1 + int(rng.expovariate(1 / 8)), _MOST_PIECES)
    texts = [f"{number}.{place} {rng.choice(_WORDS)} " for place in range(count)]
    return Case(number, subject, speech, texts, _leaving(rng, subject, count))


def _source(number: int, place: int) -> dict[str, Any]:
    url = f"https://{MARK}{number}/{place}"
    return {"id": f"s-{number}-{place}", "url": url, "title": "Leaf", "text": f"Leaf {number}."}


def _leaving(rng: Random, subject: Subject, count: int) -> Leaving | None:
    drawn = rng.random()
    if subject.streams and drawn < 0.08:
        way = "breaks off" if drawn < 0.05 else "drops the stream"
        return Leaving(way, rng.randint(0, count))
    if subject.is_async and drawn > 0.92:
        way = "is cancelled" if drawn < 0.96 else "runs out of time"
        return Leaving(way, rng.choice((0, 1, 3, 10, 30, 100)))
    return None
