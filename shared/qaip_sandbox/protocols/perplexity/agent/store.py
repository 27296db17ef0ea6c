"""The runs of the agent, kept for later calls."""

from qaip_sandbox._wire import Json

from .run import Run

__all__ = ["Runs"]

_MOST = 1_000


class Runs:
    """The runs by their ids; the oldest are dropped after a thousand."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def add(self, run: Run) -> None:
        """Keep a run."""
        self._runs[run.id] = run
        while len(self._runs) > _MOST:
            del self._runs[next(iter(self._runs))]

    def stored(self, run_id: str) -> Run | None:
        """Return the run of this id, or None; one that is not to be stored can not be had."""
        run = self._runs.get(run_id)
        return run if run and run.request.store is not False else None

    def continued(self, run_id: str) -> list[Json] | None:
        """Return the conversation that a completed run ends, or None."""
        run = self._runs.get(run_id)
        if run is None or run.live or run.status not in ("completed", "requires_action"):
            return None
        return run.said
