"""`Account`: what the classes of both frameworks can do beside asking."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from qaip_core.backend import Backend
from qaip_core.backends.fireworks.models import MODELS
from qaip_core.redaction import HiddenHeaders
from qaip_core.service import Connected
from qaip_core.types import ModelInfo

__all__ = ["Account"]

_HEADERS = {
    "session_affinity": "x-session-affinity",
    "multi_turn_session_id": "x-multi-turn-session-id",
}
_Session = Annotated[str, Field(pattern=r"^[!-~]+$")]


class Account(Connected):
    """A connection to Fireworks that may keep to one replica, and knows its models.

    Parameters:
        session_affinity, multi_turn_session_id: any names, without spaces; requests that share
            one go to the same replica, which has the beginning of a conversation in its cache.
            They travel as ``x-session-affinity`` and ``x-multi-turn-session-id``.
    """

    session_affinity: _Session | None = None
    multi_turn_session_id: _Session | None = None

    def settings(self, backend: Backend) -> Any:
        """Return the checked settings; see `Connection.settings`."""
        known = super().settings(backend)
        fields = vars(self)
        named = {header: fields[name] for name, header in _HEADERS.items() if fields[name]}
        return replace(known, headers=HiddenHeaders({**known.headers, **named}))

    def list_models(self) -> list[ModelInfo]:
        """Return the models that the service lists for this key (GET /models).

        What the list leaves out of a model, such as ``context_length``, is None; what it says
        beside is in ``metadata`` (``kind``, ``supports_chat``, ``supports_tools``, ...).

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        return self.fetch(MODELS)

    async def alist_models(self) -> list[ModelInfo]:
        """Do what `list_models` does, without blocking."""
        return await self.afetch(MODELS)
