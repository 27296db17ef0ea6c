"""Embeddings without a model: every content word is a direction, so that cosines mean something."""

import math
from hashlib import blake2b

from .text import terms, tokens

__all__ = ["cosine", "embed"]


def embed(text: str, dimensions: int) -> list[float]:
    """Return a vector of unit length; texts that share content words point the same way.

    Args:
        text: Any text; one without words has a direction of its own.
        dimensions: The length of the vector, 1 or more.

    Raises:
        ValueError: `dimensions` is below 1.
    """
    if dimensions < 1:
        raise ValueError(f"dimensions must be 1 or more, not {dimensions}")
    words = {term.stem for term in terms(text)} or set(tokens(text)) or {text}
    # Words may cancel each other out; the text as a whole then takes their place.
    summed = _summed(words, dimensions)
    vector = summed if any(summed) else _summed({text}, dimensions)
    length = math.hypot(*vector)
    return [value / length for value in vector]


def cosine(one: list[float], other: list[float]) -> float:
    """Return how alike two vectors of unit length are, -1 to 1."""
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def _summed(words: set[str], dimensions: int) -> list[float]:
    vector = [0.0] * dimensions
    for word in words:
        number = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest())
        vector[number // 2 % dimensions] += 1.0 if number % 2 else -1.0
    return vector
