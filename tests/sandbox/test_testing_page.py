"""docs/testing.md names every rule of the judge and every fault."""

import re
from pathlib import Path

from qaip_sandbox import faults
from qaip_sandbox.faults import Fault
from qaip_sandbox.judging.rules import RULES

PAGE = (Path(__file__).parents[2] / "docs/testing.md").read_text("utf-8")


def test_the_page_names_every_rule_and_every_fault() -> None:
    rows = re.findall(r"^\| `([a-z-]+)`", PAGE, re.M)
    assert rows == [rule.name for rule in RULES]
    kinds = set(re.findall(r"^\| `([A-Z]\w+)\(", PAGE, re.M))
    assert kinds == {kind.__name__ for kind in Fault.__args__}
    assert kinds <= set(faults.__all__)
