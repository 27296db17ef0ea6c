"""All rows for LlamaIndex."""

from support.peers.comparison import Comparison
from support.peers.llama_index import (
    answers,
    compositions,
    connections,
    events,
    failures,
    objects,
    parameters,
    sources,
    streams,
    structured,
    tools,
)
from support.peers.llama_index.subjects import OURS, PEERS

__all__ = ["COMPARISON"]

COMPARISON = Comparison(
    framework="llama-index-core",
    file="comparison-llama-index.md",
    ours=OURS,
    peers=PEERS,
    groups=(
        answers.GROUP,
        sources.GROUP,
        streams.GROUP,
        tools.GROUP,
        structured.GROUP,
        compositions.GROUP,
        parameters.GROUP,
        failures.GROUP,
        connections.GROUP,
        objects.GROUP,
        events.GROUP,
    ),
)
