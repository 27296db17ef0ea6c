"""How much a page counts in the search, by what it is for: a how-to before a table of parameters.

A code host shows front matter as a table, so the pages themselves say nothing of it.
"""

from __future__ import annotations

__all__ = ["WEIGHTS", "weight"]

WEIGHTS = {
    "how-to/": 2,
    "bulk.md": 2,
    "command.md": 2,
    "errors.md": 1.5,
    "migration/": 1.5,
    "citations.md": 1.2,
    "retries.md": 1.2,
    "streams.md": 1.2,
    "dify.md": 1.2,
    "fireworks.md": 1.2,
    "pais.md": 1.2,
    "parameters.md": 1.2,
    "perplexity-agent.md": 1.2,
    "perplexity.md": 1.2,
    "qaip.md": 1.2,
    "reference/": 0.5,
    "comparison": 0.4,
    "conformance.md": 0.4,
    "performance.md": 0.4,
    "reliability.md": 0.4,
    "sandbox-switches.md": 0.4,
    "reference/conformance.md": 0.1,
    "reference/fireworks-api.md": 0.1,
    "reference/index.md": 0.1,
    "changelog.md": 0.1,
    "examples/": 0.1,
    "layers.md": 0.1,
    "license.md": 0.1,
}


def weight(page: str) -> float:
    """Return the weight of a page: that of the longest beginning of its path, else 1."""
    beginnings = [beginning for beginning in WEIGHTS if page.startswith(beginning)]
    return WEIGHTS[max(beginnings, key=len)] if beginnings else 1
