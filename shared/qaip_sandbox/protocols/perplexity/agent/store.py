"""The runs of the agent, kept for later calls."""

from qaip_sandbox._wire import Json
from qaip_sandbox.shelf import Shelf

from .run import Run

__all__ = ["Runs"]


class Runs(Shelf[str, Run]):
    """The runs by their ids; the oldest are dropped after a thousand."""

    def stored(self, run_id: str) -> Run | None:
        """Return the run of this id, or None; one that is not to be stored can not be had."""
        run = self.get(run_id)
        return run if run and run.request.store is not False else None

    def continued(self, run_id: str) -> list[Json] | None:
        """Return the conversation that a completed run ends, or None."""
        run = self.get(run_id)
        if run is None or run.live or run.status not in ("completed", "requires_action"):
            return None
        return run.said
