"""What a model of the sandbox thinks before it answers."""

from qaip_sandbox.text import terms

__all__ = ["thought_about"]


def thought_about(question: str) -> str:
    """Return what is thought about `question`: which words are looked for."""
    sought = ", ".join(term.stem for term in terms(question)) or "nothing in particular"
    return f"I look for sentences about these words: {sought}."
