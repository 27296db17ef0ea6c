"""`qaip models`: what can be given as the model, or in its place."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass

from qaip_core.client import Client
from qaip_core.command.failing import told
from qaip_core.command.services import HOW_TO_BEGIN, SERVICES, Service, ready
from qaip_core.command.terminal import print_json, table
from qaip_core.connection import Connection
from qaip_core.errors import ServiceError

__all__ = ["run"]


@dataclass(frozen=True, slots=True)
class _Offer:
    """A model, or an agent, which has a model of its own."""

    service: str
    id: str
    kind: str
    name: str | None = None
    owned_by: str | None = None
    context_length: int | None = None
    created: int | None = None

    @property
    def row(self) -> tuple[str, ...]:
        """What is shown of it."""
        context = f"{self.context_length:,} tokens" if self.context_length else ""
        return self.service, self.id, self.kind, self.name or self.owned_by or "", context


def run(options: argparse.Namespace) -> int:
    """List models.

    Parameters:
        options: what the command line says.

    Returns:
        The exit code: that of the last failure, if a service has failed.
    """
    chosen = [SERVICES[options.service]] if options.service else ready()
    if not chosen:
        print(f"qaip: {HOW_TO_BEGIN}", file=sys.stderr)
        return 2
    found: list[_Offer] = []
    code = 0
    for service in chosen:
        try:
            found += _offers(service)
        except ServiceError as error:  # the others may still answer
            code = told(error) or 1
    if options.json:
        print_json([asdict(offer) for offer in found])
    else:
        table(("service", "model", "kind", "of", "context"), [offer.row for offer in found])
    return code


def _offers(service: Service) -> Iterator[_Offer]:
    name = service.backend.name
    if service.models is None:
        told = f"{service.backend.title} chooses its model itself: it has no list of them"
        print(f"qaip: {told}", file=sys.stderr)
        return
    with closing(Client(Connection().settings(service.backend))) as client:
        for model in client.fetch(service.models):
            kind = str(model.metadata.get("model_type") or model.metadata.get("kind") or "model")
            yield _Offer(
                name, model.id, kind, None, model.owned_by, model.context_length, model.created
            )
        if name == "pais":
            yield from _agents(client)


def _agents(client: Client) -> Iterator[_Offer]:
    from qaip_core.backends.pais.listing import AGENTS

    for agent in client.fetch(AGENTS, {"limit": 100}).entries:
        yield _Offer("pais", agent.id, "agent", agent.name)
