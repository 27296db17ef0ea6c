"""What the classes of both frameworks have in common: models, runs, and a way on.

It is imported with the models, so it imports what it needs when it is called.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from qaip_core.backend import Backend
from qaip_core.errors import EndpointRetiredError

if TYPE_CHECKING:  # what it is mixed into
    from qaip_core.service import Connected as Base
    from qaip_core.types import ModelInfo
else:
    Base = object

__all__ = ["CancelsRuns", "ListsModels", "Retired", "in_place_of", "is_of_chats"]

_ENDED = (
    "Your key is fine: Perplexity ended chat completions on 2026-09-27. Replace {old} by {new}, "
    "which asks its Agent API (POST /v1/agent; "
    "https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview). "
    "A gateway that still serves chat completions works with base_url=..."
)

_SEARCHING: Mapping[str, Any] = {"model": "perplexity/sonar", "web_search": True}
_IN_PLACE: Mapping[str, Mapping[str, Any]] = {
    "sonar": _SEARCHING,
    "sonar-pro": {"effort": "low"},
    "sonar-reasoning": {"effort": "low"},
    "sonar-reasoning-pro": {"effort": "low"},
    "sonar-deep-research": {"effort": "medium"},
}


def in_place_of(model: str | None) -> Mapping[str, Any]:
    """Return the parameters of the agent that answer as a model of chat completions did.

    A model whose successor is not known is taken for the plain one.

    Source: https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview
    """
    return _IN_PLACE.get((model or "").rpartition("/")[2], _SEARCHING)


def is_of_chats(model: str) -> bool:
    """Tell a model of chat completions; the agent has but one of them, by its full name."""
    return model.removeprefix("perplexity/") in _IN_PLACE and model != "perplexity/sonar"


class ListsModels(Base):
    """Lists the models of the service."""

    def list_models(self) -> list[ModelInfo]:
        """Return the models that the service's agent runs (GET /v1/models).

        Returns:
            The models; prices stand in their ``metadata`` as ``pricing``. The service tells no
            context sizes.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        from qaip_core.backends.perplexity.models import MODELS

        return self.fetch(MODELS)

    async def alist_models(self) -> list[ModelInfo]:
        """Do what `list_models` does, without blocking."""
        from qaip_core.backends.perplexity.models import MODELS

        return await self.afetch(MODELS)


class CancelsRuns(Base):
    """Ends runs of the agent that go on in the background."""

    def cancel(self, response_id: str) -> str:
        """Stop a run in the background, and return the state that the service tells.

        Parameters:
            response_id: the id of `start`.

        Raises:
            BadRequestError: the run is done already, or unknown.
        """
        from qaip_core.backends.perplexity.agent import CANCEL

        return self.fetch(CANCEL, {"response_id": response_id})

    async def acancel(self, response_id: str) -> str:
        """Do what `cancel` does, without blocking."""
        from qaip_core.backends.perplexity.agent import CANCEL

        return await self.afetch(CANCEL, {"response_id": response_id})


class Retired(ListsModels):
    """Tells the users of chat completions, which Perplexity has ended, what to write instead."""

    if TYPE_CHECKING:  # at run time it is pydantic's
        model: str | None

    successor: ClassVar[str]
    """The class to use instead, in the same package."""

    piped: ClassVar[str] = ""
    """What has to stand behind its object for answers of the same type."""

    def settings(self, backend: Backend) -> Any:
        """Return the checked settings, by which a refusal names the successor of this object."""
        return super().settings(replace(backend, rules=self._rules(backend)))

    def _successor(self, kind: type[Base]) -> dict[str, Any]:
        """Return the fields of the successor that does what this object does.

        Parameters:
            kind: the successor's class.

        Warns:
            UserWarning: something has no equivalent, and is left out.
        """
        from qaip_core.backends.perplexity.migration import as_agent

        own = vars(self)
        params = self._action.names
        agent, left = as_agent({n: own[n] for n in params if own.get(n) is not None})
        others = (self.model_fields_set | {"api_key"}) - {*params, "profile"}  # of the old model
        kept = {n: own[n] for n in others if n in kind.model_fields}
        if self.extra_body:  # it was written for the other call
            left.append("extra_body")
            del kept["extra_body"]
        if left:
            warnings.warn(f"no equivalent, so left out: {', '.join(left)}", stacklevel=3)
        return {**kept, **agent}

    def _rules(self, backend: Backend) -> Any:
        old = _call(type(self).__name__, {"model": self.model} if self.model else {})
        new = _call(self.successor, in_place_of(self.model)) + self.piped
        hint = _ENDED.format(old=old, new=new).replace("{", "{{").replace("}", "}}")
        return tuple(
            replace(rule, hint=hint) if rule.error is EndpointRetiredError else rule
            for rule in backend.rules
        )


def _call(name: str, values: Mapping[str, Any]) -> str:
    """Return the line that makes an object."""
    told = (f'{k}="{v}"' if isinstance(v, str) else f"{k}={v}" for k, v in values.items())
    return f"{name}({', '.join(told)})"
