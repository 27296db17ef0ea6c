"""The comparison with other packages, row by row: what it says of our classes is true.

The rows are in `support.peers.llama_index`; `benchmarks/peers/compare.py` makes
docs/comparison-llama-index.md of them. Where peers are installed, as `make peers` does, they are
held to the defects that the page names; elsewhere those tests do not exist.
"""

import os

import pytest

from support.fault_server import FaultServer
from support.peers.check import Check, NotMeasuredError
from support.peers.llama_index.table import COMPARISON
from support.peers.subject import PREFIXES, Subject

PARTS = [
    pytest.param(check, part, subject, id=f"{check.id}-{part or 'holds'}-{subject.id}")
    for check, part, subject in COMPARISON.our_parts()
]
DEFECTS = [
    pytest.param(check, peer, id=f"{check.id}-{peer.id}") for check, peer in COMPARISON.defects()
]


@pytest.mark.parametrize(("check", "part", "subject"), PARTS)
def test_our_classes_are_as_the_table_says(
    check: Check, part: str, subject: Subject, server: FaultServer
) -> None:
    try:
        COMPARISON.confirm_ours(check, part, subject, server)
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
        COMPARISON.confirm_defect(check, peer)


def test_names_of_rows_are_unique_and_their_subjects_exist() -> None:
    COMPARISON.confirm_names()


def test_the_page_says_what_was_measured_and_names_every_known_defect() -> None:
    COMPARISON.confirm_page()
