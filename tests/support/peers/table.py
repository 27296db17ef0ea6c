"""All rows."""

from collections.abc import Sequence

from support.peers import (
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
from support.peers.check import Check, Group

__all__ = ["CHECKS", "GROUPS"]

GROUPS: Sequence[Group] = (
    answers.GROUP,
    sources.GROUP,
    streams.GROUP,
    tools.GROUP,
    parameters.GROUP,
    failures.GROUP,
    connections.GROUP,
    objects.GROUP,
    texts.GROUP,
)
CHECKS: Sequence[Check] = tuple(check for group in GROUPS for check in group.checks)
