"""What has to hold, and whether it does: each line reads its figures off the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from speed.results import Results

__all__ = ["Target", "judged"]

_PEERS = {
    "langchain": ("langchain-openai", "langchain-perplexity", "langchain-fireworks"),
    "llama-index": ("llama-index-llms-openai-like", "litellm"),
}
_NAMES = {"langchain": "LangChain", "llama-index": "LlamaIndex"}
_LANES = (("stream", "sync"), ("astream", "async"))


@dataclass(frozen=True)
class Target:
    """One thing that has to hold.

    Parameters:
        says: what.
        limit: the figure that may not be passed.
        found: what was measured.
        above: whether the limit is the least, not the most.
        more: the same against the other floor, which makes its chunks.
    """

    says: str
    limit: float
    found: float
    above: bool = False
    more: float | None = None

    @property
    def holds(self) -> bool:
        return self.found >= self.limit if self.above else self.found <= self.limit


def judged(found: Results) -> list[dict[str, Any]]:
    """Return every target for which there are figures."""
    makers: tuple[Callable[[Results], Iterator[Target]], ...] = (
        _streams, _events, _wholes, _peers, _sources, _long, _memory, _imports, _crowd,
    )  # fmt: skip
    return [{**asdict(t), "holds": t.holds} for make in makers for t in make(found)]


def _limits(found: Results, table: str, ours: str) -> tuple[float | None, float | None]:
    """Return what ours costs, over raw and either floor."""
    suffix = "-complete" if ours == "ours-complete" else ""
    own, raw = found.cpu(table, ours), found.cpu(table, "raw")
    floors = [found.cpu(table, f"{floor}{suffix}") for floor in ("ready", "made")]
    ready, made = (own / (floor + raw) if own and raw and floor else None for floor in floors)
    return ready, made


def _streams(found: Results) -> Iterator[Target]:
    for case, title in (("short", "one event in each HTTP chunk"), ("eight", "eight events")):
        for way, lane in _LANES:
            for ours in ("ours", "ours-complete", "ours-text"):
                ready, made = _limits(found, f"{case}/{way}", ours)
                if ready:
                    named = f"{_NAMES[found.which]}, {found.titles[ours].removeprefix('ours: ')}"
                    says = f"{named}, {lane} stream over floor + raw, {title}"
                    yield Target(says, 1.25, ready, more=made)


def _events(found: Results) -> Iterator[Target]:
    for way, lane in (("events", "sync"), ("aevents", "async")):
        raw = found.cpu(f"short/{way[:-6]}stream", "raw")
        own, floor = (found.cpu(f"short/{way}", name) for name in ("ours", "ready"))
        if own and raw and floor:
            says = f"{_NAMES[found.which]}, {lane} v3 events over floor + raw"
            yield Target(says, 1.25, own / (floor + raw))


def _wholes(found: Results) -> Iterator[Target]:
    for way, lane in (("call", "sync"), ("acall", "async")):
        ready, _ = _limits(found, f"whole/{way}", "ours")
        if ready:
            says = f"{_NAMES[found.which]}, {lane} whole call over floor + raw"
            yield Target(says, 1.3, ready)


def _peers(found: Results) -> Iterator[Target]:
    for way, lane in _LANES:
        table = f"short/{way}"
        for peer in _PEERS[found.which]:
            theirs, own = found.cpu(table, peer), found.cpu(table, "ours")
            if theirs and own:
                yield Target(f"{peer}, {lane} stream, over ours", 6, theirs / own, above=True)
        for case in ("short", "sources"):
            name = "llama-index-llms-perplexity"
            theirs, own = (found.cpu(f"{case}/{way}", s) for s in (name, "ours-perplexity"))
            if theirs and own:
                events = "2,000 short chunks" if case == "short" else "repeated sources"
                says = f"{name}, {lane} stream of {events}, over ours"
                yield Target(says, 1, theirs / own, above=True)


def _sources(found: Results) -> Iterator[Target]:
    decoded = found.cpu("sources/stream", "decode")
    for way, lane in _LANES:
        own = found.cpu(f"sources/{way}", "ours-perplexity")
        if own and decoded:
            says = f"{_NAMES[found.which]}, {lane} stream of repeated sources over json.loads of it"
            yield Target(says, 2, own / decoded)


def _long(found: Results) -> Iterator[Target]:
    for way, lane in _LANES:
        for name in ("core", "ours"):
            long, short = (found.cpu(f"{case}/{way}", name) for case in ("long", "short"))
            if long and short:
                says = f"{found.titles[name]}, {lane}: an event of 20,000 over one of 2,000"
                more = _growth(found, way, "made") if name == "ours" else None
                yield Target(says, 1.1, long / short, more=more)


def _growth(found: Results, way: str, name: str) -> float | None:
    long, short = (found.cpu(f"{case}/{way}", name) for case in ("long", "short"))
    return long / short if long and short else None


def _memory(found: Results) -> Iterator[Target]:
    for name in ("core", "ours"):
        own, framework = _kept(found, name), _kept(found, "made") if name == "ours" else 0.0
        if own is not None and framework is not None:
            says = f"{found.titles[name]}, sync: bytes kept per event, besides its framework's"
            yield Target(says, 100, own - framework)


def _kept(found: Results, name: str) -> float | None:
    """Return the bytes by which each further event raises the peak."""
    long, short = (_peak(found, f"{case}/stream", name) for case in ("long", "short"))
    return (long - short) * 1024 / 18000 if long and short else None


def _peak(found: Results, table: str, name: str) -> float:
    rows = found.tables[table].rows if table in found.tables else []
    return next((row.peak_kb or 0.0 for row in rows if row.subject == name), 0.0)


def _imports(found: Results) -> Iterator[Target]:
    framework, own = (found.cpu("import", name) for name in ("ready", "ours"))
    if framework and own:
        yield Target(f"{_NAMES[found.which]}, import over its own", 1.15, own / framework)


def _crowd(found: Results) -> Iterator[Target]:
    rows = (
        {row.subject: row for row in found.tables["crowd"].rows} if "crowd" in found.tables else {}
    )
    raw = rows["raw"].wall_us if "raw" in rows else None
    for name in ("core", "ours"):
        row = rows.get(name)
        if row and row.wall_us and raw:
            title = found.titles[name]
            says = f"{title}: throughput of 1,000 streams at the same time, of raw's"
            yield Target(says, 0.6, raw / row.wall_us, above=True)
            yield Target(f"{title}: streams of these that failed", 0, float(row.failed))
