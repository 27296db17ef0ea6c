"""The comparison with other packages, row by row: what it says of our classes is true.

The rows are in `support.peers`; `benchmarks/peers/compare.py` makes docs/comparison.md of them.
Where peers are installed, as `make peers` does, they are held to the defects that the page names;
elsewhere those tests do not exist.
"""

import gc
import os
import re
from pathlib import Path

import pytest

from support.fault_server import FaultServer
from support.peers.check import Check, Group, NotMeasuredError, measure
from support.peers.subjects import OURS, PEERS, PREFIXES, Subject
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
    if peer.installed and peer.id in check.defect_of
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


if DEFECTS:

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(("check", "peer"), DEFECTS)
    def test_the_peers_fail_where_the_table_says(
        check: Check, peer: Subject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in [name for name in os.environ if name.startswith(PREFIXES)]:
            monkeypatch.delenv(name)
        (group,) = [group for group in GROUPS if check in group.checks]
        text = measure(check, peer).text
        gc.collect()  # here, where nobody minds the sockets that it left open
        assert text == _cells(group)[check.id][peer.title]
        assert _fails(check, text), text


def test_names_of_rows_are_unique_and_their_subjects_exist() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    known = {subject.id for subject in (*OURS, *PEERS)}
    named = {name.partition("/")[0] for c in CHECKS for name in c.lacking | c.defect_of}
    assert named <= known


def test_the_page_has_every_row_and_says_of_ours_what_was_measured() -> None:
    for group in GROUPS:
        cells = _cells(group)
        for check in group.checks:
            for subject in OURS:
                cell = cells[check.id][subject.title]
                assert (cell == "yes") is _holds(check, subject), (check.id, subject.id, cell)


def test_the_page_names_every_known_defect() -> None:
    for group in GROUPS:
        cells = _cells(group)
        for check in group.checks:
            for peer in PEERS:
                cell = cells[check.id][peer.title]
                assert peer.id not in check.defect_of or _fails(check, cell), (check.id, cell)


def _cells(group: Group) -> dict[str, dict[str, str]]:
    """Return the page's cells of a group: by the row's id, then by the column's title."""
    table = PAGE.read_text(encoding="utf-8").split(f"### {group.title}\n")[1].split("\n### ")[0]
    lines = re.findall(r"^\| (.*) \|$", table, flags=re.MULTILINE)
    (_, *heads), _, *rows = ([cell.strip() for cell in line.split(" | ")] for line in lines)
    assert [row[0] for row in rows] == [check.title for check in group.checks]
    return {
        check.id: dict(zip(heads, row[1:], strict=True))
        for check, row in zip(group.checks, rows, strict=True)
    }


def _fails(check: Check, cell: str) -> bool:
    """Whether a cell says no, names the parts that hold or fail, or another way."""
    some = [part for part in check.parts if part and part in cell]
    partly = bool(some) and (cell.startswith("not ") or cell.endswith(" only"))
    return cell == "no" or cell.startswith("no (") or partly or cell in check.otherwise


def _holds(check: Check, subject: Subject) -> bool:
    lacking = any(check.lacks(subject, part) for part in check.parts)
    return check.applies(subject) and not lacking
