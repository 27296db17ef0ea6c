"""Which of several described things a question is about."""

from qaip_sandbox.text import terms

__all__ = ["shared"]

# Words of a description that tell how a tool is used rather than what it is about.
_ABOUT_TOOLS = frozenset(
    term.stem
    for term in terms(
        "argument data document function information input integer number output parameter query"
        " result return search string text tool user value"
    )
)


def shared(question: str, about: str, verb: str = "") -> int:
    """Count the words of `question` that a description shares.

    Args:
        question: What is asked.
        about: The description; words that say how tools are used do not count.
        verb: Further words, which count in any case.
    """
    described = {term.stem for term in terms(about)} - _ABOUT_TOOLS
    described |= {term.stem for term in terms(verb)}
    asked = [term.stem for term in terms(question)]
    return sum(any(_alike(word, other) for other in described) for word in asked)


def _alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return one == other or (len(short) >= 4 and short.isascii() and long.startswith(short))
