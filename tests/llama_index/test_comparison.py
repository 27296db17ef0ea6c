"""What docs/comparison-llama-index.md says is true, row by row.

The rows are in `support.peers.llama_index`; `benchmarks/peers/compare.py` makes the page of them.
"""

from support.peers.llama_index.table import COMPARISON
from support.peers.page_tests import PageTests


class TestComparison(PageTests):
    comparison = COMPARISON
