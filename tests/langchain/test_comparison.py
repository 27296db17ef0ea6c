"""What docs/comparison.md says is true, row by row.

The rows are in `support.peers.langchain`; `benchmarks/peers/compare.py` makes the page of them.
"""

from support.peers.langchain.table import COMPARISON
from support.peers.page_tests import PageTests


class TestComparison(PageTests):
    comparison = COMPARISON
