"""`Translated`: whatever reaches a service, with LangChain's errors and manners."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, model_validator

from langchain_qaip.errors import as_langchain
from qaip_core.backend import T
from qaip_core.operation import Operation
from qaip_core.service import Connected
from qaip_core.travel import tell
from qaip_core.version import DISTRIBUTION, version

__all__ = ["Translated"]

_LIVE = ("cache", "callbacks", "rate_limiter")
"""What LangChain's classes have, and many of whose kinds hold locks or connections."""


class Translated(Connected):
    """Reaches a service, and raises errors that are LangChain's, too."""

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
        populate_by_name=True,
        defer_build=True,  # who imports twenty classes uses one of them
    )

    def __init__(self, **data: Any) -> None:
        with as_langchain():
            super().__init__(**data)

    def _sent(self) -> Self:
        sent = super()._sent()
        fields = vars(sent)
        left = [name for name in _LIVE if fields.get(name) is not None and _stays(fields[name])]
        fields.update(dict.fromkeys(left))
        if left:
            tell(type(self).__name__, tuple(left))
        return sent

    @model_validator(mode="after")
    def _set_qaip_version(self) -> Self:
        """Tell traces which version of this package made an answer."""
        stamp: Any = getattr(self, "_add_version", None)
        if stamp:
            stamp(DISTRIBUTION, version())
        return self

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that the key is read from when an object is loaded."""
        return {"api_key": self._action.backend.key_env[0]}

    def fetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Return what another operation of the same service answers.

        Parameters:
            operation: what is asked for.
            values: its parameters by their Python names; those that are None are not sent.

        Raises:
            ServiceError: see `langchain_qaip.errors`.
        """
        with as_langchain():
            return super().fetch(operation, values)

    async def afetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Do what `fetch` does, without blocking."""
        with as_langchain():
            return await super().afetch(operation, values)


def _stays(value: Any) -> bool:
    """Tell whether something cannot be pickled."""
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 -- it may be anything
        return True
    return False
