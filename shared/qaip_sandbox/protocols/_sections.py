"""The parts of a prompt that frameworks write: a context, a question, an earlier answer.

They are known by what most templates have: labels at the beginning of a line, rules around the
context, and a sentence before it that speaks of the context, sources or documents below.
"""

import re
from dataclasses import dataclass

__all__ = ["Sections", "labelled", "sections"]

_KINDS = {
    "question": r"(?:the )?(?:original |user |input |follow[- ]up )?"
    r"(?:query|question|input|message)(?: is as follows)?|[^\n]*[.!?] original question",
    "context": r"(?:new |retrieved |additional )?(?:context|sources|documents|passages)",
    "earlier": r"(?:[^\n]*[.!?] )?(?:we have provided an )?(?:existing|original|previous) answer",
    "other": r"(?:[\w-]+ )?answer|instructions?|standalone question|chat history|queries",
}
_TAGS = "|".join(f"(?P<{kind}_tag>{words})" for kind, words in _KINDS.items())
_WORDS = "|".join(f"(?P<{kind}>{words})" for kind, words in _KINDS.items())
_LABEL = re.compile(
    rf"^[ \t#*]*(?:<(?:{_TAGS})>[ \t]*|(?:{_WORDS})[ \t]*:[ \t*]*)", re.IGNORECASE | re.MULTILINE
)
_RULE = re.compile(r"^[ \t]*([-=_*#~─])\1{5,}[ \t]*(?:\n|\Z)", re.MULTILINE)
_NOUN = r"\b(?:context|information|(?:source|document|passage|excerpt|extract|extracted part)s?)\b"
_POINTER = r"\b(?:below|following|these|here|provided|retrieved)\b"
_CUE = re.compile(
    rf"^(?=[^\n]*{_NOUN})(?=[^\n]*{_POINTER})[^\n]*[^\s?][ \t]*(?:\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
_NEAR = 2000
_GLUED = re.compile(r"(?=Below (?:is|are) )")


@dataclass(frozen=True, slots=True)
class Sections:
    """The parts that a prompt has, empty strings for those that it has not."""

    question: str = ""
    context: str = ""
    earlier: str = ""


@dataclass(frozen=True, slots=True)
class _Label:
    kind: str
    start: int
    end: int


def sections(text: str, *, asks: bool = True) -> Sections:
    """Return the sections of `text`.

    Args:
        text: A message.
        asks: Whether a question may stand in it; the context of a system message is not one.
    """
    start, end = _ruled(text) or (0, 0)
    if start:
        around = text[:start] + "\n" + text[end:]
        inside = _labels(text[start:end], "earlier")
        stop = start + inside[-1].start if inside else end
        earlier = labelled(text[start:end], "earlier") or labelled(around, "earlier")
        question = labelled(around, "question") if asks else ""
        return Sections(question, _bare(text[start:stop]), earlier)
    start, end = _open(text, asks=asks)
    question = labelled(text, "question") if asks else ""
    return Sections(question, _bare(text[start:end]), labelled(text[end:], "earlier"))


def labelled(text: str, kind: str) -> str:
    """Return the last text that stands behind a label of a kind, up to an empty line."""
    for label in reversed(_labels(text, kind)):
        later = [other.start for other in _labels(text) if other.start >= label.end]
        value = _RULE.split(text[label.end : min(later, default=len(text))])[0]
        first, *others = _GLUED.split(value.strip())[0].split("\n", 1)
        # What announces the context below a value is no part of it.
        value = "\n".join([first, *(_CUE.split(other)[0] for other in others)]).strip()
        if value:
            return value.split("\n\n")[0] if kind == "question" else value
    return ""


def _labels(text: str, *kinds: str) -> list[_Label]:
    found = [
        _Label(str(match.lastgroup).removesuffix("_tag"), match.start(), match.end())
        for match in _LABEL.finditer(text)
    ]
    return [label for label in found if not kinds or label.kind in kinds]


def _ruled(text: str) -> tuple[int, int] | None:
    """Return the span between two rules after a cue, or after the label of the question."""
    rules = list(_RULE.finditer(text))
    openings = [rule for rule in rules if _CUE.search(_before(text, rule.start()))][:1]
    asking = [rule for rule in rules if _labels(_before(text, rule.start()), "question")]
    for opening in openings or asking[-1:]:
        same = [
            r for r in rules if r.start() > opening.start() and r[0].strip() == opening[0].strip()
        ]
        end = same[-1].start() if same else len(text)
        return opening.end(), end
    return None


def _before(text: str, end: int) -> str:
    """Return the paragraph that ends at `end`, as much of it as could announce something."""
    return text[max(0, end - _NEAR) : end].rstrip().rpartition("\n\n")[2] + "\n"


def _open(text: str, *, asks: bool) -> tuple[int, int]:
    """Return the span of a context without rules."""
    cue = _CUE.search(text)
    labels = _labels(text)
    starts = [label.end for label in labels if label.kind == "context"]
    starts += [cue.end()] if cue else []
    if not starts:
        return 0, 0
    # A label says more exactly where the context begins than the sentence that announces it.
    start = starts[0]
    ends = [label.start for label in labels if label.kind == "earlier" and label.start >= start]
    ends += [x.start for x in labels if x.kind == "question" and x.start >= start and asks][-1:]
    last = labels[-1] if labels else None
    if last and last.kind == "other" and last.start >= start:
        ends.append(last.start)
    return start, min(ends, default=len(text))


def _bare(text: str) -> str:
    return _RULE.sub("", text).strip()
