"""One row of the comparison, and how it is measured."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from support.fault_server import FaultServer
from support.peers.subject import Subject

__all__ = ["Cell", "Check", "Group", "HangsError", "NotMeasuredError", "Part", "measure", "run"]

Part = Callable[[Subject, FaultServer], None]


class HangsError(AssertionError):
    """A part was still running when its time was up."""


class NotMeasuredError(Exception):
    """What this machine lacks to measure a part; it is neither a yes nor a no."""


@dataclass(frozen=True)
class Check:
    """One row.

    Parameters:
        id: its name in tests.
        title: what the page shows.
        parts: what must hold. A check in one piece calls it "".
        needs: traits of the service without which the row does not apply.
        otherwise: other ways to the same thing, tried where every part fails; the cell then
            shows the way's name.
        lacking: our subjects, or "subject/part", that are known to fail.
        defect_of: peers that are known to fail; `make peers` tests that they do.
        note: what the title leaves open.
        seconds: after which a part counts as hanging.
    """

    id: str
    title: str
    parts: Mapping[str, Part]
    needs: frozenset[str] = frozenset()
    otherwise: Mapping[str, Part] = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()
    defect_of: frozenset[str] = frozenset()
    note: str = ""
    seconds: float = 10.0

    def applies(self, subject: Subject) -> bool:
        return self.needs <= subject.traits

    def lacks(self, subject: Subject, part: str) -> bool:
        return bool(self.lacking & {subject.id, f"{subject.id}/{part}"})


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    title: str
    checks: Sequence[Check]


@dataclass(frozen=True)
class Cell:
    """What was measured for one subject: the text for the table, and why parts failed."""

    text: str
    reasons: Mapping[str, BaseException] = field(default_factory=dict)


def run(part: Part, subject: Subject, seconds: float) -> BaseException | None:
    """Return what a part raised on a server of its own; `HangsError` if it did not end in time."""
    raised: list[BaseException] = []

    def body(server: FaultServer) -> None:
        try:
            part(subject, server)
        except BaseException as error:  # noqa: BLE001 -- whatever a user would get is the result
            raised.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with FaultServer() as server:
            # Where a class waits for ever, only the end of the server sets it free.
            thread = threading.Thread(target=body, args=(server,), daemon=True)
            thread.start()
            thread.join(seconds)
            if thread.is_alive():
                raised.insert(0, HangsError(f"still waiting after {seconds:g} s"))
        thread.join(5)
    return raised[0] if raised else None


def measure(check: Check, subject: Subject) -> Cell:
    """Return the cell of a row for one of the installed subjects."""
    if not check.applies(subject):
        return Cell("–")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject.load()
    results = {name: run(part, subject, check.seconds) for name, part in check.parts.items()}
    failed = {name: error for name, error in results.items() if error is not None}
    passed = [name for name in results if name not in failed]
    if any(isinstance(error, NotMeasuredError) for error in failed.values()):
        return Cell("not measured", failed)
    if not failed:
        return Cell("yes")
    if passed:
        few = len(passed) <= len(failed)
        return Cell(f"{', '.join(passed)} only" if few else f"not {', '.join(failed)}", failed)
    for way, part in check.otherwise.items():
        if run(part, subject, check.seconds) is None:
            return Cell(way, failed)
    return Cell(f"no{_remark(failed.values())}", failed)


def _remark(errors: Iterable[BaseException]) -> str:
    kinds = {type(error) for error in errors}
    if kinds == {HangsError}:
        return " (hangs)"
    (kind, *others) = kinds
    return "" if others or kind is AssertionError else f" ({kind.__name__})"
