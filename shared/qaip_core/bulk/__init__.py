"""Answers tables of questions, on one machine or on a cluster; each framework has a door to it.

Nothing here knows a framework: `langchain_qaip.bulk` and `llama_index_qaip.bulk` say how a model is
asked. See docs/bulk.md.
"""

__all__: list[str] = []
