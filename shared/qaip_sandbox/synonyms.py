"""Everyday words that mean about the same, for words of a question that no document has."""

from collections.abc import Mapping

from .text import tokens

__all__ = ["SYNONYMS"]

_GROUPS = """
begin start
big huge large
buy purchase
calculate compute
car vehicle
cost fee price
alter change modify
choose pick select
client customer buyer
collect gather
company firm
delete erase remove
deliver send ship
employee staff worker
end finish
fast quick rapid
fix repair
guarantee warranty
help support
holiday vacation
illness sickness
image photo picture
boss manager supervisor
forbid prohibit
mistake error
phone telephone
salary wage
answer reply response
little small tiny
stop halt
"""


def _synonyms() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _GROUPS.strip().split("\n"):
        stems = [stem for word in line.split() for stem in tokens(word)]
        for stem in stems:
            found.setdefault(stem, set()).update(other for other in stems if other != stem)
    return {stem: frozenset(others) for stem, others in found.items()}


SYNONYMS: Mapping[str, frozenset[str]] = _synonyms()
"""For the stem of a word, the stems of words that mean about the same."""
