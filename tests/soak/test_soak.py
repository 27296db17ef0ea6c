"""A short soak: nothing is lost, wrong, sent twice or left behind."""

import sys

import pytest

from soak.faults import FAULTS
from soak.soak import soak


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_nothing_is_lost_or_left_behind_under_random_faults() -> None:
    report = soak(seed=20, calls=1000, seconds=60, at_once=50)
    assert not list(report.broken()), str(report)
    assert report.tally.calls == 1000
    assert len(report.tally.faults) == len(FAULTS)
