"""How a service behaves: its profile, and the switches beside it."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Chosen", "Switches", "reason"]


def reason(error: ValidationError) -> str:
    """Return what is wrong first, on one line: the field, and why."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(map(str, fault["loc"]))
    return f"{place}: {fault['msg']}" if place else fault["msg"]


class Switches(BaseModel):
    """The switches of one service; every one has a default, which a plain sandbox uses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def chosen(cls, wanted: "Chosen", before: "Switches | None" = None) -> Self:
        """Return the switches that `wanted` asks for; what it leaves out stays as `before`.

        Raises:
            ValueError: a switch or its value is unknown; the message lists what there is.
        """
        values = wanted.model_dump(exclude_unset=True) if isinstance(wanted, Switches) else wanted
        if not isinstance(values, Mapping | None):
            raise ValueError(f"{cls.__name__}: switches are an object of names and values")
        kept = before.model_dump(exclude_unset=True) if before else {}
        try:
            return cls.model_validate(kept | dict(values or {}))
        except ValidationError as error:
            known = f" (there are {', '.join(cls.model_fields)})"
            unknown = error.errors()[0]["type"] == "extra_forbidden"
            raise ValueError(f"{cls.__name__}: {reason(error)}{known if unknown else ''}") from None


Chosen = Switches | Mapping[str, Any] | None
"""What callers may give: the model, a mapping of names to values, or None for the defaults."""
