"""The comparison with other packages, row by row: what it says of our classes is true.

The rows are in `support.peers`; `benchmarks/peers/compare.py` makes docs/comparison.md of them.
The peers are no dependency of the tests: where one happens to be installed, it is held to the
defects that the page names.
"""

import gc
import re
from pathlib import Path

import pytest

from support.fault_server import FaultServer
from support.peers.check import Check, NotMeasuredError, measure
from support.peers.subjects import OURS, PEERS, Subject
from support.peers.table import CHECKS, GROUPS

PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"
PARTS = [
    pytest.param(check, part, subject, id=f"{check.id}-{part or 'holds'}-{subject.id}")
    for check in CHECKS
    for subject in OURS
    if check.applies(subject)
    for part in check.parts
]
DEFECTS = [
    pytest.param(check, peer, id=f"{check.id}-{peer.id}")
    for check in CHECKS
    for peer in PEERS
    if peer.id in check.defect_of
]


@pytest.mark.parametrize(("check", "part", "subject"), PARTS)
def test_our_classes_are_as_the_table_says(
    check: Check, part: str, subject: Subject, server: FaultServer
) -> None:
    run = check.parts[part]
    if check.lacks(subject, part):
        with pytest.raises(Exception):  # noqa: B017, PT011 -- whatever a user gets in its place
            run(subject, server)
        return
    try:
        run(subject, server)
    except NotMeasuredError as missing:
        pytest.skip(str(missing))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("check", "peer"), DEFECTS)
def test_the_peers_fail_where_the_table_says(check: Check, peer: Subject) -> None:
    if not peer.installed:
        pytest.skip(f"{peer.distribution} is not installed")
    text = measure(check, peer).text
    gc.collect()  # here, where nobody minds the sockets that it left open
    assert text not in ("yes", "–")


def test_names_of_rows_are_unique_and_their_subjects_exist() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    known = {subject.id for subject in (*OURS, *PEERS)}
    named = {name.partition("/")[0] for c in CHECKS for name in c.lacking | c.defect_of}
    assert named <= known


def test_the_page_has_every_row_and_says_of_ours_what_was_measured() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for group in GROUPS:
        table = page.split(f"### {group.title}\n")[1].split("\n### ")[0]
        rows = re.findall(r"^\| (.+) \|$", table, flags=re.MULTILINE)[2:]
        cells = [[cell.strip() for cell in row.split(" | ")] for row in rows]
        assert [row[0] for row in cells] == [check.title for check in group.checks]
        for check, row in zip(group.checks, cells, strict=True):
            for subject, cell in zip(OURS, row[1:], strict=False):
                assert (cell == "yes") is _holds(check, subject), (check.id, subject.id, cell)


def _holds(check: Check, subject: Subject) -> bool:
    lacking = any(check.lacks(subject, part) for part in check.parts)
    return check.applies(subject) and not lacking
