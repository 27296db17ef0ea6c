"""The oracles: which client in which environment makes which judge's calls."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .judges._judge import Call, Judge

__all__ = ["ORACLES", "Oracle", "Outcomes"]

Outcomes = Callable[[str], dict[str, Any]]
"""Returns what came of all calls of the oracle with a name, by the ids of the calls."""


_REQUIREMENTS = Path(__file__).parent / "requirements"


@dataclass(frozen=True)
class Oracle:
    """One client, of one version.

    `environment` is the folder below that of all environments, and names the file of what is
    installed there; `judges` are the modules whose calls the client makes; `profiles` are those of
    the service that it can be asked about, all if empty: a package does not know what a service has
    added after it. `variables` are set for its process.
    """

    package: str
    environment: str
    judges: tuple[str, ...]
    profiles: frozenset[str] = frozenset()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """The package with its version."""
        pins = (_REQUIREMENTS / f"{self.environment}.txt").read_text("utf-8").split()
        versions = dict(pin.split("==") for pin in pins)
        return f"{self.package} {versions[self.package]}"

    @property
    def calls(self) -> list[Call]:
        """The calls that the client makes, with the profiles that it can be asked about."""
        judges: list[Judge] = [
            importlib.import_module(f"oracles.judges.{name}").judge for name in self.judges
        ]
        calls = [call for judge in judges for call in judge.calls]
        return [call for call in calls if not self.profiles or call.profile in self.profiles]


ORACLES = {
    oracle.name: oracle
    for oracle in (
        Oracle("fireworks-ai", "fireworks-0.6", ("fireworks_0",)),
        Oracle(
            "fireworks-ai",
            "fireworks-0.9",
            ("fireworks_0", "fireworks_tools"),
            frozenset({"classic"}),
        ),
        Oracle(
            "fireworks-ai",
            "fireworks-0.15",
            ("fireworks_0", "fireworks_tools", "fireworks_015"),
            frozenset({"classic", "2025"}),
            {"FIREWORKS_API_STRICT": "1"},
        ),
        Oracle("fireworks-ai", "fireworks-1.2", ("fireworks_1",)),
        Oracle("qaip", "clients", ("qaip",)),
        Oracle("perplexityai", "clients", ("perplexity_chat", "perplexity_agent")),
        Oracle("dify-client", "clients", ("dify",)),
        Oracle("openai", "clients", ("openai_pais", "openai_others")),
        Oracle("langchain-fireworks", "langchain", ("langchain_fireworks",)),
        Oracle("langchain-perplexity", "langchain", ("langchain_perplexity",)),
        Oracle("langchain-qaip", "langchain", ("langchain_qaip",)),
        Oracle("llama-index-llms-fireworks", "llama-index", ("llama_index_fireworks",)),
        Oracle("llama-index-llms-perplexity", "llama-index", ("llama_index_perplexity",)),
    )
}
