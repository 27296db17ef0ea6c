"""The tests of a comparison: what its page says of our classes is true, and of the peers too.

Where peers are installed, as `make peers` does, they are held to the defects that the page names;
elsewhere those tests do not exist.
"""

import os
from typing import Any, ClassVar

import pytest

from support.fault_server import FaultServer
from support.peers.check import Check, NotMeasuredError
from support.peers.comparison import Comparison
from support.peers.subject import PREFIXES, Subject

__all__ = ["PageTests"]


class PageTests:
    """The tests; a subclass names the comparison."""

    comparison: ClassVar[Comparison]

    def __init_subclass__(cls) -> None:
        if not any(cls.comparison.defects()):  # no peer is installed
            cls.test_the_peers_fail_where_the_table_says = None  # type: ignore[assignment]

    def pytest_generate_tests(self, metafunc: Any) -> None:
        names = metafunc.fixturenames
        if "part" in names:
            rows = [
                pytest.param(check, part, subject, id=f"{check.id}-{part or 'holds'}-{subject.id}")
                for check, part, subject in self.comparison.our_parts()
            ]
            metafunc.parametrize(("check", "part", "subject"), rows)
        elif "peer" in names:
            defects = [
                pytest.param(check, peer, id=f"{check.id}-{peer.id}")
                for check, peer in self.comparison.defects()
            ]
            metafunc.parametrize(("check", "peer"), defects)

    def test_our_classes_are_as_the_table_says(
        self, check: Check, part: str, subject: Subject, server: FaultServer
    ) -> None:
        try:
            self.comparison.confirm_ours(check, part, subject, server)
        except NotMeasuredError as missing:
            pytest.skip(str(missing))

    @pytest.mark.filterwarnings("ignore")
    def test_the_peers_fail_where_the_table_says(
        self, check: Check, peer: Subject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in [name for name in os.environ if name.startswith(PREFIXES)]:
            monkeypatch.delenv(name)
        self.comparison.confirm_defect(check, peer)

    def test_names_of_rows_are_unique_and_their_subjects_exist(self) -> None:
        self.comparison.confirm_names()

    def test_the_page_says_what_was_measured_and_names_every_known_defect(self) -> None:
        self.comparison.confirm_page()
