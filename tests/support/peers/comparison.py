"""A framework's comparison: its rows, its columns, and the page that shows them."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.fault_server import FaultServer
from support.peers.check import Check, Group, measure
from support.peers.subject import Subject

__all__ = ["Comparison"]

_DOCS = Path(__file__).parents[3] / "docs"


@dataclass(frozen=True)
class Comparison:
    """The rows and columns of a page.

    Parameters:
        framework: the distribution of the framework.
        file: the page's name in the folder of documents.
        ours, peers: the columns.
        groups: the rows.
    """

    framework: str
    file: str
    ours: Sequence[Subject]
    peers: Sequence[Subject]
    groups: Sequence[Group]

    @property
    def page(self) -> Path:
        return _DOCS / self.file

    @property
    def subjects(self) -> Sequence[Subject]:
        return (*self.ours, *self.peers)

    @property
    def checks(self) -> Sequence[Check]:
        return tuple(check for group in self.groups for check in group.checks)

    def our_parts(self) -> Iterator[tuple[Check, str, Subject]]:
        """Yield every part of a row that applies to one of our classes."""
        for check in self.checks:
            for subject in self.ours:
                if check.applies(subject):
                    yield from ((check, part, subject) for part in check.parts)

    def defects(self) -> Iterator[tuple[Check, Subject]]:
        """Yield the known defects of the peers that are installed."""
        for check in self.checks:
            for peer in self.peers:
                if peer.installed and peer.id in check.defect_of:
                    yield check, peer

    def confirm_ours(self, check: Check, part: str, subject: Subject, server: FaultServer) -> None:
        """Assert that a part holds for one of our classes; where it is lacking, that it fails."""
        if not check.lacks(subject, part):
            check.parts[part](subject, server)
            return
        try:
            check.parts[part](subject, server)
        except Exception:  # noqa: BLE001 -- whatever a user gets in its place
            return
        raise AssertionError("it holds by now: take it out of `lacking`, and make the page anew")

    def confirm_defect(self, check: Check, peer: Subject) -> None:
        """Assert that a peer fails as the page says."""
        text = measure(check, peer).text
        gc.collect()  # here, where nobody minds the sockets that it left open
        (group,) = [group for group in self.groups if check in group.checks]
        assert text == self._cells(group)[check.id][peer.title]
        assert _fails(check, text), text

    def confirm_names(self) -> None:
        """Assert that ids are unique and that rows name subjects that exist."""
        ids = [check.id for check in self.checks]
        assert len(set(ids)) == len(ids), sorted(i for i in ids if ids.count(i) > 1)
        named = {name.partition("/")[0] for c in self.checks for name in c.lacking | c.defect_of}
        assert named <= {subject.id for subject in self.subjects}

    def confirm_page(self) -> None:
        """Assert that the page has every row, says of ours what was measured, and each defect."""
        for group in self.groups:
            cells = self._cells(group)
            for check in group.checks:
                row = cells[check.id]
                for subject in self.ours:
                    said = row[subject.title]
                    assert (said == "yes") is _holds(check, subject), (check.id, subject.id, said)
                for peer in self.peers:
                    said = row[peer.title]
                    assert peer.id not in check.defect_of or _fails(check, said), (check.id, said)

    def _cells(self, group: Group) -> Mapping[str, Mapping[str, str]]:
        """Return the page's cells of a group: by the row's id, then by the column's title."""
        page = self.page.read_text(encoding="utf-8")
        table = page.split(f"### {group.title}\n")[1].split("\n### ")[0]
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
