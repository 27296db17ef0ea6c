"""All rows for LangChain."""

from support.peers.comparison import Comparison
from support.peers.langchain import (
    answers,
    connections,
    failures,
    objects,
    parameters,
    sources,
    streams,
    texts,
    tools,
)
from support.peers.langchain.subjects import OURS, PEERS

__all__ = ["COMPARISON"]

COMPARISON = Comparison(
    framework="langchain-core",
    file="comparison.md",
    ours=OURS,
    peers=PEERS,
    groups=(
        answers.GROUP,
        sources.GROUP,
        streams.GROUP,
        tools.GROUP,
        parameters.GROUP,
        failures.GROUP,
        connections.GROUP,
        objects.GROUP,
        texts.GROUP,
    ),
)
