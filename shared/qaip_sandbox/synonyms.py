"""Everyday words that mean about the same, so that a question need not use the writer's words."""

from collections.abc import Mapping

from .text import tokens

__all__ = ["SYNONYMS"]

_GROUPS = """
abbreviate shorten truncate
allow enable permit
answer reply response
begin start
big huge large
build construct create make
buy order purchase
calculate compute
cancel abort
car vehicle
change alter edit modify
charge cost fee price
check test validate verify
choose pick select
client customer buyer
close end finish
collect gather
combine concatenate join merge
company firm
convert transform turn
copy duplicate
correct fix repair
delete erase remove
deliver send ship
difference delta
directory folder
disable forbid prohibit
display print show
divide separate split
employee staff worker
error failure problem
execute run
explain describe
fast quick rapid
fetch get obtain retrieve
find locate search
guarantee warranty
help support
holiday leave vacation
illness sickness
image photo picture
insert add append
internet web
invalid wrong incorrect
join connect
keep preserve retain
link url
mail email
manager supervisor boss
money payment
options preferences settings configuration
path location
pay salary wage
phone telephone
program application software
save store
size length
small little tiny
stop halt
text string
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
